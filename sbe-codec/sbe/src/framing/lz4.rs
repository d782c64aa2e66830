//! LZ4 blocks, unpacked: our own few lines, since a crate brings the compressor, the frame format and two hashes.
//!
//! ```text
//! token: literals 4 bits, match 4 bits │ more literals │ literals │ match offset u16 │ more match
//!        15 means that bytes follow, which are added up to the first that is not 255; a match has 4 bytes more
//! ```

/// A match is at least so long.
const MATCH_BYTES_MIN: usize = 4;

/// Unpacks a block into `out`, which it replaces; nothing if it is none, or has more than `limit` bytes.
pub(super) fn unpack(block: &[u8], limit: usize, out: &mut Vec<u8>) -> Option<()> {
    out.clear();
    let mut input = block;
    loop {
        let token = usize::from(take(&mut input, 1)?[0]);
        let literals = length(token >> 4, &mut input)?;
        let room = limit.checked_sub(out.len() + literals)?;
        out.extend_from_slice(take(&mut input, literals)?);
        // The last sequence has no match.
        if input.is_empty() {
            return Some(());
        }
        let distance = usize::from(u16::from_le_bytes(*take(&mut input, 2)?.first_chunk()?));
        let length = length(token & 15, &mut input)? + MATCH_BYTES_MIN;
        let start = out.len().checked_sub(distance).filter(|_| distance > 0 && length <= room)?;
        // A match may reach into itself, which repeats it.
        for at in start..start + length {
            out.push(out[at]);
        }
    }
}

fn length(nibble: usize, input: &mut &[u8]) -> Option<usize> {
    let mut length = nibble;
    let mut more = nibble == 15;
    while more {
        let byte = take(input, 1)?[0];
        length += usize::from(byte);
        more = byte == 255;
    }
    Some(length)
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(count)?;
    *input = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unpacked(block: &[u8], limit: usize) -> Option<Vec<u8>> {
        let mut out = b"before".to_vec();
        unpack(block, limit, &mut out).map(|()| out)
    }

    #[test]
    fn literals_matches_and_repeats_are_unpacked() {
        assert_eq!(unpacked(b"\x00", 0), Some(vec![]));
        assert_eq!(unpacked(b"\x30abc", 3), Some(b"abc".to_vec()));
        // Three literals, then eight bytes from three back, then one literal.
        assert_eq!(unpacked(b"\x34abc\x03\x00\x10!", 12), Some(b"abcabcabcab!".to_vec()));
        assert_eq!(unpacked(b"\x34abc\x03\x00\x10!", 11), None);
        let ends_with_a_match = b"\x34abc\x03\x00\x00";
        assert_eq!(unpacked(ends_with_a_match, 11), Some(b"abcabcabcab".to_vec()));
        assert_eq!(unpacked(ends_with_a_match, 10), None);
        assert_eq!(unpacked(b"\x34abc\x04\x00\x10!", 12), None, "before the start");
        assert_eq!(unpacked(b"\x34abc\x00\x00\x10!", 12), None, "no distance");
        let long = [&[0x1F, b'a', 1, 0, 255, 255, 0][..], &[0x00]].concat();
        assert_eq!(unpacked(&long, 8_192), Some(vec![b'a'; 1 + 4 + 15 + 510]));
    }

    #[test]
    fn nothing_is_unpacked_beyond_the_bound() {
        let bomb = [&[0x1F, b'a', 1, 0][..], &[255; 10_000], &[0, 0]].concat();
        let mut out = Vec::new();
        assert_eq!(unpack(&bomb, 8_192, &mut out), None);
        assert!(out.len() <= 8_192, "{}", out.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        /// What the common crate packs is unpacked, within the bound and not beyond; cut, it is refused or a beginning.
        #[test]
        fn what_others_pack_is_unpacked(
            pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9), 0_usize..40), 0..40),
        ) {
            let bytes: Vec<u8> = pieces.iter().flat_map(|(piece, times)| piece.repeat(*times)).collect();
            let block = lz4_flex::block::compress(&bytes);
            prop_assert_eq!(unpacked(&block, bytes.len()), Some(bytes.clone()));
            prop_assert_eq!(unpacked(&block, bytes.len().wrapping_sub(1)).is_some(), bytes.is_empty());
            for length in 0..block.len() {
                if let Some(beginning) = unpacked(&block[..length], bytes.len()) {
                    prop_assert!(bytes.starts_with(&beginning));
                }
            }
        }

        #[test]
        fn any_bytes_are_unpacked_as_others_do(block in prop::collection::vec(prop_oneof![0_u8..32, any::<u8>()], 0..40)) {
            let ours = unpacked(&block, 8_192);
            if let Ok(theirs) = lz4_flex::block::decompress(&block, 8_192) {
                prop_assert_eq!(ours, Some(theirs));
            }
        }
    }
}
