//! Starting: as the keeper, which starts a broker as its child; or as that broker. What cannot start says so in one
//! line, with place and remedy, and leaves with exit code 2.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use oyez_journal::{JournalError, Options, Partition as Journal, Recovery};
use oyez_mem::memory::{self, Access, MemoryError};
use oyez_protocol::Durability;
use rustix::io::Errno;

use crate::catalog::{Catalog, CatalogError, Topic};
use crate::clients::Clients;
use crate::control::Control;
use crate::core::{self, Core, Pace};
use crate::declared::Declared;
use crate::event::{self, Events, Helper, PartitionIndex};
use crate::http;
use crate::keeper;
use crate::log::log;
use crate::partition::{Partition, lock};
use crate::partitions::Partitions;
use crate::plan::Change;
use crate::ring::{Ring, RingName};
use crate::spare::Spares;
use crate::stop;
use crate::store::Store;

/// Exit code of what cannot start.
const CANNOT_START: u8 = 2;

/// How to serve.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The catalog's file.
    pub catalog: PathBuf,
    /// As what.
    pub role: Role,
}

/// Keeper or broker.
#[derive(Debug, Clone)]
pub enum Role {
    /// The parent: starts this same program with these arguments, which must lead to [`serve`] as [`Role::Broker`], and
    /// starts it again when it dies.
    Keeper {
        /// Arguments of the child, without the program's name.
        arguments: Vec<OsString>,
    },
    /// The broker itself, under a keeper or under systemd (`Type=notify`, `FileDescriptorStoreMax=` set, and before
    /// systemd 254 `FDSTORE` in the environment with the same number).
    Broker,
}

/// Why the broker cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The catalog is refused.
    #[error("{0}")]
    Catalog(#[from] CatalogError),
    /// A topic was declared before as what it cannot cease to be.
    #[error("{catalog}: {change}, or put the former value back")]
    Declared {
        /// The catalog.
        catalog: PathBuf,
        /// What it cannot be.
        change: Box<Change>,
    },
    /// Nobody can tell what a topic was declared as.
    #[error("{path}: damaged: {error}; restore it, or remove it where the topic is declared as ever")]
    Undeclared {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: serde_json::Error,
    },
    /// A folder or file of the broker cannot be made.
    #[error("{path}: {problem}: {error}; let this user write there, or name another place in the catalog")]
    Place {
        /// Which.
        path: PathBuf,
        /// What was tried.
        problem: &'static str,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// Another broker runs on the same data.
    #[error("{path}: another broker has this data folder; stop it first, or name another `data` in the catalog")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// Another broker listens there.
    #[error("{path}: another broker listens there; stop it first, or name another `socket` in the catalog")]
    Listening {
        /// The socket.
        path: PathBuf,
    },
    /// Metrics cannot be told there.
    #[error("{address}: cannot listen for metrics: {error}; name another `http` in the catalog, or leave it out")]
    Http {
        /// Where.
        address: SocketAddr,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// The kernel does not give the proof that epochs end by.
    #[error("the kernel gives no leases: {0}; Linux 6.1 or newer is needed, and no sandbox that forbids fcntl")]
    Lease(std::io::Error),
    /// Nobody would keep the rings.
    #[error("no descriptor store: {0}; start without `--no-keeper`, or under systemd with FileDescriptorStoreMax= set")]
    Store(std::io::Error),
    /// The journal of a partition cannot be opened.
    #[error("{0}")]
    Journal(#[from] JournalError),
    /// I/O is refused.
    #[error("{0}")]
    Io(#[from] oyez_io::Refusal),
    /// Threads, signals, event descriptors.
    #[error("cannot {step}: {error}; raise the limits of processes and files")]
    Resources {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// A ring that the store kept cannot be taken over.
    #[error("{ring}: not adopted: {error}; the keeper tries again")]
    Adopt {
        /// Its name in the store.
        ring: String,
        /// Why.
        error: MemoryError,
    },
    /// The keeper cannot work.
    #[error("{0}")]
    Keeper(String),
}

impl From<String> for StartError {
    fn from(text: String) -> StartError {
        StartError::Keeper(text)
    }
}

/// Serves until told to stop by SIGTERM or SIGINT. The answer is the process's exit code: 0 stopped with everything
/// durable; 1 stopped, but an owner did not release or the disk did not finish (the log names it); 2 could not start
/// (one line on stderr says why); 3, from a broker alone, told by SIGHUP to make way for another build, which finds
/// everything in the store. A keeper that is told so has its broker replaced by the program that then stands at its path.
#[must_use]
pub fn serve(options: &ServeOptions) -> u8 {
    raise_descriptors();
    let served = match &options.role {
        Role::Keeper { arguments } => keep(&options.catalog, arguments.clone()),
        Role::Broker => start(&options.catalog).map(Control::run),
    };
    served.unwrap_or_else(|error| {
        log(error);
        CANNOT_START
    })
}

/// As many descriptors as this process may have: a ring takes two, a segment one, a client one. The keeper needs a copy
/// of each it keeps to start a broker. What a broker inherits is the same.
fn raise_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Refused, the lower limit stands, and what it refuses is said then.
    let _ = setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, ..limit });
}

fn keep(catalog: &Path, arguments: Vec<OsString>) -> Result<u8, StartError> {
    keeper::keep(arguments, || Ok(Catalog::load(catalog)?.socket))
}

/// Opens everything, adopts what a former life left, and says `ready`.
fn start(path: &Path) -> Result<Control, StartError> {
    let catalog = Arc::new(Catalog::load(path)?);
    let signals = stop::watch(&[]).map_err(resources("watch signals"))?;
    die_whole();
    follow_keeper()?;
    lock_data(&catalog.data)?;
    oyez_mem::lease::probe().map_err(StartError::Lease)?;
    let (store, kept) = Store::from_environment().map_err(StartError::Store)?;
    let (events, queue) = event::queue().map_err(resources("make an event descriptor"))?;
    let spares = Helper::start("spares", events.clone()).map_err(resources("start a thread"))?;
    let segments = Helper::start("segments", events.clone()).map_err(resources("start a thread"))?;
    let drafts = Helper::start("catalog", events.clone()).map_err(resources("start a thread"))?;
    let closer = Helper::start("closer", events.clone()).map_err(resources("start a thread"))?;
    let sizes: BTreeSet<u64> = catalog.topics.iter().map(|topic| topic.capacity_bytes).collect();
    let spares = Spares::new(spares, sizes);

    Declared::check(&catalog)?;
    let mut opened = open_partitions(&catalog, kept)?;
    let cores = start_cores(&catalog, &mut opened, &events)?;
    let clients = Clients::listen(&catalog.socket, catalog.limits, closer).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => StartError::Listening { path: catalog.socket.clone() },
        _ => StartError::Place { path: catalog.socket.clone(), problem: "cannot listen", error },
    })?;
    if let Some(address) = catalog.http {
        let told = http::serve(address, events.clone()).map_err(|error| StartError::Http { address, error })?;
        log(format_args!("metrics and health at http://{told}"));
    }
    store.ready().map_err(StartError::Store)?;
    log(format_args!("{}: serving {} topics at {}", catalog.name, catalog.topics.len(), catalog.socket.display()));
    // A closed stdout is nobody's loss.
    let _ = writeln!(std::io::stdout(), "ready {}", catalog.socket.display());
    Ok(Control {
        first: opened.first,
        partitions: opened.partitions,
        catalog,
        clients,
        store,
        spares,
        parked: Vec::new(),
        renewing: Vec::new(),
        renewals: 0,
        subscriptions: 0,
        began: Instant::now(),
        shown: BTreeMap::new(),
        segments,
        drafts,
        drafting: false,
        orphans: opened.orphans,
        events: queue,
        cores,
        signals,
        wanting: Vec::new(),
        stopping: false,
    })
}

/// A panic anywhere ends the process at once: the keeper starts it again, and the rings are whole.
fn die_whole() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

/// Without its keeper a broker could not keep its promises: when that dies, it stops in order.
fn follow_keeper() -> Result<(), StartError> {
    let Ok(keeper) = std::env::var("OYEZ_KEEPER") else { return Ok(()) };
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
        .map_err(|errno| resources("follow the keeper")(errno.into()))?;
    if std::os::unix::process::parent_id().to_string() == keeper {
        return Ok(());
    }
    Err(StartError::Keeper("the keeper died before its broker had started; start `oyez serve` again".into()))
}

/// One broker for one data folder: the lock goes with the process, however it ends.
fn lock_data(data: &Path) -> Result<(), StartError> {
    let place = |problem| move |error| StartError::Place { path: data.to_owned(), problem, error };
    std::fs::create_dir_all(data).map_err(place("cannot make the data folder"))?;
    let path = data.join("lock");
    let file = File::create(&path).map_err(place("cannot write in the data folder"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Err(StartError::Locked { path }),
        Err(std::fs::TryLockError::Error(error)) => return Err(place("cannot lock the data folder")(error)),
    }
    // Held to the end of the process, on purpose without a name.
    std::mem::forget(file);
    Ok(())
}

/// Partitions, with what their recorders need until a core takes them.
struct Opened {
    partitions: Partitions,
    first: Vec<PartitionIndex>,
    recovered: Vec<Recovery>,
    /// Topics of rings that belong to none of them.
    orphans: BTreeSet<String>,
}

fn open_partitions(catalog: &Catalog, kept: Vec<(String, OwnedFd)>) -> Result<Opened, StartError> {
    let mut kept: Vec<(RingName, OwnedFd)> =
        kept.into_iter().filter_map(|(name, stored)| Some((RingName::parse(&name)?, stored))).collect();
    kept.sort_by_key(|(name, _)| name.epoch);
    let (partitions, orphans) = (Partitions::default(), BTreeSet::new());
    let mut opened = Opened { partitions, first: Vec::new(), recovered: Vec::new(), orphans };
    for topic in &catalog.topics {
        opened.first.push(opened.partitions.next());
        for (partition, recovery) in open_topic(catalog, topic, &mut kept)? {
            opened.partitions.push(partition);
            opened.recovered.push(recovery);
        }
    }
    for (name, _) in kept {
        log(format_args!("{name}: kept, but its topic is not in the catalog; it is left alone until the keeper ends"));
        opened.orphans.insert(name.topic);
    }
    Ok(opened)
}

/// Opens a topic's partitions, with the rings of them that the store kept.
pub(crate) fn open_topic(
    catalog: &Catalog,
    topic: &Topic,
    kept: &mut Vec<(RingName, OwnedFd)>,
) -> Result<Vec<(Partition, Recovery)>, StartError> {
    let declared = Declared::read(&catalog.data, &topic.name)?;
    let mut opened = Vec::new();
    for number in 0..topic.partitions {
        let mine = kept.extract_if(.., |(name, _)| name.topic == topic.name && name.partition == number).collect();
        let (partition, recovery) = open_partition(catalog, topic, number, mine)?;
        if declared.is_narrowed_by(topic) {
            lock(&partition.journal).withhold_segments()?.flush()?;
        }
        opened.push((partition, recovery));
    }
    Declared::keep(&catalog.data, topic)?;
    Ok(opened)
}

/// Opens a partition's journal, and adopts the rings that the store kept of it.
fn open_partition(
    catalog: &Catalog,
    topic: &Topic,
    number: u16,
    kept: Vec<(RingName, OwnedFd)>,
) -> Result<(Partition, Recovery), StartError> {
    let folder = catalog.data.join(&topic.name).join(number.to_string());
    let options = Options {
        recorded: topic.recorded(),
        durable: topic.durability == Durability::Durable,
        segment_bytes: catalog.segment_bytes,
        retention_ns: topic.retention.as_nanos() as u64,
        id: None,
    };
    let (journal, recovery) = Journal::open(&folder, &options)?;
    tell(&folder, topic, &journal, &recovery);
    let (mut rings, mut useless, mut strays) = (VecDeque::<Ring>::new(), Vec::new(), Vec::new());
    for (name, stored) in kept {
        let label = name.to_string();
        // One that was stored, but never made durable, is an epoch that nobody was told of.
        let Some(start) = journal.epochs().get(name.epoch).copied() else {
            useless.push(label);
            continue;
        };
        let adopt = |error| StartError::Adopt { ring: label.clone(), error };
        match Ring::adopt(&stored, name, start, topic.recorded()) {
            Ok(ring) => {
                // Stored twice: the first was given up before anybody was told of it.
                if rings.back().is_some_and(|last| last.start.epoch == start.epoch) {
                    rings.pop_back();
                }
                rings.push_back(ring);
            }
            Err(error) if passes(&error) => return Err(adopt(error)),
            Err(error) => {
                log(format_args!("{label}: not adopted: {error}; its unrecorded frames are lost"));
                // Its owner may be alive: until it is gone nobody else may have the partition.
                strays.push((label.clone(), memory::reopen(&stored, Access::Read).map_err(adopt)?));
            }
        }
    }
    if !rings.is_empty() {
        log(format_args!("{}/{number}: {} rings adopted", topic.name, rings.len()));
    }
    let mut partition = Partition::new(topic, number, journal, recovery.tail, rings);
    if let Some(declared) = &topic.many {
        partition.has_many(declared, &folder);
    }
    partition.drop_names(useless);
    partition.wait_for(strays);
    Ok((partition, recovery))
}

/// Whether what is refused now may be had in a moment.
fn passes(error: &MemoryError) -> bool {
    match error {
        MemoryError::Refused { source, .. } => [Errno::MFILE, Errno::NFILE, Errno::NOMEM].contains(source),
        MemoryError::Exhausted { .. } => true,
        _ => false,
    }
}

/// What recovery found that an operator should know.
fn tell(folder: &Path, topic: &Topic, journal: &Journal, recovery: &Recovery) {
    let place = folder.display();
    if let Some(torn) = &recovery.torn {
        log(format_args!("{place}: torn tail {} to {} cut off; it was never durable", torn.start, torn.end));
    }
    for corrupt in &recovery.corrupt {
        log(format_args!("{place}: {corrupt}; restore that range from a lane"));
    }
    if topic.recorded() && matches!(journal.direct(), Ok(oyez_io::file::Direct::No)) {
        log(format_args!("{place}: this file system has no O_DIRECT; the journal goes through the page cache"));
    }
}

/// Starts the cores, and has each run its partitions.
fn start_cores(catalog: &Catalog, opened: &mut Opened, events: &Events) -> Result<Vec<Core>, StartError> {
    let mut cores = Vec::new();
    let mut refused = false;
    for &cpu in &catalog.cores {
        let (io, refusal) = oyez_io::open(catalog.io)?;
        if let Some(refusal) = refusal.filter(|_| !refused) {
            log(format_args!("{refusal}; going on with plain system calls"));
            refused = true;
        }
        let pace = Pace { cpu, idle: catalog.idle, sleep_max: Duration::from_micros(catalog.wake_max_us) };
        cores.push(Core::start(pace, io, events.clone()).map_err(resources("start a core"))?);
    }
    let topics = catalog.topics.iter().flat_map(|topic| (0..topic.partitions).map(move |_| topic));
    for (index, ((partition, recovery), topic)) in
        opened.partitions.iter_mut().zip(&opened.recovered).zip(topics).enumerate()
    {
        partition.run_on(core::of(&mut cores, topic, partition.number), PartitionIndex(index), recovery);
    }
    Ok(cores)
}

fn resources(step: &'static str) -> impl Fn(std::io::Error) -> StartError {
    move |error| StartError::Resources { step, error }
}
