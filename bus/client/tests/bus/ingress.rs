//! Many publishers of one topic: what each hands in comes once and in its order, whoever dies.

use crate::house::{House, PATIENCE, until};
use crate::trace::traced;
use oyez::{Bus, Connect, Durability, EventKind, FailureCode, HandIn, Ingress, PublishError, Start, Subscriber};
use std::collections::BTreeMap;
use std::time::Duration;

const MANY: &str = r#"
[[topics]]
name = "orders"
ring_mib = 2
publishers = "many"
ingress_kib = 256
publish = ["self"]

[topics.origins]
a = 1
b = 7
c = 9

[[topics]]
name = "md"
ring_mib = 2
publish = ["self"]
"#;

fn open(bus: &Bus, name: &str) -> Ingress {
    bus.publisher("orders").wait(PATIENCE).origin(name).open().unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A message that says whose it is and which.
fn message(publisher: u16, number: u64, len_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![publisher as u8; len_bytes.max(16)];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// Hands in the next message, as soon as there is room.
fn hand_in(ingress: &mut Ingress, publisher: u16, len_bytes: usize) -> u64 {
    let number = ingress.handed_in() + 1;
    let bytes = message(publisher, number, len_bytes);
    until("room", || match ingress.offer(&bytes).expect("a session") {
        HandIn::HandedIn(given) => Some(given),
        HandIn::BackPressured => None,
    })
}

fn accept_all(ingress: &mut Ingress) -> oyez::Accepted {
    ingress.wait(ingress.handed_in(), Durability::Published, PATIENCE).expect("accepted")
}

/// What a subscriber was given: of each publisher the numbers, which have to be dense.
#[derive(Default)]
struct Taken {
    last: BTreeMap<u16, u64>,
    messages: u64,
    /// (publisher, number) of each sequence, with where it ends.
    by_sequence: BTreeMap<u64, (u16, u64, u64)>,
}

impl Taken {
    fn poll_until(&mut self, subscriber: &mut Subscriber, lasts: &[(u16, u64)]) {
        until("all that was handed in", || {
            subscriber.poll(10_000, |event| self.take(event.kind)).expect("a sound journal");
            lasts.iter().all(|(of, last)| self.last.get(of).is_some_and(|taken| taken >= last)).then_some(())
        });
    }

    fn take(&mut self, event: EventKind<'_>) {
        match event {
            EventKind::Message(message) => {
                let origin = message.origin.expect("an origin");
                let last = self.last.entry(origin.publisher()).or_default();
                assert_eq!(origin.number(), *last + 1, "of publisher {}", origin.publisher());
                *last += 1;
                assert_eq!(message.bytes, self::message(origin.publisher(), origin.number(), message.bytes.len()));
                self.messages += 1;
                let at = (origin.publisher(), origin.number(), message.position.0);
                assert_eq!(self.by_sequence.insert(message.sequence.0, at), None, "twice");
            }
            EventKind::Gap { .. } | EventKind::Rewound { .. } => panic!("{event:?}"),
            _ => {}
        }
    }
}

fn subscriber(bus: &Bus) -> Subscriber {
    bus.subscriber().topic("orders", Start::Earliest).open().expect("a start")
}

#[test]
fn each_ones_order_is_kept_and_each_learns_where_its_messages_are() {
    let house = House::new(MANY);
    let bus = house.bus();
    let (mut a, mut b) = (open(&bus, "a"), open(&house.bus(), "b"));
    let (mut taken, mut subscriber) = (Taken::default(), subscriber(&bus));
    let lengths = [16, 51, 4_096, 4_097, a.message_bytes_max()];
    assert_eq!(a.message_bytes_max(), 64 << 10, "a quarter of the ingress ring");
    let mut told = Vec::new();
    for round in 0..3_000_usize {
        let len_bytes = lengths[if round % 50 == 0 { round / 50 % lengths.len() } else { round % 2 }];
        hand_in(&mut a, 1, len_bytes);
        hand_in(&mut b, 7, 51);
        if round % 100 == 0 {
            told.extend([(1, accept_all(&mut a)), (7, accept_all(&mut b))]);
        }
    }
    taken.poll_until(&mut subscriber, &[(1, 3_000), (7, 3_000)]);
    assert_eq!(taken.messages, 6_000);
    for (publisher, accepted) in told {
        let expected = (publisher, accepted.number, accepted.position.0);
        assert_eq!(taken.by_sequence[&accepted.sequence.0], expected);
    }
    let last = a.wait(3_000, Durability::Durable, PATIENCE).expect("durable");
    assert!(bus.describe("orders").expect("declared").durable >= last.position);
    let too_long = a.offer(&vec![0; (64 << 10) + 1]).unwrap_err();
    assert!(matches!(too_long, PublishError::Length { .. }), "{too_long}");
    assert!(matches!(a.offer(&[0; 7]), Err(PublishError::Length { .. })));
}

#[test]
fn a_name_has_one_session_at_a_time_and_whoever_has_no_name_has_none() {
    let house = House::new(MANY);
    let (bus, other) = (house.bus(), house.bus());
    let mut a = open(&bus, "a");
    let taken = other.publisher("orders").origin("a").open().unwrap_err();
    assert!(taken.is_retriable() && taken.to_string().contains("origin a: owned by client-test (process"), "{taken}");
    let refused = |error: PublishError| match error {
        PublishError::Bus(oyez::BusError::Refused { code, .. }) => code,
        other => panic!("{other}"),
    };
    assert_eq!(refused(bus.publisher("orders").origin("d").open().unwrap_err()), FailureCode::UnknownOrigin);
    assert_eq!(refused(bus.publisher("orders").open().unwrap_err()), FailureCode::OtherPublishers);
    assert_eq!(refused(bus.publisher("md").origin("a").open().unwrap_err()), FailureCode::OtherPublishers);

    // Whoever takes the name over goes on behind what was handed in, whether that was waited for or not.
    for _ in 0..1_000 {
        hand_in(&mut a, 1, 51);
    }
    drop(a);
    let mut a = open(&other, "a");
    assert_eq!((a.accepted().expect("a session").number, a.handed_in()), (1_000, 1_000));
    assert_eq!(hand_in(&mut a, 1, 51), 1_001);
    assert_eq!(a.close(PATIENCE).expect("closed").number, 1_001);
    assert_eq!(open(&bus, "a").handed_in(), 1_001);
    Taken::default().poll_until(&mut subscriber(&bus), &[(1, 1_001)]);
}

#[test]
fn what_was_handed_in_while_the_broker_died_and_was_away_comes_once() {
    let house = House::new(MANY);
    let bus = house.bus();
    let (mut a, mut b) = (open(&bus, "a"), open(&house.bus(), "b"));
    let (mut taken, mut subscriber) = (Taken::default(), subscriber(&bus));
    for life in 0..5 {
        for number in 0..500 {
            hand_in(&mut a, 1, if number % 100 == 7 { 50_000 } else { 51 });
            hand_in(&mut b, 7, 300);
        }
        if life % 2 == 0 {
            house.kill_broker();
        } else {
            // As much as goes in while nobody takes it.
            house.while_away(|| {
                while let HandIn::HandedIn(_) = a.offer(&message(1, a.handed_in() + 1, 51)).expect("a session") {}
            });
        }
    }
    accept_all(&mut a);
    accept_all(&mut b);
    taken.poll_until(&mut subscriber, &[(1, a.handed_in()), (7, b.handed_in())]);
    assert_eq!(taken.messages, a.handed_in() + b.handed_in());
    assert_eq!(a.accepted().expect("a session").number, a.handed_in());
}

#[test]
fn numbers_go_on_where_the_journal_ends_when_no_ring_is_left() {
    let mut house = House::new(MANY);
    let mut expected = BTreeMap::new();
    // So much that the head of the epoch lies segments behind; then next to nothing, then nothing.
    for (round, messages) in [60_000, 3, 0].into_iter().enumerate() {
        let bus = house.bus();
        // `b` hands in once, long ago: its number stands in `Publishers` frames alone.
        for (name, publisher) in [("b", 7), ("a", 1)] {
            let mut ingress = open(&bus, name);
            assert_eq!(ingress.handed_in(), expected.get(&publisher).copied().unwrap_or(0), "round {round}");
            for _ in 0..if publisher == 1 { messages } else { u64::from(round == 0) } {
                hand_in(&mut ingress, publisher, 200);
            }
            ingress.wait(ingress.handed_in(), Durability::Durable, PATIENCE).expect("durable");
            expected.insert(publisher, ingress.handed_in());
        }
        house.kill_all();
        house.start_again();
    }
    let bus = house.bus();
    let lasts: Vec<_> = expected.into_iter().collect();
    Taken::default().poll_until(&mut subscriber(&bus), &lasts);
    for ((_, last), name) in lasts.iter().zip(["a", "b"]) {
        assert_eq!(open(&bus, name).handed_in(), *last);
    }
    assert_eq!(open(&bus, "c").handed_in(), 0, "it has never handed anything in");
}

#[test]
fn where_nobody_can_tell_how_far_publishers_were_taken_nothing_is_taken_twice_and_other_topics_go_on() {
    let mut house = House::new(MANY);
    let bus = house.bus();
    let mut a = open(&bus, "a");
    for _ in 0..2_000 {
        hand_in(&mut a, 1, 200);
    }
    let accepted = a.wait(2_000, Durability::Durable, PATIENCE).expect("durable");
    house.await_noted("orders", accepted.position);
    house.kill_all();
    house.damage("orders", 200_000);
    house.start_again();
    let bus = house.bus();
    let refused = bus.publisher("orders").origin("a").open().unwrap_err();
    let code = |error: &PublishError| match error {
        PublishError::Bus(oyez::BusError::Refused { code, .. }) => Some(*code),
        _ => None,
    };
    assert_eq!(code(&refused), Some(FailureCode::JournalFailed), "{refused}");
    assert!(house.said("nothing is taken, since its journal does not tell"), "{refused}");
    let _ = bus.publisher("md").wait(PATIENCE).open().expect("it has nothing to do with that");
    let lost = until("what was handed in before to be told", || a.accepted().err());
    assert!(lost.to_string().contains("journal failed"), "{lost}");
}

#[test]
fn a_stop_takes_what_was_handed_in_and_a_later_start_goes_on() {
    let mut house = House::new(MANY);
    let bus = house.bus();
    let mut a = open(&bus, "a");
    for _ in 0..2_000 {
        hand_in(&mut a, 1, 51);
    }
    assert_eq!(house.stop(), Some(0), "everything durable, and nothing owned");
    // Into the ring of a broker that is gone.
    let before = a.handed_in();
    hand_in(&mut a, 1, 51);
    house.start_again();
    accept_all(&mut a);
    assert_eq!(a.handed_in(), before + 1);
    let bus = Bus::connect(Connect::new(house.socket())).expect("a broker");
    Taken::default().poll_until(&mut subscriber(&bus), &[(1, before + 1)]);
}

#[test]
fn what_was_not_handed_in_is_not_waited_for_without_end() {
    let house = House::new(MANY);
    let mut b = open(&house.bus(), "b");
    assert!(matches!(
        b.wait(1, Durability::Published, Duration::from_millis(20)),
        Err(PublishError::NotAccepted { .. })
    ));
    hand_in(&mut b, 7, 51);
    assert_eq!(accept_all(&mut b).number, 1);
}

#[test]
fn a_million_messages_are_handed_in_without_a_system_call() {
    let house = House::new(&MANY.replace("ring_mib = 2\npublishers", "ring_mib = 16\npublishers"));
    let socket = house.socket().to_str().expect("a path");
    let test = "a_million_messages_are_handed_in_without_a_system_call";
    let Some(calls) = traced(test, &[socket, "orders", "a"]) else { return };
    assert_eq!(calls, Vec::<String>::new());
    assert_eq!(open(&house.bus(), "a").handed_in(), 1_000_001);
}

#[test]
fn what_no_longer_fits_when_the_broker_is_back_is_lost_and_says_so() {
    let house = House::new(MANY);
    let mut a = open(&house.bus(), "a");
    let stopped = house.stop_broker();
    hand_in(&mut a, 1, 60_000);
    house.declare(&MANY.replace("ingress_kib = 256", "ingress_kib = 128"));
    house.kill_broker();
    drop(stopped);
    let lost = until("the loss to be told", || a.accepted().err());
    assert!(
        matches!(lost, PublishError::Lost { .. }) && lost.to_string().contains("only 32768 are taken now"),
        "{lost}"
    );
}
