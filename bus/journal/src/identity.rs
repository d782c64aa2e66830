//! The file `journal`: which journal a folder holds, and in what shape. `docs/formats/journal.md`.

use crate::layout::{PAGE_SPAN, VERSION, put, u32_at, u64_at};
use crate::{JournalError, JournalId};
use oyez_io::file;
use std::io::{ErrorKind, Read};
use std::path::Path;

const MAGIC: u64 = u64::from_le_bytes(*b"OYEZJRNL");
const LEN_BYTES: usize = 64;
/// A segment's least and greatest size, in bytes.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = PAGE_SPAN..=1 << 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: JournalId,
    pub(crate) segment_bytes: u64,
}

impl Identity {
    /// What the folder says; where it says nothing, what `new` makes of it, durable.
    pub(crate) fn open(dir: &Path, segment_bytes: u64, id: Option<JournalId>) -> Result<Identity, JournalError> {
        let path = dir.join("journal");
        match Identity::read(dir) {
            Err(JournalError::Io { error, .. }) if error.kind() == ErrorKind::NotFound => {
                let identity = Identity { id: id.map_or_else(random, Ok)?, segment_bytes };
                identity.check(&path)?;
                file::replace(&path, &identity.encode()).map_err(JournalError::io("create", &path))?;
                Ok(identity)
            }
            read => read,
        }
    }

    pub(crate) fn read(dir: &Path) -> Result<Identity, JournalError> {
        let path = dir.join("journal");
        let bytes = std::fs::read(&path).map_err(JournalError::io("read", &path))?;
        let damaged = || JournalError::NotAJournal { path: path.clone() };
        if bytes.len() != LEN_BYTES || u64_at(&bytes, 0) != MAGIC || crc32c::crc32c(&bytes[..60]) != u32_at(&bytes, 60)
        {
            return Err(damaged());
        }
        let found = u32_at(&bytes, 8);
        if found != VERSION {
            return Err(JournalError::Version { path, found });
        }
        let identity = Identity { id: JournalId(u64_at(&bytes, 16)), segment_bytes: u64_at(&bytes, 24) };
        identity.check(&path)?;
        Ok(identity)
    }

    fn check(&self, path: &Path) -> Result<(), JournalError> {
        match SEGMENT_BYTES.contains(&self.segment_bytes) && self.segment_bytes.is_multiple_of(PAGE_SPAN) {
            true => Ok(()),
            false => Err(JournalError::SegmentBytes { path: path.into(), segment_bytes: self.segment_bytes }),
        }
    }

    pub(crate) fn encode(&self) -> [u8; LEN_BYTES] {
        let mut bytes = [0; LEN_BYTES];
        put(&mut bytes, 0, &MAGIC.to_le_bytes());
        put(&mut bytes, 8, &VERSION.to_le_bytes());
        put(&mut bytes, 16, &self.id.0.to_le_bytes());
        put(&mut bytes, 24, &self.segment_bytes.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        put(&mut bytes, 60, &crc.to_le_bytes());
        bytes
    }
}

fn random() -> Result<JournalId, JournalError> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 8];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(JournalError::io("read", path))?;
    Ok(JournalId(u64::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_keeps_its_number_and_its_shape() {
        let dir = tempfile::tempdir().unwrap();
        let made = Identity::open(dir.path(), 4 << 20, None).unwrap();
        assert_eq!(Identity::open(dir.path(), 8 << 20, Some(JournalId(1))).unwrap(), made);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Identity::open(other.path(), 4 << 20, None).unwrap().id, made.id);
    }

    #[test]
    fn a_shape_that_cannot_be_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = Identity::open(dir.path(), (4 << 20) + 65_536, None).unwrap_err();
        assert!(error.to_string().contains("multiple of 4 MiB"), "{error}");
        assert!(!dir.path().join("journal").exists());
    }

    #[test]
    fn any_damage_and_a_later_version_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity { id: JournalId(5), segment_bytes: 4 << 20 };
        let path = dir.path().join("journal");
        for bit in 0..LEN_BYTES * 8 {
            let mut bytes = identity.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, bytes).unwrap();
            assert!(Identity::read(dir.path()).is_err(), "bit {bit}");
        }
        let mut later = identity.encode();
        later[8] = 2;
        let crc = crc32c::crc32c(&later[..60]);
        put(&mut later, 60, &crc.to_le_bytes());
        std::fs::write(&path, later).unwrap();
        assert!(matches!(Identity::read(dir.path()), Err(JournalError::Version { found: 2, .. })));
    }
}
