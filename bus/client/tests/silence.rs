//! A publisher on its way makes no system call and allocates nothing; nor does a subscriber of a ring.

#[path = "support/counting.rs"]
mod counting;
#[path = "support/trace.rs"]
mod trace;

use counting::allocations;
use oyez::{Binding, Bus, EventKind, Offer, Publisher, Start, Topic};
use trace::traced;

fn publish(publisher: &mut Publisher, number: u64) {
    let mut claim = publisher.claim(68).expect("it fits");
    claim[..8].copy_from_slice(&[7, 7, 8, 7, 7, 7, 7, 7]);
    claim[8..16].copy_from_slice(&number.to_le_bytes());
    assert!(matches!(claim.commit(), Ok(Offer::Published(_))));
    assert!(matches!(publisher.offer(&[7; 51]), Ok(Offer::Published(_))));
}

#[test]
fn publishing_and_polling_allocate_nothing() {
    let binding =
        Binding { schema_id: 0x0707, version_min: 0, version_max: 0x0707, template_ids: vec![0x0707, 0x0708] };
    let bus = Bus::in_process(&[Topic::new("md").binding(binding)]).expect("a bus");
    let mut subscriber = bus.subscriber().topic("md", Start::Live).open().expect("a start");
    let mut publisher = bus.publisher("md").open().expect("an owner");
    let mut received = 0_u64;
    let mut take = |received: &mut u64| {
        let polled = subscriber.poll(64, |event| *received += u64::from(matches!(event.kind, EventKind::Message(_))));
        polled.expect("nothing is wrong")
    };
    // The first poll enters the ring, which takes a buffer.
    publish(&mut publisher, 0);
    while received < 2 {
        take(&mut received);
    }
    let asked = allocations(|| {
        for number in 0..500_000 {
            publish(&mut publisher, number);
            take(&mut received);
        }
    });
    while take(&mut received) > 0 {}
    assert_eq!(received, 1_000_002);
    assert_eq!(asked, 0, "allocations in a million publishes");
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1, "the counter counts");
}

#[test]
fn a_million_publishes_make_no_system_call() {
    let Some(calls) = traced("a_million_publishes_make_no_system_call", &[]) else { return };
    assert_eq!(calls, Vec::<String>::new());
    let planted = traced("a_million_publishes_make_no_system_call", &["--plant"]).expect("as before");
    assert!(planted.len() == 1 && planted[0].contains("getuid()"), "a planted call is seen: {planted:?}");
}
