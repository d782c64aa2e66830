//! Topics on the Kafka that `OYEZ_KAFKA_BOOTSTRAP` names, and a plain reader of them.
#![allow(dead_code, reason = "each test binary uses its own part")]

use futures_executor::block_on;
use oyez_gateway::sink::Record;
use oyez_gateway::sink::kafka::Target;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

pub(crate) const REQUEST: Duration = Duration::from_secs(20);

/// A topic for one test, on the broker that the environment names.
pub(crate) struct KafkaTopic {
    pub(crate) bootstrap: String,
    pub(crate) topic: String,
}

impl KafkaTopic {
    pub(crate) fn with(test: &str, partitions: i32, settings: &[(&str, &str)]) -> Option<KafkaTopic> {
        let Ok(bootstrap) = std::env::var("OYEZ_KAFKA_BOOTSTRAP") else {
            eprintln!("SKIPPED {test}: OYEZ_KAFKA_BOOTSTRAP is not set");
            return None;
        };
        let started = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_micros();
        let broker = KafkaTopic { bootstrap, topic: format!("oyez-test-{test}-{started}") };
        // Retention goes by the records' time, which is the messages' publish time, which here is long ago.
        let topic = NewTopic::new(&broker.topic, partitions, TopicReplication::Fixed(1));
        let mut topic = topic.set("retention.ms", "-1");
        for (name, value) in settings {
            topic = topic.set(name, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(REQUEST));
        let made = block_on(broker.admin().create_topics([&topic], &options)).expect("the broker answers");
        made[0].as_ref().expect("the topic is new");
        Some(broker)
    }

    pub(crate) fn new(test: &str) -> Option<KafkaTopic> {
        KafkaTopic::with(test, 1, &[])
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    pub(crate) fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("an admin client")
    }

    pub(crate) fn target(&self) -> Target {
        let (bootstrap, kafka_topic) = (self.bootstrap.clone(), self.topic.clone());
        Target { bootstrap, kafka_topic, allow_unreplicated: true }
    }

    pub(crate) fn committed(&self) -> Vec<Record> {
        self.read("read_committed")
    }

    pub(crate) fn read(&self, isolation_level: &str) -> Vec<Record> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "oyez-test-reader")
            .set("isolation.level", isolation_level)
            .set("enable.partition.eof", "true")
            .set("enable.auto.commit", "false")
            .create()
            .expect("a consumer");
        consumer.assign(&self.partition(Offset::Beginning)).expect("assigns");
        let deadline = Instant::now() + REQUEST;
        let mut records = Vec::new();
        while Instant::now() < deadline {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => records.push(take_apart(&message)),
                Some(Err(KafkaError::PartitionEOF(0))) => return records,
                Some(Err(error)) => panic!("{error}"),
                None => {}
            }
        }
        panic!("no end of {} in time", self.topic);
    }

    /// Asks again with each call how far the lane's progress is: one above the last sequence that was committed.
    pub(crate) fn progress(&self) -> impl Fn() -> u64 {
        let mut config = self.client();
        // Not to be held up by what a dead gateway has left open.
        config.set("group.id", self.target().transactional_id()).set("isolation.level", "read_uncommitted");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let asked = self.partition(Offset::Invalid);
        move || {
            let deadline = Instant::now() + REQUEST;
            let found = loop {
                match consumer.committed_offsets(asked.clone(), REQUEST) {
                    Ok(found) => break found,
                    // A Kafka that has only just started is still making its coordinators.
                    Err(error) if Instant::now() < deadline => {
                        eprintln!("{error}");
                        std::thread::sleep(Duration::from_millis(100));
                    }
                    Err(error) => panic!("{error}"),
                }
            };
            found.elements()[0].offset().to_raw().and_then(|next| next.try_into().ok()).unwrap_or(0)
        }
    }

    /// The offset that a reader of this isolation level can read up to.
    pub(crate) fn end(&self, isolation_level: &str) -> i64 {
        let consumer: BaseConsumer =
            self.client().set("isolation.level", isolation_level).create().expect("a consumer");
        consumer.fetch_watermarks(&self.topic, 0, REQUEST).expect("answers").1
    }

    pub(crate) fn partition(&self, offset: Offset) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, 0, offset).expect("an offset");
        list
    }
}

fn take_apart(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().expect("has headers");
    let names: Vec<&str> = headers.iter().map(|header| header.key).collect();
    assert_eq!(names, ["e", "t"]);
    let record = Record {
        epoch: u32::from_be_bytes(headers.get(0).value.expect("has a value").try_into().expect("four bytes")),
        sequence: u64::from_be_bytes(message.key().expect("has a key").try_into().expect("eight bytes")),
        publish_time_ns: u64::from_be_bytes(
            headers.get(1).value.expect("has a value").try_into().expect("eight bytes"),
        ),
        bytes: message.payload().expect("has a value").to_vec(),
    };
    let time_ms = (record.publish_time_ns / 1_000_000) as i64;
    assert_eq!(message.timestamp(), rdkafka::Timestamp::CreateTime(time_ms));
    record
}

pub(crate) fn within<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("not within a minute: {what}");
}
