//! A target in one file: transactions, fencing and a readable tail, without Kafka. **Not Kafka**, for demos and tests.
//!
//! The file is a sequence of entries and is only ever appended to (byte table: `docs/formats/lane.md`). What stands
//! between a `Begin` and its `Commit` becomes visible with the `Commit`, as a whole; an `Abort` or a later `Fence`
//! makes it void. Nothing is flushed: it survives the death of every process, not a power cut.
//!
//! **Fencing.** Every append happens under the file's lock, and only if the file still ends where this instance left
//! it. A new instance appends a `Fence`, so the old one finds the file longer than it knows and is out. A process that
//! dies in an append leaves a cut entry, which the next fence removes; whole entries are never removed.

use super::{Limit, Record, Sink, SinkError, Tail};
use crate::{Mark, Message};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Opens every file, legible to whoever looks into one.
const LABEL: &[u8] = b"Oyez loopback target, version 1: not Kafka\n";
/// Entry header: kind u32, length of the payload u32, CRC-32C over these two and the payload u32.
const HEADER_BYTES: usize = 12;
/// Payload of a record before its message bytes: epoch u32, sequence u64, publish time u64.
const RECORD_HEAD_BYTES: usize = 20;
/// No message is longer: a quarter of the largest ring.
const MESSAGE_BYTES_MAX: usize = 256 << 20;
/// No entry is longer; a length above this is damage.
const ENTRY_BYTES_MAX: usize = RECORD_HEAD_BYTES + MESSAGE_BYTES_MAX;
/// Entries wait for this much before they are written.
const WRITE_BYTES: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Kind {
    Label = 1,
    Fence = 2,
    Begin = 3,
    Record = 4,
    Progress = 5,
    Commit = 6,
    Abort = 7,
}

impl Kind {
    const ALL: [Kind; 7] =
        [Kind::Label, Kind::Fence, Kind::Begin, Kind::Record, Kind::Progress, Kind::Commit, Kind::Abort];

    fn of(value: u32) -> Option<Kind> {
        Kind::ALL.into_iter().find(|&kind| kind as u32 == value)
    }
}

/// The target; see the module.
pub struct Loopback {
    path: PathBuf,
    file: File,
    /// Where this instance left the file's end; known from its fence on.
    end: Option<u64>,
    /// Entries not yet written.
    pending: Vec<u8>,
    tail: Tail,
    progress: Option<Mark>,
}

impl Loopback {
    /// The target in the file at `path`, made if it does not exist.
    ///
    /// # Errors
    /// If the file cannot be opened for reading and writing.
    pub fn open(path: impl Into<PathBuf>) -> Result<Loopback, SinkError> {
        let path = path.into();
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let file = file.map_err(|error| refused(&path, format!("cannot be opened: {error}; name a writable place")))?;
        Ok(Loopback { path, file, end: None, pending: Vec::new(), tail: Tail::New, progress: None })
    }

    /// Every committed message of the file at `path`, in order. A writer may go on meanwhile: what it commits before
    /// the reader gets there is read too.
    ///
    /// # Errors
    /// If the file cannot be opened; each item, if the file is damaged there.
    pub fn read_committed(
        path: impl AsRef<Path>,
    ) -> Result<impl Iterator<Item = Result<Record, SinkError>>, SinkError> {
        let path = path.as_ref().to_path_buf();
        let file = File::open(&path).map_err(|error| refused(&path, format!("cannot be read: {error}")))?;
        let mut scan = Scan::new(file);
        let mut committed = Vec::new().into_iter();
        Ok(std::iter::from_fn(move || {
            loop {
                if let Some(record) = committed.next() {
                    return Some(Ok(record));
                }
                match scan.transaction() {
                    Ok(Some(transaction)) => committed = transaction.records.into_iter(),
                    Ok(None) => return None,
                    Err(error) => return Some(Err(refused(&path, error.to_string()))),
                }
            }
        }))
    }

    fn push(&mut self, kind: Kind, parts: &[&[u8]], action: &'static str) -> Result<(), SinkError> {
        entry(&mut self.pending, kind, parts);
        if self.pending.len() >= WRITE_BYTES { self.write(action) } else { Ok(()) }
    }

    /// Appends what is pending, if this instance is still the last to have written.
    fn write(&mut self, action: &'static str) -> Result<(), SinkError> {
        let written = locked(&self.file, |file| {
            let end = file.metadata()?.len();
            if self.end != Some(end) {
                return Ok(None);
            }
            if let Err(error) = (&mut &*file).write_all(&self.pending) {
                file.set_len(end)?;
                return Err(error);
            }
            Ok(Some(end + self.pending.len() as u64))
        });
        self.pending.clear();
        match written {
            Ok(Some(end)) => self.end = Some(end),
            Ok(None) => return Err(SinkError::Fenced { target: self.target(), action }),
            Err(error) => {
                return Err(SinkError::Unknown { target: self.target(), action, reason: error.to_string() });
            }
        }
        Ok(())
    }
}

impl Sink for Loopback {
    fn target(&self) -> String {
        format!("loopback file, not Kafka: {}", self.path.display())
    }

    fn check(&mut self) -> Result<Vec<String>, SinkError> {
        Ok(Vec::new())
    }

    fn limit(&self) -> Limit {
        Limit { message_bytes_max: MESSAGE_BYTES_MAX, setting: "the format of loopback files" }
    }

    fn fence(&mut self) -> Result<(), SinkError> {
        self.pending.clear();
        let path = &self.path;
        let (scan, end) = locked(&self.file, |file| {
            let mut scan = Scan::new(File::open(path)?);
            let mut head = Vec::new();
            while let Some(transaction) = scan.transaction()? {
                scan.keep(transaction);
            }
            if scan.end == 0 {
                entry(&mut head, Kind::Label, &[LABEL]);
                is_beginning_of(&head, File::open(path)?)?;
            }
            file.set_len(scan.end)?;
            entry(&mut head, Kind::Fence, &[]);
            (&mut &*file).write_all(&head)?;
            let end = scan.end + head.len() as u64;
            Ok((scan, end))
        })
        .map_err(|error| refused(&self.path, format!("cannot be fenced: {error}")))?;
        self.end = Some(end);
        self.tail = scan.last.map_or(Tail::New, Tail::Last);
        self.progress = scan.progress;
        Ok(())
    }

    fn tail(&mut self) -> Result<Tail, SinkError> {
        Ok(self.tail.clone())
    }

    fn progress(&mut self) -> Result<Option<Mark>, SinkError> {
        Ok(self.progress)
    }

    fn begin(&mut self) -> Result<(), SinkError> {
        self.push(Kind::Begin, &[], "begin")
    }

    fn put(&mut self, message: &Message<'_>) -> Result<(), SinkError> {
        let Message { epoch, sequence, publish_time_ns, bytes } = *message;
        let head = [&epoch.to_le_bytes()[..], &sequence.to_le_bytes(), &publish_time_ns.to_le_bytes(), bytes];
        self.push(Kind::Record, &head, "put")
    }

    fn put_progress(&mut self, mark: &Mark) -> Result<(), SinkError> {
        let Mark { epoch, sequence, digest } = mark;
        self.push(Kind::Progress, &[&epoch.to_le_bytes(), &sequence.to_le_bytes(), digest], "progress")
    }

    fn commit(&mut self) -> Result<(), SinkError> {
        entry(&mut self.pending, Kind::Commit, &[]);
        self.write("commit")
    }

    fn abort(&mut self) -> Result<(), SinkError> {
        self.pending.clear();
        entry(&mut self.pending, Kind::Abort, &[]);
        self.write("abort")
    }
}

fn refused(path: &Path, reason: String) -> SinkError {
    SinkError::Refused { target: format!("loopback file, not Kafka: {}", path.display()), reason }
}

fn locked<T>(file: &File, work: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
    file.lock()?;
    let outcome = work(file);
    file.unlock()?;
    outcome
}

/// A file without a whole label is empty or holds a part of one: anything else is somebody else's and stays as it is.
fn is_beginning_of(label: &[u8], file: File) -> io::Result<()> {
    let mut found = Vec::new();
    file.take(label.len() as u64 + 1).read_to_end(&mut found)?;
    if label.starts_with(&found) { Ok(()) } else { Err(io::Error::other("it holds something else; name another file")) }
}

fn entry(out: &mut Vec<u8>, kind: Kind, parts: &[&[u8]]) {
    let start = out.len();
    let length: usize = parts.iter().map(|part| part.len()).sum();
    debug_assert!(length <= ENTRY_BYTES_MAX, "a message is far shorter");
    out.extend_from_slice(&(kind as u32).to_le_bytes());
    out.extend_from_slice(&(length as u32).to_le_bytes());
    let crc = parts.iter().fold(crc32c::crc32c(&out[start..]), |crc, part| crc32c::crc32c_append(crc, part));
    out.extend_from_slice(&crc.to_le_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// One committed transaction.
struct Transaction {
    records: Vec<Record>,
    progress: Option<Mark>,
}

/// Reads a file from its start, a committed transaction at a time.
struct Scan {
    file: BufReader<File>,
    payload: Vec<u8>,
    /// Where the last whole entry ends.
    end: u64,
    open: Option<Transaction>,
    last: Option<Record>,
    progress: Option<Mark>,
}

impl Scan {
    fn new(file: File) -> Scan {
        let file = BufReader::with_capacity(WRITE_BYTES, file);
        Scan { file, payload: Vec::new(), end: 0, open: None, last: None, progress: None }
    }

    fn keep(&mut self, transaction: Transaction) {
        self.last = transaction.records.into_iter().next_back().or(self.last.take());
        self.progress = transaction.progress.or(self.progress);
    }

    fn transaction(&mut self) -> io::Result<Option<Transaction>> {
        while let Some(kind) = self.entry()? {
            match (kind, &mut self.open) {
                (Kind::Label, _) => {}
                (Kind::Begin, _) => self.open = Some(Transaction { records: Vec::new(), progress: None }),
                (Kind::Fence | Kind::Abort, _) => self.open = None,
                (Kind::Record, Some(open)) => open.records.push(record(&self.payload)?),
                (Kind::Progress, Some(open)) => open.progress = Some(mark(&self.payload)?),
                (Kind::Commit, Some(_)) => return Ok(self.open.take()),
                (Kind::Record | Kind::Progress | Kind::Commit, None) => {
                    return Err(self.damage("stands outside a transaction"));
                }
            }
        }
        Ok(None)
    }

    /// The next whole entry's kind; its payload is in `payload`. `None` at the end, which a cut entry is too.
    fn entry(&mut self) -> io::Result<Option<Kind>> {
        let mut header = [0; HEADER_BYTES];
        if !self.read(&mut header)? {
            return Ok(None);
        }
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let length = word(4) as usize;
        if length > ENTRY_BYTES_MAX {
            return Err(self.damage("has an impossible length"));
        }
        let mut payload = std::mem::take(&mut self.payload);
        payload.resize(length, 0);
        let whole = self.read(&mut payload);
        self.payload = payload;
        if !whole? {
            return Ok(None);
        }
        if crc32c::crc32c_append(crc32c::crc32c(&header[..8]), &self.payload) != word(8) {
            return Err(self.damage("fails its checksum"));
        }
        let kind = Kind::of(word(0)).ok_or_else(|| self.damage("is of no known kind"))?;
        if (self.end == 0) != (kind == Kind::Label && self.payload == LABEL) {
            return Err(self.damage("is no loopback target's, or a second label"));
        }
        self.end += (HEADER_BYTES + length) as u64;
        Ok(Some(kind))
    }

    /// Fills `out`; if the file ends before, goes back to the last whole entry and says `false`.
    fn read(&mut self, out: &mut [u8]) -> io::Result<bool> {
        match self.file.read_exact(out) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.file.seek(SeekFrom::Start(self.end))?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn damage(&self, what: &str) -> io::Error {
        io::Error::other(format!("the entry at byte {} {what}; move the file away and begin the lane anew", self.end))
    }
}

fn record(payload: &[u8]) -> io::Result<Record> {
    let (head, bytes) = payload.split_at_checked(RECORD_HEAD_BYTES).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Record {
        epoch: u32::from_le_bytes(head[..4].try_into().expect("four bytes")),
        sequence: u64::from_le_bytes(head[4..12].try_into().expect("eight bytes")),
        publish_time_ns: u64::from_le_bytes(head[12..].try_into().expect("eight bytes")),
        bytes: bytes.to_vec(),
    })
}

fn mark(payload: &[u8]) -> io::Result<Mark> {
    let payload: &[u8; 44] = payload.try_into().map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Mark {
        epoch: u32::from_le_bytes(payload[..4].try_into().expect("four bytes")),
        sequence: u64::from_le_bytes(payload[4..12].try_into().expect("eight bytes")),
        digest: payload[12..].try_into().expect("thirty-two bytes"),
    })
}
