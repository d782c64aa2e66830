//! Messages whose every byte follows from their sequence, so that whatever was changed shows.

/// The message with that number: an SBE header of a schema that nobody checks here, then 8 to 120 bytes.
pub(crate) fn message(sequence: u64, into: &mut [u8; 128]) -> &[u8] {
    let len = 16 + 8 * (mix(sequence) % 15) as usize;
    for (word, bytes) in into[..len].chunks_exact_mut(8).enumerate() {
        bytes.copy_from_slice(&mix(sequence ^ (word as u64) << 56).to_le_bytes());
    }
    &into[..len]
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
