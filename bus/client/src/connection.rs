//! The connection to a broker: requests with a deadline on this side, and a thread that keeps it up on the other.
//!
//! Nothing on the way of a message waits for this thread. A publisher looks at one word to learn that it has news for
//! it, a cursor at another.

mod attendant;
mod ingress;
mod owned;
mod reading;
mod renewal;
mod standby;

use crate::partition::{Attached, Facts, Partition};
use crate::sleep::Berth;
use crate::{BusError, Connect, Durability, Owner, PublishError, Publisher, TopicInfo};
use attendant::{Attendant, Command, Request};
use nix::sys::signal::SigSet;
use oyez_journal::JournalId;
use oyez_protocol::{FailureCode, Message, Received, Refusal, TEXT_BYTES_MAX};
use oyez_ring::Epoch;
use reading::Reading;
use rustix::event::{EventfdFlags, eventfd};
use standby::Mapped;
pub(crate) use standby::Standby;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a request waits before it is made again, the broker being away.
const ASK_AGAIN: Duration = Duration::from_millis(2);

/// One process's connection to one broker, shared by all that was opened on it.
pub(crate) struct Link {
    commands: Mutex<Option<Sender<Command>>>,
    wake: Arc<Wake>,
    socket: String,
    timeout: Duration,
    thread: Option<JoinHandle<()>>,
}

/// Wakes a thread that sleeps in `poll`: the connection's, or a subscriber's.
pub(crate) struct Wake(OwnedFd);

impl Wake {
    pub(crate) fn new() -> std::io::Result<Arc<Wake>> {
        Ok(Arc::new(Wake(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// It wakes once for any number of calls.
    pub(crate) fn wake(&self) {
        // Full means that it has not woken since the last 2^64 calls: it will.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    pub(crate) fn drain(&self) {
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Link {
    pub(crate) fn open(connect: Connect) -> Result<Arc<Link>, BusError> {
        let (socket, timeout) = (connect.socket.display().to_string(), connect.timeout);
        let system = |step| move |source| BusError::System { topic: "(connection)".to_owned(), step, source };
        let wake = Wake::new().map_err(system("make an eventfd"))?;
        let (commands, orders) = mpsc::channel();
        let mut attendant = Attendant::new(connect, Arc::clone(&wake), orders);
        attendant.connect_before(Instant::now() + timeout)?;
        let attend = move || {
            // They are the program's: one that waits for a signal must not lose it to a thread that it does not know.
            let _ = SigSet::all().thread_block();
            attendant.run();
        };
        let thread = std::thread::Builder::new().name("oyez-client".to_owned()).spawn(attend);
        let thread = Some(thread.map_err(system("start the connection's thread"))?);
        Ok(Arc::new(Link { commands: Mutex::new(Some(commands)), wake, socket, timeout, thread }))
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn topics(&self) -> Result<Vec<TopicInfo>, BusError> {
        let mut topics = Vec::new();
        loop {
            let index = topics.len() as u16;
            let answer = self.request("DescribeTopicAt", Message::DescribeTopicAt { index })?;
            let (info, count) = told("DescribeTopicAt", answer)?;
            topics.push(info);
            if topics.len() >= usize::from(count) {
                return Ok(topics);
            }
        }
    }

    pub(crate) fn describe(&self, topic: &str, partition: u16) -> Result<TopicInfo, BusError> {
        let message = Message::DescribeTopic { partition, topic: topic.to_owned() };
        Ok(told("DescribeTopic", self.request("DescribeTopic", message)?)?.0)
    }

    pub(crate) fn schemas_xml(&self, topic: &str) -> Result<Vec<String>, BusError> {
        let (mut versions, mut newest) = (Vec::<String>::new(), None);
        let deadline = Instant::now() + self.timeout;
        loop {
            let open = Message::OpenSchema { index: versions.len() as u16, topic: topic.to_owned() };
            let mut answer = self.request("OpenSchema", open)?;
            let (&Message::SchemaOpened { count, version, .. }, Some(file)) =
                (&answer.packet.message, answer.descriptors.pop())
            else {
                return Err(unexpected("OpenSchema", &answer));
            };
            let before = newest.replace((count, version));
            if before.is_some_and(|(all, older)| all != count || older >= version) {
                if Instant::now() > deadline {
                    return Err(self.timed_out("OpenSchema"));
                }
                // The broker has come back with another catalog.
                (versions, newest) = (Vec::new(), None);
                continue;
            }
            versions.push(text_of(file, topic, "read its schema")?);
            if versions.len() >= usize::from(count) {
                return Ok(versions);
            }
        }
    }

    pub(crate) fn stat(&self) -> Result<String, BusError> {
        let mut answer = self.request("OpenStat", Message::OpenStat {})?;
        let (Message::StatOpened { .. }, Some(file)) = (&answer.packet.message, answer.descriptors.pop()) else {
            return Err(unexpected("OpenStat", &answer));
        };
        text_of(file, "(broker)", "read how it stands")
    }

    pub(crate) fn plan_catalog(&self, file: &Path, apply: bool) -> Result<String, BusError> {
        let refused = |step| move |source| BusError::System { topic: "(catalog)".to_owned(), step, source };
        let path = std::path::absolute(file).map_err(refused("find its file"))?;
        let path = path.to_str().filter(|path| path.len() <= TEXT_BYTES_MAX).map(str::to_owned);
        let path = path.ok_or(std::io::ErrorKind::InvalidFilename.into()).map_err(refused("name its file"))?;
        let mut answer = self.request("PlanCatalog", Message::PlanCatalog { apply, path })?;
        let (Message::CatalogPlanned { .. }, Some(file)) = (&answer.packet.message, answer.descriptors.pop()) else {
            return Err(unexpected("PlanCatalog", &answer));
        };
        text_of(file, "(catalog)", "read what would come of it")
    }

    pub(crate) fn attach(self: &Arc<Link>, topic: &str, partition: u16) -> Result<(TopicInfo, Attached), BusError> {
        let info = self.describe(topic, partition)?;
        let message = Message::OpenSubscriber { partition, topic: topic.to_owned() };
        let answer = self.request("OpenSubscriber", message)?;
        let Message::Subscribed { journal, segment_bytes, earliest, durability, .. } = answer.packet.message else {
            return Err(unexpected("OpenSubscriber", &answer));
        };
        let link = Arc::clone(self);
        let berth = Some(Arc::new(Berth::new(topic, &answer.descriptors)?));
        let facts = Facts { earliest, berth, ..Facts::default() };
        let known = Partition::new(facts, Some(Box::new(move || link.wake.wake())));
        self.command(Command::Read(Reading::new(topic, partition, journal, &known)));
        let is_recorded = Durability::from(durability) > Durability::Published && segment_bytes > 0;
        Ok((info, Attached::new(known, is_recorded.then_some((JournalId(journal), segment_bytes)))))
    }

    pub(crate) fn publisher(self: &Arc<Link>, topic: &str, partition: u16) -> Result<Publisher, PublishError> {
        let offer = self.offer(topic, partition)?;
        let ring = match offer.packet.message {
            Message::NotGranted { refusal, pid, uid, holder } => {
                let why = why_not(refusal, pid, uid, &holder);
                return Err(PublishError::NotGranted { topic: topic.to_owned(), partition, why });
            }
            _ => Mapped::new(self, topic, partition, &offer)?,
        };
        let request = ring.request(offer.packet.correlation);
        drop(offer);
        Ok(ring.granted(self, self.once("Mapped", request, Instant::now() + self.timeout)?)?)
    }

    /// Has the owner of a partition killed; who that was, if anybody was left to be killed.
    pub(crate) fn take_over(&self, topic: &str, partition: u16) -> Result<Option<Owner>, BusError> {
        let describe = Message::DescribeTopic { partition, topic: topic.to_owned() };
        let answer = self.request("DescribeTopic", describe)?;
        // Whoever owns a later epoch, the standby itself perhaps, is not meant.
        let Message::Topic { newest: epoch, .. } = answer.packet.message else {
            return Err(unexpected("DescribeTopic", &answer));
        };
        let message = Message::TakeOver { partition, epoch, topic: topic.to_owned() };
        match self.request("TakeOver", message) {
            Err(BusError::Refused { code: FailureCode::EpochEnded, .. }) => Ok(None),
            Err(error) => Err(error),
            Ok(answer) => match answer.packet.message {
                Message::OwnerKilled { pid, uid, holder: name } => Ok(Some(Owner { pid, uid, name })),
                Message::NotGranted { .. } => Ok(None),
                _ => Err(unexpected("TakeOver", &answer)),
            },
        }
    }

    /// Has the owner of a partition go on in a new epoch; which that is.
    pub(crate) fn renew(&self, topic: &str, partition: u16) -> Result<Epoch, BusError> {
        let answer = self.request("Renew", Message::Renew { partition, topic: topic.to_owned() })?;
        match answer.packet.message {
            Message::Renewed { epoch } => Ok(epoch),
            _ => Err(unexpected("Renew", &answer)),
        }
    }

    /// What the broker offers, once it has anything ready to be offered.
    fn offer(&self, topic: &str, partition: u16) -> Result<Received, BusError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let open = Message::OpenPublisher { partition, standby: false, topic: topic.to_owned() };
            let answer = self.request("OpenPublisher", open)?;
            match answer.packet.message {
                Message::NotGranted { refusal: Refusal::Preparing, .. } if Instant::now() < deadline => {
                    std::thread::sleep(ASK_AGAIN);
                }
                _ => return Ok(answer),
            }
        }
    }

    /// Asks, and asks again until the timeout where the broker went away in between; also where descriptors are to come, and
    /// the connection has too many of them unread just now.
    fn request(&self, name: &'static str, message: Message) -> Result<Received, BusError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let request = Request { message: message.clone(), correlation: None, claim: None };
            match self.once(name, request, deadline) {
                Err(BusError::Away { .. }) if Instant::now() < deadline => std::thread::sleep(ASK_AGAIN),
                Err(BusError::Refused { code: FailureCode::TooManyRequests, .. })
                    if matches!(
                        message,
                        Message::OpenSubscriber { .. } | Message::OpenSchema { .. } | Message::OpenStat {}
                    ) && Instant::now() < deadline =>
                {
                    std::thread::sleep(ASK_AGAIN);
                }
                answer => return answer,
            }
        }
    }

    fn once(&self, name: &'static str, request: Request, deadline: Instant) -> Result<Received, BusError> {
        match self.ask(request).before(deadline) {
            Some(answer) => answer,
            None => Err(self.timed_out(name)),
        }
    }

    fn timed_out(&self, request: &'static str) -> BusError {
        BusError::Timeout { request, socket: self.socket.clone(), timeout_ms: self.timeout.as_millis() }
    }

    /// Asks; the answer comes when it comes.
    fn ask(&self, request: Request) -> Answer {
        let (reply, answer) = mpsc::sync_channel(1);
        self.command(Command::Request(Box::new(request), reply));
        Answer { answer, socket: self.socket.clone() }
    }

    /// Waits no more for a partition.
    fn withdraw(&self, topic: &str, partition: u16) {
        self.command(Command::Say(Message::Withdraw { partition, topic: topic.to_owned() }));
    }

    fn command(&self, command: Command) {
        if let Some(commands) = &*self.commands.lock().unwrap_or_else(PoisonError::into_inner) {
            // Where the thread is gone, its end of the reply is too, and the caller sees that.
            let _ = commands.send(command);
        }
        self.wake.wake();
    }
}

/// What the broker will have said.
struct Answer {
    answer: Receiver<Result<Received, BusError>>,
    socket: String,
}

impl Answer {
    /// Waits for it; `None` where it does not come in time.
    fn before(&self, deadline: Instant) -> Option<Result<Received, BusError>> {
        let received = match self.answer.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(received) => received,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => Err(BusError::Away { socket: self.socket.clone() }),
        };
        Some(received.and_then(|received| match received.packet.message {
            Message::Failure { code, text } => Err(BusError::Refused { code, text }),
            _ => Ok(received),
        }))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        *self.commands.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.wake.wake();
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // It only panics where a lock of ours was poisoned by a panic that was reported already.
            let _ = thread.join();
        }
    }
}

fn told(request: &'static str, answer: Received) -> Result<(TopicInfo, u16), BusError> {
    let name = answer.packet.message.name();
    TopicInfo::told(answer.packet.message).ok_or(BusError::Answer { request, answer: name })
}

fn unexpected(request: &'static str, answer: &Received) -> BusError {
    BusError::Answer { request, answer: answer.packet.message.name() }
}

/// What stands in a file that the broker handed out.
fn text_of(file: OwnedFd, topic: &str, step: &'static str) -> Result<String, BusError> {
    let mut text = String::new();
    let read = File::from(file).read_to_string(&mut text);
    read.map(|_| text).map_err(|source| BusError::System { topic: topic.to_owned(), step, source })
}

fn why_not(refusal: Refusal, pid: u32, uid: u32, holder: &str) -> String {
    match refusal {
        Refusal::Taken => format!("owned by {holder} (process {pid}, user {uid})"),
        Refusal::Ending => format!("its last owner's epoch is ending (process {pid} still maps its memory)"),
        Refusal::Preparing => "the broker is still preparing a ring".to_owned(),
        Refusal::Offered => "it is being granted to another publisher".to_owned(),
        Refusal::Withdrawn => "its standby withdrew".to_owned(),
    }
}
