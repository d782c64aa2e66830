//! Every order of every word, on rings of two blocks of 256 bytes: `RUSTFLAGS="--cfg loom" cargo test -p oyez-ring
//! --release --test loom`. `cargo xtask controls` weakens each step of the ring's argument once and sees a model fail.
#![cfg(loom)]

mod support;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use oyez_ring::{
    Accepted, Area, AreaMut, Asleep, BLOCK, Control, ControlMut, Epoch, Kind, Lookout, Offer, Origin, Poll, Position,
    Reader, RegionMut, Sequence, Writer,
};
use std::sync::Arc;
use support::Ring;

const CAPACITY: u64 = 2 * BLOCK;
/// Five of these fill the first block behind its head; six, and 16 bytes of padding, any other block.
const SMALL: usize = 16;

fn ring() -> Ring {
    Ring::new(CAPACITY, Position(0), Sequence(0), Position(u64::MAX))
}

fn message(sequence: u64, len_bytes: usize) -> Vec<u8> {
    (0..len_bytes as u64 / 8).flat_map(|word| (sequence << 8 | word).to_le_bytes()).collect()
}

fn publish(writer: &mut Writer, sequences: std::ops::Range<u64>, len_bytes: usize) {
    for sequence in sequences {
        let offer = writer.offer(&message(sequence, len_bytes), 100 + sequence).unwrap();
        assert!(matches!(offer, Offer::Published(published) if published.sequence == Sequence(sequence)));
    }
}

/// Polls `polls` times; every message must be whole, in order, and carry its own time.
fn read(reader: &mut Reader, polls: usize) -> (Vec<u64>, bool) {
    let mut got = Vec::new();
    for _ in 0..polls {
        match reader.poll().expect("an honest writer's frames are valid") {
            Poll::Frame(frame) if frame.kind == Kind::Message => {
                let sequence = frame.sequence.0;
                assert_eq!(frame.payload, message(sequence, frame.payload.len()), "torn");
                assert_eq!(frame.time_ns, 100 + sequence, "another frame's time");
                got.push(sequence);
            }
            Poll::Frame(_) | Poll::Empty => {}
            Poll::Lapped => return (got, true),
        }
    }
    assert!(got.windows(2).all(|pair| pair[0] + 1 == pair[1]), "order: {got:?}");
    (got, false)
}

fn model(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.max_branches = 10_000;
    builder.check(body);
}

/// Fresh memory: the commit word releases time and payload.
#[test]
fn a_frame_that_is_seen_is_whole() {
    model(3, || {
        let ring = ring();
        let (mut writer, view) = (ring.writer(), ring.view());
        let reader = thread::spawn(move || read(&mut Reader::at(view, Epoch(1), Position(0)), 3));
        publish(&mut writer, 0..1, SMALL);
        let (got, lapped) = reader.join().unwrap();
        assert!(!lapped && got.len() <= 1);
    });
}

/// A reader of the last lap's frames, while the writer zeroes its way round: the right frame, or lapped.
#[test]
fn a_frame_that_is_wiped_is_lapped_and_never_torn() {
    model(3, || {
        let ring = ring();
        let (mut writer, view) = (ring.writer(), ring.view());
        publish(&mut writer, 0..14, SMALL);
        let mut reader = Reader::at(view, Epoch(1), Position(BLOCK));
        assert!(matches!(reader.poll_any().unwrap(), Poll::Frame(_)));
        let reader = thread::spawn(move || read(&mut reader, 1));
        // Marks the next block, and zeroes as far as the header of 5 there.
        publish(&mut writer, 14..15, 48);
        assert_eq!(writer.tail().position, Position(2 * BLOCK + 208));
        let (got, _) = reader.join().unwrap();
        assert!(got.iter().all(|sequence| *sequence == 5), "{got:?}");
    });
}

/// A reader at the tail, on memory that holds the last lap: behind each frame it sees zero or the next commit.
#[test]
fn a_reader_at_the_tail_never_meets_the_last_lap() {
    model(3, || {
        let ring = ring();
        let (mut writer, view) = (ring.writer(), ring.view());
        publish(&mut writer, 0..11, SMALL);
        let mut reader = Reader::at(view, Epoch(1), Position(2 * BLOCK));
        let reader = thread::spawn(move || {
            let read = read(&mut reader, 3);
            (read, reader.position())
        });
        // Longer than what is zeroed ahead, and 2 stands behind it from the last lap.
        publish(&mut writer, 11..12, 96);
        assert_eq!(writer.tail().position, Position(2 * BLOCK + 160));
        let ((got, lapped), after) = reader.join().unwrap();
        assert!(!lapped && after <= Position(2 * BLOCK + 160), "{got:?}");
    });
}

/// A block that is marked, but still holds the last lap, is not there yet; nor is what stands behind its opening.
#[test]
fn a_block_is_entered_only_when_it_was_opened() {
    // Two preemptions find all that three find, in seconds instead of minutes.
    model(2, || {
        let ring = ring();
        let (mut writer, view) = (ring.writer(), ring.view());
        publish(&mut writer, 0..8, SMALL);
        // 8 marks and opens the third block, where the first one stands; a reader is there already.
        let reader = thread::spawn(move || read(&mut Reader::at(view, Epoch(1), Position(2 * BLOCK)), 2).0);
        publish(&mut writer, 8..9, 104);
        let got = reader.join().unwrap();
        assert!(got.iter().all(|sequence| *sequence == 8), "the last lap was delivered: {got:?}");
    });
}

/// A message of two frames: fragments are frames like others, so each is ordered by its own commit.
#[test]
fn a_message_of_several_frames_is_whole_or_not_there() {
    model(3, || {
        let ring = ring();
        let (mut writer, view) = (ring.writer(), ring.view());
        publish(&mut writer, 0..9, SMALL);
        let mut reader = Reader::at(view, Epoch(1), Position(BLOCK));
        assert_eq!(read(&mut reader, 4).0, [5, 6, 7, 8]);
        let reader = thread::spawn(move || read(&mut reader, 3));
        publish(&mut writer, 9..10, 120);
        assert_eq!(writer.tail().position, Position(2 * BLOCK + 48 + 16 + 56));
        let (got, lapped) = reader.join().unwrap();
        assert!(!lapped && (got.is_empty() || got == [9]), "{got:?}, lapped: {lapped}");
    });
}

/// The gate is the recorder's promise: what it has not taken stands.
#[test]
fn a_gated_recorder_is_never_lapped() {
    model(3, || {
        let ring = Ring::new(CAPACITY, Position(0), Sequence(0), Position(CAPACITY));
        let (mut writer, view) = (ring.writer(), ring.view());
        publish(&mut writer, 0..8, SMALL);
        let control = ring.control.clone();
        let recorder = thread::spawn(move || {
            let mut reader = Reader::at(view, Epoch(1), Position(0));
            // The Epoch frame and 0 to 4: the first block.
            let (taken, lapped) = read(&mut reader, 6);
            assert!(!lapped && reader.position() == Position(BLOCK), "{taken:?}");
            control.set_gate(Position(BLOCK + CAPACITY));
            let (rest, lapped) = read(&mut reader, 3);
            assert!(!lapped);
            assert_eq!(rest, [5, 6, 7]);
        });
        // Back-pressured until the first block was taken, whose memory these two then wipe.
        let offered = [8, 9].map(|sequence| writer.offer(&message(sequence, 96), 100 + sequence).unwrap());
        recorder.join().unwrap();
        let tail = writer.tail().position;
        assert!(offered.contains(&Offer::BackPressured) || tail > Position(CAPACITY), "{offered:?}");
    });
}

/// A reader that found nothing falls asleep, while the writer publishes and the core looks after another sleeper: the
/// core's turn after all that wakes it, if none before did. The words `ask` and `bell` stand for the kernel's.
#[test]
fn nobody_falls_asleep_on_a_message() {
    model(3, || {
        let ring = ring();
        let area = AreaMut::new(RegionMut::heap(Area::LEN_BYTES));
        let (ask, tail) = (Arc::new(AtomicU64::new(0)), ring.tail.position);
        let mut lookout = Lookout::default();
        lookout.watch(ring.view(), ring.control.reader(), &ring.start);
        (0..2).for_each(|key| lookout.join(key));
        lookout.ask(1, Asleep { position: tail, durability: 0 });
        let mut core = Core { lookout, ask: Arc::clone(&ask), area: area.reader(), woken: [false; 2] };

        let (view, mut writer) = (ring.view(), ring.writer());
        let reader = thread::spawn(move || {
            let mut reader = Reader::at(view, Epoch(1), Position(0));
            while let Poll::Frame(frame) = reader.poll_any().unwrap() {
                if frame.kind == Kind::Message {
                    return true;
                }
            }
            area.sleep(Asleep { position: reader.position(), durability: 0 });
            ask.fetch_add(1, Ordering::Release);
            false
        });
        let turns = thread::spawn(move || {
            core.turn();
            core
        });
        publish(&mut writer, 0..1, SMALL);
        let (got, mut core) = (reader.join().unwrap(), turns.join().unwrap());
        core.turn();
        assert!(core.woken[1] && (got || core.woken[0]), "a sleeper was not woken");
    });
}

struct Core {
    lookout: Lookout,
    ask: Arc<AtomicU64>,
    area: Area,
    woken: [bool; 2],
}

impl Core {
    fn turn(&mut self) {
        if self.ask.swap(0, Ordering::Acquire) != 0
            && let Some(asleep) = self.area.asleep()
        {
            self.lookout.ask(0, asleep);
        }
        self.lookout.look(|key| self.woken[key] = true);
    }
}

/// What is told of one message is never taken for what is told of another.
#[test]
fn how_far_a_publisher_was_taken_is_told_whole() {
    model(3, || {
        let told = |number| Accepted { number, position: Position(10 * number), sequence: Sequence(20 * number) };
        let control = ControlMut::open(RegionMut::heap(Control::LEN_BYTES), Position(0), Position(CAPACITY));
        control.accept(told(1), Position(CAPACITY));
        let page = control.reader();
        let core = thread::spawn(move || {
            control.accept(told(2), Position(CAPACITY));
            control.accept(told(3), Position(CAPACITY));
        });
        let mut last = 1;
        for _ in 0..2 {
            if let Some(accepted) = page.accepted() {
                assert!(accepted == told(accepted.number) && accepted.number >= last, "{accepted:?} after {last}");
                last = accepted.number;
            }
        }
        core.join().unwrap();
        assert_eq!(page.accepted(), Some(told(3)));
    });
}

/// A full ingress ring, of which the core takes one more message: its publisher writes on only when that message is in the
/// partition, and told to be.
#[test]
fn what_a_publisher_may_overwrite_is_in_the_partition_and_known_to_be() {
    model(3, || {
        let (ingress, partition) = (Ring::new(CAPACITY, Position(0), Sequence(1), Position(CAPACITY)), ring());
        let (mut publisher, mut owner) = (ingress.writer(), partition.writer());
        let mut handed_in = 0;
        while matches!(publisher.offer(&message(handed_in + 1, SMALL), 0).unwrap(), Offer::Published(_)) {
            handed_in += 1;
        }
        // The core has taken the first block, and is about to take the first message of the second.
        let mut core = Reader::at(ingress.view(), Epoch(1), Position(0));
        while core.position() < Position(BLOCK + 48) {
            assert!(matches!(core.poll_any().unwrap(), Poll::Frame(_)));
        }
        let mut subscriber = Reader::at(partition.view(), Epoch(1), Position(0));
        while matches!(subscriber.poll_any().unwrap(), Poll::Frame(_)) {}
        let (control, next) = (ingress.control.clone(), core.sequence().unwrap().0);
        let core = thread::spawn(move || {
            let Poll::Frame(frame) = core.poll_any().unwrap() else { panic!("it was committed before") };
            let origin = Origin::new(1, frame.sequence.0).unwrap();
            let Offer::Published(put) = owner.offer_from(origin, frame.payload, 0).unwrap() else { panic!("no room") };
            let accepted = Accepted { number: next, position: put.position, sequence: put.sequence };
            control.accept(accepted, core.position().block().plus(CAPACITY));
        });
        if matches!(publisher.offer(&message(handed_in + 1, SMALL), 0).unwrap(), Offer::Published(_)) {
            assert_eq!(publisher.control().accepted().map(|accepted| accepted.number), Some(next));
            let Ok(Poll::Frame(frame)) = subscriber.poll_any() else { panic!("it is not in the partition") };
            assert_eq!((frame.origin, frame.payload), (Origin::new(1, next), &message(next, SMALL)[..]));
        }
        core.join().unwrap();
    });
}
