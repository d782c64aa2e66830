//! Publishers: one owner, its rights, and what it is refused.

use crate::house::{House, PATIENCE, until};
use crate::reading::{Given, RECORDED, UNRECORDED, publish};
use crate::trace::traced;
use oyez::{Binding, Bus, BusError, Connect, Durability, FailureCode, PublishError, Publisher, Sequence, Start};
use std::time::{Duration, Instant};

#[test]
fn a_partition_has_one_owner_and_the_next_goes_on_in_a_new_epoch() {
    let house = House::new(RECORDED);
    let (bus, other) = (house.bus(), house.bus());
    let mut subscriber = other.subscriber().topic("md", Start::Live).open().expect("a start");
    let mut first = bus.publisher("md").open().expect("nobody owns it");
    publish(&mut first, &[1; 64]);
    let refused = other.publisher("md").open().unwrap_err();
    let pid = std::process::id();
    assert!(refused.to_string().contains(&format!("owned by client-test (process {pid}")), "{refused}");
    assert!(refused.is_retriable() && !refused.is_fatal());

    let epoch = first.epoch();
    first.release().expect("the broker answers");
    let mut second = other.publisher("md").wait(PATIENCE).open().expect("it is free");
    assert!(second.epoch() > epoch);
    assert_eq!(second.next_sequence(), Sequence(1));
    publish(&mut second, &[2; 64]);
    let mut given = Given::default();
    given.up_to(&mut subscriber, 1);
    given.assert_dense_from(0);
    assert!(given.count("Epoch") >= 2 && given.count("Gap") == 0, "{:?}", given.events);

    // Dropped, and not asked to wait for the end.
    drop(second);
    let mut third = bus.publisher("md").wait(PATIENCE).open().expect("it is free");
    assert_eq!(publish(&mut third, &[3; 64]).sequence, Sequence(2));
}

#[test]
fn a_publisher_waits_for_each_durability() {
    let house = House::new(RECORDED);
    let mut publisher = house.bus().publisher("md").open().expect("nobody owns it");
    for _ in 0..100 {
        let published = publish(&mut publisher, &[7; 200]);
        for durability in [Durability::Published, Durability::Written, Durability::Durable] {
            publisher.wait(published.position, durability, PATIENCE).expect("it comes");
            assert!(publisher.position(durability).expect("it is kept") >= published.position);
        }
    }
    let beyond = oyez::Position(1 << 40);
    let late = publisher.wait(beyond, Durability::Durable, Duration::from_millis(20)).unwrap_err();
    assert!(late.is_retriable() && late.to_string().contains("is not durable after 20 ms"), "{late}");
}

/// A message of schema 7.
fn message(version: u8, template: u8) -> [u8; 16] {
    [8, 0, template, 0, 7, 0, version, 0, 1, 2, 3, 4, 5, 6, 7, 8]
}

/// Schema 7 from these files, and `md` bound to it.
fn bound(files: &str, topic: &str) -> String {
    format!("[schemas.s]\nfiles = [{files}]\n{RECORDED}schema = \"s\"\n{topic}")
}

#[test]
fn what_may_not_be_published_is_refused_with_its_reason() {
    let house = House::new(&bound("\"newer.xml\", \"schema.xml\"", "templates = [\"One\"]\n"));
    let bus = house.bus();
    let binding = Binding { schema_id: 7, version_min: 0, version_max: 1, template_ids: vec![1] };
    assert_eq!(bus.describe("md").expect("an answer").binding, Some(binding));
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    let other = {
        let mut other = message(0, 1);
        other[4] = 8;
        other
    };
    publish(&mut publisher, &message(0, 1));
    for (message, found) in [
        (other, "a message of schema 8, where 7 is allowed"),
        (message(2, 1), "a message of version 2 of schema 7, where 0 to 1 are allowed"),
        (message(1, 2), "a message of template 2 of schema 7, where [1] are allowed"),
    ] {
        let error = publisher.offer(&message).unwrap_err();
        assert!(error.to_string().starts_with(&format!("topic md: {found}")), "{error}");
        assert!(!error.is_fatal() && !error.is_retriable());
    }
    // What is shorter than its own header no catalog allows, either.
    for message in [[message(0, 1); 40_000].concat(), vec![0; 7]] {
        let error = publisher.offer(&message).unwrap_err().to_string();
        let expected = format!("topic md: a message of {} bytes: 8 to 524288 bytes fit", message.len());
        assert!(error.starts_with(&expected), "{error}");
    }
    assert!(matches!(publisher.claim(640_000).err(), Some(PublishError::Length { .. })));
    assert_eq!(publish(&mut publisher, &message(1, 1)).sequence, Sequence(1), "the publisher is as good as before");
    let versions = bus.schemas_xml("md").expect("it has two");
    assert_eq!(versions.len(), 2);
    assert!(versions[0].contains("\"Two\"") && versions[1].contains("\"Three\""), "the oldest comes first");
}

#[test]
fn a_publisher_that_stays_attached_obeys_the_catalog_of_the_brokers_next_life() {
    let house = House::new(&bound("\"schema.xml\"", ""));
    let bus = house.bus();
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    let epoch = publisher.epoch();
    publish(&mut publisher, &message(0, 2));
    let fits = |publisher: &mut Publisher, version, template| match publisher.offer(&message(version, template)) {
        Ok(_) => true,
        Err(PublishError::Misfit { .. }) => false,
        Err(error) => panic!("{error}"),
    };
    assert!(!fits(&mut publisher, 1, 1) && !fits(&mut publisher, 0, 3));

    house.declare(&bound("\"schema.xml\", \"newer.xml\"", ""));
    house.kill_broker();
    until("the newer version", || fits(&mut publisher, 1, 3).then_some(()));
    assert!(fits(&mut publisher, 0, 2), "the older goes on");

    house.declare(&bound("\"schema.xml\", \"newer.xml\"", "version_min = 1\n"));
    house.kill_broker();
    until("the end of the older version", || (!fits(&mut publisher, 0, 2)).then_some(()));
    assert!(fits(&mut publisher, 1, 1));
    assert_eq!(publisher.epoch(), epoch);
}

#[test]
fn a_claim_is_the_publishers_own_memory() {
    let house = House::new(UNRECORDED);
    let bus = house.bus();
    let mut subscriber = bus.subscriber().topic("md", Start::Live).open().expect("a start");
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    publisher.claim(64).expect("it fits").fill(9); // dropped
    let mut claim = publisher.claim(32).expect("it fits");
    claim.fill(5);
    let published = claim.commit().expect("an owner").published().expect("there is room");
    assert_eq!(published.sequence, Sequence(0));
    let mut given = Given::default();
    given.up_to(&mut subscriber, 0);
    assert_eq!(given.bytes, [[5; 32]]);
    let refused = publisher.wait(published.position, Durability::Written, PATIENCE).unwrap_err();
    assert!(matches!(refused, PublishError::NotKept { .. }), "{refused}");
}

#[test]
fn the_catalog_is_told_and_unknown_names_are_refused() {
    let house = House::new(&(RECORDED.to_owned() + &UNRECORDED.replace("\"md\"", "\"scratch\"")));
    let bus = house.bus();
    let topics = bus.topics().expect("an answer");
    let told: Vec<_> = topics.iter().map(|topic| (topic.name.as_str(), topic.durability)).collect();
    assert_eq!(told, [("md", Durability::Durable), ("scratch", Durability::Published)]);
    assert_eq!(bus.describe("md").expect("an answer").ring_bytes, 2 << 20);
    let errors = [
        bus.describe("nothing").unwrap_err().to_string(),
        bus.publisher("nothing").open().unwrap_err().to_string(),
        bus.subscriber().topic("nothing", Start::Live).open().unwrap_err().to_string(),
    ];
    for error in errors {
        assert!(error.contains("nothing") && error.contains("the catalog has no such topic"), "{error}");
        assert_eq!(error.lines().count(), 1);
    }
}

#[test]
fn without_a_broker_connecting_says_where_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("none.sock");
    let error = Bus::connect(Connect::new(&socket).timeout(Duration::from_millis(10))).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("none.sock") && text.contains("oyez serve"), "{text}");
    assert!(error.is_retriable() && text.lines().count() == 1);
}

#[test]
fn whom_the_broker_lets_in_no_more_is_told_why_and_at_once() {
    let house = House::new(&format!("connections_max = 1\n{UNRECORDED}"));
    let _first = house.bus();
    // The broker hangs up before this says hello, or after: many times both happen.
    for _ in 0..100 {
        let began = Instant::now();
        let error = Bus::connect(Connect::new(house.socket()).timeout(PATIENCE)).unwrap_err();
        assert!(matches!(error, BusError::Refused { code: FailureCode::ConnectionLimit, .. }), "{error}");
        assert!(error.to_string().contains("`connections_max` = 1") && began.elapsed() < PATIENCE, "{error}");
    }
}

#[test]
fn a_released_partition_is_owned_again_and_again() {
    let house = House::new(UNRECORDED);
    let bus = house.bus();
    for number in 0..30 {
        let mut publisher = bus.publisher("md").wait(PATIENCE).open().expect("it is free");
        assert_eq!(publish(&mut publisher, &[1; 16]).sequence, Sequence(number));
    }
    until("an idle topic", || bus.describe("md").expect("an answer").owner.is_none().then_some(()));
}

#[test]
fn a_million_publishes_to_a_recorded_topic_make_no_system_call() {
    let house = House::new(&RECORDED.replace("ring_mib = 2", "ring_mib = 16"));
    let socket = house.socket().to_str().expect("a path");
    let test = "a_million_publishes_to_a_recorded_topic_make_no_system_call";
    let Some(calls) = traced(test, &[socket, "md"]) else { return };
    assert_eq!(calls, Vec::<String>::new());
    let mut subscriber = house.bus().subscriber().topic("md", Start::Earliest).open().expect("a start");
    let mut given = Given::default();
    given.up_to(&mut subscriber, 1_000_000);
    given.assert_dense_from(0);
}
