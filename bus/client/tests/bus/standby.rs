//! Standbys: warm behind an owner, in its place when it is gone, and again after the broker was.

use crate::house::{House, PATIENCE, until};
use crate::reading::publish;
use oyez::{Bus, FailureCode, Publisher, Sequence, Standby};
use std::time::Duration;

const WITH_STANDBY: &str =
    "[[topics]]\nname = \"md\"\nring_mib = 2\nstandbys = 1\ntakeover = \"kill\"\npublish = [\"self\"]\n";
const SHORT: Duration = Duration::from_millis(5);

fn warm(bus: &Bus) -> Standby {
    let mut standby = bus.publisher("md").standby();
    until("a warm standby", || {
        assert!(standby.wait(SHORT).expect("it may wait").is_none(), "the partition has an owner");
        standby.is_warm().then_some(())
    });
    standby
}

fn own(mut standby: Standby) -> Publisher {
    standby.wait(PATIENCE).expect("nothing is wrong").expect("it is free")
}

#[test]
fn a_standby_goes_on_when_the_owner_lets_go_and_nobody_is_asked_in_between() {
    let house = House::new(WITH_STANDBY);
    let (bus, other) = (house.bus(), house.bus());
    let mut first = bus.publisher("md").open().expect("nobody owns it");
    publish(&mut first, &[1; 64]);
    let standby = warm(&other);
    publish(&mut first, &[2; 64]);
    let epoch = first.epoch();
    drop(first);
    let mut second = own(standby);
    assert_eq!((second.epoch().0, second.next_sequence()), (epoch.0 + 1, Sequence(2)));
    publish(&mut second, &[3; 64]);
    second.release().expect("the broker answers");
}

#[test]
fn a_standby_that_is_dropped_is_waited_for_by_nobody() {
    let house = House::new(WITH_STANDBY);
    let first = house.bus().publisher("md").open().expect("nobody owns it");
    let bus = house.bus();
    for _ in 0..3 {
        drop(warm(&bus));
    }
    drop(bus.publisher("md").standby());
    // Answered behind all that was said before: no grant crosses a withdrawal.
    bus.topics().expect("the broker answers");
    drop(first);
    let epoch = house.bus().publisher("md").wait(PATIENCE).open().expect("it is free").epoch();
    assert_eq!(epoch.0, 2, "none was granted to who had gone");
}

#[test]
fn a_standby_that_is_looked_after_too_late_asks_anew_and_harms_nobody_on_its_bus() {
    let house = House::new(WITH_STANDBY);
    let bus = house.bus();
    let mut first = bus.publisher("md").open().expect("nobody owns it");
    let mut standby = bus.publisher("md").standby();
    until("the offer to be taken back", || house.said("has not mapped what it was offered").then_some(()));
    assert!(standby.wait(PATIENCE / 60).expect("it may wait").is_none() && standby.is_warm());
    publish(&mut first, &[1; 64]);
    assert!(!house.said("its owner is back"), "the bus was hung up on");
    drop(first);
    assert_eq!(own(standby).next_sequence(), Sequence(1));
}

#[test]
fn a_standby_of_a_broker_that_died_is_one_of_the_next() {
    let house = House::new(WITH_STANDBY);
    let (bus, other) = (house.bus(), house.bus());
    let mut first = bus.publisher("md").open().expect("nobody owns it");
    let mut standby = warm(&other);
    for _ in 0..3 {
        house.kill_broker();
        publish(&mut first, &[1; 64]);
        until("a warm standby", || {
            assert!(standby.wait(SHORT).is_ok_and(|own| own.is_none()) || !standby.is_warm());
            standby.is_warm().then_some(())
        });
    }
    first.release().expect("the broker answers");
    assert_eq!(own(standby).next_sequence(), Sequence(3));
}

#[test]
fn nobody_takes_over_from_its_own_process_or_without_a_standby() {
    let house = House::new(WITH_STANDBY);
    let (bus, other) = (house.bus(), house.bus());
    assert_eq!(other.take_over("md", 0).expect("it is allowed"), None, "nobody owns it");
    let mut first = bus.publisher("md").open().expect("nobody owns it");
    let standby = warm(&other);
    // The standby would die with the owner.
    let refused = standby.take_over().expect_err("of this process");
    let code = match refused {
        oyez::BusError::Refused { code, .. } => code,
        other => panic!("{other}"),
    };
    assert_eq!(code, FailureCode::NoStandby);
    publish(&mut first, &[1; 64]);
}

#[test]
fn a_publisher_that_waits_in_vain_is_told_who_owns_the_partition() {
    let house = House::new(WITH_STANDBY);
    let (bus, other) = (house.bus(), house.bus());
    let _first = bus.publisher("md").open().expect("nobody owns it");
    let refused = other.publisher("md").wait(Duration::from_millis(50)).open().expect_err("it is owned");
    assert!(refused.to_string().contains("owned by client-test (process"), "{refused}");
}
