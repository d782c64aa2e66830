//! Taking what a subscriber reads: events one by one to a handler, or many into an array; and sleeping until there are some.

use crate::argument::{give_sized, struct_size};
use crate::counts::add;
use crate::error::{Failure, call};
use crate::event::{OYEZ_EVENT_EPOCH, oyez_event};
use crate::subscriber::{Inside, Subscriber, oyez_subscriber};
use oyez::EventKind;
use std::ffi::c_void;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Called for an event. `context` is what was passed to the poll; `event` and what it points to are valid until the handler
/// returns. It must not throw, nor jump out, nor call for the same subscriber, nor return in the child of a fork.
pub type oyez_handler = Option<unsafe extern "C" fn(context: *mut c_void, event: *const oyez_event)>;

/// As `oyez_handler`, and returns what to do next: one of OYEZ_CONTINUE, OYEZ_BREAK, OYEZ_ABORT.
pub type oyez_controlled_handler = Option<unsafe extern "C" fn(context: *mut c_void, event: *const oyez_event) -> i32>;

/// The event is taken: on with the next.
pub const OYEZ_CONTINUE: i32 = 0;
/// The event is taken, and enough for this poll.
pub const OYEZ_BREAK: i32 = 1;
/// The event is not taken: the next call begins with it.
pub const OYEZ_ABORT: i32 = 2;

/// Gives up to `limit` events to the handler, of the topics in turn, and returns how many; 0 when nothing is there now. A
/// message above 4,096 bytes is the last of its poll, and the next poll begins with the next topic.
/// Waits for nobody. Allocates nothing and makes no system call while it reads from rings, but for blocks that it enters
/// anew after an event, for the first message above 4,096 bytes, and for each that is longer than all before; reading from
/// the journal reads its files.
///
/// An error is of one topic, which cannot be read on: `oyez_subscriber_failed` tells which. Where it was found behind events,
/// these are the answer, and the error is that of the next poll or batch, before any other event. The other topics go on:
/// after an error poll again. The same error comes again with each round of the topics, until `oyez_subscriber_seek` or
/// what the error's text names mends it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_subscriber_poll(
    subscriber: *mut oyez_subscriber,
    handler: oyez_handler,
    context: *mut c_void,
    limit: usize,
) -> i32 {
    call(|| {
        // SAFETY: the caller promises NULL or a subscriber of this thread, as in the functions below.
        let (mut inside, counts) = unsafe { Subscriber::own(subscriber) }?;
        let Inside { subscriber, batch, epochs } = &mut *inside;
        let handler = handler.ok_or_else(no_handler)?;
        // SAFETY: the caller promises a handler that may be called with its context; the event is this call's own.
        let hand = |event: &oyez_event| unsafe { handler(context, event) };
        let limit = bounded(limit);
        let left = batch.left().len().min(limit);
        if left > 0 {
            for event in &batch.left()[..left] {
                handed_out(epochs, event);
                hand(event);
            }
            batch.hand_out(left);
            return Ok(left as i32);
        }
        batch.tell()?;
        let (mut out, mut messages, mut message_bytes, mut others) = (oyez_event::EMPTY, 0, 0, 0);
        let polled = subscriber.poll(limit, |event| {
            if let EventKind::Message(message) = &event.kind {
                messages += 1;
                message_bytes += message.bytes.len() as u64;
                out.set(event.topic, event.partition, message);
                return hand(&out);
            }
            others += 1;
            let other = oyez_event::other(&event);
            counts.take(&other);
            handed_out(epochs, &other);
            hand(&other);
        });
        if messages > 0 {
            add(&counts.messages, messages);
            add(&counts.message_bytes, message_bytes);
        }
        let given = messages as usize + others;
        if let Err(error) = polled {
            batch.fail(given, error)?;
        }
        Ok(given as i32)
    })
}

/// As `oyez_subscriber_poll`, but the handler says after each event whether to go on. Messages are copied once more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_subscriber_poll_controlled(
    subscriber: *mut oyez_subscriber,
    handler: oyez_controlled_handler,
    context: *mut c_void,
    limit: usize,
) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_subscriber_poll`.
        let (mut inside, counts) = unsafe { Subscriber::own(subscriber) }?;
        let Inside { subscriber, batch, epochs } = &mut *inside;
        let handler = handler.ok_or_else(no_handler)?;
        let limit = bounded(limit);
        let mut taken = 0;
        while taken < limit {
            if let Err(error) = batch.fill(subscriber, limit - taken, counts) {
                batch.fail(taken, error)?;
                break;
            }
            let Some(event) = batch.left().first() else { break };
            // SAFETY: as in `oyez_subscriber_poll`.
            let verdict = unsafe { handler(context, event) };
            if !(OYEZ_CONTINUE..=OYEZ_ABORT).contains(&verdict) {
                return Err(Failure::argument(format!("a handler returned {verdict}; return one of OYEZ_CONTINUE …")));
            }
            if verdict == OYEZ_ABORT {
                break;
            }
            handed_out(epochs, event);
            batch.hand_out(1);
            taken += 1;
            if verdict == OYEZ_BREAK {
                break;
            }
        }
        Ok(taken as i32)
    })
}

/// Writes up to `capacity` events, at most 1,024, to `events` and returns how many; 0 when nothing is there now. Set
/// `struct_size` of the first event: the array has steps of it. The bytes of all messages stand one behind the other, in
/// order, in memory of the subscriber's own, and are valid until the next call for this subscriber. Waits, allocates and
/// fails as `oyez_subscriber_poll` does, and allocates for a message above 4,096 bytes that `batch_bytes` has no room for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_subscriber_next_batch(
    subscriber: *mut oyez_subscriber,
    events: *mut oyez_event,
    capacity: usize,
) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_subscriber_poll`.
        let (mut inside, counts) = unsafe { Subscriber::own(subscriber) }?;
        let Inside { subscriber, batch, epochs } = &mut *inside;
        if capacity == 0 {
            return Ok(0);
        }
        // SAFETY: the caller promises NULL or an array whose first struct begins with the size of each.
        let step = unsafe { struct_size(events) }?;
        batch.fill(subscriber, capacity, counts)?;
        let given = batch.left().len().min(capacity);
        let mut place = events.cast::<u8>();
        for event in &batch.left()[..given] {
            handed_out(epochs, event);
            // SAFETY: within the array, as the caller promises `capacity` structs of that size.
            unsafe { give_sized(place.cast::<oyez_event>(), event, step) };
            place = place.wrapping_add(step);
        }
        batch.hand_out(given);
        Ok(given as i32)
    })
}

/// Sleeps until a poll may bring something, at most `timeout_ns`: 1 where it may, 0 where that time is over. Now and then a
/// poll brings nothing all the same. The wake-up is late by at most `wake_max_us` of the broker's catalog; on a bus within
/// the process, and while the broker is away, by a millisecond. Poll until nothing comes, then wait. Makes some system
/// calls; the publisher makes none for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_subscriber_wait(subscriber: *mut oyez_subscriber, timeout_ns: u64) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_subscriber_poll`.
        let (mut inside, _) = unsafe { Subscriber::own(subscriber) }?;
        let Inside { subscriber, batch, .. } = &mut *inside;
        let may = batch.is_owing() || subscriber.wait(Duration::from_nanos(timeout_ns))?;
        Ok(may.into())
    })
}

/// One descriptor for all topics, which stays the subscriber's own: readable when a poll may bring something, from one
/// `oyez_subscriber_arm` to the next. It fits into poll, epoll, and every loop over them; do nothing else with it. It is
/// made with the first call of this, of `oyez_subscriber_arm` or of `oyez_subscriber_wait`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_subscriber_fd(subscriber: *mut oyez_subscriber) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_subscriber_poll`.
        let (mut inside, _) = unsafe { Subscriber::own(subscriber) }?;
        Ok(inside.subscriber.fd()?.as_raw_fd())
    })
}

/// Before each sleep on the descriptor of `oyez_subscriber_fd`: silences it, and asks for it to become readable when a poll
/// may bring something. 1: poll now, and do not sleep; else 0. Makes some system calls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_subscriber_arm(subscriber: *mut oyez_subscriber) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_subscriber_poll`.
        let (mut inside, _) = unsafe { Subscriber::own(subscriber) }?;
        let Inside { subscriber, batch, .. } = &mut *inside;
        let now = subscriber.arm()? || batch.is_owing();
        Ok(now.into())
    })
}

#[inline]
fn handed_out(epochs: &mut [u32], event: &oyez_event) {
    if event.kind == OYEZ_EVENT_EPOCH {
        epochs[event.topic as usize] = event.epoch;
    }
}

/// A count of events is an i32.
fn bounded(limit: usize) -> usize {
    limit.min(i32::MAX as usize)
}

#[cold]
fn no_handler() -> Failure {
    Failure::argument("`handler` is NULL; pass one")
}
