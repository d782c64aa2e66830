//! Arrays of bytes, read and written at offsets known when the code is compiled.

/// Places in an array of bytes. One beyond its end does not compile, so that no access is checked when it runs.
pub trait Fixed {
    /// The `LENGTH` bytes at `AT`.
    fn view<const AT: usize, const LENGTH: usize>(&self) -> &[u8; LENGTH];
    /// The `LENGTH` bytes at `AT`, to be written.
    fn part<const AT: usize, const LENGTH: usize>(&mut self) -> &mut [u8; LENGTH];
    /// Writes the bytes at `AT`.
    fn put<const AT: usize, const LENGTH: usize>(&mut self, bytes: [u8; LENGTH]);
}

impl<const N: usize> Fixed for [u8; N] {
    #[inline(always)]
    fn view<const AT: usize, const LENGTH: usize>(&self) -> &[u8; LENGTH] {
        const { assert!(AT + LENGTH <= N) }
        self[AT..].first_chunk().expect("asserted above")
    }

    #[inline(always)]
    fn part<const AT: usize, const LENGTH: usize>(&mut self) -> &mut [u8; LENGTH] {
        const { assert!(AT + LENGTH <= N) }
        self[AT..].first_chunk_mut().expect("asserted above")
    }

    #[inline(always)]
    fn put<const AT: usize, const LENGTH: usize>(&mut self, bytes: [u8; LENGTH]) {
        *self.part::<AT, LENGTH>() = bytes;
    }
}
