//! An I/O that delays, reorders and fails what it is given, and at a power cut loses and tears what no flush had
//! covered, sector by sector. What it does follows from its seed.

use oyez_io::{Buffer, Bytes, Completion, DISK_BLOCK, Io, Kind, Op, file};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

const SECTOR: usize = 512;

pub(crate) struct Faulty {
    /// Does the writing itself.
    inner: Box<dyn Io>,
    random: u64,
    pending: Vec<Pending>,
    /// What stood where something was written that no flush has covered, in the order of writing.
    volatile: Vec<Volatile>,
    writes: u64,
    pub(crate) flushes: u64,
    /// Of a hundred pending operations, how many run in each turn.
    pub(crate) eagerness: u64,
    /// Flushes from this one on fail; the first that fails loses what it should have saved.
    pub(crate) fail_flush_at: Option<u64>,
    /// Operations that are not begun as long as it says so.
    pub(crate) holds: fn(&Op) -> bool,
}

struct Pending {
    op: Op,
    token: u64,
    /// For a flush: how many writes were complete when it was submitted.
    covers: u64,
}

struct Volatile {
    number: u64,
    file: Arc<File>,
    offset: u64,
    before: Vec<u8>,
}

impl Faulty {
    pub(crate) fn new(seed: u64) -> Faulty {
        let (inner, _) = oyez_io::open(Kind::Syscalls).unwrap();
        Faulty {
            inner,
            random: seed,
            pending: Vec::new(),
            volatile: Vec::new(),
            writes: 0,
            flushes: 0,
            eagerness: 40,
            fail_flush_at: None,
            holds: |_| false,
        }
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB) % bound
    }

    /// The process dies: what was begun is done or not, what was done stays.
    pub(crate) fn kill(mut self) {
        self.finish_some();
    }

    /// The power fails: what was begun is done or not; of all that no flush covered each sector holds any version that
    /// was ever written to it, the one before all of them included.
    pub(crate) fn cut_power(mut self) {
        self.finish_some();
        // A cut may lose everything, or only some of it.
        let lost_of_hundred = [0, 30, 70, 100][self.below(4) as usize];
        self.lose(|io, _, versions| (io.below(100) < lost_of_hundred).then(|| io.below(versions as u64) as usize));
    }

    /// The power fails at a bad moment: what stands at `offset` or above in its file is kept as it was written last, all
    /// below as it was when it was flushed last.
    pub(crate) fn cut_power_keeping_from(mut self, offset: u64) {
        self.lose(|_, at, _| (at < offset).then_some(0));
    }

    /// Gives each sector that no flush covered the version that is chosen, if one is; 0 is the oldest.
    fn lose(&mut self, mut choose: impl FnMut(&mut Faulty, u64, usize) -> Option<usize>) {
        let mut versions: BTreeMap<(usize, u64), Vec<Vec<u8>>> = BTreeMap::new();
        let mut files = BTreeMap::new();
        for write in &self.volatile {
            let key = Arc::as_ptr(&write.file).addr();
            files.insert(key, Arc::clone(&write.file));
            for (at, sector) in write.before.chunks(SECTOR).enumerate() {
                versions.entry((key, write.offset + (at * SECTOR) as u64)).or_default().push(sector.to_vec());
            }
        }
        for ((key, offset), versions) in versions {
            if let Some(chosen) = choose(self, offset, versions.len()) {
                put_sector(&files[&key], offset, &versions[chosen]);
            }
        }
        files.values().for_each(|file| file.sync_all().unwrap());
    }

    fn finish_some(&mut self) {
        for Pending { op, .. } in std::mem::take(&mut self.pending) {
            if matches!(op, Op::Write { .. }) && self.below(2) == 0 {
                self.run(op, 0).0.unwrap();
            }
        }
    }

    fn run(&mut self, op: Op, covers: u64) -> (io::Result<()>, Option<Buffer>) {
        let Op::Write { file, bytes, offset } = op else { return (self.flush(op, covers), None) };
        let len_bytes = match &bytes {
            Bytes::Memory { len_bytes, .. } | Bytes::Buffer { len_bytes, .. } => *len_bytes,
        };
        let mut before = Buffer::new(len_bytes);
        file::read_at(&file, offset, len_bytes, &mut before).unwrap();
        self.writes += 1;
        let (number, before) = (self.writes, before.to_vec());
        self.volatile.push(Volatile { number, file: Arc::clone(&file), offset, before });
        self.through(Op::Write { file, bytes, offset })
    }

    fn flush(&mut self, op: Op, covers: u64) -> io::Result<()> {
        let Op::Flush { file } = &op else { unreachable!("a write is run by `run`") };
        self.flushes += 1;
        let ours = |write: &Volatile| Arc::ptr_eq(&write.file, file);
        if self.fail_flush_at.is_some_and(|first| self.flushes >= first) {
            if self.fail_flush_at == Some(self.flushes) {
                // As seen on thin storage: the error once, the bytes gone, and success from then on.
                for write in self.volatile.iter().rev().filter(|write| ours(write)) {
                    for (at, sector) in write.before.chunks(SECTOR).enumerate() {
                        put_sector(file, write.offset + (at * SECTOR) as u64, sector);
                    }
                }
                return Err(io::Error::from_raw_os_error(5));
            }
            return Ok(());
        }
        self.volatile.retain(|write| !(ours(write) && write.number <= covers));
        Ok(())
    }

    fn through(&mut self, op: Op) -> (io::Result<()>, Option<Buffer>) {
        let mut done = None;
        self.inner.submit(op, 0).unwrap();
        while done.is_none() {
            self.inner.complete(&mut |completion| done = Some(completion)).unwrap();
            std::thread::yield_now();
        }
        let done = done.expect("the loop waits for it");
        (done.result, done.buffer)
    }
}

impl Io for Faulty {
    fn now_ns(&self) -> u64 {
        self.inner.now_ns()
    }

    fn submit(&mut self, op: Op, token: u64) -> Result<(), Op> {
        if self.below(20) == 0 {
            return Err(op);
        }
        self.pending.push(Pending { op, token, covers: self.writes });
        Ok(())
    }

    fn complete(&mut self, each: &mut dyn FnMut(Completion)) -> io::Result<usize> {
        let mut done = Vec::new();
        let mut at = 0;
        while at < self.pending.len() {
            if self.below(100) >= self.eagerness || (self.holds)(&self.pending[at].op) {
                at += 1;
                continue;
            }
            let Pending { op, token, covers } = self.pending.swap_remove(at);
            let (result, buffer) = self.run(op, covers);
            done.push(Completion { token, result, buffer });
        }
        let count = done.len();
        done.into_iter().for_each(each);
        Ok(count)
    }
}

/// Writes one sector to a file that may be opened direct.
pub(crate) fn put_sector(file: &File, offset: u64, sector: &[u8]) {
    let block = offset / DISK_BLOCK as u64 * DISK_BLOCK as u64;
    let mut bytes = Buffer::new(DISK_BLOCK);
    file::read_at(file, block, DISK_BLOCK, &mut bytes).unwrap();
    bytes[(offset - block) as usize..][..sector.len()].copy_from_slice(sector);
    file.write_all_at(&bytes, block).unwrap();
}
