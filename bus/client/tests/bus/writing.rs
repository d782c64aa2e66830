//! Publishers: one owner, its rights, and what it is refused.

use crate::house::{House, PATIENCE, until};
use crate::reading::{Given, RECORDED, UNRECORDED, publish};
use crate::trace::traced;
use oyez::{Bus, Connect, Durability, PublishError, Sequence, Start};
use std::time::Duration;

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

#[test]
fn what_may_not_be_published_is_refused_with_its_reason() {
    let schema = "[schemas.s]\nfile = \"schema.xml\"\n";
    let topic = RECORDED.to_owned() + "schema = \"s\"\ntemplates = [\"One\"]\n";
    let house = House::new(&(schema.to_owned() + &topic));
    let bus = house.bus();
    let mut publisher = bus.publisher("md").open().expect("nobody owns it");
    let header = |template: u8, schema: u8| [8, 0, template, 0, schema, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    publish(&mut publisher, &header(1, 7));
    for (template, schema) in [(2, 7), (1, 8)] {
        let error = publisher.offer(&header(template, schema)).unwrap_err();
        let text = format!("message of schema {schema}, template {template} is not one of schema 7, templates [1]");
        assert!(error.to_string().contains(&text), "{error}");
        assert!(!error.is_fatal() && !error.is_retriable());
    }
    assert!(matches!(publisher.offer(&[header(1, 7); 300].concat()), Err(PublishError::Length { .. })));
    assert!(matches!(publisher.offer(&[0; 7]), Err(PublishError::Length { .. })));
    assert!(matches!(publisher.claim(5_000).err(), Some(PublishError::Length { .. })));
    assert_eq!(publish(&mut publisher, &header(1, 7)).sequence, Sequence(1), "the publisher is as good as before");
    assert!(bus.schema_xml("md").expect("it has one").contains("messageSchema"));
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
    given.up_to(&mut subscriber, 999_999);
    given.assert_dense_from(0);
}
