//! Clients that mean harm, each in a way of its own, as fast as they can until they are killed.

use std::fs::File;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use oyez_protocol::{Connection, Message, Packet, VERSION};
use oyez_ring::{Area, Epoch, Memory, Position, RegionMut};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use crate::peer::Peer;

/// As many as the kernel takes in one message, and one less.
const DESCRIPTORS_MAX: usize = 252;
const HOLD: Duration = Duration::from_millis(5);

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let word = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ word >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

pub(crate) fn attack(way: &str, socket: &Path) -> ! {
    let mut random = Random(u64::from(std::process::id()));
    let attack = match way {
        "bytes" => bytes,
        "descriptors" => descriptors,
        "scribbles" => scribbles,
        "areas" => areas,
        "limits" => limits,
        "deaf" => deaf,
        "burns" => burns,
        other => panic!("no way `{other}`"),
    };
    println!("attacks");
    loop {
        if attack(socket, &mut random).is_none() {
            // Refused for a limit.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What may be asked, of topics that there are.
fn requests(random: &mut Random) -> Message {
    let named = ["md", "scratch", "many", "nope"][random.below(4)];
    let topic = || named.to_owned();
    let (partition, epoch) = (0, Epoch(1));
    let origin = || "bad".to_owned();
    match random.next() % 12 {
        0 => Message::Hello { version: VERSION, name: "hostile".into() },
        1 => Message::OpenSubscriber { partition, topic: topic() },
        2 => Message::OpenEpoch { partition, epoch, wait: random.next().is_multiple_of(2), topic: topic() },
        3 => Message::OpenSegment { partition, position: Position(random.next()), topic: topic() },
        4 => Message::Mapped { partition, topic: topic() },
        5 => Message::Release { partition, epoch, topic: topic() },
        6 => Message::Reclaim { partition, epoch, topic: topic() },
        7 => Message::OpenStat {},
        8 => Message::OpenIngress { partition, topic: topic(), origin: origin() },
        9 => Message::CloseIngress { partition, topic: topic(), origin: origin() },
        10 => Message::PlanCatalog { apply: random.next().is_multiple_of(2), path: "/dev/null".into() },
        _ => Message::DescribeTopic { partition, topic: topic() },
    }
}

/// Sound packets, sound ones with bits turned, cut or lengthened, and noise.
fn bytes(socket: &Path, random: &mut Random) -> Option<()> {
    let connection = greeted(socket)?;
    for correlation in 1..=32 {
        let mut bytes = Packet { correlation, message: requests(random) }.encode();
        match random.below(4) {
            0 => {}
            1 => {
                for _ in 0..=random.below(4) {
                    let at = random.below(bytes.len());
                    bytes[at] ^= 1 << random.below(8);
                }
            }
            2 => bytes.resize(random.below(200), random.next() as u8),
            _ => bytes = (0..random.below(60_000)).map(|_| random.next() as u8).collect(),
        }
        send(&connection, &bytes, &[])?;
    }
    Some(())
}

/// Descriptors that nobody asked for, the connection's own among them.
fn descriptors(socket: &Path, random: &mut Random) -> Option<()> {
    let connection = greeted(socket)?;
    let file = File::open("/dev/null").ok()?;
    let mut given = vec![file.as_fd(); DESCRIPTORS_MAX];
    given[0] = connection.as_fd();
    for correlation in 1..=8 {
        let packet = Packet { correlation, message: requests(random) }.encode();
        send(&connection, &packet, &given[..=random.below(DESCRIPTORS_MAX)])?;
    }
    Some(())
}

/// Owns a topic, writes anything anywhere in its ring, its mark included, and goes.
fn scribbles(socket: &Path, random: &mut Random) -> Option<()> {
    let mut peer = Peer::try_connect(socket, "scribbler")?;
    let topic = || "scratch".to_owned();
    let offer = peer.try_ask(Message::OpenPublisher { partition: 0, standby: false, topic: topic() })?;
    let Message::RingOffer { capacity, .. } = offer.packet.message else { return None };
    let len_bytes = Memory::len_bytes(capacity) as usize;
    let region = RegionMut::map(&offer.descriptors[0], len_bytes).ok()?;
    peer.try_ask(Message::Mapped { partition: 0, topic: topic() })?;
    let until = Instant::now() + HOLD;
    while Instant::now() < until {
        region.store(random.below(len_bytes / 8) * 8, random.next());
        region.store(random.below(64) * 8, random.next() >> random.below(64));
        region.store(capacity as usize, random.next() >> random.below(64));
    }
    Some(())
}

/// Lies in its area about all that is told there, and asks to be woken without end.
fn areas(socket: &Path, random: &mut Random) -> Option<()> {
    let mut peer = Peer::try_connect(socket, "liar")?;
    let answer = peer.try_ask(Message::OpenSubscriber { partition: 0, topic: "md".into() })?;
    let [area, ask, _bell] = &answer.descriptors[..] else { return None };
    let region = RegionMut::map(area, Area::LEN_BYTES).ok()?;
    let until = Instant::now() + HOLD;
    while Instant::now() < until {
        (0..Area::LEN_BYTES).step_by(8).for_each(|at| region.store(at, random.next() >> (at % 64)));
        // Full is as good as asked.
        let _ = rustix::io::write(ask, &1_u64.to_ne_bytes());
    }
    Some(())
}

/// Takes all that there is of everything that is bounded, keeps it for a while, and gives it up.
fn limits(socket: &Path, random: &mut Random) -> Option<()> {
    let mut peers: Vec<Peer> = std::iter::from_fn(|| Peer::try_connect(socket, &"x".repeat(60))).take(256).collect();
    for peer in &mut peers {
        while let Some(answer) = peer.try_ask(Message::OpenSubscriber { partition: 0, topic: "md".into() })
            && let Message::Subscribed { .. } = answer.packet.message
        {
            peer.berths.push(answer.descriptors.try_into().ok()?);
        }
        for correlation in 1_000..1_100 {
            let wait = Message::OpenEpoch { partition: 0, epoch: Epoch(u32::MAX), wait: true, topic: "md".into() };
            let _ = peer.connection().send(&Packet { correlation, message: wait }, &[]);
        }
        peer.try_ask(Message::OpenPublisher { partition: 0, standby: true, topic: "md".into() });
    }
    std::thread::sleep(HOLD * (1 + random.below(4) as u32));
    peers.pop().map(drop)
}

/// Asks, and never reads an answer.
fn deaf(socket: &Path, random: &mut Random) -> Option<()> {
    let connection = greeted(socket)?;
    let subscribe = Message::OpenSubscriber { partition: 0, topic: "md".into() };
    send(&connection, &Packet { correlation: 1, message: subscribe }.encode(), &[])?;
    for correlation in 2..=500 {
        let message = Message::OpenEpoch { partition: 0, epoch: Epoch(1), wait: false, topic: "md".into() };
        // Where there is no room, the broker has been asked enough.
        let _ = send(&connection, &Packet { correlation, message }.encode(), &[]);
    }
    std::thread::sleep(HOLD * random.below(4) as u32);
    Some(())
}

/// Harms nobody at the bus: what its processor does meanwhile is what a broker's does that is asked without end.
fn burns(_: &Path, random: &mut Random) -> Option<()> {
    let until = Instant::now() + HOLD;
    while Instant::now() < until {
        random.next();
    }
    Some(())
}

fn greeted(socket: &Path) -> Option<Connection> {
    let connection = Connection::connect(socket).ok()?;
    let hello = Packet { correlation: 1, message: Message::Hello { version: VERSION, name: "hostile".into() } };
    connection.send(&hello, &[]).ok()?;
    Some(connection)
}

fn send(connection: &Connection, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Option<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fits = descriptors.is_empty() || control.push(SendAncillaryMessage::ScmRights(descriptors));
    assert!(fits, "{} descriptors", descriptors.len());
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    rustix::net::sendmsg(connection, &[IoSlice::new(bytes)], &mut control, flags).ok().map(drop)
}
