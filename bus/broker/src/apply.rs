//! Another catalog while the broker runs: read and checked off the control thread, compared with the one that runs, and
//! taken whole or not at all.
//!
//! ```text
//!   PlanCatalog ──► Draft::read, off this thread: file, schemas, what topics that come were declared as before
//!                       │
//!                       ▼ difference, with who is there now; told, where that is all, or something is refused
//!                   Draft::open, off this thread: the journals of topics that come
//!                       │
//!                       ▼ difference, once more
//!   nothing refused ──► topics come and go, what runs is told; whoever lost something is hung up on, and asks again
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oyez_journal::{Partition as Journal, Recovery};
use oyez_mem::memory;
use oyez_protocol::{FailureCode, Message};

use crate::catalog::{Catalog, Topic};
use crate::control::Control;
use crate::core::{self, Core};
use crate::declared::Declared;
use crate::event::{Event, PartitionIndex};
use crate::log::log;
use crate::partition::{ConnectionId, Partition, lock};
use crate::plan::{Plan, difference};
use crate::request::{Asker, Refusing, binding_of};
use crate::serve::{StartError, open_topic};

/// Partitions that nobody has yet, by topic.
type Opened = BTreeMap<String, Vec<(Partition, Recovery)>>;

/// A catalog that was read, for whoever asked.
#[derive(Debug)]
pub(crate) struct Draft {
    asker: Asker,
    path: PathBuf,
    apply: bool,
    read: Result<Read, String>,
}

/// Of a catalog that is one.
#[derive(Debug)]
struct Read {
    wanted: Arc<Catalog>,
    kept: BTreeMap<String, Declared>,
    /// The topics that come, once nothing stood against it.
    opened: Option<Opened>,
}

impl Draft {
    /// Takes as long as compiling schemas does.
    fn read(asker: Asker, path: PathBuf, apply: bool, running: &Catalog) -> Draft {
        let read = read(&path, apply, running);
        Draft { asker, path, apply, read }
    }

    /// Takes as long as making journals does.
    fn open(self, running: &Catalog) -> Draft {
        let read = self.read.and_then(|read| open(read, running).map_err(|error| error.to_string()));
        Draft { read, ..self }
    }
}

fn read(path: &Path, apply: bool, running: &Catalog) -> Result<Read, String> {
    let is_same = path.canonicalize().is_ok_and(|path| running.path.canonicalize().is_ok_and(|own| own == path));
    if apply && !is_same {
        let (path, own) = (path.display(), running.path.display());
        return Err(format!("{path}: the broker was started with {own} and would go back to that; put it there first"));
    }
    let wanted = Arc::new(Catalog::load(path).map_err(|error| error.to_string())?);
    let new = wanted.topics.iter().filter(|topic| running.topic(&topic.name).is_none());
    let kept = new.map(|topic| Ok((topic.name.clone(), Declared::read(&running.data, &topic.name)?)));
    let kept = kept.collect::<Result<_, StartError>>().map_err(|error| error.to_string())?;
    Ok(Read { wanted, kept, opened: None })
}

fn open(read: Read, running: &Catalog) -> Result<Read, StartError> {
    let mut opened = Opened::new();
    for topic in &read.wanted.topics {
        match running.topic(&topic.name) {
            Some(_) => Declared::widen(&running.data, topic)?,
            None => drop(opened.insert(topic.name.clone(), open_topic(&read.wanted, topic, &mut Vec::new())?)),
        }
    }
    Ok(Read { opened: Some(opened), ..read })
}

impl Control {
    /// Somebody wants to know what would come of a catalog, or wants it taken. Answered when it is read.
    pub(crate) fn plan_catalog(&mut self, asker: Asker, apply: bool, path: String) -> Result<bool, Refusing> {
        let path = PathBuf::from(path);
        let Some(client) = self.clients.get_mut(asker.id) else { return Ok(true) };
        if !client.peer.is_operator() {
            let (uid, own) = (client.peer.uid, rustix::process::geteuid().as_raw());
            let problem = format!("user {uid} may not see or change the catalog; ask as user {own} or root");
            let catalog = path.display().to_string();
            return self.planned(asker, Plan { catalog, problem: Some(problem), ..Plan::default() });
        }
        if self.stopping {
            return Err((FailureCode::Closing, "the catalog".to_owned()));
        }
        if std::mem::replace(&mut self.drafting, true) {
            return Err((FailureCode::TooManyRequests, "another catalog is being read".to_owned()));
        }
        let running = Arc::clone(&self.catalog);
        self.drafts.ask(move || Event::Draft(Box::new(Draft::read(asker, path, apply, &running))));
        Ok(true)
    }

    /// A catalog was read: compared, taken where that was asked for and nothing stands against it, and told.
    pub(crate) fn take_draft(&mut self, draft: Draft, now: Instant) {
        self.drafting = false;
        let (asker, plan) = (draft.asker, self.plan(&draft));
        match draft.read {
            Ok(Read { opened: None, .. }) if plan.applied => {
                self.drafting = true;
                let running = Arc::clone(&self.catalog);
                return self.drafts.ask(move || Event::Draft(Box::new(draft.open(&running))));
            }
            Ok(Read { wanted, opened: Some(opened), .. }) if plan.applied => {
                plan.changes.iter().for_each(|change| log(format_args!("catalog: {change}")));
                self.take_catalog(wanted, opened, now);
            }
            _ => {}
        }
        let sent = self.planned(asker, plan).unwrap_or_else(|refusing| self.fail(asker, refusing));
        if !sent {
            self.hang_up(asker.id, now);
        }
    }

    /// What comes of it, as everything stands now; `applied` where it is to be.
    fn plan(&self, draft: &Draft) -> Plan {
        let mut plan = Plan { catalog: draft.path.display().to_string(), ..Plan::default() };
        match &draft.read {
            Err(problem) => plan.problem = Some(problem.clone()),
            Ok(Read { wanted, kept, .. }) => {
                plan.changes = difference(&self.catalog, wanted, kept, |topic| self.in_use(topic));
            }
        }
        if draft.apply && self.stopping && plan.problem.is_none() {
            plan.problem =
                Some("the broker is stopping; its next start takes the catalog as it stands then".to_owned());
        }
        plan.applied = draft.apply && plan.is_appliable();
        plan
    }

    fn planned(&mut self, asker: Asker, plan: Plan) -> Result<bool, Refusing> {
        let text = serde_json::to_vec(&plan).map_err(|error| (FailureCode::Broker, error.to_string()))?;
        let document =
            memory::document("oyez-plan", &text).map_err(|error| (FailureCode::NoMemory, error.to_string()))?;
        let message = Message::CatalogPlanned { bytes: text.len() as u64 };
        Ok(self.clients.send(asker.id, asker.correlation, message, &[document.as_fd()]))
    }

    /// Why a topic cannot come, or go, just now.
    fn in_use(&self, name: &str) -> Option<String> {
        let Some((at, _)) = self.catalog.topic(name) else {
            let kept = "its rings are kept from a former life, perhaps with their owners; restart the broker, which adopts them";
            let used_up =
                "tens of thousands of partitions have come and gone; restart the broker, which keeps rings and owners";
            let kept = self.orphans.contains(name).then_some(kept);
            return kept.or(self.cores.iter().any(Core::is_used_up).then_some(used_up)).map(str::to_owned);
        };
        let indexes: Vec<_> = self.indexes(at).collect();
        let readers = self.clients.iter().flat_map(|client| client.subscriptions.values());
        let readers = readers.filter(|reader| indexes.contains(&reader.partition)).count();
        let used = indexes.iter().find_map(|index| self.partitions[index.0].in_use());
        let used = used.or_else(|| (readers > 0).then(|| format!("{readers} subscriptions read it")));
        used.map(|used| format!("{used}; `oyez stat {name}` shows who is there: end them first"))
    }

    /// The partitions of the topic in this place of the catalog.
    pub(crate) fn indexes(&self, at: usize) -> impl Iterator<Item = PartitionIndex> + use<> {
        let first = self.first[at].0;
        (first..first + usize::from(self.catalog.topics[at].partitions)).map(PartitionIndex)
    }

    /// Nothing stands against it, and nothing here can fail.
    fn take_catalog(&mut self, wanted: Arc<Catalog>, mut opened: Opened, now: Instant) {
        for (at, topic) in Arc::clone(&self.catalog).topics.iter().enumerate() {
            if wanted.topic(&topic.name).is_none() {
                self.indexes(at).for_each(|index| self.retire(index, now));
            }
        }
        let running = std::mem::replace(&mut self.catalog, Arc::clone(&wanted));
        let former: BTreeMap<&str, PartitionIndex> =
            running.topics.iter().map(|topic| topic.name.as_str()).zip(self.first.drain(..)).collect();
        for topic in &wanted.topics {
            let first = match former.get(topic.name.as_str()) {
                Some(first) => *first,
                None => self.begin(topic, opened.remove(&topic.name).unwrap_or_default()),
            };
            self.first.push(first);
        }
        self.spares.keep(wanted.topics.iter().map(|topic| topic.capacity_bytes));
        self.clients.limits = wanted.limits;
        let sleep_max = Duration::from_micros(wanted.wake_max_us);
        self.cores.iter_mut().for_each(|core| core.set_pace(wanted.idle, sleep_max));
        let mut lost = BTreeSet::new();
        for (at, topic) in wanted.topics.iter().enumerate() {
            if let Some((_, before)) = running.topic(&topic.name) {
                self.change(at, before, topic, &mut lost);
            }
        }
        lost.into_iter().for_each(|id| self.hang_up(id, now));
    }

    /// A new topic's partitions; the index of the first.
    fn begin(&mut self, topic: &Topic, opened: Vec<(Partition, Recovery)>) -> PartitionIndex {
        let first = self.partitions.next();
        for (mut partition, recovery) in opened {
            let index = self.partitions.next();
            partition.run_on(core::of(&mut self.cores, topic, partition.number), index, &recovery);
            self.partitions.push(partition);
        }
        first
    }

    /// A partition that is declared no more; nobody owns it, reads it, or waits to own it.
    fn retire(&mut self, index: PartitionIndex, now: Instant) {
        self.partitions[index.0].retire(&mut self.cores);
        self.let_go(index);
        self.wanting.retain(|(wanting, _)| *wanting != index);
        let about = self.partitions[index.0].topic.clone();
        for parked in self.parked.extract_if(.., |parked| parked.partition == index).collect::<Vec<_>>() {
            if let Some(client) = self.clients.get_mut(parked.connection) {
                client.parked -= 1;
            }
            let asker = Asker { id: parked.connection, correlation: parked.correlation };
            self.fail(asker, (FailureCode::UnknownTopic, about.clone()));
        }
        // Whoever asked for a renewal whose owner is gone.
        self.tell_renewed(index, now);
        self.partitions.remove(index);
    }

    /// A topic that stays; `lost` takes the connections that have lost something and are to ask again.
    fn change(&mut self, at: usize, before: &Topic, topic: &Topic, lost: &mut BTreeSet<ConnectionId>) {
        let is_rebound = binding_of(before) != binding_of(topic);
        if before.subscribe.iter().any(|right| !topic.subscribe.contains(right)) {
            let journals = self.indexes(at).map(|index| Arc::clone(&self.partitions[index.0].journal)).collect();
            let (catalog, topic) = (Arc::clone(&self.catalog), topic.clone());
            // In turn with what other catalogs keep of the topic.
            self.drafts.ask(move || Event::Withheld(withhold(&catalog.data, &topic, journals), topic.name));
        }
        for index in self.indexes(at) {
            let partition = &mut self.partitions[index.0];
            partition.redeclare(topic);
            let clients = &self.clients;
            let is_denied = |id: ConnectionId| clients.get(id).is_none_or(|client| !topic.may_publish(&client.peer));
            if let Some(many) = &partition.many {
                lost.extend(many.connections().filter(|id| is_denied(*id) || is_rebound));
            } else if let Some(owner) = partition.owner_in_sight().map(|holder| holder.connection) {
                if is_denied(owner) {
                    partition.closing();
                }
                lost.extend((is_denied(owner) || is_rebound).then_some(owner));
            }
            lost.extend(partition.standbys.connections().filter(|id| is_denied(*id)));
            let denied = self.clients.readers(index).filter(|(_, client)| !topic.may_subscribe(&client.peer));
            lost.extend(denied.map(|(id, _)| id));
        }
    }
}

/// Whoever could subscribe may have these segments open: that is forgotten only once they are sure never to be used again.
fn withhold(data: &Path, topic: &Topic, journals: Vec<Arc<Mutex<Journal>>>) -> Result<(), StartError> {
    for journal in journals {
        let marked = lock(&journal).withhold_segments()?;
        marked.flush()?;
    }
    Declared::keep(data, topic)
}
