//! A segment's file: made, prepared, opened. For the slow path.

use crate::layout::{Geometry, header};
use crate::{JournalError, JournalId};
use oyez_io::{Buffer, DISK_BLOCK, file};
use oyez_ring::Position;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// A segment that a recorder may write.
#[derive(Debug)]
pub struct Segment {
    pub(crate) base: Position,
    pub(crate) file: Arc<File>,
    /// The page of slots that is being filled, by number, and its bytes: the others are zero on disk from here on.
    pub(crate) page: u64,
    pub(crate) slots: Box<[u8; DISK_BLOCK]>,
}

/// A segment opened for reading.
#[derive(Debug)]
pub struct SegmentFile {
    /// The position of its first byte.
    pub base: Position,
    /// Bytes of data in it; header and slots stand behind.
    pub segment_bytes: u64,
    /// The file, not opened direct.
    pub file: File,
}

impl Segment {
    /// The position of its first byte.
    pub fn base(&self) -> Position {
        self.base
    }

    /// Opens one that exists, with the slots that stand around `position`.
    pub(crate) fn open(path: &Path, geometry: Geometry, position: Position) -> Result<Segment, JournalError> {
        let (file, _) = file::open_direct(path, true).map_err(JournalError::io("open", path))?;
        let page = geometry.page_of(position);
        let mut buffer = Buffer::new(DISK_BLOCK);
        let read = file::read_at(&file, geometry.page_at(page), DISK_BLOCK, &mut buffer);
        let slots = Box::new(*read.map_err(JournalError::io("read", path))?.first_chunk().expect("a page was read"));
        Ok(Segment { base: geometry.base(position), file: Arc::new(file), page, slots })
    }

    /// Makes a new file whole before it gets its name.
    pub(crate) fn create(
        path: &Path,
        geometry: Geometry,
        id: JournalId,
        base: Position,
        fill: file::Fill,
    ) -> Result<(), JournalError> {
        let new = path.with_extension(NEW);
        let made = file::create(&new, geometry.file_bytes(), fill).and_then(|(file, _)| {
            file.write_all_at(&header_page(id, geometry, base), geometry.header_at())?;
            file.sync_all()?;
            file::rename(&new, path)
        });
        made.inspect_err(|_| {
            // The error that matters is the first one.
            let _ = std::fs::remove_file(&new);
        })
        .map_err(JournalError::io("make", path))
    }

    /// Gives a file that had another life the header of `base`, and no slot; flushed.
    pub(crate) fn prepare(path: &Path, geometry: Geometry, id: JournalId, base: Position) -> Result<(), JournalError> {
        let prepared = file::open_direct(path, true).and_then(|(file, _)| {
            file.write_all_at(&header_page(id, geometry, base), geometry.header_at())?;
            file::zero(&file, geometry.open_at(0), geometry.file_bytes())?;
            file.sync_all()
        });
        prepared.map_err(JournalError::io("prepare", path))
    }
}

/// What a segment's file is called until it is whole.
pub(crate) const NEW: &str = "new";

fn header_page(id: JournalId, geometry: Geometry, base: Position) -> Buffer {
    let mut page = Buffer::new(DISK_BLOCK);
    page[..64].copy_from_slice(&header(id, geometry, base));
    page
}

/// The base positions of the segments in a folder, rising.
pub(crate) fn bases(dir: &Path) -> io::Result<Vec<Position>> {
    let mut bases = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let base = name.to_str().and_then(|name| name.strip_suffix(".segment")).filter(|digits| digits.len() == 20);
        bases.extend(base.and_then(|digits| digits.parse().ok()).map(Position));
    }
    bases.sort();
    Ok(bases)
}
