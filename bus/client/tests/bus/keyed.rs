//! Several partitions: published by key, by one or by several processes, and read all, some or one.

use crate::house::{House, PATIENCE, until};
use oyez::{Bus, Connect, Durability, EventKind, Offer, PublishError, Start, SubscribeError, Subscriber, partition_of};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

const PARTITIONS: u16 = 4;
const KEYS: u64 = 64;
/// Of a message of 24 bytes behind it.
const HEADER: u64 = u64::from_le_bytes([24, 0, 1, 0, 1, 0, 0, 0]);
const SHARED: &str = "[[topics]]\nname = \"md\"\npartitions = 4\nring_mib = 2\npublish = [\"self\"]\n";

/// Where it publishes, what, its run, and how often.
const PUBLISHER: &str = "OYEZ_TEST_KEYED_PUBLISHER";

/// Publishes to every key of its partitions in turn: a message header, then its run, the key, and how many there were.
#[test]
fn the_keyed_publisher_process() {
    let Ok(told) = std::env::var(PUBLISHER) else { return };
    let [socket, partitions, run, messages] = told.split(' ').collect::<Vec<_>>()[..] else { panic!("{told}") };
    let partitions: Vec<u16> = partitions.split(',').map(|number| number.parse().expect("a number")).collect();
    let [run, messages] = [run, messages].map(|number| number.parse::<u64>().expect("a number"));
    let bus = Bus::connect(Connect::new(socket).timeout(PATIENCE)).expect("a broker that serves");
    let builder = bus.keyed_publisher("md").partitions(partitions.iter().copied());
    let mut publisher = builder.wait(PATIENCE).open().expect("it is free at last");
    println!("owns {partitions:?}");
    let keys: Vec<u64> = keys_of(&partitions).collect();
    for (number, key) in (0..messages).flat_map(|number| keys.iter().map(move |key| (number, key))) {
        let message = [HEADER, run, *key, number].map(u64::to_le_bytes);
        while publisher.offer(&key.to_le_bytes(), message.as_flattened()).expect("an owner") == Offer::BackPressured {
            std::thread::yield_now();
        }
    }
    for partition in publisher.publishers() {
        let end = partition.position(Durability::Published).expect("it is kept");
        partition.wait(end, Durability::Durable, PATIENCE).expect("it comes");
    }
    publisher.release().expect("the broker answers");
}

/// A process of its own, which owns its partitions by now.
fn publisher(house: &House, partitions: &str, run: u64, messages: u64) -> Child {
    let mut child = waiting(house, partitions, run, messages);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("owns ")), "it owns none");
    std::thread::spawn(move || lines.for_each(drop));
    child
}

fn waiting(house: &House, partitions: &str, run: u64, messages: u64) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "keyed::the_keyed_publisher_process", "--nocapture"]);
    command.env(PUBLISHER, format!("{} {partitions} {run} {messages}", house.socket().display()));
    command.stdout(Stdio::piped()).spawn().expect("it runs")
}

/// Of each key the run that published it last, and how many messages of that there were.
#[derive(Default, Debug, PartialEq, Eq)]
struct Heard(BTreeMap<u64, (u64, u64)>);

impl Heard {
    /// Checks what is there: each message in its key's partition, and each key's in order, none missing, none twice.
    fn poll(&mut self, subscriber: &mut Subscriber) {
        let polled = subscriber.poll(1_000, |event| match event.kind {
            EventKind::Message(message) => {
                let word = |at: usize| u64::from_le_bytes(message.bytes[at..at + 8].try_into().expect("eight"));
                let [run, key, number] = [8, 16, 24].map(word);
                assert_eq!(event.partition, partition_of(&key.to_le_bytes(), PARTITIONS));
                let (last, count) = self.0.entry(key).or_insert((run, 0));
                if run > *last {
                    (*last, *count) = (run, 0);
                }
                assert_eq!((run, number), (*last, *count), "key {key}");
                *count += 1;
            }
            EventKind::Gap { .. } | EventKind::Rewound { .. } => panic!("{event:?}"),
            _ => {}
        });
        polled.expect("nothing is wrong");
    }

    fn up_to(mut self, subscriber: &mut Subscriber, expected: &[(u64, (u64, u64))]) -> Heard {
        until("every message", || {
            self.poll(subscriber);
            self.0.iter().map(|(key, heard)| (*key, *heard)).eq(expected.iter().copied()).then_some(())
        });
        self
    }
}

fn keys_of(partitions: &[u16]) -> impl Iterator<Item = u64> {
    (0..KEYS).filter(|key| partitions.contains(&partition_of(&key.to_le_bytes(), PARTITIONS)))
}

#[test]
fn each_keys_order_is_kept_by_several_owners_one_of_whom_is_killed_and_over_the_brokers_death() {
    let house = House::new(SHARED);
    let bus = house.bus();
    let mut live = bus.subscriber().all_partitions("md", Start::Live).open().expect("a start");
    const MESSAGES: u64 = 2_000;
    let mut killed = publisher(&house, "0,1", 1, u64::MAX);
    let mut other = publisher(&house, "2,3", 1, MESSAGES);
    let mut successor = waiting(&house, "1,0", 2, MESSAGES);
    let mut heard = Heard::default();
    let enough =
        |heard: &Heard| heard.0.get(&keys_of(&[0]).next().expect("a key")).is_some_and(|(_, count)| *count > 500);
    until("messages of the first", || {
        heard.poll(&mut live);
        enough(&heard).then_some(())
    });
    house.kill_broker();
    killed.kill().expect("killed");
    killed.wait().expect("reaped");

    let expected: Vec<_> =
        (0..KEYS).map(|key| (key, (if keys_of(&[0, 1]).any(|one| one == key) { 2 } else { 1 }, MESSAGES))).collect();
    heard.up_to(&mut live, &expected);
    for child in [&mut other, &mut successor] {
        assert!(child.wait().expect("reaped").success());
    }
    let mut late = bus.subscriber().all_partitions("md", Start::Earliest).open().expect("a start");
    assert_eq!((late.topics(), late.topic(oyez::TopicIndex(3)).partitions), (4, 4));
    Heard::default().up_to(&mut late, &expected);

    // Some of them, and one.
    let some = |partitions: &[u16]| keys_of(partitions).map(|key| expected[key as usize]).collect::<Vec<_>>();
    let mut two = bus.subscriber().partitions("md", [3, 1], Start::Earliest).open().expect("a start");
    assert_eq!([0, 1].map(|at| two.partition(oyez::TopicIndex(at))), [3, 1]);
    Heard::default().up_to(&mut two, &some(&[1, 3]));
    let mut one = bus.subscriber().partition("md", 2, Start::Earliest).open().expect("a start");
    Heard::default().up_to(&mut one, &some(&[2]));
}

#[test]
fn a_keyed_publisher_owns_all_that_it_asks_for_or_nothing() {
    let house = House::new(SHARED);
    let (bus, other) = (house.bus(), house.bus());
    let owner = other.publisher("md").partition(2).open().expect("nobody owns it");
    let refused = bus.keyed_publisher("md").open().unwrap_err();
    assert!(matches!(refused, PublishError::NotGranted { partition: 2, .. }), "{refused}");
    assert!(refused.to_string().contains("owned by client-test"), "{refused}");
    let beyond = bus.keyed_publisher("md").partitions([0, 4]).open().unwrap_err();
    assert!(beyond.to_string().contains("md/4") && beyond.is_fatal(), "{beyond}");

    // What it had taken by then is free again.
    let mut rest = bus.keyed_publisher("md").partitions([0, 1, 3]).wait(PATIENCE).open().expect("they are free");
    let [own, foreign] = [0, 2].map(|partition| keys_of(&[partition]).next().expect("a key").to_le_bytes());
    assert!(matches!(rest.offer(&own, &[7; 64]), Ok(Offer::Published(published)) if published.partition == 0));
    let not_owned = rest.offer(&foreign, &[7; 64]).unwrap_err();
    assert!(matches!(not_owned, PublishError::NotOwned { partition: 2, .. }), "{not_owned}");
    assert!(!not_owned.is_fatal() && !not_owned.is_retriable());

    owner.release().expect("the broker answers");
    assert!(rest.put(bus.publisher("md").partition(2).wait(PATIENCE).open().expect("it is free")).is_none());
    assert!(matches!(rest.offer(&foreign, &[7; 64]), Ok(Offer::Published(_))));
    rest.take(1).expect("it is owned").release().expect("the broker answers");
    assert!(rest.of_partition(1).is_none() && rest.publishers().count() == 3);
    rest.release().expect("the broker answers");
    let all = bus.keyed_publisher("md").wait(PATIENCE).open().expect("they are free");
    assert_eq!(all.partitions(), 4);
}

#[test]
fn back_pressure_is_of_one_partition() {
    let house = House::new(SHARED);
    let bus = house.bus();
    let mut publisher = bus.keyed_publisher("md").open().expect("nobody owns it");
    let [busy, quiet] = [1, 3].map(|partition| keys_of(&[partition]).next().expect("a key").to_le_bytes());
    // While the broker is gone nothing is recorded, and a ring holds what it holds.
    let stopped = house.stop_broker();
    let mut offers = (0..).map(|_| publisher.offer(&busy, &[7; 4_000]).expect("an owner"));
    assert!(offers.by_ref().take(2_000).any(|offer| offer == Offer::BackPressured));
    drop(offers);
    for _ in 0..100 {
        assert!(matches!(publisher.offer(&quiet, &[7; 4_000]), Ok(Offer::Published(_))));
    }
    drop(stopped);
    until("room", || publisher.offer(&busy, &[7; 64]).expect("an owner").published());
}

#[test]
fn one_sequence_is_no_start_for_several_partitions() {
    let house = House::new(&(SHARED.to_owned() + "[[topics]]\nname = \"one\"\nring_mib = 2\npublish = [\"self\"]\n"));
    let bus = house.bus();
    let start = Start::Sequence(oyez::Sequence(0));
    let refused = bus.subscriber().all_partitions("md", start).open().unwrap_err();
    assert!(matches!(refused, SubscribeError::OneSequence { partitions: 4, .. }), "{refused}");
    bus.subscriber().all_partitions("one", start).open().expect("it has one partition");
    assert!(bus.subscriber().partition("md", u16::MAX, Start::Live).open().is_err());
}
