//! The client and a real broker: keeper and broker are processes of their own, killed where the test says so.
#![forbid(unsafe_code)]

mod house;
mod large;
mod losses;
mod reading;
mod sleeping;
mod standby;
#[path = "../support/trace.rs"]
mod trace;
mod writing;

/// The parts that a house is made of: this binary again, with one of these tests.
#[test]
fn the_keeper_process() {
    house::keeper_process();
}

#[test]
fn the_broker_process() {
    house::broker_process();
}
