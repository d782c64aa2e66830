//! The ring against a plain list: any run of publishing, reading, lapping and opening the gate, with messages of one
//! frame and of many.
#![cfg(not(loom))]

mod support;

use oyez_ring::layout::BlockOpening;
use oyez_ring::{
    BLOCK, Frame, Kind, Memory, ONE_FRAME_BYTES_MAX, Offer, Poll, Position, Reader, Sequence, message_bytes_max,
};
use proptest::prelude::*;
use std::collections::VecDeque;
use support::Ring;

const CAPACITY: u64 = 2 * BLOCK;
/// A message may be longer than a block.
const WIDE: u64 = 16 * BLOCK;

#[derive(Clone, Debug)]
enum Do {
    /// Publish so many messages of that length.
    Publish(u16, usize),
    /// Read at most so many frames.
    Read(u16),
    /// Open the gate up to where the reader is.
    OpenGate,
}

fn anything(capacity: u64) -> impl Strategy<Value = Do> {
    let large = ONE_FRAME_BYTES_MAX + 1..=message_bytes_max(capacity);
    prop_oneof![
        4 => (1..400u16, prop_oneof![8..=80usize, 8..=ONE_FRAME_BYTES_MAX]).prop_map(|(n, len)| Do::Publish(n, len)),
        2 => (1..5u16, large).prop_map(|(n, len)| Do::Publish(n, len)),
        4 => (1..600u16).prop_map(Do::Read),
        1 => Just(Do::OpenGate),
    ]
}

fn message(sequence: u64, len: usize) -> Vec<u8> {
    let mut seed = sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = vec![0; len];
    for part in bytes.chunks_mut(8) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        part.copy_from_slice(&seed.to_le_bytes()[..part.len()]);
    }
    bytes
}

/// What was published and may still be read, oldest first.
struct Model {
    published: VecDeque<(u64, usize)>,
    next: u64,
    time_ns: u64,
}

impl Model {
    /// The frame is the oldest one that the reader has not had.
    fn expect(&mut self, frame: Frame<'_>) {
        if frame.kind == Kind::Epoch {
            return;
        }
        let (sequence, len) = self.published.pop_front().expect("a frame that nobody published");
        assert_eq!((frame.sequence, frame.payload), (Sequence(sequence), &message(sequence, len)[..]));
        assert!(frame.time_ns >= self.time_ns, "time went back");
        self.time_ns = frame.time_ns;
    }
}

/// A lapped reader begins again at the oldest block of the window that it can enter.
fn begin_again(view: &Memory, ring: &Ring, model: &mut Model) -> Reader {
    let (oldest, _) = view.window(ring.start.position);
    let mut reader = Reader::at(view.clone(), ring.start.epoch, oldest);
    let Poll::Frame(block) = reader.poll_any().unwrap() else { panic!("the oldest block of the window is not whole") };
    let opening = BlockOpening::decode(block.payload).unwrap();
    // Of a message that began before it there is nothing to be had.
    let next = opening.sequence.0 + u64::from(opening.under_way_bytes > 0);
    while model.published.front().is_some_and(|(sequence, _)| *sequence < next) {
        model.published.pop_front();
    }
    reader
}

fn run(capacity: u64, gated: bool, start: u64, first: u64, steps: Vec<Do>) {
    let start = Position(start * BLOCK);
    let gate = if gated { start.plus(capacity) } else { Position(u64::MAX) };
    let ring = Ring::new(capacity, start, Sequence(first), gate);
    let (view, mut writer) = (ring.view(), ring.writer());
    let mut reader = Reader::at(view.clone(), ring.start.epoch, start);
    let mut model = Model { published: VecDeque::new(), next: first, time_ns: 0 };
    for step in steps {
        match step {
            Do::Publish(count, len) => {
                for clock in 0..u64::from(count) {
                    // A clock that jumps back must not show.
                    match writer.offer(&message(model.next, len), 1_000_000 - clock).unwrap() {
                        Offer::Published(published) => {
                            assert_eq!(published.sequence.0, model.next);
                            model.published.push_back((model.next, len));
                            model.next += 1;
                        }
                        Offer::BackPressured => assert!(gated, "only a gate stops a publisher"),
                    }
                }
            }
            Do::Read(count) => {
                for _ in 0..count {
                    let is_at_tail = reader.is_at_tail();
                    let found = reader.poll().unwrap();
                    assert!(!is_at_tail || matches!(found, Poll::Empty), "at the tail a poll found {found:?}");
                    match found {
                        Poll::Frame(frame) => model.expect(frame),
                        Poll::Empty => {
                            assert!(model.published.is_empty(), "{:?} is hidden", model.published[0]);
                            break;
                        }
                        Poll::Lapped => {
                            assert!(!gated, "a gate keeps the recorder from being lapped");
                            reader = begin_again(&view, &ring, &mut model);
                        }
                    }
                }
            }
            Do::OpenGate if gated => ring.control.set_gate(reader.position().block().plus(capacity)),
            Do::OpenGate => {}
        }
    }
}

fn runs(capacity: u64) -> impl Strategy<Value = (u64, u64, Vec<Do>)> {
    let start = prop_oneof![Just(0u64), Just(1), 0..1u64 << 40];
    let first = prop_oneof![Just(0u64), 0..1u64 << 50, Just(0xFFFF)];
    (start, first, prop::collection::vec(anything(capacity), 1..60))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_gated_reader_gets_everything((start, first, steps) in runs(CAPACITY)) {
        run(CAPACITY, true, start, first, steps);
    }

    #[test]
    fn an_ungated_reader_gets_what_stands_and_is_told_of_the_rest((start, first, steps) in runs(CAPACITY)) {
        run(CAPACITY, false, start, first, steps);
    }

    #[test]
    fn a_gated_reader_gets_everything_of_a_wide_ring((start, first, steps) in runs(WIDE)) {
        run(WIDE, true, start, first, steps);
    }

    #[test]
    fn an_ungated_reader_gets_what_stands_of_a_wide_ring((start, first, steps) in runs(WIDE)) {
        run(WIDE, false, start, first, steps);
    }
}

#[test]
fn an_abandoned_claim_leaves_nothing_and_a_back_pressured_one_stands() {
    let ring = Ring::new(CAPACITY, Position(0), Sequence(0), Position(CAPACITY));
    let mut writer = ring.writer();
    let mut reader = Reader::at(ring.view(), ring.start.epoch, Position(0));
    let mut first_bytes = move || {
        let mut bytes = Vec::new();
        while let Poll::Frame(frame) = reader.poll().unwrap() {
            bytes.push(frame.payload[0]);
        }
        bytes
    };
    assert!(matches!(writer.offer(&[2; 16], 5), Ok(Offer::Published(published)) if published.sequence.0 == 0));
    while let Offer::Published(_) = writer.offer(&[3; 4096], 6).unwrap() {}
    assert_eq!(writer.offer(&[4; 4096], 7), Ok(Offer::BackPressured));
    assert_eq!(first_bytes()[..3], [1, 2, 3], "the Epoch frame, whose first byte is the epoch; then the messages");
    ring.control.set_gate(Position(2 * CAPACITY));
    assert!(matches!(writer.offer(&[4; 4096], 8), Ok(Offer::Published(_))));
    assert_eq!(first_bytes(), [4]);
}

#[test]
fn lengths_outside_the_bounds_are_refused_by_number() {
    let ring = Ring::new(CAPACITY, Position(0), Sequence(0), Position(u64::MAX));
    let mut writer = ring.writer();
    for len in [0, 7, CAPACITY as usize / 4 + 1] {
        let said = writer.offer(&vec![0; len], 1).unwrap_err().to_string();
        assert!(said.contains(&format!("a message of {len} bytes: 8 to 32768 bytes fit")), "{said}");
    }
    assert_eq!(writer.tail(), ring.tail, "what is refused leaves nothing");
    assert!(matches!(writer.offer(&vec![0; CAPACITY as usize / 4], 1), Ok(Offer::Published(_))));
}

/// Wherever the tail stands in its block, nothing holds back the longest message once all before it is recorded; and what
/// is held back leaves nothing.
#[test]
fn the_longest_message_fits_as_soon_as_all_before_it_is_recorded() {
    let longest = vec![7; message_bytes_max(CAPACITY)];
    let ring = Ring::new(CAPACITY, Position(0), Sequence(0), Position(CAPACITY));
    let mut writer = ring.writer();
    for filler in 0..2_000 {
        let tail = writer.tail();
        let Offer::Published(_) = writer.offer(&vec![1; 8 + filler * 88 % 4_000], 1).unwrap() else {
            panic!("a small message is held back at {tail:?}")
        };
        ring.control.set_gate(writer.tail().position.block().plus(CAPACITY));
        let Offer::Published(_) = writer.offer(&longest, 2).unwrap() else {
            panic!("held back at {:?}", writer.tail())
        };
        let tail = writer.tail();
        while let Offer::Published(_) = writer.offer(&longest, 3).unwrap() {}
        let stands = writer.tail();
        assert_eq!(writer.offer(&longest, 4), Ok(Offer::BackPressured));
        assert_eq!(writer.tail(), stands);
        assert!(stands.position.0 - tail.position.0 < CAPACITY);
        ring.control.set_gate(writer.tail().position.block().plus(CAPACITY));
    }
}

#[test]
fn a_scribbling_writer_is_an_error_or_silence_and_never_a_panic() {
    proptest!(|(words in prop::collection::vec((0..Memory::len_bytes(CAPACITY) / 8, any::<u64>()), 1..400), length in any::<u32>())| {
        let ring = Ring::new(CAPACITY, Position(0), Sequence(0), Position(u64::MAX));
        let mut writer = ring.writer();
        for _ in 0..50 {
            let _ = writer.offer(&[7; 68], 1).unwrap();
        }
        let mut reader = Reader::at(ring.view(), ring.start.epoch, Position(0));
        for (word, value) in words {
            // Commit words that nearly fit are the likeliest to hurt.
            let value = if value & 1 == 0 { value } else { u64::from(length % 70_000) | value << 32 };
            ring.memory.store(8 * word as usize, value);
            for _ in 0..3 {
                if !matches!(reader.poll_any(), Ok(Poll::Frame(_))) {
                    break;
                }
            }
        }
    });
}

#[test]
fn any_mark_gives_a_block_to_start_at() {
    let start = Position(3 * BLOCK);
    let ring = Ring::new(CAPACITY, start, Sequence(7), Position(u64::MAX));
    for mark in [0, start.0, start.0 + 8, start.0 + BLOCK + 8, u64::MAX - 1, u64::MAX] {
        ring.memory.store(CAPACITY as usize, mark);
        let newest = Reader::newest_block(&ring.view(), ring.start.epoch, start);
        assert!(newest >= start && newest.in_block() == 0, "mark {mark}: {newest}");
        let _ = Reader::at(ring.view(), ring.start.epoch, newest).poll_any();
    }
}
