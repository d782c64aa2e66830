//! Frames in the bytes of a recorded block.

use oyez_ring::layout::CommitWord;
use oyez_ring::{BLOCK, FRAME_HEADER, Kind};
use std::ops::Range;

/// A frame, by offsets within its block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// `Err` with its number: unknown to this build.
    pub(crate) kind: Result<Kind, u8>,
    pub(crate) word: CommitWord,
    pub(crate) time_ns: u64,
    pub(crate) payload: Range<usize>,
    pub(crate) end: usize,
}

/// The frame at `at` in the recorded bytes of a block; `None` where no writer can have written it.
pub(crate) fn parse(recorded: &[u8], at: usize) -> Option<Parsed> {
    let word = CommitWord::unpack(u64::from_le_bytes(*recorded.get(at..)?.first_chunk()?));
    let kind = Kind::of(word.kind).ok_or(word.kind);
    let length = word.length as usize;
    let end = at.checked_add(length)?.next_multiple_of(8);
    if end > recorded.len() || length < 8 {
        return None;
    }
    if kind == Ok(Kind::Padding) {
        let whole = end as u64 == BLOCK;
        return whole.then_some(Parsed { kind, word, time_ns: 0, payload: at..at, end });
    }
    let header = FRAME_HEADER as usize;
    if length < header || (kind == Ok(Kind::Block)) != (at == 0) {
        return None;
    }
    let time_ns = u64::from_le_bytes(*recorded[at + 8..].first_chunk()?);
    let payload = at + header..at + length;
    Some(Parsed { kind, word, time_ns, payload, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: u32, kind: u8, len_bytes: usize) -> Vec<u8> {
        let mut bytes = vec![0; len_bytes];
        let word = CommitWord { length, kind, flags: 3, sequence_low: 7 };
        bytes[8..16].copy_from_slice(&word.pack().to_le_bytes());
        bytes[16..24].copy_from_slice(&99_u64.to_le_bytes());
        bytes
    }

    #[test]
    fn a_message_is_taken_apart() {
        let parsed = parse(&frame(21, 1, 64), 8).unwrap();
        let (kind, payload) = (Ok(Kind::Message), 24..29);
        let word = CommitWord { length: 21, kind: 1, flags: 3, sequence_low: 7 };
        assert_eq!(parsed, Parsed { kind, word, time_ns: 99, payload, end: 32 });
    }

    #[test]
    fn what_no_writer_writes_is_refused() {
        assert_eq!(parse(&frame(7, 1, 64), 8), None, "shorter than a commit word");
        assert_eq!(parse(&frame(15, 1, 64), 8), None, "shorter than its header");
        assert_eq!(parse(&frame(57, 1, 64), 8), None, "past the end");
        assert_eq!(parse(&frame(u32::MAX, 1, 64), 8), None, "far past the end");
        assert_eq!(parse(&frame(48, 4, 64), 8), None, "a block frame within a block");
        assert_eq!(parse(&frame(56, 3, 64), 8), None, "padding that ends before its block");
        assert_eq!(parse(&[0; 64], 60), None, "no room for a commit word");
        assert!(parse(&frame(BLOCK as u32 - 8, 3, BLOCK as usize), 8).is_some());
    }
}
