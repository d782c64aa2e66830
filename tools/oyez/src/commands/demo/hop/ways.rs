//! The two ways that a message goes: through the bus, and through bare memory.

use std::os::fd::AsFd;

use oyez::{EventKind, Offer, Publisher, Subscriber};
use oyez_mem::{RegionMut, sync};

use super::{MESSAGE_BYTES, Message};
use crate::commands::demo::report::now_ns;
use crate::failure::Failure;

/// One end of two directions.
pub(super) trait Way {
    /// Sends a message; when, by the clock that is read for each message.
    fn send(&mut self, message: &Message) -> Result<u64, Failure>;

    /// Takes the next message if it is there.
    fn poll(&mut self, message: &mut Message) -> Result<bool, Failure>;
}

/// Through the bus: a topic for each direction.
pub(super) struct Through {
    pub(super) publisher: Publisher,
    pub(super) subscriber: Subscriber,
}

impl Way for Through {
    #[inline(always)]
    fn send(&mut self, message: &Message) -> Result<u64, Failure> {
        match self.publisher.offer(message)? {
            Offer::Published(published) => Ok(published.time_ns),
            Offer::BackPressured => Err("demo: an unrecorded topic held its publisher back; please report it".into()),
        }
    }

    #[inline(always)]
    fn poll(&mut self, message: &mut Message) -> Result<bool, Failure> {
        let mut came = false;
        self.subscriber.poll(1, |event| {
            if let EventKind::Message(received) = event.kind {
                came = received.bytes.len() == MESSAGE_BYTES;
                if came {
                    message.copy_from_slice(received.bytes);
                }
            }
        })?;
        Ok(came)
    }
}

/// Through memory: each message in lines of its own, the flag, which is its number, stored last.
pub(super) struct Memory {
    shared: RegionMut,
    out: Direction,
    into: Direction,
}

struct Direction {
    /// Where its part of the memory begins.
    base: usize,
    /// Messages so far.
    count: u64,
}

/// What stands before the message, as in a frame: the flag and the time.
const HEADER_BYTES: usize = 16;
const SLOT_BYTES: usize = (HEADER_BYTES + MESSAGE_BYTES).next_multiple_of(64);
/// Lines of a direction, as many as a small ring has.
const SLOTS: usize = (2 << 20) / SLOT_BYTES;
pub(super) const MEMORY_BYTES: usize = 2 * SLOTS * SLOT_BYTES;

impl Memory {
    /// This end of the shared memory, or the other.
    pub(super) fn new(shared: impl AsFd, here: bool) -> Result<Memory, Failure> {
        let [first, second] = [0, MEMORY_BYTES / 2].map(|base| Direction { base, count: 0 });
        let (out, into) = if here { (first, second) } else { (second, first) };
        Ok(Memory { shared: RegionMut::map(shared, MEMORY_BYTES)?, out, into })
    }
}

impl Direction {
    #[inline(always)]
    fn slot(&self) -> usize {
        self.base + self.count as usize % SLOTS * SLOT_BYTES
    }
}

impl Way for Memory {
    #[inline(always)]
    fn send(&mut self, message: &Message) -> Result<u64, Failure> {
        let (slot, time_ns) = (self.out.slot(), now_ns());
        self.out.count += 1;
        self.shared.store(slot + 8, time_ns);
        self.shared.copy_in(slot + HEADER_BYTES, message);
        self.shared.store_release(slot, self.out.count);
        Ok(time_ns)
    }

    #[inline(always)]
    fn poll(&mut self, message: &mut Message) -> Result<bool, Failure> {
        let slot = self.into.slot();
        if self.shared.load(slot) != self.into.count + 1 {
            return Ok(false);
        }
        sync::fence_acquire();
        std::hint::black_box(self.shared.load(slot + 8));
        self.shared.copy_out(slot + HEADER_BYTES, message);
        self.into.count += 1;
        Ok(true)
    }
}
