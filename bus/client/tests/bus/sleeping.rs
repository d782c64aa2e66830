//! Subscribers that sleep: what wakes them, and that nothing else does.

use crate::house::{House, PATIENCE, until};
use crate::reading::{Given, RECORDED, UNRECORDED, publish};
use oyez::{Bus, Durability, Start, Subscriber};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::time::{Duration, Instant};

const QUIET: Duration = Duration::from_millis(60);

fn open(bus: &Bus, start: Start) -> Subscriber {
    let mut subscriber = bus.subscriber().topic("md", start).open().expect("a start");
    settle(&mut subscriber);
    subscriber
}

/// Polls and sleeps until a whole sleep brings nothing.
#[track_caller]
fn settle(subscriber: &mut Subscriber) {
    until("a quiet subscriber", || {
        Given::default().poll(subscriber);
        (!subscriber.wait(QUIET).expect("it sleeps")).then_some(())
    });
}

/// Sleeps until message `last` is there, and never polls but when woken.
#[track_caller]
fn sleep_until(subscriber: &mut Subscriber, last: u64) -> Given {
    let mut given = Given::default();
    until(&format!("message {last}"), || {
        assert!(subscriber.wait(PATIENCE).expect("it sleeps"), "not woken for message {last}");
        given.poll(subscriber);
        (given.sequences.last() == Some(&last)).then_some(())
    });
    given
}

#[test]
fn a_sleeper_is_woken_by_a_message_and_by_nothing_before() {
    for topics in [RECORDED, UNRECORDED] {
        let house = House::new(topics);
        let bus = house.bus();
        let mut publisher = bus.publisher("md").open().expect("an owner");
        let mut subscriber = open(&bus, Start::Live);
        for last in 0..20 {
            assert!(!subscriber.wait(Duration::from_millis(3)).expect("it sleeps"), "woken for nothing");
            let published = std::thread::scope(|scope| {
                let sleeper = scope.spawn(|| sleep_until(&mut subscriber, last));
                std::thread::sleep(Duration::from_millis(5));
                publish(&mut publisher, &[7; 64]);
                sleeper.join().expect("no panic")
            });
            assert_eq!(published.sequences, [last]);
        }
    }
}

#[test]
fn a_sleeper_is_woken_by_the_first_epoch_and_by_the_next() {
    let house = House::new(RECORDED);
    let bus = house.bus();
    let mut subscriber = open(&bus, Start::Live);
    for last in 0..3 {
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| sleep_until(&mut subscriber, last));
            let mut publisher = bus.publisher("md").wait(PATIENCE).open().expect("an owner");
            publish(&mut publisher, &[7; 64]);
            let given = sleeper.join().expect("no panic");
            assert!(given.events.iter().any(|event| event.starts_with("Epoch")), "{:?}", given.events);
        });
        settle(&mut subscriber);
    }
}

#[test]
fn a_bounded_sleeper_is_woken_when_the_message_is_durable() {
    let house = House::new(RECORDED);
    let bus = house.bus();
    let mut publisher = bus.publisher("md").open().expect("an owner");
    let builder = bus.subscriber().topic("md", Start::Live).until(Durability::Durable);
    let mut subscriber = builder.open().expect("a start");
    settle(&mut subscriber);
    for last in 0..10 {
        let published = publish(&mut publisher, &[7; 64]);
        sleep_until(&mut subscriber, last);
        assert!(publisher.position(Durability::Durable).expect("an owner") >= published.position);
    }
}

#[test]
fn a_sleeper_is_woken_by_the_segments_that_it_waits_for() {
    let house = House::new(RECORDED);
    let bus = house.bus();
    let mut publisher = bus.publisher("md").open().expect("an owner");
    // Four segments, and a ring for an eighth of them.
    (0..4_000).for_each(|_| {
        publish(&mut publisher, &[7; 4_000]);
    });
    let mut subscriber = bus.subscriber().topic("md", Start::Earliest).open().expect("a start");
    sleep_until(&mut subscriber, 3_999).assert_dense_from(0);
}

#[test]
fn a_broker_may_die_and_come_back_over_a_sleeper() {
    let house = House::new(UNRECORDED);
    let bus = house.bus();
    let mut publisher = bus.publisher("md").open().expect("an owner");
    let mut subscriber = open(&bus, Start::Live);
    let descriptor = subscriber.fd().expect("a descriptor").as_raw_fd();
    for round in 0..3 {
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| sleep_until(&mut subscriber, 2 * round));
            house.kill_broker();
            publish(&mut publisher, &[7; 64]);
            sleeper.join().expect("no panic");
        });
        // Woken by its new broker again, and by no timer.
        settle(&mut subscriber);
        publish(&mut publisher, &[7; 64]);
        sleep_until(&mut subscriber, 2 * round + 1);
    }
    assert_eq!(subscriber.fd().expect("a descriptor").as_raw_fd(), descriptor);
}

#[test]
fn a_hundred_sleepers_are_woken_by_one_message() {
    let house = House::new(UNRECORDED);
    let bus = house.bus();
    let mut publisher = bus.publisher("md").open().expect("an owner");
    let (opened, opens) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..100 {
            let (bus, opened) = (&bus, opened.clone());
            scope.spawn(move || {
                let mut subscriber = bus.subscriber().topic("md", Start::Live).open().expect("a start");
                Given::default().poll(&mut subscriber);
                drop(opened);
                assert_eq!(sleep_until(&mut subscriber, 0).sequences, [0]);
            });
        }
        drop(opened);
        // Ends when all have opened, or failed.
        let _: Result<(), _> = opens.recv();
        std::thread::sleep(Duration::from_millis(20));
        publish(&mut publisher, &[7; 64]);
    });
}

#[test]
fn one_descriptor_serves_a_loop_of_ones_own() {
    let house = House::new(UNRECORDED);
    let bus = house.bus();
    let mut publisher = bus.publisher("md").open().expect("an owner");
    let mut subscriber = open(&bus, Start::Live);
    let readable = |subscriber: &mut Subscriber, at_most: Duration| {
        let fd = subscriber.fd().expect("a descriptor");
        let timeout = Timespec::try_from(at_most).expect("a span");
        poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&timeout)).expect("polled") > 0
    };
    for _ in 0..10 {
        until("a quiet subscriber", || (!subscriber.arm().expect("armed")).then_some(()));
        assert!(!readable(&mut subscriber, Duration::from_millis(3)));
        publish(&mut publisher, &[7; 64]);
        assert!(readable(&mut subscriber, PATIENCE));
        assert_eq!(Given::default().poll(&mut subscriber), 1);
        assert!(readable(&mut subscriber, Duration::ZERO), "from one `arm` to the next");
    }
}

/// As tokio and others wait: each edge is told once, and arming makes the next possible.
#[test]
fn one_descriptor_serves_a_loop_that_is_told_of_edges() {
    let house = House::new(UNRECORDED);
    let bus = house.bus();
    let mut publisher = bus.publisher("md").open().expect("an owner");
    let mut subscriber = open(&bus, Start::Live);
    let outer = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
    let edges = epoll::EventFlags::IN | epoll::EventFlags::ET;
    epoll::add(&outer, subscriber.fd().expect("a descriptor"), epoll::EventData::new_u64(7), edges).expect("watched");
    let told = |at_most: Duration| {
        let timeout = Timespec::try_from(at_most).expect("a span");
        let mut events = Vec::with_capacity(1);
        epoll::wait(&outer, spare_capacity(&mut events), Some(&timeout)).expect("waited")
    };
    for _ in 0..10 {
        until("a quiet subscriber", || (!subscriber.arm().expect("armed")).then_some(()));
        while told(Duration::ZERO) > 0 {}
        publish(&mut publisher, &[7; 64]);
        assert_eq!(told(PATIENCE), 1);
        assert_eq!(Given::default().poll(&mut subscriber), 1);
    }
}

#[test]
fn a_subscriber_that_is_closed_makes_room_for_another() {
    let house = House::new(UNRECORDED);
    let bus = house.bus();
    // More than one connection may have at a time.
    for _ in 0..600 {
        bus.subscriber().topic("md", Start::Live).open().expect("room");
    }
}

#[test]
fn in_process_a_timer_stands_in() {
    let bus = Bus::in_process(&[oyez::Topic::new("md")]).expect("a bus");
    let mut subscriber = bus.subscriber().topic("md", Start::Live).open().expect("a start");
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| sleep_until(&mut subscriber, 0));
        let mut publisher = bus.publisher("md").open().expect("an owner");
        publish(&mut publisher, &[7; 64]);
        sleeper.join().expect("no panic");
    });
    // The publisher's end is news; after it there is none.
    Given::default().poll(&mut subscriber);
    let began = Instant::now();
    assert!(subscriber.wait(PATIENCE).expect("it sleeps"), "it looks again after a millisecond");
    assert!(began.elapsed() < PATIENCE / 2);
}

#[test]
fn what_was_learnt_before_is_not_slept_on() {
    let bus = Bus::in_process(&[oyez::Topic::new("md")]).expect("a bus");
    let mut subscriber = bus.subscriber().topic("md", Start::Live).open().expect("a start");
    Given::default().poll(&mut subscriber);
    assert!(!subscriber.arm().expect("armed"));
    let _publisher = bus.publisher("md").open().expect("an owner");
    assert!(subscriber.arm().expect("armed"), "an epoch has begun since the last poll");
}
