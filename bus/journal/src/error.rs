//! What can go wrong with a journal, and what to do about it.

use crate::JournalId;
use oyez_ring::{Epoch, Position};
use std::io;
use std::path::{Path, PathBuf};

/// A folder that cannot be opened, or a file in it that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The system refused.
    #[error("cannot {action} {}: {error}{}", path.display(), remedy(error))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The answer.
        error: io::Error,
    },
    /// The file `journal` is none.
    #[error("{}: not a journal of oyez, or damaged; restore the file from a backup, or move the folder away", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// Written by a build with another format.
    #[error("{}: format version {found}, this build reads {}; use a build that knows it", path.display(), crate::layout::VERSION)]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// A segment size that cannot be.
    #[error("{}: segments of {segment_bytes} bytes; use a multiple of 4 MiB, from 4 MiB to 1 TiB", path.display())]
    SegmentBytes {
        /// The journal's file.
        path: PathBuf,
        /// The size asked for.
        segment_bytes: u64,
    },
    /// The `epochs` file is damaged before its last entry, or lacks an epoch that was recorded.
    #[error("{}: damaged at entry {entry}; without it nobody knows which epoch owns a position: restore it from a backup", path.display())]
    EpochsDamaged {
        /// The file.
        path: PathBuf,
        /// The first entry that is wrong or missing.
        entry: u64,
    },
    /// A flush failed before: what the disk has is unknown until the folder is opened again.
    #[error("{}: a flush failed, and trying again proves nothing; see to the disk, then start the broker again", path.display())]
    FlushFailed {
        /// The file.
        path: PathBuf,
    },
    /// Durability was asked for where nothing outlives the machine's memory.
    #[error("{}: `durable` cannot be kept on tmpfs; put the data on a disk, or declare durability = \"written\"", dir.display())]
    NotDurable {
        /// The folder.
        dir: PathBuf,
    },
    /// Another process has a segment open for writing.
    #[error("{}: another process still writes it; stop the other broker", path.display())]
    StillWritten {
        /// The segment.
        path: PathBuf,
    },
    /// A segment is shorter than it was made: cut by somebody, its index with it.
    #[error("{}: {found_bytes} bytes long, made with {made_bytes}; restore the file from a backup, or move it away and restore that range from a lane", path.display())]
    SegmentCut {
        /// The file.
        path: PathBuf,
        /// Its length.
        found_bytes: u64,
        /// The length it must have.
        made_bytes: u64,
    },
    /// A segment was asked for where nothing is recorded.
    #[error("{}: this partition is declared unrecorded and has no segments; declare recorded = true", dir.display())]
    NotRecorded {
        /// The folder.
        dir: PathBuf,
    },
}

impl JournalError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
        let path = path.to_path_buf();
        move |error| JournalError::Io { action, path, error }
    }

    /// Whether the disk is full: the same call may succeed once there is room.
    pub fn is_no_space(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, JournalError::Io { error, .. } if matches!(error.kind(), StorageFull | QuotaExceeded))
    }
}

/// Whether the device cannot give what it once took (`EIO`): damage like any other, for what stands beside it can be had.
pub(crate) fn is_unreadable(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    error.raw_os_error() == Some(EIO)
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => "; make room, or shorten the retention: recording resumes by itself",
        io::ErrorKind::QuotaExceeded => "; raise the quota: recording resumes by itself",
        io::ErrorKind::PermissionDenied => "; give the broker's user this folder",
        io::ErrorKind::NotFound => "; check the path",
        _ => "",
    }
}

/// A range of a partition that cannot be had, though it was durable once. The file is kept as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("positions {from} to {to} are corrupt ({cause}); restore that range from a lane")]
pub struct Corrupt {
    /// The first position that cannot be had.
    pub from: Position,
    /// The first that can be had again: a block's start, or the end of what is recorded.
    pub to: Position,
    /// What does not hold.
    pub cause: Damage,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The segment's file is gone.
    #[error("its segment is missing")]
    Missing,
    /// The slot is neither zero nor whole, or is not there.
    #[error("its slot does not verify")]
    Slot,
    /// The bytes are not those that were recorded.
    #[error("its bytes do not verify")]
    Data,
    /// The bytes are whole, but no frames; or do not continue what stands before them.
    #[error("its frames are invalid")]
    Frames,
}

/// Why a reader cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Cleaned away: below `earliest` nothing is kept.
    #[error("position {position} is past its retention; the journal begins at {earliest}")]
    Retention {
        /// What was asked for.
        position: Position,
        /// The lowest position that is kept.
        earliest: Position,
    },
    /// Recorded, and no longer to be had. Seek to its end to go on.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The journal has an epoch that the reader was not told of: tell it ([`crate::JournalReader::set_epochs`]).
    #[error("the journal has come to epoch {epoch}, which this reader does not know; give it the present epochs")]
    NewEpoch {
        /// Its number.
        epoch: Epoch,
    },
    /// A frame that this build cannot read, and that may not be skipped.
    #[error("a frame of kind {kind} at position {position}, which this build does not know; use a newer one")]
    UnknownKind {
        /// Where it begins.
        position: Position,
        /// The number of its kind.
        kind: u8,
    },
    /// No frame begins at the position that was sought.
    #[error("no frame begins at position {position}; seek to a block, or to a position that a frame gave")]
    NotAFrame {
        /// What was asked for.
        position: Position,
    },
    /// The system refused.
    #[error("cannot read the journal at position {position}: {error}")]
    Io {
        /// Where.
        position: Position,
        /// The answer.
        error: io::Error,
    },
}

impl std::fmt::Display for JournalId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_names_the_thing_the_place_and_the_remedy() {
        let path = PathBuf::from("/d/t/0/epochs");
        let full = JournalError::io("make", &path)(io::ErrorKind::StorageFull.into());
        assert!(full.is_no_space());
        assert!(full.to_string().contains("/d/t/0/epochs") && full.to_string().contains("make room"), "{full}");
        let cases = [
            (JournalError::NotAJournal { path: path.clone() }, "restore"),
            (JournalError::Version { path: path.clone(), found: 9 }, "version 9"),
            (JournalError::SegmentBytes { path: path.clone(), segment_bytes: 5 }, "multiple of 4 MiB"),
            (JournalError::EpochsDamaged { path: path.clone(), entry: 3 }, "entry 3"),
            (JournalError::FlushFailed { path: path.clone() }, "start the broker again"),
            (JournalError::NotDurable { dir: path.clone() }, "durability = \"written\""),
            (JournalError::StillWritten { path: path.clone() }, "stop the other broker"),
            (JournalError::SegmentCut { path: path.clone(), found_bytes: 4, made_bytes: 8 }, "4 bytes long"),
            (JournalError::NotRecorded { dir: path.clone() }, "unrecorded"),
        ];
        for (error, part) in cases {
            assert!(error.to_string().contains(part) && error.to_string().contains("/d/t/0"), "{error}");
            assert!(!error.is_no_space());
        }
        let corrupt = Corrupt { from: Position(1), to: Position(9), cause: Damage::Data };
        let read = [
            (ReadError::Retention { position: Position(1), earliest: Position(7) }, "begins at 7"),
            (ReadError::Corrupt(corrupt), "positions 1 to 9 are corrupt (its bytes do not verify); restore"),
            (ReadError::NewEpoch { epoch: Epoch(4) }, "epoch 4"),
            (ReadError::UnknownKind { position: Position(8), kind: 40 }, "kind 40 at position 8"),
            (ReadError::NotAFrame { position: Position(8) }, "position 8"),
            (ReadError::Io { position: Position(8), error: io::ErrorKind::NotFound.into() }, "position 8"),
        ];
        for (error, part) in read {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
