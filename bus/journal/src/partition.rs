//! A partition's folder: opened and recovered, given epochs and segments. For the control thread; every call may block.

use crate::epochs::EpochsFile;
use crate::identity::Identity;
use crate::index::Index;
use crate::inspect::{Inspection, Inspector};
use crate::layout::{Geometry, PAGE_SLOTS, SLOT_BYTES};
use crate::segment::{self, NEW};
use crate::slot::Slot;
use crate::withheld::{self, Withheld};
use crate::{Corrupt, Epochs, JournalError, JournalId, Segment, SegmentFile};
use oyez_io::file::{self, Direct, Fill};
use oyez_io::{Buffer, DISK_BLOCK};
use oyez_ring::{Epoch, EpochStart, Position, Sequence, Tail};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a dead process's writes may still be in flight; 119 ms were seen.
const SETTLE_MAX: Duration = Duration::from_secs(5);
/// How far an unrecorded partition's reserve lies ahead: minutes at full speed, and nothing of 64 bits.
const RESERVE: Tail = Tail { position: Position(1 << 40), sequence: Sequence(1 << 34), time_ns: 0 };

/// How a partition is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether there is a journal, beside the `epochs`.
    pub recorded: bool,
    /// Whether `durable` is promised: each write is flushed. Otherwise flushes go once a second.
    pub durable: bool,
    /// Data bytes of a segment, a multiple of 4 MiB. Only a new journal takes it; an old one keeps its own.
    pub segment_bytes: u64,
    /// Segments whose last message is older are recycled for new ones.
    pub retention_ns: u64,
    /// The number of a new journal; random where `None`, as it should be outside of tests.
    pub id: Option<JournalId>,
}

impl Default for Options {
    fn default() -> Self {
        let retention_ns = 48 * 3_600 * 1_000_000_000;
        Options { recorded: true, durable: true, segment_bytes: 256 << 20, retention_ns, id: None }
    }
}

/// What opening found.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// Where the partition goes on: the recorded end; or, unrecorded, the reserve.
    pub tail: Tail,
    /// All below is flushed; 0 where that is worth nothing (tmpfs, unrecorded).
    pub durable: Position,
    /// What was written and never confirmed, and did not come through: cut off.
    pub torn: Option<Range<Position>>,
    /// What had been durable and does not verify: kept as it is.
    pub corrupt: Vec<Corrupt>,
}

/// A segment to be made; see [`Partition::segment_job`].
#[derive(Debug)]
pub struct SegmentJob {
    path: PathBuf,
    geometry: Geometry,
    id: JournalId,
    base: Position,
    position: Position,
    /// To be removed.
    gone: Vec<PathBuf>,
    work: Work,
}

/// What a segment's file lacks.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// Nothing.
    Open,
    /// It had another life.
    Prepare,
    /// It is not there.
    Create(Fill),
}

impl SegmentJob {
    /// Removes what has had its time, makes the file whole and opens it. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// As [`Partition::segment`]; the job is void then, ask for another.
    pub fn run(&self) -> Result<Segment, JournalError> {
        let SegmentJob { path, geometry, id, base, position, gone, work } = self;
        // What stays is tried again with the next: that nothing can be removed keeps nobody from recording.
        gone.iter().for_each(|path| drop(std::fs::remove_file(path)));
        match work {
            Work::Open => {}
            Work::Prepare => Segment::prepare(path, *geometry, *id, *base)?,
            Work::Create(fill) => Segment::create(path, *geometry, *id, *base, *fill)?,
        }
        Segment::open(path, *geometry, *position)
    }
}

/// A partition's folder, open for writing.
#[derive(Debug)]
pub struct Partition {
    dir: PathBuf,
    options: Options,
    identity: Identity,
    epochs: EpochsFile,
    /// Base positions, rising.
    bases: Vec<Position>,
    /// Those of them that lie ahead of everything recorded and may hold anything.
    unused: Vec<Position>,
    /// Files that are the journal's no more, and may be there still.
    gone: Vec<PathBuf>,
    outlives_power: bool,
}

impl Partition {
    /// Opens the folder, creating it where there is none, and recovers: waits until no dead process's write is in
    /// flight any more, judges the end of the journal, cuts a torn tail off, flushes. Reads kilobytes, however large
    /// the journal is.
    ///
    /// # Errors
    /// [`JournalError`]: what is wrong with the folder, and what to do.
    pub fn open(dir: &Path, options: &Options) -> Result<(Partition, Recovery), JournalError> {
        std::fs::create_dir_all(dir).map_err(JournalError::io("create", dir))?;
        let outlives_power = file::outlives_power(dir).map_err(JournalError::io("look at", dir))?;
        if options.recorded && options.durable && !outlives_power {
            return Err(JournalError::NotDurable { dir: dir.into() });
        }
        let identity = Identity::open(dir, options.segment_bytes, options.id)?;
        let epochs = EpochsFile::open(dir, identity.id)?;
        let bases = segment::bases(dir).map_err(JournalError::io("list", dir))?;
        let (options, unused) = (options.clone(), Vec::new());
        let (dir, gone) = (dir.into(), Vec::new());
        let mut partition = Partition { dir, options, identity, epochs, bases, unused, gone, outlives_power };
        partition.remove_unfinished()?;
        let recovery = if partition.options.recorded { partition.recover()? } else { partition.reserved() };
        Ok((partition, recovery))
    }

    /// The journal's number.
    pub fn id(&self) -> JournalId {
        self.identity.id
    }

    /// Data bytes of each segment.
    pub fn segment_bytes(&self) -> u64 {
        self.identity.segment_bytes
    }

    /// All epochs that were ever granted.
    pub fn epochs(&self) -> &Epochs {
        &self.epochs.epochs
    }

    /// Whether `durable` may be said of this partition.
    pub fn keeps_durable(&self) -> bool {
        self.options.recorded && self.outlives_power
    }

    /// Whether every confirmation is waited for, rather than one a second.
    pub(crate) fn flushes_at_once(&self) -> bool {
        self.options.durable
    }

    pub(crate) fn geometry(&self) -> Geometry {
        Geometry { segment_bytes: self.identity.segment_bytes }
    }

    /// The start of the epoch after one that ended at `tail`: its next block. (Of the first epoch, where there was none.)
    pub fn next_epoch(&self, tail: Tail) -> EpochStart {
        let epoch = self.epochs().last().map_or(Epoch(1), |last| Epoch(last.epoch.0 + 1));
        let Tail { position, sequence, time_ns } = tail;
        EpochStart { epoch, position: position.next_block(), sequence, time_ns, previous_end: position }
    }

    /// Makes an epoch known for ever: durable when it returns. Only then may it be granted. An unrecorded partition
    /// takes a reserve ahead of it as well.
    ///
    /// # Errors
    /// [`JournalError`]; nothing was begun.
    pub fn begin_epoch(&mut self, start: &EpochStart) -> Result<(), JournalError> {
        if !self.options.recorded {
            let Tail { position, sequence, .. } = self.reserve();
            if position < start.position.plus(RESERVE.position.0 / 2) || sequence <= start.sequence {
                self.reserve_ahead_of(Tail {
                    position: start.position,
                    sequence: start.sequence,
                    time_ns: start.time_ns,
                })?;
            }
        }
        self.epochs.begin(start)
    }

    /// Unrecorded: moves the reserve on when the tail has come half-way to it; whether it did. Once a second is plenty.
    ///
    /// # Errors
    /// [`JournalError`]; the old reserve stands.
    pub fn renew_reserve(&mut self, tail: Tail) -> Result<bool, JournalError> {
        let reserve = self.reserve();
        let due = tail.position.0 + RESERVE.position.0 / 2 > reserve.position.0
            || tail.sequence.0 + RESERVE.sequence.0 / 2 > reserve.sequence.0;
        if due && !self.options.recorded {
            self.reserve_ahead_of(tail)?;
        }
        Ok(due && !self.options.recorded)
    }

    /// The segment for `position`: the one that exists, or one recycled from below the retention, or a new one; ready
    /// to be given to a recorder. With each that is recycled another one below the retention is removed. Before either
    /// `earliest` is told the lowest position that is left.
    ///
    /// # Errors
    /// [`JournalError`]; where [`JournalError::is_no_space`] says so, try again later.
    pub fn segment(
        &mut self,
        position: Position,
        now_ns: u64,
        earliest: &mut dyn FnMut(Position),
    ) -> Result<Segment, JournalError> {
        let job = self.segment_job(position, now_ns, earliest)?;
        let segment = job.run()?;
        self.segment_made(&job);
        Ok(segment)
    }

    /// The same in two steps, for whoever cannot wait while a file is filled with zeros: [`SegmentJob::run`] may take
    /// place on another thread, and the partition is free meanwhile. Then comes [`Partition::segment_made`]. One job at
    /// a time.
    ///
    /// # Errors
    /// As [`Partition::segment`].
    pub fn segment_job(
        &mut self,
        position: Position,
        now_ns: u64,
        earliest: &mut dyn FnMut(Position),
    ) -> Result<SegmentJob, JournalError> {
        if !self.options.recorded {
            return Err(JournalError::NotRecorded { dir: self.dir.clone() });
        }
        let (geometry, id) = (self.geometry(), self.id());
        let base = geometry.base(position);
        let path = self.path(base);
        let work = if self.unused.contains(&base) {
            Work::Prepare
        } else if self.bases.contains(&base) {
            Work::Open
        } else if let Some(old) = self.expired(base, now_ns)? {
            let from = self.path(old);
            let status = std::fs::metadata(&from).map_err(JournalError::io("look at", &from))?;
            // In this order a reader that meets the file's new life always finds that `earliest` has passed the old one.
            self.cut_off(old, earliest);
            if withheld::is_marked(&status) {
                self.gone.push(from);
                Work::Create(self.fill())
            } else {
                file::rename(&from, &path).map_err(JournalError::io("rename", &from))?;
                // One for one there would be as many segments for ever as there were once, whatever retention or traffic
                // have become since; so each that is used again takes another one along.
                let surplus = self.expired(base, now_ns)?.map(|old| self.cut_off(old, earliest));
                self.gone.extend(surplus);
                Work::Prepare
            }
        } else {
            Work::Create(self.fill())
        };
        Ok(SegmentJob { path, geometry, id, base, position, gone: self.gone.clone(), work })
    }

    /// The job has run: from here on the segment is one of the journal's.
    pub fn segment_made(&mut self, job: &SegmentJob) {
        self.gone.retain(|path| path.exists());
        self.unused.retain(|unused| *unused != job.base);
        if !self.bases.contains(&job.base) {
            self.bases.push(job.base);
            self.bases.sort();
        }
    }

    /// How long segments are kept, from the next one that is made on.
    pub fn set_retention(&mut self, retention_ns: u64) {
        self.options.retention_ns = retention_ns;
    }

    /// Somebody may have these files open who is to see nothing newer: when their time has come they are deleted, and not
    /// used again. Whoever is to find it so after a power cut flushes the answer, which takes long.
    ///
    /// # Errors
    /// [`JournalError`]; some of them may be told so, and some not.
    pub fn withhold_segments(&self) -> Result<Withheld, JournalError> {
        // By name: one that is being prepared for its new life is among them.
        let bases = segment::bases(&self.dir).map_err(JournalError::io("list", &self.dir))?;
        Withheld::mark(bases.into_iter().map(|base| self.path(base)).collect())
    }

    /// The lowest position that the journal still has.
    pub fn earliest(&self) -> Position {
        self.bases.first().copied().unwrap_or_default()
    }

    /// The segment that holds `position`, opened read-only for somebody else; `None` where there is none (any more).
    ///
    /// # Errors
    /// As `open`.
    pub fn open_segment(&self, position: Position) -> io::Result<Option<SegmentFile>> {
        let base = self.geometry().base(position);
        if !self.bases.contains(&base) {
            return Ok(None);
        }
        let file = File::open(self.path(base))?;
        Ok(Some(SegmentFile { base, segment_bytes: self.segment_bytes(), file }))
    }

    /// Whether segments go past the page cache here; where they do not, say so once.
    ///
    /// # Errors
    /// As `open`.
    pub fn direct(&self) -> Result<Direct, JournalError> {
        let path = self.dir.join("journal");
        let opened = file::open_direct(&path, false).map_err(JournalError::io("open", &path))?;
        Ok(opened.1)
    }

    fn path(&self, base: Position) -> PathBuf {
        self.dir.join(self.geometry().file_name(base))
    }

    fn fill(&self) -> Fill {
        if self.options.durable { Fill::Zeroed } else { Fill::Allocated }
    }

    /// Unrecorded: where numbers begin that were certainly never given.
    pub fn reserve(&self) -> Tail {
        self.epochs.reserve.unwrap_or(Tail { position: Position(0), sequence: Sequence(0), time_ns: 0 })
    }

    fn reserved(&self) -> Recovery {
        Recovery { tail: self.reserve(), durable: Position(0), torn: None, corrupt: Vec::new() }
    }

    fn reserve_ahead_of(&mut self, tail: Tail) -> Result<(), JournalError> {
        self.epochs.reserve(Tail {
            position: tail.position.plus(RESERVE.position.0).next_block(),
            sequence: Sequence(tail.sequence.0 + RESERVE.sequence.0),
            time_ns: tail.time_ns,
        })
    }

    /// The oldest segment, if all in it is past the retention. The one before `base` is being written, and the one
    /// before that may still await its flush. Times only rise: a segment whose own index does not tell the last one, since
    /// it is damaged, is judged by the next that does.
    fn expired(&self, base: Position, now_ns: u64) -> Result<Option<Position>, JournalError> {
        let Some(&oldest) = self.bases.first() else { return Ok(None) };
        if oldest.0 + 3 * self.segment_bytes() > base.0 {
            return Ok(None);
        }
        for judged in &self.bases {
            let path = self.path(*judged);
            let index = File::open(&path).and_then(|file| Index::read(&file, self.geometry(), self.id(), *judged));
            let index = index.map_err(JournalError::io("read", &path))?;
            let last_time_ns = index.all().map(|slot| slot.last_time_ns).max();
            if let Some(last_time_ns) = last_time_ns.filter(|_| index.damaged.is_empty()) {
                return Ok((last_time_ns.saturating_add(self.options.retention_ns) < now_ns).then_some(oldest));
            }
        }
        Ok(None)
    }

    /// The oldest segment belongs to the journal no more; its file.
    fn cut_off(&mut self, old: Position, earliest: &mut dyn FnMut(Position)) -> PathBuf {
        self.bases.retain(|base| *base != old);
        earliest(self.earliest());
        self.path(old)
    }

    /// Files that never got their name: a disk that was full, or a crash.
    fn remove_unfinished(&self) -> Result<(), JournalError> {
        let listed = std::fs::read_dir(&self.dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        for entry in listed.map_err(JournalError::io("list", &self.dir))? {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == NEW) {
                std::fs::remove_file(&path).map_err(JournalError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    fn recover(&mut self) -> Result<Recovery, JournalError> {
        self.settle()?;
        self.check_lengths()?;
        let found = Inspector::new(&self.dir, self.geometry(), self.id(), self.epochs()).run()?;
        let Some(found) = found else { return Ok(self.reserved()) };
        self.repair(&found)?;
        let base = self.geometry().base(found.tail.position);
        self.unused = self.bases.iter().copied().filter(|unused| *unused > base).collect();
        let durable = if self.outlives_power { found.tail.position } else { Position(0) };
        Ok(Recovery { tail: found.tail, durable, torn: found.torn, corrupt: found.corrupt })
    }

    /// A segment gets its name when it is whole: one that is shorter was cut, and with it the index, so that nobody could
    /// tell how much was recorded.
    fn check_lengths(&self) -> Result<(), JournalError> {
        let made_bytes = self.geometry().file_bytes();
        for base in &self.bases {
            let path = self.path(*base);
            let found_bytes = std::fs::metadata(&path).map_err(JournalError::io("look at", &path))?.len();
            if found_bytes < made_bytes {
                return Err(JournalError::SegmentCut { path, found_bytes, made_bytes });
            }
        }
        Ok(())
    }

    /// Waits until the kernel proves that nobody writes the newest segments: writes of a dead process may be in flight.
    fn settle(&self) -> Result<(), JournalError> {
        let deadline = Instant::now() + SETTLE_MAX;
        for base in self.bases.iter().rev().take(3) {
            let path = self.path(*base);
            let file = File::open(&path).map_err(JournalError::io("open", &path))?;
            while !oyez_mem::lease::nobody_writes(&file).map_err(JournalError::io("take a lease on", &path))? {
                if Instant::now() > deadline {
                    return Err(JournalError::StillWritten { path });
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }

    /// Makes what was found true on disk: all data flushed; the last block's slot at its own place; no slot behind it.
    fn repair(&self, found: &Inspection) -> Result<(), JournalError> {
        let geometry = self.geometry();
        let end_block = found.last.map(|last| last.block()).unwrap_or(found.tail.position.block());
        let first = geometry.base(Position(found.durable.0.min(end_block.0)));
        for base in self.bases.iter().filter(|base| **base >= first) {
            let path = self.path(*base);
            let repaired = file::open_direct(&path, true).and_then(|(file, _)| {
                file.sync_all()?;
                let index = Index::read(&file, geometry, self.id(), *base)?;
                let last = found.last.filter(|last| geometry.base(last.block()) == *base);
                let beyond = index.accepted(self.epochs()).any(|slot| slot.end > found.tail.position);
                if beyond || last.is_some() {
                    self.rewrite_slots(&file, *base, last, found.tail.position)?;
                    file.sync_all()?;
                }
                Ok(())
            });
            repaired.map_err(JournalError::io("repair", &path))?;
        }
        Ok(())
    }

    fn rewrite_slots(&self, file: &File, base: Position, last: Option<Slot>, end: Position) -> io::Result<()> {
        let geometry = self.geometry();
        // The place of the first slot that must be gone, and the page it is in.
        let kept = last.map_or(0, |last| (last.block().0 - base.0) / oyez_ring::BLOCK + 1);
        let page = kept.saturating_sub(1) / PAGE_SLOTS;
        let mut slots = Buffer::new(DISK_BLOCK);
        file::read_at(file, geometry.page_at(page), DISK_BLOCK, &mut slots)?;
        let kept = (kept - page * PAGE_SLOTS) as usize * SLOT_BYTES;
        slots[kept..].fill(0);
        if let Some(last) = last {
            let slot = Slot { durable: end, ..last };
            slots[kept - SLOT_BYTES..kept].copy_from_slice(&slot.encode(self.id()));
        }
        file.write_all_at(&slots, geometry.page_at(page))?;
        let rest = geometry.page_at(page) + DISK_BLOCK as u64;
        if rest < geometry.file_bytes() {
            file::zero(file, rest, geometry.file_bytes())?;
        }
        file.sync_data()?;
        // A recorder that goes on in this block writes over the slot at its own place, but not yet over this one.
        slots.fill(0);
        if let Some(last) = last {
            slots[..SLOT_BYTES].copy_from_slice(&Slot { durable: end, ..last }.encode(self.id()));
        }
        file.write_all_at(&slots, geometry.open_at(0))?;
        file::zero(file, geometry.open_at(1), geometry.slots_at())
    }
}
