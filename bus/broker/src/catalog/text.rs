//! The catalog as it is written: one struct per table, every key known, and errors that name file, line and remedy.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Why a catalog is refused. Each text is one line: place, what is wrong, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The file cannot be read.
    #[error("{path}: cannot read the catalog: {error}; name an existing file that this user may read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// The file is not TOML, or has a key or value that does not belong there.
    #[error("{path}:{line}: {problem}; {remedy}")]
    Text {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// A value is well-formed, but means nothing or breaks a rule.
    #[error("{path}: {place}: {problem}; {remedy}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Table and key.
        place: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CatalogText {
    pub(super) broker: BrokerText,
    #[serde(default)]
    pub(super) clusters: std::collections::BTreeMap<String, ClusterText>,
    #[serde(default)]
    pub(super) schemas: std::collections::BTreeMap<String, SchemaText>,
    #[serde(default)]
    pub(super) topics: Vec<TopicText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BrokerText {
    pub(super) name: String,
    pub(super) data: PathBuf,
    pub(super) socket: PathBuf,
    #[serde(default = "defaults::cores")]
    pub(super) cores: Vec<usize>,
    #[serde(default = "defaults::idle")]
    pub(super) idle: String,
    #[serde(default = "defaults::io")]
    pub(super) io: String,
    #[serde(default = "defaults::segment_mib")]
    pub(super) segment_mib: u64,
    #[serde(default = "defaults::memory_mib_max")]
    pub(super) memory_mib_max: u64,
    #[serde(default = "defaults::disk_gib_max")]
    pub(super) disk_gib_max: u64,
    #[serde(default = "defaults::wake_max_us")]
    pub(super) wake_max_us: u64,
    #[serde(default = "defaults::connections_max")]
    pub(super) connections_max: usize,
    #[serde(default = "defaults::connections_per_user_max")]
    pub(super) connections_per_user_max: usize,
    #[serde(default = "defaults::subscriptions_max")]
    pub(super) subscriptions_max: usize,
    #[serde(default = "defaults::areas_max")]
    pub(super) areas_max: usize,
    #[serde(default = "defaults::areas_per_user_max")]
    pub(super) areas_per_user_max: usize,
    pub(super) http: Option<String>,
    #[serde(default = "defaults::stop_timeout_ms")]
    pub(super) stop_timeout_ms: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterText {
    pub(super) bootstrap: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SchemaText {
    pub(super) file: Option<PathBuf>,
    #[serde(default)]
    pub(super) files: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopicText {
    pub(super) name: String,
    #[serde(default = "defaults::partitions")]
    pub(super) partitions: u16,
    pub(super) schema: Option<String>,
    #[serde(default)]
    pub(super) templates: Vec<String>,
    pub(super) version_min: Option<u16>,
    pub(super) version_max: Option<u16>,
    #[serde(default = "defaults::ring_mib")]
    pub(super) ring_mib: u64,
    #[serde(default = "defaults::recorded")]
    pub(super) recorded: bool,
    #[serde(default)]
    pub(super) cores: Vec<usize>,
    #[serde(default = "defaults::durability")]
    pub(super) durability: String,
    pub(super) latency_budget_us: Option<u64>,
    #[serde(default = "defaults::when_behind")]
    pub(super) when_behind: String,
    #[serde(default = "defaults::retention_h")]
    pub(super) retention_h: u32,
    pub(super) retention_why: Option<String>,
    #[serde(default)]
    pub(super) standbys: u64,
    #[serde(default = "defaults::takeover")]
    pub(super) takeover: String,
    #[serde(default = "defaults::publishers")]
    pub(super) publishers: String,
    #[serde(default)]
    pub(super) origins: std::collections::BTreeMap<String, u16>,
    #[serde(default = "defaults::ingress_kib")]
    pub(super) ingress_kib: u64,
    #[serde(default)]
    pub(super) publish: Vec<String>,
    #[serde(default = "defaults::subscribe")]
    pub(super) subscribe: Vec<String>,
    #[serde(default)]
    pub(super) lanes: Vec<LaneText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LaneText {
    pub(super) cluster: String,
    pub(super) kafka_topic: String,
    #[serde(default = "defaults::format")]
    pub(super) format: String,
}

/// What holds where the catalog says nothing. `docs/catalog.md` lists the same values; a test compares.
mod defaults {
    pub(super) fn cores() -> Vec<usize> {
        vec![0]
    }
    pub(super) fn idle() -> String {
        "back-off".into()
    }
    pub(super) fn io() -> String {
        "auto".into()
    }
    pub(super) fn segment_mib() -> u64 {
        256
    }
    pub(super) fn memory_mib_max() -> u64 {
        4_096
    }
    pub(super) fn disk_gib_max() -> u64 {
        100
    }
    pub(super) fn wake_max_us() -> u64 {
        1_000
    }
    pub(super) fn connections_max() -> usize {
        256
    }
    pub(super) fn connections_per_user_max() -> usize {
        128
    }
    pub(super) fn subscriptions_max() -> usize {
        256
    }
    pub(super) fn areas_max() -> usize {
        4_096
    }
    pub(super) fn areas_per_user_max() -> usize {
        2_048
    }
    pub(super) fn stop_timeout_ms() -> u64 {
        5_000
    }
    pub(super) fn partitions() -> u16 {
        1
    }
    pub(super) fn ring_mib() -> u64 {
        64
    }
    pub(super) fn recorded() -> bool {
        true
    }
    pub(super) fn durability() -> String {
        "durable".into()
    }
    pub(super) fn when_behind() -> String {
        "wait".into()
    }
    pub(super) fn retention_h() -> u32 {
        48
    }
    pub(super) fn takeover() -> String {
        "release".into()
    }
    pub(super) fn publishers() -> String {
        "one".into()
    }
    pub(super) fn ingress_kib() -> u64 {
        1_024
    }
    pub(super) fn subscribe() -> Vec<String> {
        vec!["self".into()]
    }
    pub(super) fn format() -> String {
        "sbe".into()
    }
}

pub(super) fn parse(path: &Path, text: &str) -> Result<CatalogText, CatalogError> {
    toml::from_str(text).map_err(|error| text_error(path, text, &error))
}

fn text_error(path: &Path, text: &str, error: &toml::de::Error) -> CatalogError {
    let line = error.span().map_or(1, |Range { start, .. }| 1 + text[..start.min(text.len())].matches('\n').count());
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    let (problem, remedy) = match unknown_key(&message) {
        Some((key, known)) => (format!("unknown key `{key}`"), did_you_mean(&key, known.iter().map(String::as_str))),
        None => (message, "see docs/catalog.md for what belongs there".to_owned()),
    };
    CatalogError::Text { path: path.to_owned(), line, problem, remedy }
}

/// Takes serde's sentence "unknown field `a`, expected one of `b`, `c`" apart.
fn unknown_key(message: &str) -> Option<(String, Vec<String>)> {
    let mut quoted = message.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2).map(str::to_owned);
    Some((quoted.next()?, quoted.collect()))
}

/// The remedy for a wrong name: the nearest of the right ones, or all of them.
pub(super) fn did_you_mean<'a>(wrong: &str, right: impl IntoIterator<Item = &'a str>) -> String {
    let right: Vec<&str> = right.into_iter().collect();
    let nearest = right.iter().min_by_key(|name| distance(wrong, name));
    match nearest {
        Some(name) if distance(wrong, name) <= wrong.len().max(3) / 2 => format!("did you mean `{name}`?"),
        Some(_) => format!("one of {} belongs there", right.join(", ")),
        None => "nothing belongs there".to_owned(),
    }
}

/// Levenshtein's distance: how many single letters differ.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (line, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in other.chars().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_letters() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("durabilty", "durability"), 1);
        assert_eq!(distance("ring", "king"), 1);
        assert_eq!(distance("same", "same"), 0);
    }

    /// What is neither compared nor lost: a topic's name says which it is, the others change nothing that runs.
    const NOT_COMPARED: [&str; 3] = ["name", "when_behind", "retention_why"];

    #[test]
    fn every_key_is_compared_when_a_catalog_is_planned() {
        let known = |text: &str| {
            let error = toml::from_str::<CatalogText>(text).expect_err("no such key");
            unknown_key(error.message()).expect("its own sentence").1
        };
        let [broker, topic] = crate::plan::keys();
        let missing = known("[broker]\nzzz = 1\n").into_iter().filter(|key| !broker.contains(&key.as_str()));
        assert_eq!(missing.collect::<Vec<_>>(), [""; 0]);
        let missing = known("[broker]\nname = \"b\"\ndata = \"d\"\nsocket = \"s\"\n[[topics]]\nzzz = 1\n");
        let compared = |key: &String| topic.contains(&key.as_str()) || NOT_COMPARED.contains(&key.as_str());
        assert_eq!(missing.into_iter().filter(|key| !compared(key)).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn a_far_name_gets_the_whole_list() {
        assert_eq!(did_you_mean("io", ["auto", "uring"]), "one of auto, uring belongs there");
        assert_eq!(did_you_mean("urin", ["auto", "uring"]), "did you mean `uring`?");
    }
}
