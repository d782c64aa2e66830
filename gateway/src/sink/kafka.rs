//! A Kafka topic with one partition, through librdkafka. The record layout is in `docs/formats/lane.md`.
//!
//! Three facts about the client decide the shape of this file:
//! - librdkafka speaks the old transaction protocol, in which a delayed request to end one transaction can end the
//!   next. So an instance whose commit or abort has no known outcome is never used again: [`Sink::fence`] makes a new
//!   one, and its `init_transactions` bars everything the old one may still have under way.
//! - `commit_transaction` and `abort_transaction` wait in steps of 100 ms while anything is in flight. So the
//!   deliveries are waited for first, in polls of 1 ms.
//! - The end of a partition is mostly not a record: each transaction's marker and each aborted record takes an
//!   offset. So the tail is searched backwards, in growing steps, and only where all of it is visible.

mod topic;

pub use topic::Target;

use super::{Limit, Record, Sink, SinkError, Tail};
use crate::{Mark, Message};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// How long a dead gateway's open transaction can hold readers up, if nobody starts it again.
const TRANSACTION: Duration = Duration::from_secs(10);
/// A fence waits for the coordinator to end the former instance's transaction.
const FENCE: Duration = Duration::from_secs(30);
/// For requests that change nothing.
const REQUEST: Duration = Duration::from_secs(10);
/// First distance from the end at which the tail is searched for; eight times as far each time.
const TAIL_STEP_OFFSETS: i64 = 64;
/// What a record, alone in its batch and its request, has beside its message: far less.
const AROUND_BYTES_MAX: usize = 1 << 10;
/// The header that holds the epoch, u32 big-endian.
const EPOCH_HEADER: &str = "e";
/// The header that holds the publish time in nanoseconds, u64 big-endian.
const TIME_HEADER: &str = "t";

/// The sink; see the module.
pub struct Kafka {
    target: Target,
    limit: Limit,
    /// Reads tail and progress; never a member of its group.
    reader: BaseConsumer,
    /// The instance since the last fence.
    producer: Option<BaseProducer>,
    /// When the transaction was begun.
    begun: Option<Instant>,
    /// The progress that this instance found or committed, and what it has put since: any other is another gateway's.
    own_progress: [Option<Mark>; 2],
}

impl Kafka {
    /// The sink into `target`. Connects in the background.
    ///
    /// # Errors
    /// If the client library refuses the settings.
    pub fn new(target: Target) -> Result<Kafka, SinkError> {
        let reader = client(&target)
            .set("group.id", target.transactional_id())
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .create();
        // Until the first check.
        let limit = Limit { message_bytes_max: 0, setting: "" };
        match reader {
            Ok(reader) => Ok(Kafka { target, limit, reader, producer: None, begun: None, own_progress: [None; 2] }),
            Err(error) => {
                Err(SinkError::Refused { target: format!("Kafka {}", target.bootstrap), reason: error.to_string() })
            }
        }
    }

    fn refused(&self, reason: impl Into<String>) -> SinkError {
        SinkError::Refused { target: self.target(), reason: reason.into() }
    }

    fn unknown(&self, action: &'static str, reason: impl ToString) -> SinkError {
        SinkError::Unknown { target: self.target(), action, reason: reason.to_string() }
    }

    fn producer(&self, action: &'static str) -> Result<&BaseProducer, SinkError> {
        self.producer.as_ref().ok_or_else(|| self.unknown(action, "the instance was given up"))
    }

    /// What an error means for the lane.
    fn failed(&self, action: &'static str, error: KafkaError) -> SinkError {
        let fatal = self.producer.as_ref().and_then(|producer| producer.client().fatal_error());
        let mut codes = [fatal.as_ref().map(|fatal| fatal.0), error.rdkafka_error_code()].into_iter().flatten();
        if codes.clone().any(is_fenced) {
            self.fenced(action)
        } else if codes.any(is_final) {
            self.refused(format!("{action} failed: {error}; trying again will not help: allow it, or change the topic"))
        } else if fatal.is_none() && is_abortable(&error) {
            SinkError::Abortable { target: self.target(), action, reason: error.to_string() }
        } else {
            self.unknown(action, fatal.map_or_else(|| error.to_string(), |(_, reason)| reason))
        }
    }

    /// With one code Kafka says that a successor has fenced this instance, and that the transaction was open for too
    /// long, as it is when Kafka was away. A successor shows in the progress, which it commits before all else.
    fn fenced(&self, action: &'static str) -> SinkError {
        let expired = self.begun.is_some_and(|begun| begun.elapsed() >= TRANSACTION);
        if expired && self.read_progress().map_or(true, |found| self.own_progress.contains(&found)) {
            return self.unknown(action, "the transaction was open for longer than Kafka allows");
        }
        SinkError::Fenced { target: self.target(), action }
    }

    /// Waits until nothing is in flight, so that the call that follows does not wait in its own coarse steps.
    fn drain(&self, action: &'static str) -> Result<&BaseProducer, SinkError> {
        let producer = self.producer(action)?;
        let deadline = Instant::now() + TRANSACTION;
        while producer.in_flight_count() > 0 {
            if Instant::now() > deadline {
                return Err(self.unknown(action, "deliveries are outstanding after 10 s"));
            }
            producer.poll(Duration::from_millis(1));
        }
        Ok(producer)
    }

    /// Ends the instance with the transaction if the outcome is not known: see the module.
    fn end(&mut self, outcome: Result<(), SinkError>) -> Result<(), SinkError> {
        if matches!(outcome, Err(SinkError::Unknown { .. } | SinkError::Fenced { .. })) {
            self.producer = None;
        }
        outcome
    }

    fn partition(&self, offset: Offset) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.target.kafka_topic, 0, offset).expect("an offset the client knows");
        list
    }

    /// The first offset and the end, once all that lies between is visible: an open transaction hides what is behind
    /// it. The fence has ended the lane's own, so only somebody else's can stay open, or one that Kafka has forgotten.
    fn visible(&self) -> Result<(i64, i64), SinkError> {
        let failed = |error| self.failed("tail", error);
        let topic = &self.target.kafka_topic;
        let whole: BaseConsumer =
            client(&self.target).set("isolation.level", "read_uncommitted").create().map_err(failed)?;
        let deadline = Instant::now() + REQUEST;
        loop {
            let (_, end) = whole.fetch_watermarks(topic, 0, REQUEST).map_err(failed)?;
            let (low, high) = self.reader.fetch_watermarks(topic, 0, REQUEST).map_err(failed)?;
            if high >= end {
                return Ok((low, high));
            }
            if Instant::now() > deadline {
                return Err(self.refused(format!(
                    "what comes from offset {high} on is hidden by a transaction that does not end and is not this \
                     lane's; find it with `kafka-transactions.sh find-hanging`, end it with `abort`, then start the lane"
                )));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The last data record from offset `from` to `end`. All that are read must be a lane's, and dense.
    fn last_record(&self, from: i64, end: i64) -> Result<Option<Record>, SinkError> {
        let failed = |error| self.failed("tail", error);
        self.reader.assign(&self.partition(Offset::Offset(from))).map_err(failed)?;
        let mut deadline = Instant::now() + FENCE;
        let mut last = None;
        while Instant::now() < deadline {
            match self.reader.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    last = Some(self.record(&message, last.as_ref())?);
                    // Large ones take their time.
                    deadline = Instant::now() + FENCE;
                }
                // The end that a new leader tells may for a moment be too low.
                Some(Err(KafkaError::PartitionEOF(_))) if self.position()? >= end => {
                    self.reader.unassign().map_err(failed)?;
                    return Ok(last);
                }
                Some(Err(KafkaError::PartitionEOF(_))) | None => {}
                Some(Err(error)) => return Err(failed(error)),
            }
        }
        Err(self.unknown("tail", format!("offset {end} is not reached, and nothing came for 30 s")))
    }

    /// One above the last offset that the reader has come past, markers included.
    fn position(&self) -> Result<i64, SinkError> {
        let position = self.reader.position().map_err(|error| self.failed("tail", error))?;
        Ok(position.elements().first().and_then(|element| element.offset().to_raw()).unwrap_or(-1))
    }

    fn record(&self, message: &impl rdkafka::Message, before: Option<&Record>) -> Result<Record, SinkError> {
        let follows = |record: &Record| before.is_none_or(|before| record.sequence == before.sequence + 1);
        parse(message).filter(follows).ok_or_else(|| {
            let offset = message.offset();
            self.refused(format!(
                "the record at offset {offset} is not of this lane, or not its next; take a topic that nobody else \
                 writes"
            ))
        })
    }

    fn read_progress(&self) -> Result<Option<Mark>, SinkError> {
        let asked = self.reader.committed_offsets(self.partition(Offset::Invalid), REQUEST);
        let committed = asked.map_err(|error| self.failed("progress", error))?;
        let elements = committed.elements();
        match elements[0].offset() {
            Offset::Offset(next) => parse_progress(next, elements[0].metadata()).map(Some).ok_or_else(|| {
                let group = self.target.transactional_id();
                self.refused(format!("the offset of group {group} is not a lane's progress; delete the group"))
            }),
            _ => Ok(None),
        }
    }
}

impl Sink for Kafka {
    fn target(&self) -> String {
        format!("Kafka {}, topic {}", self.target.bootstrap, self.target.kafka_topic)
    }

    fn check(&mut self) -> Result<Vec<String>, SinkError> {
        let (warnings, limit) = topic::check(self)?;
        self.limit = limit;
        Ok(warnings)
    }

    fn limit(&self) -> Limit {
        self.limit
    }

    fn fence(&mut self) -> Result<(), SinkError> {
        (self.producer, self.begun) = (None, None);
        let producer: BaseProducer = client(&self.target)
            .set("transactional.id", self.target.transactional_id())
            .set("transaction.timeout.ms", TRANSACTION.as_millis().to_string())
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "500000")
            .set("queue.buffering.max.kbytes", "524288")
            // Of one message, and of a batch, which is no longer than its own default unless it holds one message.
            .set("message.max.bytes", (self.limit.message_bytes_max + AROUND_BYTES_MAX).to_string())
            // A commit that answers Ok covers each message: reports of success would only cost time.
            .set("delivery.report.only.error", "true")
            .create()
            .map_err(|error| self.refused(error.to_string()))?;
        let done = self.producer.insert(producer).init_transactions(FENCE);
        let outcome = done.map_err(|error| self.failed("fence", error));
        self.end(outcome)
    }

    fn tail(&mut self) -> Result<Tail, SinkError> {
        let (low, high) = self.visible()?;
        let (mut from, mut step) = (high, TAIL_STEP_OFFSETS);
        while from > low {
            from = low.max(high.saturating_sub(step));
            step = step.saturating_mul(8);
            if let Some(record) = self.last_record(from, high)? {
                return Ok(Tail::Last(record));
            }
        }
        Ok(if low == 0 { Tail::New } else { Tail::Removed })
    }

    fn progress(&mut self) -> Result<Option<Mark>, SinkError> {
        let found = self.read_progress()?;
        self.own_progress = [found; 2];
        Ok(found)
    }

    fn begin(&mut self) -> Result<(), SinkError> {
        self.begun = Some(Instant::now());
        self.producer("begin")?.begin_transaction().map_err(|error| self.failed("begin", error))
    }

    fn put(&mut self, message: &Message<'_>) -> Result<(), SinkError> {
        let producer = self.producer("put")?;
        let key = message.sequence.to_be_bytes();
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.target.kafka_topic)
            .partition(0)
            .key(&key)
            .payload(message.bytes)
            .timestamp((message.publish_time_ns / 1_000_000) as i64)
            .headers(headers(message));
        let deadline = Instant::now() + TRANSACTION;
        loop {
            match producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    producer.poll(Duration::from_millis(1));
                    record = back;
                }
                Err((error, _)) => {
                    // A transaction that has failed takes nothing more, but says why only where it is not to go on.
                    let cause = producer.begin_transaction().err().filter(is_abortable);
                    return Err(self.failed("put", cause.unwrap_or(error)));
                }
            }
        }
    }

    fn put_progress(&mut self, mark: &Mark) -> Result<(), SinkError> {
        self.own_progress = [self.own_progress[1], Some(*mark)];
        let producer = self.producer("progress")?;
        let next = i64::try_from(mark.sequence + 1).expect("sequences stay far below 2^63");
        let list = self.partition(Offset::Offset(next));
        list.find_partition(&self.target.kafka_topic, 0).expect("just added").set_metadata(progress_text(mark));
        let group = self.reader.group_metadata().expect("the reader has a group");
        let sent = producer.send_offsets_to_transaction(&list, &group, TRANSACTION);
        sent.map_err(|error| self.failed("progress", error))
    }

    fn commit(&mut self) -> Result<(), SinkError> {
        let outcome = self.drain("commit").and_then(|producer| {
            producer.commit_transaction(TRANSACTION).map_err(|error| self.failed("commit", error))
        });
        self.end(outcome)
    }

    fn abort(&mut self) -> Result<(), SinkError> {
        // What is queued is dropped; what is under way must come back first, or its numbers would be missing.
        let outcome = self.producer("abort").and_then(|producer| {
            producer.purge(PurgeConfig::default().queue());
            let producer = self.drain("abort")?;
            producer.abort_transaction(TRANSACTION).map_err(|error| self.failed("abort", error))
        });
        self.end(outcome)
    }
}

fn client(target: &Target) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &target.bootstrap).set("client.id", "oyez-gateway");
    // Or a producer would make a deleted topic anew, with whatever settings the cluster has for such.
    config.set("allow.auto.create.topics", "false");
    // As much as a fetch may answer with: one record is never cut.
    config.set("receive.message.max.bytes", "1100000000");
    config
}

fn is_fenced(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced)
}

/// What neither another try nor another instance heals: rights, and what this broker or this topic never takes.
fn is_final(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::UnsupportedFeature
            | Code::UnsupportedVersion
            | Code::InvalidTransactionTimeout
            | Code::MessageSizeTooLarge
            | Code::InvalidTimestamp
            | Code::InvalidRecord
            | Code::PolicyViolation
    )
}

fn is_abortable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(cause) => cause.txn_requires_abort(),
        KafkaError::MessageProduction(_) => true,
        _ => false,
    }
}

fn headers(message: &Message<'_>) -> OwnedHeaders {
    let epoch = message.epoch.to_be_bytes();
    let time_ns = message.publish_time_ns.to_be_bytes();
    OwnedHeaders::new_with_capacity(2)
        .insert(Header { key: EPOCH_HEADER, value: Some(&epoch) })
        .insert(Header { key: TIME_HEADER, value: Some(&time_ns) })
}

/// A record of a lane; `None` if it lacks a part or a part has another length.
fn parse(message: &impl rdkafka::Message) -> Option<Record> {
    let headers = message.headers()?;
    let header = |name| headers.iter().find(|header| header.key == name)?.value;
    Some(Record {
        epoch: u32::from_be_bytes(header(EPOCH_HEADER)?.try_into().ok()?),
        sequence: u64::from_be_bytes(message.key()?.try_into().ok()?),
        publish_time_ns: u64::from_be_bytes(header(TIME_HEADER)?.try_into().ok()?),
        bytes: message.payload()?.to_vec(),
    })
}

/// The metadata of the lane's group offset: epoch, then the digest in hexadecimal.
fn progress_text(mark: &Mark) -> String {
    let digest: String = mark.digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{};{digest}", mark.epoch)
}

fn parse_progress(next: i64, text: &str) -> Option<Mark> {
    let (epoch, hex) = text.split_once(';')?;
    let sequence = u64::try_from(next).ok()?.checked_sub(1)?;
    let mut digest = [0; 32];
    if hex.len() != 2 * digest.len() {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
    }
    Some(Mark { epoch: epoch.parse().ok()?, sequence, digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_comes_back_as_it_went_and_nothing_else_passes_for_it() {
        let mark = Mark { epoch: 7, sequence: 41, digest: std::array::from_fn(|at| at as u8 * 7) };
        let text = progress_text(&mark);
        assert_eq!(parse_progress(42, &text), Some(mark));
        let shorter = &text[..text.len() - 2];
        for (next, text) in [(0, text.as_str()), (-1, &text), (42, ""), (42, "7"), (42, shorter), (42, "x;00")] {
            assert_eq!(parse_progress(next, text), None, "{next} {text}");
        }
    }
}
