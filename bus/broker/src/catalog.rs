//! The catalog: the one file that declares topics, schemas, rights, retention and lanes, checked once and then relied on.
//!
//! `text.rs` holds it as it is written, `rights.rs` who may do what, `signals.rs` whom the broker could kill, `schema.rs` what topics are bound to,
//! `origins.rs` who hands in where there are many; here is the checked form that the broker takes.

mod origins;
mod rights;
mod schema;
mod signals;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oyez_protocol::Durability;
use oyez_ring::{Area, Memory};

pub use origins::Many;
pub use rights::{Peer, Right};
pub use schema::TopicSchema;
pub use text::CatalogError;
use text::{CatalogText, LaneText, TopicText, did_you_mean};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Rings that a partition may have at once: that of the epoch, and that of the one before for readers and recorder.
pub(crate) const RINGS_PER_PARTITION: usize = 2;
/// Segments that a recorded partition has at least: one filling, one made ahead, one to read from.
const SEGMENTS_PER_PARTITION: u64 = 3;
/// Longest path: a Unix socket's address takes 107 bytes, and the keeper's socket beside it is named 15 bytes longer.
const SOCKET_PATH_BYTES_MAX: usize = 92;

/// What a core does when it has nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// Spin: lowest latency, a whole core.
    Spin,
    /// Spin, then yield, then sleep in growing steps up to `wake_max_us`.
    BackOff,
    /// Sleep `wake_max_us` at once.
    Block,
}

/// How a standby comes to own while the owner lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakeOver {
    /// Not at all: it waits until the owner releases, or dies.
    Release,
    /// It may have the owner killed.
    Kill,
}

/// What one client can make grow, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all.
    pub connections_max: usize,
    /// Connections of one user.
    pub connections_per_user_max: usize,
    /// Subscriptions of one connection.
    pub subscriptions_max: usize,
    /// Subscriptions in all: each has an area.
    pub areas_max: usize,
    /// Subscriptions of one user.
    pub areas_per_user_max: usize,
}

/// A topic's way into one Kafka cluster in one format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// Name of the cluster in the catalog.
    pub cluster: String,
    /// Where the cluster answers first: `host:port,…`.
    pub bootstrap: String,
    /// The Kafka topic.
    pub kafka_topic: String,
}

impl std::fmt::Display for Lane {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} of {} ({})", self.kafka_topic, self.cluster, self.bootstrap)
    }
}

/// A declared topic.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Its name: also a folder's name.
    pub name: String,
    /// How many partitions it has, 1 or more.
    pub partitions: u16,
    /// The CPUs of its partitions, in turn; none where the broker deals them out.
    pub cores: Vec<usize>,
    /// The schema of its messages.
    pub schema: Option<TopicSchema>,
    /// Bytes of a ring, a power of two.
    pub capacity_bytes: u64,
    /// What publish to poll should take at most, µs, for whoever looks.
    pub latency_budget_us: Option<u64>,
    /// How far it is recorded.
    pub durability: Durability,
    /// How long its journal keeps.
    pub retention: Duration,
    /// How many may wait for a partition with a ring mapped already.
    pub standbys: usize,
    /// How a standby comes to own while the owner lives.
    pub takeover: TakeOver,
    /// Its publishers, where it has many.
    pub many: Option<Many>,
    /// Who may publish.
    pub publish: Vec<Right>,
    /// Who may subscribe.
    pub subscribe: Vec<Right>,
    /// Its ways into Kafka.
    pub lanes: Vec<Lane>,
}

/// A checked catalog: nothing downstream checks again.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// Where it was read.
    pub path: PathBuf,
    /// Name of the broker.
    pub name: String,
    /// Folder of the journals.
    pub data: PathBuf,
    /// Path of the Unix socket.
    pub socket: PathBuf,
    /// CPUs, one core thread on each.
    pub cores: Vec<usize>,
    /// What a core does when it has nothing to do.
    pub idle: Idle,
    /// How files are written.
    pub io: oyez_io::Kind,
    /// Bytes of data in a segment.
    pub segment_bytes: u64,
    /// Longest sleep of a core, µs.
    pub wake_max_us: u64,
    /// How many connections and subscriptions.
    pub limits: Limits,
    /// Where metrics and health are told over HTTP, if anywhere: a loopback address.
    pub http: Option<SocketAddr>,
    /// How long a stop waits for owners to release.
    pub stop_timeout: Duration,
    /// Bytes of memory that the declared rings take at most.
    pub memory_bytes: u64,
    /// Bytes that the readers' areas take at most.
    pub areas_bytes: u64,
    /// Bytes of memory that they may take.
    pub memory_bytes_max: u64,
    /// Bytes of disk that the declared journals take at least.
    pub disk_bytes: u64,
    /// Bytes of disk that the journals may take.
    pub disk_bytes_max: u64,
    /// In the order of the file.
    pub topics: Vec<Topic>,
}

impl Catalog {
    /// Reads and checks a catalog, the schemas it names included. Relative paths start at the catalog's folder.
    ///
    /// # Errors
    /// One line: place, what is wrong, what to do.
    pub fn load(path: impl AsRef<Path>) -> Result<Catalog, CatalogError> {
        let path = path.as_ref();
        let text = read(path).map_err(|error| CatalogError::Read { path: path.to_owned(), error })?;
        Check { path }.catalog(text::parse(path, &text)?)
    }

    /// The topic of that name, and its place.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<(usize, &Topic)> {
        self.topics.iter().enumerate().find(|(_, topic)| topic.name == name)
    }
}

impl Topic {
    /// Whether it has a journal.
    #[must_use]
    pub fn recorded(&self) -> bool {
        self.durability != Durability::Published
    }

    /// The CPU of that partition's core, where the catalog names one.
    #[must_use]
    pub fn cpu(&self, number: u16) -> Option<usize> {
        self.cores.iter().copied().cycle().nth(number.into())
    }

    /// Whether the peer may publish.
    #[must_use]
    pub fn may_publish(&self, peer: &Peer) -> bool {
        self.publish.iter().any(|right| right.admits(peer))
    }

    /// Whether the peer may subscribe.
    #[must_use]
    pub fn may_subscribe(&self, peer: &Peer) -> bool {
        self.subscribe.iter().any(|right| right.admits(peer))
    }
}

/// Turns text into checked values; knows the file, for errors.
struct Check<'a> {
    path: &'a Path,
}

impl Check<'_> {
    fn catalog(&self, text: CatalogText) -> Result<Catalog, CatalogError> {
        let schemas = self.schemas(&text)?;
        let broker = &text.broker;
        let (data, socket) = (self.absolute(&broker.data), self.absolute(&broker.socket));
        if socket.as_os_str().len() > SOCKET_PATH_BYTES_MAX {
            let problem = format!("a path of {} bytes", socket.as_os_str().len());
            return self.wrong("broker.socket", problem, format!("at most {SOCKET_PATH_BYTES_MAX} bytes fit"));
        }
        if broker.cores.is_empty() {
            return self.wrong("broker.cores", "no core", "name at least one CPU, for example [0]");
        }
        let segment_mib = self.within("broker.segment_mib", broker.segment_mib, 4, 4_096)?;
        if segment_mib % 4 != 0 {
            return self.wrong("broker.segment_mib", format!("{segment_mib}"), "take a multiple of 4");
        }
        let mut catalog = Catalog {
            path: self.path.to_owned(),
            name: self.name("broker.name", &broker.name)?,
            data,
            socket,
            cores: broker.cores.clone(),
            idle: self.one_of(
                "broker.idle",
                &broker.idle,
                &[("spin", Idle::Spin), ("back-off", Idle::BackOff), ("block", Idle::Block)],
            )?,
            io: self.one_of(
                "broker.io",
                &broker.io,
                &[
                    ("auto", oyez_io::Kind::Auto),
                    ("uring", oyez_io::Kind::Uring),
                    ("syscalls", oyez_io::Kind::Syscalls),
                ],
            )?,
            segment_bytes: segment_mib * MIB,
            wake_max_us: self.within("broker.wake_max_us", broker.wake_max_us, 50, 100_000)?,
            limits: Limits {
                connections_max: broker.connections_max,
                connections_per_user_max: broker.connections_per_user_max,
                subscriptions_max: broker.subscriptions_max,
                areas_max: broker.areas_max,
                areas_per_user_max: broker.areas_per_user_max,
            },
            http: broker.http.as_deref().map(|text| self.loopback("broker.http", text)).transpose()?,
            stop_timeout: Duration::from_millis(broker.stop_timeout_ms),
            memory_bytes: 0,
            areas_bytes: 0,
            memory_bytes_max: broker.memory_mib_max.saturating_mul(MIB),
            disk_bytes: 0,
            disk_bytes_max: broker.disk_gib_max.saturating_mul(GIB),
            topics: self.topics(&text, &schemas)?,
        };
        self.add_up(&mut catalog)?;
        Ok(catalog)
    }

    fn topics(&self, text: &CatalogText, schemas: &BTreeMap<String, TopicSchema>) -> Result<Vec<Topic>, CatalogError> {
        let mut names = BTreeSet::new();
        for topic in &text.topics {
            if !names.insert(&topic.name) {
                return self.wrong("topics", format!("`{}` is declared twice", topic.name), "remove one of them");
            }
        }
        text.topics.iter().map(|topic| self.topic(topic, text, schemas)).collect()
    }

    fn topic(
        &self,
        text: &TopicText,
        catalog: &CatalogText,
        schemas: &BTreeMap<String, TopicSchema>,
    ) -> Result<Topic, CatalogError> {
        let name = self.name("topics.name", &text.name)?;
        let place = |key: &str| format!("topics.{name}.{key}");
        if !text.ring_mib.is_power_of_two() || !(2..=1_024).contains(&text.ring_mib) {
            let problem = format!("a ring of {} MiB", text.ring_mib);
            return self.wrong(&place("ring_mib"), problem, "take a power of two from 2 to 1024");
        }
        let kept = [("durable", Durability::Durable), ("written", Durability::Written)];
        let durability = self.one_of(&place("durability"), &text.durability, &kept)?;
        self.one_of(&place("when_behind"), &text.when_behind, &[("wait", ())])?;
        if !(48..=168).contains(&text.retention_h) && text.retention_why.is_none() {
            let problem = format!("{} hours", text.retention_h);
            return self.wrong(&place("retention_h"), problem, "take 48 to 168, or say why in `retention_why`");
        }
        if let Some(cpu) = text.cores.iter().find(|cpu| !catalog.broker.cores.contains(cpu)) {
            let remedy = format!("`broker.cores` has {:?}: take one of those, or add it there", catalog.broker.cores);
            return self.wrong(&place("cores"), format!("no core on CPU {cpu}"), remedy);
        }
        let publish = self.rights(&place("publish"), &text.publish)?;
        let takeovers = [("release", TakeOver::Release), ("kill", TakeOver::Kill)];
        let takeover = self.one_of(&place("takeover"), &text.takeover, &takeovers)?;
        if takeover == TakeOver::Kill
            && let Err(problem) = signals::check(&publish)
        {
            let remedy = "let only the broker's own user publish, or give the broker CAP_KILL";
            return self.wrong(&place("takeover"), problem, remedy);
        }
        Ok(Topic {
            partitions: self.within(&place("partitions"), u64::from(text.partitions), 1, 64)? as u16,
            cores: text.cores.clone(),
            schema: self.bind(&name, text, schemas)?,
            capacity_bytes: text.ring_mib * MIB,
            latency_budget_us: text.latency_budget_us,
            durability: if text.recorded { durability } else { Durability::Published },
            retention: Duration::from_secs(u64::from(text.retention_h) * 3_600),
            standbys: self.within(&place("standbys"), text.standbys, 0, 8)? as usize,
            takeover,
            many: self.many(&name, text)?,
            publish,
            subscribe: self.rights(&place("subscribe"), &text.subscribe)?,
            lanes: text.lanes.iter().map(|lane| self.lane(&name, text, lane, catalog)).collect::<Result<_, _>>()?,
            name,
        })
    }

    fn lane(
        &self,
        topic: &str,
        text: &TopicText,
        lane: &LaneText,
        catalog: &CatalogText,
    ) -> Result<Lane, CatalogError> {
        let place = |key: &str| format!("topics.{topic}.lanes.{key}");
        if !text.recorded {
            return self.wrong(&place("cluster"), "a lane of an unrecorded topic", "set `recorded = true`");
        }
        self.one_of(&place("format"), &lane.format, &[("sbe", ())])?;
        let Some(cluster) = catalog.clusters.get(&lane.cluster) else {
            let remedy = did_you_mean(&lane.cluster, catalog.clusters.keys().map(String::as_str));
            return self.wrong(&place("cluster"), format!("no cluster `{}`", lane.cluster), remedy);
        };
        let kafka_topic = self.name(&place("kafka_topic"), &lane.kafka_topic)?;
        Ok(Lane { cluster: lane.cluster.clone(), bootstrap: cluster.bootstrap.clone(), kafka_topic })
    }

    fn rights(&self, place: &str, texts: &[String]) -> Result<Vec<Right>, CatalogError> {
        let right = |text: &String| {
            Right::parse(text).or_else(|problem| self.wrong(place, problem, "name an existing user or group"))
        };
        texts.iter().map(right).collect()
    }

    /// Names are folders, parts of descriptor names and Kafka topics: letters that are safe in all three.
    fn name(&self, place: &str, name: &str) -> Result<String, CatalogError> {
        let safe = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        if name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.chars().all(safe) && name.len() <= 100
        {
            return Ok(name.to_owned());
        }
        let remedy = "take at most 100 of A-Z a-z 0-9 . _ -, a letter or digit first";
        self.wrong(place, format!("the name `{name}`"), remedy)
    }

    fn within(&self, place: &str, value: u64, low: u64, high: u64) -> Result<u64, CatalogError> {
        match value {
            value if (low..=high).contains(&value) => Ok(value),
            value => self.wrong(place, format!("the value {value}"), format!("take {low} to {high}")),
        }
    }

    /// Metrics tell who is connected: not for other machines.
    fn loopback(&self, place: &str, text: &str) -> Result<SocketAddr, CatalogError> {
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(address),
            _ => {
                let remedy = "take a loopback address and a port, for example 127.0.0.1:9464";
                self.wrong(place, format!("the value `{text}`"), remedy)
            }
        }
    }

    fn one_of<T: Copy>(&self, place: &str, value: &str, known: &[(&str, T)]) -> Result<T, CatalogError> {
        match known.iter().find(|(name, _)| *name == value) {
            Some((_, meaning)) => Ok(*meaning),
            None => {
                let remedy = did_you_mean(value, known.iter().map(|(name, _)| *name));
                self.wrong(place, format!("the value `{value}`"), remedy)
            }
        }
    }

    /// Memory and disk of everything declared, against what the operator allows.
    fn add_up(&self, catalog: &mut Catalog) -> Result<(), CatalogError> {
        let sizes: BTreeSet<u64> = catalog.topics.iter().map(|topic| topic.capacity_bytes).collect();
        let rings = |topic: &Topic| {
            let each = RINGS_PER_PARTITION + topic.standbys;
            let ingress = topic.many.as_ref().map_or(0, Many::memory_bytes);
            u64::from(topic.partitions) * (each as u64 * Memory::len_bytes(topic.capacity_bytes) + ingress)
        };
        let spares = sizes.iter().map(|&size| Memory::len_bytes(size)).sum::<u64>();
        catalog.memory_bytes = catalog.topics.iter().map(rings).sum::<u64>() + spares;
        catalog.areas_bytes = (catalog.limits.areas_max as u64).saturating_mul(Area::LEN_BYTES as u64);
        let wanted = catalog.memory_bytes.saturating_add(catalog.areas_bytes);
        if wanted > catalog.memory_bytes_max {
            let taken = wanted / MIB;
            let problem = format!(
                "two rings a partition, the standbys', ingress rings, the spares and the readers' areas take {taken} MiB"
            );
            let remedy = "raise it, or lower `ring_mib` or `ingress_kib` of some topics, or `areas_max`";
            return self.wrong("broker.memory_mib_max", problem, remedy);
        }
        let recorded: u64 =
            catalog.topics.iter().filter(|topic| topic.recorded()).map(|topic| u64::from(topic.partitions)).sum();
        catalog.disk_bytes = recorded * SEGMENTS_PER_PARTITION * catalog.segment_bytes;
        if catalog.disk_bytes > catalog.disk_bytes_max {
            let problem = format!("three segments a partition take {} GiB", catalog.disk_bytes.div_ceil(GIB));
            return self.wrong("broker.disk_gib_max", problem, "raise it, or lower `segment_mib`");
        }
        Ok(())
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let joined = folder.join(path);
        std::path::absolute(&joined).unwrap_or(joined)
    }

    fn wrong<T>(&self, place: &str, problem: impl Into<String>, remedy: impl Into<String>) -> Result<T, CatalogError> {
        let (place, problem, remedy) = (place.to_owned(), problem.into(), remedy.into());
        Err(CatalogError::Value { path: self.path.to_owned(), place, problem, remedy })
    }
}

/// Never waits, as a pipe's other end might have one do.
fn read(path: &Path) -> std::io::Result<String> {
    let mut file = OpenOptions::new().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}

fn one_line(error: &impl std::fmt::Display) -> String {
    error.to_string().lines().collect::<Vec<_>>().join(" ")
}
