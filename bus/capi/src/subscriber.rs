//! Readers of topics: opened and closed, sent elsewhere, asked how far they are.

use crate::argument::{SizedStruct, give, hand_out, is_zero, put, shared, take, take_back, text};
use crate::batch::Batch;
use crate::client::{Client, oyez_client};
use crate::counts::{SubscriberCounts, oyez_subscriber_counts};
use crate::error::{Failure, OYEZ_ERR_IN_HANDLER, OYEZ_OK, call};
use crate::event::{OYEZ_EVENT_MESSAGE, durability_of, oyez_event, start_of};
use crate::process::Process;
use oyez::TopicIndex;
use std::cell::{RefCell, RefMut};
use std::ffi::c_char;
use std::sync::Arc;

/// Reads one topic or many, each in order. One thread's at a time. No publisher and no other subscriber notices it, and
/// none waits for it: one that falls behind reads on from the journal, where the topic is recorded, and loses nothing.
/// One that is stopped, for as long as may be, goes on where it was: no heartbeat keeps it alive.
pub struct oyez_subscriber {
    _opaque: (),
}

pub(crate) struct Subscriber {
    /// Borrowed during a call, and so while a handler runs.
    inside: RefCell<Inside>,
    process: Arc<Process>,
    counts: SubscriberCounts,
}

pub(crate) struct Inside {
    pub(crate) subscriber: oyez::Subscriber,
    pub(crate) batch: Batch,
    /// Of each topic, the epoch as far as it was handed out.
    pub(crate) epochs: Vec<u32>,
}

/// Bytes of a batch where the options say 0.
const BATCH_BYTES: u64 = 1 << 20;

/// Instead of a partition: all that the topic has, as if each had a subscription of its own, in ascending order. No start at
/// a sequence then, which each counts for itself.
pub const OYEZ_ALL_PARTITIONS: u16 = 65535;

/// One topic to be read. Set `struct_size`, the same in all of an array, and whatever shall not be 0: partition 0, live.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct oyez_subscription {
    /// sizeof(oyez_subscription).
    pub struct_size: u32,
    /// One of OYEZ_START_….
    pub start: i32,
    /// The topic's name; it is copied.
    pub topic: *const c_char,
    /// The sequence or time to start at, where the kind of start asks for one.
    pub start_at: u64,
    /// The epoch, for OYEZ_START_RESUME.
    pub start_epoch: u32,
    /// The partition, or OYEZ_ALL_PARTITIONS.
    pub partition: u16,
    /// 0.
    pub reserved: u16,
}

/// How to open a subscriber. Set `struct_size` and whatever shall not be 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct oyez_subscriber_options {
    /// sizeof(oyez_subscriber_options).
    pub struct_size: u32,
    /// Nothing is given that has not come so far: one of OYEZ_PUBLISHED, which gives everything at once, OYEZ_WRITTEN,
    /// OYEZ_DURABLE.
    pub durability: i32,
    /// Bytes of messages in a batch, allocated when the subscriber is opened; 0: 1 MiB. A batch ends with the message that
    /// reaches it; where that is above 4,096 bytes and longer than there is room, it grows.
    pub batch_bytes: u64,
}

/// How far one topic was read. Set `struct_size` before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct oyez_progress {
    /// sizeof(oyez_progress).
    pub struct_size: u32,
    /// The epoch that is being read; 0 before the first.
    pub epoch: u32,
    /// The message that is wanted next. Open with OYEZ_START_RESUME at (epoch, next_sequence) to go on there.
    pub next_sequence: u64,
    /// 1 where `next_sequence` is known; 0 where a start was not reached yet.
    pub is_known: i32,
    /// 1 while the topic is read from a ring; 0 while it is read from the journal, and between two places.
    pub reads_ring: i32,
}

/// How far behind the newest message of a topic a subscriber is. Set `struct_size` before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct oyez_lag {
    /// sizeof(oyez_lag).
    pub struct_size: u32,
    /// 1 where it is known; 0 where a start was not reached yet, or the broker has not told of the newest epoch.
    pub is_known: i32,
    /// Messages published and not handed out yet; those that are not to be had any more are among them.
    pub messages: u64,
    /// Publish time of the newest message, ns since 1970 UTC; 0 where its ring is gone. Less the `time_ns` of the message
    /// taken last it is how late that one is.
    pub newest_ns: u64,
}

// SAFETY: as the trait asks: numbers, and a pointer that is checked where it is followed, behind a size.
unsafe impl SizedStruct for oyez_subscription {
    const NAME: &'static str = "oyez_subscription";
    const BYTES_MIN: usize = 32;
}
// SAFETY: as the trait asks: numbers behind a size.
unsafe impl SizedStruct for oyez_subscriber_options {
    const NAME: &'static str = "oyez_subscriber_options";
    const BYTES_MIN: usize = 16;
}
// SAFETY: as above.
unsafe impl SizedStruct for oyez_progress {
    const NAME: &'static str = "oyez_progress";
    const BYTES_MIN: usize = 24;
}
// SAFETY: as above.
unsafe impl SizedStruct for oyez_lag {
    const NAME: &'static str = "oyez_lag";
    const BYTES_MIN: usize = 24;
}

impl Subscriber {
    /// # Safety
    /// NULL, or a subscriber that stays open for `'a`.
    #[inline]
    unsafe fn of<'a>(subscriber: *const oyez_subscriber) -> Result<&'a Subscriber, Failure> {
        // SAFETY: the contract; what one thread alone may use is in a cell.
        let subscriber = unsafe { shared(subscriber.cast::<Subscriber>(), "subscriber") }?;
        subscriber.process.check()?;
        Ok(subscriber)
    }

    /// # Safety
    /// NULL, or a subscriber that only this thread uses during `'a`, but for its counts.
    #[inline]
    pub(crate) unsafe fn own<'a>(
        subscriber: *mut oyez_subscriber,
    ) -> Result<(RefMut<'a, Inside>, &'a SubscriberCounts), Failure> {
        // SAFETY: the contract.
        let subscriber = unsafe { Subscriber::of(subscriber) }?;
        Ok((subscriber.inside.try_borrow_mut().map_err(|_| in_handler())?, &subscriber.counts))
    }
}

impl Inside {
    /// The topic of that index, where there is one.
    fn topic(&self, topic: u32) -> Result<TopicIndex, Failure> {
        let topics = self.subscriber.topics();
        match (topic as usize) < topics {
            true => Ok(TopicIndex(topic as usize)),
            false => Err(Failure::argument(format!("no topic {topic}: the subscriber has {topics}, counted from 0"))),
        }
    }
}

/// Finds the starts; what is published after it returns is delivered. `options` may be NULL. Asks the broker, for at most
/// `timeout_ms` a topic. Close it with `oyez_subscriber_close`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_subscriber_open(
    client: *const oyez_client,
    subscriptions: *const oyez_subscription,
    count: usize,
    options: *const oyez_subscriber_options,
    subscriber: *mut *mut oyez_subscriber,
) -> i32 {
    call(|| {
        let open = || {
            // SAFETY: the caller promises NULL or a client that stays open meanwhile.
            let client = unsafe { Client::of(client) }?;
            let (mut durability, mut batch_bytes) = (0, 0);
            if !options.is_null() {
                // SAFETY: the caller promises a struct of the size that it begins with.
                oyez_subscriber_options { durability, batch_bytes, .. } = unsafe { take(options) }?;
            }
            let mut builder = client.bus.subscriber().until(durability_of(durability)?);
            let mut next = subscriptions.cast::<u8>();
            for _ in 0..count {
                // SAFETY: the caller promises an array of `count` structs of one size, or NULL.
                let subscription = unsafe { take(next.cast::<oyez_subscription>()) }?;
                is_zero(subscription.reserved.into(), oyez_subscription::NAME)?;
                // SAFETY: the caller promises NULL or a text.
                let topic = unsafe { text(subscription.topic, "topic") }?;
                let start = start_of(subscription.start, subscription.start_epoch, subscription.start_at)?;
                builder = match subscription.partition {
                    OYEZ_ALL_PARTITIONS => builder.all_partitions(topic, start),
                    partition => builder.partition(topic, partition, start),
                };
                next = next.wrapping_add(subscription.struct_size as usize);
            }
            let batch_bytes = if batch_bytes == 0 { BATCH_BYTES } else { batch_bytes };
            let batch = Batch::new(usize::try_from(batch_bytes).unwrap_or(usize::MAX))?;
            let subscriber = builder.open()?;
            let epochs = (0..subscriber.topics()).map(|topic| subscriber.epoch(TopicIndex(topic)).0).collect();
            let inside = RefCell::new(Inside { subscriber, batch, epochs });
            Ok(Subscriber { inside, process: Arc::clone(&client.process), counts: SubscriberCounts::default() })
        };
        // SAFETY: the caller promises NULL or a place for a handle.
        unsafe { hand_out(subscriber, "subscriber", open) }
    })
}

/// Closes a subscriber and puts NULL in its place; nothing for NULL. Waits only where it is the last of its connection, as
/// closing a client does.
/// In a forked child nothing is freed, and the answer is OYEZ_ERR_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_subscriber_close(subscriber: *mut *mut oyez_subscriber) -> i32 {
    call(|| {
        let may = |subscriber: &Subscriber| {
            subscriber.process.check()?;
            subscriber.inside.try_borrow_mut().map(|_| ()).map_err(|_| in_handler())
        };
        // SAFETY: the caller promises NULL, or a place that holds NULL or a subscriber that nobody uses any more.
        drop(unsafe { take_back(subscriber, may) }?);
        Ok(OYEZ_OK)
    })
}

/// Goes elsewhere in one topic, back or ahead; events of it that were not handed out are forgotten. `start`, `epoch` and
/// `at` are those of an `oyez_subscription`. Asks the broker, for at most `timeout_ms`. After an error other than
/// OYEZ_ERR_ARGUMENT the topic is nowhere, and what polls give of it means nothing: seek again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_subscriber_seek(
    subscriber: *mut oyez_subscriber,
    topic: u32,
    start: i32,
    epoch: u32,
    at: u64,
) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_subscriber_poll`.
        let (mut inside, _) = unsafe { Subscriber::own(subscriber) }?;
        let index = inside.topic(topic)?;
        let start = start_of(start, epoch, at)?;
        let failed = inside.subscriber.failed();
        // What was taken before is no more true after a start that was not found than after one that was.
        inside.batch.forget(topic, failed);
        let sought = inside.subscriber.seek(index, start);
        inside.epochs[index.0] = inside.subscriber.epoch(index).0;
        sought?;
        Ok(OYEZ_OK)
    })
}

/// Puts into `topic` the index of the subscription that the last error of a poll or batch speaks of, and returns 1; 0 where
/// there was none, or `oyez_subscriber_seek` went elsewhere in that topic since.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_subscriber_failed(subscriber: *mut oyez_subscriber, topic: *mut u32) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_subscriber_poll`.
        let (inside, _) = unsafe { Subscriber::own(subscriber) }?;
        let Some(failed) = inside.subscriber.failed() else { return Ok(0) };
        // SAFETY: the caller promises NULL or a place for a number.
        unsafe { put(topic, failed.0 as u32, "topic") }?;
        Ok(1)
    })
}

/// Fills `progress` with how far one topic was read: what is not handed out yet counts as not read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_subscriber_progress(
    subscriber: *mut oyez_subscriber,
    topic: u32,
    progress: *mut oyez_progress,
) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_subscriber_poll`.
        let (inside, _) = unsafe { Subscriber::own(subscriber) }?;
        let index = inside.topic(topic)?;
        let waiting = inside.batch.left().iter().find(|event| event.topic == topic);
        let next = waiting.map(|event| event.sequence);
        let next = next.or(inside.subscriber.next_sequence(index).map(|sequence| sequence.0));
        let told = oyez_progress {
            struct_size: 0,
            epoch: inside.epochs[index.0],
            next_sequence: next.unwrap_or(0),
            is_known: next.is_some().into(),
            reads_ring: inside.subscriber.reads_ring(index).into(),
        };
        // SAFETY: the caller promises NULL or a struct of the size that it begins with.
        unsafe { give(progress, told) }?;
        Ok(OYEZ_OK)
    })
}

/// Fills `lag` with how far behind one topic's newest message the subscriber is. Reads up to 64 KiB of the ring, and
/// what is out of a message that goes on there, allocates, and takes a lock that the library's thread takes too: for every
/// second, not for every message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_subscriber_lag(subscriber: *mut oyez_subscriber, topic: u32, lag: *mut oyez_lag) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_subscriber_poll`.
        let (inside, _) = unsafe { Subscriber::own(subscriber) }?;
        let known = inside.subscriber.lag(inside.topic(topic)?);
        let waiting = |event: &&oyez_event| event.topic == topic && event.kind == OYEZ_EVENT_MESSAGE;
        let waiting = inside.batch.left().iter().filter(waiting).count() as u64;
        let told = oyez_lag {
            struct_size: 0,
            is_known: known.is_some().into(),
            messages: known.map_or(0, |lag| lag.messages + waiting),
            newest_ns: known.map_or(0, |lag| lag.newest_ns),
        };
        // SAFETY: the caller promises NULL or a struct of the size that it begins with.
        unsafe { give(lag, told) }?;
        Ok(OYEZ_OK)
    })
}

/// Fills `counts`. Any thread may call it, also while the subscriber's own polls; a handful of loads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_subscriber_stats(
    subscriber: *const oyez_subscriber,
    counts: *mut oyez_subscriber_counts,
) -> i32 {
    call(|| {
        // SAFETY: the caller promises NULL or a subscriber that stays open meanwhile.
        let now = &unsafe { Subscriber::of(subscriber) }?.counts;
        // SAFETY: the caller promises NULL or a struct of the size that it begins with.
        unsafe { give(counts, now.told()) }?;
        Ok(OYEZ_OK)
    })
}

#[cold]
fn in_handler() -> Failure {
    Failure::new(OYEZ_ERR_IN_HANDLER, "called for a subscriber from within its own handler; call after the poll")
}
