//! `oyez topic list`, `oyez topic describe`, `oyez topic renew` and `oyez topic take-over`.

use indicatif::BinaryBytes;
use oyez::{BusError, Durability, Epoch, FailureCode, TopicInfo};
use oyez_broker::stat::{OwnerStat, PartitionStat};
use serde::Serialize;

use super::{connect, stat::look};
use crate::args::{Format, TopicCommand};
use crate::failure::{Answer, Failure};
use crate::output::Output;

pub(crate) fn run(command: TopicCommand, output: &mut Output) -> Result<Answer, Failure> {
    match command {
        TopicCommand::List { broker } => list(connect(&broker)?.topics()?, output),
        TopicCommand::Describe { topic, broker } => {
            let bus = connect(&broker)?;
            let info = bus.describe(&topic)?;
            // Not for everybody to see.
            describe(info, look(&bus, Some(&topic)).ok().map(|stat| stat.partitions), output)
        }
        TopicCommand::Renew { topic, partition, broker } => {
            renew(&topic, partition, connect(&broker)?.renew(&topic, partition), output)
        }
        TopicCommand::TakeOver { topic, partition, broker } => {
            let bus = connect(&broker)?;
            // Asked before: afterwards nobody owns it anyhow.
            let idle = bus.describe_partition(&topic, partition)?.state == "idle";
            take_over(bus.take_over(&topic, partition)?, idle, output)
        }
    }
}

/// A topic as it is printed.
#[derive(Serialize)]
struct Topic {
    topic: String,
    partitions: u16,
    durability: String,
    ring_bytes: u64,
    message_bytes_max: usize,
    retention_h: u32,
    schema: Option<String>,
    schema_id: Option<u16>,
    version_min: Option<u16>,
    version_max: Option<u16>,
    template_ids: Vec<u16>,
    may_publish: bool,
    may_subscribe: bool,
    state: String,
    owner: Option<OwnerStat>,
    earliest: u64,
    written: u64,
    durable: u64,
}

/// With how its partitions stand, for who may see that.
#[derive(Serialize)]
struct Described {
    #[serde(flatten)]
    topic: Topic,
    stat: Option<Vec<PartitionStat>>,
}

impl Topic {
    fn of(info: TopicInfo) -> Topic {
        Topic {
            message_bytes_max: info.message_bytes_max(),
            topic: info.name,
            partitions: info.partitions,
            durability: info.durability.to_string(),
            ring_bytes: info.ring_bytes,
            retention_h: info.retention_h,
            schema: Some(info.schema).filter(|schema| !schema.is_empty()),
            schema_id: info.binding.as_ref().map(|binding| binding.schema_id),
            version_min: info.binding.as_ref().map(|binding| binding.version_min),
            version_max: info.binding.as_ref().map(|binding| binding.version_max),
            template_ids: info.binding.map(|binding| binding.template_ids).unwrap_or_default(),
            may_publish: info.may_publish,
            may_subscribe: info.may_subscribe,
            state: info.state,
            owner: info.owner.map(|owner| OwnerStat { pid: owner.pid, uid: owner.uid, name: owner.name }),
            earliest: info.earliest.0,
            written: info.written.0,
            durable: info.durable.0,
        }
    }

    fn schema(&self) -> &str {
        self.schema.as_deref().unwrap_or("none")
    }
}

fn renew(
    topic: &str,
    partition: u16,
    renewed: Result<Epoch, BusError>,
    output: &mut Output,
) -> Result<Answer, Failure> {
    let (epoch, why) = match renewed {
        Ok(epoch) => (Some(epoch.0), None),
        Err(BusError::Refused { code: FailureCode::NotRenewed, text }) => (None, Some(text)),
        Err(error) => return Err(error.into()),
    };
    match (output.format, epoch, &why) {
        (Format::Json, epoch, why) => output.json(&serde_json::json!({ "epoch": epoch, "not_renewed": why }))?,
        (_, Some(epoch), _) => output.line(format_args!("{topic}/{partition}: renewed, epoch {epoch}"))?,
        (_, None, why) => output.line(format_args!("{}", why.as_deref().unwrap_or_default()))?,
    }
    Ok(if epoch.is_some() { Answer::Yes } else { Answer::No })
}

fn take_over(killed: Option<oyez::Owner>, idle: bool, output: &mut Output) -> Result<Answer, Failure> {
    let killed = killed.map(|oyez::Owner { pid, uid, name }| OwnerStat { pid, uid, name });
    let answer = if killed.is_some() { Answer::Yes } else { Answer::No };
    match (output.format, &killed) {
        (Format::Json, killed) => output.json(killed)?,
        (_, Some(OwnerStat { pid, uid, name })) => {
            output.line(format_args!("killed {name} (process {pid}, user {uid})"))?;
        }
        (_, None) if idle => output.line("nobody owns it: there is nothing to take over")?,
        (_, None) => output
            .line(format_args!("no owner is connected; whoever keeps its ring is looked for, see the broker's log"))?,
    }
    Ok(answer)
}

fn list(topics: Vec<TopicInfo>, output: &mut Output) -> Result<Answer, Failure> {
    let topics: Vec<Topic> = topics.into_iter().map(Topic::of).collect();
    if output.format == Format::Json {
        output.json(&topics)?;
        return Ok(Answer::Yes);
    }
    let width = topics.iter().map(|topic| topic.topic.len()).max().unwrap_or(0).max("TOPIC".len());
    output.line(format_args!("{:width$}  PARTITIONS  DURABILITY       RING  STATE   SCHEMA", "TOPIC"))?;
    for topic in &topics {
        let Topic { topic: name, partitions, durability, state, .. } = topic;
        let (ring, schema) = (BinaryBytes(topic.ring_bytes).to_string(), topic.schema());
        output.line(format_args!("{name:width$}  {partitions:10}  {durability:10} {ring:>10}  {state:6}  {schema}"))?;
    }
    Ok(Answer::Yes)
}

fn describe(info: TopicInfo, stat: Option<Vec<PartitionStat>>, output: &mut Output) -> Result<Answer, Failure> {
    let recorded = info.durability > Durability::Published;
    let topic = Topic::of(info);
    if output.format == Format::Json {
        output.json(&Described { topic, stat })?;
        return Ok(Answer::Yes);
    }
    let longest = topic.message_bytes_max as u64;
    let durability =
        if recorded { format!("{}, kept {} h", topic.durability, topic.retention_h) } else { "not recorded".into() };
    let binding = match (topic.schema_id, topic.version_min, topic.version_max) {
        (Some(id), Some(min), Some(max)) => {
            format!(", id {id}, versions {min} to {max}, templates {:?}", topic.template_ids)
        }
        _ => String::new(),
    };
    let rights = match (topic.may_publish, topic.may_subscribe) {
        (true, true) => "publish, subscribe",
        (true, false) => "publish",
        (false, true) => "subscribe",
        (false, false) => "nothing",
    };
    let mut lines = vec![
        ("topic", topic.topic.clone()),
        ("partitions", topic.partitions.to_string()),
        ("ring", format!("{}, messages of up to {}", BinaryBytes(topic.ring_bytes), BinaryBytes(longest))),
        ("durability", durability),
        ("schema", format!("{}{binding}", topic.schema())),
        ("you may", rights.to_owned()),
    ];
    let kept = |earliest, written, durable| match recorded {
        true => format!("; positions: earliest {earliest}, written {written}, durable {durable}"),
        false => String::new(),
    };
    match &stat {
        None => {
            let Topic { state, owner, earliest, written, durable, .. } = &topic;
            let kept = kept(*earliest, *written, *durable);
            lines.push(("partition", format!("0: {state}, {}{kept}", whose(owner.as_ref()))));
        }
        Some(partitions) => {
            let budget_us = partitions.iter().find_map(|of| of.latency_budget_us);
            lines.extend(budget_us.map(|us| ("budget", format!("{us} µs from publish to poll"))));
            lines.extend(partitions.iter().map(|of| {
                let kept = kept(of.earliest.unwrap_or_default(), of.written, of.durable);
                ("partition", format!("{}{kept}{}", standing(of), many(of)))
            }));
        }
    }
    lines.iter().try_for_each(|(name, value)| output.line(format_args!("{name:11} {value}")))?;
    Ok(Answer::Yes)
}

fn standing(PartitionStat { partition, state, owner, epoch, sequence, cpu, .. }: &PartitionStat) -> String {
    let owner = whose(owner.as_ref());
    format!("{partition}: {state}, {owner}, epoch {epoch}, next sequence {sequence}, CPU {cpu}")
}

fn many(PartitionStat { publishers, .. }: &PartitionStat) -> String {
    publishers.map_or_else(String::new, |of| {
        format!("; publishers: many, {} connected, {} messages accepted", of.connected, of.accepted)
    })
}

fn whose(owner: Option<&OwnerStat>) -> String {
    let told = |OwnerStat { pid, uid, name }: &OwnerStat| format!("owner {name} (process {pid}, user {uid})");
    owner.map_or("owner nobody".to_owned(), told)
}
