//! What would come of another catalog: the differences to the one that runs, key by key, and of each whether a running
//! broker takes it. What is planned and what is applied is told by one function, `difference`.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display, Formatter};

use oyez_protocol::Durability;
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Many, Topic, TopicSchema};
use crate::declared::Declared;

/// What would come of a catalog, or came of it: one document in JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its file.
    pub catalog: String,
    /// Why there is nothing to tell, in one line: it is no catalog, or somebody asks who may not.
    pub problem: Option<String>,
    /// The broker runs it now.
    pub applied: bool,
    /// The differences, in the order of the file.
    pub changes: Vec<Change>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Table and key; of a whole topic, the table.
    pub place: String,
    /// What it is now; of a topic that is new, nothing.
    pub from: Option<String>,
    /// What it would be; of a topic that is declared no more, nothing.
    pub to: Option<String>,
    /// What that means for what runs.
    pub effect: String,
    /// Why it cannot be while the broker runs, and what to do; then nothing of the whole is applied.
    pub refused: Option<String>,
}

impl Plan {
    /// Whether nothing stands against it.
    #[must_use]
    pub fn is_appliable(&self) -> bool {
        self.problem.is_none() && self.changes.iter().all(|change| change.refused.is_none())
    }
}

impl Display for Change {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Change { place, from, to, effect, refused } = self;
        let (verb, why) = match (refused, from, to) {
            (Some(why), ..) => ("refuse", why),
            (None, None, _) => ("add", effect),
            (None, _, None) => ("remove", effect),
            (None, Some(_), Some(_)) => ("change", effect),
        };
        match (from, to) {
            (Some(from), Some(to)) => write!(out, "{verb} {place}: {from} becomes {to}: {why}"),
            (Some(topic), None) => write!(out, "{verb} {place} ({topic}), declared no more: {why}"),
            (None, Some(topic)) => write!(out, "{verb} {place} ({topic}): {why}"),
            (None, None) => write!(out, "{verb} {place}: {why}"),
        }
    }
}

/// Whether a running broker takes another value of a key.
#[derive(Clone, Copy)]
enum Rule {
    /// Yes, and what that means for what runs.
    Now(&'static str),
    /// No, but with its next start: why, and what to do.
    Restart(&'static str),
    /// No, and no start either, for as long as the topic's folder is there: why, and what to do.
    Never(&'static str),
}
use Rule::{Never, Now, Restart};

/// A key of the catalog: its name, how its value is told, what another value means. Equal when told alike.
struct Key<T>(&'static str, fn(&T) -> String, Rule);

const AT_ONCE: Rule = Now("at once");
const FOR_COMERS: Rule = Now("for those that come");
const BINDING: Rule = Now("publishers obey it as soon as they have heard");
const RESTART: Rule = Restart("fixed while the broker runs; restart it, which keeps rings and owners");
const ANOTHER: Rule = Restart("that would be another broker; stop this one, and start it with the new catalog");

const BROKER: &[Key<Catalog>] = &[
    Key("name", |catalog| catalog.name.clone(), RESTART),
    Key("data", |catalog| catalog.data.display().to_string(), ANOTHER),
    Key("socket", |catalog| catalog.socket.display().to_string(), ANOTHER),
    Key("cores", |catalog| list(&catalog.cores), RESTART),
    Key("idle", |catalog| word(catalog.idle), AT_ONCE),
    Key("wake_max_us", |catalog| catalog.wake_max_us.to_string(), AT_ONCE),
    Key("io", |catalog| word(catalog.io), RESTART),
    Key("segment_mib", |catalog| mib(catalog.segment_bytes), Now("for journals that do not exist yet")),
    Key("memory_mib_max", |catalog| mib(catalog.memory_bytes_max), AT_ONCE),
    Key("disk_gib_max", |catalog| (catalog.disk_bytes_max >> 30).to_string(), AT_ONCE),
    Key("connections_max", |catalog| catalog.limits.connections_max.to_string(), FOR_COMERS),
    Key("connections_per_user_max", |catalog| catalog.limits.connections_per_user_max.to_string(), FOR_COMERS),
    Key("subscriptions_max", |catalog| catalog.limits.subscriptions_max.to_string(), FOR_COMERS),
    Key("areas_max", |catalog| catalog.limits.areas_max.to_string(), FOR_COMERS),
    Key("areas_per_user_max", |catalog| catalog.limits.areas_per_user_max.to_string(), FOR_COMERS),
    Key("http", |catalog| catalog.http.map_or("nowhere".to_owned(), |address| address.to_string()), RESTART),
    Key("stop_timeout_ms", |catalog| catalog.stop_timeout.as_millis().to_string(), AT_ONCE),
];

const TOPIC: &[Key<Topic>] = &[
    Key(
        "partitions",
        |topic| topic.partitions.to_string(),
        Never("a key's messages would go to another partition than before; declare a new topic"),
    ),
    Key("ring_mib", |topic| mib(topic.capacity_bytes), Now("with each partition's next epoch")),
    Key(
        "recorded",
        |topic| topic.recorded().to_string(),
        Never("a journal begins with its topic; declare a new topic"),
    ),
    Key("cores", |topic| list(&topic.cores), RESTART),
    Key("durability", |topic| durability(topic).to_owned(), RESTART),
    Key("retention_h", |topic| (topic.retention.as_secs() / 3_600).to_string(), Now("as new segments are wanted")),
    Key("standbys", |topic| topic.standbys.to_string(), FOR_COMERS),
    Key("takeover", |topic| word(topic.takeover), AT_ONCE),
    Key("publishers", |topic| if topic.many.is_some() { "many" } else { "one" }.to_owned(), RESTART),
    Key(
        "origins",
        |topic| of_many(topic, |many| list(many.origins.iter().map(|(name, number)| format!("{name} = {number}")))),
        RESTART,
    ),
    Key("ingress_kib", |topic| of_many(topic, |many| (many.ingress_bytes >> 10).to_string()), RESTART),
    Key("publish", |topic| list(&topic.publish), Now("an owner that may not any more is told to let go")),
    Key(
        "subscribe",
        |topic| list(&topic.subscribe),
        Now("a reader that may not any more gets nothing beyond the rings and segments that it has"),
    ),
    Key(
        "schema",
        |topic| of_schema(topic, |schema| format!("{} with id {}", schema.name, schema.id)),
        Never("what was published before is bound to the other; declare a new topic"),
    ),
    Key(
        "files",
        |topic| of_schema(topic, |schema| list(schema.files.iter().map(|file| file.display()))),
        Now("for whoever asks for the schema from now on"),
    ),
    Key("templates", |topic| of_schema(topic, |schema| list(&schema.templates)), BINDING),
    Key("version_min", |topic| of_schema(topic, |schema| schema.version_min.to_string()), BINDING),
    Key("version_max", |topic| of_schema(topic, |schema| schema.version_max.to_string()), BINDING),
    Key("latency_budget_us", |topic| topic.latency_budget_us.map_or("none".to_owned(), |us| us.to_string()), AT_ONCE),
    Key("lanes", |topic| list(&topic.lanes), Now("gateways are told by their own arguments")),
];

/// The differences between two catalogs, in the order of the keys and of the new file. `kept` has what topics that come
/// were declared as before; `in_use` tells, of a topic that only one of them has, why it cannot come or go just now.
pub(crate) fn difference(
    running: &Catalog,
    wanted: &Catalog,
    kept: &BTreeMap<String, Declared>,
    in_use: impl Fn(&str) -> Option<String>,
) -> Vec<Change> {
    let mut changes = compare("broker", BROKER, |Key(_, told, _)| Some(told(running)), wanted);
    for topic in &wanted.topics {
        if let Some((_, now)) = running.topic(&topic.name) {
            changes.extend(compare(&place(topic), TOPIC, |Key(_, told, _)| Some(told(now)), topic));
            continue;
        }
        changes.push(Change {
            place: place(topic),
            from: None,
            to: Some(declared(topic)),
            effect: "at once".to_owned(),
            refused: owned_for_good(topic).or_else(|| in_use(&topic.name)),
        });
        changes.extend(kept.get(&topic.name).into_iter().flat_map(|kept| broken(kept, topic)));
    }
    for topic in running.topics.iter().filter(|topic| wanted.topic(&topic.name).is_none()) {
        changes.push(Change {
            place: place(topic),
            from: Some(declared(topic)),
            to: None,
            effect: format!("its folder stays: {}", running.data.join(&topic.name).display()),
            refused: owned_for_good(topic).or_else(|| in_use(&topic.name)),
        });
    }
    changes
}

/// A topic of many publishers comes and goes with the broker, which owns its partitions.
fn owned_for_good(topic: &Topic) -> Option<String> {
    let why = "the broker owns the partitions of a topic of many publishers as long as it runs; restart it";
    topic.many.is_some().then(|| why.to_owned())
}

/// What binds whatever declares the topic later.
pub(crate) fn lasting(topic: &Topic) -> BTreeMap<String, String> {
    let lasting = TOPIC.iter().filter(|Key(.., rule)| matches!(rule, Never(_)));
    lasting.map(|Key(name, told, _)| ((*name).to_owned(), told(topic))).collect()
}

/// What a topic was declared as, and cannot cease to be: refused while a broker runs, and by its next start.
pub(crate) fn broken(kept: &Declared, topic: &Topic) -> Vec<Change> {
    compare(&place(topic), TOPIC, |Key(name, ..)| kept.lasting.get(*name).cloned(), topic)
}

/// `was` tells a key's value until now; what it does not know is not compared.
fn compare<T>(place: &str, keys: &[Key<T>], was: impl Fn(&Key<T>) -> Option<String>, wanted: &T) -> Vec<Change> {
    let compared = keys.iter().filter_map(|key| Some((key.0, was(key)?, (key.1)(wanted), key.2)));
    let change = |(name, from, to, rule)| Change {
        place: format!("{place}.{name}"),
        from: Some(from),
        to: Some(to),
        effect: if let Now(effect) = rule { effect.to_owned() } else { String::new() },
        refused: if let Never(why) | Restart(why) = rule { Some(why.to_owned()) } else { None },
    };
    compared.filter(|(_, from, to, _)| from != to).map(change).collect()
}

fn place(topic: &Topic) -> String {
    format!("topics.{}", topic.name)
}

fn declared(topic: &Topic) -> String {
    format!("{}, partitions {}, ring_mib {}", durability(topic), topic.partitions, mib(topic.capacity_bytes))
}

fn durability(topic: &Topic) -> &'static str {
    match topic.durability {
        Durability::Published => "unrecorded",
        Durability::Written => "written",
        Durability::Durable => "durable",
    }
}

fn of_schema(topic: &Topic, told: impl Fn(&TopicSchema) -> String) -> String {
    topic.schema.as_ref().map_or("none".to_owned(), told)
}

fn of_many(topic: &Topic, told: impl Fn(&Many) -> String) -> String {
    topic.many.as_ref().map_or("none".to_owned(), told)
}

fn mib(bytes: u64) -> String {
    (bytes >> 20).to_string()
}

fn list(values: impl IntoIterator<Item = impl Display>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    if values.is_empty() { "none".to_owned() } else { values.join(", ") }
}

/// `BackOff` as it stands in the file: `back-off`.
fn word(value: impl Debug) -> String {
    let letters = format!("{value:?}");
    let hyphen = |(at, letter): (usize, char)| {
        let hyphen = (at > 0 && letter.is_ascii_uppercase()).then_some('-');
        hyphen.into_iter().chain([letter.to_ascii_lowercase()])
    };
    letters.chars().enumerate().flat_map(hyphen).collect()
}

#[cfg(test)]
pub(crate) fn keys() -> [Vec<&'static str>; 2] {
    [BROKER.iter().map(|key| key.0).collect(), TOPIC.iter().map(|key| key.0).collect()]
}
