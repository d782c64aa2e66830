//! What a broker hands out is checked before it is mapped: size, seals, and that a reader cannot write. The broker here
//! is a thread that hands out what no sound broker would.
#![forbid(unsafe_code)]

#[path = "support/topic.rs"]
mod topic;

use oyez::{Bus, Connect, Offer, Start};
use oyez_mem::memory::{Access, create, reopen, seal_writers};
use oyez_protocol::{Binding, CORRELATION_OF_BROKER, Connection, Durability, Message, Packet, VERSION};
use oyez_ring::{Area, BLOCK, Control, Epoch, EpochStart, Memory, Position, Sequence};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept, bind, listen, socket_with};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};
use topic::topic_of;

const CAPACITY: u64 = 2 * BLOCK;
const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough for a reader to want, meanwhile, the epoch that its thread has asked for.
const RING_MADE_IN: Duration = Duration::from_millis(50);

/// What is wrong with what is handed out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    Nothing,
    /// The data memory lacks the seal against writing.
    Unsealed,
    /// The descriptor of the data memory can write.
    Writable,
    /// The data memory is a block short.
    Short,
    /// The capacity is no size of a ring.
    Capacity,
    /// The control page is not sealed.
    OpenPage,
    /// A publisher cannot write its data memory.
    ReadOnly,
}

fn memory(len_bytes: u64, is_sealed: bool, access: Access) -> OwnedFd {
    let memory = create("test", len_bytes).expect("memory");
    let given = reopen(&memory, access).expect("a descriptor");
    if is_sealed {
        seal_writers(&memory).expect("sealed");
    }
    given
}

fn handed_out(wrong: Wrong, is_owner: bool) -> [OwnedFd; 2] {
    let len_bytes = Memory::len_bytes(CAPACITY) - if wrong == Wrong::Short { BLOCK } else { 0 };
    let access =
        if wrong == Wrong::Writable || is_owner && wrong != Wrong::ReadOnly { Access::Write } else { Access::Read };
    let page = memory(Control::LEN_BYTES as u64, wrong != Wrong::OpenPage, Access::Read);
    // An owner maps before the seal against writing is on.
    [memory(len_bytes, wrong != Wrong::Unsealed && !is_owner, access), page]
}

fn listening(socket: &Path) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("a socket");
    bind(&listener, &SocketAddrUnix::new(socket).expect("a short path")).expect("bound");
    listen(&listener, 4).expect("listening");
    listener
}

/// Answers one connection until it hangs up; all that it was asked.
fn serve(socket: &Path, wrong: Wrong) -> std::thread::JoinHandle<Vec<Message>> {
    let listener = listening(socket);
    std::thread::spawn(move || {
        let connection = Connection::new(accept(&listener).expect("a client"));
        let mut asked = Vec::new();
        while let Ok(received) = connection.receive(Instant::now() + PATIENCE) {
            let Packet { correlation, message } = received.packet;
            asked.push(message.clone());
            if matches!(message, Message::OpenEpoch { wait: false, .. }) {
                std::thread::sleep(RING_MADE_IN);
            }
            let Some((message, given)) = answer(message, wrong) else { continue };
            let given: Vec<_> = given.iter().map(AsFd::as_fd).collect();
            if connection.send(&Packet { correlation, message }, &given).is_err() {
                break; // The client has seen enough.
            }
        }
        asked
    })
}

fn answer(asked: Message, wrong: Wrong) -> Option<(Message, Vec<OwnedFd>)> {
    let (epoch, capacity) = (Epoch(1), if wrong == Wrong::Capacity { CAPACITY + 8 } else { CAPACITY });
    let start =
        EpochStart { epoch, position: Position(0), sequence: Sequence(0), time_ns: 0, previous_end: Position(0) };
    let none = Position(u64::MAX);
    let message = match asked {
        Message::Hello { .. } => {
            Message::Welcome { version: VERSION, pid: 1, broker: "test".to_owned(), build: String::new() }
        }
        Message::DescribeTopic { topic, .. } => topic_of(topic, capacity),
        Message::OpenSubscriber { .. } => {
            let (durability, area) = (Durability::Published, memory(Area::LEN_BYTES as u64, false, Access::Write));
            let subscribed = Message::Subscribed {
                newest: epoch,
                capacity,
                durability,
                journal: 0,
                segment_bytes: 0,
                earliest: none,
            };
            // Nobody here sleeps, so that ask and bell may be anything.
            return Some((subscribed, vec![area.try_clone().ok()?, area.try_clone().ok()?, area]));
        }
        Message::ListEpochs { .. } => {
            Message::Epochs { newest: epoch, end: none, end_sequence: Sequence(u64::MAX), epochs: vec![start] }
        }
        Message::OpenEpoch { wait: false, .. } => {
            return Some((Message::EpochOpened { start, capacity }, handed_out(wrong, false).into()));
        }
        Message::OpenPublisher { partition, topic, .. } => {
            return Some((Message::RingOffer { partition, capacity, topic }, handed_out(wrong, true).into()));
        }
        _ => return None,
    };
    Some((message, Vec::new()))
}

fn granted(epoch: Epoch) -> Message {
    Message::Granted {
        epoch,
        position: Position(96),
        sequence: Sequence(0),
        time_ns: 0,
        durability: Durability::Published,
        binding: Binding::default(),
        templates: Vec::new(),
    }
}

/// What a client says to a broker with that fault, and all that it asked.
fn with_broker<T>(wrong: Wrong, client: impl FnOnce(&Bus) -> T) -> (T, Vec<Message>) {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("bus.sock");
    let broker = serve(&socket, wrong);
    let bus = Bus::connect(Connect::new(&socket).timeout(PATIENCE)).expect("it listens");
    let said = client(&bus);
    drop(bus);
    (said, broker.join().expect("a broker that answered"))
}

#[test]
fn a_reader_maps_only_what_is_sealed_and_of_the_right_size() {
    let faults = [
        (Wrong::Nothing, None),
        (Wrong::Unsealed, Some("lacks the seals")),
        (Wrong::Writable, Some("was handed to a reader writable")),
        (Wrong::Short, Some("memory has 131072 bytes, 196608 were agreed")),
        (Wrong::Capacity, Some("do not use it")),
        (Wrong::OpenPage, Some("lacks the seals")),
    ];
    for (wrong, text) in faults {
        let (opened, _) = with_broker(wrong, |bus| bus.subscriber().topic("md", Start::Earliest).open().map(drop));
        match (opened, text) {
            (Ok(()), None) => {}
            (Err(error), Some(text)) => {
                assert!(
                    error.to_string().contains(text) && error.to_string().contains("topic md"),
                    "{wrong:?}: {error}"
                );
            }
            (opened, _) => panic!("{wrong:?}: {opened:?}"),
        }
    }
}

#[test]
fn a_publisher_maps_only_what_is_of_the_right_size_and_a_page_it_cannot_write() {
    let faults = [
        (Wrong::Short, "memory has 131072 bytes, 196608 were agreed"),
        (Wrong::Capacity, "do not use it"),
        (Wrong::OpenPage, "lacks the seals"),
        (Wrong::ReadOnly, "cannot map its ring"),
    ];
    for (wrong, text) in faults {
        let (opened, _) = with_broker(wrong, |bus| bus.publisher("md").open().map(drop));
        let error = opened.expect_err("it is not whole");
        assert!(error.to_string().contains(text) && error.to_string().contains("topic md"), "{wrong:?}: {error}");
    }
}

/// A broker lets a connection wait for so many epochs and no more; nothing takes such a request back.
#[test]
fn subscribers_that_come_and_go_wait_for_the_next_epoch_once() {
    let ((), asked) = with_broker(Wrong::Nothing, |bus| {
        (0..10).for_each(|_| drop(bus.subscriber().topic("md", Start::Live).open().expect("a start")));
    });
    let waits = asked.iter().filter(|asked| matches!(asked, Message::OpenEpoch { wait: true, .. })).count();
    assert!(waits <= 1, "{waits} at a time");
}

#[test]
fn a_ring_that_two_want_is_asked_for_once() {
    let open = |bus: &Bus| drop(bus.subscriber().topic("md", Start::Live).open().expect("a start"));
    let ((), asked) = with_broker(Wrong::Nothing, open);
    let opens = asked.iter().filter(|asked| matches!(asked, Message::OpenEpoch { wait: false, .. })).count();
    assert_eq!(opens, 1, "{asked:?}");
}

#[test]
fn what_is_granted_after_the_publisher_has_given_up_is_released() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("bus.sock");
    let listener = listening(&socket);
    let (gave_up, grant) = std::sync::mpsc::channel();
    let broker = std::thread::spawn(move || {
        let connection = Connection::new(accept(&listener).expect("a client"));
        loop {
            let Packet { correlation, message } = connection.receive(Instant::now() + PATIENCE).expect("a word").packet;
            let (message, given) = match message {
                Message::Release { epoch, .. } => return epoch,
                Message::Mapped { .. } => {
                    grant.recv_timeout(PATIENCE).expect("it gives up");
                    (granted(Epoch(1)), Vec::new())
                }
                other => answer(other, Wrong::Nothing).expect("known"),
            };
            let given: Vec<_> = given.iter().map(AsFd::as_fd).collect();
            connection.send(&Packet { correlation, message }, &given).expect("it listens");
        }
    });
    let bus = Bus::connect(Connect::new(&socket).timeout(Duration::from_millis(500))).expect("it answers");
    let error = bus.publisher("md").open().expect_err("nothing is granted in time");
    assert!(error.to_string().contains("has not answered Mapped"), "{error}");
    gave_up.send(()).expect("a broker");
    assert_eq!(broker.join().expect("released"), Epoch(1));
}

#[test]
fn an_owner_whose_broker_dies_between_its_two_rings_is_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("bus.sock");
    let listener = listening(&socket);
    let broker = std::thread::spawn(move || {
        let connection = Connection::new(accept(&listener).expect("a client"));
        let say = |correlation, message, given: &[OwnedFd]| {
            let given: Vec<_> = given.iter().map(AsFd::as_fd).collect();
            connection.send(&Packet { correlation, message }, &given).expect("it listens");
        };
        loop {
            let Packet { correlation, message } = connection.receive(Instant::now() + PATIENCE).expect("a word").packet;
            match message {
                Message::Release { .. } => return,
                Message::Mapped { .. } if correlation == CORRELATION_OF_BROKER => {
                    say(correlation, Message::HandOver { epoch: Epoch(1) }, &[]);
                }
                Message::Mapped { partition, topic } => {
                    say(correlation, granted(Epoch(1)), &[]);
                    let offer = Message::RingOffer { partition, capacity: CAPACITY, topic };
                    say(CORRELATION_OF_BROKER, offer, &handed_out(Wrong::Nothing, true));
                }
                other => {
                    let (message, given) = answer(other, Wrong::Nothing).expect("known");
                    say(correlation, message, &given);
                }
            }
        }
    });
    let bus = Bus::connect(Connect::new(&socket).timeout(PATIENCE)).expect("it answers");
    let mut publisher = bus.publisher("md").open().expect("granted");
    broker.join().expect("it gave its ring up");
    let deadline = Instant::now() + PATIENCE;
    let lost = loop {
        match publisher.offer(&[1; 64]) {
            Ok(offer) => assert!(offer == Offer::BackPressured && Instant::now() < deadline, "{offer:?}"),
            Err(lost) => break lost.to_string(),
        }
    };
    assert!(lost.contains("went away while it was renewed"), "{lost}");
}
