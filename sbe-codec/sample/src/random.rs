//! Random numbers that are the same for a seed on every machine and in every version.

/// SplitMix64 (Steele, Lea, Flood 2014): one addition and two multiplications a number.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Bits {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let bits = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Bits(bits ^ (bits >> 31))
    }
}

/// 64 random bits, to be used up a few at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bits(u64);

impl Bits {
    /// A number below `2^bits`, from bits that are then gone.
    #[inline]
    pub(crate) fn take(&mut self, bits: u32) -> u64 {
        let taken = self.0 & ((1 << bits) - 1);
        self.0 >>= bits;
        taken
    }
}
