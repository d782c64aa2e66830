//! Events that were taken from the bus and not handed out yet, or only until the next call. Their messages stand one
//! behind the other in one piece of memory, which is there from the opening of the subscriber. Only a message of several
//! frames, the last of its poll, may be longer than what is left of it: then it grows.

use crate::counts::SubscriberCounts;
use crate::error::{Failure, OYEZ_ERR_SYSTEM};
use crate::event::oyez_event;

use oyez::{Event, EventKind, ONE_FRAME_BYTES_MAX, SubscribeError, Subscriber};

/// How many events are taken at most before they are handed out.
const EVENTS_MAX: usize = 1_024;

pub(crate) struct Batch {
    bytes_max: usize,
    bytes: Vec<u8>,
    events: Vec<oyez_event>,
    /// How many of them were handed out.
    given: usize,
}

impl Batch {
    pub(crate) fn new(bytes_max: usize) -> Result<Batch, Failure> {
        let (mut bytes, mut events) = (Vec::new(), Vec::new());
        let reserved = bytes.try_reserve_exact(bytes_max).and_then(|()| events.try_reserve_exact(EVENTS_MAX));
        let large = |error| format!("no memory for batches of {bytes_max} bytes: {error}; lower `batch_bytes`");
        reserved.map_err(|error| Failure::new(OYEZ_ERR_SYSTEM, large(error)))?;
        Ok(Batch { bytes_max, bytes, events, given: 0 })
    }

    /// What is there still to be handed out.
    #[inline]
    pub(crate) fn left(&self) -> &[oyez_event] {
        &self.events[self.given..]
    }

    /// The first `events` of what is left are handed out.
    #[inline]
    pub(crate) fn hand_out(&mut self, events: usize) {
        self.given += events;
    }

    /// Forgets what is left of one topic.
    pub(crate) fn forget(&mut self, topic: u32) {
        self.events.drain(..self.given);
        self.given = 0;
        self.events.retain(|event| event.topic != topic);
    }

    /// Where nothing is left, takes up to `limit` events, as far as `bytes_max` goes: it ends with the message that
    /// reaches it. An error that comes behind events comes again, so it can wait for the next call.
    pub(crate) fn fill(
        &mut self,
        subscriber: &mut Subscriber,
        limit: usize,
        counts: &SubscriberCounts,
    ) -> Result<(), SubscribeError> {
        if !self.left().is_empty() {
            return Ok(());
        }
        let Batch { bytes_max, bytes, events, given } = self;
        *given = 0;
        bytes.clear();
        events.clear();
        let limit = limit.min(EVENTS_MAX);
        while events.len() < limit && bytes.len() < *bytes_max {
            let look = ((*bytes_max - bytes.len()) / ONE_FRAME_BYTES_MAX).clamp(1, limit - events.len());
            let polled = subscriber.poll(look, |event| {
                let kept = keep(bytes, &event);
                counts.take(&kept);
                events.push(kept);
            });
            match polled {
                Ok(taken) if taken == look => {}
                Err(error) if events.is_empty() => return Err(error),
                _ => break,
            }
        }
        let base = bytes.as_ptr();
        for event in events.iter_mut().filter(|event| event.len_bytes > 0) {
            event.bytes = base.wrapping_add(event.bytes.addr());
        }
        Ok(())
    }
}

/// Where a message stands is told by its distance from the first, until no more can come.
#[inline]
fn keep(bytes: &mut Vec<u8>, event: &Event<'_>) -> oyez_event {
    let EventKind::Message(message) = event.kind else { return oyez_event::other(event) };
    let mut kept = oyez_event::EMPTY;
    kept.set(event.topic, event.partition, &message);
    kept.bytes = std::ptr::without_provenance(bytes.len());
    bytes.extend_from_slice(message.bytes);
    kept
}
