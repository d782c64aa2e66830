//! The cursor against a plain list: random publishing, recording, flushing, lapping, changes of owner, losses, retention
//! and damage, with readers that are slow, stopped, or told of things late. Every sequence comes exactly once and in
//! order, or an event says with exact bounds what became of it; nothing comes before it is as durable as was asked.
//!
//! The rings are real ones; the journal, the broker and its news are simulated (`world.rs`, `view.rs`); `oracle.rs` judges.

mod oracle;
mod view;
mod world;

use oracle::Oracle;
use oyez::cursor::{Cursor, CursorError};
use oyez::{Durability, EventKind, Start};
use proptest::prelude::*;
use view::View;
use world::World;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Publish {
        messages: usize,
        len_bytes: usize,
    },
    Record {
        frames: usize,
    },
    Flush,
    /// The owner stands within a message, of which so many fragments are out, and perhaps the opening of a block: the rest
    /// comes with what it publishes next, or never.
    StandWithin {
        fragments: usize,
        opens_block: bool,
    },
    /// The owner goes, and another comes.
    ChangeOwner,
    /// The owner goes, and nobody comes yet.
    EndEpoch,
    /// The rings of ended epochs that are recorded whole are let go.
    CloseRings,
    /// Broker and keeper die, the ring is lost with them; the owner publishes on for a while until it hears of it.
    LoseRing {
        recorded: usize,
        in_vain: usize,
    },
    /// The machine loses power: only what was flushed, and some of what was written, is left. Readers start anew.
    PowerCut {
        written: usize,
    },
    Retain {
        blocks: u64,
    },
    Damage {
        block: usize,
    },
    /// A reader's connection learns what has happened so far.
    Tell {
        reader: usize,
    },
    /// It learns of new epochs first.
    Hint {
        reader: usize,
    },
    /// The next answers of a reader's journal are late.
    Delay {
        reader: usize,
        polls: u32,
    },
    Poll {
        reader: usize,
        limit: usize,
    },
    /// A reader is given up and another starts.
    Restart {
        reader: usize,
        start: Begin,
    },
    /// The same reader goes elsewhere.
    Seek {
        reader: usize,
        start: Begin,
    },
}

#[derive(Clone, Copy, Debug)]
enum Begin {
    Live,
    Earliest,
    /// A part of what there is, in 1/64.
    Sequence(u64),
    Resume,
    Time(u64),
}

const READERS: usize = 3;

fn begins() -> impl Strategy<Value = Begin> {
    prop_oneof![
        Just(Begin::Live),
        Just(Begin::Earliest),
        (0..=64_u64).prop_map(Begin::Sequence),
        Just(Begin::Resume),
        (0..=64_u64).prop_map(Begin::Time),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let reader = || 0..READERS;
    prop_oneof![
        6 => (1..80_usize, prop_oneof![3 => 3000..4096_usize, 1 => 8..200_usize])
            .prop_map(|(messages, len_bytes)| Step::Publish { messages, len_bytes }),
        3 => (1..4_usize, 4097..=world::MESSAGE_BYTES_MAX)
            .prop_map(|(messages, len_bytes)| Step::Publish { messages, len_bytes }),
        2 => (1..4_usize, any::<bool>())
            .prop_map(|(fragments, opens_block)| Step::StandWithin { fragments, opens_block }),
        6 => (1..100_usize).prop_map(|frames| Step::Record { frames }),
        3 => Just(Step::Flush),
        2 => Just(Step::ChangeOwner),
        1 => Just(Step::EndEpoch),
        1 => Just(Step::CloseRings),
        1 => (0..8_usize, 0..6_usize).prop_map(|(recorded, in_vain)| Step::LoseRing { recorded, in_vain }),
        1 => (0..8_usize).prop_map(|written| Step::PowerCut { written }),
        1 => (1..6_u64).prop_map(|blocks| Step::Retain { blocks }),
        1 => (0..16_usize).prop_map(|block| Step::Damage { block }),
        6 => reader().prop_map(|reader| Step::Tell { reader }),
        2 => reader().prop_map(|reader| Step::Hint { reader }),
        1 => (reader(), 1..4_u32).prop_map(|(reader, polls)| Step::Delay { reader, polls }),
        10 => (reader(), 1..80_usize).prop_map(|(reader, limit)| Step::Poll { reader, limit }),
        4 => (reader(), 1..3_usize).prop_map(|(reader, limit)| Step::Poll { reader, limit }),
        1 => (reader(), begins()).prop_map(|(reader, start)| Step::Restart { reader, start }),
        1 => (reader(), begins()).prop_map(|(reader, start)| Step::Seek { reader, start }),
    ]
}

/// A cursor and its judge.
struct Reader {
    cursor: Cursor<View>,
    view: View,
    oracle: Oracle,
}

impl Reader {
    fn start(world: &World, durability: Durability, begin: Begin, before: Option<&Oracle>) -> Reader {
        let view = View::new(world);
        let mut cursor = Cursor::new(view.clone(), durability);
        let oracle = seek(&mut cursor, &view, world, durability, begin, before);
        Reader { cursor, view, oracle }
    }

    fn seek(&mut self, world: &World, durability: Durability, begin: Begin) {
        self.oracle = seek(&mut self.cursor, &self.view, world, durability, begin, Some(&self.oracle));
    }

    fn poll(&mut self, limit: usize) -> usize {
        let Reader { cursor, oracle, view } = self;
        let mut given = 0;
        let polled = cursor.poll(limit, |event| {
            given += 1;
            if let EventKind::Message(message) = event {
                assert!(message.position <= view.told_end(message.epoch), "above the end that was told");
            }
            oracle.judge(event);
        });
        let polled = match polled {
            // It started with a message that was lost before it came to it.
            Err(CursorError::Ahead { wanted, .. }) if oracle.is_ahead(wanted) => return 0,
            polled => polled.expect("nothing is wrong that a reader could not read around"),
        };
        assert_eq!(polled, given, "the count of events");
        assert!(polled <= limit, "{polled} events for a limit of {limit}");
        assert_eq!(cursor.next_sequence(), self.oracle.next().or(cursor.next_sequence()), "the next sequence");
        polled
    }

    /// Everything that there is comes, once all is recorded, flushed and told.
    fn finish(&mut self) {
        self.view.delay(0);
        self.view.tell();
        for _ in 0..100_000 {
            if self.poll(64) == 0 {
                self.view.tell();
                if self.poll(64) == 0 {
                    return self.oracle.finish();
                }
            }
        }
        panic!("the reader gives events without end");
    }
}

/// What judges a cursor from there on.
fn seek(
    cursor: &mut Cursor<View>,
    view: &View,
    world: &World,
    durability: Durability,
    begin: Begin,
    before: Option<&Oracle>,
) -> Oracle {
    let start = match (begin, before.and_then(Oracle::resume)) {
        (Begin::Live, _) => Start::Live,
        (Begin::Earliest, _) => Start::Earliest,
        (Begin::Sequence(part), _) => Start::Sequence(world.sequence_at(part)),
        (Begin::Time(part), _) => Start::Time(world.time_at(part)),
        (Begin::Resume, Some((epoch, sequence))) => Start::Resume { epoch, sequence },
        (Begin::Resume, None) => Start::Earliest,
    };
    view.tell();
    while !cursor.seek(start).expect("what was published can be sought") {
        view.tell();
    }
    let mut oracle = Oracle::new(world, durability, start, before);
    oracle.begins_with(cursor.epoch(), cursor.next_sequence());
    oracle
}

fn run(recorded: bool, durability: Durability, steps: &[Step]) {
    let world = World::new(recorded);
    let mut readers: Vec<Reader> =
        (0..READERS).map(|_| Reader::start(&world, durability, Begin::Earliest, None)).collect();
    for step in steps {
        match *step {
            Step::Publish { messages, len_bytes } => world.publish(messages, len_bytes),
            Step::Record { frames } => world.record(frames),
            Step::Flush => world.flush(),
            Step::StandWithin { fragments, opens_block } => world.stand_within(fragments, opens_block),
            Step::ChangeOwner => world.change_owner(),
            Step::EndEpoch => world.end_epoch(),
            Step::CloseRings => world.close_rings(),
            Step::LoseRing { recorded, in_vain } => world.lose_ring(recorded, in_vain),
            Step::PowerCut { written } => {
                if world.power_cut(written) {
                    for reader in &mut readers {
                        *reader = Reader::start(&world, durability, Begin::Resume, Some(&reader.oracle));
                    }
                }
            }
            Step::Retain { blocks } => world.retain(blocks),
            Step::Damage { block } => world.damage(block),
            Step::Tell { reader } => readers[reader].view.tell(),
            Step::Hint { reader } => readers[reader].view.hint(),
            Step::Delay { reader, polls } => readers[reader].view.delay(polls),
            Step::Poll { reader, limit } => drop(readers[reader].poll(limit)),
            Step::Restart { reader, start } => {
                let old = &readers[reader].oracle;
                readers[reader] = Reader::start(&world, durability, start, Some(old));
            }
            Step::Seek { reader, start } => readers[reader].seek(&world, durability, start),
        }
    }
    world.settle();
    readers.iter_mut().for_each(Reader::finish);
}

/// `PROPTEST_CASES` may ask for more.
fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: asked.cases.max(2_000), failure_persistence: None, max_shrink_iters: 2_000, ..asked }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_recorded_topic_loses_nothing(steps in prop::collection::vec(steps(), 1..150)) {
        run(true, Durability::Published, &steps);
    }

    #[test]
    fn a_reader_of_what_is_durable_is_never_ahead_of_it(steps in prop::collection::vec(steps(), 1..150)) {
        run(true, Durability::Durable, &steps);
    }

    #[test]
    fn an_unrecorded_topic_tells_every_loss(steps in prop::collection::vec(steps(), 1..150)) {
        run(false, Durability::Published, &steps);
    }
}

/// Its block is where the start is looked for, and nothing of it is wanted.
#[test]
fn a_large_message_from_before_a_start_by_time_is_no_gap() {
    let steps = [
        Step::ChangeOwner,
        Step::StandWithin { fragments: 1, opens_block: true },
        Step::Record { frames: 4 },
        Step::Flush,
        Step::Publish { messages: 2, len_bytes: 3_000 },
        Step::Restart { reader: 1, start: Begin::Time(43) },
        Step::Poll { reader: 1, limit: 1 },
    ];
    run(true, Durability::Durable, &steps);
}

/// The epoch that begins with the number it was asked for says that this one is due: what takes it back is told.
#[test]
fn a_start_that_a_lost_epoch_has_confirmed_is_rewound() {
    let steps = [
        Step::Publish { messages: 2, len_bytes: 3_000 },
        Step::Seek { reader: 0, start: Begin::Sequence(64) },
        Step::ChangeOwner,
        Step::Tell { reader: 0 },
        Step::LoseRing { recorded: 0, in_vain: 0 },
        Step::Poll { reader: 0, limit: 1 },
    ];
    run(true, Durability::Published, &steps);
}

/// All that was asked for is gone, and nothing durable has come since.
#[test]
fn what_is_missing_before_an_epoch_without_messages_is_told_of_what_is_durable_too() {
    let steps = [
        Step::Publish { messages: 1, len_bytes: 3_000 },
        Step::StandWithin { fragments: 1, opens_block: false },
        Step::Record { frames: 4 },
        Step::ChangeOwner,
        Step::Flush,
        Step::Retain { blocks: 1 },
        Step::Restart { reader: 0, start: Begin::Sequence(0) },
    ];
    run(true, Durability::Durable, &steps);
}

/// Nothing is left of what was published, and the number of what comes next is not known.
#[test]
fn a_start_within_a_message_is_not_caught_up_before_that_comes_to_its_end() {
    for start in [Begin::Earliest, Begin::Sequence(0)] {
        let steps = [
            Step::Publish { messages: 1, len_bytes: 3_000 },
            Step::StandWithin { fragments: 1, opens_block: false },
            Step::Record { frames: 4 },
            Step::Flush,
            Step::Retain { blocks: 1 },
            Step::Seek { reader: 0, start },
        ];
        run(true, Durability::Published, &steps);
        run(true, Durability::Durable, &steps);
    }
}

/// The ring begins within a message, and has gone past the start before the first poll.
#[test]
fn what_is_lapped_after_a_start_within_a_message_is_told() {
    let steps = [
        Step::Publish { messages: 4, len_bytes: 3_000 },
        Step::Publish { messages: 1, len_bytes: world::MESSAGE_BYTES_MAX },
        Step::Publish { messages: 1, len_bytes: 90_465 },
        Step::Publish { messages: 3, len_bytes: 96_673 },
        Step::Restart { reader: 0, start: Begin::Time(0) },
        Step::StandWithin { fragments: 2, opens_block: false },
    ];
    run(false, Durability::Published, &steps);
}

/// A message that begins in the journal and ends in the ring, which has lost its beginning, is lost once the journal fails.
#[test]
fn a_message_that_the_journal_has_in_part_when_it_fails_is_a_gap() {
    let world = World::new(true);
    world.publish(1, 3_000);
    world.publish(1, world::MESSAGE_BYTES_MAX);
    // The opening and the head, the small one, and the large one's first two fragments.
    world.record(6);
    for len_bytes in [3_000; 200] {
        world.publish(1, len_bytes);
    }
    let view = View::new(&world);
    let mut cursor = Cursor::new(view.clone(), Durability::Published);
    view.tell();
    assert!(cursor.seek(Start::Earliest).expect("it is there"));
    let mut told = Vec::new();
    let mut poll = |cursor: &mut Cursor<View>| {
        while cursor.poll(8, |event| told.push(event_of(&event))).expect("nothing is wrong") > 0 {}
        told.clone()
    };
    assert_eq!(poll(&mut cursor), ["message 0"]);
    world.fail_journal();
    let told = poll(&mut cursor);
    assert_eq!(told[1..4], ["gap 1..2 Lost", "caught up 2", "message 2"]);
    assert_eq!(told.last(), Some(&format!("message {}", world.tail_sequence().0 - 1)));
}

fn event_of(event: &EventKind<'_>) -> String {
    match event {
        EventKind::Message(message) => format!("message {}", message.sequence),
        EventKind::Gap { from, to, cause } => format!("gap {from}..{to} {cause:?}"),
        EventKind::CaughtUp { sequence } => format!("caught up {sequence}"),
        other => format!("{other:?}"),
    }
}
