//! The limit of a stream: the same frames through the same kind of memory by `memcpy`, without a protocol.
//!
//! One core copies each frame in, and the frame that lies a block before it out again, so that every byte goes in and
//! comes out, through memory. A frame is as long as on the bus, and its time is fresh where the bus reads the clock.

use crate::failure::Failure;
use oyez_mem::clock::{Clock, now_ns};
use oyez_mem::{RegionMut, memory};
use std::hint::black_box;

/// How far behind the frames are copied out again: a block of the bus.
const BEHIND_BYTES: usize = 64 << 10;
const HEADER_BYTES: usize = 16;

/// Memory for it.
pub(crate) struct Memcpy {
    region: RegionMut,
    at: usize,
}

impl Memcpy {
    /// # Errors
    /// [`Failure::Memory`], [`Failure::Refused`].
    pub(crate) fn new(len_bytes: u64) -> Result<Memcpy, Failure> {
        let file = memory::create("oyez-bench-memcpy", len_bytes)?;
        let region = RegionMut::map(&file, len_bytes as usize).map_err(Failure::refused("map a memory"))?;
        memory::prepare(&region);
        Ok(Memcpy { region, at: 0 })
    }

    /// Frames a second.
    pub(crate) fn rate(&mut self, len_bytes: usize, frames: u64, timed: bool) -> f64 {
        let frame_bytes = HEADER_BYTES + len_bytes.next_multiple_of(8);
        let lap_bytes = self.region.len_bytes() / frame_bytes * frame_bytes;
        let behind_bytes = BEHIND_BYTES / frame_bytes * frame_bytes;
        let (mut source, mut target) = (vec![1; frame_bytes], vec![0; frame_bytes]);
        let mut at = self.at / frame_bytes * frame_bytes % lap_bytes;
        let memory = self.memory();
        let mut clock = timed.then(Clock::new);
        let start_ns = now_ns();
        for _ in 0..frames {
            if let Some(clock) = &mut clock {
                source[8..HEADER_BYTES].copy_from_slice(&clock.now_ns().to_le_bytes());
            }
            memory[at..at + frame_bytes].copy_from_slice(black_box(&source));
            let behind = if at < behind_bytes { at + lap_bytes - behind_bytes } else { at - behind_bytes };
            target.copy_from_slice(&memory[behind..behind + frame_bytes]);
            black_box(&mut target);
            at = if at + frame_bytes == lap_bytes { 0 } else { at + frame_bytes };
        }
        let spent_ns = now_ns().saturating_sub(start_ns).max(1);
        self.at = at;
        frames as f64 * 1e9 / spent_ns as f64
    }

    #[allow(unsafe_code, reason = "the words of a region are atomic, and a memcpy knows none")]
    fn memory(&mut self) -> &mut [u8] {
        let base = std::ptr::with_exposed_provenance_mut(self.region.address(0));
        // SAFETY: `region` keeps so many bytes mapped for writing; its descriptor was closed before anybody else could
        // map it, and it is borrowed mutably as long as the slice lives.
        unsafe { std::slice::from_raw_parts_mut(base, self.region.len_bytes()) }
    }
}
