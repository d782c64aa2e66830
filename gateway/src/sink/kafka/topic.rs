//! The Kafka topic of a lane: is it fit to hold one?

use super::{REQUEST, client};
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

/// A batch of librdkafka's default size must fit into the topic's `max.message.bytes`.
const BATCH_BYTES_MAX: u64 = 1_000_000;

/// Which Kafka topic, and how strict to be with it.
#[derive(Debug, Clone)]
pub struct Target {
    /// `host:port` of one or more brokers, separated by commas.
    pub bootstrap: String,
    /// The Kafka topic. It must exist.
    pub kafka_topic: String,
    /// Accept a topic that one broker's death can lose, with a warning: for tests on a single broker.
    pub allow_unreplicated: bool,
}

/// The reason why the topic cannot hold a lane, with the remedy; or what is allowed but unwise.
pub(super) fn check(target: &Target, reader: &BaseConsumer) -> Result<Vec<String>, String> {
    let topic = target.kafka_topic.as_str();
    let metadata = reader
        .fetch_metadata(Some(topic), REQUEST)
        .map_err(|error| format!("{error}; is the broker running, and is this its address?"))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
    let partitions = found.map_or(&[][..], |found| found.partitions());
    match partitions {
        [] => Err("the topic does not exist; create it with one partition: a lane creates no topics".into()),
        [only] => judge(only.replicas().len(), &settings(target)?, target.allow_unreplicated),
        many => Err(format!("the topic has {} partitions; order needs exactly one: take another", many.len())),
    }
}

/// The topic's settings, by name.
fn settings(target: &Target) -> Result<Vec<(String, String)>, String> {
    let admin: AdminClient<DefaultClientContext> = client(target).create().map_err(|error| error.to_string())?;
    let options = AdminOptions::new().request_timeout(Some(REQUEST));
    let topics = [ResourceSpecifier::Topic(&target.kafka_topic)];
    let answer = futures_executor::block_on(admin.describe_configs(&topics, &options));
    let mut answers = answer.map_err(|error| format!("the topic's settings cannot be read: {error}"))?;
    let answer = answers.pop().ok_or("the broker does not tell the topic's settings")?;
    let resource =
        answer.map_err(|code| format!("the topic's settings cannot be read: {code}; allow DescribeConfigs"))?;
    Ok(resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect())
}

/// What makes a topic unfit for a lane; where it is fit but unwise and that is allowed, the warnings.
fn judge(replicas: usize, settings: &[(String, String)], allow_unreplicated: bool) -> Result<Vec<String>, String> {
    let value = |name: &str| settings.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let required = [
        ("cleanup.policy", "delete", "compaction removes records"),
        ("message.timestamp.type", "CreateTime", "a record's time is its publish time"),
        ("unclean.leader.election.enable", "false", "an unclean election loses committed records"),
    ];
    for (name, wanted, why) in required {
        if value(name) != wanted {
            return Err(format!("{name} is {:?}, a lane needs {wanted:?} ({why}); alter the topic", value(name)));
        }
    }
    if value("max.message.bytes").parse().is_ok_and(|bytes: u64| bytes < BATCH_BYTES_MAX) {
        return Err(format!("max.message.bytes is below {BATCH_BYTES_MAX}, the client's batches; alter the topic"));
    }
    let in_sync: usize = value("min.insync.replicas").parse().unwrap_or(0);
    if replicas >= 3 && in_sync >= 2 {
        return Ok(Vec::new());
    }
    let found = format!("{replicas} replica(s) with min.insync.replicas {in_sync}");
    if allow_unreplicated {
        Ok(vec![format!("{found}: the loss of one broker can lose committed messages; allowed, for tests only")])
    } else {
        Err(format!("{found}: a lane wants 3 and 2; alter the topic, or say --allow-unreplicated on a test cluster"))
    }
}
