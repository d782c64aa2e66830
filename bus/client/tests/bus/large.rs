//! Messages of several frames: whole for whoever starts anywhere, from ring and from journal, and as durable as others.

use crate::house::{House, PATIENCE};
use crate::reading::{Given, publish};
use oyez::{Durability, Published, Publisher, Sequence, Start};

const TOPIC: &str = "[[topics]]\nname = \"md\"\nring_mib = 16\npublish = [\"self\"]\n";
/// A quarter of the ring, and as long as a segment of the journal.
const LONGEST: usize = 4 << 20;
const LENGTHS: [usize; 8] = [64, LONGEST, 64, 4_097, 70_000, 4_096, 1 << 20, 8];

fn message(number: u64) -> Vec<u8> {
    let len_bytes = LENGTHS[number as usize % LENGTHS.len()];
    (0..len_bytes as u64).map(|at| (at * 31 + at / 4_096 + number) as u8).collect()
}

fn publish_all(publisher: &mut Publisher, numbers: std::ops::Range<u64>) -> Vec<Published> {
    numbers.map(|number| publish(publisher, &message(number))).collect()
}

#[test]
fn every_start_gives_them_whole() {
    let house = House::new(TOPIC);
    let bus = house.bus();
    assert_eq!(bus.describe("md").expect("an answer").message_bytes_max(), LONGEST);
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    let live = bus.subscriber().topic("md", Start::Live).open().expect("a start");
    let durable = bus.subscriber().topic("md", Start::Live).until(Durability::Durable).open().expect("a start");
    // Twice round the ring, so that the first are only in the journal.
    let published = publish_all(&mut publisher, 0..56);
    publisher.wait(published[55].position, Durability::Durable, PATIENCE).expect("a disk");
    house.kill_broker();
    let resume = Start::Resume { epoch: publisher.epoch(), sequence: Sequence(9) };
    let starts = [
        (Start::Earliest, 0),
        (Start::Sequence(Sequence(1)), 1),
        (Start::Sequence(Sequence(2)), 2),
        (resume, 9),
        (Start::Sequence(Sequence(49)), 49),
        (Start::Time(published[54].time_ns), 54),
        (Start::Live, 56),
    ];
    let subscribers =
        starts.map(|(start, first)| (bus.subscriber().topic("md", start).open().expect("a start"), first));
    publish_all(&mut publisher, 56..60);
    for (mut subscriber, first) in subscribers.into_iter().chain([(live, 0), (durable, 0)]) {
        let mut given = Given::default();
        given.up_to(&mut subscriber, 59);
        given.assert_dense_from(first);
        assert!(given.bytes.iter().zip(first..).all(|(bytes, number)| *bytes == message(number)), "from {first}");
        assert_eq!(given.count("Gap"), 0, "{:?}", given.events);
    }
}

#[test]
fn a_claim_of_any_length_is_filled_and_committed() {
    let house = House::new(TOPIC);
    let bus = house.bus();
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    for number in 0..8 {
        let bytes = message(number);
        let mut claim = publisher.claim(bytes.len()).expect("it fits");
        claim.copy_from_slice(&bytes);
        let published = claim.commit().expect("an owner").published().expect("there is room");
        publisher.wait(published.position, Durability::Durable, PATIENCE).expect("a disk");
    }
    assert_eq!(publisher.message_bytes_max(), LONGEST);
    let refused = publisher.claim(LONGEST + 1).err().expect("too long").to_string();
    assert!(refused.contains("8 to 4194304 bytes fit"), "{refused}");
    let mut given = Given::default();
    let mut subscriber = bus.subscriber().topic("md", Start::Earliest).open().expect("a start");
    given.up_to(&mut subscriber, 7);
    assert!(given.bytes.iter().zip(0..).all(|(bytes, number)| *bytes == message(number)));
}
