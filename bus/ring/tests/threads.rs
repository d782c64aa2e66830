//! A writer at full speed over a tiny ring, readers lapped all the time, in one process: what is delivered is whole.
//! Run under ThreadSanitizer too, with `--cfg plain_words`.
#![cfg(not(loom))]

mod support;

use oyez_ring::{BLOCK, Kind, Memory, Offer, Poll, Position, Reader, Sequence};
use std::sync::mpsc;
use std::thread;
use support::Ring;

/// Every word of a message is its sequence, so that a torn copy shows.
fn check(sequence: u64, payload: &[u8]) {
    for word in payload.as_chunks::<8>().0 {
        assert_eq!(u64::from_le_bytes(*word), sequence, "torn");
    }
}

fn read(view: Memory, start: Position, end: mpsc::Receiver<u64>) -> (u64, u64) {
    let (mut delivered, mut laps, mut last, mut end_at) = (0, 0, None, None);
    let mut reader = Reader::at(view.clone(), oyez_ring::Epoch(1), start);
    loop {
        match reader.poll().unwrap() {
            Poll::Frame(frame) if frame.kind == Kind::Message => {
                assert!(last.is_none_or(|last| last < frame.sequence), "order");
                check(frame.sequence.0, frame.payload);
                last = Some(frame.sequence);
                delivered += 1;
            }
            Poll::Frame(_) => {}
            Poll::Empty if end_at.is_some_and(|end| last.is_some_and(|last: Sequence| last.0 + 1 == end)) => {
                return (delivered, laps);
            }
            Poll::Empty => {
                end_at = end_at.or_else(|| end.try_recv().ok());
                thread::yield_now();
            }
            Poll::Lapped => {
                laps += 1;
                // The oldest block is soon gone again: half way is a fair place to begin.
                let (oldest, mark) = view.window(start);
                let middle = Position((oldest.0 + mark.0) / 2).block();
                reader = Reader::at(view.clone(), oyez_ring::Epoch(1), middle);
            }
        }
    }
}

#[test]
fn a_tiny_ring_under_full_speed_delivers_nothing_torn() {
    let messages: u64 = std::env::var("OYEZ_TORTURE_MESSAGES").map_or(20_000_000, |n| n.parse().unwrap());
    let ring = Ring::new(2 * BLOCK, Position(BLOCK), Sequence(0), Position(u64::MAX));
    let mut writer = ring.writer();
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (done, end) = mpsc::channel();
            let (view, start) = (ring.view(), ring.start.position);
            (done, thread::spawn(move || read(view, start, end)))
        })
        .collect();
    let mut scratch = [0; 480];
    for sequence in 0..messages {
        let len = 8 * (1 + (sequence.wrapping_mul(0x9E37_79B9) >> 7) % 60) as usize;
        let message = &mut scratch[..len];
        for word in message.as_chunks_mut::<8>().0 {
            *word = sequence.to_le_bytes();
        }
        assert!(matches!(writer.offer(message, sequence), Ok(Offer::Published(_))));
    }
    for (done, reader) in readers {
        done.send(messages).unwrap();
        let (delivered, laps) = reader.join().unwrap();
        eprintln!("delivered {delivered} of {messages}, lapped {laps} times");
        assert!(delivered > 0);
    }
}
