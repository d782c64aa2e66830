//! Topics of many publishers, seen from the protocol: what each is given, and what one that scribbles can do.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use oyez_mem::memory::{self, Access};
use oyez_protocol::{FailureCode, Message, Refusal};
use oyez_ring::{Control, Epoch, Kind, Memory, Offer, Poll, Reader, RegionMut, Sequence, Tail, Writer};
use rustix::fs::FallocateFlags;

use crate::catalog::{applied, edit};
use crate::house::House;
use crate::peer::{Peer, map_control, until};
use crate::sleepers::stat;

pub(crate) const MANY: &str = r#"
[[topics]]
name = "many"
ring_mib = 2
publishers = "many"
ingress_kib = 128
publish = ["self"]
[topics.origins]
good = 1
bad = 2
"#;

const INGRESS: u64 = 128 << 10;

/// A session, straight on the protocol.
struct Ingress {
    peer: Peer,
    data: OwnedFd,
    region: RegionMut,
    writer: Writer,
    number: u64,
}

fn open(mut peer: Peer, origin: &str) -> Ingress {
    let opened = until("a session", || {
        let answer = peer.ask(Message::OpenIngress { partition: 0, topic: "many".into(), origin: origin.into() });
        match answer.packet.message {
            Message::NotGranted { refusal: Refusal::Preparing | Refusal::Ending, .. } => None,
            _ => Some(answer),
        }
    });
    let Message::IngressOpened { number, capacity, tail, .. } = opened.packet.message else { panic!("{opened:?}") };
    let [data, page, _] = <[OwnedFd; 3]>::try_from(opened.descriptors).expect("three descriptors");
    let region = RegionMut::map(&data, Memory::len_bytes(capacity) as usize).expect("writable");
    let behind = Tail { position: tail, sequence: Sequence(number + 1), time_ns: 0 };
    let writer = Writer::new(region.clone(), capacity, map_control(&page), Epoch(1), behind);
    Ingress { peer, data, region, writer, number }
}

impl Ingress {
    fn hand_in(&mut self) {
        self.number += 1;
        let message = [self.number.to_le_bytes(), [1; 8]].concat();
        let room = || matches!(self.writer.offer(&message, 0), Ok(Offer::Published(_))).then_some(());
        until("room", room);
    }

    fn await_accepted(&self) -> Control {
        let control = self.writer.control();
        until("all to be accepted", || control.accepted().filter(|accepted| accepted.number == self.number));
        control.clone()
    }
}

/// Each message of the newest epoch: whose it is, and which.
fn messages(peer: &mut Peer) -> Vec<(u16, u64)> {
    let Message::Subscribed { newest, .. } = peer.subscribe("many") else { panic!("not subscribed") };
    let opened = peer.open_epoch("many", newest.0);
    let mut reader = Reader::at(opened.memory.clone(), opened.start.epoch, opened.start.position);
    let mut found = Vec::new();
    while let Poll::Frame(frame) = reader.poll().expect("valid frames") {
        if let Some(origin) = frame.origin.filter(|_| frame.kind == Kind::Message) {
            assert_eq!(frame.payload[..8], origin.number().to_le_bytes(), "of {origin:?}");
            found.push((origin.publisher(), origin.number()));
        }
    }
    found
}

/// Noise over everything that a publisher maps, for as long as somebody else hands in.
fn scribble(region: &RegionMut, stop: &AtomicBool) {
    let mut noise = 0x5eed_u64;
    while !stop.load(Ordering::Relaxed) {
        for offset in (0..region.len_bytes()).step_by(8) {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            region.store(offset, noise);
        }
    }
}

#[test]
fn one_that_scribbles_ends_its_own_session_and_nobody_elses_message_is_touched() {
    let house = House::with("segment_mib = 4\n", MANY);
    let mut good = open(house.peer("good"), "good");
    for round in 0..5 {
        let mut bad = open(house.peer("bad"), "bad");
        assert_eq!(bad.number, 2 * round, "what it had handed in honestly");
        (0..2).for_each(|_| bad.hand_in());
        bad.await_accepted();
        let (stop, region) = (AtomicBool::new(false), bad.region.clone());
        std::thread::scope(|scope| {
            scope.spawn(|| scribble(&region, &stop));
            (0..1_000).for_each(|_| good.hand_in());
            good.await_accepted();
            stop.store(true, Ordering::Relaxed);
        });
        // Where the noise came to nothing, this is no frame of anybody's.
        bad.region.store(INGRESS as usize, u64::MAX);
        until("its session to end", || (bad.writer.control().state() == oyez_ring::State::Broken).then_some(()));
    }
    house.keeper.line(&["many/0 epoch 1: session of `bad` ended behind its message 10", "repair the publisher"]);
    let found = messages(&mut house.peer("reader"));
    let of = |publisher: u16| found.iter().filter(move |(of, _)| *of == publisher).map(|(_, number)| *number);
    assert!(of(1).eq(1..=5_000) && of(2).eq(1..=10), "{} and {}", of(1).count(), of(2).count());
}

#[test]
fn an_ingress_ring_is_its_publishers_alone_and_keeps_its_size() {
    let house = House::with("segment_mib = 4\n", MANY);
    let mut good = open(house.peer("good"), "good");
    let again = memory::reopen(&good.data, Access::Write).expect("its own");
    assert!(rustix::fs::ftruncate(&again, 0).is_err(), "it was cut");
    assert!(memory::seal_writers(&again).is_err(), "it was sealed");
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    // Its own memory a publisher may spoil; the broker reads zeros then.
    assert!(rustix::fs::fallocate(&again, punch, 0, 4096).is_ok());
    // Neither the partition nor another's session is to be had by it.
    let reclaim = Message::Reclaim { partition: 0, epoch: Epoch(1), topic: "many".into() };
    assert_eq!(good.peer.refusal(reclaim).0, FailureCode::OtherPublishers);
    let open = Message::OpenPublisher { partition: 0, standby: true, topic: "many".into() };
    assert_eq!(good.peer.refusal(open).0, FailureCode::OtherPublishers);
    let close = Message::CloseIngress { partition: 0, topic: "many".into(), origin: "bad".into() };
    assert_eq!(good.peer.refusal(close).0, FailureCode::NotOwner);
    assert_eq!(house.peer("other").state("many"), ("owned".to_owned(), house.peer("other").broker_pid));
}

#[test]
fn a_session_that_goes_with_its_connection_is_taken_to_its_end_first() {
    let house = House::with(SLOW, MANY);
    let mut first = open(house.peer("first"), "good");
    (0..100).for_each(|_| first.hand_in());
    let taken =
        house.peer("second").ask(Message::OpenIngress { partition: 0, topic: "many".into(), origin: "good".into() });
    assert!(matches!(taken.packet.message, Message::NotGranted { refusal: Refusal::Taken, .. }), "{taken:?}");
    drop(first.peer);
    // What it writes into its ring from now on is nobody's: the next one is told where the broker is.
    let second = open(house.peer("second"), "good");
    assert_eq!(second.number, 100);
    assert_eq!(messages(&mut house.peer("reader")), (1..=100).map(|number| (1, number)).collect::<Vec<_>>());
}

/// A core that is slow to look.
const SLOW: &str = "segment_mib = 4\nwake_max_us = 100000\nidle = \"block\"\n";

fn close(origin: &str) -> Message {
    Message::CloseIngress { partition: 0, topic: "many".into(), origin: origin.into() }
}

#[test]
fn whoever_closes_twice_is_refused_the_second_time_and_answered_the_first() {
    let house = House::with(SLOW, MANY);
    let mut good = open(house.peer("good"), "good");
    (0..100).for_each(|_| good.hand_in());
    (0..2).for_each(|_| good.peer.say(close("good")));
    let (mut closed, mut refused) = (None, None);
    for heard in [good.peer.hear(), good.peer.hear()] {
        match heard.packet.message {
            Message::IngressClosed { number: 100 } => closed = Some(heard.packet.correlation),
            Message::Failure { code: FailureCode::NotOwner, .. } => refused = Some(heard.packet.correlation),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(closed.map(|first| first + 1), refused);
}

#[test]
fn whoever_keeps_the_rings_of_former_sessions_is_given_no_more_than_a_few() {
    let house = House::with("segment_mib = 4\n", MANY);
    let mut kept: Vec<Ingress> = Vec::new();
    for _ in 0..4 {
        let mut good = open(house.peer("good"), "good");
        good.hand_in();
        let closed = good.peer.ask(close("good")).packet.message;
        assert!(matches!(closed, Message::IngressClosed { .. }), "{closed:?}");
        kept.push(good);
    }
    let ask = |name: &str| {
        let message = Message::OpenIngress { partition: 0, topic: "many".into(), origin: name.into() };
        house.peer("asker").ask(message).packet.message
    };
    let refused = ask("good");
    assert!(matches!(refused, Message::NotGranted { refusal: Refusal::Ending, .. }), "{refused:?}");
    assert!(matches!(ask("bad"), Message::IngressOpened { .. }), "another name has its own");
    kept.pop();
    assert!(matches!(ask("good"), Message::IngressOpened { number: 4, .. }));
}

#[test]
fn a_hand_over_first_takes_what_those_handed_in_who_are_gone() {
    let house = House::with(SLOW, MANY);
    let mut gone = open(house.peer("gone"), "good");
    (0..2_000).for_each(|_| gone.hand_in());
    drop(gone.peer);
    let broker = house.peer("asker").broker_pid;
    crate::house::signal(house.keeper.id(), rustix::process::Signal::HUP);
    until("the next broker", || (house.peer("asker").broker_pid != broker).then_some(()));
    assert_eq!(open(house.peer("next"), "good").number, 2_000);
}

#[test]
fn another_catalog_disturbs_no_session_but_of_those_who_lose_the_right() {
    let house = House::with("segment_mib = 4\nwake_max_us = 900\n", MANY);
    let mut good = open(house.peer("good"), "good");
    (0..10).for_each(|_| good.hand_in());
    good.await_accepted();
    edit(&house, "wake_max_us = 900", "wake_max_us = 800");
    applied(&house);
    (0..10).for_each(|_| good.hand_in());
    assert!(good.await_accepted().is_running());
    assert_eq!(messages(&mut house.peer("reader")).len(), 20, "all of one epoch");

    edit(&house, "publish = [\"self\"]", "publish = []");
    applied(&house);
    let connected = || stat(&mut house.peer("viewer")).partitions[0].publishers.map(|publishers| publishers.connected);
    until("its session to end", || (connected() == Some(0)).then_some(()));
}
