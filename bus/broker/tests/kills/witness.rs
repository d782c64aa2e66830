//! What a publisher knows of itself, in a mapped file that outlives its killing: one for each epoch it owned.
//!
//! Words: epoch, pid, first sequence, time of the first commit, longest gap between commits, times back-pressured, p99 of
//! the gaps, bytes of the message that is being published (0: none), a position that was published, how long the first commit
//! took where the epoch before was renewed; then two slots of
//! (hash over the commits that returned, their count), written in turn, hash first. The higher count counts.

use crate::content;
use hdrhistogram::Histogram;
use oyez_mem::{Region, RegionMut};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

const LEN_BYTES: usize = 4096;
const EPOCH: usize = 0;
const PID: usize = 40;
const FIRST: usize = 8;
const FIRST_TIME: usize = 16;
const GAP: usize = 24;
const BACK_PRESSURED: usize = 32;
const GAP_P99: usize = 48;
const OFFERING: usize = 56;
const POSITION: usize = 64;
const RENEWED: usize = 72;
const SLOTS: [usize; 2] = [128, 192];

/// The writing half, in the publisher.
pub(crate) struct Witness {
    page: RegionMut,
    count: u64,
    hash: u64,
    last: Option<std::time::Instant>,
    gaps_ns: Histogram<u64>,
}

/// What was found in one of them.
#[derive(Clone, Debug)]
pub(crate) struct Testimony {
    pub(crate) epoch: u32,
    pub(crate) pid: u32,
    pub(crate) first: u64,
    pub(crate) first_time_ns: u64,
    pub(crate) count: u64,
    pub(crate) hash: u64,
    pub(crate) gap_ns: u64,
    pub(crate) gap_p99_ns: u64,
    pub(crate) back_pressured: u64,
    pub(crate) offering_bytes: u64,
    pub(crate) position: u64,
    pub(crate) renewed_ns: u64,
}

impl Witness {
    pub(crate) fn new(folder: &Path, epoch: u32) -> Witness {
        // Not seen before it is whole.
        let (begun, seen) = (folder.join(format!("begun-{epoch}")), path(folder, epoch));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&begun).expect("one owner an epoch");
        file.set_len(LEN_BYTES as u64).unwrap();
        let page = RegionMut::map(&file, LEN_BYTES).unwrap();
        page.store(EPOCH, u64::from(epoch));
        page.store(PID, u64::from(std::process::id()));
        // Linked, so that the other name stays, and is nobody's again.
        std::fs::hard_link(&begun, &seen).unwrap();
        Witness { page, count: 0, hash: 0, last: None, gaps_ns: Histogram::new_with_max(60_000_000_000, 3).unwrap() }
    }

    /// The commit of `sequence` returned.
    pub(crate) fn committed(&mut self, sequence: u64, position: u64, time_ns: u64) {
        if self.count == 0 {
            self.page.store(FIRST, sequence);
            self.page.store(FIRST_TIME, time_ns);
        }
        let now = std::time::Instant::now();
        if let Some(last) = self.last.replace(now) {
            self.gaps_ns.saturating_record(now.duration_since(last).as_nanos() as u64);
            if self.count.is_multiple_of(1 << 12) {
                self.page.store(POSITION, position);
                self.page.store(GAP, self.gaps_ns.max());
                self.page.store(GAP_P99, self.gaps_ns.value_at_quantile(0.99));
            }
        }
        self.count += 1;
        self.hash = content::chain(self.hash, sequence, time_ns);
        let slot = SLOTS[(self.count % 2) as usize];
        self.page.store_release(slot, self.hash);
        self.page.store_release(slot + 8, self.count);
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.page.load(EPOCH) as u32
    }

    /// The epoch before was renewed, and this one's first commit took so long.
    pub(crate) fn renewed(&self, pause: std::time::Duration) {
        self.page.store(RENEWED, pause.as_nanos() as u64);
    }

    /// A message of so many bytes is about to go out; 0: it is out, or was held back.
    pub(crate) fn offering(&self, len_bytes: usize) {
        self.page.store(OFFERING, len_bytes as u64);
    }

    pub(crate) fn back_pressured(&mut self) {
        self.page.store(BACK_PRESSURED, self.page.load(BACK_PRESSURED) + 1);
    }
}

impl Testimony {
    pub(crate) fn read(path: &Path) -> Option<Testimony> {
        let file = std::fs::File::open(path).ok()?;
        let page = (file.metadata().ok()?.len() == LEN_BYTES as u64).then(|| Region::map(&file, LEN_BYTES).ok())??;
        let newest = SLOTS.into_iter().max_by_key(|slot| page.load(slot + 8))?;
        Some(Testimony {
            epoch: page.load(EPOCH) as u32,
            pid: page.load(PID) as u32,
            first: page.load(FIRST),
            first_time_ns: page.load(FIRST_TIME),
            count: page.load(newest + 8),
            hash: page.load(newest),
            gap_ns: page.load(GAP),
            gap_p99_ns: page.load(GAP_P99),
            back_pressured: page.load(BACK_PRESSURED),
            offering_bytes: page.load(OFFERING),
            position: page.load(POSITION),
            renewed_ns: page.load(RENEWED),
        })
    }

    /// All of them, by epoch.
    pub(crate) fn all(folder: &Path) -> Vec<Testimony> {
        let mut all: Vec<_> = epochs(folder).filter_map(|epoch| Testimony::read(&path(folder, epoch))).collect();
        all.sort_by_key(|testimony| testimony.epoch);
        all
    }

    /// That of the epoch begun last.
    pub(crate) fn newest(folder: &Path) -> Option<Testimony> {
        epochs(folder).max().and_then(|epoch| Testimony::read(&path(folder, epoch)))
    }
}

fn path(folder: &Path, epoch: u32) -> PathBuf {
    folder.join(format!("witness-{epoch}"))
}

/// Those that have a witness.
fn epochs(folder: &Path) -> impl Iterator<Item = u32> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.to_str()?.strip_prefix("witness-")?.parse().ok())
}
