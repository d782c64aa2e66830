//! Owners that write what they must not, and die: their own topic suffers, the broker and the next owner do not.

use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Instant;

use oyez_mem::memory;
use oyez_protocol::{FailureCode, Message, Packet, VERSION};
use oyez_ring::layout::{CommitWord, FLAG_LAST};
use oyez_ring::{Epoch, Kind, Memory, Offer, RegionMut, State};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use crate::house::{House, signal};
use crate::peer::{Owned, Peer, now_ns, until};

/// Owns a topic and has a mapping of its ring beside its writer's.
fn own(house: &House, topic: &str) -> (Owned, RegionMut, usize) {
    let mut peer = house.peer("hostile");
    let offer = until("an offer", || {
        let answer = peer.open_publisher(topic);
        (!matches!(answer.packet.message, Message::NotGranted { .. })).then_some(answer)
    });
    let Message::RingOffer { capacity, .. } = offer.packet.message else { panic!("no offer") };
    memory::check_size(&offer.descriptors[0], Memory::len_bytes(capacity)).expect("the size agreed");
    let region = RegionMut::map(&offer.descriptors[0], Memory::len_bytes(capacity) as usize).expect("writable");
    (peer.accept(topic, offer), region, capacity as usize)
}

#[test]
fn a_mark_that_cannot_be_harms_nobody() {
    let house = House::new();
    for topic in ["scratch", "md"] {
        let mut sequence = 0;
        for mark in [8, u64::MAX, 0] {
            let (mut owned, region, capacity) = own(&house, topic);
            owned.publish_all(3);
            assert!(owned.writer.tail().sequence.0 >= sequence + 3, "numbers were given twice");
            sequence = owned.writer.tail().sequence.0 - 3;
            region.store(capacity, mark);
            drop((owned, region));
        }
        house.peer("next").own(topic).publish();
    }
    assert_eq!(house.keeper.count("the broker died"), 0);
}

#[test]
fn a_time_of_the_far_future_does_not_outlive_its_owner() {
    let house = House::new();
    for topic in ["scratch", "md"] {
        let mut owned = house.peer("hostile").own(topic);
        owned.publish();
        let end = owned.writer.tail();
        let offer = owned.writer.offer(&[0; 64], u64::MAX - 1).expect("a length in bounds");
        assert!(matches!(offer, Offer::Published(_)));
        drop(owned);
        let next = house.peer("next").own(topic);
        assert_eq!(next.writer.tail().sequence, end.sequence, "{topic}");
        assert!(next.writer.tail().time_ns <= now_ns(), "{topic}: the clock of the partition is poisoned");
    }
}

#[test]
fn a_part_of_no_message_ends_its_epoch_before_it() {
    let house = House::new();
    for topic in ["scratch", "md"] {
        let (mut owned, region, capacity) = own(&house, topic);
        owned.publish_all(3);
        let end = owned.writer.tail();
        let (at, sequence_low) = (end.position.0 as usize % capacity, end.sequence.0 as u16);
        let word = CommitWord { length: 24, kind: Kind::Fragment as u8, flags: FLAG_LAST, sequence_low };
        region.store(at + 8, end.time_ns);
        region.store_release(at, word.pack());
        drop((owned, region));
        let next = house.peer("next").own(topic);
        assert_eq!(next.writer.tail().sequence, end.sequence, "{topic}");
        house.keeper.line(&[topic, "broken", &format!("at {}", end.position)]);
    }
    assert_eq!(house.keeper.count("the broker died"), 0);
}

#[test]
fn a_ring_wiped_ends_where_the_recorder_had_come() {
    let house = House::new();
    let mut reader = house.peer("reader");
    reader.subscribe("md");
    let (mut owned, region, capacity) = own(&house, "md");
    let opened = reader.open_epoch("md", 1);
    owned.publish_all(5_000);
    let end = owned.writer.tail();
    until("the recorder", || (opened.control.written() == end.position).then_some(()));
    (0..capacity).step_by(8).for_each(|at| region.store(at, 0));
    drop((owned, region));
    let next = house.peer("next").own("md");
    assert_eq!((opened.control.end(), next.writer.tail().sequence), (Some(end.position), end.sequence));
    assert_ne!(opened.control.state(), State::Running);
    assert_eq!(house.keeper.count("the broker died"), 0);
}

#[test]
fn a_ring_that_its_receiver_has_sealed_is_granted_to_nobody() {
    let house = House::new();
    let mut first = house.peer("first");
    let offer = until("an offer", || {
        let answer = first.open_publisher("md");
        (!matches!(answer.packet.message, Message::NotGranted { .. })).then_some(answer)
    });
    // The broker cannot add the seals that readers rely on any more.
    memory::seal_size(&offer.descriptors[0]).expect("sealed");
    let (code, _) = first.refusal(Message::Mapped { partition: 0, topic: "md".into() });
    assert_eq!(code, FailureCode::BadMessage);
    assert_eq!(house.peer("second").own("md").epoch, Epoch(1));
}

#[test]
fn an_epoch_is_taken_back_only_by_the_process_that_had_it() {
    let house = House::new();
    let owner = house.child("own-out-of-sight", &["md"]);
    owner.line(&["out of sight"]);
    let mut thief = house.peer("thief");
    until("the broker to miss it", || (thief.state("md").0 == "ending").then_some(()));
    let (code, _) = thief.refusal(Message::Reclaim { partition: 0, epoch: Epoch(1), topic: "md".into() });
    assert_eq!(code, FailureCode::NotOwner);
}

/// What poll says of the connection.
fn poll_for(peer: &Peer, flags: PollFlags) -> bool {
    let mut sources = [PollFd::new(peer, flags)];
    poll(&mut sources, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).expect("polled");
    sources[0].revents().intersects(flags)
}

/// Asks for the ring of the first epoch so often, and reads nothing.
fn ask_and_do_not_read(peer: &mut Peer, times: u64) {
    peer.subscribe("md");
    for correlation in 1_000..1_000 + times {
        let message = Message::OpenEpoch { partition: 0, epoch: Epoch(1), wait: false, topic: "md".into() };
        let packet = Packet { correlation, message };
        until("room for a request", || peer.connection().send(&packet, &[]).ok());
    }
    // The kernel takes its least, four small packets, and calls it writable when three of them are read.
    rustix::net::sockopt::set_socket_send_buffer_size(&*peer, 0).expect("set");
    until("the broker to read", || poll_for(peer, PollFlags::OUT).then_some(()));
}

#[test]
fn a_client_that_does_not_read_is_not_sent_descriptors_without_end() {
    let house = House::new();
    let _owned = house.peer("owner").own("md");
    let mut deaf = house.peer("deaf");
    ask_and_do_not_read(&mut deaf, 200);
    let (mut opened, mut refused) = (0, 0);
    for _ in 0..200 {
        let answer = deaf.connection().receive(Instant::now() + crate::peer::PATIENCE).expect("an answer");
        match answer.packet.message {
            Message::EpochOpened { .. } => opened += 1,
            Message::Failure { code: FailureCode::TooManyRequests, .. } => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!((1..150).contains(&opened), "{opened} opened, {refused} refused");
    deaf.open_epoch("md", 1);
}

#[test]
fn what_a_client_has_not_read_counts_after_it_has_hung_up() {
    let topics = "[[topics]]\nname = \"md\"\nring_mib = 2\npublish = [\"self\"]\n";
    let house = House::with("segment_mib = 4\nconnections_per_user_max = 4\n", topics);
    let _owned = house.peer("owner").own("md");
    let mut deaf: Vec<Peer> = (0..3).map(|_| house.peer("deaf")).collect();
    for peer in &mut deaf {
        ask_and_do_not_read(peer, 20);
        rustix::net::shutdown(&*peer, rustix::net::Shutdown::Write).expect("half closed");
        until("the broker to hang up", || poll_for(peer, PollFlags::HUP).then_some(()));
    }
    let refused = oyez_protocol::Connection::connect(&house.socket).expect("a broker");
    let answer = refused.receive(Instant::now() + crate::peer::PATIENCE).expect("told").packet.message;
    assert!(matches!(answer, Message::Failure { code: FailureCode::ConnectionLimit, .. }), "{answer:?}");
    drop(deaf);
    house.peer("room again");
}

/// Has the broker close, as the last to have it, a socket that lingers: what it has to send its other end does not take, and
/// its close waits for that, or for the end of the other end, which this returns.
fn hold_closing_up(house: &House, hellos: usize) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let slow = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
    let (other_end, _) = listener.accept().expect("accepted");
    slow.set_nonblocking(true).expect("set");
    while std::io::Write::write(&mut &slow, &[0; 65_536]).is_ok() {}
    slow.set_nonblocking(false).expect("set");
    rustix::net::sockopt::set_socket_linger(&slow, Some(crate::peer::PATIENCE * 2)).expect("set");
    let broker = house.peer("looks").broker_pid;
    signal(broker, Signal::STOP);
    (0..hellos).for_each(|_| hello_with(house, &slow));
    drop(slow);
    signal(broker, Signal::CONT);
    other_end
}

/// Connects, and says hello with a descriptor, which nobody asked for.
fn hello_with(house: &House, given: &impl AsFd) {
    let hello = Packet { correlation: 1, message: Message::Hello { version: VERSION, name: "slow".into() } }.encode();
    let connection = oyez_protocol::Connection::connect(&house.socket).expect("a broker");
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
    let rights = [given.as_fd()];
    assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&rights)));
    let io = [std::io::IoSlice::new(&hello)];
    rustix::net::sendmsg(&connection, &io, &mut control, rustix::net::SendFlags::empty()).expect("sent");
}

#[test]
fn who_is_refused_behind_a_close_that_lingers_shuts_nobody_out_and_takes_no_descriptors_for_good() {
    let topics = "[[topics]]\nname = \"md\"\nring_mib = 2\npublish = [\"self\"]\n";
    let house = House::with("segment_mib = 4\nconnections_per_user_max = 4\n", topics);
    let mut owned = house.peer("owner").own("md");
    let broker = owned.peer.broker_pid;
    let descriptors = || std::fs::read_dir(format!("/proc/{broker}/fd")).expect("it lives").count();
    let before = descriptors();
    let _other_end = hold_closing_up(&house, 8);
    // More than may wait to be closed.
    let began = Instant::now();
    for _ in 0..3_000 {
        until("a connection", || oyez_protocol::Connection::connect(&house.socket).ok());
    }
    owned.publish();
    assert_eq!(owned.peer.state("md").0, "owned");
    house.peer("room again");
    until("their end", || (descriptors() < before + 10).then_some(()));
    assert!(began.elapsed() < crate::peer::PATIENCE, "{:?}", began.elapsed());
}

#[test]
fn a_descriptor_whose_close_takes_for_ever_holds_nobody_up() {
    let house = House::new();
    let _other_end = hold_closing_up(&house, 3);
    let began = Instant::now();
    house.peer("owner").own("md").publish();
    assert!(began.elapsed() < crate::peer::PATIENCE / 2, "{:?}", began.elapsed());
}
