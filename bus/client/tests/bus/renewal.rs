//! Renewal: an owner goes on in the next epoch, busy or idle, and nobody misses anything.

use crate::house::{House, PATIENCE, until};
use crate::reading::{Given, publish};
use oyez::{BusError, Durability, Epoch, FailureCode, Offer, Start};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const TOPICS: &str = "[[topics]]\nname = \"md\"\nring_mib = 2\nstandbys = 1\npublish = [\"self\"]\n\
    [[topics]]\nname = \"scratch\"\nring_mib = 2\nrecorded = false\npublish = [\"self\"]\n";

#[test]
fn a_busy_owner_goes_on_in_each_new_epoch_and_a_subscriber_gets_all() {
    const RENEWALS: u32 = 20;
    let house = House::new(TOPICS);
    let (bus, operator) = (house.bus(), house.bus());
    for topic in ["md", "scratch"] {
        let mut subscriber = house.bus().subscriber().topic(topic, Start::Earliest).open().expect("a subscriber");
        let mut publisher = bus.publisher(topic).open().expect("nobody owns it");
        // Of the longest, nearly every instant is in the middle of one.
        let message = vec![1; if topic == "md" { 64 } else { publisher.message_bytes_max() }];
        let done = AtomicBool::new(false);
        let published = std::thread::scope(|scope| {
            let busy = scope.spawn(|| {
                let mut published = 0;
                while !done.load(Ordering::Relaxed) {
                    match publisher.offer(&message).expect("it owns on") {
                        Offer::Published(message) => {
                            assert_eq!(message.sequence.0, published);
                            published += 1;
                            assert_eq!(publisher.next_sequence().0, published);
                        }
                        Offer::BackPressured => std::thread::yield_now(),
                    }
                }
                published
            });
            let renewed: Vec<_> = (0..RENEWALS).map_while(|_| operator.renew(topic, 0).ok()).collect();
            done.store(true, Ordering::Relaxed);
            assert_eq!(renewed, (2..2 + RENEWALS).map(Epoch).collect::<Vec<_>>(), "{topic}");
            busy.join().expect("the publisher's own checks")
        });
        let last = publish(&mut publisher, &[1; 64]);
        assert_eq!((last.epoch, last.sequence.0), (Epoch(1 + RENEWALS), published));
        // Unrecorded, a subscriber may be lapped.
        if topic == "md" {
            let mut given = Given::default();
            given.up_to(&mut subscriber, published);
            given.assert_dense_from(0);
            assert_eq!(given.count("Epoch") as u32, 1 + RENEWALS, "{:?}", given.events);
        }
    }
}

#[test]
fn an_idle_owner_is_renewed_without_its_doing_and_finds_the_newest_epoch() {
    let house = House::new(TOPICS);
    let (bus, operator) = (house.bus(), house.bus());
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    let first = publish(&mut publisher, &[1; 64]);
    for epoch in 2..=5 {
        assert_eq!(operator.renew("md", 0).expect("it answers"), Epoch(epoch));
    }
    assert_eq!(publisher.next_sequence().0, 1);
    let second = publish(&mut publisher, &[2; 64]);
    assert_eq!((second.epoch, second.sequence.0, publisher.epoch()), (Epoch(5), 1, Epoch(5)));
    for message in [first, second] {
        publisher.wait(message.position, Durability::Durable, PATIENCE).expect("it becomes durable");
    }
    // What is granted by renewal is claimed again like any epoch.
    house.kill_broker();
    assert_eq!(publish(&mut publisher, &[3; 64]).epoch, Epoch(5));
    assert_eq!(until("its owner to be back", || operator.renew("md", 0).ok()), Epoch(6));
    // The broker comes back before the publisher has heard of its epoch.
    house.kill_broker();
    assert_eq!(until("its owner to be back", || operator.renew("md", 0).ok()), Epoch(7));
    house.kill_broker();
    until("its owner to be back", || house.said("epoch 7: its owner is back").then_some(()));
    assert_eq!(publish(&mut publisher, &[4; 64]).epoch, Epoch(7));
    assert_eq!(operator.renew("md", 0).expect("it answers"), Epoch(8));
    // Not heard of by the publisher, and yet released.
    publisher.release().expect("the broker answers");
    let next = house.bus().publisher("md").open().expect("it is free");
    assert_eq!((next.epoch(), next.next_sequence().0), (Epoch(9), 4));
    assert_eq!(operator.renew("md", 0).expect("it answers"), Epoch(10));
    drop(next);
    assert_eq!(house.bus().publisher("md").wait(PATIENCE).open().expect("it is free").epoch(), Epoch(11));
}

/// What a busy owner published last is mostly not durable yet when it goes on: a page that begins with its epoch's start
/// would say so of it.
#[test]
fn nothing_is_called_durable_before_all_below_it_is() {
    let house = House::new(TOPICS);
    let (bus, operator) = (house.bus(), house.bus());
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    for epoch in 2..=41 {
        let (end, durable) = std::thread::scope(|scope| {
            let renewal = scope.spawn(|| operator.renew("md", 0));
            let mut end = publish(&mut publisher, &[1; 64]).position;
            loop {
                match publisher.offer(&[1; 64]).expect("it owns on") {
                    Offer::Published(message) if message.epoch < Epoch(epoch) => end = message.position,
                    Offer::Published(_) => break,
                    Offer::BackPressured => {}
                }
            }
            let durable = publisher.position(Durability::Durable).expect("it is kept");
            assert_eq!(renewal.join().expect("no panic").expect("it answers"), Epoch(epoch));
            (end, durable)
        });
        publisher.wait(end, Durability::Durable, PATIENCE).expect("it becomes durable");
        if durable < end {
            return;
        }
    }
    panic!("all was called durable at once, forty times");
}

#[test]
fn the_owner_comes_before_a_standby_which_stays_warm() {
    let house = House::new(TOPICS);
    let (bus, other, operator) = (house.bus(), house.bus(), house.bus());
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    let mut standby = other.publisher("md").standby();
    until("a warm standby", || {
        assert!(standby.wait(Duration::from_millis(5)).expect("it may wait").is_none());
        standby.is_warm().then_some(())
    });
    assert_eq!(operator.renew("md", 0).expect("it answers"), Epoch(2));
    assert!(standby.wait(Duration::from_millis(5)).expect("it may wait").is_none() && standby.is_warm());
    assert_eq!(publish(&mut publisher, &[1; 64]).epoch, Epoch(2));
    drop(publisher);
    let next = standby.wait(PATIENCE).expect("nothing is wrong").expect("it is free");
    assert_eq!((next.epoch(), next.next_sequence().0), (Epoch(3), 1));
}

#[test]
fn where_nobody_owns_there_is_nothing_to_renew() {
    let house = House::new(TOPICS);
    let refused = house.bus().renew("md", 0).expect_err("nobody owns it");
    assert!(matches!(refused, BusError::Refused { code: FailureCode::NotRenewed, .. }), "{refused}");
    let bus = house.bus();
    let _publisher = bus.publisher("md").open().expect("nobody owns it");
    let _standby = bus.publisher("md").standby();
    // Answered behind the standby's request.
    let refused = bus.renew("md", 0).expect_err("it stands by on the same connection");
    assert!(refused.to_string().contains("whose owner waits for it, too"), "{refused}");
}
