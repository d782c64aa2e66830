//! The engine: check → fence → tail and progress → reconcile → stream.
//!
//! ```text
//!  Fencing ──► Streaming ──► Stopped
//!     ▲            │
//!     └────────────┘ whatever may heal: abort if possible, and begin again
//! ```
//!
//! The target alone remembers how far the lane came; what the engine holds in memory is a copy of it, taken after a
//! fence and advanced only by a commit that answered `Ok`. So whatever happens before that answer, the next fence
//! finds the truth, and there is no other way back than through it.

use crate::reconcile::reconcile;
use crate::sink::{Sink, SinkError};
use crate::writer::Writer;
use crate::{Feed, FeedError, LaneError, Notice};
use oyez::HeaderCheck;
use std::fmt;
use std::time::{Duration, Instant};

/// Items taken from the feed in one turn; bounds how far a transaction may pass its limits. (Of messages of several
/// frames a subscriber gives one in a turn.)
const TURN_ITEMS_MAX: usize = 256;
/// A bus that does not show the target's last message for this long does not have it.
const VERIFY_MS_MAX: u64 = 5_000;
/// A transaction waits this long for what is in it to be durable; Kafka itself would end it after 10 s.
const HOLD_MS_MAX: u64 = 5_000;
/// Progress is committed anew this often while the topic is idle: Kafka forgets the offsets of an idle group.
const PROGRESS_MS: u64 = 3_600_000;
/// First and longest wait after a failure; each failure in a row doubles it.
const RETRY_MS: (u64, u64) = (50, 5_000);
/// Transactions that failed in a row, each after a fence that did not, before the lane takes the cause for one that
/// never heals. Where the target answers at once these are some 75 s; where each has to time out, as on a topic that
/// lacks replicas for a while, 5 minutes.
const FAILED_TRANSACTIONS_MAX: u32 = 20;
/// Sleep of [`Lane::run`] when there was nothing to do.
const IDLE: Duration = Duration::from_micros(500);

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
    /// The target is checked, other instances are thrown out, and the target is asked how far the lane came.
    Fencing,
    /// Messages are flowing, the first after the bus has shown the target's last one.
    Streaming,
    /// Stopped by an error.
    Stopped,
}

impl fmt::Display for LaneState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LaneState::Fencing => "fencing",
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
    failed_transactions: u32,
    verify_since_ns: Option<u64>,
    progress_due_ns: u64,
    fences: u64,
    error: Option<LaneError>,
    notices: Vec<Notice>,
}

impl<F: Feed, S: Sink> Lane<F, S> {
    /// A lane from `feed` to `sink`. Touches neither yet.
    pub fn new(feed: F, sink: S, options: Options) -> Lane<F, S> {
        Lane {
            feed,
            writer: Writer::new(sink, options),
            state: LaneState::Fencing,
            not_before_ns: 0,
            failures: 0,
            failed_transactions: 0,
            verify_since_ns: None,
            progress_due_ns: 0,
            fences: 0,
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
            LaneState::Fencing => self.fence(),
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
        if self.state != LaneState::Streaming || self.writer.open.is_none() {
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
            error: self.error.as_ref().map(LaneError::to_string),
        }
    }

    /// What happened since the last call that an operator should know.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    fn fence(&mut self) -> Result<usize, LaneError> {
        let warnings = self.writer.sink.check()?;
        self.writer.sink.fence()?;
        if self.fences == 0 {
            let (topic_bytes_max, limit) = (self.feed.message_bytes_max()?, self.writer.sink.limit());
            self.notices.extend(warnings.into_iter().map(Notice::Unwise));
            if topic_bytes_max > limit.message_bytes_max {
                self.notices.push(Notice::Narrow { topic_bytes_max, limit });
            }
        }
        self.fences += 1;
        let tail = self.writer.sink.tail()?;
        let progress = self.writer.sink.progress()?;
        let plan = reconcile(&tail, progress, self.writer.options.origin)?;
        self.writer.resume(&plan);
        self.verify_since_ns = None;
        // How old the progress is nobody knows: an idle lane that is often restarted must not let it expire.
        self.progress_due_ns = 0;
        let sought = self.feed.seek(plan.verify.map_or(plan.next, |mark| mark.sequence));
        sought.map_err(|error| self.feed_error(error))?;
        self.writer.check = HeaderCheck::new(self.feed.binding()?);
        if let Some((from, to)) = plan.lost {
            self.notices.push(Notice::TargetLost { from, to });
        }
        self.notices.push(Notice::Resumed { next: plan.next });
        self.state = LaneState::Streaming;
        Ok(0)
    }

    fn stream(&mut self, now_ns: u64) -> Result<usize, LaneError> {
        let taken = if self.writer.is_due(now_ns) { 0 } else { self.read(now_ns)? };
        if let Some(mark) = self.writer.verify {
            let since_ns = *self.verify_since_ns.get_or_insert(now_ns);
            if now_ns - since_ns >= VERIFY_MS_MAX * 1_000_000 {
                return Err(LaneError::Ahead { committed: mark.sequence, end: None });
            }
        } else if self.writer.is_due(now_ns) {
            // Asking how far the bus is may cost a round trip, so only a commit asks.
            let durable_position = self.feed.durable_position();
            if self.writer.is_durable(durable_position) {
                // A broker that is away binds nothing anew.
                if self.feed.binding().is_ok_and(|binding| binding.as_ref() != self.writer.check.binding()) {
                    return Err(rebound());
                }
                self.commit(now_ns)?;
            } else if self.writer.age_ns(now_ns) >= HOLD_MS_MAX * 1_000_000 {
                return Err(not_durable(durable_position).into());
            }
        } else if taken == 0 && self.writer.is_idle() && now_ns >= self.progress_due_ns {
            self.commit(now_ns)?;
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
        });
        match outcome {
            Err(trouble @ (LaneError::Misfit { .. } | LaneError::TooLarge { .. } | LaneError::Gap { .. })) => {
                Err(self.before(trouble, now_ns)?)
            }
            outcome => outcome,
        }?;
        taken.map_err(|error| self.feed_error(error))
    }

    /// What comes before the trouble is committed: a new target may begin behind it. The trouble may be over, where the
    /// catalog has learnt a message's version since the last fence; the next fence learns it too.
    fn before(&mut self, trouble: LaneError, now_ns: u64) -> Result<LaneError, LaneError> {
        if matches!(trouble, LaneError::Misfit { .. }) && self.feed.binding()?.as_ref() != self.writer.check.binding() {
            return Ok(rebound());
        }
        if self.writer.open.is_some() {
            let durable_position = self.feed.durable_position();
            if !self.writer.is_durable(durable_position) {
                return Ok(not_durable(durable_position).into());
            }
            self.commit(now_ns)?;
        }
        Ok(trouble)
    }

    /// The topic's end says something else to a lane that begins than to one whose target already holds more.
    fn feed_error(&self, error: FeedError) -> LaneError {
        match (error, self.writer.committed) {
            (FeedError::Ahead { end }, Some(mark)) => LaneError::Ahead { committed: mark.sequence, end: Some(end) },
            (FeedError::Ahead { end }, None) => LaneError::OriginAhead { origin: self.writer.next, end },
            (error, _) => error.into(),
        }
    }

    /// Where it goes through, the trouble before it, if any, is over.
    fn commit(&mut self, now_ns: u64) -> Result<(), LaneError> {
        self.writer.commit()?;
        self.failures = 0;
        self.failed_transactions = 0;
        self.error = None;
        self.progress_due_ns = now_ns + PROGRESS_MS * 1_000_000;
        Ok(())
    }

    /// What may heal leads back to the fence: it ends what is still open, and the reconciliation finds the place again.
    fn recover(&mut self, error: LaneError, now_ns: u64) -> Result<usize, LaneError> {
        let may_heal = matches!(
            error,
            LaneError::Sink(SinkError::Abortable { .. } | SinkError::Unknown { .. })
                | LaneError::Feed(FeedError::Unavailable(_))
        );
        if !may_heal {
            return self.stop(error);
        }
        // A fence that fails is a target that is away; a transaction that fails after each fence is something else.
        if self.state == LaneState::Streaming && matches!(error, LaneError::Sink(_)) {
            self.failed_transactions += 1;
        }
        if self.failed_transactions == FAILED_TRANSACTIONS_MAX {
            let (transactions, cause) = (FAILED_TRANSACTIONS_MAX, error.to_string());
            return self.stop(LaneError::KeepsFailing { transactions, cause });
        }
        self.abandon(&error);
        self.state = LaneState::Fencing;
        let wait_ms = (RETRY_MS.0 << self.failures.min(10)).min(RETRY_MS.1);
        self.failures += 1;
        self.not_before_ns = now_ns + wait_ms * 1_000_000;
        self.error = Some(error.clone());
        self.notices.push(Notice::Retrying { cause: error, wait_ms });
        Ok(0)
    }

    fn stop<T>(&mut self, error: LaneError) -> Result<T, LaneError> {
        self.abandon(&error);
        self.state = LaneState::Stopped;
        self.error = Some(error.clone());
        Err(error)
    }

    /// Aborts what is open, so that readers need not wait for the next fence or the target's own timeout; if that
    /// fails, it is what they do. An instance that was fenced, or whose commit may still be under way, is not touched.
    fn abandon(&mut self, error: &LaneError) {
        let usable = !matches!(error, LaneError::Sink(SinkError::Unknown { .. } | SinkError::Fenced { .. }));
        if self.writer.open.take().is_some() && usable {
            let _ = self.writer.sink.abort();
        }
    }
}

fn not_durable(durable_position: u64) -> FeedError {
    let held = format!("what comes after position {durable_position} is not known to be durable");
    FeedError::Unavailable(format!("{held}: is the broker running, and does its disk keep up?"))
}

/// Back to the fence, and read again under the new binding.
fn rebound() -> LaneError {
    FeedError::Unavailable("the catalog binds the topic otherwise than before".into()).into()
}
