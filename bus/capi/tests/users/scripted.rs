//! A broker that is a thread, and does what no sound broker would: the name of the topic says what.

use crate::topic::topic_of;
use oyez_mem::memory::{Access, create, reopen, seal_writers};
use oyez_protocol::{Binding, Connection, Durability, FailureCode, Message, Packet, Refusal, VERSION};
use oyez_ring::{
    Area, BLOCK, Control, ControlMut, Epoch, EpochStart, Memory, Position, RegionMut, Sequence, State, write_head,
};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept, bind, listen, socket_with};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

const CAPACITY: u64 = 2 * BLOCK;
const NONE: Position = Position(u64::MAX);

fn listener(socket: &Path, waiting_max: i32) -> OwnedFd {
    let listener =
        socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a socket");
    bind(&listener, &SocketAddrUnix::new(socket).expect("a short path")).expect("bound");
    listen(&listener, waiting_max).expect("listening");
    listener
}

/// Listens, and accepts nobody: as many wait already as may. For as long as what it returns is kept.
pub(crate) fn busy(socket: &Path) -> (OwnedFd, Vec<Connection>) {
    let listener = listener(socket, 1);
    (listener, std::iter::from_fn(|| Connection::connect(socket).ok()).collect())
}

/// Listens until the process ends.
pub(crate) fn serve(socket: &Path) {
    let listener = listener(socket, 16);
    std::thread::spawn(move || {
        while let Ok(accepted) = accept(&listener) {
            std::thread::spawn(move || converse(&Connection::new(accepted)));
        }
    });
}

fn converse(connection: &Connection) {
    let mut granted = None;
    while let Ok(received) = connection.receive(Instant::now() + Duration::from_secs(60)) {
        let Packet { correlation, message } = received.packet;
        let Some((message, given)) = answer(message, &mut granted) else { continue };
        let given: Vec<_> = given.iter().map(AsFd::as_fd).collect();
        if connection.send(&Packet { correlation, message }, &given).is_err() {
            return;
        }
    }
}

/// `granted` keeps the page of the epoch that is owned.
fn answer(asked: Message, granted: &mut Option<ControlMut>) -> Option<(Message, Vec<OwnedFd>)> {
    let plain = |message| Some((message, Vec::new()));
    match asked {
        Message::Hello { .. } => {
            plain(Message::Welcome { version: VERSION, pid: 1, broker: "scripted".to_owned(), build: String::new() })
        }
        Message::DescribeTopic { partition: 1.., topic } => {
            plain(Message::failure(FailureCode::UnknownPartition, topic))
        }
        Message::DescribeTopic { topic, .. } => match topic.split_once('-') {
            Some(("refuse", number)) => {
                let number = oyez_protocol::schema::FailureCode(number.parse().expect("a number"));
                let code = FailureCode::try_from(number).expect("a code");
                plain(Message::failure(code, topic))
            }
            _ if topic == "silent" => None,
            _ if topic == "other" => plain(released()),
            _ => plain(topic_of(topic, CAPACITY)),
        },
        Message::OpenSubscriber { topic, .. } => {
            let recorded = topic == "unread";
            // Nobody here sleeps, so that ask and bell may be anything.
            let area = create("oyez-area", Area::LEN_BYTES as u64).expect("memory");
            let given = vec![area.try_clone().expect("a copy"), area.try_clone().expect("a copy"), area];
            let subscribed = Message::Subscribed {
                newest: Epoch(1),
                capacity: CAPACITY,
                durability: if recorded { Durability::Durable } else { Durability::Published },
                journal: recorded.into(),
                segment_bytes: if recorded { 4 << 20 } else { 0 },
                earliest: if recorded { Position(0) } else { NONE },
            };
            Some((subscribed, given))
        }
        Message::ListEpochs { topic, .. } if topic == "gone" => {
            plain(Message::failure(FailureCode::UnknownTopic, topic))
        }
        Message::ListEpochs { .. } => plain(Message::Epochs {
            newest: Epoch(1),
            end: NONE,
            end_sequence: Sequence(u64::MAX),
            epochs: vec![start()],
        }),
        Message::OpenEpoch { wait: true, .. } => None,
        Message::OpenEpoch { topic, .. } if topic == "unread" => {
            plain(Message::EpochClosed { start: start(), end: Position(4096), end_sequence: Sequence(9) })
        }
        Message::OpenEpoch { topic, .. } => {
            let (data, _) = data(topic == "invalid");
            let readable = reopen(&data, Access::Read).expect("a descriptor");
            if topic != "unsealed" {
                seal_writers(&data).expect("sealed");
            }
            let opened = Message::EpochOpened { start: start(), capacity: CAPACITY };
            Some((opened, vec![readable, page(true).1]))
        }
        Message::OpenSegment { topic, .. } => plain(Message::failure(FailureCode::Broker, topic)),
        Message::OpenPublisher { topic, .. } if topic == "taken" => {
            plain(Message::NotGranted { refusal: Refusal::Taken, pid: 7, uid: 0, holder: "another".to_owned() })
        }
        Message::OpenPublisher { partition, topic, .. } => {
            let (control, page) = page(topic != "open-page");
            match topic.as_str() {
                "closing" => control.set_state(State::Closing),
                "ended" => control.set_state(State::Ended),
                "journal-failed" => control.set_state(State::JournalFailed),
                _ => {}
            }
            *granted = Some(control);
            let access = if topic == "read-only" { Access::Read } else { Access::Write };
            let data = reopen(data(false).0, access).expect("a descriptor");
            Some((Message::RingOffer { partition, capacity: CAPACITY, topic }, vec![data, page]))
        }
        Message::Mapped { topic, .. } => plain(Message::Granted {
            epoch: Epoch(1),
            position: Position(96),
            sequence: Sequence(0),
            time_ns: 0,
            durability: Durability::Published,
            binding: Binding { schema_id: (topic == "schema").then_some(7), ..Binding::default() },
            templates: Vec::new(),
        }),
        Message::Release { .. } => plain(released()),
        _ => None,
    }
}

fn released() -> Message {
    Message::Released { epoch: Epoch(1), end: Position(96), sequence: Sequence(0) }
}

fn start() -> EpochStart {
    EpochStart { epoch: Epoch(1), position: Position(0), sequence: Sequence(0), time_ns: 0, previous_end: Position(0) }
}

/// An epoch's data with its head, and behind it a frame that is none where that is asked for.
fn data(is_invalid: bool) -> (OwnedFd, RegionMut) {
    let len_bytes = Memory::len_bytes(CAPACITY);
    let memory = create("scripted", len_bytes).expect("memory");
    let region = RegionMut::map(&memory, len_bytes as usize).expect("mapped");
    let tail = write_head(&region, CAPACITY, &start(), 1);
    if is_invalid {
        region.store(tail.position.0 as usize, 3);
    }
    (memory, region)
}

/// A page of positions, and what is handed out of it.
fn page(is_sealed: bool) -> (ControlMut, OwnedFd) {
    let memory = create("scripted", Control::LEN_BYTES as u64).expect("memory");
    let region = RegionMut::map(&memory, Control::LEN_BYTES).expect("mapped");
    let control = ControlMut::open(region, Position(0), Position(CAPACITY));
    let readable = reopen(&memory, Access::Read).expect("a descriptor");
    if is_sealed {
        seal_writers(&memory).expect("sealed");
    }
    (control, readable)
}
