//! Owners that write what they must not, and die: their own topic suffers, the broker and the next owner do not.

use oyez_mem::memory;
use oyez_protocol::{FailureCode, Message, Refusal};
use oyez_ring::{Epoch, Memory, Offer, RegionMut, State};

use crate::house::House;
use crate::peer::{Owned, now_ns, until};

/// Owns a topic and has a mapping of its ring beside its writer's.
fn own(house: &House, topic: &str) -> (Owned, RegionMut, usize) {
    let mut peer = house.peer("hostile");
    let offer = until("an offer", || {
        let answer = peer.open_publisher(topic);
        (!matches!(answer.packet.message, Message::NotGranted { .. })).then_some(answer)
    });
    let Message::RingOffer { capacity, .. } = offer.packet.message else { panic!("no offer") };
    memory::check_size(&offer.descriptors[0], Memory::len_bytes(capacity)).expect("the size agreed");
    let region = RegionMut::map(&offer.descriptors[0], Memory::len_bytes(capacity) as usize).expect("writable");
    (peer.accept(topic, offer), region, capacity as usize)
}

#[test]
fn a_mark_that_cannot_be_harms_nobody() {
    let house = House::new();
    for topic in ["scratch", "md"] {
        let mut sequence = 0;
        for mark in [8, u64::MAX, 0] {
            let (mut owned, region, capacity) = own(&house, topic);
            owned.publish_all(3);
            assert!(owned.writer.tail().sequence.0 >= sequence + 3, "numbers were given twice");
            sequence = owned.writer.tail().sequence.0 - 3;
            region.store(capacity, mark);
            drop((owned, region));
        }
        house.peer("next").own(topic).publish();
    }
    assert_eq!(house.keeper.count("the broker died"), 0);
}

#[test]
fn a_time_of_the_far_future_does_not_outlive_its_owner() {
    let house = House::new();
    for topic in ["scratch", "md"] {
        let mut owned = house.peer("hostile").own(topic);
        owned.publish();
        let end = owned.writer.tail();
        let offer = owned.writer.offer(&[0; 64], u64::MAX - 1).expect("a length in bounds");
        assert!(matches!(offer, Offer::Published(_)));
        drop(owned);
        let next = house.peer("next").own(topic);
        assert_eq!(next.writer.tail().sequence, end.sequence, "{topic}");
        assert!(next.writer.tail().time_ns <= now_ns(), "{topic}: the clock of the partition is poisoned");
    }
}

#[test]
fn a_ring_wiped_ends_where_the_recorder_had_come() {
    let house = House::new();
    let mut reader = house.peer("reader");
    reader.subscribe("md");
    let (mut owned, region, capacity) = own(&house, "md");
    let opened = reader.open_epoch("md", 1);
    owned.publish_all(5_000);
    let end = owned.writer.tail();
    until("the recorder", || (opened.control.written() == end.position).then_some(()));
    (0..capacity).step_by(8).for_each(|at| region.store(at, 0));
    drop((owned, region));
    let next = house.peer("next").own("md");
    assert_eq!((opened.control.end(), next.writer.tail().sequence), (Some(end.position), end.sequence));
    assert_ne!(opened.control.state(), State::Running);
    assert_eq!(house.keeper.count("the broker died"), 0);
}

#[test]
fn a_ring_that_cannot_be_adopted_keeps_the_next_owner_away_while_it_can_be_written() {
    let house = House::new();
    let mut first = house.peer("first");
    let offer = until("an offer", || {
        let answer = first.open_publisher("md");
        (!matches!(answer.packet.message, Message::NotGranted { .. })).then_some(answer)
    });
    // No broker can add the seals that readers rely on any more.
    memory::seal_size(&offer.descriptors[0]).expect("sealed");
    house.kill_broker();
    house.keeper.line(&["ring.md.0.1.", "not adopted"]);
    let answer = house.peer("second").open_publisher("md").packet.message;
    assert!(matches!(answer, Message::NotGranted { refusal: Refusal::Ending, .. }), "{answer:?}");
    drop(offer);
    assert_eq!(house.peer("second").own("md").epoch, Epoch(2));
}

#[test]
fn an_epoch_is_taken_back_only_by_the_process_that_had_it() {
    let house = House::new();
    let owner = house.child("own-out-of-sight", &["md"]);
    owner.line(&["out of sight"]);
    let mut thief = house.peer("thief");
    until("the broker to miss it", || (thief.state("md").0 == "ending").then_some(()));
    let (code, _) = thief.refusal(Message::Reclaim { partition: 0, epoch: Epoch(1), topic: "md".into() });
    assert_eq!(code, FailureCode::NotOwner);
}
