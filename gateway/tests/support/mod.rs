//! A topic in memory, and a target that fails when told to.
#![allow(dead_code, reason = "each test binary uses its own part")]

use oyez::Binding;
use oyez_gateway::sink::loopback::Loopback;
use oyez_gateway::sink::{Limit, Record, Sink, SinkError, Tail};
use oyez_gateway::{Feed, FeedError, FeedItem, Lane, LaneError, LaneState, Mark, Message, Options};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

/// Bytes between two positions of the topic in memory.
pub(crate) const FRAME_BYTES: u64 = 128;
/// The longest message that it takes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// The topic's message under `sequence`; an epoch lasts 100 messages.
pub(crate) fn record(sequence: u64) -> Record {
    let length = 8 + (sequence * 7 % 61) as usize;
    let bytes = (0..length).map(|at| (sequence as usize * 31 + at) as u8).collect();
    let publish_time_ns = 1_767_225_600_000_000_000 + sequence * 1_000_003;
    Record { epoch: 1 + (sequence / 100) as u32, sequence, publish_time_ns, bytes }
}

pub(crate) fn records(from: u64, to: u64) -> Vec<Record> {
    (from..to).map(record).collect()
}

/// What a reader of the loopback target at `path` sees.
pub(crate) fn committed(path: impl AsRef<Path>) -> Vec<Record> {
    Loopback::read_committed(path).expect("opens").collect::<Result<_, _>>().expect("is whole")
}

/// `found` is the topic's `[from, to)`: dense, in order, none twice, none changed. On failure names the first that is not.
#[track_caller]
pub(crate) fn assert_dense(found: &[Record], from: u64, to: u64) {
    for (expected, found) in (from..to).map(record).zip(found) {
        assert_eq!(found, &expected);
    }
    let ends = (found.first(), found.last());
    assert_eq!(found.len() as u64, to - from, "messages; first and last: {ends:?}");
}

pub(crate) fn mark(sequence: u64) -> Mark {
    Mark::of(&record(sequence).message())
}

/// A topic whose journal holds `[earliest, end)`, `[earliest, durable)` of it durable.
#[derive(Debug, Clone, Default)]
pub(crate) struct Topic {
    pub(crate) earliest: u64,
    pub(crate) end: u64,
    pub(crate) durable: u64,
    /// Messages that differ from [`record`].
    pub(crate) changed: BTreeMap<u64, Record>,
    /// Given instead of the message under this sequence.
    pub(crate) instead: BTreeMap<u64, FeedItem<'static>>,
    /// How far the broker says it is durable, where that is not `durable`.
    pub(crate) told_durable: Option<Rc<Cell<u64>>>,
    /// What the catalog says of its messages, each time it is asked, the last one first; the first one for good.
    pub(crate) bindings: Vec<Option<Binding>>,
    /// Answers to the next calls of `seek`, the last one first.
    pub(crate) sought: Vec<Result<(), FeedError>>,
    pub(crate) next: u64,
}

impl Topic {
    pub(crate) fn durable(end: u64) -> Topic {
        Topic { end, durable: end, ..Topic::default() }
    }
}

impl Feed for Topic {
    fn seek(&mut self, sequence: u64) -> Result<(), FeedError> {
        self.next = sequence;
        self.sought.pop().unwrap_or(Ok(()))
    }

    fn poll(&mut self, items_max: usize, each: &mut dyn FnMut(FeedItem<'_>)) -> Result<usize, FeedError> {
        if self.next > self.end {
            return Err(FeedError::Ahead { end: self.end });
        }
        let mut items = 0;
        while items < items_max && self.next < self.durable {
            if self.next < self.earliest {
                each(FeedItem::Gap { from: self.next, to: self.earliest });
                self.next = self.earliest;
            } else if let Some(&item) = self.instead.get(&self.next) {
                each(item);
                self.next += 1;
            } else {
                let record = self.changed.get(&self.next).cloned().unwrap_or_else(|| record(self.next));
                each(FeedItem::Message(record.message(), (self.next + 1) * FRAME_BYTES));
                self.next += 1;
            }
            items += 1;
        }
        Ok(items)
    }

    fn binding(&mut self) -> Result<Option<Binding>, FeedError> {
        let told = if self.bindings.len() > 1 { self.bindings.pop() } else { self.bindings.first().cloned() };
        Ok(told.flatten())
    }

    fn message_bytes_max(&mut self) -> Result<usize, FeedError> {
        Ok(MESSAGE_BYTES_MAX)
    }

    fn durable_position(&mut self) -> u64 {
        self.told_durable.as_ref().map_or(self.durable, |told| told.get()) * FRAME_BYTES
    }
}

/// What goes wrong at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The transaction fails, and can be aborted.
    Abortable,
    /// The call has its effect, but nobody learns it.
    UnknownDone,
    /// The call has no effect, and nobody learns it.
    UnknownUndone,
    /// The process dies before the call has an effect.
    DeadBefore,
    /// The process dies after the call's effect.
    DeadAfter,
}

/// The faults to come, by number of the call; shared by all instances of one lane.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) calls: u64,
    pub(crate) faults: BTreeMap<u64, Fault>,
    /// What goes wrong at every call of this name.
    pub(crate) always: Option<(&'static str, Fault)>,
    pub(crate) tail: Option<Tail>,
    pub(crate) progress: Option<Option<Mark>>,
    pub(crate) trace: Vec<&'static str>,
    /// What the target takes, where that is less than it would.
    pub(crate) limit: Option<Limit>,
}

pub(crate) type Shared = Rc<RefCell<Script>>;

/// A sink that has the faults of a script.
pub(crate) struct Faulty<S> {
    pub(crate) inner: S,
    pub(crate) script: Shared,
    dead: bool,
}

impl<S: Sink> Faulty<S> {
    pub(crate) fn new(inner: S, script: &Shared) -> Faulty<S> {
        Faulty { inner, script: script.clone(), dead: false }
    }

    fn call<T>(
        &mut self,
        action: &'static str,
        work: impl FnOnce(&mut S) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        let target = self.inner.target();
        let killed = SinkError::Refused { target: target.clone(), reason: "killed".into() };
        if self.dead {
            return Err(killed);
        }
        let fault = {
            let mut script = self.script.borrow_mut();
            script.calls += 1;
            script.trace.push(action);
            let calls = script.calls;
            let always = script.always.and_then(|(name, fault)| (name == action).then_some(fault));
            script.faults.remove(&calls).or(always)
        };
        let reason = "told to fail".to_string();
        match fault {
            None => work(&mut self.inner),
            Some(Fault::Abortable) => Err(SinkError::Abortable { target, action, reason }),
            Some(Fault::UnknownUndone) => Err(SinkError::Unknown { target, action, reason }),
            Some(Fault::UnknownDone) => {
                work(&mut self.inner)?;
                Err(SinkError::Unknown { target, action, reason })
            }
            Some(Fault::DeadBefore) => {
                self.dead = true;
                Err(killed)
            }
            Some(Fault::DeadAfter) => {
                work(&mut self.inner)?;
                self.dead = true;
                Err(killed)
            }
        }
    }
}

impl<S: Sink> Sink for Faulty<S> {
    fn target(&self) -> String {
        self.inner.target()
    }

    fn check(&mut self) -> Result<Vec<String>, SinkError> {
        self.inner.check()
    }

    fn limit(&self) -> Limit {
        self.script.borrow().limit.unwrap_or(self.inner.limit())
    }

    fn fence(&mut self) -> Result<(), SinkError> {
        self.call("fence", |inner| inner.fence())
    }

    fn tail(&mut self) -> Result<Tail, SinkError> {
        let told = self.script.borrow_mut().tail.take();
        self.call("tail", |inner| told.map_or_else(|| inner.tail(), Ok))
    }

    fn progress(&mut self) -> Result<Option<Mark>, SinkError> {
        let told = self.script.borrow_mut().progress.take();
        self.call("progress", |inner| told.map_or_else(|| inner.progress(), Ok))
    }

    fn begin(&mut self) -> Result<(), SinkError> {
        self.call("begin", |inner| inner.begin())
    }

    fn put(&mut self, message: &Message<'_>) -> Result<(), SinkError> {
        self.call("put", |inner| inner.put(message))
    }

    fn put_progress(&mut self, mark: &Mark) -> Result<(), SinkError> {
        self.call("put_progress", |inner| inner.put_progress(mark))
    }

    fn commit(&mut self) -> Result<(), SinkError> {
        self.call("commit", |inner| inner.commit())
    }

    fn abort(&mut self) -> Result<(), SinkError> {
        self.call("abort", |inner| inner.abort())
    }
}

/// Turns of a lane driven on a clock of its own, 20 ms each.
pub(crate) struct Driver {
    now_ns: u64,
}

impl Driver {
    pub(crate) fn new() -> Driver {
        Driver { now_ns: 0 }
    }

    pub(crate) fn turn<F: Feed, S: Sink>(&mut self, lane: &mut Lane<F, S>) -> Result<usize, LaneError> {
        self.now_ns += 20_000_000;
        lane.do_work(self.now_ns)
    }

    /// Until the lane has committed everything below `end`.
    pub(crate) fn until_committed<F: Feed, S: Sink>(
        &mut self,
        lane: &mut Lane<F, S>,
        end: u64,
    ) -> Result<(), LaneError> {
        for _ in 0..100_000 {
            self.turn(lane)?;
            let status = lane.status();
            if status.state == LaneState::Streaming && status.committed_sequence.map_or(0, |last| last + 1) == end {
                return Ok(());
            }
        }
        panic!("the lane did not come to sequence {end}: {:?}", lane.status());
    }

    /// Until the lane has committed a transaction, with messages or without.
    pub(crate) fn until_transaction<F: Feed, S: Sink>(&mut self, lane: &mut Lane<F, S>) -> Result<(), LaneError> {
        for _ in 0..1000 {
            self.turn(lane)?;
            if lane.status().transactions > 0 {
                return Ok(());
            }
        }
        panic!("the lane committed nothing: {:?}", lane.status());
    }

    /// Until the lane stops by itself.
    pub(crate) fn until_stopped<F: Feed, S: Sink>(&mut self, lane: &mut Lane<F, S>) -> LaneError {
        for _ in 0..100_000 {
            if let Err(error) = self.turn(lane) {
                assert_eq!(lane.status().state, LaneState::Stopped);
                return error;
            }
        }
        panic!("the lane did not stop: {:?}", lane.status());
    }
}

/// Small transactions, so that a few messages make several.
pub(crate) fn small() -> Options {
    Options { transaction_messages_max: 7, ..Options::default() }
}
