//! The engine: check → fence → tail and progress → reconcile → stream ↔ rewind.
//!
//! ```text
//!  Starting ──► Fencing ──► Verifying ──► Streaming ──► Stopped
//!                  ▲                        │   ▲ │
//!                  │     outcome unknown    │   └─┘ abort, go back to the last commit
//!                  └────────────────────────┘
//! ```
//!
//! The target alone remembers how far the lane came; what the engine holds in memory is a copy of it, taken after a
//! fence and advanced only by a commit that answered `Ok`. So whatever happens before that answer, the next fence
//! finds the truth.

use crate::reconcile::reconcile;
use crate::sink::{Sink, SinkError};
use crate::writer::Writer;
use crate::{Feed, FeedError, LaneError, Notice};
use std::fmt;
use std::time::{Duration, Instant};

/// Items taken from the feed in one turn; bounds how far a transaction may pass its limits.
const TURN_ITEMS_MAX: usize = 256;
/// A bus that does not show the target's last message for this long does not have it.
const VERIFY_MS_MAX: u64 = 5_000;
/// A transaction waits this long for what is in it to be durable; Kafka itself would end it after 10 s.
const HOLD_MS_MAX: u64 = 5_000;
/// Progress is committed anew this often while the topic is idle: Kafka forgets the offsets of an idle group.
const PROGRESS_MS: u64 = 3_600_000;
/// First and longest wait after a failure; each failure in a row doubles it.
const RETRY_MS: (u64, u64) = (50, 5_000);
/// Sleep of [`Lane::run`] when there was nothing to do.
const IDLE: Duration = Duration::from_micros(500);

/// Which lane: its parts name it to people, and to Kafka as `transactional.id`, on every host and after every start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneId {
    /// The Kafka cluster, by the name the catalog gives it.
    pub cluster: String,
    /// The topic.
    pub topic: String,
    /// The format of the records, for now `sbe`.
    pub format: String,
}

impl LaneId {
    /// The lane's `transactional.id`, also its consumer group: `oyez.gw.<cluster>.<topic>.<format>`.
    pub fn transactional_id(&self) -> String {
        format!("oyez.gw.{}.{}.{}", self.cluster, self.topic, self.format)
    }
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.cluster, self.topic, self.format)
    }
}

/// How a lane is to be run. A transaction is closed by whichever bound is reached first.
#[derive(Debug, Clone)]
pub struct Options {
    /// The first sequence of a lane that has no past; `None`: 0.
    pub origin: Option<u64>,
    /// Longest time a transaction stays open; also the delay a reader of an unhurried lane sees.
    pub transaction_ms_max: u64,
    /// Most message bytes in one transaction.
    pub transaction_bytes_max: usize,
    /// Most messages in one transaction.
    pub transaction_messages_max: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            origin: None,
            transaction_ms_max: 50,
            transaction_bytes_max: 8 << 20,
            transaction_messages_max: 100_000,
        }
    }
}

/// What a lane is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneState {
    /// The target is looked at.
    Starting,
    /// Other instances are thrown out, and the target is asked how far the lane came.
    Fencing,
    /// The target's last message is compared with the bus's.
    Verifying,
    /// Messages are flowing.
    Streaming,
    /// Stopped by an error.
    Stopped,
}

impl fmt::Display for LaneState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LaneState::Starting => "starting",
            LaneState::Fencing => "fencing",
            LaneState::Verifying => "verifying",
            LaneState::Streaming => "streaming",
            LaneState::Stopped => "stopped",
        })
    }
}

/// A lane as it stands, for display. Its lag is what the bus has published less `committed_sequence`.
#[derive(Debug, Clone)]
pub struct Status {
    /// The target, by kind and place.
    pub target: String,
    /// What the lane is doing.
    pub state: LaneState,
    /// Messages committed by this instance.
    pub messages: u64,
    /// Transactions committed by this instance.
    pub transactions: u64,
    /// Last sequence that the target is known to hold.
    pub committed_sequence: Option<u64>,
    /// Publish time of the last message that this instance committed.
    pub committed_publish_time_ns: Option<u64>,
    /// Times this instance fenced; 1 after a start without incident.
    pub fences: u64,
    /// Transactions aborted and repeated.
    pub rewinds: u64,
    /// Why the lane stopped, or what it is recovering from.
    pub error: Option<String>,
}

/// One lane: moves a topic into a target, exactly once, for as long as it is driven.
pub struct Lane<F, S> {
    feed: F,
    writer: Writer<S>,
    state: LaneState,
    not_before_ns: u64,
    failures: u32,
    verify_since_ns: Option<u64>,
    progress_due_ns: u64,
    fences: u64,
    rewinds: u64,
    error: Option<LaneError>,
    notices: Vec<Notice>,
}

impl<F: Feed, S: Sink> Lane<F, S> {
    /// A lane from `feed` to `sink`. Touches neither yet.
    pub fn new(feed: F, sink: S, options: Options) -> Lane<F, S> {
        Lane {
            feed,
            writer: Writer::new(sink, options),
            state: LaneState::Starting,
            not_before_ns: 0,
            failures: 0,
            verify_since_ns: None,
            progress_due_ns: u64::MAX,
            fences: 0,
            rewinds: 0,
            error: None,
            notices: Vec::new(),
        }
    }

    /// Drives the lane for as long as `go_on`, asked after each turn, says so; then closes it. Sleeps while there is
    /// nothing to do, so it wants a thread of its own.
    ///
    /// # Errors
    /// What stopped the lane.
    pub fn run(&mut self, go_on: &mut dyn FnMut(&mut Self) -> bool) -> Result<(), LaneError> {
        let started = Instant::now();
        loop {
            let messages = self.do_work(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX))?;
            if !go_on(self) {
                return self.close();
            }
            if messages == 0 {
                std::thread::sleep(IDLE);
            }
        }
    }

    /// One turn: a step of the start, or a batch of messages and, when it is due, a commit. `now_ns` is any clock
    /// that does not go back. Returns the items taken from the feed; 0: the caller may rest.
    ///
    /// The target's calls block, a commit for some milliseconds; the bus is never held up by it.
    ///
    /// # Errors
    /// What stopped the lane; the same again on every later call. Failures that the lane heals by itself are notices.
    pub fn do_work(&mut self, now_ns: u64) -> Result<usize, LaneError> {
        if now_ns < self.not_before_ns {
            return Ok(0);
        }
        let turn = match self.state {
            LaneState::Starting => self.check(),
            LaneState::Fencing => self.fence(),
            LaneState::Verifying => self.verify(now_ns),
            LaneState::Streaming => self.stream(now_ns),
            LaneState::Stopped => Err(self.error.clone().expect("a lane is stopped by an error")),
        };
        turn.or_else(|error| self.recover(error, now_ns))
    }

    /// Commits what is open, or aborts it if it is not known to be durable. The next start resumes after it.
    ///
    /// # Errors
    /// If that failed. Nothing is lost by it: the next start finds out what became of it.
    pub fn close(&mut self) -> Result<(), LaneError> {
        if self.state == LaneState::Stopped || self.writer.open.is_none() {
            return Ok(());
        }
        let ended = if self.writer.is_durable(self.feed.durable_position()) {
            self.writer.commit()
        } else {
            self.writer.abort()
        };
        ended.or_else(|error| self.stop(error))
    }

    /// The lane as it stands.
    pub fn status(&self) -> Status {
        Status {
            target: self.writer.sink.target(),
            state: self.state,
            messages: self.writer.messages,
            transactions: self.writer.transactions,
            committed_sequence: self.writer.committed.map(|mark| mark.sequence),
            committed_publish_time_ns: self.writer.committed_publish_time_ns,
            fences: self.fences,
            rewinds: self.rewinds,
            error: self.error.as_ref().map(LaneError::to_string),
        }
    }

    /// What happened since the last call that an operator should know.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    fn check(&mut self) -> Result<usize, LaneError> {
        let warnings = self.writer.sink.check()?;
        self.notices.extend(warnings.into_iter().map(Notice::Unwise));
        self.state = LaneState::Fencing;
        Ok(0)
    }

    fn fence(&mut self) -> Result<usize, LaneError> {
        self.writer.sink.fence()?;
        self.fences += 1;
        let tail = self.writer.sink.tail()?;
        let progress = self.writer.sink.progress()?;
        let plan = reconcile(&tail, progress, self.writer.options.origin)?;
        self.seek(plan.verify.map_or(plan.next, |mark| mark.sequence))?;
        if let Some((from, to)) = plan.lost {
            self.notices.push(Notice::TargetLost { from, to });
        }
        self.progress_due_ns = if plan.renew_progress { 0 } else { u64::MAX };
        self.verify_since_ns = None;
        self.state = if plan.verify.is_some() { LaneState::Verifying } else { LaneState::Streaming };
        self.notices.push(Notice::Resumed { next: plan.next });
        self.writer.resume(plan);
        Ok(0)
    }

    fn seek(&mut self, sequence: u64) -> Result<(), LaneError> {
        self.feed.seek(sequence).map_err(|error| match error {
            FeedError::Ahead { end } => LaneError::Ahead { committed: sequence, end: Some(end) },
            error => error.into(),
        })
    }

    /// Streams, once the bus has shown the target's last message.
    fn verify(&mut self, now_ns: u64) -> Result<usize, LaneError> {
        let taken = self.read(now_ns)?;
        let Some(mark) = self.writer.verify else {
            self.state = LaneState::Streaming;
            return Ok(taken);
        };
        let since_ns = *self.verify_since_ns.get_or_insert(now_ns);
        if now_ns - since_ns >= VERIFY_MS_MAX * 1_000_000 {
            return Err(LaneError::Ahead { committed: mark.sequence, end: None });
        }
        Ok(taken)
    }

    fn stream(&mut self, now_ns: u64) -> Result<usize, LaneError> {
        let taken = if self.writer.is_due(now_ns) { 0 } else { self.read(now_ns)? };
        // Asking how far the bus is may cost a round trip, so only a commit asks.
        if self.writer.is_due(now_ns) {
            let durable_position = self.feed.durable_position();
            if self.writer.is_durable(durable_position) {
                self.writer.commit()?;
                self.settle(now_ns);
            } else if self.writer.age_ns(now_ns) >= HOLD_MS_MAX * 1_000_000 {
                return Err(not_durable(durable_position).into());
            }
        } else if self.writer.open.is_none() && now_ns >= self.progress_due_ns {
            self.writer.commit_progress()?;
            self.settle(now_ns);
        }
        Ok(taken)
    }

    /// Takes one batch from the feed. The first trouble ends it: what the feed still gives in this batch is dropped,
    /// and comes again after the seek that follows.
    fn read(&mut self, now_ns: u64) -> Result<usize, LaneError> {
        let Lane { feed, writer, notices, .. } = self;
        let mut outcome = Ok(());
        let taken = feed.poll(TURN_ITEMS_MAX.min(writer.room_messages()), &mut |item| {
            if outcome.is_ok() {
                outcome = writer.take(item, now_ns, notices);
            }
        })?;
        outcome.map(|()| taken)
    }

    /// A commit went through: the trouble before it, if any, is over.
    fn settle(&mut self, now_ns: u64) {
        self.failures = 0;
        self.error = None;
        self.progress_due_ns = now_ns + PROGRESS_MS * 1_000_000;
    }

    fn recover(&mut self, error: LaneError, now_ns: u64) -> Result<usize, LaneError> {
        match &error {
            // Before a fence is through there is no instance that could abort.
            LaneError::Sink(SinkError::Abortable { .. }) if self.state == LaneState::Fencing => {}
            LaneError::Sink(SinkError::Abortable { .. }) => match self.rewind() {
                Ok(()) => {}
                Err(LaneError::Sink(SinkError::Abortable { .. } | SinkError::Unknown { .. })) => {
                    self.state = LaneState::Fencing;
                }
                Err(error) => return self.stop(error),
            },
            // The fence ends the open transaction, and the reconciliation finds the place again.
            LaneError::Sink(SinkError::Unknown { .. }) | LaneError::Feed(FeedError::Unavailable(_)) => {
                self.state = LaneState::Fencing;
            }
            _ => return self.stop(error),
        }
        let wait_ms = (RETRY_MS.0 << self.failures.min(10)).min(RETRY_MS.1);
        self.failures += 1;
        self.not_before_ns = now_ns + wait_ms * 1_000_000;
        self.error = Some(error.clone());
        self.notices.push(Notice::Retrying { cause: error, wait_ms });
        Ok(0)
    }

    /// Aborts the transaction and goes back to the message after the last commit: the journal is the replay buffer.
    fn rewind(&mut self) -> Result<(), LaneError> {
        self.writer.sink.abort()?;
        self.rewinds += 1;
        let next = self.writer.rewind();
        self.seek(next)
    }

    fn stop<T>(&mut self, error: LaneError) -> Result<T, LaneError> {
        // An instance that was fenced, or whose commit may still be under way, is not touched again.
        let usable = !matches!(error, LaneError::Sink(SinkError::Unknown { .. } | SinkError::Fenced { .. }));
        if self.writer.open.take().is_some() && usable {
            // So that readers need not wait for the target's own timeout. If this fails, that is what they do.
            let _ = self.writer.sink.abort();
        }
        self.state = LaneState::Stopped;
        self.error = Some(error.clone());
        Err(error)
    }
}

fn not_durable(durable_position: u64) -> FeedError {
    let held =
        format!("what comes after position {durable_position} is not known to be durable after {HOLD_MS_MAX} ms");
    FeedError::Unavailable(format!("{held}: is the broker running, and does its disk keep up?"))
}
