//! Epochs and their file: an epoch is granted only after its start is durable here. `docs/formats/epochs.md`.

use crate::layout::{put, u32_at, u64_at};
use crate::slot::Slot;
use crate::{JournalError, JournalId};
use oyez_io::file;
use oyez_ring::{Epoch, EpochStart, Position, Sequence, Tail};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const ENTRY_BYTES: usize = 64;
/// Kept free behind the entries: a full disk must not stop the next owner, nor those after it.
const ROOM_BYTES: u64 = 64 << 10;
const KIND_EPOCH: u32 = 1;
const KIND_RESERVE: u32 = 2;

/// The epochs of a partition, by rising number. After a power cut a later one may begin below an earlier one, and so
/// takes back what that one had from there on. Every question costs the logarithm of their number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs {
    starts: Vec<EpochStart>,
    /// Of each and all after it, the one with the least `previous_end`, by its place in `starts`; of equals the oldest.
    least_ends: Vec<usize>,
    /// Those that still stand, by their places in `starts`: their positions rise, too.
    standing: Vec<usize>,
}

impl From<Vec<EpochStart>> for Epochs {
    fn from(mut starts: Vec<EpochStart>) -> Self {
        starts.sort_by_key(|start| start.epoch);
        let mut epochs = Epochs::default();
        starts.into_iter().for_each(|start| epochs.push(start));
        epochs
    }
}

impl Epochs {
    /// Takes the epoch that was granted last.
    pub fn push(&mut self, start: EpochStart) {
        debug_assert!(self.last().is_none_or(|last| last.epoch < start.epoch));
        let (starts, number) = (&self.starts, self.starts.len());
        let above = |least: &&mut usize| starts[**least].previous_end > start.previous_end;
        self.least_ends.iter_mut().rev().take_while(above).for_each(|least| *least = number);
        while self.standing.pop_if(|number| self.starts[*number].position >= start.position).is_some() {}
        self.least_ends.push(number);
        self.standing.push(number);
        self.starts.push(start);
    }

    /// The epoch that `position` belongs to: the highest whose start is not above it.
    pub fn of(&self, position: Position) -> Option<&EpochStart> {
        let after = self.standing.partition_point(|number| self.starts[*number].position <= position);
        Some(&self.starts[self.standing[after.checked_sub(1)?]])
    }

    /// The epoch of that number.
    pub fn get(&self, epoch: Epoch) -> Option<&EpochStart> {
        self.starts.binary_search_by_key(&epoch, |start| start.epoch).ok().map(|number| &self.starts[number])
    }

    /// The later epoch that tells where an epoch ended: the one that tells least, for each tells only as much as was
    /// left when it began.
    pub fn ended_by(&self, epoch: Epoch) -> Option<&EpochStart> {
        let after = self.starts.partition_point(|start| start.epoch <= epoch);
        Some(&self.starts[*self.least_ends.get(after)?])
    }

    /// Where an epoch ended, if a later one has begun.
    pub fn end_of(&self, epoch: Epoch) -> Option<Position> {
        self.ended_by(epoch).map(|start| start.previous_end)
    }

    /// The oldest later epoch that still stands: where a reader goes on that has read `epoch` to its end.
    pub fn successor(&self, epoch: Epoch) -> Option<&EpochStart> {
        let later = self.standing.partition_point(|number| self.starts[*number].epoch <= epoch);
        self.standing.get(later).map(|number| &self.starts[*number])
    }

    /// The epochs that no later one has taken back, the newest first.
    pub fn standing(&self) -> impl Iterator<Item = &EpochStart> {
        self.standing.iter().rev().map(|number| &self.starts[*number])
    }

    /// Whether a slot counts: its epoch owns its block, and had not ended before its end. What other epochs left there
    /// is empty, not corrupt.
    pub(crate) fn accepts(&self, slot: &Slot) -> bool {
        self.of(slot.block()).is_some_and(|start| start.epoch == slot.epoch)
            && self.end_of(slot.epoch).is_none_or(|end| slot.end <= end)
    }

    /// The newest epoch.
    pub fn last(&self) -> Option<&EpochStart> {
        self.starts.last()
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> std::slice::Iter<'_, EpochStart> {
        self.starts.iter()
    }
}

/// The file, and what it says.
#[derive(Debug)]
pub(crate) struct EpochsFile {
    path: PathBuf,
    file: File,
    id: JournalId,
    entries: u64,
    /// After a failed flush nobody knows what the disk has; trying again was seen to "succeed" with everything lost.
    flush_failed: bool,
    pub(crate) epochs: Epochs,
    /// Where an unrecorded partition goes on after a loss.
    pub(crate) reserve: Option<Tail>,
}

impl EpochsFile {
    /// Opens the file of a partition, or creates it, durable.
    pub(crate) fn open(dir: &Path, id: JournalId) -> Result<EpochsFile, JournalError> {
        let path = dir.join("epochs");
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = opened.map_err(JournalError::io("open", &path))?;
        file::keep_room(&file, ROOM_BYTES).map_err(JournalError::io("keep room for", &path))?;
        file.sync_all().and_then(|()| file::sync_dir(dir)).map_err(JournalError::io("flush", &path))?;
        EpochsFile::read(path, file, id)
    }

    /// What the file says, without a right to change it.
    pub(crate) fn open_read_only(dir: &Path, id: JournalId) -> Result<EpochsFile, JournalError> {
        let path = dir.join("epochs");
        let file = File::open(&path).map_err(JournalError::io("open", &path))?;
        EpochsFile::read(path, file, id)
    }

    fn read(path: PathBuf, file: File, id: JournalId) -> Result<EpochsFile, JournalError> {
        let bytes = std::fs::read(&path).map_err(JournalError::io("read", &path))?;
        let (epochs, reserve) = (Epochs::default(), None);
        let mut this = EpochsFile { path, file, id, entries: 0, flush_failed: false, epochs, reserve };
        let count = bytes.len().div_ceil(ENTRY_BYTES) as u64;
        for entry in bytes.chunks_exact(ENTRY_BYTES) {
            if u32_at(entry, 60) != crc(id, this.entries, entry) {
                // The last one was being appended when the machine stopped: nothing was granted on it.
                return if this.entries + 1 == count { Ok(this) } else { Err(this.damaged()) };
            }
            this.take(entry)?;
        }
        Ok(this)
    }

    fn take(&mut self, entry: &[u8]) -> Result<(), JournalError> {
        let last = self.epochs.last().map_or(Epoch(0), |last| last.epoch);
        match u32_at(entry, 0) {
            KIND_EPOCH if Epoch(u32_at(entry, 4)) > last => self.epochs.push(EpochStart {
                epoch: Epoch(u32_at(entry, 4)),
                position: Position(u64_at(entry, 8)),
                sequence: Sequence(u64_at(entry, 16)),
                time_ns: u64_at(entry, 24),
                previous_end: Position(u64_at(entry, 32)),
            }),
            KIND_RESERVE => {
                self.reserve = Some(Tail {
                    position: Position(u64_at(entry, 8)),
                    sequence: Sequence(u64_at(entry, 16)),
                    time_ns: u64_at(entry, 24),
                });
            }
            _ => return Err(self.damaged()),
        }
        self.entries += 1;
        Ok(())
    }

    /// Appends an epoch; durable when it returns.
    pub(crate) fn begin(&mut self, start: &EpochStart) -> Result<(), JournalError> {
        let mut entry = [0; ENTRY_BYTES];
        put(&mut entry, 0, &KIND_EPOCH.to_le_bytes());
        put(&mut entry, 4, &start.epoch.0.to_le_bytes());
        put(&mut entry, 8, &start.position.0.to_le_bytes());
        put(&mut entry, 16, &start.sequence.0.to_le_bytes());
        put(&mut entry, 24, &start.time_ns.to_le_bytes());
        put(&mut entry, 32, &start.previous_end.0.to_le_bytes());
        self.append(entry)
    }

    /// Appends a reserve; durable when it returns.
    pub(crate) fn reserve(&mut self, ahead: Tail) -> Result<(), JournalError> {
        let mut entry = [0; ENTRY_BYTES];
        put(&mut entry, 0, &KIND_RESERVE.to_le_bytes());
        put(&mut entry, 8, &ahead.position.0.to_le_bytes());
        put(&mut entry, 16, &ahead.sequence.0.to_le_bytes());
        put(&mut entry, 24, &ahead.time_ns.to_le_bytes());
        self.append(entry)
    }

    fn append(&mut self, mut entry: [u8; ENTRY_BYTES]) -> Result<(), JournalError> {
        let crc = crc(self.id, self.entries, &entry);
        put(&mut entry, 60, &crc.to_le_bytes());
        if self.flush_failed {
            return Err(JournalError::FlushFailed { path: self.path.clone() });
        }
        let written = self.file.write_all_at(&entry, self.entries * ENTRY_BYTES as u64);
        written.map_err(JournalError::io("append to", &self.path))?;
        let flushed = self.file.sync_data().inspect_err(|_| self.flush_failed = true);
        flushed.map_err(JournalError::io("flush", &self.path))?;
        self.take(&entry)
    }

    /// What is said where the file cannot be right.
    pub(crate) fn damaged(&self) -> JournalError {
        JournalError::EpochsDamaged { path: self.path.clone(), entry: self.entries }
    }
}

/// Seeded with the journal and the entry's number: entries cannot change places, or journals.
fn crc(id: JournalId, number: u64, entry: &[u8]) -> u32 {
    let mut seed = [0; 16];
    put(&mut seed, 0, &id.0.to_le_bytes());
    put(&mut seed, 8, &number.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&seed), &entry[..60])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(epoch: u32) -> EpochStart {
        EpochStart {
            epoch: Epoch(epoch),
            position: Position(u64::from(epoch - 1) << 20),
            sequence: Sequence(u64::from(epoch) * 100),
            time_ns: 5,
            previous_end: Position((u64::from(epoch - 1) << 20).saturating_sub(64)),
        }
    }

    fn file(dir: &Path) -> Result<EpochsFile, JournalError> {
        EpochsFile::open(dir, JournalId(7))
    }

    #[test]
    fn what_was_appended_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut made = file(dir.path()).unwrap();
        let ahead = Tail { position: Position(1 << 40), sequence: Sequence(1 << 34), time_ns: 9 };
        made.begin(&start(1)).unwrap();
        made.reserve(ahead).unwrap();
        made.begin(&start(2)).unwrap();
        let read = file(dir.path()).unwrap();
        assert_eq!(read.epochs, Epochs::from(vec![start(1), start(2)]));
        assert_eq!(read.reserve, Some(ahead));
    }

    #[test]
    fn a_torn_last_entry_was_never_granted_and_its_place_is_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("epochs");
        file(dir.path()).unwrap().begin(&start(1)).unwrap();
        file(dir.path()).unwrap().begin(&start(2)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in ENTRY_BYTES..2 * ENTRY_BYTES {
            let mut torn = whole[..cut].to_vec();
            std::fs::write(&path, &torn).unwrap();
            assert_eq!(file(dir.path()).unwrap().epochs.starts, [start(1)], "cut at {cut}");
            torn.resize(2 * ENTRY_BYTES, 0);
            std::fs::write(&path, &torn).unwrap();
            let mut read = file(dir.path()).unwrap();
            assert_eq!(read.epochs.starts, [start(1)], "zeros from {cut} on");
            read.begin(&start(3)).unwrap();
            assert_eq!(file(dir.path()).unwrap().epochs.starts, [start(1), start(3)]);
        }
    }

    #[test]
    fn damage_before_the_last_entry_is_no_torn_tail() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("epochs");
        let mut made = file(dir.path()).unwrap();
        (1..=3).for_each(|epoch| made.begin(&start(epoch)).unwrap());
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..2 * ENTRY_BYTES * 8 {
            let mut touched = whole.clone();
            touched[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, touched).unwrap();
            assert!(matches!(file(dir.path()), Err(JournalError::EpochsDamaged { .. })), "bit {bit}");
        }
        std::fs::write(&path, whole).unwrap();
        assert!(EpochsFile::open(dir.path(), JournalId(8)).is_err(), "another journal's file");
    }

    #[test]
    fn the_epoch_of_a_position_is_the_highest_that_starts_not_above_it() {
        let mut starts = vec![start(1), start(2), start(3)];
        starts[2].position = starts[1].position;
        let epochs = Epochs::from(starts);
        assert_eq!(epochs.of(Position(0)).unwrap().epoch, Epoch(1));
        assert_eq!(epochs.of(Position((1 << 20) - 8)).unwrap().epoch, Epoch(1));
        assert_eq!(epochs.of(Position(1 << 20)).unwrap().epoch, Epoch(3));
        assert_eq!(epochs.end_of(Epoch(1)), Some(Position((1 << 20) - 64)));
        assert_eq!(epochs.end_of(Epoch(3)), None);
        assert_eq!(Epochs::default().of(Position(0)), None);
    }

    /// The definitions, without a shortcut.
    #[test]
    fn after_any_cuts_each_answer_is_the_one_that_the_definitions_give() {
        let mut random = 1_u64;
        let mut below = |limit: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % limit
        };
        for _ in 0..200 {
            let (mut starts, mut end) = (Vec::<EpochStart>::new(), 0);
            for number in 1..=12 {
                let previous_end = Position(if below(3) == 0 { below(end + 1) } else { end });
                let position = previous_end.next_block();
                starts.push(EpochStart { position, previous_end, ..start(1 + 2 * number) });
                end = position.0 + below(200_000) / 8 * 8;
            }
            let epochs = Epochs::from(starts.clone());
            let stands = |at: usize| starts[at + 1..].iter().all(|later| later.position > starts[at].position);
            let standing: Vec<_> = (0..starts.len()).filter(|at| stands(*at)).map(|at| starts[at]).collect();
            assert!(epochs.standing().copied().eq(standing.iter().rev().copied()));
            for number in 0..=26 {
                let epoch = Epoch(number);
                let later = || starts.iter().filter(|start| start.epoch > epoch);
                assert_eq!(epochs.end_of(epoch), later().map(|later| later.previous_end).min());
                assert_eq!(epochs.ended_by(epoch), later().min_by_key(|later| later.previous_end));
                assert_eq!(epochs.successor(epoch), standing.iter().find(|start| start.epoch > epoch));
                assert_eq!(epochs.get(epoch), starts.iter().find(|start| start.epoch == epoch));
            }
            for position in (0..end + 200_000).step_by(8_192).map(Position) {
                assert_eq!(epochs.of(position), starts.iter().rev().find(|start| start.position <= position));
            }
        }
    }
}
