//! What is seen of the broker, in the text format of Prometheus. The names are for ever: docs/guide/operating.md.

use std::fmt::{Display, Write as _};

use crate::stat::{PublishersStat, ReaderStat, Stat, Used};

/// A family: its kind, its name, what it tells, and a line for each thing.
struct Text(String);

impl Text {
    fn family(&mut self, kind: &str, name: &str, help: &str, lines: impl Iterator<Item = (String, f64)>) {
        let _ = writeln!(self.0, "# HELP oyez_{name} {help}\n# TYPE oyez_{name} {kind}");
        for (labels, value) in lines {
            let _ = writeln!(self.0, "oyez_{name}{{{labels}}} {value}");
        }
    }
}

fn label(name: &str, value: impl Display) -> String {
    let value = value.to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

fn labels<const N: usize>(labels: [(&str, &dyn Display); N]) -> String {
    labels.map(|(name, value)| label(name, value)).join(",")
}

/// All of it.
pub(crate) fn text(stat: &Stat) -> String {
    let mut text = Text(String::new());
    let broker = &stat.broker;
    let who = labels([("name", &broker.name), ("build", &broker.build)]);
    text.family("gauge", "broker_info", "The broker; always 1.", [(who, 1.0)].into_iter());
    let uptime = broker.uptime_ms as f64 / 1e3;
    text.family("gauge", "broker_uptime_seconds", "Since its start.", [(String::new(), uptime)].into_iter());
    let problems = stat.problems().len() as f64;
    text.family("gauge", "broker_problems", "What /health complains of.", [(String::new(), problems)].into_iter());
    cores(&mut text, stat);
    limits(&mut text, stat);
    partitions(&mut text, stat);
    readers(&mut text, stat);
    text.0
}

fn cores(text: &mut Text, stat: &Stat) {
    let of = |value: fn(&crate::stat::CoreStat) -> u64| {
        stat.cores.iter().map(move |core| (label("cpu", core.cpu), value(core) as f64))
    };
    text.family("counter", "core_turns_total", "Turns of a core.", of(|core| core.turns));
    text.family("counter", "core_stalls_total", "Turns of a core above 50 µs.", of(|core| core.stalls));
}

fn limits(text: &mut Text, stat: &Stat) {
    let limits = [
        ("connections", stat.limits.connections),
        ("subscriptions", stat.limits.subscriptions),
        ("memory_bytes", stat.limits.memory_bytes),
        ("descriptors", stat.limits.descriptors),
    ];
    let of =
        |value: fn(&Used) -> u64| limits.iter().map(move |(name, used)| (label("limit", name), value(used) as f64));
    text.family("gauge", "limit_used", "How much of what is bounded is used.", of(|used| used.used));
    text.family("gauge", "limit_max", "How much of it there may be.", of(|used| used.max));
    text.family("counter", "limit_refused_total", "How often it was refused.", of(|used| used.refused));
}

fn partitions(text: &mut Text, stat: &Stat) {
    type Told = fn(&crate::stat::PartitionStat) -> f64;
    let families: [(&str, &str, &str, Told); 8] = [
        ("gauge", "partition_epoch", "Newest epoch.", |partition| f64::from(partition.epoch)),
        ("counter", "partition_published_bytes_total", "Position of the tail.", |partition| partition.position as f64),
        ("counter", "partition_published_messages_total", "Messages.", |partition| partition.sequence as f64),
        ("counter", "partition_written_bytes_total", "Position written.", |partition| partition.written as f64),
        ("counter", "partition_durable_bytes_total", "Position durable.", |partition| partition.durable as f64),
        ("gauge", "partition_newest_seconds", "Publish time of the newest message, since 1970.", |partition| {
            partition.newest_ns as f64 / 1e9
        }),
        ("gauge", "partition_owned", "1 where it has an owner.", |partition| {
            f64::from(u8::from(partition.owner.is_some()))
        }),
        ("gauge", "partition_failed", "1 where its journal failed.", |partition| {
            f64::from(u8::from(partition.failed.is_some()))
        }),
    ];
    for (kind, name, help, value) in families {
        let lines = stat.partitions.iter().map(|partition| {
            (labels([("topic", &partition.topic), ("partition", &partition.partition)]), value(partition))
        });
        text.family(kind, name, help, lines);
    }
    publishers(text, stat);
}

fn publishers(text: &mut Text, stat: &Stat) {
    type Told = fn(&PublishersStat) -> u64;
    let families: [(&str, &str, &str, Told); 3] = [
        ("gauge", "partition_publishers", "Publishers that have a session, of many.", |of| of.connected),
        ("counter", "partition_accepted_messages_total", "Messages accepted from them.", |of| of.accepted),
        ("counter", "partition_publishers_refused_total", "Sessions refused, or ended as broken.", |of| of.refused),
    ];
    for (kind, name, help, value) in families {
        let lines = stat.partitions.iter().filter_map(|partition| {
            let labels = labels([("topic", &partition.topic), ("partition", &partition.partition)]);
            Some((labels, value(partition.publishers.as_ref()?) as f64))
        });
        text.family(kind, name, help, lines);
    }
}

fn readers(text: &mut Text, stat: &Stat) {
    let who = |reader: &ReaderStat| {
        let ReaderStat { topic, partition, subscription, pid, name, .. } = reader;
        labels([
            ("topic", topic),
            ("partition", partition),
            ("subscription", subscription),
            ("pid", pid),
            ("reader", name),
        ])
    };
    type Told = fn(&ReaderStat) -> f64;
    let families: [(&str, &str, Told); 4] = [
        ("reader_lag_messages", "Published and not taken.", |reader| reader.lag_messages as f64),
        ("reader_lag_bytes", "The same in bytes.", |reader| reader.lag_bytes as f64),
        ("reader_lag_seconds", "How much older than the newest the message taken last is.", |reader| {
            reader.lag_ns as f64 / 1e9
        }),
        ("reader_asleep", "1 where it waits to be woken.", |reader| f64::from(u8::from(reader.asleep))),
    ];
    for (name, help, value) in families {
        text.family("gauge", name, help, stat.readers.iter().map(|reader| (who(reader), value(reader))));
    }
    let sampled = || stat.readers.iter().filter_map(|reader| Some((who(reader), reader.latency?)));
    let quantiles = sampled().flat_map(|(who, latency)| {
        [("0.5", latency.p50_ns), ("0.99", latency.p99_ns), ("0.999", latency.p99_9_ns), ("1", latency.max_ns)]
            .map(|(part, ns)| (format!("{who},quantile=\"{part}\""), ns as f64 / 1e9))
    });
    text.family("gauge", "reader_latency_seconds", "Publish to poll, of a sample of polls.", quantiles);
    let counts = sampled().map(|(who, latency)| (who, latency.count as f64));
    text.family("counter", "reader_latency_samples_total", "How many were sampled.", counts);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operators' dashboards ask by these names; docs/guide/operating.md has them all.
    #[test]
    fn golden_the_names_of_all_metrics_stay_and_are_told_to_operators() {
        let text = text(&crate::stat::tests::stat());
        let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(|line| format!("{line}\n"));
        let (told, root) = (names.collect::<String>(), concat!(env!("CARGO_MANIFEST_DIR"), "/"));
        let path = format!("{root}tests/golden/metrics.txt");
        if std::env::var_os("OYEZ_BLESS").is_some() {
            std::fs::write(&path, &told).expect("written");
        }
        assert_eq!(told, std::fs::read_to_string(path).expect("a golden file"));
        let guide = std::fs::read_to_string(format!("{root}../../docs/guide/operating.md")).expect("the guide");
        for name in told.lines().filter_map(|line| line.split(' ').next()) {
            assert!(guide.contains(&format!("`{name}`")), "{name} is not in docs/guide/operating.md");
        }
    }

    #[test]
    fn labels_hold_whatever_a_client_calls_itself() {
        assert_eq!(label("reader", "a\"b\\c\nd"), r#"reader="a\"b\\c\nd""#);
    }
}
