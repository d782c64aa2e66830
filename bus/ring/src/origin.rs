//! Who handed a message in, where a topic has many publishers: one word before the message.

use crate::Epoch;
use crate::layout::{FLAG_ORIGIN, LAST_BYTES, ORIGIN_BYTES, PUBLISHERS_MAX};
use std::num::NonZeroU64;

/// A publisher's number in the catalog, and its own number of a message: 1, 2, 3, … dense, over all its lives. One word, as
/// it stands in a frame.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Origin(NonZeroU64);

/// How far a publisher was taken: its last message, and the epoch that this stands in. Whoever hands in under its name after
/// that epoch, and is another, is known by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// Whose it is, and which.
    pub origin: Origin,
    /// The partition's epoch.
    pub epoch: Epoch,
}

impl Origin {
    /// The highest number of a message.
    pub const NUMBER_MAX: u64 = (1 << 48) - 1;

    /// `None` for publisher 0, who is nobody, and for a number above [`Origin::NUMBER_MAX`].
    pub const fn new(publisher: u16, number: u64) -> Option<Origin> {
        if publisher == 0 || number > Origin::NUMBER_MAX {
            return None;
        }
        Origin::of(publisher as u64 | number << 16)
    }

    /// The publisher: bits 0–15.
    pub const fn publisher(self) -> u16 {
        self.0.get() as u16
    }

    /// Its number of the message: bits 16–63.
    pub const fn number(self) -> u64 {
        self.0.get() >> 16
    }

    /// As it stands in a frame, little-endian.
    pub const fn word(self) -> u64 {
        self.0.get()
    }

    const fn of(word: u64) -> Option<Origin> {
        if word as u16 == 0 { None } else { Some(Origin(NonZeroU64::new(word).expect("its low bits are not"))) }
    }

    /// A payload taken apart: the origin, where the flags of its frame tell of one, and the message behind it.
    #[inline(always)]
    pub fn split(flags: u8, payload: &[u8]) -> (Option<Origin>, &[u8]) {
        match payload.split_first_chunk() {
            Some((word, message)) if flags & FLAG_ORIGIN != 0 => (Origin::of(u64::from_le_bytes(*word)), message),
            _ => (None, payload),
        }
    }
}

impl Last {
    /// The payload of a `Publishers` frame: how far each publisher was taken.
    ///
    /// # Panics
    /// Where there are more than [`PUBLISHERS_MAX`].
    pub fn encode_all(lasts: impl Iterator<Item = Last>, payload: &mut Vec<u8>) {
        payload.clear();
        for Last { origin, epoch } in lasts {
            payload.extend_from_slice(&origin.word().to_le_bytes());
            payload.extend_from_slice(&epoch.0.to_le_bytes());
        }
        assert!(payload.len() <= PUBLISHERS_MAX * LAST_BYTES, "{} bytes of publishers", payload.len());
    }

    /// Reads it back.
    pub fn decode_all(payload: &[u8]) -> impl Iterator<Item = Last> {
        payload.as_chunks::<LAST_BYTES>().0.iter().filter_map(|last| {
            let (word, epoch) = last.split_first_chunk::<ORIGIN_BYTES>()?;
            let (origin, epoch) = (Origin::of(u64::from_le_bytes(*word))?, epoch.first_chunk()?);
            Some(Last { origin, epoch: Epoch(u32::from_le_bytes(*epoch)) })
        })
    }
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Origin({}, {})", self.publisher(), self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_publisher_and_number_in_their_bits() {
        let origin = Origin::new(0x0102, 0x0304_0506_0708).unwrap();
        assert_eq!(origin.word(), 0x0304_0506_0708_0102);
        assert_eq!((origin.publisher(), origin.number()), (0x0102, 0x0304_0506_0708));
        assert_eq!(Origin::new(0, 7), None);
        assert_eq!(Origin::new(1, Origin::NUMBER_MAX + 1), None);
        assert_eq!(Origin::new(1, Origin::NUMBER_MAX).unwrap().number(), Origin::NUMBER_MAX);
    }

    #[test]
    fn only_a_flag_makes_a_word_an_origin() {
        let payload = [[1, 0, 7, 0, 0, 0, 0, 0], [9; 8]].concat();
        assert_eq!(Origin::split(0, &payload), (None, &payload[..]));
        assert_eq!(Origin::split(FLAG_ORIGIN, &payload), (Origin::new(1, 7), &[9; 8][..]));
        assert_eq!(Origin::split(FLAG_ORIGIN, &payload[..7]), (None, &payload[..7]), "too short for one");
    }

    #[test]
    fn publishers_are_read_back() {
        let last = |publisher, number, epoch| {
            let origin = Origin::new(publisher, number).unwrap();
            Last { origin, epoch: Epoch(epoch) }
        };
        let lasts = [last(7, 1, 0x0102_0304), last(1, Origin::NUMBER_MAX, u32::MAX)];
        let mut payload = vec![1; 3];
        Last::encode_all(lasts.into_iter(), &mut payload);
        assert_eq!(payload[..LAST_BYTES], [7, 0, 1, 0, 0, 0, 0, 0, 4, 3, 2, 1]);
        assert_eq!(Last::decode_all(&payload).collect::<Vec<_>>(), lasts);
    }
}
