//! How the broker, its partitions and their readers stand at one moment: looked at when somebody asks, and else never.
//!
//! What a reader's area says is that reader's word: it is compared with what the partition has, and shown.

use std::collections::BTreeMap;
use std::time::Instant;

use oyez_protocol::Durability;
use oyez_ring::Area;
use serde::{Deserialize, Serialize};

use crate::catalog::Peer;
use crate::clients::Client;
use crate::control::{Control, now_ns};
use crate::partition::{Many, Partition};

/// All of it: one document in JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stat {
    /// The broker itself.
    pub broker: BrokerStat,
    /// Its cores, in the order of the catalog.
    pub cores: Vec<CoreStat>,
    /// What is bounded, and how much of it is used.
    pub limits: LimitsStat,
    /// All partitions that may be seen, in the order of the catalog.
    pub partitions: Vec<PartitionStat>,
    /// All readers that may be seen.
    pub readers: Vec<ReaderStat>,
}

/// The broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerStat {
    /// Its name in the catalog.
    pub name: String,
    /// Version of its build.
    pub build: String,
    /// Its process.
    pub pid: u32,
    /// When this was looked at, ns since 1970 UTC.
    pub time_ns: u64,
    /// Since its start, ms.
    pub uptime_ms: u64,
    /// It was asked to stop.
    pub closing: bool,
    /// Longest sleep of a core, µs.
    pub wake_max_us: u64,
}

/// A core.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreStat {
    /// The processor it is pinned to.
    pub cpu: usize,
    /// Turns so far.
    pub turns: u64,
    /// Those of them that took longer than 50 µs.
    pub stalls: u64,
}

/// Something bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Now.
    pub used: u64,
    /// At most.
    pub max: u64,
    /// How often somebody was refused for it.
    pub refused: u64,
}

/// What is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsStat {
    /// Connections.
    pub connections: Used,
    /// Subscriptions.
    pub subscriptions: Used,
    /// Memory of rings and areas as declared, bytes: at most what the catalog allows.
    pub memory_bytes: Used,
    /// Open descriptors.
    pub descriptors: Used,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionStat {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: u16,
    /// The CPU of the core that records it and wakes its readers.
    pub cpu: usize,
    /// How far it is recorded: `published` (not at all), `written`, `durable`.
    pub durability: String,
    /// One word: `idle`, `offered`, `owned`, `ending`, `journal-failed`.
    pub state: String,
    /// Why its journal takes nothing more.
    pub failed: Option<String>,
    /// Who owns it.
    pub owner: Option<OwnerStat>,
    /// Who hands in, where it has many publishers.
    pub publishers: Option<PublishersStat>,
    /// Its newest epoch; 0 before the first.
    pub epoch: u32,
    /// Where the next frame goes.
    pub position: u64,
    /// Number of the next message.
    pub sequence: u64,
    /// Publish time of the newest message, ns since 1970 UTC; 0 where that is not known.
    pub newest_ns: u64,
    /// Written up to here; 0 where nothing is recorded.
    pub written: u64,
    /// Durable up to here; 0 where nothing is recorded.
    pub durable: u64,
    /// The lowest position that the journal has, where there is one.
    pub earliest: Option<u64>,
    /// Bytes of its rings: published and not written yet beyond that, and publishers wait.
    pub ring_bytes: u64,
    /// What publish to poll should take at most, µs, if the catalog says so.
    pub latency_budget_us: Option<u64>,
}

/// An owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerStat {
    /// Its process.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// What it calls itself.
    pub name: String,
}

/// The publishers of a partition that has many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishersStat {
    /// Those that have a session.
    pub connected: u64,
    /// Messages accepted since the broker's start.
    pub accepted: u64,
    /// Sessions since then that were not to be had, their name having one already, or that ended for what was written.
    pub refused: u64,
}

/// A reader of one partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReaderStat {
    /// Number of the subscription since the broker's start.
    pub subscription: u64,
    /// What it reads.
    pub topic: String,
    /// Which partition of it.
    pub partition: u16,
    /// Its process.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// What it calls itself.
    pub name: String,
    /// The epoch that it reads; 0 before the first.
    pub epoch: u32,
    /// Where it looks for the next frame.
    pub position: u64,
    /// The message that it wants next.
    pub sequence: u64,
    /// It waits to be woken.
    pub asleep: bool,
    /// Messages published and not taken.
    pub lag_messages: u64,
    /// The same in bytes.
    pub lag_bytes: u64,
    /// How much older the message taken last is than the newest, ns; 0 where it has them all.
    pub lag_ns: u64,
    /// How late polls brought messages out of the ring, as far as it was sampled.
    pub latency: Option<LatencyStat>,
}

/// A distribution of latencies, publish to poll, to within 1/32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyStat {
    /// How many were sampled.
    pub count: u64,
    /// Half of them took no longer, ns.
    pub p50_ns: u64,
    /// 99 % of them.
    pub p99_ns: u64,
    /// 99.9 % of them.
    pub p99_9_ns: u64,
    /// All of them.
    pub max_ns: u64,
}

impl Stat {
    /// What is not as it should be, a line each; none where the broker is healthy.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let closing = self.broker.closing.then(|| "the broker is stopping".to_owned());
        let failed = self.partitions.iter().filter_map(|partition| {
            let why = partition.failed.as_deref()?;
            Some(format!("{}/{}: journal failed: {why}", partition.topic, partition.partition))
        });
        closing.into_iter().chain(failed).collect()
    }
}

impl PartitionStat {
    fn of(partition: &Partition, latency_budget_us: Option<u64>) -> PartitionStat {
        let tail = partition.tail();
        let (written, durable) = partition.recorded_to();
        PartitionStat {
            topic: partition.topic.clone(),
            partition: partition.number,
            cpu: partition.cpu,
            durability: durability_name(partition.durability).to_owned(),
            state: partition.state().to_owned(),
            failed: partition.failed().map(str::to_owned),
            owner: partition.holder().map(|holder| OwnerStat {
                pid: holder.pid,
                uid: holder.uid,
                name: holder.name.clone(),
            }),
            publishers: partition.many.as_ref().map(Many::stat),
            epoch: partition.newest().0,
            position: tail.position.0,
            sequence: tail.sequence.0,
            newest_ns: tail.time_ns,
            written: written.0,
            durable: durable.0,
            earliest: Some(partition.pages.earliest().0).filter(|position| *position != u64::MAX),
            ring_bytes: partition.ring_bytes(),
            latency_budget_us,
        }
    }
}

impl ReaderStat {
    fn of(subscription: u64, client: &Client, partition: &PartitionStat, area: &Area) -> ReaderStat {
        let progress = area.progress();
        let lag_messages = partition.sequence.saturating_sub(progress.sequence.0);
        let is_behind = lag_messages > 0 && progress.time_ns > 0;
        ReaderStat {
            subscription,
            topic: partition.topic.clone(),
            partition: partition.partition,
            pid: client.peer.pid,
            uid: client.peer.uid,
            name: client.name.clone(),
            epoch: progress.epoch.0,
            position: progress.position.0,
            sequence: progress.sequence.0,
            asleep: area.asleep().is_some(),
            lag_messages,
            lag_bytes: partition.position.saturating_sub(progress.position.0),
            lag_ns: if is_behind { partition.newest_ns.saturating_sub(progress.time_ns) } else { 0 },
            latency: LatencyStat::of(area),
        }
    }
}

impl LatencyStat {
    fn of(area: &Area) -> Option<LatencyStat> {
        let latencies = area.latencies();
        Some(LatencyStat {
            count: latencies.count(),
            p50_ns: latencies.at(0.5)?,
            p99_ns: latencies.at(0.99)?,
            p99_9_ns: latencies.at(0.999)?,
            max_ns: latencies.at(1.0)?,
        })
    }
}

impl Control {
    /// What `viewer` may see; without one, all there is. The broker's own user and root see everything; others the topics
    /// that they may publish or subscribe to, and of the readers their own.
    pub(crate) fn stat(&self, viewer: Option<&Peer>) -> Stat {
        let viewer = viewer.filter(|viewer| !viewer.is_operator());
        // By place, and in the order of the catalog.
        let mut places = BTreeMap::new();
        let mut seen = Vec::new();
        for (at, topic) in self.catalog.topics.iter().enumerate() {
            let may = |viewer: &Peer| topic.may_publish(viewer) || topic.may_subscribe(viewer);
            for index in self.indexes(at).filter(|_| viewer.is_none_or(may)) {
                places.insert(index, seen.len());
                seen.push(PartitionStat::of(&self.partitions[index.0], topic.latency_budget_us));
            }
        }
        let mut readers = Vec::new();
        for client in self.clients.iter().filter(|client| viewer.is_none_or(|viewer| viewer.uid == client.peer.uid)) {
            for (id, subscription) in &client.subscriptions {
                if let Some(place) = places.get(&subscription.partition) {
                    readers.push(ReaderStat::of(id.0, client, &seen[*place], &subscription.area));
                }
            }
        }
        readers.sort_by_key(|reader| reader.subscription);
        let (name, build) = (self.catalog.name.clone(), env!("CARGO_PKG_VERSION").to_owned());
        let broker = BrokerStat {
            name,
            build,
            pid: std::process::id(),
            time_ns: now_ns(),
            uptime_ms: Instant::now().duration_since(self.began).as_millis() as u64,
            closing: self.stopping,
            wake_max_us: self.catalog.wake_max_us,
        };
        let cores = self.cores.iter().zip(&self.catalog.cores);
        let cores = cores.map(|(core, &cpu)| CoreStat { cpu, turns: core.turns(), stalls: core.stalls() }).collect();
        Stat { broker, cores, limits: self.limits(), partitions: seen, readers }
    }

    fn limits(&self) -> LimitsStat {
        let (limits, refused) = (self.catalog.limits, &self.clients.refused);
        let count = |used: usize, max: usize, refused: u64| Used { used: used as u64, max: max as u64, refused };
        let subscriptions = self.clients.iter().map(|client| client.subscriptions.len()).sum();
        let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        let descriptors_max = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        LimitsStat {
            connections: count(self.clients.iter().count(), limits.connections_max, refused.connections),
            subscriptions: count(subscriptions, limits.areas_max, refused.subscriptions),
            memory_bytes: Used {
                used: self.catalog.memory_bytes.saturating_add(self.catalog.areas_bytes),
                max: self.catalog.memory_bytes_max,
                refused: refused.memory,
            },
            descriptors: count(
                descriptors,
                descriptors_max.map_or(usize::MAX, |max| max as usize),
                refused.descriptors,
            ),
        }
    }
}

fn durability_name(durability: Durability) -> &'static str {
    match durability {
        Durability::Published => "published",
        Durability::Written => "written",
        Durability::Durable => "durable",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn stat() -> Stat {
        let used = Used { used: 1, max: 2, refused: 0 };
        Stat {
            broker: BrokerStat {
                name: "b".into(),
                build: "0".into(),
                pid: 1,
                time_ns: 2,
                uptime_ms: 3,
                closing: false,
                wake_max_us: 1_000,
            },
            cores: vec![CoreStat { cpu: 0, turns: 9, stalls: 1 }],
            limits: LimitsStat { connections: used, subscriptions: used, memory_bytes: used, descriptors: used },
            partitions: vec![PartitionStat {
                topic: "md".into(),
                partition: 0,
                cpu: 0,
                durability: "durable".into(),
                state: "idle".into(),
                failed: None,
                owner: None,
                publishers: None,
                epoch: 1,
                position: 64,
                sequence: 1,
                newest_ns: 5,
                written: 64,
                durable: 64,
                earliest: Some(0),
                ring_bytes: 1 << 21,
                latency_budget_us: None,
            }],
            readers: Vec::new(),
        }
    }

    #[test]
    fn a_healthy_broker_has_no_problems_and_others_say_which() {
        let mut stat = stat();
        assert!(stat.problems().is_empty());
        stat.partitions[0].failed = Some("fdatasync: broken".into());
        stat.broker.closing = true;
        let problems = stat.problems();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[1].contains("md/0") && problems[1].contains("fdatasync"), "{problems:?}");
    }
}
