//! The reconcile table, row by row, on a loopback target: where a lane resumes, and when it stops.

mod support;

use oyez_gateway::sink::loopback::Loopback;
use oyez_gateway::sink::{Record, Tail};
use oyez_gateway::{FeedError, Lane, LaneError, Mark, Notice, Options};
use std::path::PathBuf;
use support::{Driver, Faulty, Shared, Topic, assert_dense, committed, mark, record, small};
use tempfile::TempDir;

struct Target {
    dir: TempDir,
    script: Shared,
}

impl Target {
    fn new() -> Target {
        Target { dir: tempfile::tempdir().expect("a folder"), script: Shared::default() }
    }

    /// A target that holds the topic's first `end` messages.
    fn holding(end: u64) -> Target {
        let target = Target::new();
        Driver::new().until_committed(&mut target.lane(Topic::durable(end)), end).expect("fills the target");
        target
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("target")
    }

    fn lane(&self, topic: Topic) -> Lane<Topic, Faulty<Loopback>> {
        self.lane_from(topic, None)
    }

    fn lane_from(&self, topic: Topic, origin: Option<u64>) -> Lane<Topic, Faulty<Loopback>> {
        let sink = Faulty::new(Loopback::open(self.path()).expect("opens"), &self.script);
        Lane::new(topic, sink, Options { origin, ..small() })
    }

    fn tell_tail(&self, tail: Tail) {
        self.script.borrow_mut().tail = Some(tail);
    }

    fn tell_progress(&self, progress: Option<Mark>) {
        self.script.borrow_mut().progress = Some(progress);
    }

    fn committed(&self) -> Vec<Record> {
        committed(self.path())
    }
}

fn resumed(notices: &[Notice]) -> Option<u64> {
    notices.iter().find_map(|notice| if let Notice::Resumed { next } = notice { Some(*next) } else { None })
}

#[test]
fn first_start_begins_at_zero() {
    let target = Target::holding(50);
    assert_dense(&target.committed(), 0, 50);
}

#[test]
fn first_start_begins_at_the_origin_given() {
    let target = Target::new();
    let mut lane = target.lane_from(Topic { earliest: 5, ..Topic::durable(50) }, Some(5));
    Driver::new().until_committed(&mut lane, 50).expect("streams");
    assert_dense(&target.committed(), 5, 50);
}

#[test]
fn first_start_stops_where_the_journal_lacks_the_origin() {
    let target = Target::new();
    let error = Driver::new().until_stopped(&mut target.lane(Topic { earliest: 5, ..Topic::durable(50) }));
    assert_eq!(error, LaneError::OriginGone { origin: 0, earliest: 5 });
    assert_dense(&target.committed(), 0, 0);
}

#[test]
fn first_start_stops_where_the_topic_has_not_come_to_the_origin() {
    let target = Target::new();
    let error = Driver::new().until_stopped(&mut target.lane_from(Topic::durable(50), Some(51)));
    assert_eq!(error, LaneError::OriginAhead { origin: 51, end: 50 });
    let mut lane = target
        .lane_from(Topic { sought: vec![Ok(()), Err(FeedError::Ahead { end: 50 })], ..Topic::durable(50) }, Some(51));
    assert_eq!(Driver::new().until_stopped(&mut lane), error);
}

#[test]
fn tail_and_progress_agree() {
    let target = Target::holding(50);
    let mut lane = target.lane(Topic::durable(120));
    Driver::new().until_committed(&mut lane, 120).expect("resumes");
    assert_eq!(resumed(&lane.take_notices()), Some(50));
    assert_dense(&target.committed(), 0, 120);
}

#[test]
fn retention_removed_everything() {
    let target = Target::holding(50);
    target.tell_tail(Tail::Removed);
    let mut lane = target.lane(Topic::durable(120));
    Driver::new().until_committed(&mut lane, 120).expect("resumes by the progress");
    assert_eq!(resumed(&lane.take_notices()), Some(50));
    assert_dense(&target.committed(), 0, 120);
}

#[test]
fn retention_removed_everything_and_the_journal_is_another() {
    let target = Target::holding(50);
    target.tell_tail(Tail::Removed);
    let changed = Record { bytes: b"something else".to_vec(), ..record(49) };
    let error = Driver::new().until_stopped(&mut target.lane(changed_topic(120, changed)));
    assert_eq!(error, LaneError::OtherStream { sequence: 49, target_epoch: 1, bus_epoch: 1 });
}

#[test]
fn target_lost_committed_messages() {
    let target = Target::holding(50);
    target.tell_progress(Some(mark(69)));
    let mut lane = target.lane(Topic::durable(120));
    Driver::new().until_committed(&mut lane, 120).expect("fills them in");
    assert!(lane.take_notices().contains(&Notice::TargetLost { from: 50, to: 70 }));
    assert_dense(&target.committed(), 0, 120);
}

#[test]
fn target_lost_committed_messages_that_the_journal_lacks_too() {
    let target = Target::holding(50);
    target.tell_progress(Some(mark(69)));
    let error = Driver::new().until_stopped(&mut target.lane(Topic { earliest: 60, ..Topic::durable(120) }));
    assert_eq!(error, LaneError::Gap { from: 50, to: 60 });
    assert_dense(&target.committed(), 0, 50);
}

#[test]
fn progress_is_committed_anew_after_each_start() {
    // Behind, gone, or of unknown age.
    for progress in [Some(mark(30)), None, Some(mark(49))] {
        let target = Target::holding(50);
        target.tell_progress(progress);
        let mut lane = target.lane(Topic::durable(50));
        target.script.borrow_mut().trace.clear();
        Driver::new().until_transaction(&mut lane).expect("goes on");
        let trace = target.script.borrow().trace.clone();
        assert_eq!(trace, ["fence", "tail", "progress", "begin", "put_progress", "commit"]);
        assert_dense(&target.committed(), 0, 50);
    }
}

#[test]
fn target_made_anew_stops() {
    let target = Target::new();
    target.tell_progress(Some(mark(49)));
    let error = Driver::new().until_stopped(&mut target.lane(Topic::durable(120)));
    assert_eq!(error, LaneError::TargetReplaced { committed: 49 });
}

#[test]
fn nothing_tells_where_the_lane_was() {
    let target = Target::new();
    target.tell_tail(Tail::Removed);
    assert_eq!(Driver::new().until_stopped(&mut target.lane(Topic::durable(120))), LaneError::NoPast);
    target.tell_tail(Tail::Removed);
    let mut lane = target.lane_from(Topic::durable(120), Some(100));
    Driver::new().until_committed(&mut lane, 120).expect("an origin decides");
    assert_dense(&target.committed(), 100, 120);
}

fn changed_topic(end: u64, changed: Record) -> Topic {
    let mut topic = Topic::durable(end);
    topic.changed.insert(changed.sequence, changed);
    topic
}

#[test]
fn bytes_time_and_epoch_must_agree_at_the_tail() {
    let original = record(49);
    let others = [
        Record { bytes: original.bytes.iter().map(|byte| byte ^ 1).collect(), ..original.clone() },
        Record { publish_time_ns: original.publish_time_ns + 1, ..original.clone() },
        Record { epoch: original.epoch + 1, ..original.clone() },
    ];
    for other in others {
        let target = Target::holding(50);
        let bus_epoch = other.epoch;
        let error = Driver::new().until_stopped(&mut target.lane(changed_topic(120, other)));
        assert_eq!(error, LaneError::OtherStream { sequence: 49, target_epoch: 1, bus_epoch });
        assert_dense(&target.committed(), 0, 50);
    }
}

#[test]
fn target_ahead_of_the_bus_stops() {
    let target = Target::holding(50);
    let error = Driver::new().until_stopped(&mut target.lane(Topic::durable(49)));
    assert_eq!(error, LaneError::Ahead { committed: 49, end: None });
    let error = Driver::new().until_stopped(&mut target.lane(Topic::durable(40)));
    assert_eq!(error, LaneError::Ahead { committed: 49, end: Some(40) });
    assert_dense(&target.committed(), 0, 50);
}

#[test]
fn tail_that_retention_took_from_the_journal_is_not_compared() {
    let target = Target::holding(50);
    let mut lane = target.lane(Topic { earliest: 50, ..Topic::durable(120) });
    Driver::new().until_committed(&mut lane, 120).expect("nothing is missing");
    assert!(lane.take_notices().contains(&Notice::Unverified { sequence: 49 }));
    assert_dense(&target.committed(), 0, 120);
}

#[test]
fn journal_pruned_past_the_tail_stops() {
    let target = Target::holding(50);
    let error = Driver::new().until_stopped(&mut target.lane(Topic { earliest: 51, ..Topic::durable(120) }));
    assert_eq!(error, LaneError::Gap { from: 50, to: 51 });
    assert_dense(&target.committed(), 0, 50);
}
