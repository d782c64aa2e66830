//! The lane against a real Kafka, named by `OYEZ_KAFKA_BOOTSTRAP`; each test makes a topic of its own. What arrived
//! is read by a plain read_committed consumer that takes the records apart as `docs/formats/lane.md` says.

#[path = "support/kafka_topic.rs"]
mod kafka_topic;
mod support;

use futures_executor::block_on;
use kafka_topic::{KafkaTopic, REQUEST, within};
use oyez::Binding;
use oyez_gateway::sink::kafka::{Kafka, Target};
use oyez_gateway::sink::{Record, Sink, SinkError, Tail};
use oyez_gateway::{Feed, FeedError, FeedItem, Lane, LaneError, Notice, Options};
use rdkafka::Offset;
use rdkafka::admin::{AdminOptions, AlterConfig, ResourceSpecifier};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{Driver, Fault, Faulty, Shared, Topic, assert_dense, mark, record, records, small};

/// How a child process is told which lane to be: `topic;messages;messages_per_ms`.
const CHILD: &str = "OYEZ_GATEWAY_TEST_CHILD";

impl KafkaTopic {
    fn sink(&self) -> Kafka {
        Kafka::new(self.target()).expect("a sink")
    }

    fn lane(&self, topic: Topic) -> Lane<Topic, Kafka> {
        Lane::new(topic, self.sink(), small())
    }

    fn fill(&self, end: u64) {
        let mut lane = Lane::new(Topic::durable(end), self.sink(), Options::default());
        Driver::new().until_committed(&mut lane, end).expect("streams");
    }

    /// Another process that runs this lane, until it has committed `messages`.
    fn child(&self, messages: u64, messages_per_ms: u64) -> Child {
        Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "child_lane", "--nocapture"])
            .env(CHILD, format!("{};{messages};{messages_per_ms}", self.topic))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts")
    }
}

#[test]
fn streams_and_resumes() {
    let Some(broker) = KafkaTopic::new("streams") else { return };
    broker.fill(50);
    assert_dense(&broker.committed(), 0, 50);
    let mut lane = broker.lane(Topic::durable(320));
    Driver::new().until_committed(&mut lane, 320).expect("resumes");
    assert!(lane.take_notices().contains(&Notice::Resumed { next: 50 }));
    assert_dense(&broker.committed(), 0, 320);
}

#[test]
fn aborted_messages_are_invisible_and_repeated() {
    let Some(broker) = KafkaTopic::new("abort") else { return };
    let script = Shared::default();
    script.borrow_mut().faults.extend([(17, Fault::Abortable), (64, Fault::Abortable)]);
    let sink = Faulty::new(broker.sink(), &script);
    let mut lane = Lane::new(Topic::durable(100), sink, Options::default());
    let mut driver = Driver::new();
    driver.until_committed(&mut lane, 100).expect("heals");
    assert_eq!(lane.status().fences, 3);
    assert_dense(&broker.committed(), 0, 100);

    // And on purpose, delivered before the abort, so that the partition really holds them.
    let mut sink = broker.sink();
    sink.fence().expect("fences");
    sink.begin().expect("begins");
    records(100, 110).iter().for_each(|record| sink.put(&record.message()).expect("puts"));
    within("the open transaction is in the partition", || (broker.read("read_uncommitted").len() >= 110).then_some(()));
    assert_dense(&broker.committed(), 0, 100);
    sink.abort().expect("aborts");
    assert_dense(&broker.committed(), 0, 100);
    drop(sink);
    broker.fill(120);
    assert_dense(&broker.committed(), 0, 120);
}

#[test]
fn unknown_outcomes_end_the_instance_and_are_looked_up() {
    let Some(broker) = KafkaTopic::new("unknown") else { return };
    let script = Shared::default();
    script.borrow_mut().faults.extend([(106, Fault::UnknownUndone), (212, Fault::UnknownDone)]);
    let sink = Faulty::new(broker.sink(), &script);
    let mut lane = Lane::new(Topic::durable(100), sink, Options::default());
    let mut driver = Driver::new();
    while !script.borrow().faults.is_empty() {
        driver.turn(&mut lane).expect("heals");
    }
    // The second commit took place, so only the fence can tell that nothing is left to do.
    while lane.status().committed_sequence != Some(99) {
        driver.turn(&mut lane).expect("heals");
    }
    assert_eq!(lane.status().fences, 3);
    assert_dense(&broker.committed(), 0, 100);
}

#[test]
fn second_instance_fences_the_first() {
    let Some(broker) = KafkaTopic::new("fence") else { return };
    let mut driver = Driver::new();
    let mut old = Lane::new(Topic::durable(100), broker.sink(), Options::default());
    for _ in 0..3 {
        driver.turn(&mut old).expect("has an open transaction");
    }
    assert_eq!(old.status().committed_sequence, None);
    let mut new = broker.lane(Topic::durable(200));
    driver.until_committed(&mut new, 200).expect("takes over");
    let error = driver.until_stopped(&mut old);
    assert!(matches!(error, LaneError::Sink(SinkError::Fenced { .. })), "{error}");
    assert!(error.to_string().contains("another gateway has taken this lane over"), "{error}");
    assert_dense(&broker.committed(), 0, 200);
}

#[test]
fn second_instance_fences_the_first_before_it_has_committed_anything() {
    let Some(broker) = KafkaTopic::new("early") else { return };
    let mut driver = Driver::new();
    let mut old = Lane::new(Topic::durable(100), broker.sink(), Options::default());
    for _ in 0..3 {
        driver.turn(&mut old).expect("has an open transaction");
    }
    broker.sink().fence().expect("fences");
    let error = driver.until_stopped(&mut old);
    assert!(matches!(error, LaneError::Sink(SinkError::Fenced { .. })), "{error}");
}

#[test]
fn stopped_process_that_wakes_up_finds_itself_fenced() {
    let Some(broker) = KafkaTopic::new("frozen") else { return };
    let frozen = broker.child(1_000_000, 5);
    within("the child commits", || (broker.end("read_committed") > 100).then_some(()));
    signal(&frozen, "STOP");
    let end = broker.committed().len() as u64 + 5_000;
    broker.fill(end);
    signal(&frozen, "CONT");
    let output = frozen.wait_with_output().expect("exits");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("another gateway has taken this lane over"), "{told}");
    assert_dense(&broker.committed(), 0, end);
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success());
}

/// Not a test: the other process of the one above.
#[test]
fn child_lane() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let [topic, messages, messages_per_ms] = told.split(';').collect::<Vec<_>>().try_into().expect("three parts");
    let bootstrap = std::env::var("OYEZ_KAFKA_BOOTSTRAP").expect("the parent has it");
    let broker = KafkaTopic { bootstrap, topic: topic.into() };
    let messages: u64 = messages.parse().expect("a number");
    let messages_per_ms = messages_per_ms.parse().expect("a number");
    let feed = Paced { topic: Topic { end: messages, ..Topic::default() }, messages_per_ms, grown: Instant::now() };
    let mut lane = Lane::new(feed, broker.sink(), Options::default());
    let outcome = lane.run(&mut |lane| lane.status().committed_sequence != Some(messages - 1));
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// A topic that grows with time.
struct Paced {
    topic: Topic,
    messages_per_ms: u64,
    grown: Instant,
}

impl Feed for Paced {
    fn seek(&mut self, sequence: u64) -> Result<(), FeedError> {
        // What the target holds was durable before.
        self.topic.durable = self.topic.durable.max(sequence + 1).min(self.topic.end);
        self.topic.seek(sequence)
    }

    fn poll(&mut self, items_max: usize, each: &mut dyn FnMut(FeedItem<'_>)) -> Result<usize, FeedError> {
        let elapsed_ms = self.grown.elapsed().as_millis() as u64;
        self.grown += Duration::from_millis(elapsed_ms);
        self.topic.durable = (self.topic.durable + elapsed_ms * self.messages_per_ms).min(self.topic.end);
        self.topic.poll(items_max, each)
    }

    fn binding(&mut self) -> Result<Option<Binding>, FeedError> {
        self.topic.binding()
    }

    fn message_bytes_max(&mut self) -> Result<usize, FeedError> {
        self.topic.message_bytes_max()
    }

    fn durable_position(&mut self) -> u64 {
        self.topic.durable_position()
    }
}

/// Kafka's own default takes a megabyte; the notice at the start says so.
#[test]
fn message_beyond_the_topics_limit_stops_and_goes_through_once_that_is_raised() {
    let Some(broker) = KafkaTopic::new("large") else { return };
    let long = |sequence, len_bytes| Record { bytes: vec![sequence as u8; len_bytes], ..record(sequence) };
    let changed = [(2, long(2, 1_047_000)), (5, long(5, 1_048_000)), (6, long(6, 20_000_000)), (9, long(9, 9_000_000))];
    let topic = Topic { changed: changed.into(), ..Topic::durable(12) };
    let mut lane = broker.lane(topic.clone());
    let stopped = Driver::new().until_stopped(&mut lane);
    let LaneError::TooLarge { sequence: 5, len_bytes: 1_048_000, limit } = stopped else { panic!("{stopped}") };
    assert_eq!(limit.message_bytes_max, 1_048_588 - 1024);
    assert!(stopped.to_string().contains("raise max.message.bytes of the Kafka topic"), "{stopped}");
    assert!(lane.take_notices().iter().any(|notice| matches!(notice, Notice::Narrow { .. })));
    assert_eq!(broker.committed().len(), 5);

    let raised = AlterConfig::new(ResourceSpecifier::Topic(&broker.topic)).set("max.message.bytes", "32000000");
    let raised = raised.set("retention.ms", "-1");
    block_on(broker.admin().alter_configs([&raised], &AdminOptions::new())).expect("the broker answers");
    let mut lane = broker.lane(topic.clone());
    Driver::new().until_committed(&mut lane, 12).expect("goes on");
    let expected = (0..12).map(|sequence| topic.changed.get(&sequence).cloned().unwrap_or_else(|| record(sequence)));
    assert!(broker.committed().into_iter().eq(expected), "all of them, whole");
    // Its tail is found behind large records, too.
    let mut lane = broker.lane(Topic { end: 13, durable: 13, ..topic });
    Driver::new().until_committed(&mut lane, 13).expect("resumes");
    assert!(lane.take_notices().contains(&Notice::Resumed { next: 12 }));
}

#[test]
fn gap_stops_and_what_precedes_it_is_committed() {
    let Some(broker) = KafkaTopic::new("gap") else { return };
    broker.fill(50);
    let mut topic = Topic::durable(100);
    topic.instead.insert(80, FeedItem::Gap { from: 80, to: 81 });
    let mut lane = Lane::new(topic, broker.sink(), Options::default());
    assert_eq!(Driver::new().until_stopped(&mut lane), LaneError::Gap { from: 80, to: 81 });
    assert_dense(&broker.committed(), 0, 80);
}

#[test]
fn kafka_ahead_of_the_bus_stops() {
    let Some(broker) = KafkaTopic::new("ahead") else { return };
    broker.fill(50);
    let error = Driver::new().until_stopped(&mut broker.lane(Topic::durable(49)));
    assert_eq!(error, LaneError::Ahead { committed: 49, end: None });
    assert_dense(&broker.committed(), 0, 50);
}

#[test]
fn another_stream_stops() {
    let Some(broker) = KafkaTopic::new("other") else { return };
    broker.fill(50);
    let mut topic = Topic::durable(100);
    topic.changed.insert(49, Record { bytes: b"another".to_vec(), ..record(49) });
    let error = Driver::new().until_stopped(&mut broker.lane(topic));
    assert_eq!(error, LaneError::OtherStream { sequence: 49, target_epoch: 1, bus_epoch: 1 });
    assert_dense(&broker.committed(), 0, 50);
}

#[test]
fn emptied_partition_resumes_by_progress() {
    let Some(broker) = KafkaTopic::new("emptied") else { return };
    broker.fill(50);
    let emptied = broker.partition(Offset::End);
    block_on(broker.admin().delete_records(&emptied, &AdminOptions::new())).expect("empties the partition");
    let mut sink = broker.sink();
    sink.fence().expect("fences");
    assert_eq!((sink.tail(), sink.progress()), (Ok(Tail::Removed), Ok(Some(mark(49)))));
    drop(sink);
    broker.fill(120);
    assert_dense(&broker.committed(), 50, 120);
}

#[test]
fn deleted_progress_is_made_anew_from_the_tail() {
    let Some(broker) = KafkaTopic::new("progress") else { return };
    broker.fill(50);
    let group = broker.target().transactional_id();
    assert_eq!(group, format!("oyez.gw.{}.sbe", broker.topic));
    let deleted = block_on(broker.admin().delete_groups(&[&group], &AdminOptions::new())).expect("answers");
    deleted[0].as_ref().expect("deletes the group");
    let mut sink = broker.sink();
    sink.fence().expect("fences");
    assert_eq!((sink.tail(), sink.progress()), (Ok(Tail::Last(record(49))), Ok(None)));
    drop(sink);
    let mut lane = broker.lane(Topic::durable(50));
    Driver::new().until_transaction(&mut lane).expect("goes on");
    drop(lane);
    let mut sink = broker.sink();
    sink.fence().expect("fences");
    assert_eq!(sink.progress(), Ok(Some(mark(49))));
    assert_dense(&broker.committed(), 0, 50);
}

#[test]
fn tail_is_found_behind_markers_and_aborted_records() {
    let Some(broker) = KafkaTopic::new("tail") else { return };
    broker.fill(3);
    let mut sink = broker.sink();
    sink.fence().expect("fences");
    let end = || broker.end("read_uncommitted");
    for _ in 0..50 {
        let before = end();
        sink.begin().expect("begins");
        sink.put(&record(3).message()).expect("puts");
        sink.put_progress(&mark(3)).expect("puts progress");
        // Delivered before the abort, so that record and marker both take an offset.
        within("the record is in the partition", || (end() > before).then_some(()));
        sink.abort().expect("aborts");
    }
    assert!(end() > 100, "records and markers are there");
    assert_eq!((sink.tail(), sink.progress()), (Ok(Tail::Last(record(2))), Ok(Some(mark(2)))));
}

#[test]
fn commits_do_not_wait_in_coarse_steps() {
    let Some(broker) = KafkaTopic::new("latency") else { return };
    let mut sink = broker.sink();
    sink.fence().expect("fences");
    let mut commits_ms: Vec<u128> = (0..21)
        .map(|transaction| {
            sink.begin().expect("begins");
            let messages = records(transaction * 100, transaction * 100 + 100);
            messages.iter().for_each(|record| sink.put(&record.message()).expect("puts"));
            let started = Instant::now();
            sink.commit().expect("commits");
            started.elapsed().as_millis()
        })
        .collect();
    commits_ms.sort_unstable();
    eprintln!("commit of 100 messages: p50 {} ms, max {} ms", commits_ms[10], commits_ms[20]);
    assert!(commits_ms[0] < 60, "the client's own wait is 100 ms a commit: {commits_ms:?}");
}

fn refusal(target: Target) -> String {
    let error = Kafka::new(target).expect("a sink").check().expect_err("is refused");
    assert!(matches!(error, SinkError::Refused { .. }));
    error.to_string()
}

#[test]
fn unfit_topics_are_refused_with_the_remedy() {
    let Some(broker) = KafkaTopic::new("fit") else { return };
    let warnings = broker.sink().check().expect("is allowed");
    assert!(warnings[0].contains("1 replica(s)") && warnings[0].contains("for tests only"), "{warnings:?}");
    let strict = refusal(Target { allow_unreplicated: false, ..broker.target() });
    assert!(strict.contains("--allow-unreplicated"), "{strict}");
    let missing = refusal(Target { kafka_topic: "oyez-test-missing".into(), ..broker.target() });
    assert!(missing.contains("does not exist"), "{missing}");
    let silent = Kafka::new(Target { bootstrap: "127.0.0.1:1".into(), ..broker.target() }).expect("a sink").check();
    assert!(
        matches!(&silent, Err(SinkError::Unknown { reason, .. }) if reason.contains("is the broker running")),
        "{silent:?}"
    );
    let unfit = [
        (2, ("cleanup.policy", "delete"), "the topic has 2 partitions"),
        (1, ("cleanup.policy", "compact"), "cleanup.policy is \"compact\""),
        (1, ("cleanup.policy", "compact,delete"), "cleanup.policy is \"compact,delete\""),
        (1, ("message.timestamp.type", "LogAppendTime"), "message.timestamp.type is"),
        (1, ("unclean.leader.election.enable", "true"), "unclean.leader.election.enable is"),
        (1, ("max.message.bytes", "100000"), "max.message.bytes is below"),
        (1, ("message.timestamp.before.max.ms", "86400000"), "message.timestamp.before.max.ms is"),
    ];
    for (partitions, setting, reason) in unfit {
        let broker = KafkaTopic::with("unfit", partitions, &[setting]).expect("is set");
        let told = refusal(broker.target());
        assert!(told.contains(reason), "{told}");
    }
}

#[test]
fn foreign_record_at_the_tail_is_refused() {
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    let Some(broker) = KafkaTopic::new("foreign") else { return };
    broker.fill(5);
    let producer: BaseProducer = broker.client().create().expect("a producer");
    producer.send(BaseRecord::<str, str>::to(&broker.topic).payload("hello")).expect("sends");
    producer.flush(REQUEST).expect("arrives");
    let error = Driver::new().until_stopped(&mut broker.lane(Topic::durable(10)));
    assert!(error.to_string().contains("is not of this lane"), "{error}");
}

#[test]
fn message_that_kafka_never_takes_is_refused_with_its_reason() {
    let before = ("message.timestamp.before.max.ms", "1000");
    let Some(broker) = KafkaTopic::with("never", 1, &[before]) else { return };
    let mut sink = broker.sink();
    sink.fence().expect("fences");
    sink.begin().expect("begins");
    sink.put(&record(0).message()).expect("is only queued");
    let told = sink.put_progress(&mark(0)).and_then(|()| sink.commit());
    let Err(SinkError::Refused { reason, .. }) = told else { panic!("{told:?}") };
    assert!(reason.contains("Invalid timestamp"), "{reason}");
}

#[test]
fn second_writer_is_seen_below_the_tail() {
    let Some(broker) = KafkaTopic::new("second") else { return };
    broker.fill(5);
    let mut sink = broker.sink();
    sink.fence().expect("fences");
    sink.begin().expect("begins");
    records(4, 7).iter().for_each(|record| sink.put(&record.message()).expect("puts"));
    sink.commit().expect("commits");
    let error = Driver::new().until_stopped(&mut broker.lane(Topic::durable(10)));
    // Five messages, their marker, and then the fourth again.
    assert!(error.to_string().contains("the record at offset 6 is not of this lane, or not its next"), "{error}");
}

#[test]
fn tail_behind_an_open_transaction_is_not_taken_for_lost() {
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
    let Some(broker) = KafkaTopic::new("hidden") else { return };
    broker.fill(5);
    let foreign: BaseProducer = broker.client().set("transactional.id", &broker.topic).create().expect("a producer");
    foreign.init_transactions(REQUEST).expect("begins");
    foreign.begin_transaction().expect("begins");
    foreign.send(BaseRecord::<str, str>::to(&broker.topic).payload("hello")).expect("sends");
    within("it has arrived", || {
        foreign.poll(Duration::ZERO);
        (broker.end("read_uncommitted") > broker.end("read_committed")).then_some(())
    });
    let error = Driver::new().until_stopped(&mut broker.lane(Topic::durable(10)));
    assert!(error.to_string().contains("what comes from offset 6 on is hidden"), "{error}");
    within("it is reported", || {
        foreign.poll(Duration::ZERO);
        (foreign.in_flight_count() == 0).then_some(())
    });
    foreign.abort_transaction(REQUEST).expect("aborts");
    broker.fill(10);
    assert_dense(&broker.committed(), 0, 10);
}

#[test]
fn transaction_that_took_too_long_is_begun_again_unless_there_is_a_successor() {
    let Some(broker) = KafkaTopic::new("expired") else { return };
    let mut sink = broker.sink();
    let outlive_a_transaction = |sink: &mut Kafka, meanwhile: &dyn Fn()| {
        sink.fence().expect("fences");
        sink.progress().expect("answers");
        let before = broker.end("read_committed");
        sink.begin().expect("begins");
        sink.put(&record(0).message()).expect("puts");
        within("it is in the partition", || (broker.end("read_uncommitted") > before).then_some(()));
        // As if Kafka had been away for so long: what it says is the same.
        within("Kafka has aborted it", || (broker.end("read_committed") > before).then_some(()));
        meanwhile();
        sink.put_progress(&mark(0))
    };
    let alone = outlive_a_transaction(&mut sink, &|| {});
    assert!(matches!(alone, Err(SinkError::Unknown { .. })), "{alone:?}");
    let succeeded = outlive_a_transaction(&mut sink, &|| broker.fill(10));
    assert!(matches!(succeeded, Err(SinkError::Fenced { .. })), "{succeeded:?}");
    assert_dense(&broker.committed(), 0, 10);
}

#[test]
fn topic_that_is_deleted_under_a_running_lane_stops_it() {
    let Some(broker) = KafkaTopic::new("deleted") else { return };
    broker.fill(50);
    // More than it can carry before the deletion takes effect.
    let mut lane = broker.lane(Topic::durable(100_000));
    let mut driver = Driver::new();
    while lane.status().transactions == 0 {
        driver.turn(&mut lane).expect("resumes");
    }
    block_on(broker.admin().delete_topics(&[&broker.topic], &AdminOptions::new())).expect("answers");
    let error = driver.until_stopped(&mut lane);
    assert!(error.to_string().contains("the topic does not exist"), "{error}");
}
