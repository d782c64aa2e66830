//! The bus within one process: the same API, the same events, no broker.
#![forbid(unsafe_code)]

use oyez::{
    BLOCK, Binding, Bus, Durability, Epoch, Event, EventKind, GapCause, Idle, Misfit, Offer, PublishError, Publisher,
    Sequence, Start, Subscriber, Topic, TopicIndex,
};
use std::time::Duration;

const RING_BYTES: u64 = 2 * BLOCK;

fn bus() -> Bus {
    Bus::in_process(&[Topic::new("md").ring_bytes(RING_BYTES), Topic::new("other")]).expect("a bus")
}

fn publish(publisher: &mut Publisher, count: usize, len_bytes: usize) {
    for _ in 0..count {
        assert!(matches!(publisher.offer(&vec![7; len_bytes]), Ok(Offer::Published(_))));
    }
}

/// Everything that is there, as words.
fn drain(subscriber: &mut Subscriber) -> Vec<String> {
    let mut told = Vec::new();
    let note = |told: &mut Vec<String>, event: Event<'_>| {
        told.push(match event.kind {
            EventKind::Message(message) => format!("{}", message.sequence),
            EventKind::Epoch { epoch, sequence, .. } => format!("epoch {epoch} at {sequence}"),
            EventKind::CaughtUp { sequence } => format!("caught up at {sequence}"),
            EventKind::Lapped { sequence } => format!("lapped at {sequence}"),
            EventKind::Gap { from, to, cause } => format!("gap {from}..{to} {cause:?}"),
            other => format!("{other:?}"),
        });
    };
    while subscriber.poll(3, |event| note(&mut told, event)).expect("nothing is wrong") > 0 {}
    told
}

#[test]
fn epochs_are_read_one_after_the_other() {
    let bus = bus();
    let mut early = bus.subscriber().topic("md", Start::Earliest).open().expect("a start");
    for _ in 0..3 {
        let mut publisher = bus.publisher("md").open().expect("nobody owns it");
        publish(&mut publisher, 2, 64);
        publisher.release().expect("nobody can refuse");
    }
    let told = ["epoch 1 at 0", "caught up at 0", "0", "1", "epoch 2 at 2", "2", "3", "epoch 3 at 4", "4", "5"];
    assert_eq!(drain(&mut early), told);
    let mut late = bus.subscriber().topic("md", Start::Sequence(Sequence(3))).open().expect("a start");
    assert_eq!(drain(&mut late), ["caught up at 3", "3", "epoch 3 at 4", "4", "5"]);
    let mut live = bus.subscriber().topic("md", Start::Live).open().expect("a start");
    assert_eq!(drain(&mut live), ["caught up at 6"]);
}

#[test]
fn a_subscriber_goes_elsewhere_as_if_it_were_opened_there() {
    let bus = bus();
    let starts = [
        Start::Earliest,
        Start::Live,
        Start::Sequence(Sequence(2)),
        Start::Resume { epoch: Epoch(1), sequence: Sequence(1) },
        Start::Time(0),
        Start::Time(u64::MAX),
    ];
    let open = |start| bus.subscriber().topic("md", start).open().expect("a start");
    let mut seeker = open(Start::Earliest);
    for messages in [0, 3, 2] {
        let mut publisher = bus.publisher("md").open().expect("nobody owns it");
        publish(&mut publisher, messages, 64);
        publisher.release().expect("nobody can refuse");
        // Resume and Sequence ask for what is there from the second turn on.
        for start in starts.into_iter().filter(|start| messages > 0 || !matches!(start, Start::Sequence(_))) {
            for read in 0..3 {
                let _ = seeker.poll(read, |_| ()).expect("nothing is wrong");
                seeker.seek(TopicIndex(0), start).expect("a start");
                assert_eq!(drain(&mut seeker), drain(&mut open(start)), "{start:?} after {read} events");
            }
        }
    }
    let error = seeker.seek(TopicIndex(0), Start::Resume { epoch: Epoch(9), sequence: Sequence(1) }).unwrap_err();
    assert!(error.to_string().contains("epoch 9 never was"), "{error}");
    seeker.seek(TopicIndex(0), Start::Earliest).expect("it can be sought again");
    assert_eq!(drain(&mut seeker).last().map(String::as_str), Some("4"));
}

#[test]
fn a_subscriber_knows_how_far_behind_it_is() {
    let bus = bus();
    let mut subscriber = bus.subscriber().topic("md", Start::Earliest).open().expect("a start");
    assert_eq!(subscriber.lag(TopicIndex(0)), None, "there is no epoch yet");
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    publish(&mut publisher, 20, 4_000);
    let newest = publisher.offer(&[7; 64]).expect("an owner").published().expect("there is room");
    let _ = subscriber.poll(2 + 18, |_| ()).expect("nothing is wrong");
    let lag = subscriber.lag(TopicIndex(0)).expect("it is known");
    assert_eq!((lag.messages, lag.newest_ns), (3, newest.time_ns), "beyond the first block");
    publisher.release().expect("nobody can refuse");
    assert_eq!(subscriber.lag(TopicIndex(0)).map(|lag| lag.messages), Some(3));
    drain(&mut subscriber);
    assert_eq!(subscriber.lag(TopicIndex(0)).map(|lag| lag.messages), Some(0));
}

#[test]
fn who_is_lapped_is_told_exactly() {
    let bus = bus();
    let mut subscriber = bus.subscriber().topic("md", Start::Live).open().expect("a start");
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    publish(&mut publisher, 2, 64);
    assert_eq!(drain(&mut subscriber), ["epoch 1 at 0", "caught up at 0", "0", "1"]);
    publish(&mut publisher, 200, 4_000);
    let told = drain(&mut subscriber);
    let first = told[2].strip_prefix("caught up at ").expect("after the gap").to_owned();
    assert_eq!((told[0].as_str(), told[3].as_str()), ("lapped at 2", first.as_str()));
    assert_eq!(told[1], format!("gap 2..{first} {:?}", GapCause::Lapped));
    assert_eq!(told.last().expect("messages"), "201");
}

#[test]
fn nothing_is_durable_here_and_that_is_said() {
    let bus = bus();
    let refused = bus.subscriber().topic("md", Start::Live).until(Durability::Durable).open().unwrap_err().to_string();
    assert!(refused.contains("topic md keeps messages published, not durable"), "{refused}");
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    let position = publisher.position(Durability::Published).expect("it is kept");
    let refused = publisher.wait(position, Durability::Durable, Duration::ZERO).unwrap_err().to_string();
    assert!(refused.contains("topic md keeps messages published, not durable"), "{refused}");
    publisher.wait(position, Durability::Published, Duration::ZERO).expect("it is so");
}

#[test]
fn a_message_may_have_a_quarter_of_the_ring() {
    let bus = bus();
    let mut subscriber = bus.subscriber().topic("md", Start::Live).open().expect("a start");
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    for (sequence, len_bytes) in [4_096, 4_097, RING_BYTES as usize / 4, 8].into_iter().enumerate() {
        publish(&mut publisher, 1, len_bytes);
        let mut given = Vec::new();
        let take = |event: Event<'_>| {
            if let EventKind::Message(message) = event.kind {
                assert_eq!(message.sequence, Sequence(sequence as u64));
                given.push(message.bytes.to_vec());
            }
        };
        subscriber.poll(9, take).expect("nothing is wrong");
        assert_eq!(given, [vec![7; len_bytes]]);
    }
    let refused = publisher.offer(&vec![7; RING_BYTES as usize / 4 + 1]).unwrap_err().to_string();
    assert!(refused.starts_with("topic md: a message of 32769 bytes: 8 to 32768 bytes fit"), "{refused}");
}

#[test]
fn a_topic_that_cannot_be_read_on_is_named_by_its_index_and_the_others_go_on() {
    let bus = bus();
    let [mut md, _other] = ["md", "other"].map(|topic| bus.publisher(topic).open().expect("nobody owns it"));
    let topics = bus.subscriber().topic("md", Start::Earliest).topic("other", Start::Sequence(Sequence(9)));
    let mut subscriber = topics.open().expect("a start");
    let (mut messages, mut errors) = (0, 0);
    for _ in 0..100 {
        publish(&mut md, 1, 64);
        let polled = subscriber.poll(16, |event| messages += u64::from(matches!(event.kind, EventKind::Message(_))));
        if polled.is_err() {
            assert_eq!(subscriber.failed(), Some(TopicIndex(1)));
            errors += 1;
        }
    }
    assert!(messages > 90 && errors > 90, "{messages} messages, {errors} errors");
    subscriber.seek(TopicIndex(0), Start::Live).expect("a start");
    assert_eq!(subscriber.failed(), Some(TopicIndex(1)), "elsewhere");
    subscriber.seek(TopicIndex(1), Start::Live).expect("a start");
    assert_eq!(subscriber.failed(), None);
    subscriber.poll(16, |_| ()).expect("mended");
}

#[test]
fn a_large_message_is_the_last_of_its_poll_and_then_comes_the_next_topic() {
    let bus = bus();
    let topics = bus.subscriber().topic("md", Start::Live).topic("other", Start::Live);
    let mut subscriber = topics.open().expect("a start");
    let [mut md, mut other] = ["md", "other"].map(|topic| bus.publisher(topic).open().expect("nobody owns it"));
    drain(&mut subscriber);
    for _ in 0..2 {
        publish(&mut md, 1, 64);
        publish(&mut md, 1, 5_000);
        publish(&mut other, 1, 5_000);
    }
    let mut polls = Vec::new();
    while polls.last() != Some(&vec![]) {
        let mut given = Vec::new();
        let take = |event: Event<'_>| {
            if let EventKind::Message(message) = event.kind {
                given.push((event.topic.0, message.bytes.len()));
            }
        };
        subscriber.poll(100, take).expect("nothing is wrong");
        polls.push(given);
    }
    let (of_md, of_other) = (vec![(0, 64), (0, 5_000)], vec![(1, 5_000)]);
    assert_eq!(polls, [of_md.clone(), of_other.clone(), of_md, of_other, vec![]]);
}

/// Who is lapped by large messages is told the same.
#[test]
fn who_is_lapped_within_a_message_is_given_nothing_of_it() {
    let bus = bus();
    let mut subscriber = bus.subscriber().topic("md", Start::Live).open().expect("a start");
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    publish(&mut publisher, 1, 64);
    assert_eq!(drain(&mut subscriber), ["epoch 1 at 0", "caught up at 0", "0"]);
    publish(&mut publisher, 50, 30_000);
    let told = drain(&mut subscriber);
    let first = told[2].strip_prefix("caught up at ").expect("after the gap").to_owned();
    assert_eq!(told[..2], ["lapped at 1".to_owned(), format!("gap 1..{first} {:?}", GapCause::Lapped)]);
    assert_eq!(told.last().expect("messages"), "50");
}

#[test]
fn one_owner_at_a_time() {
    let bus = bus();
    let publisher = bus.publisher("md").open().expect("nobody owns it");
    let refused = bus.publisher("md").open().unwrap_err();
    assert!(refused.is_retriable() && refused.to_string().contains("another publisher of this process"), "{refused}");
    let waiting = std::thread::spawn({
        let bus = bus.clone();
        move || bus.publisher("md").wait(Duration::from_secs(60)).open().map(|publisher| publisher.epoch())
    });
    drop(publisher);
    assert_eq!(waiting.join().expect("no panic").expect("it is free"), oyez::Epoch(2));
}

#[test]
fn wrong_declarations_and_unknown_names_are_refused() {
    let errors = [
        (Bus::in_process(&[Topic::new("md").ring_bytes(100_000)]).unwrap_err(), "topic md: its ring is not a power"),
        (Bus::in_process(&[Topic::new("md"), Topic::new("md")]).unwrap_err(), "topic md: declared twice"),
        (
            bus().describe("mb").unwrap_err(),
            "topic mb: not declared on this in-process bus, which has [\"md\", \"other\"]",
        ),
        (bus().schemas_xml("md").unwrap_err(), "topic md: an in-process bus keeps ids"),
    ];
    for (error, text) in errors {
        assert!(error.to_string().contains(text), "{error}");
    }
    assert!(bus().subscriber().open().unwrap_err().to_string().contains("without a topic"));
    assert!(bus().publisher("md").partition(1).open().unwrap_err().to_string().contains("md, partition 1"));
}

#[test]
fn messages_are_checked_as_with_a_broker() {
    let binding = Binding { schema_id: 7, version_min: 0, version_max: 2, template_ids: vec![1] };
    let bus = Bus::in_process(&[Topic::new("md").binding(binding.clone())]).expect("a bus");
    assert_eq!(bus.describe("md").expect("is there").binding, Some(binding));
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    assert!(matches!(publisher.offer(&[0, 0, 1, 0, 7, 0, 2, 0]), Ok(Offer::Published(_))));
    let mut claim = publisher.claim(8).expect("it fits");
    claim.copy_from_slice(&[0, 0, 1, 0, 7, 0, 3, 0]);
    let misfits = [
        claim.commit().unwrap_err(),
        publisher.offer(&[0, 0, 2, 0, 7, 0, 2, 0]).unwrap_err(),
        publisher.offer(&[0, 0, 1, 0, 8, 0, 2, 0]).unwrap_err(),
    ];
    let expected = [
        Misfit::Version { schema_id: 7, found: 3, version_min: 0, version_max: 2 },
        Misfit::Template { schema_id: 7, found: 2, allowed: vec![1] },
        Misfit::Schema { found: 8, allowed: 7 },
    ];
    for (error, expected) in misfits.into_iter().zip(expected) {
        assert!(!error.is_fatal() && !error.is_retriable());
        let PublishError::Misfit { topic, misfit } = error else { panic!("{error}") };
        assert_eq!((topic.as_str(), misfit), ("md", expected));
    }
    assert_eq!(publisher.next_sequence(), Sequence(1), "nothing of it is out");
}

#[test]
fn publisher_and_subscriber_in_threads_of_their_own() {
    const COUNT: u64 = 100_000;
    let bus = Bus::in_process(&[Topic::new("md").ring_bytes(1 << 24)]).expect("a bus");
    let mut subscriber = bus.subscriber().topic("md", Start::Live).open().expect("a start");
    let reading = std::thread::spawn(move || {
        let (mut next, mut idle) = (0, Idle::back_off());
        while next < COUNT {
            let polled = subscriber.poll(256, |event| match event.kind {
                EventKind::Message(message) => {
                    assert_eq!((message.sequence.0, message.bytes.len()), (next, 64));
                    next += 1;
                }
                EventKind::Gap { to, .. } => next = to.0,
                _ => {}
            });
            idle.rest(polled.expect("nothing is wrong"));
        }
    });
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    publish(&mut publisher, COUNT as usize, 64);
    reading.join().expect("every message, or a gap");
}

#[test]
fn a_standby_waits_until_the_other_publisher_is_dropped_and_kills_nobody() {
    let bus = bus();
    let first = bus.publisher("md").open().expect("nobody owns it");
    let mut standby = bus.publisher("md").standby();
    assert!(standby.wait(Duration::from_millis(2)).expect("it may wait").is_none());
    assert!(standby.take_over().expect_err("of this process").to_string().contains("drop the other publisher"));
    drop(first);
    let second = standby.wait(Duration::ZERO).expect("nothing is wrong").expect("it is free");
    assert_eq!(second.epoch(), Epoch(2));
    assert!(bus.publisher("nope").standby().wait(Duration::ZERO).is_err());
}

#[test]
fn partitions_are_published_by_key_and_read_together() {
    let bus = Bus::in_process(&[Topic::new("orders").partitions(4), Topic::new("md")]).expect("a bus");
    assert_eq!(bus.describe_partition("orders", 3).expect("it is there").partitions, 4);
    assert!(bus.describe_partition("orders", 4).is_err());
    let mut orders = bus.keyed_publisher("orders").open().expect("nobody owns it");
    let mut subscriber =
        bus.subscriber().topic("md", Start::Live).all_partitions("orders", Start::Live).open().unwrap();
    assert_eq!([0, 1, 4].map(|at| subscriber.partition(TopicIndex(at))), [0, 0, 3]);
    let mut published = Vec::new();
    for (number, key) in ["EURUSD", "a", "EURUSD", "FR0000131104", "a"].into_iter().enumerate() {
        let mut claim = orders.of_key(key.as_bytes()).expect("it is owned").claim(64).expect("it fits");
        claim.fill(number as u8);
        published.push(claim.commit().expect("an owner").published().expect("there is room").partition);
    }
    assert_eq!(published, [3, 3, 3, 2, 3]);
    let mut heard = Vec::new();
    while heard.len() < 5 {
        let note = |event: Event<'_>| {
            if let EventKind::Message(message) = event.kind {
                heard.push((event.topic.0, event.partition, message.sequence.0, message.bytes[0]));
            }
        };
        subscriber.poll(16, note).expect("nothing is wrong");
    }
    heard.sort_unstable();
    assert_eq!(heard, [(3, 2, 0, 3), (4, 3, 0, 0), (4, 3, 1, 1), (4, 3, 2, 2), (4, 3, 3, 4)]);
    for partitions in [0, 65] {
        assert!(Bus::in_process(&[Topic::new("md").partitions(partitions)]).is_err());
    }
}
