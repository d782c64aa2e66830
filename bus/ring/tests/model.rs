//! The ring against a plain list: any run of publishing, reading, lapping and opening the gate.
#![cfg(not(loom))]

mod support;

use oyez_ring::{BLOCK, Frame, Kind, MESSAGE_BYTES_MAX, Memory, Offer, Poll, Position, Reader, Sequence};
use proptest::prelude::*;
use std::collections::VecDeque;
use support::Ring;

const CAPACITY: u64 = 2 * BLOCK;

#[derive(Clone, Debug)]
enum Do {
    /// Publish so many messages of that length.
    Publish(u16, usize),
    /// Read at most so many frames.
    Read(u16),
    /// Open the gate up to where the reader is.
    OpenGate,
}

fn anything() -> impl Strategy<Value = Do> {
    prop_oneof![
        4 => (1..400u16, prop_oneof![8..=80usize, 8..=MESSAGE_BYTES_MAX]).prop_map(|(n, len)| Do::Publish(n, len)),
        4 => (1..600u16).prop_map(Do::Read),
        1 => Just(Do::OpenGate),
    ]
}

fn message(sequence: u64, len: usize) -> Vec<u8> {
    let mut seed = sequence.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..len)
        .map(|_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as u8
        })
        .collect()
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
    assert!(matches!(reader.poll_any().unwrap(), Poll::Frame(_)), "the oldest block of the window is whole");
    let next = reader.sequence().unwrap().0;
    while model.published.front().is_some_and(|(sequence, _)| *sequence < next) {
        model.published.pop_front();
    }
    reader
}

fn run(gated: bool, start: u64, first: u64, steps: Vec<Do>) {
    let start = Position(start * BLOCK);
    let gate = if gated { start.plus(CAPACITY) } else { Position(u64::MAX) };
    let ring = Ring::new(CAPACITY, start, Sequence(first), gate);
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
                    match reader.poll().unwrap() {
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
            Do::OpenGate if gated => ring.control.set_gate(reader.position().block().plus(CAPACITY)),
            Do::OpenGate => {}
        }
    }
}

proptest! {
    #[test]
    fn a_gated_reader_gets_everything(
        start in prop_oneof![Just(0u64), Just(1), 0..1u64 << 40],
        first in prop_oneof![Just(0u64), 0..1u64 << 50, Just(0xFFFF)],
        steps in prop::collection::vec(anything(), 1..60),
    ) {
        run(true, start, first, steps);
    }

    #[test]
    fn an_ungated_reader_gets_what_stands_and_is_told_of_the_rest(
        start in prop_oneof![Just(0u64), Just(1), 0..1u64 << 40],
        first in prop_oneof![Just(0u64), 0..1u64 << 50, Just(0xFFFF)],
        steps in prop::collection::vec(anything(), 1..60),
    ) {
        run(false, start, first, steps);
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
    for len in [0, 7, MESSAGE_BYTES_MAX + 1] {
        let said = writer.offer(&vec![0; len], 1).unwrap_err().to_string();
        assert!(said.contains(&format!("a message of {len} bytes: 8 to 4096 bytes fit")), "{said}");
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
