//! Memory as words. Offsets and lengths are in bytes; an offset is a multiple of 8 and within the region.

use crate::sync::{AtomicU64, Ordering};
use std::sync::Arc;

const WORD: usize = 8;
/// A huge page. The kernel maps one whole only where address and file agree modulo its size, and sees to that by itself
/// only under a policy of huge pages for shared memory, which is seldom on.
#[cfg(not(loom))]
pub(crate) const HUGE_BYTES: usize = 2 << 20;

/// Shared memory that this process may read. Clones share one mapping, which goes with the last of them.
#[derive(Clone)]
pub struct Region {
    #[cfg(not(loom))]
    base: *const AtomicU64,
    len_bytes: usize,
    #[cfg_attr(not(loom), allow(dead_code, reason = "reached through `base`"))]
    words: Arc<Words>,
}

/// Shared memory that this process may read and write.
///
/// Nothing here stops two writers: that one memory has one writing process is what the hand-out of descriptors proves.
#[derive(Clone)]
pub struct RegionMut(Region);

/// What keeps the words alive.
#[cfg_attr(not(loom), allow(dead_code, reason = "held for its drop"))]
enum Words {
    Heap(Box<[AtomicU64]>),
    #[cfg(not(loom))]
    Mapped(mapping::Mapping),
}

impl Region {
    /// How many bytes there are; a multiple of 8.
    #[inline]
    pub fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    /// Loads the word at `offset`, relaxed.
    ///
    /// # Panics
    /// Where `offset` is not a multiple of 8 or lies outside, as everywhere in this file.
    #[inline(always)]
    pub fn load(&self, offset: usize) -> u64 {
        self.word(offset).load(Ordering::Relaxed)
    }

    /// Copies `out.len()` bytes from `offset` on, word by word, each load relaxed. Under a writer the copy may be
    /// torn between words: judge it before it is believed.
    #[inline(always)]
    pub fn copy_out(&self, offset: usize, out: &mut [u8]) {
        let words = self.words(offset, out.len().next_multiple_of(WORD));
        let (whole, rest) = out.as_chunks_mut::<WORD>();
        for (bytes, word) in whole.iter_mut().zip(words) {
            *bytes = word.load(Ordering::Relaxed).to_le_bytes();
        }
        if let Some(last) = words.get(whole.len()) {
            rest.copy_from_slice(&last.load(Ordering::Relaxed).to_le_bytes()[..rest.len()]);
        }
    }

    #[inline(always)]
    fn check(&self, offset: usize, len_bytes: usize) {
        assert!(offset.is_multiple_of(WORD), "offset {offset} is not a multiple of 8");
        assert!(offset <= self.len_bytes && len_bytes <= self.len_bytes - offset, "outside the region");
    }

    /// The words of `[offset, offset + len_bytes)`: one check, however many they are.
    #[cfg(not(loom))]
    #[inline(always)]
    #[allow(unsafe_code, reason = "a room of its own for the one dereference")]
    fn words(&self, offset: usize, len_bytes: usize) -> &[AtomicU64] {
        self.check(offset, len_bytes);
        // SAFETY: `check` keeps the words inside the `len_bytes` that `self.words` keeps alive, aligned; all access is
        // atomic.
        unsafe { std::slice::from_raw_parts(self.base.wrapping_byte_add(offset), len_bytes / WORD) }
    }

    #[cfg(loom)]
    fn words(&self, offset: usize, len_bytes: usize) -> &[AtomicU64] {
        self.check(offset, len_bytes);
        let Words::Heap(words) = &*self.words;
        &words[offset / WORD..][..len_bytes / WORD]
    }

    #[inline(always)]
    fn word(&self, offset: usize) -> &AtomicU64 {
        &self.words(offset, WORD)[0]
    }
}

impl RegionMut {
    /// Zeroed memory of this process alone: for tests, models and the in-process bus.
    pub fn heap(len_bytes: usize) -> RegionMut {
        assert!(len_bytes.is_multiple_of(WORD), "a region holds whole words");
        let words: Box<[AtomicU64]> = (0..len_bytes / WORD).map(|_| AtomicU64::new(0)).collect();
        RegionMut(Region {
            #[cfg(not(loom))]
            base: words.as_ptr(),
            len_bytes,
            words: Arc::new(Words::Heap(words)),
        })
    }

    /// The same memory, to be read.
    pub fn reader(&self) -> Region {
        self.0.clone()
    }

    /// Stores the word at `offset`, relaxed.
    #[inline(always)]
    pub fn store(&self, offset: usize, value: u64) {
        self.0.word(offset).store(value, Ordering::Relaxed);
    }

    /// Stores the word at `offset`, release: whoever sees it sees all that was stored before.
    #[inline(always)]
    pub fn store_release(&self, offset: usize, value: u64) {
        self.0.word(offset).store(value, Ordering::Release);
    }

    /// Copies `bytes` to `offset` on, each word a relaxed store; the last word is filled up with zero bytes.
    #[inline(always)]
    pub fn copy_in(&self, offset: usize, bytes: &[u8]) {
        let words = self.0.words(offset, bytes.len().next_multiple_of(WORD));
        #[cfg(not(any(loom, plain_words)))]
        let wide = self.copy_in_wide(offset, bytes);
        #[cfg(any(loom, plain_words))]
        let wide = 0;
        let words = &words[wide / WORD..];
        let (whole, rest) = bytes[wide..].as_chunks::<WORD>();
        for (word, bytes) in words.iter().zip(whole) {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
        if let Some(last) = words.get(whole.len()) {
            last.store(last_word(bytes, rest), Ordering::Relaxed);
        }
    }

    /// Stores zero in every word of `[offset, offset + len_bytes)`, relaxed; `len_bytes` is a multiple of 8.
    #[inline]
    pub fn zero(&self, offset: usize, len_bytes: usize) {
        assert!(len_bytes.is_multiple_of(WORD), "only whole words are zeroed");
        let words = self.0.words(offset, len_bytes);
        #[cfg(not(any(loom, plain_words)))]
        let wide = self.zero_wide(offset, len_bytes);
        #[cfg(any(loom, plain_words))]
        let wide = 0;
        for word in &words[wide / WORD..] {
            word.store(0, Ordering::Relaxed);
        }
    }
}

/// The `rest` of `bytes` behind its last whole word, filled up with zero bytes. Taken with one load where the bytes
/// before it allow: a few bytes gathered one by one and loaded as a word stall on the store buffer.
#[inline(always)]
fn last_word(bytes: &[u8], rest: &[u8]) -> u64 {
    match bytes.last_chunk::<WORD>() {
        Some(last) => u64::from_le_bytes(*last) >> (8 * (WORD - rest.len())),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

impl std::ops::Deref for RegionMut {
    type Target = Region;

    #[inline(always)]
    fn deref(&self) -> &Region {
        &self.0
    }
}

impl std::fmt::Debug for Region {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Region({} bytes)", self.len_bytes)
    }
}

impl std::fmt::Debug for RegionMut {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}

#[cfg(not(loom))]
#[allow(unsafe_code, reason = "maps memory, and hands whole ranges to the wide copies")]
mod mapping {
    use super::{HUGE_BYTES, Region, RegionMut, Words};
    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
    use std::io;
    use std::os::fd::AsFd;
    use std::sync::Arc;

    pub(super) struct Mapping {
        /// The addresses taken: the mapping, and what its alignment leaves over.
        range: *mut core::ffi::c_void,
        range_bytes: usize,
        base: *mut core::ffi::c_void,
    }

    // SAFETY: the pointer is only an address; all access through it is atomic.
    unsafe impl Send for Region {}
    // SAFETY: as above: shared access is what atomics are for.
    unsafe impl Sync for Region {}
    // SAFETY: a mapping may be unmapped by any thread.
    unsafe impl Send for Mapping {}
    // SAFETY: nothing is done through a shared `Mapping`.
    unsafe impl Sync for Mapping {}

    impl Mapping {
        fn new(file: impl AsFd, len_bytes: usize, access: ProtFlags) -> io::Result<Mapping> {
            let spare_bytes = if len_bytes < HUGE_BYTES { 0 } else { HUGE_BYTES };
            let range_bytes = len_bytes + spare_bytes;
            let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
            // SAFETY: a fresh range that the kernel chooses, which nobody can access yet.
            let range = unsafe { mmap_anonymous(std::ptr::null_mut(), range_bytes, ProtFlags::empty(), flags) }?;
            let base = range.map_addr(|address| address.next_multiple_of(spare_bytes.max(1)));
            let mapping = Mapping { range, range_bytes, base };
            // SAFETY: replaces part of the range above, which is nobody else's; the memory behind it is sealed against
            // shrinking by whoever made it, and every access is an atomic word.
            unsafe { mmap(base, len_bytes, access, MapFlags::SHARED | MapFlags::FIXED, file, 0) }?;
            // A child that is forked must not hold the ring: it would keep its epoch from ever ending.
            // SAFETY: the range was mapped above and holds no Rust object.
            unsafe { madvise(base, len_bytes, Advice::LinuxDontFork) }?;
            Ok(mapping)
        }
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            // SAFETY: the range was mapped in `new`; the last `Region` over it is gone.
            let _ = unsafe { munmap(self.range, self.range_bytes) };
        }
    }

    fn region(mapping: Mapping, len_bytes: usize) -> Region {
        Region { base: mapping.base.cast(), len_bytes, words: Arc::new(Words::Mapped(mapping)) }
    }

    impl Region {
        /// Maps the first `len_bytes` of `file`, read-only; a forked child does not get the mapping.
        ///
        /// # Errors
        /// What `mmap` answers: no memory, no right.
        pub fn map(file: impl AsFd, len_bytes: usize) -> io::Result<Region> {
            Ok(region(Mapping::new(file, len_bytes, ProtFlags::READ)?, len_bytes))
        }

        /// The address of `offset`, for the kernel alone: a file is written from it.
        pub fn address(&self, offset: usize) -> usize {
            self.check(offset, 0);
            self.base.expose_provenance() + offset
        }
    }

    impl RegionMut {
        /// Maps the first `len_bytes` of `file`, to be read and written; a forked child does not get the mapping.
        ///
        /// # Errors
        /// What `mmap` answers: no memory, no right (a sealed memory is not mapped for writing again).
        pub fn map(file: impl AsFd, len_bytes: usize) -> io::Result<RegionMut> {
            let mapping = Mapping::new(file, len_bytes, ProtFlags::READ | ProtFlags::WRITE)?;
            Ok(RegionMut(region(mapping, len_bytes)))
        }

        /// Has all pages there for writing, with nothing changed: a store later waits for none of them. What the kernel
        /// refuses costs speed and no more.
        pub fn populate(&self) {
            if let Words::Mapped(mapping) = &*self.words {
                // SAFETY: the range is the mapping that `self` keeps alive; populating changes no content.
                let _ = unsafe { madvise(mapping.base, self.len_bytes, Advice::LinuxPopulateWrite) };
            }
        }

        /// Copies the longest part worth it with wide stores; how many bytes that was. The caller checked the range.
        #[cfg(not(plain_words))]
        #[inline(always)]
        pub(super) fn copy_in_wide(&self, offset: usize, bytes: &[u8]) -> usize {
            let len_bytes = crate::wide::copied(bytes.len());
            let target = self.base.wrapping_byte_add(offset).cast_mut().cast();
            // SAFETY: both ranges hold `len_bytes <= bytes.len()`: the caller's `check`, and the slice itself.
            unsafe { crate::wide::copy(target, bytes.as_ptr(), len_bytes) };
            len_bytes
        }

        /// Zeroes the longest part worth it with wide stores; how many bytes that was. The caller checked the range.
        #[cfg(not(plain_words))]
        #[inline(always)]
        pub(super) fn zero_wide(&self, offset: usize, len_bytes: usize) -> usize {
            let len_bytes = crate::wide::copied(len_bytes);
            let target = self.base.wrapping_byte_add(offset).cast_mut().cast();
            // SAFETY: the range holds `len_bytes` or more: the caller's `check`.
            unsafe { crate::wide::zero(target, len_bytes) };
            len_bytes
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_offset_is_copied_and_nothing_beside_it() {
        let bytes: Vec<u8> = (0..=255).cycle().take(600).map(|n: u8| n | 1).collect();
        for len in 0..600 {
            let region = RegionMut::heap(1024);
            let offset = 8 * (len % 16);
            region.copy_in(offset, &bytes[..len]);
            let mut all = vec![0xEE; 1024];
            region.copy_out(0, &mut all);
            assert_eq!(all[offset..offset + len], bytes[..len]);
            assert!(all[..offset].iter().chain(&all[offset + len..]).all(|byte| *byte == 0), "length {len}");
            let mut part = vec![0; len];
            region.copy_out(offset, &mut part);
            assert_eq!(part, bytes[..len]);
        }
    }

    #[test]
    fn zero_clears_its_range_and_nothing_beside_it() {
        for len in (0..1024).step_by(8) {
            let region = RegionMut::heap(2048);
            region.copy_in(0, &[0xFF; 2048]);
            region.zero(512, len);
            let mut all = vec![0; 2048];
            region.copy_out(0, &mut all);
            assert!(all[512..512 + len].iter().all(|byte| *byte == 0));
            assert!(all[..512].iter().chain(&all[512 + len..]).all(|byte| *byte == 0xFF));
        }
    }

    #[test]
    #[should_panic(expected = "outside the region")]
    fn a_word_outside_is_refused() {
        RegionMut::heap(64).store(64, 1);
    }

    #[test]
    #[should_panic(expected = "not a multiple of 8")]
    fn a_word_askew_is_refused() {
        let _ = RegionMut::heap(64).load(4);
    }
}
