//! The limit: the same bytes through fresh cache lines, without a protocol. Nothing is checked, nothing is ever full,
//! nobody who is slow is told: it is what the machine takes to move them.
//!
//! A frame is a flag word, the time and the payload, as long as a frame of the bus, and begins on a line of its own.
//! The flag is the frame's number, so nothing needs to be wiped; it is stored last, with release.

use super::{Broken, Link};
use oyez_mem::clock::Clock;
use oyez_mem::{Region, RegionMut, sync};

const LINE: usize = 64;
const HEADER: usize = 16;
const MESSAGE_BYTES_MAX: usize = 4096;

/// One end.
pub(crate) struct Limit {
    out: RegionMut,
    out_at: usize,
    sent: u64,
    into: Region,
    into_at: usize,
    taken: u64,
    copy: Box<[u8; MESSAGE_BYTES_MAX]>,
    clock: Clock,
}

impl Limit {
    pub(crate) fn new(out: RegionMut, into: Region) -> Limit {
        Limit {
            out,
            out_at: 0,
            sent: 0,
            into,
            into_at: 0,
            taken: 0,
            copy: Box::new([0; MESSAGE_BYTES_MAX]),
            clock: Clock::new(),
        }
    }

    #[inline(always)]
    fn after(at: usize, payload_bytes: usize, area_bytes: usize) -> usize {
        let next = (at + HEADER + payload_bytes).next_multiple_of(LINE);
        if next + HEADER + MESSAGE_BYTES_MAX > area_bytes { 0 } else { next }
    }
}

impl Link for Limit {
    #[inline(always)]
    fn send(&mut self, message: &[u8]) -> Result<u64, Broken> {
        let at = self.out_at;
        self.sent += 1;
        let time_ns = self.clock.now_ns();
        self.out.store(at + 8, time_ns);
        self.out.copy_in(at + HEADER, message);
        self.out.store_release(at, self.sent << 16 | message.len() as u64);
        self.out_at = Self::after(at, message.len(), self.out.len_bytes());
        Ok(time_ns)
    }

    #[inline(always)]
    fn poll(&mut self, _: usize, mut each: impl FnMut(&[u8])) -> Result<usize, Broken> {
        let flag = self.into.load(self.into_at);
        if flag >> 16 != self.taken + 1 {
            return Ok(0);
        }
        sync::fence_acquire();
        let len_bytes = (flag & 0xFFFF) as usize;
        std::hint::black_box(self.into.load(self.into_at + 8));
        // Whole words, as the bus copies them.
        self.into.copy_out(self.into_at + HEADER, &mut self.copy[..len_bytes.next_multiple_of(8)]);
        each(&self.copy[..len_bytes]);
        self.taken += 1;
        self.into_at = Self::after(self.into_at, len_bytes, self.into.len_bytes());
        Ok(1)
    }

    fn catch_up(&mut self) -> Result<(), Broken> {
        while self.poll(1, |_| {})? != 0 {}
        Ok(())
    }
}
