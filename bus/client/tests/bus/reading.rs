//! Subscribers: where they start, what they are told, and that they lose nothing.

use crate::house::{House, PATIENCE, until};
use oyez::{
    Durability, EventKind, GapCause, Offer, Position, Published, Publisher, Sequence, Start, Subscriber, TopicIndex,
};

pub(crate) const RECORDED: &str = "[[topics]]\nname = \"md\"\nring_mib = 2\npublish = [\"self\"]\n";
pub(crate) const UNRECORDED: &str = "[[topics]]\nname = \"md\"\nring_mib = 2\nrecorded = false\npublish = [\"self\"]\n";

/// Publishes; waits where the recorder is behind.
pub(crate) fn publish(publisher: &mut Publisher, bytes: &[u8]) -> Published {
    until("room in the ring", || match publisher.offer(bytes).expect("an owner") {
        Offer::Published(published) => Some(published),
        Offer::BackPressured => None,
    })
}

/// What a subscriber was given: the sequences, and all other events in words.
#[derive(Default)]
pub(crate) struct Given {
    pub(crate) sequences: Vec<u64>,
    pub(crate) events: Vec<String>,
    pub(crate) bytes: Vec<Vec<u8>>,
}

impl Given {
    /// Polls until the last sequence is this one.
    #[track_caller]
    pub(crate) fn up_to(&mut self, subscriber: &mut Subscriber, last: u64) {
        until(&format!("message {last}"), || {
            self.poll(subscriber);
            (self.sequences.last() == Some(&last)).then_some(())
        });
    }

    pub(crate) fn poll(&mut self, subscriber: &mut Subscriber) -> usize {
        let polled = subscriber.poll(1_000, |event| match event.kind {
            EventKind::Message(message) => {
                self.sequences.push(message.sequence.0);
                self.bytes.push(message.bytes.to_vec());
            }
            other => self.events.push(format!("{other:?}")),
        });
        polled.expect("nothing is wrong")
    }

    #[track_caller]
    pub(crate) fn assert_dense_from(&self, first: u64) {
        assert_eq!(self.sequences, (first..first + self.sequences.len() as u64).collect::<Vec<_>>());
    }

    pub(crate) fn count(&self, event: &str) -> usize {
        self.events.iter().filter(|told| told.starts_with(event)).count()
    }
}

fn message(number: u64, len_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![number as u8; len_bytes];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

#[test]
fn every_start_begins_where_it_says_and_goes_on_live() {
    let house = House::new(RECORDED);
    let bus = house.bus();
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    let published: Vec<Published> = (0..100).map(|number| publish(&mut publisher, &message(number, 64))).collect();
    publisher.wait(published[99].position, Durability::Durable, PATIENCE).expect("a disk");

    let starts = [
        (Start::Live, 100),
        (Start::Earliest, 0),
        (Start::Sequence(Sequence(50)), 50),
        (Start::Sequence(Sequence(100)), 100),
        (Start::Resume { epoch: publisher.epoch(), sequence: Sequence(60) }, 60),
        (
            Start::Time(published[70].time_ns),
            published.iter().position(|p| p.time_ns == published[70].time_ns).unwrap(),
        ),
    ];
    let mut opened: Vec<(Subscriber, u64)> = Vec::new();
    for (start, first) in starts {
        opened.push((bus.subscriber().topic("md", start).open().expect("a start"), first as u64));
    }
    (100..110).for_each(|number| {
        publish(&mut publisher, &message(number, 64));
    });
    for (mut subscriber, first) in opened {
        let mut given = Given::default();
        given.up_to(&mut subscriber, 109);
        given.assert_dense_from(first);
        assert_eq!(given.count("CaughtUp"), 1, "{:?}", given.events);
        assert!(given.bytes.iter().zip(first..).all(|(bytes, number)| *bytes == message(number, 64)));
    }
}

#[test]
fn a_slow_subscriber_is_handed_to_the_journal_and_back_and_loses_nothing() {
    let house = House::new(RECORDED);
    let bus = house.bus();
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    let mut subscriber = bus.subscriber().topic("md", Start::Live).open().expect("a start");
    let mut given = Given::default();
    publish(&mut publisher, &message(0, 4_000));
    given.up_to(&mut subscriber, 0);
    assert!(subscriber.reads_ring(TopicIndex(0)));
    // Eight times round, over several segments.
    const COUNT: u64 = 4_000;
    (1..COUNT).for_each(|number| {
        publish(&mut publisher, &message(number, 4_000));
    });
    given.up_to(&mut subscriber, COUNT - 1);
    publish(&mut publisher, &message(COUNT, 4_000));
    given.up_to(&mut subscriber, COUNT);
    given.assert_dense_from(0);
    assert!(given.bytes.iter().zip(0..).all(|(bytes, number)| *bytes == message(number, 4_000)));
    assert!(given.count("Lapped") >= 1 && given.count("CaughtUp") == given.count("Lapped") + 1, "{:?}", given.events);
    assert_eq!(given.count("Gap"), 0, "{:?}", given.events);
    assert!(subscriber.reads_ring(TopicIndex(0)), "back on the ring");
}

#[test]
fn an_unrecorded_topic_tells_what_was_lost_exactly() {
    let house = House::new(UNRECORDED);
    let bus = house.bus();
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    let mut subscriber = bus.subscriber().topic("md", Start::Live).open().expect("a start");
    (0..2_000).for_each(|number| {
        publish(&mut publisher, &message(number, 4_000));
    });
    let (mut sequences, mut gap) = (Vec::new(), None);
    until("the last message", || {
        let polled = subscriber.poll(100, |event| match event.kind {
            EventKind::Message(message) => sequences.push(message.sequence.0),
            EventKind::Gap { from, to, cause } => gap = Some((from.0, to.0, cause)),
            _ => {}
        });
        polled.expect("nothing is wrong");
        (sequences.last() == Some(&1_999)).then_some(())
    });
    let first = sequences[0];
    assert_eq!(sequences, (first..2_000).collect::<Vec<_>>());
    assert_eq!(gap, Some((0, first, GapCause::Lapped)));
    let refused = bus.subscriber().topic("md", Start::Live).until(Durability::Durable).open().unwrap_err();
    assert!(refused.to_string().contains("md keeps messages published, not durable"), "{refused}");
}

#[test]
fn a_subscriber_until_durable_is_never_above_it() {
    let house = House::new(RECORDED);
    let bus = house.bus();
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    let mut subscriber = bus.subscriber().topic("md", Start::Live).until(Durability::Durable).open().expect("a start");
    let mut highest = Position(0);
    let mut received = 0;
    for number in 0..2_000 {
        publish(&mut publisher, &message(number, 500));
        subscriber
            .poll(100, |event| {
                if let EventKind::Message(message) = event.kind {
                    (highest, received) = (highest.max(message.position), received + 1);
                }
            })
            .expect("nothing is wrong");
        // Read after the poll: it only rises.
        let durable = publisher.position(Durability::Durable).expect("it is kept");
        assert!(highest <= durable, "{highest} was given, {durable} is durable");
    }
    until("the rest", || {
        let polled = subscriber.poll(100, |event| received += u32::from(matches!(event.kind, EventKind::Message(_))));
        polled.expect("nothing is wrong");
        (received == 2_000).then_some(())
    });
}

#[test]
fn one_poll_reads_many_topics_each_in_order() {
    let house = House::new(&["a", "b", "c"].map(|name| RECORDED.replace("\"md\"", &format!("{name:?}"))).concat());
    let bus = house.bus();
    let mut publishers = ["a", "b", "c"].map(|name| bus.publisher(name).wait(PATIENCE).open().expect("an owner"));
    let mut builder = bus.subscriber();
    for name in ["a", "b", "c"] {
        builder = builder.topic(name, Start::Earliest);
    }
    let mut subscriber = builder.open().expect("starts");
    for number in 0..300 {
        publishers.iter_mut().for_each(|publisher| {
            publish(publisher, &message(number, 100));
        });
    }
    let mut next = [0; 3];
    until("all of them", || {
        let polled = subscriber.poll(7, |event| {
            if let EventKind::Message(message) = event.kind {
                assert_eq!(message.sequence.0, next[event.topic.0], "topic {}", event.topic.0);
                next[event.topic.0] += 1;
            }
        });
        assert!(polled.expect("nothing is wrong") <= 7);
        (next == [300; 3]).then_some(())
    });
    assert_eq!(subscriber.topic(TopicIndex(1)).name, "b");
}

#[test]
fn a_message_that_was_never_published_cannot_be_started_with() {
    let house = House::new(RECORDED);
    let bus = house.bus();
    publish(&mut bus.publisher("md").open().expect("an owner"), &message(0, 64));
    let mut subscriber = bus.subscriber().topic("md", Start::Sequence(Sequence(9))).open().expect("not known yet");
    let error = until("an answer", || subscriber.poll(10, |_| ()).err());
    assert!(
        error.to_string().contains("topic md, partition 0: message 9 was never published, the next one is 1"),
        "{error}"
    );
    assert!(error.is_fatal());
    let epoch = oyez::Epoch(77);
    let unknown = bus.subscriber().topic("md", Start::Resume { epoch, sequence: Sequence(1) }).open().unwrap_err();
    assert!(unknown.to_string().contains("epoch 77 never was"), "{unknown}");
}

#[test]
fn subscribers_of_one_connection_learn_of_a_new_epoch_together() {
    let house = House::new(UNRECORDED);
    let bus = house.bus();
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    publish(&mut publisher, &message(0, 64));
    let open = || bus.subscriber().topic("md", Start::Live).open().expect("a start");
    // The first one, who asked, is gone when the answer comes.
    drop(open());
    let pair = [open(), open()];
    drop(publisher);
    let mut next = bus.publisher("md").wait(PATIENCE).open().expect("it is free");
    publish(&mut next, &message(1, 64));
    for mut subscriber in pair {
        let mut given = Given::default();
        given.up_to(&mut subscriber, 1);
        assert_eq!(given.count("Epoch"), 1, "{:?}", given.events);
    }
}
