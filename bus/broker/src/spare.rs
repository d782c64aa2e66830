//! Spare rings, made off the path: populating and collapsing 64 MiB takes 50 to 600 ms, a grant must take a few.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;

use oyez_mem::memory::{self, Access, MemoryError};
use oyez_ring::{Memory, Region};

use crate::event::{Event, Helper};
use crate::log::log;

/// A ring that nobody has seen yet.
#[derive(Debug)]
pub(crate) struct Spare {
    /// What `memfd_create` returned: it goes to the store and to nobody else.
    pub(crate) original: OwnedFd,
    /// The broker's own read-only mapping, locked and collapsed where the kernel would.
    pub(crate) region: Region,
    /// What it would not, for the log.
    pub(crate) lacks: Option<&'static str>,
    /// Bytes of the ring.
    pub(crate) capacity_bytes: u64,
}

/// One spare for each ring size that topics have.
#[derive(Debug)]
pub(crate) struct Spares {
    helper: Helper,
    stock: BTreeMap<u64, Stock>,
    /// Whether it was told that rings lack something.
    told: bool,
}

#[derive(Debug)]
enum Stock {
    Making,
    Ready(Spare),
    /// The last attempt failed; the next request tries again.
    Failed(MemoryError),
}

/// What a request for a spare finds.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Here it is; another is being made.
    Spare(Spare),
    /// It is being made.
    NotYet,
    /// It could not be made.
    Failed(MemoryError),
}

impl Spares {
    /// Begins to make one spare of each size.
    pub(crate) fn new(helper: Helper, capacities: impl IntoIterator<Item = u64>) -> Spares {
        let mut spares = Spares { helper, stock: BTreeMap::new(), told: false };
        capacities.into_iter().for_each(|capacity_bytes| spares.make(capacity_bytes));
        spares
    }

    /// Lets go of the spares of other sizes than these; makes those that are not there.
    pub(crate) fn keep(&mut self, capacities: impl IntoIterator<Item = u64>) {
        let capacities: BTreeSet<u64> = capacities.into_iter().collect();
        self.stock.retain(|size, _| capacities.contains(size));
        for size in capacities {
            if !self.stock.contains_key(&size) {
                self.make(size);
            }
        }
    }

    /// Takes the spare of this size and has the next one made.
    pub(crate) fn take(&mut self, capacity_bytes: u64) -> Taken {
        match self.stock.remove(&capacity_bytes) {
            Some(Stock::Making) => {
                self.stock.insert(capacity_bytes, Stock::Making);
                Taken::NotYet
            }
            found => {
                self.make(capacity_bytes);
                match found {
                    Some(Stock::Ready(spare)) => Taken::Spare(spare),
                    Some(Stock::Failed(error)) => Taken::Failed(error),
                    _ => Taken::NotYet,
                }
            }
        }
    }

    /// What the helper has made; of a size that is not wanted any more, nothing is kept.
    pub(crate) fn made(&mut self, capacity_bytes: u64, made: Result<Spare, MemoryError>) {
        if !self.stock.contains_key(&capacity_bytes) {
            return;
        }
        let stock = match made {
            Ok(spare) => {
                if let Some(lacks) = spare.lacks.filter(|_| !self.told) {
                    log(format_args!("rings are {lacks}; `oyez doctor` tells what that costs and what mends it"));
                    self.told = true;
                }
                Stock::Ready(spare)
            }
            Err(error) => {
                log(format_args!("no spare ring: {error}"));
                Stock::Failed(error)
            }
        };
        self.stock.insert(capacity_bytes, stock);
    }

    fn make(&mut self, capacity_bytes: u64) {
        if self.stock.insert(capacity_bytes, Stock::Making).is_none() {
            self.helper.ask(move || Event::Spare(capacity_bytes, make(capacity_bytes)));
        }
    }
}

/// Makes a ring's memory: sealed in its size, populated, mapped, locked where the limit allows, collapsed.
fn make(capacity_bytes: u64) -> Result<Spare, MemoryError> {
    let len_bytes = Memory::len_bytes(capacity_bytes);
    let original = memory::create("oyez-ring", len_bytes)?;
    let region = map(&memory::reopen(&original, Access::Read)?, len_bytes)?;
    // Neither is needed to be right, and both are refused to ordinary users of some machines.
    let lacks = match memory::prepare(&region) {
        (true, true) => None,
        (false, true) => Some("not locked in memory"),
        (true, false) => Some("in pages of 4 KiB"),
        (false, false) => Some("not locked in memory, and in pages of 4 KiB"),
    };
    Ok(Spare { original, region, lacks, capacity_bytes })
}

/// Maps a memory to read.
pub(crate) fn map(read_only: &OwnedFd, len_bytes: u64) -> Result<Region, MemoryError> {
    Region::map(read_only, len_bytes as usize).map_err(|error| MemoryError::from_map("oyez-ring", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spare_is_made_ahead_taken_once_and_made_again() {
        let (events, queue) = crate::event::queue().expect("descriptors");
        let capacity = 2 << 20;
        let mut spares = Spares::new(Helper::start("test", events).expect("a thread"), [capacity]);
        for _ in 0..2 {
            assert!(matches!(spares.take(capacity), Taken::NotYet));
            let made = std::iter::repeat_with(|| queue.take()).flatten().next();
            let Some(Event::Spare(size, made)) = made else { panic!("another event") };
            spares.made(size, made);
            let Taken::Spare(spare) = spares.take(capacity) else { panic!("not ready") };
            assert_eq!((spare.capacity_bytes, spare.region.load(0)), (capacity, 0));
        }
    }

    #[test]
    fn a_spare_of_a_size_that_is_not_wanted_any_more_goes_also_when_it_is_still_being_made() {
        let (events, queue) = crate::event::queue().expect("descriptors");
        let capacity = 2 << 20;
        let mut spares = Spares::new(Helper::start("test", events).expect("a thread"), [capacity]);
        spares.keep([]);
        let made = std::iter::repeat_with(|| queue.take()).flatten().next();
        let Some(Event::Spare(size, made)) = made else { panic!("another event") };
        spares.made(size, made);
        assert!(spares.stock.is_empty(), "{spares:?}");
    }

    #[test]
    fn what_cannot_be_made_is_told_once_and_tried_again() {
        let (events, queue) = crate::event::queue().expect("descriptors");
        let capacity = 1 << 60;
        let mut spares = Spares::new(Helper::start("test", events).expect("a thread"), [capacity]);
        for _ in 0..2 {
            let made = std::iter::repeat_with(|| queue.take()).flatten().next();
            let Some(Event::Spare(size, made)) = made else { panic!("another event") };
            spares.made(size, made);
            let Taken::Failed(error) = spares.take(capacity) else { panic!("made") };
            assert!(error.to_string().contains("are available"), "{error}");
            assert!(matches!(spares.take(capacity), Taken::NotYet));
        }
    }
}
