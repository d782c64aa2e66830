//! The engine while it streams: transactions, aborts, unknown outcomes, and what stops it.

mod support;

use oyez::{Binding, Misfit};
use oyez_gateway::sink::loopback::Loopback;
use oyez_gateway::sink::{Limit, Record, SinkError};
use oyez_gateway::{FeedError, FeedItem, Lane, LaneError, LaneState, Notice, Options};
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use support::{Driver, Fault, Faulty, Shared, Topic, assert_dense, committed, record};

fn lane(path: &Path, topic: Topic, script: &Shared) -> Lane<Topic, Faulty<Loopback>> {
    Lane::new(topic, Faulty::new(Loopback::open(path).expect("opens"), script), Options::default())
}

/// Runs 100 messages past `faults`; returns the lane's aborts and fences.
fn stream_past(faults: &[(u64, Fault)]) -> (usize, u64) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let script = Shared::default();
    script.borrow_mut().faults.extend(faults.iter().copied());
    let mut lane = lane(&path, Topic::durable(100), &script);
    Driver::new().until_committed(&mut lane, 100).expect("heals");
    assert!(script.borrow().faults.is_empty(), "every fault was met");
    assert_dense(&committed(&path), 0, 100);
    let aborts = script.borrow().trace.iter().filter(|call| **call == "abort").count();
    (aborts, lane.status().fences)
}

// All in one transaction, whose calls are: 4 begin, 5 to 104 put, 105 put_progress, 106 commit.

#[test]
fn abortable_errors_are_aborted_and_repeated() {
    for call in [5, 17, 104, 105, 106] {
        assert_eq!(stream_past(&[(call, Fault::Abortable)]), (1, 2), "call {call}");
    }
}

#[test]
fn unknown_outcomes_lead_to_a_new_fence() {
    for call in [5, 105, 106] {
        assert_eq!(stream_past(&[(call, Fault::UnknownDone)]), (0, 2), "call {call}");
        assert_eq!(stream_past(&[(call, Fault::UnknownUndone)]), (0, 2), "call {call}");
    }
}

#[test]
fn abort_of_unknown_outcome_leads_to_a_new_fence() {
    assert_eq!(stream_past(&[(106, Fault::Abortable), (107, Fault::UnknownDone)]), (1, 2));
}

#[test]
fn failures_in_a_row_are_waited_out() {
    let faults: Vec<_> = (1..8).map(|call| (call, Fault::UnknownUndone)).collect();
    assert_eq!(stream_past(&faults).1, 1);
}

#[test]
fn fenced_instance_cannot_add_to_what_the_new_one_wrote() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let script = Shared::default();
    let mut old = lane(&path, Topic::durable(100), &script);
    let mut driver = Driver::new();
    for _ in 0..3 {
        driver.turn(&mut old).expect("has an open transaction");
    }
    let mut new = lane(&path, Topic::durable(100), &script);
    driver.until_committed(&mut new, 100).expect("takes over");
    let error = driver.until_stopped(&mut old);
    assert!(matches!(error, LaneError::Sink(SinkError::Fenced { .. })), "{error}");
    assert_eq!(old.do_work(u64::MAX), Err(error), "a stopped lane stays stopped");
    assert_dense(&committed(&path), 0, 100);
}

#[test]
fn gap_in_the_stream_stops_the_lane_and_what_precedes_it_is_committed() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let mut topic = Topic::durable(100);
    topic.instead.insert(40, FeedItem::Gap { from: 40, to: 41 });
    let mut lane = lane(&path, topic, &Shared::default());
    assert_eq!(Driver::new().until_stopped(&mut lane), LaneError::Gap { from: 40, to: 41 });
    assert_dense(&committed(&path), 0, 40);
    assert_eq!(lane.status().state, LaneState::Stopped);
    assert!(lane.status().error.expect("says why").contains("--origin 41"));
}

#[test]
fn missing_message_without_a_gap_event_stops_the_lane() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let mut topic = Topic::durable(100);
    topic.changed.insert(40, record(41));
    let mut lane = lane(&path, topic, &Shared::default());
    assert_eq!(Driver::new().until_stopped(&mut lane), LaneError::Gap { from: 40, to: 41 });
}

#[test]
fn doubled_message_stops_the_lane() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let mut topic = Topic::durable(100);
    topic.changed.insert(40, record(39));
    let mut lane = lane(&path, topic, &Shared::default());
    assert_eq!(Driver::new().until_stopped(&mut lane), LaneError::Ahead { committed: 39, end: Some(39) });
}

#[test]
fn epoch_that_runs_backwards_stops_the_lane() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let mut topic = Topic::durable(200);
    topic.changed.insert(150, Record { epoch: 1, ..record(150) });
    let mut lane = lane(&path, topic, &Shared::default());
    let error = Driver::new().until_stopped(&mut lane);
    assert_eq!(error, LaneError::OtherStream { sequence: 150, target_epoch: 2, bus_epoch: 1 });
}

/// The topic's message under `sequence`, as one of schema 7 and this version.
fn bound(sequence: u64, version: u16) -> Record {
    let mut message = record(sequence);
    message.bytes.splice(..8, [0, 1, 7, version].into_iter().flat_map(u16::to_le_bytes));
    message
}

fn binding(version_max: u16) -> Option<Binding> {
    Some(Binding { schema_id: 7, version_min: 0, version_max, template_ids: vec![1] })
}

/// A topic of 100 messages, rolled from version 1 to 2 at the 60th.
fn rolled(bindings: &[Option<Binding>]) -> Topic {
    let changed = (0..100).map(|sequence| (sequence, bound(sequence, 1 + u16::from(sequence >= 60)))).collect();
    Topic { changed, bindings: bindings.to_vec(), ..Topic::durable(100) }
}

#[test]
fn message_that_does_not_fit_stops_the_lane_and_what_precedes_it_is_committed() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let mut stopped = lane(&path, rolled(&[binding(1)]), &Shared::default());
    let misfit = Misfit::Version { schema_id: 7, found: 2, version_min: 0, version_max: 1 };
    assert_eq!(Driver::new().until_stopped(&mut stopped), LaneError::Misfit { sequence: 60, misfit });
    assert_eq!(committed(&path), (0..60).map(|sequence| bound(sequence, 1)).collect::<Vec<_>>());
    assert_eq!(stopped.status().fences, 1);

    // The catalog has learnt the version; the lane goes on with both.
    let mut lane = lane(&path, rolled(&[binding(2)]), &Shared::default());
    Driver::new().until_committed(&mut lane, 100).expect("goes on");
    let all = (0..100).map(|sequence| bound(sequence, 1 + u16::from(sequence >= 60)));
    assert_eq!(committed(&path), all.collect::<Vec<_>>());
}

#[test]
fn message_longer_than_the_target_takes_stops_the_lane_and_what_precedes_it_is_committed() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let long = Record { bytes: vec![7; 5_000], ..record(60) };
    let topic = Topic { changed: [(60, long.clone())].into(), ..Topic::durable(100) };
    let limit = Limit { message_bytes_max: 4_999, setting: "a setting" };
    let script = Shared::default();
    script.borrow_mut().limit = Some(limit);
    let mut stopped = lane(&path, topic.clone(), &script);
    let error = Driver::new().until_stopped(&mut stopped);
    assert_eq!(error, LaneError::TooLarge { sequence: 60, len_bytes: 5_000, limit });
    assert_dense(&committed(&path), 0, 60);
    let narrow = Notice::Narrow { topic_bytes_max: support::MESSAGE_BYTES_MAX, limit };
    assert_eq!(stopped.take_notices()[0], narrow);
    assert!(narrow.to_string().contains("up to 33554432 bytes, the target 4999: a longer one stops the lane; raise a"));

    let mut wide = lane(&path, topic, &Shared::default());
    Driver::new().until_committed(&mut wide, 100).expect("goes on");
    assert_eq!((committed(&path).len(), &committed(&path)[60]), (100, &long));
    assert!(!wide.take_notices().iter().any(|notice| matches!(notice, Notice::Narrow { .. })));
}

#[test]
fn version_that_the_catalog_learns_meanwhile_goes_through() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    // The first answer is from before the roll.
    let mut lane = lane(&path, rolled(&[binding(2), binding(1)]), &Shared::default());
    Driver::new().until_committed(&mut lane, 100).expect("goes on");
    assert_eq!((lane.status().fences, committed(&path).len()), (2, 100));
    let notices = lane.take_notices();
    let told_so = |notice: &Notice| notice.to_string().starts_with("the catalog binds the topic otherwise than before");
    assert!(notices.iter().any(told_so), "{notices:?}");
}

#[test]
fn what_precedes_a_misfit_and_is_not_known_to_be_durable_is_waited_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let told = Rc::new(Cell::new(30));
    let topic = Topic { told_durable: Some(told.clone()), ..rolled(&[binding(1)]) };
    let mut lane = lane(&path, topic, &Shared::default());
    let mut driver = Driver::new();
    for _ in 0..1000 {
        driver.turn(&mut lane).expect("waits");
    }
    assert_dense(&committed(&path), 0, 0);
    told.set(60);
    assert!(matches!(driver.until_stopped(&mut lane), LaneError::Misfit { sequence: 60, .. }));
    assert_eq!(committed(&path).len(), 60);
}

#[test]
fn binding_that_grows_narrower_is_learnt_without_a_misfit() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    // Nothing was bound at the fence; from the first commit on the catalog allows only the older version.
    let mut lane = lane(&path, rolled(&[binding(1), None]), &Shared::default());
    assert!(matches!(Driver::new().until_stopped(&mut lane), LaneError::Misfit { sequence: 60, .. }));
    assert_eq!(committed(&path).len(), 60);
}

#[test]
fn commit_before_a_misfit_that_always_fails_stops_the_lane() {
    let dir = tempfile::tempdir().expect("a folder");
    let script = Shared::default();
    script.borrow_mut().always = Some(("commit", Fault::Abortable));
    let mut lane = lane(&dir.path().join("target"), rolled(&[binding(1)]), &script);
    assert!(matches!(Driver::new().until_stopped(&mut lane), LaneError::KeepsFailing { .. }));
}

#[test]
fn commit_that_fails_before_a_misfit_is_made_up_for() {
    for fault in [Fault::Abortable, Fault::UnknownDone, Fault::UnknownUndone] {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("target");
        let script = Shared::default();
        // fence, tail, progress, begin, 60 puts, put_progress, commit.
        script.borrow_mut().faults.insert(66, fault);
        let mut lane = lane(&path, rolled(&[binding(1)]), &script);
        let error = Driver::new().until_stopped(&mut lane);
        assert!(matches!(error, LaneError::Misfit { sequence: 60, .. }), "{error}");
        assert!(script.borrow().faults.is_empty(), "the fault was met");
        assert_eq!(committed(&path).len(), 60, "{fault:?}");
    }
}

#[test]
fn other_schemas_templates_and_short_messages_do_not_fit() {
    let other = |word: usize, value: u8| {
        let mut message = bound(40, 1);
        message.bytes[word * 2] = value;
        message
    };
    let short = Record { bytes: vec![1; 3], ..record(40) };
    let cases = [
        (other(2, 8), Misfit::Schema { found: 8, allowed: 7 }),
        (other(1, 2), Misfit::Template { schema_id: 7, found: 2, allowed: vec![1] }),
        (short, Misfit::Header { len_bytes: 3 }),
    ];
    for (message, misfit) in cases {
        let dir = tempfile::tempdir().expect("a folder");
        let mut topic = rolled(&[binding(2)]);
        topic.changed.insert(40, message);
        let mut lane = lane(&dir.path().join("target"), topic, &Shared::default());
        assert_eq!(Driver::new().until_stopped(&mut lane), LaneError::Misfit { sequence: 40, misfit });
    }
}

#[test]
fn rollback_below_what_is_committed_stops_the_lane() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let mut topic = Topic::durable(100);
    topic.instead.insert(60, FeedItem::Rewound { from: 60, to: 55 });
    let mut lane = lane(&path, topic, &Shared::default());
    assert_eq!(Driver::new().until_stopped(&mut lane), LaneError::Ahead { committed: 59, end: Some(55) });
}

#[test]
fn nothing_above_durable_is_committed() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let told = Rc::new(Cell::new(60));
    // A feed that gives what the broker does not call durable.
    let topic = Topic { told_durable: Some(told.clone()), ..Topic::durable(100) };
    let mut held = lane(&path, topic.clone(), &Shared::default());
    let mut driver = Driver::new();
    for _ in 0..1000 {
        driver.turn(&mut held).expect("waits");
    }
    let notices = held.take_notices();
    let told_so = |notice: &Notice| notice.to_string().contains("after position 7680 is not known to be durable");
    assert!(notices.iter().any(told_so), "{notices:?}");
    assert_eq!(held.close(), Ok(()));
    assert_dense(&committed(&path), 0, 0);
    told.set(99);
    let mut held = lane(&path, topic, &Shared::default());
    for _ in 0..1000 {
        driver.turn(&mut held).expect("waits");
    }
    assert_dense(&committed(&path), 0, 0);
    told.set(100);
    driver.until_committed(&mut held, 100).expect("goes on");
    assert_dense(&committed(&path), 0, 100);
}

fn away() -> Result<(), FeedError> {
    Err(FeedError::Unavailable("the broker is away".into()))
}

#[test]
fn bus_that_is_away_when_a_transaction_is_aborted_is_waited_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let script = Shared::default();
    script.borrow_mut().faults.insert(17, Fault::Abortable);
    let mut lane = lane(&path, Topic { sought: vec![away(), away(), Ok(())], ..Topic::durable(100) }, &script);
    Driver::new().until_committed(&mut lane, 100).expect("goes on");
    assert_eq!(lane.status().fences, 4);
    assert_dense(&committed(&path), 0, 100);
}

#[test]
fn topic_that_cannot_be_read_now_is_tried_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let sought = vec![away(); 3];
    let mut lane = lane(&path, Topic { sought, ..Topic::durable(100) }, &Shared::default());
    Driver::new().until_committed(&mut lane, 100).expect("goes on");
    assert_dense(&committed(&path), 0, 100);
}

#[test]
fn topic_that_cannot_be_read_stops_the_lane() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let error = FeedError::Failed("no such topic".into());
    let mut lane = lane(&path, Topic { sought: vec![Err(error.clone())], ..Topic::durable(100) }, &Shared::default());
    assert_eq!(Driver::new().until_stopped(&mut lane), LaneError::Feed(error));
}

/// Transactions that `messages` messages take under `options`, 256 messages and 20 ms a turn.
fn transactions(messages: u64, options: Options) -> u64 {
    let dir = tempfile::tempdir().expect("a folder");
    let sink = Loopback::open(dir.path().join("target")).expect("opens");
    let mut lane = Lane::new(Topic::durable(messages), sink, options);
    Driver::new().until_committed(&mut lane, messages).expect("streams");
    lane.status().transactions
}

#[test]
fn transactions_close_by_time_bytes_and_count() {
    let wide = Options { transaction_ms_max: 1_000_000, ..Options::default() };
    let turns = 10;
    let messages = 256 * turns;
    assert_eq!(transactions(messages, Options { transaction_ms_max: 0, ..wide.clone() }), turns);
    // Opened at one turn, 40 ms old two turns later, which only commits.
    assert_eq!(transactions(messages, Options { transaction_ms_max: 40, ..wide.clone() }), turns / 2);
    assert_eq!(transactions(messages, Options { transaction_bytes_max: 1, ..wide.clone() }), turns);
    assert_eq!(transactions(messages, Options { transaction_messages_max: 512, ..wide }), turns / 2);
}

#[test]
fn close_commits_what_is_open() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let sink = Loopback::open(&path).expect("opens");
    let mut lane = Lane::new(Topic::durable(10), sink, Options::default());
    let mut turns = 0;
    let clean = lane.run(&mut |lane| {
        turns += 1;
        assert!(turns < 100_000, "{:?}", lane.status());
        lane.status().committed_sequence.is_some() || turns < 4
    });
    assert_eq!(clean, Ok(()));
    assert_dense(&committed(&path), 0, 10);
}

#[test]
fn close_leaves_alone_what_has_no_known_outcome() {
    for fault in [Fault::UnknownDone, Fault::UnknownUndone] {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("target");
        let script = Shared::default();
        script.borrow_mut().faults.insert(106, fault);
        let mut lane = lane(&path, Topic::durable(100), &script);
        let mut driver = Driver::new();
        while lane.status().error.is_none() {
            driver.turn(&mut lane).expect("goes on");
        }
        assert_eq!(lane.close(), Ok(()));
        assert_eq!(script.borrow().trace.last(), Some(&"commit"), "the one that failed");
        assert_dense(&committed(&path), 0, if fault == Fault::UnknownDone { 100 } else { 0 });
    }
}

#[test]
fn failure_that_does_not_heal_stops_the_lane() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    for always in [("put", Fault::Abortable), ("commit", Fault::Abortable), ("commit", Fault::UnknownUndone)] {
        let script = Shared::default();
        script.borrow_mut().always = Some(always);
        let mut lane = lane(&path, Topic::durable(100), &script);
        let error = Driver::new().until_stopped(&mut lane).to_string();
        assert!(error.starts_with("20 transactions in a row failed") && error.contains("told to fail"), "{error}");
        assert_dense(&committed(&path), 0, 0);
    }
}

#[test]
fn target_that_is_away_is_waited_for_without_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    for action in ["fence", "tail", "progress"] {
        let script = Shared::default();
        script.borrow_mut().always = Some((action, Fault::UnknownUndone));
        let mut lane = lane(&path, Topic::durable(100), &script);
        let mut driver = Driver::new();
        // 200 s, and a try every 5.
        (0..10_000).for_each(|_| assert_eq!(driver.turn(&mut lane), Ok(0)));
        assert!(script.borrow().calls > 40);
    }
}

#[test]
fn idle_lane_renews_its_progress_once_an_hour() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let script = Shared::default();
    let mut lane = lane(&path, Topic::durable(10), &script);
    let mut driver = Driver::new();
    driver.until_committed(&mut lane, 10).expect("streams");
    let hour_ns = 3_600_000_000_000;
    lane.do_work(hour_ns).expect("not yet");
    assert_eq!(lane.status().transactions, 1);
    lane.do_work(hour_ns + 1_000_000_000).expect("now");
    assert_eq!(lane.status().transactions, 2);
    let trace = script.borrow().trace.clone();
    assert_eq!(trace[trace.len() - 3..], ["begin", "put_progress", "commit"]);
    assert_dense(&committed(&path), 0, 10);
}

#[test]
fn troubles_are_told_and_forgotten() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let script = Shared::default();
    script.borrow_mut().faults.insert(106, Fault::UnknownUndone);
    let mut lane = lane(&path, Topic::durable(100), &script);
    let mut driver = Driver::new();
    while lane.status().error.is_none() {
        driver.turn(&mut lane).expect("goes on");
    }
    assert!(lane.status().error.expect("just seen").contains("commit has no known outcome"));
    driver.until_committed(&mut lane, 100).expect("heals");
    assert_eq!(lane.status().error, None);
    assert!(lane.take_notices().iter().any(|notice| matches!(notice, Notice::Retrying { wait_ms: 50, .. })));
    assert!(lane.status().target.contains("not Kafka"));
}
