//! The Kafka topic of a lane: is it fit to hold one?

use super::{AROUND_BYTES_MAX, Kafka, REQUEST, client};
use crate::sink::{Limit, SinkError};
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// A batch of librdkafka's default size must fit into the topic's `max.message.bytes`.
const BATCH_BYTES_MAX: u64 = 1_000_000;
/// The client sends no longer ones.
const CLIENT_BYTES_MAX: u64 = 1_000_000_000;
/// Kafka's default of `socket.request.max.bytes`, for brokers that do not tell it.
const REQUEST_BYTES_MAX: u64 = 100 << 20;
/// Kafka's default: a record's time may be as old as it likes, which the publish time of what is carried late is.
const TIME_UNBOUNDED_MS: &str = "9223372036854775807";

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

impl Target {
    /// The lane's `transactional.id`, also its consumer group: `oyez.gw.<Kafka topic>.<format>`. It names what only one
    /// gateway at a time may write, whichever bus or host it comes from: only under the same id does it fence another.
    pub fn transactional_id(&self) -> String {
        format!("oyez.gw.{}.sbe", self.kafka_topic)
    }
}

/// What is allowed but unwise, and the longest message; an error where the topic cannot hold a lane, or cannot be looked
/// at.
pub(super) fn check(sink: &Kafka) -> Result<(Vec<String>, Limit), SinkError> {
    let away = |error| match sink.failed("check", error) {
        SinkError::Unknown { reason, .. } => {
            sink.unknown("check", format!("{reason}; is the broker running, and is this its address?"))
        }
        told => told,
    };
    let Target { kafka_topic, allow_unreplicated, .. } = &sink.target;
    let metadata = sink.reader.fetch_metadata(Some(kafka_topic), REQUEST).map_err(away)?;
    let found = metadata.topics().iter().find(|found| found.name() == kafka_topic);
    match found.and_then(|found| found.error()).map(RDKafkaErrorCode::from) {
        None | Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {}
        Some(code) => return Err(away(KafkaError::Global(code))),
    }
    let partition = match found.map_or(&[][..], |found| found.partitions()) {
        [] => Err("the topic does not exist; create it with one partition: a lane creates no topics".into()),
        [only] => Ok(only),
        many => Err(format!("the topic has {} partitions; order needs exactly one: take another", many.len())),
    };
    let partition = partition.map_err(|reason| sink.refused(reason))?;
    let settings = |resource| settings(&sink.target, resource);
    let of_topic = settings(ResourceSpecifier::Topic(kafka_topic)).map_err(away)?;
    let warnings = judge(partition.replicas().len(), &of_topic, *allow_unreplicated);
    // What a broker is set to is not for everybody to see.
    let of_broker = settings(ResourceSpecifier::Broker(partition.leader())).unwrap_or_default();
    Ok((warnings.map_err(|reason| sink.refused(reason))?, limit(&of_topic, &of_broker)))
}

type Settings = Vec<(String, String)>;

/// The settings of a topic or a broker, by name.
fn settings(target: &Target, of: ResourceSpecifier<'_>) -> Result<Settings, KafkaError> {
    let admin: AdminClient<DefaultClientContext> = client(target).create()?;
    let options = AdminOptions::new().request_timeout(Some(REQUEST));
    let answers = futures_executor::block_on(admin.describe_configs(&[of], &options))?;
    let resource = answers.into_iter().next().ok_or(KafkaError::Canceled)?.map_err(KafkaError::Global)?;
    Ok(resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect())
}

fn value<'s>(settings: &'s Settings, name: &str) -> &'s str {
    settings.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
}

/// The longest message by the topic's and its broker's settings.
fn limit(of_topic: &Settings, of_broker: &Settings) -> Limit {
    let topic_bytes_max = value(of_topic, "max.message.bytes").parse().unwrap_or(BATCH_BYTES_MAX);
    let request_bytes_max = value(of_broker, "socket.request.max.bytes").parse().unwrap_or(REQUEST_BYTES_MAX);
    let limits = [
        (topic_bytes_max, "max.message.bytes of the Kafka topic"),
        (request_bytes_max, "socket.request.max.bytes of the Kafka brokers"),
        (CLIENT_BYTES_MAX, "nothing: no Kafka client sends longer ones"),
    ];
    let (bytes_max, setting) = limits.into_iter().min_by_key(|(bytes_max, _)| *bytes_max).expect("three");
    Limit { message_bytes_max: (bytes_max as usize).saturating_sub(AROUND_BYTES_MAX), setting }
}

/// What makes a topic unfit for a lane; where it is fit but unwise and that is allowed, the warnings.
fn judge(replicas: usize, settings: &Settings, allow_unreplicated: bool) -> Result<Vec<String>, String> {
    let value = |name: &str| value(settings, name);
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
    // Brokers before 3.6 have no such setting.
    if !["", TIME_UNBOUNDED_MS].contains(&value("message.timestamp.before.max.ms")) {
        return Err(format!(
            "message.timestamp.before.max.ms is {:?}, so that what was published before it would be refused; set it to \
             {TIME_UNBOUNDED_MS}",
            value("message.timestamp.before.max.ms")
        ));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_setting_bounds_a_message_and_is_named() {
        let said = |name: &str, value: u64| vec![(name.to_owned(), value.to_string())];
        let topic = |bytes_max| said("max.message.bytes", bytes_max);
        let broker = |bytes_max| said("socket.request.max.bytes", bytes_max);
        for (of_topic, of_broker, bytes_max, setting) in [
            (topic(1_048_588), broker(104_857_600), 1_048_588, "max.message.bytes"),
            (topic(200_000_000), broker(104_857_600), 104_857_600, "socket.request.max.bytes"),
            (topic(200_000_000), Vec::new(), 104_857_600, "socket.request.max.bytes"),
            (Vec::new(), Vec::new(), 1_000_000, "max.message.bytes"),
            (topic(2_000_000_000), broker(2_000_000_000), 1_000_000_000, "nothing"),
        ] {
            let found = limit(&of_topic, &of_broker);
            assert_eq!(found.message_bytes_max, bytes_max - AROUND_BYTES_MAX);
            assert!(found.setting.starts_with(setting), "{found:?}");
        }
    }
}
