//! A partition's folder, opened to be read: for tools, also while a broker records there.

use crate::epochs::EpochsFile;
use crate::identity::Identity;
use crate::index::Index;
use crate::inspect::Inspector;
use crate::layout::Geometry;
use crate::{
    Corrupt, Damage, Digest, Epochs, JournalError, JournalId, JournalReader, ReadError, SegmentFile, Segments, segment,
};
use oyez_ring::{BLOCK, Kind, Position, Sequence, Tail};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A journal as it was when it was opened.
#[derive(Clone, Debug)]
pub struct Folder {
    dir: PathBuf,
    identity: Identity,
    epochs: Epochs,
    end: Tail,
    durable: Position,
    torn: Option<Range<Position>>,
}

/// What reading a journal whole has shown.
#[derive(Clone, Debug)]
pub struct Verification {
    /// Messages read.
    pub messages: u64,
    /// The first one's sequence.
    pub first: Option<Sequence>,
    /// The last one's sequence.
    pub last: Option<Sequence>,
    /// Bytes of the messages.
    pub message_bytes: u64,
    /// The digest of what was read.
    pub digest: [u8; 32],
    /// What is damaged; empty if all is well.
    pub corrupt: Vec<Corrupt>,
    /// What was written, never confirmed, and is not whole: the next start of the broker cuts it off.
    pub torn: Option<Range<Position>>,
}

impl Folder {
    /// Opens a partition's folder and finds its end, changing nothing.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(dir: &Path) -> Result<Folder, JournalError> {
        let identity = Identity::read(dir)?;
        let epochs = EpochsFile::open_read_only(dir, identity.id)?.epochs;
        let geometry = Geometry { segment_bytes: identity.segment_bytes };
        let found = Inspector::new(dir, geometry, identity.id, &epochs).run()?;
        let nowhere = Tail { position: Position(0), sequence: Sequence(0), time_ns: 0 };
        let (end, durable, torn) = match found {
            Some(found) => (found.tail, found.durable.min(found.tail.position), found.torn),
            None => (nowhere, Position(0), None),
        };
        Ok(Folder { dir: dir.into(), identity, epochs, end, durable, torn })
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
        &self.epochs
    }

    /// Where what is recorded ends.
    pub fn end(&self) -> Tail {
        self.end
    }

    /// What the index calls durable: confirmed positions are noted a little later than they are told.
    pub fn durable(&self) -> Position {
        self.durable
    }

    /// What was written, never confirmed, and is not whole.
    pub fn torn(&self) -> Option<Range<Position>> {
        self.torn.clone()
    }

    /// Base positions of the segments, rising.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn segment_bases(&self) -> Result<Vec<Position>, JournalError> {
        segment::bases(&self.dir).map_err(JournalError::io("list", &self.dir))
    }

    /// A reader at the lowest position there is; poll it with [`Folder::end`] as the limit.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn reader(&self) -> Result<JournalReader<Folder>, JournalError> {
        let mut reader = JournalReader::new(self.identity.id, self.epochs.clone(), self.clone());
        let earliest = reader.segments().earliest();
        reader.seek(earliest.map_err(JournalError::io("list", &self.dir))?);
        Ok(reader)
    }

    /// Reads everything: every slot, every block, every frame. `progress` is told bytes done and bytes in all.
    ///
    /// # Errors
    /// [`JournalError`] where reading itself fails; what is damaged is in the result.
    pub fn verify(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<Verification, JournalError> {
        let mut reader = self.reader()?;
        let (from, end) = (reader.position(), self.end.position);
        let mut found = Verification {
            messages: 0,
            first: None,
            last: None,
            message_bytes: 0,
            digest: [0; 32],
            corrupt: self.damaged_slots()?,
            torn: self.torn(),
        };
        let mut digest = Digest::new();
        loop {
            match reader.poll(end) {
                Ok(None) => break,
                Ok(Some(frame)) if frame.kind == Kind::Message => {
                    digest.add(frame.sequence, frame.time_ns, frame.payload);
                    found.messages += 1;
                    found.message_bytes += frame.payload.len() as u64;
                    found.first = found.first.or(Some(frame.sequence));
                    found.last = Some(frame.sequence);
                    if found.messages.is_multiple_of(1 << 16) {
                        progress(frame.end.0 - from.0, end.0 - from.0);
                    }
                }
                Ok(Some(_)) => {}
                Err(ReadError::Corrupt(corrupt)) => {
                    found.corrupt.push(corrupt);
                    reader.seek(corrupt.to);
                }
                // Cleaned while it was read.
                Err(ReadError::Retention { earliest, .. }) => reader.seek(earliest),
                Err(error) => return Err(JournalError::io("verify", &self.dir)(io::Error::other(error))),
            }
        }
        progress(end.0 - from.0, end.0 - from.0);
        found.corrupt.sort_by_key(|corrupt| (corrupt.from, corrupt.to));
        found.corrupt.dedup_by_key(|corrupt| corrupt.from.block());
        found.digest = digest.value();
        Ok(found)
    }

    /// Headers that are wrong and slots that are neither zero nor whole, used or not.
    fn damaged_slots(&self) -> Result<Vec<Corrupt>, JournalError> {
        let geometry = Geometry { segment_bytes: self.identity.segment_bytes };
        let mut corrupt = Vec::new();
        for base in self.segment_bases()?.into_iter().filter(|base| *base <= self.end.position) {
            let path = self.dir.join(geometry.file_name(base));
            let index = || {
                let file = File::open(&path)?;
                Index::read(&file, geometry, self.identity.id, base)
            };
            let mut read = index().map_err(JournalError::io("read", &path))?;
            if !read.damaged.is_empty() {
                // Perhaps a slot was met while it was being written.
                read = index().map_err(JournalError::io("read", &path))?;
            }
            let header = (!read.header_is_whole).then_some(base);
            corrupt.extend(read.damaged.into_iter().chain(header).map(|from| Corrupt {
                from,
                to: from.plus(BLOCK),
                cause: Damage::Slot,
            }));
        }
        Ok(corrupt)
    }
}

impl Segments for Folder {
    fn segment(&mut self, position: Position) -> io::Result<Option<SegmentFile>> {
        let geometry = Geometry { segment_bytes: self.identity.segment_bytes };
        let base = geometry.base(position);
        match File::open(self.dir.join(geometry.file_name(base))) {
            Ok(file) => Ok(Some(SegmentFile { base, segment_bytes: geometry.segment_bytes, file })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn earliest(&mut self) -> io::Result<Position> {
        Ok(segment::bases(&self.dir)?.first().copied().unwrap_or_default())
    }
}
