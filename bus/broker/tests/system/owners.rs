//! Owners: granted in order, ended by release or by death, never while anybody can write.

use std::time::{Duration, Instant};

use oyez_protocol::{Message, Refusal};
use oyez_ring::{Epoch, State};

use crate::house::{House, signal};
use crate::peer::{Peer, now_ns, until};

#[test]
fn publish_subscribe_release() {
    let house = House::new();
    for topic in ["md", "written", "scratch"] {
        let mut reader = house.peer("reader");
        reader.subscribe(topic);
        let mut owned = house.peer("owner").own(topic);
        let opened = reader.open_epoch(topic, 1);
        for _ in 0..1_000 {
            owned.publish();
        }
        assert_eq!(opened.messages(), (0..1_000).collect::<Vec<u64>>(), "{topic}");
        assert_eq!(opened.control.end(), None);
        let end = owned.writer.tail().position;
        owned.release();
        assert_eq!(opened.control.end(), Some(end), "{topic}");
        assert_eq!(opened.control.state(), State::Ended);
    }
}

#[test]
fn the_next_epoch_goes_on_where_the_last_one_ended() {
    let house = House::new();
    let mut reader = house.peer("reader");
    reader.subscribe("md");
    let mut time_ns = 0;
    for epoch in 1..=4 {
        let mut owned = house.peer("owner").own("md");
        assert_eq!(owned.epoch, Epoch(epoch));
        assert_eq!(owned.writer.tail().sequence.0, u64::from(epoch - 1) * 10);
        assert!(owned.writer.tail().time_ns >= time_ns, "publish time went back");
        owned.publish_all(10);
        time_ns = owned.writer.tail().time_ns;
        let opened = reader.open_epoch("md", epoch);
        assert_eq!(opened.messages().len(), 10);
        owned.release();
    }
    let epochs = reader.ask(Message::ListEpochs { partition: 0, from: Epoch(0), topic: "md".into() });
    let Message::Epochs { newest, end, end_sequence, epochs } = epochs.packet.message else { panic!("{epochs:?}") };
    assert_eq!((newest, end_sequence.0, epochs.len()), (Epoch(4), 40, 4));
    assert!(epochs.windows(2).all(|pair| pair[0].position < pair[1].previous_end));
    assert!(end > epochs[3].position);
}

#[test]
fn an_owned_partition_is_not_granted_and_the_answer_names_the_owner() {
    let house = House::new();
    let owner = house.child("own", &["md", "1"]);
    owner.line(&["granted"]);
    let answer = house.peer("second").open_publisher("md").packet.message;
    let Message::NotGranted { refusal: Refusal::Taken, pid, uid, holder } = answer else { panic!("{answer:?}") };
    assert_eq!((pid, uid, holder.as_str()), (owner.id(), rustix::process::geteuid().as_raw(), "owner"));
    assert_eq!(house.peer("asker").state("md"), ("owned".into(), owner.id()));
}

#[test]
fn an_owner_killed_is_followed_at_once_and_nothing_committed_is_lost() {
    let house = House::new();
    let mut reader = house.peer("reader");
    reader.subscribe("md");
    let (mut waits, mut messages) = (Vec::new(), 0);
    for round in 0..20 {
        let (killed, next) = (2 * round + 1, 2 * round + 2);
        let mut owner = house.child("own", &["md", "500"]);
        owner.line(&[&format!("granted {killed}")]);
        let opened = reader.open_epoch("md", killed);
        // It is killed anywhere among its 500 messages.
        until("some messages", || (opened.messages().len() > 20 * round as usize).then_some(()));
        let second = house.peer("second");
        let died = Instant::now();
        owner.kill();
        let mut owned = second.own("md");
        waits.push(died.elapsed());
        assert_eq!(owned.epoch, Epoch(next));
        assert_eq!(opened.control.state(), State::Ended);
        messages += opened.messages().len() as u64;
        assert_eq!(owned.publish().0, messages);
        messages += 1;
        owned.release();
    }
    waits.sort();
    eprintln!("killed to granted: median {:?}, longest {:?}", waits[10], waits[19]);
    assert!(waits[10] < Duration::from_millis(50), "{waits:?}");
}

#[test]
fn memory_that_another_process_maps_too_is_not_ended_and_its_holder_is_named() {
    let house = House::new();
    let mut owner = house.child("own-and-share", &["md"]);
    let holder: u32 = owner.line(&["holder"]).rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("a process");
    until("the holder's mapping", || {
        std::fs::read_to_string(format!("/proc/{holder}/maps")).ok()?.contains("/memfd:oyez-ring").then_some(())
    });
    owner.say("go on");
    owner.line(&["granted 1"]);
    owner.kill();
    let line = house.keeper.line(&["md/0 epoch 1", "still mapped for writing", "end it"]);
    assert!(line.contains(&format!("process {holder} (")), "{line}");
    let answer = house.peer("second").open_publisher("md").packet.message;
    assert!(matches!(answer, Message::NotGranted { refusal: Refusal::Ending, .. }), "{answer:?}");
    // It is said again, for as long as it lasts.
    until("a second line", || (house.keeper.count("still mapped for writing") >= 2).then_some(()));
    let answer = house.peer("second").open_publisher("md").packet.message;
    assert!(matches!(answer, Message::NotGranted { refusal: Refusal::Ending, .. }), "{answer:?}");
    signal(holder, rustix::process::Signal::KILL);
    assert_eq!(house.peer("second").own("md").epoch, Epoch(2));
}

#[test]
fn an_offer_that_comes_to_nothing_uses_up_nothing() {
    let house = House::new();
    let mut first = house.peer("first");
    offer(&mut first);
    let answer = house.peer("second").open_publisher("md").packet.message;
    assert!(matches!(answer, Message::NotGranted { refusal: Refusal::Offered, .. }), "{answer:?}");
    drop(first);
    let mut owned = house.peer("second").own("md");
    assert_eq!((owned.epoch, owned.publish().0), (Epoch(1), 0));
    let mut reader = house.peer("reader");
    reader.subscribe("md");
    assert_eq!(reader.open_epoch("md", 1).messages(), [0]);
}

#[test]
fn an_offer_is_taken_only_by_whom_it_was_made_to() {
    let house = House::new();
    let (mut first, mut second) = (house.peer("first"), house.peer("second"));
    let offer = offer(&mut first);
    let mapped = |topic: &str| Message::Mapped { partition: 0, topic: topic.into() };
    assert_eq!(second.refusal(mapped("md")).0, oyez_protocol::FailureCode::NotOwner);
    assert_eq!(first.refusal(mapped("written")).0, oyez_protocol::FailureCode::NotOwner);
    let owned = first.accept("md", offer);
    let release = Message::Release { partition: 0, epoch: Epoch(1), topic: "md".into() };
    assert_eq!(second.refusal(release).0, oyez_protocol::FailureCode::NotOwner);
    owned.release();
}

#[test]
fn an_owner_that_truncates_before_the_seals_are_on_gets_nowhere() {
    let house = House::new();
    let mut first = house.peer("first");
    let offer = offer(&mut first);
    let data = &offer.descriptors[0];
    assert!(rustix::fs::ftruncate(data, 0).is_err(), "shrunk before the grant");
    assert!(rustix::fs::ftruncate(data, 1 << 30).is_err(), "grown before the grant");
    let copy = data.try_clone().expect("a copy");
    let owned = first.accept("md", offer);
    // A descriptor kept on: no write by call, no further mapping; yet as long as it is open, no next epoch either.
    assert!(rustix::io::pwrite(&copy, &[1], 0).is_err());
    assert!(oyez_ring::RegionMut::map(&copy, 4_096).is_err());
    drop(owned);
    let answer = house.peer("second").open_publisher("md").packet.message;
    assert!(matches!(answer, Message::NotGranted { .. }), "{answer:?}");
    drop(copy);
    assert_eq!(house.peer("second").own("md").epoch, Epoch(2));
}

#[test]
fn an_owner_that_scribbles_over_its_ring_is_broken_at_its_last_good_frame() {
    let house = House::new();
    let mut reader = house.peer("reader");
    reader.subscribe("md");
    let mut first = house.peer("scribbler");
    let offer = offer(&mut first);
    let Message::RingOffer { capacity, .. } = offer.packet.message else { panic!("no offer") };
    let length = oyez_ring::Memory::len_bytes(capacity) as usize;
    let scribble = oyez_ring::RegionMut::map(&offer.descriptors[0], length).expect("writable");
    let mut owned = first.accept("md", offer);
    owned.publish_all(100);
    let end = owned.writer.tail().position;
    let opened = reader.open_epoch("md", 1);
    // Nothing that is read under a mark that cannot be is believed: it has to be read before.
    until("the recorder", || (opened.control.written() == end).then_some(()));
    for offset in (end.0 as usize..length).step_by(8) {
        scribble.store(offset, now_ns() | 1);
    }
    until("the verdict", || (opened.control.state() == State::Broken).then_some(()));
    assert_eq!(opened.control.end(), Some(end));
    house.keeper.line(&["md/0 epoch 1", "broken by its owner"]);
    let answer = house.peer("second").open_publisher("md").packet.message;
    assert!(matches!(answer, Message::NotGranted { .. }), "{answer:?}");
    drop((owned, scribble));
    let next = house.peer("second").own("md");
    assert_eq!((next.epoch, next.writer.tail().sequence.0), (Epoch(2), 100));
    // The other topics never noticed.
    house.peer("third").own("written").publish();
}

fn offer(peer: &mut Peer) -> oyez_protocol::Received {
    until("an offer", || {
        let answer = peer.open_publisher("md");
        (!matches!(answer.packet.message, Message::NotGranted { .. })).then_some(answer)
    })
}
