//! The sequencer without threads: what each of its turns does.

use super::*;
use crate::ring::IngressRing;
use oyez_ring::{
    Control, EpochStart, Memory, RegionMut, Sequence, Tail,
    layout::{FLAG_ORIGIN, INGRESS_EPOCH},
    write_head_of_many,
};

const CAPACITY: u64 = 32 * BLOCK;
const INGRESS: u64 = 4 * BLOCK;
const STRIDE: u64 = 4 * BLOCK;

/// A partition that the core owns, and its ring.
struct Owned {
    sequencer: Sequencer,
    region: RegionMut,
    control: ControlMut,
}

/// A publisher's side of its session.
struct Publisher {
    region: RegionMut,
    writer: Writer,
}

impl Owned {
    /// The gate stands where no recorder has come yet.
    fn new() -> Owned {
        let (epoch, position) = (Epoch(3), Position(0));
        let start = EpochStart { epoch, position, sequence: Sequence(0), time_ns: 0, previous_end: position };
        let region = RegionMut::heap(Memory::len_bytes(CAPACITY) as usize);
        let tail = write_head_of_many(&region, CAPACITY, &start, std::iter::empty(), 1);
        let control = ControlMut::open(RegionMut::heap(Control::LEN_BYTES), position, Position(CAPACITY));
        let writer = Writer::new(region.clone(), CAPACITY, control.reader(), epoch, tail);
        let sequencer = Sequencer::new(PartitionIndex(0), (writer, epoch), Lasts::new(), STRIDE, Arc::default());
        Owned { sequencer, region, control }
    }

    fn admit(&mut self, publisher: u16, number: u64) -> Publisher {
        let ring = IngressRing::new(INGRESS, Sequence(number + 1)).expect("memory");
        let accepted = Accepted { number, ..Accepted::default() };
        let region = RegionMut::map(&ring.data, Memory::len_bytes(INGRESS) as usize).expect("mapped");
        let tail = Tail { position: ring.tail, sequence: Sequence(number + 1), time_ns: 0 };
        let writer = Writer::new(region.clone(), INGRESS, ring.control.reader(), INGRESS_EPOCH, tail);
        self.sequencer.admit(Session::new(publisher, ring.reader, ring.control, 1 << 16, accepted));
        Publisher { region, writer }
    }

    /// Turns until there is nothing to do; who has left then, and why.
    fn turn(&mut self) -> Vec<(u16, u64, Option<String>)> {
        let (events, queue) = crate::event::queue().expect("descriptors");
        while self.sequencer.sequence(1) > 0 {}
        for _ in 0..=self.sequencer.sessions.len() {
            self.sequencer.report(&events);
        }
        let left = std::iter::from_fn(|| queue.take()).map(|event| match event {
            Event::IngressLeft(_, left) => (left.publisher, left.number(), left.broken.clone()),
            other => panic!("{other:?}"),
        });
        left.collect()
    }

    /// (publisher, number) of each message in the partition, and where `Publishers` frames stand.
    fn taken(&self) -> (Vec<(u16, u64)>, Vec<u64>) {
        let (mut messages, mut told) = (Vec::new(), Vec::new());
        let memory = Memory::new(self.region.reader(), CAPACITY);
        let mut reader = Reader::at(memory, Epoch(3), Position(0));
        while let Ok(Poll::Frame(frame)) = reader.poll() {
            match frame.kind {
                Kind::Publishers => told.push(frame.position.0),
                Kind::Message => messages.extend(frame.origin.map(|of| (of.publisher(), of.number()))),
                _ => {}
            }
        }
        (messages, told)
    }
}

impl Publisher {
    fn hand_in(&mut self, len_bytes: usize) -> bool {
        matches!(self.writer.offer(&vec![7; len_bytes], 0), Ok(Offer::Published(_)))
    }

    fn accepted(&self) -> u64 {
        self.writer.control().accepted().expect("nobody tells now").number
    }
}

#[test]
fn one_that_floods_takes_no_more_than_its_share_of_each_turn() {
    let mut owned = Owned::new();
    let (mut flood, mut calm) = (owned.admit(1, 0), owned.admit(2, 40));
    while flood.hand_in(16) {}
    assert!(calm.hand_in(16));
    owned.sequencer.sequence(1);
    assert_eq!(calm.accepted(), 41);
    assert!((1..=FRAMES_PER_TURN as u64).contains(&flood.accepted()), "{}", flood.accepted());
    assert_eq!(owned.turn(), []);
    assert!(flood.hand_in(16), "its gate has moved");
    let (messages, _) = owned.taken();
    assert_eq!(messages.iter().filter(|(of, _)| *of == 2).collect::<Vec<_>>(), [&(2, 41)]);
    assert!(messages.iter().filter(|(of, _)| *of == 1).map(|(_, number)| *number).eq(1..=flood.accepted()));
}

#[test]
fn a_turn_ends_however_many_have_more_and_the_next_begins_with_whoever_had_none() {
    let mut owned = Owned::new();
    let mut all: Vec<Publisher> = (1..=100).map(|publisher| owned.admit(publisher, 0)).collect();
    all.iter_mut().for_each(|one| while one.hand_in(1_000) {});
    let share = FRAMES_PER_TURN as u64;
    let (mut turns, mut served) = (0, 0);
    while served < all.len() {
        let bytes = owned.sequencer.sequence(1) as u64;
        assert!(bytes <= BYTES_PER_TURN + BLOCK, "{bytes} bytes in one turn");
        (turns, served) = (turns + 1, all.iter().filter(|one| one.accepted() > 0).count());
        owned.control.set_gate(owned.sequencer.writer.tail().position.plus(CAPACITY));
    }
    assert!(turns > 10 && all.iter().all(|one| one.accepted() <= share), "each once, in {turns} turns");
}

#[test]
fn what_is_not_honest_ends_its_own_session_and_no_other() {
    type Scribble = fn(&Publisher, Position);
    let cases: [(&str, Scribble); 6] = [
        ("Length", |p, at| p.region.store(at.0 as usize, 1 << 20 | 1 << 32)),
        ("Kind", |p, at| p.region.store(at.0 as usize, 64 | 31 << 32)),
        ("Sequence", |p, at| p.region.store(at.0 as usize, p.region.load(at.0 as usize) ^ 1 << 48)),
        ("an origin", |p, at| {
            // Of nobody, even.
            p.region.store(at.0 as usize + 16, 9 << 16);
            let word = p.region.load(at.0 as usize);
            p.region.store(at.0 as usize, word | u64::from(FLAG_ORIGIN) << 40);
        }),
        ("kind Publishers", |p, at| {
            let word = p.region.load(at.0 as usize) & !(0xff << 32);
            p.region.store(at.0 as usize, word | (Kind::Publishers as u64) << 32);
        }),
        ("overwritten", |p, _| p.region.store(INGRESS as usize, 100 * INGRESS)),
    ];
    for (cause, scribble) in cases {
        let mut owned = Owned::new();
        let (mut bad, mut good) = (owned.admit(1, 0), owned.admit(2, 0));
        assert!(bad.hand_in(64) && good.hand_in(64));
        owned.turn();
        let at = bad.writer.tail().position;
        assert!(bad.hand_in(64) && good.hand_in(64));
        scribble(&bad, at);
        let left = owned.turn();
        assert!(matches!(&left[..], [(1, 1, Some(broken))] if broken.contains(cause)), "{cause}: {left:?}");
        assert_eq!(bad.writer.control().state(), State::Broken);
        assert_eq!((good.accepted(), good.writer.control().state()), (2, State::Running), "{cause}");
        assert!(good.hand_in(64));
        assert_eq!(owned.turn(), []);
        let mut taken = owned.taken().0;
        taken.sort();
        assert_eq!(taken, [(1, 1), (2, 1), (2, 2), (2, 3)]);
    }
}

#[test]
fn of_a_message_of_which_a_part_was_read_nothing_is_given_up() {
    let mut owned = Owned::new();
    let mut publisher = owned.admit(1, 0);
    // It fills the rest of the first block, and its end is not there yet.
    assert!(publisher.hand_in(100) && publisher.hand_in(1 << 16));
    let last = Position(BLOCK + 48);
    let word = publisher.region.load(last.0 as usize);
    publisher.region.store(last.0 as usize, 0);
    owned.turn();
    assert_eq!((publisher.accepted(), publisher.writer.control().gate()), (1, Position(INGRESS)));
    publisher.region.store(last.0 as usize, word);
    owned.turn();
    assert_eq!((publisher.accepted(), publisher.writer.control().gate()), (2, Position(BLOCK + INGRESS)));
}

#[test]
fn how_far_everybody_was_taken_stands_no_further_apart_than_the_stride() {
    let mut owned = Owned::new();
    let (mut one, mut other) = (owned.admit(1, 0), owned.admit(2, 0));
    other.hand_in(8);
    for _ in 0..100 {
        assert!(one.hand_in(10_000));
        owned.turn();
    }
    let (messages, told) = owned.taken();
    assert_eq!(messages.len(), 101);
    let furthest = told.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(told.len() > 3 && furthest.is_some_and(|furthest| furthest <= STRIDE + 2 * BLOCK), "{told:?}");
    let last = |publisher, number| Last { origin: Origin::new(publisher, number).expect("one"), epoch: Epoch(3) };
    assert_eq!(owned.sequencer.lasts, Lasts::from([(1, last(1, 100)), (2, last(2, 1))]));
}

#[test]
fn who_goes_is_taken_to_the_end_of_what_it_has_handed_in_and_not_beyond() {
    let mut owned = Owned::new();
    let (mut gone, mut stays) = (owned.admit(1, 0), owned.admit(2, 0));
    while gone.hand_in(1_000) {}
    let handed_in = gone.writer.tail().sequence.0 - 1;
    assert!(stays.hand_in(64));
    owned.sequencer.dismiss(1);
    assert_eq!(owned.turn(), [(1, handed_in, None)]);
    assert_eq!(gone.writer.control().state(), State::Ended);
    // What comes later is nobody's.
    assert!(gone.hand_in(64));
    assert_eq!(owned.turn(), []);
    assert_eq!(owned.taken().0.len() as u64, handed_in + 1);
    assert!(!owned.sequencer.is_ceded());
    assert!(stays.hand_in(64));
    owned.sequencer.cede();
    assert_eq!(owned.turn(), [(2, 2, None)]);
    assert!(owned.sequencer.is_ceded());
}

#[test]
fn a_full_partition_holds_everybody_back_and_a_failed_one_tells_them() {
    let mut owned = Owned::new();
    let mut publisher = owned.admit(1, 0);
    let mut turns = 0;
    while publisher.hand_in(10_000) {
        turns += 1;
        owned.turn();
    }
    let accepted = publisher.accepted();
    assert!(accepted > 100 && turns > accepted, "{accepted} of {turns}: what is read can be put in");
    owned.control.set_gate(Position(2 * CAPACITY));
    owned.turn();
    assert_eq!(publisher.accepted(), turns);
    owned.control.set_state(State::JournalFailed);
    assert!(publisher.hand_in(64));
    owned.turn();
    assert_eq!(publisher.writer.control().state(), State::JournalFailed);
    assert_eq!(publisher.accepted(), turns);
    owned.sequencer.dismiss(1);
    assert_eq!(owned.turn(), [(1, turns, None)]);
}
