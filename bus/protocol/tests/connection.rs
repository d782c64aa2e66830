//! The socket: packets, descriptors, deadlines, and peers that break the rules.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use oyez_protocol::{Connection, ConnectionError, Message, Packet};
use oyez_ring::{Epoch, Position};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};

fn packet(message: Message) -> Packet {
    Packet { correlation: 5, message }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

#[test]
fn a_descriptor_arrives_with_its_message_and_closes_on_exec() {
    let (one, other) = Connection::pair().expect("pair");
    let file = File::open("/proc/self/cmdline").expect("file");
    let message = packet(Message::SegmentOpened { base: Position(9) });
    one.send(&message, &[file.as_fd()]).expect("sent");
    let received = other.receive(soon()).expect("received");
    assert_eq!(received.packet, message);
    let descriptor = received.descriptors.into_iter().next().expect("one descriptor");
    let flags = rustix::io::fcntl_getfd(&descriptor).expect("flags");
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    let mut text = Vec::new();
    File::from(descriptor).read_to_end(&mut text).expect("readable");
    assert!(!text.is_empty());
}

#[test]
fn nothing_there_is_none_and_the_deadline_is_kept() {
    let (one, _other) = Connection::pair().expect("pair");
    assert!(one.try_receive().expect("open").is_none());
    let before = Instant::now();
    let result = one.receive(before + Duration::from_millis(20));
    assert!(matches!(result, Err(ConnectionError::TimedOut)));
    assert!(before.elapsed() >= Duration::from_millis(20));
}

#[test]
fn a_peer_that_is_gone_is_hung_up() {
    let (one, other) = Connection::pair().expect("pair");
    drop(other);
    assert!(matches!(one.receive(soon()), Err(ConnectionError::HungUp)));
    assert!(matches!(one.send(&packet(Message::Closing {}), &[]), Err(ConnectionError::HungUp)));
}

#[test]
fn a_peer_that_never_reads_does_not_block_the_sender() {
    let (one, _other) = Connection::pair().expect("pair");
    let blocked = (0..1_000_000).find_map(|_| one.send(&packet(Message::Closing {}), &[]).err());
    assert!(matches!(blocked, Some(ConnectionError::WouldBlock)));
}

#[test]
fn an_answer_is_found_by_its_correlation() {
    let (one, other) = Connection::pair().expect("pair");
    other.send(&Packet { correlation: 0, message: Message::Closing {} }, &[]).expect("sent");
    other.send(&Packet { correlation: 8, message: Message::EpochNotYet { newest: Epoch(1) } }, &[]).expect("sent");
    let mut others = Vec::new();
    let answer = one
        .request(8, Message::DescribeTopicAt { index: 0 }, soon(), |received| others.push(received.packet.message))
        .expect("answered");
    assert_eq!(answer.packet.message, Message::EpochNotYet { newest: Epoch(1) });
    assert_eq!(others, [Message::Closing {}]);
}

#[test]
fn a_packet_longer_than_the_limit_is_refused() {
    let (one, other) = Connection::pair().expect("pair");
    let bytes = vec![0; oyez_protocol::PACKET_BYTES_MAX + 1];
    rustix::net::send(&one, &bytes, SendFlags::empty()).expect("sent");
    assert!(matches!(other.receive(soon()), Err(ConnectionError::TooLong)));
}

#[test]
fn who_listens_and_accepts_nobody_keeps_nobody_waiting() {
    let path = std::env::temp_dir().join(format!("oyez-busy-{}", std::process::id()));
    let listener =
        socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a socket");
    bind(&listener, &SocketAddrUnix::new(&path).expect("a short path")).expect("bound");
    listen(&listener, 1).expect("listening");
    let (told, heard) = std::sync::mpsc::channel();
    let socket = path.clone();
    std::thread::spawn(move || {
        let waiting: Result<Vec<Connection>, ConnectionError> = (0..10).map(|_| Connection::connect(&socket)).collect();
        told.send(waiting.expect_err("as many as may wait"))
    });
    let busy = heard.recv_timeout(Duration::from_secs(20)).expect("an answer, at once");
    std::fs::remove_file(&path).expect("it is there");
    assert!(matches!(&busy, ConnectionError::Busy { path: told } if *told == path), "{busy}");
    assert!(busy.to_string().contains("try again"), "{busy}");
}

#[test]
fn nobody_there_is_said_with_the_path() {
    let error = Connection::connect("/nonexistent/bus.sock").expect_err("nobody listens");
    let text = error.to_string();
    assert!(text.contains("/nonexistent/bus.sock") && text.contains("oyez serve"), "{text}");
}
