//! The bare ring: writer and reader of `oyez-ring` over shared memory, without client and broker.

use super::{Broken, Link};
use oyez_mem::clock::Clock;
use oyez_ring::{Kind, Offer, Poll, Position, Reader, Writer};

/// One end.
pub(crate) struct Ring {
    writer: Writer,
    reader: Reader,
    clock: Clock,
}

/// One end that never reads the clock.
pub(crate) struct Untimed<'a>(pub(crate) &'a mut Ring);

impl Ring {
    pub(crate) fn new(writer: Writer, reader: Reader) -> Ring {
        Ring { writer, reader, clock: Clock::new() }
    }

    #[inline(always)]
    fn offer(&mut self, message: &[u8], time_ns: u64) -> Result<u64, Broken> {
        match self.writer.offer(message, time_ns) {
            Ok(Offer::Published(published)) => Ok(published.time_ns),
            Ok(Offer::BackPressured) => Err(Broken::Failed("back-pressured without a gate".to_owned())),
            Err(length) => Err(Broken::Failed(length.to_string())),
        }
    }
}

impl Link for Ring {
    #[inline(always)]
    fn send(&mut self, message: &[u8]) -> Result<u64, Broken> {
        let time_ns = self.clock.now_ns();
        self.offer(message, time_ns)
    }

    #[inline(always)]
    fn poll(&mut self, limit: usize, mut each: impl FnMut(&[u8])) -> Result<usize, Broken> {
        let mut brought = 0;
        while brought < limit {
            match self.reader.poll() {
                Ok(Poll::Frame(frame)) if frame.kind == Kind::Message => {
                    each(frame.payload);
                    brought += 1;
                }
                Ok(Poll::Frame(_)) => {}
                Ok(Poll::Empty) => break,
                Ok(Poll::Lapped) => return Err(Broken::Lapped),
                Err(invalid) => return Err(Broken::Failed(invalid.to_string())),
            }
        }
        Ok(brought)
    }

    fn catch_up(&mut self) -> Result<(), Broken> {
        let (memory, epoch) = (self.reader.memory().clone(), self.reader.epoch());
        let newest = Reader::newest_block(&memory, epoch, Position(0));
        self.reader = Reader::at(memory, epoch, newest);
        while self.poll(256, |_| {})? != 0 {}
        Ok(())
    }
}

impl Link for Untimed<'_> {
    #[inline(always)]
    fn send(&mut self, message: &[u8]) -> Result<u64, Broken> {
        // The writer holds a time that goes back at the last one.
        self.0.offer(message, 0)
    }

    #[inline(always)]
    fn poll(&mut self, limit: usize, each: impl FnMut(&[u8])) -> Result<usize, Broken> {
        self.0.poll(limit, each)
    }

    fn catch_up(&mut self) -> Result<(), Broken> {
        self.0.catch_up()
    }
}
