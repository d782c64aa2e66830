//! Messages that say who handed them in: the word before them is no part of them, wherever they are read from.
#![cfg(not(loom))]

mod support;

use oyez_ring::layout::{CommitWord, FLAG_ORIGIN};
use oyez_ring::{
    BLOCK, Epoch, Invalid, Kind, Last, MESSAGE_BYTES_MIN, ONE_FRAME_BYTES_MAX, Offer, Origin, Poll, Position, Reader,
    Reason, Sequence,
};
use support::Ring;

const CAPACITY: u64 = 16 * BLOCK;
const START: Position = Position(0);

fn ring() -> Ring {
    Ring::new(CAPACITY, START, Sequence(0), Position(u64::MAX))
}

fn reader(ring: &Ring, block: u64) -> Reader {
    Reader::at(ring.view(), ring.start.epoch, Position(block * BLOCK))
}

fn origin(number: u64) -> Origin {
    Origin::new(7, number).expect("a publisher")
}

/// A message: its sequence, who handed it in, its bytes.
type Read = (u64, Option<Origin>, Vec<u8>);

fn next(reader: &mut Reader) -> Result<Option<Read>, Invalid> {
    loop {
        match reader.poll()? {
            Poll::Frame(frame) if frame.kind == Kind::Message => {
                return Ok(Some((frame.sequence.0, frame.origin, frame.payload.to_vec())));
            }
            Poll::Frame(_) => {}
            Poll::Empty => return Ok(None),
            Poll::Lapped => panic!("lapped"),
        }
    }
}

#[test]
fn a_message_of_any_length_comes_with_its_origin_and_without_the_word() {
    let lengths = [MESSAGE_BYTES_MIN, 9, ONE_FRAME_BYTES_MAX, ONE_FRAME_BYTES_MAX + 1, 150_000, CAPACITY as usize / 4];
    let ring = ring();
    let mut writer = ring.writer();
    for (number, len) in lengths.into_iter().enumerate() {
        let message = vec![number as u8 + 1; len];
        let of = (number % 2 == 0).then(|| origin(number as u64));
        let offered = match of {
            Some(origin) => writer.offer_from(origin, &message, 5),
            None => writer.offer(&message, 5),
        };
        assert!(matches!(offered, Ok(Offer::Published(_))));
        assert!(writer.offer_from(origin(9), &[0; 7], 5).is_err(), "shorter than its own header");
    }
    let mut reader = reader(&ring, 0);
    for (number, len) in lengths.into_iter().enumerate() {
        let of = (number % 2 == 0).then(|| origin(number as u64));
        assert_eq!(next(&mut reader), Ok(Some((number as u64, of, vec![number as u8 + 1; len]))), "{len} bytes");
    }
    assert_eq!(next(&mut reader), Ok(None));
    assert_eq!(reader.position(), writer.tail().position);
}

#[test]
fn a_walk_that_begins_within_such_a_message_counts_on_behind_it() {
    let ring = ring();
    let mut writer = ring.writer();
    // Behind the epoch's head there is room for the word alone, then for the word and a word of the message.
    let _ = writer.offer(&vec![1; BLOCK as usize - 48 - 48 - 16 - 24], 5).unwrap();
    let before = writer.tail().position;
    for number in [1, 2] {
        let _ = writer.offer_from(origin(number), &[2; 150_000], 5).unwrap();
    }
    assert_eq!(before.in_block(), BLOCK - 24, "the first fragment is the word");
    for block in 0..writer.tail().position.0 / BLOCK {
        let mut reader = reader(&ring, block);
        let mut last = None;
        while let Some((sequence, of, _)) = next(&mut reader).expect("an honest writer") {
            assert_eq!(of, origin_of(sequence));
            last = Some(sequence);
        }
        assert!(last.is_none_or(|last| last == 2), "from block {block}: {last:?}");
        assert_eq!(reader.sequence(), Some(Sequence(3)), "from block {block}");
    }
}

fn origin_of(sequence: u64) -> Option<Origin> {
    (sequence > 0).then(|| origin(sequence))
}

#[test]
fn a_frame_that_is_too_short_for_the_origin_that_it_tells_of_is_invalid() {
    let ring = ring();
    let at = ring.writer().tail().position;
    let _ = ring.writer().offer(&[0; 16], 5).unwrap();
    let word = CommitWord::unpack(ring.memory.load(at.0 as usize));
    for (length, found) in [(23, Err(Reason::Length)), (24, Ok(0)), (32, Ok(8))] {
        ring.memory.store(at.0 as usize, CommitWord { length, flags: FLAG_ORIGIN, ..word }.pack());
        let read = next(&mut reader(&ring, 0)).map(|message| message.map_or(0, |(_, _, bytes)| bytes.len()));
        assert_eq!(read.map_err(|invalid| invalid.reason), found, "{length}");
    }
}

#[test]
fn how_far_publishers_were_taken_stands_between_messages_and_has_no_number() {
    let ring = ring();
    let mut writer = ring.writer();
    let mut payload = Vec::new();
    let last = |publisher| Last { origin: Origin::new(publisher, 3).unwrap(), epoch: Epoch(2) };
    let lasts: Vec<Last> = (1..=4_096).map(last).collect();
    Last::encode_all(lasts.iter().copied(), &mut payload);
    for _ in 0..4 {
        let _ = writer.offer(&[1; 64], 5).unwrap();
        assert!(writer.publishers(&payload, 6));
    }
    let mut reader = reader(&ring, 0);
    let mut kinds = Vec::new();
    while let Ok(Poll::Frame(frame)) = reader.poll() {
        if frame.kind == Kind::Publishers {
            assert!(Last::decode_all(frame.payload).eq(lasts.iter().copied()));
        }
        kinds.push((frame.kind, frame.sequence.0));
    }
    let four = (0..4).flat_map(|n| [(Kind::Message, n), (Kind::Publishers, n + 1)]);
    assert_eq!(kinds[1..], four.collect::<Vec<_>>());
}

#[test]
fn what_has_room_is_never_back_pressured() {
    let (mut payload, mut random) = (vec![0; 4_096 * 12], 1_u64);
    let mut next_random = move |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let ring = Ring::new(CAPACITY, START, Sequence(0), Position(CAPACITY));
    let mut writer = ring.writer();
    for number in 0..20_000 {
        let len_max = MESSAGE_BYTES_MIN + next_random(CAPACITY as usize / 4 - MESSAGE_BYTES_MIN);
        if !writer.has_room(len_max) {
            // As the recorder opens it: a whole ring behind the block that it is in.
            ring.control.set_gate(writer.tail().position.block().plus(CAPACITY));
        }
        assert!(writer.has_room(len_max), "{len_max} bytes in a ring that is recorded");
        let len = len_max - next_random(len_max - MESSAGE_BYTES_MIN + 1);
        let offered = writer.offer_from(origin(number), &vec![0; len], 5);
        assert!(matches!(offered, Ok(Offer::Published(_))), "{len} bytes");
        payload.resize(next_random(4_097) * 12, 0);
        assert!(writer.publishers(&payload, 5), "{} bytes of publishers", payload.len());
    }
}
