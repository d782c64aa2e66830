//! `oyez stat` and `oyez health`: how the broker, its topics and their readers stand, once.

use indicatif::{BinaryBytes, HumanDuration};
use oyez::Bus;
use oyez_broker::stat::{PartitionStat, ReaderStat, Stat, Used};
use std::time::Duration;

use super::connect;
use crate::args::{Format, HealthArgs, StatArgs};
use crate::failure::{Answer, Failure};
use crate::output::{Output, Table};

pub(crate) fn run(args: &StatArgs, output: &mut Output) -> Result<Answer, Failure> {
    let stat = look(&connect(&args.broker)?, args.topic.as_deref())?;
    match output.format {
        Format::Json => output.json(&stat)?,
        Format::Text => print(&stat, None, output)?,
    }
    Ok(Answer::Yes)
}

/// One line, and the exit code: for probes.
pub(crate) fn health(args: &HealthArgs, output: &mut Output) -> Result<Answer, Failure> {
    let problems = match connect(&args.broker).and_then(|bus| look(&bus, None)) {
        Ok(stat) => stat.problems(),
        Err(failure) => vec![crate::failure::one_line(&*failure)],
    };
    match output.format {
        Format::Json => output.json(&serde_json::json!({ "healthy": problems.is_empty(), "problems": problems }))?,
        Format::Text if problems.is_empty() => output.line("healthy")?,
        Format::Text => output.line(format_args!("unhealthy: {}", problems.join("; ")))?,
    }
    Ok(Answer::of(problems.is_empty()))
}

/// What the broker tells, of one topic if one is named.
pub(crate) fn look(bus: &Bus, topic: Option<&str>) -> Result<Stat, Failure> {
    let mut stat: Stat = serde_json::from_str(&bus.stat()?).map_err(|error| {
        format!("the broker tells how it stands in words unknown here: {error}; upgrade the older one")
    })?;
    if let Some(topic) = topic {
        stat.partitions.retain(|partition| partition.topic == topic);
        stat.readers.retain(|reader| reader.topic == topic);
        if stat.partitions.is_empty() {
            return Err(format!("topic {topic}: not declared, or not for this user to see; `oyez topic list`").into());
        }
    }
    Ok(stat)
}

/// For people; with what was told before, also how fast it goes.
pub(crate) fn print(stat: &Stat, before: Option<&Stat>, output: &mut Output) -> Result<(), Failure> {
    let broker = &stat.broker;
    let up = HumanDuration(Duration::from_millis(broker.uptime_ms));
    let closing = if broker.closing { ", closing" } else { "" };
    output.line(format_args!("{} {}, process {}, up {up}{closing}", broker.name, broker.build, broker.pid))?;
    for core in &stat.cores {
        output.line(format_args!("core {}: {} turns, {} above 50 µs", core.cpu, core.turns, core.stalls))?;
    }
    let limits = &stat.limits;
    let of = |what: &str, used: Used| {
        let refused = if used.refused > 0 { format!(" ({} refused)", used.refused) } else { String::new() };
        format!("{what} {} of {}{refused}", used.used, used.max)
    };
    let [connections, subscriptions, descriptors] = [
        of("connections", limits.connections),
        of("subscriptions", limits.subscriptions),
        of("descriptors", limits.descriptors),
    ];
    let memory = [limits.memory_bytes.used, limits.memory_bytes.max].map(BinaryBytes);
    output
        .line(format_args!("{connections}, {subscriptions}, {descriptors}, memory {} of {}", memory[0], memory[1]))?;
    output.line("")?;
    output.table(&partitions(stat, before))?;
    output.line("")?;
    output.table(&readers(stat))
}

fn partitions(stat: &Stat, before: Option<&Stat>) -> Table<9> {
    let head = ["MESSAGES", "PER S", "NOT WRITTEN", "NOT DURABLE", "READERS", "EPOCH", "TOPIC", "STATE", "OWNER"];
    let mut table = Table::new(head).right(6);
    for partition in &stat.partitions {
        let PartitionStat { topic, partition: number, position, written, durable, .. } = partition;
        let behind = |reached: u64| match partition.durability.as_str() {
            "published" => "-".to_owned(),
            _ => BinaryBytes(position.saturating_sub(reached)).to_string(),
        };
        let owner = partition.owner.as_ref();
        let is_of = |reader: &&ReaderStat| reader.topic == *topic && reader.partition == *number;
        table.row([
            partition.sequence.to_string(),
            before.and_then(|before| rate(stat, before, partition)).unwrap_or_else(|| "-".to_owned()),
            behind(*written),
            behind(*durable),
            stat.readers.iter().filter(is_of).count().to_string(),
            partition.epoch.to_string(),
            format!("{topic}/{number}"),
            partition.state.clone(),
            owner.map_or("-".to_owned(), |owner| format!("{} (process {}, user {})", owner.name, owner.pid, owner.uid)),
        ]);
    }
    table
}

/// Messages a second since it was looked at before.
fn rate(stat: &Stat, before: &Stat, partition: &PartitionStat) -> Option<String> {
    let is_same = |other: &&PartitionStat| other.topic == partition.topic && other.partition == partition.partition;
    let former = before.partitions.iter().find(is_same)?;
    let passed_ns = stat.broker.time_ns.checked_sub(before.broker.time_ns).filter(|passed| *passed > 0)?;
    let messages = partition.sequence.saturating_sub(former.sequence);
    Some(format!("{:.0}", messages as f64 * 1e9 / passed_ns as f64))
}

fn readers(stat: &Stat) -> Table<12> {
    let head = ["BEHIND", "BYTES", "TIME", "NEXT", "EPOCH", "P50", "P99", "P99.9", "MAX", "TOPIC", "READER", "STATE"];
    let mut table = Table::new(head).right(9);
    for reader in &stat.readers {
        let latency = |of: fn(&oyez_broker::stat::LatencyStat) -> u64| {
            reader.latency.as_ref().map_or("-".to_owned(), |latency| span(of(latency)))
        };
        let is_of =
            |partition: &&PartitionStat| partition.topic == reader.topic && partition.partition == reader.partition;
        let budget_us = stat.partitions.iter().find(is_of).and_then(|partition| partition.latency_budget_us);
        let is_late =
            reader.latency.zip(budget_us).is_some_and(|(latency, us)| latency.p99_ns > us.saturating_mul(1_000));
        let state = match (reader.asleep, is_late) {
            (_, true) => "over budget",
            (true, false) => "asleep",
            (false, false) => "awake",
        };
        table.row([
            reader.lag_messages.to_string(),
            BinaryBytes(reader.lag_bytes).to_string(),
            span(reader.lag_ns),
            reader.sequence.to_string(),
            reader.epoch.to_string(),
            latency(|latency| latency.p50_ns),
            latency(|latency| latency.p99_ns),
            latency(|latency| latency.p99_9_ns),
            latency(|latency| latency.max_ns),
            format!("{}/{}", reader.topic, reader.partition),
            format!("{} (process {}, user {})", reader.name, reader.pid, reader.uid),
            state.to_owned(),
        ]);
    }
    table
}

/// A time for people: three digits or four.
fn span(ns: u64) -> String {
    match ns {
        0 => "0".to_owned(),
        1..10_000 => format!("{ns} ns"),
        10_000..10_000_000 => format!("{:.1} µs", ns as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_with_their_units() {
        let told = [0, 999, 10_000, 123_456, 12_345_678, 61_000_000_000].map(span);
        assert_eq!(told, ["0", "999 ns", "10.0 µs", "123.5 µs", "12.3 ms", "61.0 s"]);
    }
}
