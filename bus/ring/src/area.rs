//! A subscription's area: words that its reader writes and the broker reads. A reader can spoil only its own.
//!
//! ```text
//!      0  epoch, position and sequence wanted next, publish time of the message taken last    at a start, behind a poll that brought any, to a broker that is back
//!    128  durability that bounds it, position where it sleeps, and 1 (0: it does not)         before and after a sleep
//!   4096  counts of latencies, publish to poll, log-linear                                    now and then
//! ```
//!
//! Falling asleep, a reader stores both words of the second line and then asks, by a system call; the core hears the ask,
//! by another, and loads them: the kernel orders the two, so relaxed words are enough. A word of another sleep than the
//! ask's is a later one's, whose own ask comes after it. Words of a line may be of two polls: they are for people and for
//! sums, not for deciding.
//! Checked by: `tests/loom.rs`.

use crate::{Epoch, Position, Sequence};
use oyez_mem::{Region, RegionMut};

const EPOCH: usize = 0;
const POSITION: usize = 8;
const SEQUENCE: usize = 16;
const TIME: usize = 24;
const DURABILITY: usize = 128;
const ASLEEP: usize = 136;
const LATENCIES: usize = 4096;

/// Steps for each power of two: a value is told to within 1/32 of itself.
const STEPS: u64 = 32;
const STEP_BITS: u32 = STEPS.ilog2();
/// Values below [`STEPS`] have a bucket each; behind them each power of two has [`STEPS`].
const BUCKETS: usize = (STEPS as usize) * (64 - STEP_BITS as usize + 1);

/// The area, for the reader it belongs to.
#[derive(Clone, Debug)]
pub struct AreaMut(RegionMut);

/// The area, for the broker: whatever it holds is one client's word.
#[derive(Clone, Debug)]
pub struct Area(Region);

/// How far a reader has come, as it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The epoch that it reads; 0 before the first.
    pub epoch: Epoch,
    /// Where the next frame is looked for.
    pub position: Position,
    /// The message wanted next.
    pub sequence: Sequence,
    /// Publish time of the message taken last, ns since 1970 UTC.
    pub time_ns: u64,
}

/// What a sleeping reader waits for: that something stands at `position` which has come as far as `durability`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asleep {
    /// Where the next frame is looked for.
    pub position: Position,
    /// 0 published, 1 written, 2 durable; the protocol's numbers.
    pub durability: u64,
}

/// How many latencies were seen of each size, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latencies(Vec<u64>);

impl AreaMut {
    /// # Panics
    /// Where the region is shorter than [`Area::LEN_BYTES`].
    pub fn new(region: RegionMut) -> AreaMut {
        assert!(region.len_bytes() >= Area::LEN_BYTES, "an area of {} bytes", region.len_bytes());
        AreaMut(region)
    }

    /// The area, to be read.
    pub fn reader(&self) -> Area {
        Area(self.0.reader())
    }

    /// Tells how far the reader has come. Four relaxed stores.
    #[inline]
    pub fn tell(&self, progress: Progress) {
        self.0.store(EPOCH, u64::from(progress.epoch.0));
        self.0.store(POSITION, progress.position.0);
        self.0.store(SEQUENCE, progress.sequence.0);
        self.0.store(TIME, progress.time_ns);
    }

    /// Before the reader asks to be woken.
    pub fn sleep(&self, asleep: Asleep) {
        self.0.store(DURABILITY, asleep.durability);
        self.0.store(ASLEEP, asleep.position.0.wrapping_add(1));
    }

    /// It does not sleep any more.
    pub fn wake(&self) {
        self.0.store(ASLEEP, 0);
    }

    /// Counts one latency.
    #[inline]
    pub fn record(&self, latency_ns: u64) {
        let offset = LATENCIES + 8 * bucket(latency_ns);
        self.0.store(offset, self.0.load(offset).wrapping_add(1));
    }
}

impl Area {
    /// Bytes of an area.
    pub const LEN_BYTES: usize = if cfg!(loom) { 256 } else { 65_536 };

    /// # Panics
    /// Where the region is shorter than [`Area::LEN_BYTES`].
    pub fn new(region: Region) -> Area {
        assert!(region.len_bytes() >= Area::LEN_BYTES, "an area of {} bytes", region.len_bytes());
        Area(region)
    }

    /// How far the reader says it has come.
    pub fn progress(&self) -> Progress {
        Progress {
            epoch: Epoch(self.0.load(EPOCH) as u32),
            position: Position(self.0.load(POSITION)),
            sequence: Sequence(self.0.load(SEQUENCE)),
            time_ns: self.0.load(TIME),
        }
    }

    /// What the reader waits for, if it says that it sleeps.
    pub fn asleep(&self) -> Option<Asleep> {
        let position = Position(self.0.load(ASLEEP).checked_sub(1)?);
        Some(Asleep { position, durability: self.0.load(DURABILITY) })
    }

    /// What was counted so far.
    pub fn latencies(&self) -> Latencies {
        Latencies((0..BUCKETS).map(|bucket| self.0.load(LATENCIES + 8 * bucket)).collect())
    }
}

impl Latencies {
    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, count| sum.saturating_add(*count))
    }

    /// The latency, ns, that `part` of all counted do not exceed, to within 1/32; `None` where none was counted.
    pub fn at(&self, part: f64) -> Option<u64> {
        let count = self.count();
        let wanted = ((count as f64 * part).ceil() as u64).clamp(1, count.max(1));
        let mut seen = 0_u64;
        let reached = |(_, counted): &(usize, &u64)| {
            seen = seen.saturating_add(**counted);
            seen >= wanted
        };
        self.0.iter().enumerate().find(reached).map(|(bucket, _)| highest(bucket))
    }
}

/// The bucket of a value.
fn bucket(value: u64) -> usize {
    let shift = value.max(1).ilog2().saturating_sub(STEP_BITS);
    (u64::from(shift) * STEPS + (value >> shift)) as usize
}

/// The highest value of a bucket.
fn highest(bucket: usize) -> u64 {
    let (shift, step) = match bucket as u64 / STEPS {
        0 => (0, bucket as u64),
        power => (power - 1, bucket as u64 % STEPS + STEPS),
    };
    (step << shift) | ((1 << shift) - 1)
}

const _: () = assert!(LATENCIES + 8 * BUCKETS <= 65_536, "the counts fit into an area");
const _: () = assert!(cfg!(loom) || Area::LEN_BYTES == 65_536, "as docs/formats/area.md says");

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bucket_whose_highest_is_within_a_thirty_second() {
        let powers = (0..64).flat_map(|power| [(1_u64 << power) - 1, 1 << power, (1 << power) | 5 << (power / 2)]);
        for value in powers.chain(0..5_000).chain([u64::MAX, u64::MAX - 1]) {
            let (at, top) = (bucket(value), highest(bucket(value)));
            assert!(at < BUCKETS, "{value}");
            assert!(top >= value && top - value <= value / STEPS, "{value} is told as {top}");
            assert_eq!(bucket(top), at, "{value}");
            assert!(top == u64::MAX || bucket(top + 1) == at + 1, "{value}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn parts_of_what_was_counted_are_told() {
        let area = AreaMut::new(RegionMut::heap(Area::LEN_BYTES));
        let view = area.reader();
        assert_eq!((view.latencies().count(), view.latencies().at(0.5)), (0, None));
        (1..=1_000).for_each(|thousands| area.record(thousands * 1_000));
        let told = view.latencies();
        assert_eq!(told.count(), 1_000);
        for (part, exact) in [(0.5, 500_000), (0.99, 990_000), (1.0, 1_000_000)] {
            let at = told.at(part).expect("counted");
            assert!((exact..=exact + exact / STEPS).contains(&at), "{part}: {at}");
        }
        assert!(told.at(0.0).is_some_and(|least| (1_000..1_032).contains(&least)));
    }

    #[test]
    fn a_hostile_area_is_told_and_nothing_more() {
        let region = RegionMut::heap(Area::LEN_BYTES);
        (0..Area::LEN_BYTES).step_by(8).for_each(|offset| region.store(offset, u64::MAX));
        let area = Area::new(region.reader());
        assert_eq!(area.asleep().map(|asleep| asleep.position), Some(Position(u64::MAX - 1)));
        assert_eq!(area.progress().position, Position(u64::MAX));
        assert_eq!(area.latencies().count(), u64::MAX);
        assert_eq!(area.latencies().at(0.5), Some(0));
    }

    #[test]
    fn a_sleep_is_told_until_the_reader_wakes() {
        let area = AreaMut::new(RegionMut::heap(Area::LEN_BYTES));
        assert_eq!(area.reader().asleep(), None);
        let asleep = Asleep { position: Position(64), durability: 2 };
        area.sleep(asleep);
        assert_eq!(area.reader().asleep(), Some(asleep));
        area.wake();
        assert_eq!(area.reader().asleep(), None);
    }
}
