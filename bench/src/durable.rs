//! The way to `durable`: from the publish until the recorder has confirmed, one message under way at a time. Beside it
//! what the device takes: one disk block written over and flushed, in the same folder.

use crate::failure::Failure;
use hdrhistogram::Histogram;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

const DISK_BLOCK: usize = 4096;
/// As far as the disk blocks go that are written over in turn.
const FILE_BLOCKS: u64 = 1024;

/// Writes and flushes disk blocks of a file that was filled before, as the recorder's segments are.
pub(crate) struct Flush {
    file: File,
    next: u64,
}

impl Flush {
    /// # Errors
    /// [`Failure::Refused`].
    pub(crate) fn new(folder: &Path) -> Result<Flush, Failure> {
        let made = File::create(folder.join("flush")).and_then(|file| {
            file.write_all_at(&vec![0; DISK_BLOCK * FILE_BLOCKS as usize], 0)?;
            file.sync_all()?;
            Ok(file)
        });
        Ok(Flush { file: made.map_err(Failure::refused("make a file to flush"))?, next: 0 })
    }

    /// Times `count` of them.
    ///
    /// # Errors
    /// [`Failure::Refused`].
    pub(crate) fn time(&mut self, count: u64) -> Result<Histogram<u64>, Failure> {
        histogram(count, || {
            let start = Instant::now();
            let offset = self.next % FILE_BLOCKS * DISK_BLOCK as u64;
            self.next += 1;
            let block = [self.next as u8; DISK_BLOCK];
            let flushed = self.file.write_all_at(&block, offset).and_then(|()| self.file.sync_data());
            flushed.map_err(Failure::refused("write and flush a disk block"))?;
            Ok(start.elapsed())
        })
    }
}

/// `count` times, in ns.
///
/// # Errors
/// The first of `once`.
pub(crate) fn histogram(
    count: u64,
    mut once: impl FnMut() -> Result<Duration, Failure>,
) -> Result<Histogram<u64>, Failure> {
    let mut all = Histogram::new(3).expect("three digits are allowed");
    for _ in 0..count {
        all.record(once()?.as_nanos() as u64).expect("grows as needed");
    }
    Ok(all)
}
