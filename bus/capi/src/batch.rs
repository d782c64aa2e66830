//! Events that were taken from the bus and not handed out yet, or only until the next call. Their messages stand one
//! behind the other in one piece of memory, which is there from the opening of the subscriber: the last of a batch may begin
//! just below its limit. Only a message of several frames may be longer than what is left of it: then it grows.

use crate::counts::SubscriberCounts;
use crate::error::{Failure, OYEZ_ERR_SYSTEM};
use crate::event::oyez_event;
use oyez::{Event, EventKind, ONE_FRAME_BYTES_MAX, SubscribeError, Subscriber, TopicIndex};
use std::ops::Range;

/// How many events are taken at most before they are handed out.
const EVENTS_MAX: usize = 1_024;

pub(crate) struct Batch {
    bytes_max: usize,
    bytes: Vec<u8>,
    events: Vec<oyez_event>,
    /// Which of them are still to be handed out: none of those whose taking a panic has cut short.
    left: Range<usize>,
    /// What was found behind events: told when they are handed out. It must not wait to be found again, for in the next
    /// poll the other topics come first.
    late: Option<SubscribeError>,
}

impl Batch {
    pub(crate) fn new(bytes_max: usize) -> Result<Batch, Failure> {
        let (mut bytes, mut events) = (Vec::new(), Vec::new());
        let room_bytes = bytes_max.saturating_add(ONE_FRAME_BYTES_MAX);
        if isize::try_from(room_bytes).is_err() {
            return Err(Failure::argument(format!("no memory has {bytes_max} bytes; lower `batch_bytes`")));
        }
        let reserved = bytes.try_reserve_exact(room_bytes).and_then(|()| events.try_reserve_exact(EVENTS_MAX));
        let large = |error| format!("no memory for batches of {bytes_max} bytes: {error}; lower `batch_bytes`");
        reserved.map_err(|error| Failure::new(OYEZ_ERR_SYSTEM, large(error)))?;
        Ok(Batch { bytes_max, bytes, events, left: 0..0, late: None })
    }

    /// What is there still to be handed out.
    #[inline]
    pub(crate) fn left(&self) -> &[oyez_event] {
        &self.events[self.left.clone()]
    }

    /// The first `events` of what is left are handed out.
    #[inline]
    pub(crate) fn hand_out(&mut self, events: usize) {
        self.left.start += events;
    }

    /// Forgets what is left of one topic, and what is to be told of it.
    pub(crate) fn forget(&mut self, topic: u32, failed: Option<TopicIndex>) {
        self.events.truncate(self.left.end);
        self.events.drain(..self.left.start);
        self.events.retain(|event| event.topic != topic);
        self.left = 0..self.events.len();
        self.late.take_if(|_| failed == Some(TopicIndex(topic as usize)));
    }

    /// An error is the answer of a call that has handed out nothing, and else that of the next.
    pub(crate) fn fail(&mut self, given: usize, error: SubscribeError) -> Result<(), SubscribeError> {
        match given {
            0 => Err(error),
            _ => {
                self.late = Some(error);
                Ok(())
            }
        }
    }

    /// What the call before has found behind its events.
    #[inline]
    pub(crate) fn tell(&mut self) -> Result<(), SubscribeError> {
        self.late.take().map_or(Ok(()), Err)
    }

    /// Whether the next call has something to tell without looking for more.
    pub(crate) fn is_owing(&self) -> bool {
        !self.left.is_empty() || self.late.is_some()
    }

    /// Where nothing is left, takes up to `limit` events, as far as `bytes_max` goes: it ends with the message that
    /// reaches it.
    pub(crate) fn fill(
        &mut self,
        subscriber: &mut Subscriber,
        limit: usize,
        counts: &SubscriberCounts,
    ) -> Result<(), SubscribeError> {
        if !self.left().is_empty() {
            return Ok(());
        }
        self.tell()?;
        let Batch { bytes_max, bytes, events, left, late } = self;
        *left = 0..0;
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
                Ok(_) => break,
                Err(error) => {
                    *late = Some(error);
                    break;
                }
            }
        }
        let base = bytes.as_ptr();
        for event in events.iter_mut().filter(|event| event.len_bytes > 0) {
            event.bytes = base.wrapping_add(event.bytes.addr());
        }
        *left = 0..events.len();
        if events.is_empty() { self.tell() } else { Ok(()) }
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
