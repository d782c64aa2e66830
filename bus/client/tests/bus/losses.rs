//! Brokers that die under their clients.

use crate::house::{House, PATIENCE, until};
use crate::reading::{Given, RECORDED, UNRECORDED, publish};
use oyez::{Durability, PublishError, Sequence, Start};

#[test]
fn a_brokers_death_stops_neither_publisher_nor_subscriber() {
    let house = House::new(RECORDED);
    let bus = house.bus();
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    let mut live = bus.subscriber().topic("md", Start::Live).open().expect("a start");
    let mut slow = bus.subscriber().topic("md", Start::Earliest).open().expect("a start");
    let epoch = publisher.epoch();
    let (mut given, mut last) = (Given::default(), 0);
    for _ in 0..5 {
        for _ in 0..100 {
            last = publish(&mut publisher, &[1; 1_000]).sequence.0;
        }
        given.up_to(&mut live, last);
        house.kill_broker();
        let published = publish(&mut publisher, &[2; 1_000]);
        publisher.wait(published.position, Durability::Durable, PATIENCE).expect("the new broker records");
        last = published.sequence.0;
    }
    // More than the ring holds: the gate of the new control page opens, and the slow one needs segments from it.
    for _ in 0..4_000 {
        last = publish(&mut publisher, &[3; 1_000]).sequence.0;
    }
    assert_eq!(publisher.epoch(), epoch, "it never lost its epoch");
    given.up_to(&mut live, last);
    given.assert_dense_from(0);
    let mut all = Given::default();
    all.up_to(&mut slow, last);
    all.assert_dense_from(0);
    for told in [&given, &all] {
        assert_eq!(told.count("Gap") + told.count("Rewound"), 0, "{:?}", told.events);
    }
    // Who comes later finds the same.
    let mut late = bus.subscriber().topic("md", Start::Earliest).open().expect("a start");
    let mut again = Given::default();
    again.up_to(&mut late, last);
    again.assert_dense_from(0);
}

#[test]
fn an_owner_change_is_told_after_a_brokers_death_too() {
    let house = House::new(UNRECORDED);
    let bus = house.bus();
    let mut subscriber = bus.subscriber().topic("md", Start::Live).open().expect("a start");
    let mut given = Given::default();
    for number in 0..3 {
        let mut publisher = bus.publisher("md").wait(PATIENCE).open().expect("it is free");
        publish(&mut publisher, &[1; 64]);
        house.kill_broker();
        drop(publisher);
        given.up_to(&mut subscriber, number);
    }
    given.assert_dense_from(0);
    assert_eq!(given.count("Gap"), 0, "{:?}", given.events);
}

#[test]
fn a_damaged_slot_at_a_segments_end_is_a_gap_and_reading_goes_on() {
    let house = House::new(RECORDED);
    let bus = house.bus();
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    let mut last = publish(&mut publisher, &[1; 1_000]);
    // First to the middle of the segment's last block, which stands in a place of the open block's slot from then on;
    // then until the ring has gone past the segment.
    for position in [(4 << 20) - (32 << 10), 7 << 20] {
        while last.position.0 < position {
            last = publish(&mut publisher, &[1; 1_000]);
        }
        publisher.wait(last.position, Durability::Durable, PATIENCE).expect("a disk");
    }
    house.damage_slot(63);
    let mut subscriber = bus.subscriber().topic("md", Start::Earliest).open().expect("a start");
    let mut given = Given::default();
    given.up_to(&mut subscriber, last.sequence.0);
    assert_eq!(given.count("Gap"), 1, "{:?}", given.events);
    assert!(given.events.iter().any(|event| event.contains("Corrupt")), "{:?}", given.events);
    let missing = last.sequence.0 + 1 - given.sequences.len() as u64;
    assert!((1..65).contains(&missing), "a part of a block: {missing}");
}

#[test]
fn what_was_lost_with_the_rings_is_told_and_never_silently_doubled() {
    let mut house = House::new(RECORDED);
    let bus = house.bus();
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    let mut subscriber = bus.subscriber().topic("md", Start::Live).open().expect("a start");
    let durable = publish(&mut publisher, &[1; 64]);
    publisher.wait(durable.position, Durability::Durable, PATIENCE).expect("a disk");
    house.kill_all();
    // In vain: nobody records it any more, and nobody keeps the ring.
    (0..10).for_each(|_| {
        publish(&mut publisher, &[2; 64]);
    });
    let mut given = Given::default();
    given.up_to(&mut subscriber, 10);
    house.start_again();

    let error = until("an error", || publisher.offer(&[3; 64]).err());
    assert!(error.is_fatal() && matches!(error, PublishError::Lost { .. }), "{error}");
    let mut next = bus.publisher("md").wait(PATIENCE).open().expect("it is free");
    let first = next.next_sequence();
    assert!(first >= Sequence(1) && first <= Sequence(11), "what was durable counts: {first}");
    publish(&mut next, &[4; 64]);

    let mut rest = Given::default();
    until("the new epoch", || {
        rest.poll(&mut subscriber);
        (rest.count("Epoch") == 1 && rest.sequences.last() == Some(&first.0)).then_some(())
    });
    let seen = given.sequences.len() as u64 + rest.sequences.len() as u64 - 1;
    let told = rest.count("Rewound");
    assert_eq!(told, usize::from(seen > first.0), "{seen} seen, {first} is next: {:?}", rest.events);
    assert_eq!(rest.count("Gap"), 0, "{:?}", rest.events);
}
