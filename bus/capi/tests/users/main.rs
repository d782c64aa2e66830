//! The library as its users have it: installed, compiled against, and talking to a broker.
#![forbid(unsafe_code)]

mod conformance;
mod errors;
mod guide;
mod house;
mod languages;
mod large;
mod package;
mod prefix;
mod samples;
mod scripted;
mod topics;

/// The parts that a house is made of: this binary again, with one of these tests.
#[test]
fn the_keeper_process() {
    house::keeper_process();
}

#[test]
fn the_broker_process() {
    house::broker_process();
}
