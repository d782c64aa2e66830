//! Messages whose every byte follows from their sequence, so that whatever was changed shows.

/// How long messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    /// 16 to 128 bytes.
    Small,
    /// And one in 64 several frames, 1 to 4 MiB.
    Large,
}

impl Mix {
    fn len_bytes(self, sequence: u64) -> usize {
        let random = mix(sequence);
        match (self, random >> 58) {
            (Mix::Large, 0) => (1 << 20) + 8 * (random % (3 << 17)) as usize,
            _ => 16 + 8 * (random % 15) as usize,
        }
    }

    /// The message with that number: an SBE header of a schema that nobody checks here, and what follows.
    pub(crate) fn message(self, sequence: u64, into: &mut Vec<u8>) -> &[u8] {
        into.clear();
        let words = self.len_bytes(sequence) as u64 / 8;
        into.extend((0..words).flat_map(|word| mix(sequence << 24 ^ word).to_le_bytes()));
        into
    }
}

/// One more (sequence, time) in a chain.
pub(crate) fn chain(hash: u64, sequence: u64, time_ns: u64) -> u64 {
    mix(mix(hash ^ sequence) ^ time_ns)
}

pub(crate) fn mix(n: u64) -> u64 {
    let n = (n ^ n >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ n >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ n >> 31
}
