//! The connection's thread: sends requests, hands out answers, connects again when the broker is back.

use super::ingress::session;
use super::owned::{Owned, map_control};
use super::reading::{Reading, Step};
use super::renewal::Renewal;
use super::{ASK_AGAIN, Wake, unexpected, why_not};
use crate::publisher::News;
use crate::{BusError, Connect, HeaderCheck, binding};
use oyez_protocol::{
    CORRELATION_OF_BROKER, Connection, ConnectionError, FailureCode, Message, Packet, Received, Refusal, VERSION,
};
use oyez_ring::Epoch;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The first and the longest pause between two attempts to connect again.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// What the callers' side wants.
pub(super) enum Command {
    Request(Box<Request>, SyncSender<Result<Received, BusError>>),
    /// A partition is read from now on.
    Read(Reading),
    /// The publisher itself releases this.
    Forget(Weak<Owned>),
    /// To be said, and answered to whoever asked before.
    Say(Message),
}

/// Something to be said, and what to do with the answer beside passing it on.
pub(super) struct Request {
    pub(super) message: Message,
    /// The correlation of an earlier answer, where this belongs to it.
    pub(super) correlation: Option<u64>,
    /// What a `Granted` in answer makes owned.
    pub(super) claim: Option<Claim>,
}

/// Who waits for an answer.
pub(super) enum Waiter {
    Caller(SyncSender<Result<Received, BusError>>, Option<Claim>),
    Reclaim(Claim),
    /// An owner that is to go on in a new epoch.
    Renewal(Renewal),
    /// The reading of that number.
    Reading(u64, Step),
    /// All that wait for the same epoch to begin: the broker keeps one such request, and for as long as that takes.
    Epoch(Message, Vec<u64>),
    /// Nobody: a release that is not waited for.
    Nobody,
}

/// An epoch that is owned, or may be once the broker has answered; and what gives it back once its publisher is gone.
pub(super) struct Claim {
    pub(super) owned: Weak<Owned>,
    release: Message,
}

impl Claim {
    pub(super) fn new(owned: &Arc<Owned>) -> Claim {
        Claim { owned: Arc::downgrade(owned), release: owned.release_message() }
    }

    fn is_of_many(&self) -> bool {
        matches!(self.release, Message::CloseIngress { .. })
    }

    /// Owned from here on, or to be given back where nobody wants it any more.
    pub(super) fn granted(mut self, granted: Epoch) -> Claim {
        if let Message::Release { epoch, .. } = &mut self.release {
            *epoch = granted;
        }
        if let Some(owned) = self.owned.upgrade() {
            owned.granted(granted);
        }
        self
    }
}

pub(super) struct Attendant {
    connect: Connect,
    connection: Option<Connection>,
    wake: Arc<Wake>,
    commands: Receiver<Command>,
    correlation: u64,
    pub(super) waiters: HashMap<u64, Waiter>,
    pub(super) claims: Vec<Claim>,
    /// Those that the broker is not ready for, though it is back.
    unready: Vec<Claim>,
    /// When it is asked for all of those again: what is heard in between, of another of them too, hurries nothing.
    again_at: Option<Instant>,
    /// Renewals, by correlation, whose publisher is in the middle of a publish.
    pub(super) handing_over: Vec<u64>,
    readings: HashMap<u64, Reading>,
    reading_number: u64,
    pause: Duration,
}

impl Attendant {
    pub(super) fn new(connect: Connect, wake: Arc<Wake>, commands: Receiver<Command>) -> Attendant {
        Attendant {
            connect,
            connection: None,
            wake,
            commands,
            correlation: 0,
            waiters: HashMap::new(),
            claims: Vec::new(),
            unready: Vec::new(),
            again_at: None,
            handing_over: Vec::new(),
            readings: HashMap::new(),
            reading_number: 0,
            pause: PAUSE_MIN,
        }
    }

    /// Tries until the deadline; the first connection, before there is a thread.
    pub(super) fn connect_before(&mut self, deadline: Instant) -> Result<(), BusError> {
        loop {
            let tried = self.try_connect(deadline);
            let left = deadline.saturating_duration_since(Instant::now());
            match tried {
                Err(error) if error.is_retriable() && !left.is_zero() => std::thread::sleep(left.min(PAUSE_MAX)),
                answer => return answer,
            }
        }
    }

    pub(super) fn run(mut self) {
        while self.obey() {
            self.sweep();
            match self.connection {
                Some(_) => self.attend(),
                None => self.reconnect(),
            }
        }
    }

    fn try_connect(&mut self, deadline: Instant) -> Result<(), BusError> {
        let connection = Connection::connect(&self.connect.socket)?;
        let hello = Message::Hello { version: VERSION, name: self.connect.name.clone() };
        let mut unasked = None;
        let answer = connection.request(self.next_correlation(), hello, deadline, |other| unasked = Some(other));
        // A broker that lets nobody more in says why before it is asked, and hangs up. A reset may come first.
        let refused = unasked.or_else(|| answer.as_ref().err().and_then(|_| connection.try_receive().ok().flatten()));
        let answer = refused.map_or(answer, Ok)?;
        match answer.packet.message {
            Message::Welcome { .. } => {
                self.connection = Some(connection);
                Ok(())
            }
            Message::Failure { code, text } => Err(BusError::Refused { code, text }),
            _ => Err(unexpected("Hello", &answer)),
        }
    }

    /// The broker may be back: states what is owned first, for what is not claimed ends.
    fn reconnect(&mut self) {
        // Also after a broker that welcomes and then says what this build does not understand.
        self.sleep(Some(self.pause));
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        if self.try_connect(Instant::now() + self.connect.timeout).is_err() {
            return;
        }
        let claims = std::mem::take(&mut self.claims);
        self.reclaim(claims);
        self.readings.values_mut().for_each(Reading::begin_again);
    }

    fn reclaim(&mut self, claims: Vec<Claim>) {
        for claim in claims {
            if let Some(message) = claim.owned.upgrade().map(|held| held.reclaim_message()) {
                self.say(message, Waiter::Reclaim(claim));
            }
        }
    }

    fn ask_later(&mut self, claim: Claim) {
        self.unready.push(claim);
        self.again_at.get_or_insert_with(|| Instant::now() + ASK_AGAIN);
    }

    /// One turn: what readers want, then what the broker says.
    fn attend(&mut self) {
        self.hand_over();
        self.ask_for_readings();
        let pause = self.readings.values().filter_map(Reading::pause).min();
        let again = self.again_at.map(|at| at.saturating_duration_since(Instant::now()));
        let again = again.into_iter().chain((!self.handing_over.is_empty()).then_some(ASK_AGAIN));
        self.sleep(again.chain(pause).min());
        if self.again_at.take_if(|at| *at <= Instant::now()).is_some() {
            let unready = std::mem::take(&mut self.unready);
            self.reclaim(unready);
        }
        while let Some(connection) = &self.connection {
            match connection.try_receive() {
                Ok(Some(received)) => self.hear(received),
                Ok(None) => break,
                Err(_) => self.hang_up(),
            }
        }
    }

    /// Everybody who waits is told; what is owned and read stays, for the next connection.
    pub(super) fn hang_up(&mut self) {
        self.connection = None;
        self.again_at = None;
        self.claims.append(&mut self.unready);
        self.readings.values().for_each(Reading::hung_up);
        let socket = self.connect.socket.display().to_string();
        for waiter in std::mem::take(&mut self.waiters).into_values() {
            match waiter {
                // A caller that has given up needs no answer.
                Waiter::Caller(reply, _) => drop(reply.try_send(Err(BusError::Away { socket: socket.clone() }))),
                Waiter::Reclaim(claim) => self.claims.push(claim),
                Waiter::Renewal(renewal) => renewal.broken_off("the broker went away while it was renewed"),
                Waiter::Reading(..) | Waiter::Epoch(..) | Waiter::Nobody => {}
            }
        }
    }

    fn hear(&mut self, received: Received) {
        self.pause = PAUSE_MIN;
        match self.waiters.remove(&received.packet.correlation) {
            Some(Waiter::Caller(reply, claim)) => {
                if let Message::Granted { epoch, .. } | Message::IngressOpened { epoch, .. } = received.packet.message {
                    self.claims.extend(claim.map(|claim| claim.granted(epoch)));
                }
                drop(reply.try_send(Ok(received)));
            }
            Some(Waiter::Reclaim(claim)) => self.reclaimed(claim, received),
            Some(Waiter::Reading(number, step)) => self.answered(number, step, &received),
            Some(Waiter::Epoch(_, numbers)) => {
                numbers.into_iter().for_each(|number| self.answered(number, Step::Await, &received));
            }
            Some(Waiter::Renewal(renewal)) => self.renewal_told(renewal, received),
            None if received.packet.correlation >= CORRELATION_OF_BROKER => self.renew(received),
            // `Closing` asks owners to release: the control page tells them so with their next publish.
            Some(Waiter::Nobody) | None => {}
        }
    }

    /// It may be read no more.
    fn answered(&mut self, number: u64, step: Step, received: &Received) {
        if let Some(reading) = self.readings.get_mut(&number) {
            reading.answered(step, received);
        }
    }

    /// What the broker grants is claimed even where nobody wants it any more: then the next sweep gives it back.
    fn reclaimed(&mut self, claim: Claim, received: Received) {
        let owned = claim.owned.upgrade();
        match received.packet.message {
            Message::Reclaimed { .. } | Message::IngressOpened { .. } => self.claims.push(claim),
            // Its partition is still being taken over from the broker's former life, or its session there still drained.
            Message::NotGranted { refusal: Refusal::Preparing | Refusal::Ending, .. } => {
                return self.ask_later(claim);
            }
            Message::Failure { code, .. } if claim.is_of_many() && passes(code) => return self.ask_later(claim),
            _ => {}
        }
        let Some(owned) = owned else { return };
        let news = match received.packet.message {
            Message::Reclaimed { binding, templates, .. } => match received.descriptors.first() {
                Some(page) => {
                    let back = |page| News::Back(page, HeaderCheck::new(binding::told(binding, templates)));
                    map_control(&owned.topic, page).map(back).map_err(|error| error.to_string())
                }
                None => Err("the broker handed out no control page".to_owned()),
            },
            Message::IngressOpened { .. } => session(&owned.topic, &received)
                .map(|new| News::Session(Box::new(new)))
                .map_err(|error| error.to_string()),
            Message::NotGranted { refusal, pid, uid, holder } => Err(why_not(refusal, pid, uid, &holder)),
            Message::Failure { code: FailureCode::EpochEnded, .. } => Err("it has ended".to_owned()),
            Message::Failure { text, .. } => Err(text),
            other => Err(format!("the broker answered Reclaim with {}", other.name())),
        };
        owned.tell(news.unwrap_or_else(News::Lost));
    }

    /// Takes commands; `false` when nobody is left who could give one.
    fn obey(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Request(request, reply)) => self.ask(*request, reply),
                Ok(Command::Read(reading)) => {
                    self.reading_number += 1;
                    self.readings.insert(self.reading_number, reading);
                }
                Ok(Command::Say(message)) => {
                    let correlation = self.next_correlation();
                    // To nobody where the broker is away, which then knows of nothing either.
                    let _ = self.send(correlation, message);
                }
                Ok(Command::Forget(weak)) => self.claims.retain(|claim| !claim.owned.ptr_eq(&weak)),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn ask(&mut self, request: Request, reply: SyncSender<Result<Received, BusError>>) {
        let correlation = request.correlation.unwrap_or_else(|| self.next_correlation());
        let sent = self.send(correlation, request.message);
        match sent {
            Ok(()) => drop(self.waiters.insert(correlation, Waiter::Caller(reply, request.claim))),
            Err(error) => drop(reply.try_send(Err(error))),
        }
    }

    /// Releases what no publisher holds any more, and forgets what nobody reads.
    fn sweep(&mut self) {
        self.readings.retain(|_, reading| reading.is_read());
        let gone = |claim: &mut Claim| claim.owned.strong_count() == 0;
        let released: Vec<Claim> = self.claims.extract_if(.., gone).collect();
        released.into_iter().for_each(|claim| self.say(claim.release, Waiter::Nobody));
    }

    /// Says what readings have to say: by what they were told, or by what their cursors want.
    fn ask_for_readings(&mut self) {
        let numbers: Vec<u64> = self.readings.keys().copied().collect();
        for number in numbers {
            while let Some((message, step)) = self.readings.get_mut(&number).and_then(Reading::next_want) {
                match step {
                    Step::Await => self.wait_for_epoch(message, number),
                    _ => self.say(message, Waiter::Reading(number, step)),
                }
            }
        }
    }

    /// Waits with those who wait for that epoch already, if any does; it may have been dropped since.
    fn wait_for_epoch(&mut self, message: Message, number: u64) {
        let waiting = self.waiters.values_mut().find_map(|waiter| match waiter {
            Waiter::Epoch(asked, numbers) if *asked == message => Some(numbers),
            _ => None,
        });
        match waiting {
            Some(numbers) if numbers.contains(&number) => {}
            Some(numbers) => numbers.push(number),
            None => self.say(message.clone(), Waiter::Epoch(message, vec![number])),
        }
    }

    /// What cannot be said now is said after the next connection: the broker hangs up on who does not read.
    fn say(&mut self, message: Message, waiter: Waiter) {
        let correlation = self.next_correlation();
        self.waiters.insert(correlation, waiter);
        if self.send(correlation, message).is_err() {
            self.hang_up();
        }
    }

    pub(super) fn send(&mut self, correlation: u64, message: Message) -> Result<(), BusError> {
        let away = || BusError::Away { socket: self.connect.socket.display().to_string() };
        let connection = self.connection.as_ref().ok_or_else(away)?;
        match connection.send(&Packet { correlation, message }, &[]) {
            Err(ConnectionError::HungUp) => Err(away()),
            sent => Ok(sent?),
        }
    }

    fn next_correlation(&mut self) -> u64 {
        self.correlation += 1;
        self.correlation
    }

    /// Until the broker says something, somebody here wants something, or the time is over.
    fn sleep(&mut self, at_most: Option<Duration>) {
        let timeout = at_most.and_then(|pause| Timespec::try_from(pause).ok());
        let wake = PollFd::new(&self.wake.0, PollFlags::IN);
        // Interrupted is as good as woken: the next turn looks at everything.
        let _ = match &self.connection {
            Some(connection) => {
                let socket = PollFd::from_borrowed_fd(connection.as_fd(), PollFlags::IN);
                poll(&mut [wake, socket], timeout.as_ref())
            }
            None => poll(&mut [wake], timeout.as_ref()),
        };
        self.wake.drain();
    }
}

/// Whether the same request may be answered otherwise a little later.
pub(super) fn passes(code: FailureCode) -> bool {
    use FailureCode::{Broker, Closing, NoDescriptor, NoMemory, TooManyRequests};
    matches!(code, Broker | Closing | NoDescriptor | NoMemory | TooManyRequests)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_broker_that_prepares_is_asked_no_oftener_for_many_claims_than_for_one() {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (own, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).expect("two ends");
        let (wake, (_orders, commands)) = (Wake::new().expect("an eventfd"), mpsc::channel());
        let mut attendant = Attendant::new(Connect::new("unused"), Arc::clone(&wake), commands);
        let (began, broker) = (Instant::now(), Connection::new(other));
        attendant.connection = Some(Connection::new(own));
        let owned = [0, 1, 2].map(|partition| Owned::new("md", partition, Arc::clone(&wake)));
        attendant.reclaim(owned.iter().map(Claim::new).collect());
        let mut asked = 0;
        // One answer a turn, as a broker gives them: each finds the others waiting.
        while asked < 30 {
            if let Some(received) = broker.try_receive().expect("connected") {
                asked += 1;
                let correlation = received.packet.correlation;
                let message =
                    Message::NotGranted { refusal: Refusal::Preparing, pid: 0, uid: 0, holder: String::new() };
                broker.send(&Packet { correlation, message }, &[]).expect("sent");
            }
            attendant.attend();
        }
        assert!(began.elapsed() >= 9 * ASK_AGAIN, "asked 30 times within {:?}", began.elapsed());
    }
}
