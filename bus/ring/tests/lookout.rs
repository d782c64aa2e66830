//! Who is woken, and by what; and the bytes of an area.
#![cfg(not(loom))]

mod support;

use oyez_ring::{
    Area, AreaMut, Asleep, BLOCK, Epoch, Lookout, Offer, Position, Progress, RegionMut, Sequence, State, Writer,
};
use support::Ring;

const CAPACITY: u64 = 16 * BLOCK;
const PUBLISHED: u64 = 0;
const WRITTEN: u64 = 1;
const DURABLE: u64 = 2;

struct House {
    ring: Ring,
    writer: Writer,
    lookout: Lookout,
}

impl House {
    fn new() -> House {
        let ring = Ring::new(CAPACITY, Position(0), Sequence(0), Position(u64::MAX));
        let (writer, mut lookout) = (ring.writer(), Lookout::default());
        lookout.watch(ring.view(), ring.control.reader(), &ring.start);
        (0..64).for_each(|key| lookout.join(key));
        House { ring, writer, lookout }
    }

    fn publish(&mut self, count: u64) {
        for _ in 0..count {
            let offer = self.writer.offer(&[7; 64], 5).expect("a length in bounds");
            assert!(matches!(offer, Offer::Published(_)));
        }
    }

    fn tail(&self) -> Position {
        self.writer.tail().position
    }

    fn sleep(&mut self, key: usize, position: Position, durability: u64) {
        self.lookout.ask(key, Asleep { position, durability });
    }

    /// Everybody who is woken before nothing is left to do, ascending.
    fn woken(&mut self) -> Vec<usize> {
        let mut woken = Vec::new();
        while self.lookout.look(|key| woken.push(key)) > 0 {}
        woken.sort_unstable();
        woken
    }
}

#[test]
fn sleepers_at_the_tail_are_woken_by_the_next_message_each_once() {
    let mut house = House::new();
    house.publish(3);
    (0..40).for_each(|key| house.sleep(key, house.tail(), PUBLISHED));
    assert!(house.woken().is_empty());
    house.publish(1);
    assert_eq!(house.woken(), (0..40).collect::<Vec<_>>());
    house.publish(1);
    assert!(house.woken().is_empty());
}

#[test]
fn whoever_falls_asleep_behind_what_others_were_woken_by_is_woken_too() {
    let mut house = House::new();
    let before = house.tail();
    house.sleep(0, before, PUBLISHED);
    house.publish(1);
    house.sleep(1, house.tail(), PUBLISHED);
    assert_eq!(house.woken(), [0]);
    house.sleep(2, before, PUBLISHED);
    assert_eq!(house.woken(), [2]);
}

#[test]
fn one_look_wakes_few() {
    let mut house = House::new();
    (0..64).for_each(|key| house.sleep(key, house.tail(), PUBLISHED));
    house.publish(1);
    let mut woken = 0;
    house.lookout.look(|_| woken += 1);
    assert!((1..=16).contains(&woken), "{woken}");
    assert_eq!(woken + house.woken().len(), 64);
}

#[test]
fn one_look_compares_few_and_nobody_waits_for_ever_behind_others() {
    let mut house = House::new();
    (0..2_000).for_each(|key| house.lookout.join(key));
    let never = Position(house.tail().0 + CAPACITY);
    (0..1_000).for_each(|key| house.sleep(key, never, DURABLE));
    house.sleep(1_999, house.tail(), PUBLISHED);
    (1_000..1_999).for_each(|key| house.sleep(key, never, DURABLE));
    assert!(house.woken().is_empty());
    let mut woken = None;
    let looks = (1..).find(|_| {
        house.publish(1);
        assert!(house.lookout.look(|key| woken = Some(key)) > 0, "or the core would sleep");
        woken.is_some()
    });
    assert_eq!((woken, looks.is_some_and(|looks| (2..=9).contains(&looks))), (Some(1_999), true), "{looks:?}");
    // Who falls asleep is compared, and with it no other.
    assert!(house.woken().is_empty());
    house.sleep(1_999, Position(0), PUBLISHED);
    house.lookout.look(|key| woken = Some(key + 1));
    assert_eq!(woken, Some(2_000));
}

#[test]
fn whatever_is_asked_left_and_published_in_between_each_is_woken_by_what_it_waits_for_and_by_nothing_else() {
    let mut house = House::new();
    (0..600).for_each(|key| house.lookout.join(key));
    let mut waiting = std::collections::BTreeMap::new();
    let mut seed = 1_u64;
    let mut any = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    for _ in 0..60_000 {
        let key = any(600) as usize;
        match any(60) {
            0 => house.publish(1),
            1 => {
                house.lookout.leave(key);
                waiting.remove(&key);
            }
            at @ 2..5 => {
                let tail = house.tail();
                let mut wake = |key: usize| {
                    let position: Option<Position> = waiting.remove(&key);
                    assert!(position.is_some_and(|position| position < tail), "{key}: {position:?}");
                };
                // Mostly one look, and now and then all that there is to do.
                while house.lookout.look(&mut wake) > 0 && at == 2 {}
                assert!(at > 2 || waiting.values().all(|position| *position >= tail), "{waiting:?}");
            }
            _ => {
                let position = Position(house.tail().0 + 80 * any(30));
                house.sleep(key, position, PUBLISHED);
                waiting.insert(key, position);
            }
        }
    }
}

#[test]
fn what_is_asked_again_counts_and_who_leaves_is_not_woken() {
    let mut house = House::new();
    let before = house.tail();
    house.publish(1);
    house.sleep(0, house.tail(), PUBLISHED);
    house.sleep(0, before, PUBLISHED);
    house.sleep(1, house.tail(), PUBLISHED);
    house.lookout.leave(1);
    house.publish(1);
    assert_eq!(house.woken(), [0]);
}

#[test]
fn whoever_falls_asleep_after_another_has_left_is_compared() {
    let mut house = House::new();
    let begin = house.tail();
    house.publish(1);
    let tail = house.tail();
    house.sleep(0, tail, 0);
    house.sleep(1, tail, 0);
    assert_eq!(house.woken(), []);
    house.lookout.leave(0);
    // Its message came while it was falling asleep.
    house.sleep(2, begin, 0);
    assert_eq!(house.woken(), [2]);
}

#[test]
fn a_lookout_that_slept_while_the_ring_went_round_is_back_at_the_tail() {
    let mut house = House::new();
    for _ in 0..3 {
        house.publish(CAPACITY / 64);
        house.sleep(0, house.tail(), PUBLISHED);
        assert!(house.woken().is_empty());
        house.publish(1);
        assert_eq!(house.woken(), [0]);
    }
}

#[test]
fn each_durability_has_sleepers_of_its_own() {
    let mut house = House::new();
    let at = house.tail();
    house.publish(1);
    house.sleep(1, at, WRITTEN);
    house.sleep(2, at, DURABLE);
    house.sleep(3, at, 77);
    assert!(house.woken().is_empty(), "published is neither");
    house.ring.control.set_written(house.tail());
    assert_eq!(house.woken(), [1]);
    house.ring.control.set_durable(house.tail());
    assert_eq!(house.woken(), [2, 3]);
}

#[test]
fn what_is_not_on_disk_of_the_epoch_before_is_waited_for_in_the_next() {
    let mut house = House::new();
    let at = house.tail();
    house.publish(1);
    let end = house.tail();
    house.ring.control.set_end(end);
    house.ring.control.set_state(State::Ended);
    house.sleep(0, at, DURABLE);
    assert_eq!(house.woken(), [0], "the end is an event");
    let next = Ring::new(CAPACITY, Position(BLOCK), Sequence(1), Position(u64::MAX));
    house.lookout.watch(next.view(), next.control.reader(), &next.start);
    house.sleep(0, at, DURABLE);
    assert!(house.woken().is_empty(), "the page of the next epoch does not speak for this one");
    house.ring.control.set_durable(end);
    assert_eq!(house.woken(), [0]);
}

#[test]
fn what_the_broker_says_of_the_epoch_wakes_everybody_once() {
    let mut house = House::new();
    for state in [State::JournalFailed, State::Ended] {
        (0..40).for_each(|key| house.sleep(key, house.tail(), if key % 2 == 0 { PUBLISHED } else { DURABLE }));
        assert!(house.woken().is_empty());
        house.ring.control.set_state(state);
        assert_eq!(house.woken(), (0..40).collect::<Vec<_>>());
    }
    house.sleep(0, house.tail(), PUBLISHED);
    assert!(house.woken().is_empty());
}

#[test]
fn nobody_is_woken_by_what_stands_above_an_epochs_end() {
    let mut house = House::new();
    house.publish(1);
    let end = house.tail();
    house.publish(1);
    // A frame that no honest writer makes: a message of no length.
    house.ring.memory.store(house.tail().0 as usize, 1 << 32);
    house.ring.control.set_end(end);
    house.ring.control.set_state(State::Ended);
    house.sleep(0, end, PUBLISHED);
    assert_eq!(house.woken(), [0], "the end is an event");
    house.sleep(0, end, PUBLISHED);
    assert!(house.woken().is_empty());
}

#[test]
fn positions_that_cannot_be_harm_nobody_else() {
    let mut house = House::new();
    house.publish(1);
    house.sleep(0, Position(u64::MAX), 0);
    house.sleep(1, Position(house.tail().0 + 8), 0);
    house.sleep(2, Position(3), 0);
    house.sleep(3, house.tail(), PUBLISHED);
    assert_eq!(house.woken(), [2]);
    house.publish(1);
    assert_eq!(house.woken(), [1, 3]);
}

#[test]
fn a_mark_that_cannot_be_ends_no_process() {
    for mark in [u64::MAX, 1 << 63, 8, 0] {
        let mut house = House::new();
        house.publish(CAPACITY / 64);
        house.ring.memory.store(CAPACITY as usize, mark);
        house.sleep(0, house.tail(), PUBLISHED);
        house.woken();
    }
}

#[test]
fn golden_area() {
    let region = RegionMut::heap(Area::LEN_BYTES);
    let area = AreaMut::new(region.clone());
    let (position, sequence) = (Position(0x1234_5678), Sequence(42));
    area.tell(Progress { epoch: Epoch(7), position, sequence, time_ns: 1_700_000_000_000_000_000 });
    area.sleep(Asleep { position, durability: DURABLE });
    [0, 31, 32, 1_000, 1_000, 65_535, u64::MAX].into_iter().for_each(|latency_ns| area.record(latency_ns));
    let words = (0..Area::LEN_BYTES).step_by(8).map(|offset| (offset, region.load(offset)));
    let told: String =
        words.filter(|(_, word)| *word != 0).map(|(offset, word)| format!("{offset:5} {word:#x}\n")).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/area.txt");
    if std::env::var_os("OYEZ_BLESS").is_some() {
        std::fs::write(path, &told).expect("written");
    }
    assert_eq!(told, std::fs::read_to_string(path).expect("a golden file"), "docs/formats/area.md says otherwise");
}
