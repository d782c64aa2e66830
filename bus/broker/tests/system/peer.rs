//! A client as small as can be, straight on the protocol: what a test says to a broker and what it maps.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use oyez_mem::memory;
use oyez_protocol::{Connection, FailureCode, Message, Packet, Received, VERSION};
use oyez_ring::{
    Control, Epoch, EpochStart, Kind, Memory, Offer, Poll, Reader, Region, RegionMut, Sequence, Tail, Writer,
};

/// Longest a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One connection.
pub(crate) struct Peer {
    connection: Connection,
    correlation: u64,
    pub(crate) broker_pid: u32,
    /// Of each subscription area, ask and bell: closed, it would be over.
    pub(crate) berths: Vec<[OwnedFd; 3]>,
}

/// An epoch owned.
pub(crate) struct Owned {
    pub(crate) peer: Peer,
    pub(crate) topic: String,
    pub(crate) epoch: Epoch,
    pub(crate) writer: Writer,
}

/// A ring that was offered: memory, control page, capacity.
pub(crate) type Ring = (RegionMut, Control, u64);

/// One that waits with its ring mapped.
pub(crate) struct Warm {
    pub(crate) peer: Peer,
    topic: String,
    pub(crate) ring: Ring,
}

/// An epoch to read.
pub(crate) struct Opened {
    pub(crate) start: EpochStart,
    pub(crate) memory: Memory,
    pub(crate) control: Control,
    pub(crate) data: OwnedFd,
    pub(crate) page: OwnedFd,
}

pub(crate) fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Tries until it succeeds; panics with `what` when patience ends.
pub(crate) fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

impl Peer {
    /// Connects and says hello, as soon as a broker is there.
    pub(crate) fn connect(socket: &Path, name: &str) -> Peer {
        until("a broker to connect to", || Peer::try_connect(socket, name))
    }

    pub(crate) fn try_connect(socket: &Path, name: &str) -> Option<Peer> {
        let connection = Connection::connect(socket).ok()?;
        let mut peer = Peer { connection, correlation: 0, broker_pid: 0, berths: Vec::new() };
        match peer.try_ask(Message::Hello { version: VERSION, name: name.into() })?.packet.message {
            Message::Welcome { pid, .. } => peer.broker_pid = pid,
            _ => return None,
        }
        Some(peer)
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Asks and waits for the answer; `None` when the broker is gone.
    pub(crate) fn try_ask(&mut self, message: Message) -> Option<Received> {
        self.correlation += 1;
        self.connection.request(self.correlation, message, Instant::now() + PATIENCE, |_| ()).ok()
    }

    pub(crate) fn ask(&mut self, message: Message) -> Received {
        self.try_ask(message).expect("an answer")
    }

    /// Asks for what is to be refused.
    pub(crate) fn refusal(&mut self, message: Message) -> (FailureCode, String) {
        match self.ask(message).packet.message {
            Message::Failure { code, text } => (code, text),
            other => panic!("granted: {other:?}"),
        }
    }

    /// Asks once to own the topic; the answer, whatever it is.
    pub(crate) fn open_publisher(&mut self, topic: &str) -> Received {
        self.ask(Message::OpenPublisher { partition: 0, standby: false, topic: topic.into() })
    }

    /// Owns the topic as soon as it can be had.
    pub(crate) fn own(mut self, topic: &str) -> Owned {
        let offer = until("an offer", || {
            let answer = self.try_ask(Message::OpenPublisher { partition: 0, standby: false, topic: topic.into() })?;
            match answer.packet.message {
                Message::NotGranted { .. } => None,
                Message::RingOffer { .. } => Some(answer),
                other => panic!("not offered: {other:?}"),
            }
        });
        self.accept(topic, offer)
    }

    /// Maps what is offered, answers, and owns.
    pub(crate) fn accept(mut self, topic: &str, offer: Received) -> Owned {
        let ring = map_offer(offer);
        let granted = self.ask(Message::Mapped { partition: 0, topic: topic.into() });
        self.granted(topic, ring, granted)
    }

    /// Stands by for the topic and is warm as soon as it is offered a ring.
    pub(crate) fn stand_by(mut self, topic: &str) -> Warm {
        self.say(Message::OpenPublisher { partition: 0, standby: true, topic: topic.into() });
        let offer = self.hear();
        let ring = map_offer(offer);
        self.say(Message::Mapped { partition: 0, topic: topic.into() });
        Warm { peer: self, topic: topic.into(), ring }
    }

    fn granted(self, topic: &str, (region, control, capacity): Ring, granted: Received) -> Owned {
        match granted.packet.message {
            Message::Granted { epoch, position, sequence, time_ns, .. } => {
                let writer = Writer::new(region, capacity, control, epoch, Tail { position, sequence, time_ns });
                Owned { peer: self, topic: topic.into(), epoch, writer }
            }
            other => panic!("not granted: {other:?}"),
        }
    }

    /// Says something whose answer is heard later, or never.
    pub(crate) fn say(&mut self, message: Message) {
        self.correlation += 1;
        self.connection.send(&Packet { correlation: self.correlation, message }, &[]).expect("a broker");
    }

    /// Goes on with what the broker began; what it answers.
    pub(crate) fn answer(&self, correlation: u64, message: Message) -> Received {
        self.connection.send(&Packet { correlation, message }, &[]).expect("a broker");
        self.hear()
    }

    /// The next thing that the broker says.
    pub(crate) fn hear(&self) -> Received {
        self.connection.receive(Instant::now() + PATIENCE).expect("a word")
    }

    pub(crate) fn subscribe(&mut self, topic: &str) -> Message {
        let Received { packet, descriptors } = self.ask(Message::OpenSubscriber { partition: 0, topic: topic.into() });
        assert!(matches!(packet.message, Message::Subscribed { .. }), "{:?}", packet.message);
        self.berths.push(descriptors.try_into().expect("area, ask and bell"));
        packet.message
    }

    /// Opens an epoch's ring, waiting for the epoch to begin; checks what it is given as a client does.
    pub(crate) fn open_epoch(&mut self, topic: &str, epoch: u32) -> Opened {
        let question = Message::OpenEpoch { partition: 0, epoch: Epoch(epoch), wait: true, topic: topic.into() };
        let answer = self.ask(question);
        let Message::EpochOpened { start, capacity } = answer.packet.message else {
            panic!("not opened: {:?}", answer.packet.message)
        };
        let [data, page] = <[OwnedFd; 2]>::try_from(answer.descriptors).expect("two descriptors");
        memory::check_reader(&data, Memory::len_bytes(capacity)).expect("sealed data");
        let region = Region::map(&data, Memory::len_bytes(capacity) as usize).expect("readable");
        let control = map_control(&page);
        Opened { start, memory: Memory::new(region, capacity), control, data, page }
    }

    /// What the broker tells of a topic: state and owner's process.
    pub(crate) fn state(&mut self, topic: &str) -> (String, u32) {
        match self.ask(Message::DescribeTopic { partition: 0, topic: topic.into() }).packet.message {
            Message::Topic { state, owner_pid, .. } => (state, owner_pid),
            other => panic!("no description: {other:?}"),
        }
    }
}

impl AsFd for Peer {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

impl Warm {
    /// Owns, as soon as the broker says so.
    pub(crate) fn own(self) -> Owned {
        let granted = self.peer.hear();
        self.peer.granted(&self.topic, self.ring, granted)
    }
}

impl Owned {
    /// Publishes one message that carries its own number.
    pub(crate) fn publish(&mut self) -> Sequence {
        let number = self.writer.tail().sequence;
        let mut message = [0; 64];
        message[..8].copy_from_slice(&number.0.to_le_bytes());
        until("room in the ring", || match self.writer.offer(&message, now_ns()).expect("a length in bounds") {
            Offer::Published(published) => Some(published.sequence),
            Offer::BackPressured => None,
        })
    }

    /// Publishes so many.
    pub(crate) fn publish_all(&mut self, count: u64) {
        for _ in 0..count {
            self.publish();
        }
    }

    /// Unmaps, releases, and waits until the epoch has ended.
    pub(crate) fn release(self) -> Peer {
        let Owned { mut peer, topic, epoch, writer } = self;
        drop(writer);
        let answer = peer.ask(Message::Release { partition: 0, epoch, topic }).packet.message;
        assert!(matches!(answer, Message::Released { .. }), "{answer:?}");
        peer
    }

    /// Maps what it is offered unasked, beside what it has, and is told to hand that over.
    pub(crate) fn map_beside(self, offer: Received) -> (Owned, (Ring, u64)) {
        let correlation = offer.packet.correlation;
        let ring = map_offer(offer);
        let answer = self.peer.answer(correlation, Message::Mapped { partition: 0, topic: self.topic.clone() });
        let Message::HandOver { epoch } = answer.packet.message else { panic!("{:?}", answer.packet.message) };
        assert_eq!((epoch, answer.packet.correlation), (self.epoch, correlation));
        (self, (ring, correlation))
    }

    /// Unmaps what it has, and owns the next epoch.
    pub(crate) fn give_up(self, handing_over: (Ring, u64)) -> Owned {
        self.give_up_behind(handing_over, || ())
    }

    /// The same, and something lies between the unmapping and the word.
    pub(crate) fn give_up_behind(self, (ring, correlation): (Ring, u64), before_saying_so: impl FnOnce()) -> Owned {
        let Owned { peer, topic, epoch, writer } = self;
        drop(writer);
        before_saying_so();
        let message = Message::Release { partition: 0, epoch, topic: topic.clone() };
        let mut granted = peer.answer(correlation, message);
        // The broker may have found the memory free before it was told.
        if let Message::Released { .. } = granted.packet.message {
            granted = peer.hear();
        }
        assert_eq!(granted.packet.correlation, correlation);
        peer.granted(&topic, ring, granted)
    }

    /// Goes on in the next epoch.
    pub(crate) fn hand_over(self, offer: Received) -> Owned {
        let (owned, beside) = self.map_beside(offer);
        owned.give_up(beside)
    }

    /// Takes the epoch back on a new connection, after a broker's return.
    pub(crate) fn reclaim(&mut self, socket: &Path) {
        self.peer = Peer::connect(socket, "owner");
        let question = Message::Reclaim { partition: 0, epoch: self.epoch, topic: self.topic.clone() };
        let answer = self.peer.ask(question);
        assert!(matches!(answer.packet.message, Message::Reclaimed { .. }), "{:?}", answer.packet.message);
        self.writer.set_control(map_control(&answer.descriptors[0]));
    }
}

impl Opened {
    /// Reads all messages that are there, checks that each carries its number, and gives their numbers.
    pub(crate) fn messages(&self) -> Vec<u64> {
        let mut reader = Reader::at(self.memory.clone(), self.start.epoch, self.start.position);
        let mut numbers = Vec::new();
        while let Poll::Frame(frame) = reader.poll().expect("valid frames") {
            if frame.kind == Kind::Message {
                assert_eq!(frame.payload[..8], frame.sequence.0.to_le_bytes());
                numbers.push(frame.sequence.0);
            }
        }
        numbers
    }
}

fn map_offer(offer: Received) -> Ring {
    let Message::RingOffer { capacity, .. } = offer.packet.message else { panic!("no offer: {offer:?}") };
    let [data, page] = <[OwnedFd; 2]>::try_from(offer.descriptors).expect("two descriptors");
    let region = RegionMut::map(&data, Memory::len_bytes(capacity) as usize).expect("writable");
    (region, map_control(&page), capacity)
}

pub(crate) fn map_control(page: &OwnedFd) -> Control {
    memory::check_reader(page, Control::LEN_BYTES as u64).expect("sealed control page");
    Control::new(Region::map(page, Control::LEN_BYTES).expect("readable"))
}
