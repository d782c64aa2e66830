//! Many publishers of one topic in processes of their own, killed and stopped at random, and their broker with them. The
//! oracle is what each publisher has noted of itself in a file that outlives it, against the journal on disk. The counts are
//! environment variables; `cargo xtask soak` sets the long ones.
#![forbid(unsafe_code)]

#[path = "../kills/processes.rs"]
mod processes;
mod publisher;
mod stage;

use std::time::Duration;

use oyez::HandIn;
use publisher::Noted;
use rustix::process::Signal;
use stage::{PATIENCE, Stage, until};

fn count(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |count| count.parse().unwrap_or_else(|_| panic!("{name} is a count")))
}

/// The parts that a stage starts: this binary again, with one of these tests.
#[test]
fn the_keeper_process() {
    processes::keeper_process();
}

#[test]
fn the_broker_process() {
    processes::broker_process();
}

#[test]
fn the_publisher_process() {
    publisher::process();
}

/// Not a good source of chance, but one that a seed repeats.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// So many publishers hand in `messages` each, while they and the broker are killed.
fn kill_at_random(publishers: u16, messages: u64, large: bool, seed: u64) {
    let mut stage = Stage::new(publishers, messages, large);
    let (mut chance, mut kills, mut broker_kills) = (Chance(seed), 0, 0);
    while stage.has_unfinished() {
        std::thread::sleep(Duration::from_millis(10 + chance.below(40)));
        match chance.below(6) {
            0 => {
                stage.kill_broker();
                broker_kills += 1;
            }
            // Both at once: whom the one does not know any more, the other has to.
            1 => {
                let victim = chance.below(publishers.into()) as u16 + 1;
                kills += u64::from(stage.kill_publisher(victim));
                stage.kill_broker();
                broker_kills += 1;
            }
            _ => kills += u64::from(stage.kill_publisher(chance.below(publishers.into()) as u16 + 1)),
        }
    }
    let verdict = stage.verdict();
    assert!(
        kills > 0 && broker_kills > 0,
        "{kills} publishers and {broker_kills} brokers were killed: too few messages"
    );
    eprintln!(
        "{publishers} publishers, {verdict} messages: publishers killed {kills} times, the broker {broker_kills} times"
    );
}

#[test]
fn two_publishers_are_killed_with_their_broker_and_nothing_is_lost_twice_or_out_of_order() {
    kill_at_random(2, count("OYEZ_INGRESS_MESSAGES", 200_000) / 2, false, 1);
}

#[test]
fn eight_publishers_are_killed_with_their_broker_and_nothing_is_lost_twice_or_out_of_order() {
    kill_at_random(8, count("OYEZ_INGRESS_MESSAGES", 400_000) / 8, false, 2);
}

#[test]
fn publishers_are_killed_within_large_messages_and_none_of_those_is_there_in_part() {
    kill_at_random(3, count("OYEZ_INGRESS_LARGE", 6_000) / 3, true, 3);
}

#[test]
fn a_stopped_publisher_holds_nobody_up_and_keeps_its_name() {
    let mut stage = Stage::new(3, 200_000, false);
    until("everybody hands in", || (1..=3).all(|of| Noted::read(stage.folder(), of).accepted > 0).then_some(()));
    stage.signal_publisher(1, Signal::STOP);
    let stopped_at = Noted::read(stage.folder(), 1).accepted;
    until("the others come to their end", || (stage.unfinished() == 1).then_some(()));
    let taken = stage.bus().publisher(stage::TOPIC).origin("p1").open().expect_err("it is another's");
    assert!(taken.is_retriable() && taken.to_string().contains("owned by"), "{taken}");
    // Also when the broker has forgotten it: nobody is waited for.
    stage.kill_broker();
    let mut free =
        stage.bus().publisher(stage::TOPIC).wait(PATIENCE).origin("p2").open().expect("its process has ended");
    assert_eq!(free.accepted().expect("a session").number, 200_000);
    drop(free);
    assert!(Noted::read(stage.folder(), 1).accepted < 200_000, "stopped at {stopped_at}, and not at its end");
    stage.signal_publisher(1, Signal::CONT);
    until("it comes to its end, too", || (!stage.has_unfinished()).then_some(()));
    stage.verdict();
}

#[test]
fn one_that_was_stopped_finds_out_that_another_had_its_name_meanwhile() {
    for broker_deaths in 1..=2 {
        let mut stage = Stage::new(1, 2_000_000, false);
        until("it hands in", || (Noted::read(stage.folder(), 1).accepted > 0).then_some(()));
        // What it hands in now nobody takes, until its ring is full.
        stage.signal_broker(Signal::STOP);
        let mut before = Noted::default();
        until("its ring is full", || {
            std::thread::sleep(Duration::from_millis(50));
            let noted = Noted::read(stage.folder(), 1);
            (std::mem::replace(&mut before, noted) == noted).then_some(())
        });
        stage.signal_publisher(1, Signal::STOP);
        stage.kill_broker();
        let mut another = stage.bus().publisher(stage::TOPIC).wait(PATIENCE).origin("p1").open().expect("it is free");
        let number = another.accepted().expect("a session").number + 1;
        assert!(number < before.offering, "{number}: nothing is left to be sent again of {before:?}");
        let handed_in = another.offer(&publisher::message(1, number, false)).expect("a session");
        assert_eq!(handed_in, HandIn::HandedIn(number));
        another.close(PATIENCE).expect("taken");
        // A broker that has never seen either has it from the journal.
        (1..broker_deaths).for_each(|_| stage.kill_broker());
        stage.signal_publisher(1, Signal::CONT);
        assert_eq!(stage.end_of_publisher(1), Some(publisher::LOST), "after {broker_deaths} deaths of the broker");
    }
}
