//! Random runs of publishing, recording, dying and coming back, against a plain list of what was published.
//!
//! Nothing that was said to be durable is ever lost; nothing that was said to be written is lost with the process alone;
//! what is found again is always a clean prefix of what was published, and verifies whole.

mod support;

use oyez_journal::{Folder, Recovery};
use proptest::prelude::*;
use std::path::Path;
use support::faulty::Faulty;
use support::{Message, Topic, assert_same, folder, options, read};

#[derive(Clone, Debug)]
enum Step {
    /// Publish so many messages, with so many turns of the recorder after each hundred.
    Publish { messages: usize, turns: usize },
    /// Turns of the recorder alone; so many ms pass.
    Turns { count: usize, ms: u64 },
    /// What a reader finds now is a prefix, and reaches `written`.
    Look,
    /// A new owner.
    NewEpoch,
    /// The owner dies within a message of several frames, and another comes.
    Die { fragments: usize, opens_block: bool },
    /// The broker dies; the ring lives on.
    KillBroker,
    /// Broker and ring go.
    KillBoth,
    /// The power goes.
    CutPower,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1..400_usize, 0..12_usize).prop_map(|(messages, turns)| Step::Publish { messages, turns }),
        2 => (2_000..6_000_usize, 3..20_usize).prop_map(|(messages, turns)| Step::Publish { messages, turns }),
        4 => (1..60_usize, 0..150_u64).prop_map(|(count, ms)| Step::Turns { count, ms }),
        2 => Just(Step::Look),
        1 => Just(Step::NewEpoch),
        1 => (1..5_usize, any::<bool>()).prop_map(|(fragments, opens_block)| Step::Die { fragments, opens_block }),
        1 => Just(Step::KillBroker),
        1 => Just(Step::KillBoth),
        2 => Just(Step::CutPower),
    ];
    prop::collection::vec(step, 4..24)
}

struct Model<'d> {
    dir: &'d Path,
    topic: Topic,
    io: Faulty,
    seed: u64,
}

impl Model<'_> {
    fn take(self, step: &Step) -> Self {
        match *step {
            Step::Publish { messages, turns } => self.publish(messages, turns),
            Step::Turns { count, ms } => self.turns(count, ms),
            Step::Look => self.look(),
            Step::NewEpoch => self.new_epoch(),
            Step::Die { fragments, opens_block } => self.die(fragments, opens_block),
            Step::KillBroker => self.lose(|io| io.kill(), true, false),
            Step::KillBoth => self.lose(|io| io.kill(), false, false),
            Step::CutPower => self.lose(|io| io.cut_power(), false, true),
        }
    }

    fn publish(mut self, messages: usize, turns: usize) -> Self {
        for number in 0..messages {
            if number % 100 == 0 {
                (0..turns).for_each(|_| self.topic.turn(&mut self.io));
            }
            if !self.topic.publish() {
                break;
            }
        }
        self
    }

    fn turns(mut self, count: usize, ms: u64) -> Self {
        self.topic.now_ns += ms * 1_000_000;
        (0..count).for_each(|_| self.topic.turn(&mut self.io));
        self
    }

    fn look(self) -> Self {
        let written = self.topic.control().written();
        let found = read(self.dir);
        let reached = found.last().map_or(0, |message| message.end.0);
        let missing = self.topic.published.get(found.len()).is_some_and(|next| next.end <= written);
        assert!(!missing, "{reached} was reached, {written} is written");
        assert_same(&found, &self.topic.published[..found.len()], "a look");
        self
    }

    fn new_epoch(mut self) -> Self {
        let tail = self.topic.end_epoch(&mut self.io);
        self.topic.begin_epoch(tail);
        self
    }

    fn die(mut self, fragments: usize, opens_block: bool) -> Self {
        self.topic.all_durable(&mut self.io);
        let tail = self.topic.die_within(fragments, opens_block);
        self.topic.end_epoch_at(&mut self.io, tail);
        self.topic.begin_epoch(tail);
        self
    }

    fn lose(self, end: impl FnOnce(Faulty), ring_lives: bool, power: bool) -> Self {
        let Model { dir, topic, io, seed } = self;
        let (written, durable) = (topic.control().written(), topic.control().durable());
        end(io);
        let (ring, mut published, now_ns) = topic.outlived();
        let least = if power { durable } else { written };
        let (mut topic, recovery) = Topic::open(dir, &options());
        let tail = recovery.tail;
        assert!(tail.position >= least, "{least} was promised: {recovery:?}");
        assert_eq!(recovery.corrupt, [], "nothing was corrupted: {recovery:?}");
        judge_folder(dir, &recovery, &published);
        topic.now_ns = now_ns;
        if ring_lives {
            topic.adopt(ring.expect("an epoch is always open"), published, tail);
        } else {
            published.truncate(tail.sequence.0 as usize);
            topic.begin_epoch(tail);
            topic.published = published;
        }
        Model { dir, topic, io: Faulty::new(seed.wrapping_mul(31)), seed: seed.wrapping_mul(31) }
    }
}

fn judge_folder(dir: &Path, recovery: &Recovery, published: &[Message]) {
    let found = read(dir);
    assert_same(&found, &published[..recovery.tail.sequence.0 as usize], "what was recovered");
    let verified = Folder::open(dir).unwrap().verify(&mut |_, _| ()).unwrap();
    assert_eq!((verified.corrupt, verified.torn), (vec![], None), "and all of it verifies");
    assert_eq!(verified.messages as usize, found.len());
}

fn cases() -> u32 {
    std::env::var("OYEZ_MODEL_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_promise_is_broken(steps in steps(), seed in any::<u64>(), eagerness in 3..100_u64) {
        let dir = folder();
        let mut model = Model { dir: dir.path(), topic: Topic::begin(dir.path(), &options()), io: Faulty::new(seed), seed };
        for step in &steps {
            model.io.eagerness = eagerness;
            model = model.take(step);
        }
        model = model.new_epoch().look();
        model.topic.idle(&mut model.io);
    }
}
