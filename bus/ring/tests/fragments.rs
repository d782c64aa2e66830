//! A message that is several frames, seen from everywhere: from its middle, without its end, up to any limit, and with
//! each part of it as no honest writer writes it.
#![cfg(not(loom))]

mod support;

use oyez_ring::layout::{BlockOpening, CommitWord, FLAG_FIRST, FLAG_IGNORABLE, FLAG_LAST};
use oyez_ring::{BLOCK, Invalid, Kind, Memory, Poll, Position, Reader, Reason, Sequence};
use support::Ring;

const CAPACITY: u64 = 16 * BLOCK;
const LEN: usize = 150_000;
/// Behind the head of the epoch and a message of 64 bytes; the other two behind the openings of their blocks.
const FRAGMENTS: [u64; 3] = [48 + 48 + 80, BLOCK + 48, 2 * BLOCK + 48];

/// A small message, one of three frames, a small one.
fn ring() -> Ring {
    let ring = Ring::new(CAPACITY, Position(0), Sequence(0), Position(u64::MAX));
    let mut writer = ring.writer();
    for len in [64, LEN, 64] {
        let _ = writer.offer(&bytes(len), 5).unwrap();
    }
    ring
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn reader(ring: &Ring, block: u64) -> Reader {
    Reader::at(ring.view(), ring.start.epoch, Position(block * BLOCK))
}

/// What comes next: kind, sequence, where it begins, how long it is.
fn next(reader: &mut Reader) -> Result<Option<(Kind, u64, u64, usize)>, Invalid> {
    match reader.poll()? {
        Poll::Frame(frame) => {
            if frame.kind == Kind::Message {
                assert_eq!(frame.payload, bytes(frame.payload.len()));
            }
            Ok(Some((frame.kind, frame.sequence.0, frame.position.0, frame.payload.len())))
        }
        Poll::Empty => Ok(None),
        Poll::Lapped => panic!("lapped"),
    }
}

#[test]
fn it_is_one_message_for_who_comes_from_before_and_nothing_for_who_begins_within() {
    let ring = ring();
    let all = [(Kind::Epoch, 0, 48, 32), (Kind::Message, 0, 96, 64), (Kind::Message, 1, FRAGMENTS[0], LEN)];
    let mut reader = reader(&ring, 0);
    for expected in all {
        assert_eq!(next(&mut reader), Ok(Some(expected)));
    }
    for block in [1, 2] {
        let mut within = self::reader(&ring, block);
        let Ok(Poll::Frame(frame)) = within.poll_any() else { panic!("no block") };
        let opening = BlockOpening::decode(frame.payload).unwrap();
        assert_eq!((opening.sequence, opening.message_block()), (Sequence(1), Position(0)));
        let last = next(&mut within).unwrap().unwrap();
        assert_eq!((last.0, last.1, last.3), (Kind::Message, 2, 64));
        assert_eq!(next(&mut within), Ok(None));
    }
}

#[test]
fn it_comes_once_its_end_is_below_the_limit() {
    let ring = ring();
    let end = FRAGMENTS[2] + 16 + (LEN as u64 - (BLOCK - FRAGMENTS[0] - 16) - (BLOCK - 64)).next_multiple_of(8);
    let mut reader = reader(&ring, 0);
    for limit in [FRAGMENTS[0], BLOCK, FRAGMENTS[1], 2 * BLOCK, FRAGMENTS[2]] {
        while let Ok(Poll::Frame(frame)) = reader.poll_below(Position(limit)) {
            assert!(frame.sequence == Sequence(0), "{limit}: {frame:?}");
        }
        assert_eq!((reader.position(), reader.read_to()), (Position(FRAGMENTS[0]), Position(limit)));
        assert_eq!(reader.sequence(), Some(Sequence(1)));
    }
    let Ok(Poll::Frame(frame)) = reader.poll_below(Position(end)) else { panic!("its end is there") };
    assert_eq!((frame.sequence, frame.end), (Sequence(1), Position(end)));
    assert_eq!((reader.position(), reader.sequence()), (Position(end), Some(Sequence(2))));
}

#[test]
fn without_its_last_fragment_it_is_not_there_and_has_no_number_yet() {
    let ring = ring();
    ring.memory.zero(FRAGMENTS[2] as usize, (BLOCK - 48) as usize);
    let mut reader = reader(&ring, 0);
    while let Ok(Some((_, sequence, ..))) = next(&mut reader) {
        assert_eq!(sequence, 0);
    }
    assert_eq!((reader.position(), reader.read_to()), (Position(FRAGMENTS[0]), Position(FRAGMENTS[2])));
    assert_eq!(reader.sequence(), Some(Sequence(1)));
}

/// Changes the commit word at a position.
fn change(ring: &Ring, position: u64, change: impl FnOnce(CommitWord) -> CommitWord) {
    let word = CommitWord::unpack(ring.memory.load(position as usize));
    ring.memory.store(position as usize, change(word).pack());
}

fn change_opening(ring: &Ring, block: u64, change: impl FnOnce(BlockOpening) -> BlockOpening) {
    let at = (block * BLOCK + 16) as usize;
    let mut payload = [0; 32];
    ring.memory.copy_out(at, &mut payload);
    ring.memory.copy_in(at, &change(BlockOpening::decode(&payload).unwrap()).encode());
}

#[test]
fn what_no_honest_writer_makes_of_it_ends_the_reading_before_that_frame() {
    type Break = fn(&Ring);
    let cases: [(&str, Break, u64, Reason); 10] = [
        ("no first", |r| change(r, FRAGMENTS[0], |w| CommitWord { flags: 0, ..w }), FRAGMENTS[0], Reason::Fragment),
        (
            "first twice",
            |r| change(r, FRAGMENTS[1], |w| CommitWord { flags: FLAG_FIRST, ..w }),
            FRAGMENTS[1],
            Reason::Fragment,
        ),
        (
            "last too early",
            |r| change(r, FRAGMENTS[1], |w| CommitWord { flags: FLAG_LAST, ..w }),
            2 * BLOCK,
            Reason::Sequence,
        ),
        (
            "a message between",
            |r| change(r, FRAGMENTS[1], |w| CommitWord { kind: Kind::Message as u8, ..w }),
            FRAGMENTS[1],
            Reason::Fragment,
        ),
        (
            "padding between",
            |r| change(r, FRAGMENTS[1], |w| CommitWord { kind: Kind::Padding as u8, ..w }),
            FRAGMENTS[1],
            Reason::Fragment,
        ),
        (
            "an ignorable frame between",
            |r| change(r, FRAGMENTS[1], |w| CommitWord { kind: 40, flags: FLAG_IGNORABLE, ..w }),
            FRAGMENTS[1],
            Reason::Fragment,
        ),
        (
            "a block that is not filled",
            |r| change(r, FRAGMENTS[1], |w| CommitWord { length: w.length - 8, ..w }),
            FRAGMENTS[1],
            Reason::Fragment,
        ),
        (
            "an empty last one",
            |r| change(r, FRAGMENTS[2], |w| CommitWord { length: 16, ..w }),
            FRAGMENTS[2],
            Reason::Fragment,
        ),
        (
            "a block that tells of less",
            |r| change_opening(r, 1, |o| BlockOpening { under_way_bytes: o.under_way_bytes - 8, ..o }),
            BLOCK,
            Reason::Fragment,
        ),
        (
            "a block that tells of nothing",
            |r| change_opening(r, 2, |o| BlockOpening { under_way_bytes: 0, ..o }),
            2 * BLOCK,
            Reason::Fragment,
        ),
    ];
    for (what, break_it, position, reason) in cases {
        let ring = ring();
        break_it(&ring);
        let invalid = Invalid { position: Position(position), reason };
        let mut messages = reader(&ring, 0);
        let refused = loop {
            match next(&mut messages) {
                Ok(Some((_, sequence, ..))) => assert!(sequence == 0 || what == "last too early", "{what}"),
                Ok(None) => panic!("{what}: not refused"),
                Err(invalid) => break invalid,
            }
        };
        assert_eq!(refused, invalid, "{what}");
        let mut frames = reader(&ring, 0);
        while let Ok(Poll::Frame(_)) = frames.poll_any() {}
        assert_eq!(frames.poll_any().map(|_| ()), Err(invalid), "{what}, frame by frame");
        assert_eq!(frames.read_to(), Position(position), "{what}");
    }
}

/// The same bytes as a ring half as large would have them.
#[test]
fn more_than_a_quarter_of_the_ring_is_no_message() {
    let ring = ring();
    ring.memory.store(CAPACITY as usize / 2, 3 * BLOCK);
    let smaller = Memory::new(ring.memory.reader(), CAPACITY / 2);
    let refused = Invalid { position: Position(FRAGMENTS[2]), reason: Reason::Fragment };
    // Whoever begins within it counts what stands before.
    for block in [0, 1, 2] {
        let mut reader = Reader::at(smaller.clone(), ring.start.epoch, Position(block * BLOCK));
        while let Ok(Poll::Frame(frame)) = reader.poll() {
            assert_eq!(frame.sequence, Sequence(0));
        }
        assert_eq!(reader.poll().map(|_| ()), Err(refused));
    }
}
