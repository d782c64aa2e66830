//! What a reader may be told, and must be.

use crate::world::World;
use oyez::{Durability, Epoch, EventKind, GapCause, Message, Sequence, Start};
use std::collections::BTreeMap;

/// The judge of one reader.
pub(crate) struct Oracle {
    world: World,
    durability: Durability,
    next: Option<Sequence>,
    epoch: Epoch,
    /// Whether nothing has told yet which epoch the start lies in.
    is_fresh: bool,
    /// Publish time below which nothing may come.
    not_before_ns: u64,
    is_behind: bool,
    /// What the reader has, as it stands after every `Rewound`.
    has: BTreeMap<Sequence, Epoch>,
    /// Where the run of the reader begins: everything from here on must come.
    from: Option<Sequence>,
    /// What a start by sequence asked for.
    starts_with: Option<Sequence>,
    /// Losses before the start.
    losses: usize,
    /// Everything below was told to be missing, while nothing told yet with which message a start by time begins.
    missing: Sequence,
}

impl Oracle {
    pub(crate) fn new(world: &World, durability: Durability, start: Start, before: Option<&Oracle>) -> Oracle {
        let (next, epoch) = match start {
            Start::Sequence(sequence) => (Some(sequence), Epoch(0)),
            Start::Resume { epoch, sequence } => (Some(sequence), epoch),
            Start::Live => (Some(world.tail_sequence()), world.newest()),
            _ => (None, Epoch(0)),
        };
        let starts_with = if let Start::Sequence(sequence) = start { Some(sequence) } else { None };
        let losses = world.state().losses;
        let not_before_ns = if let Start::Time(time_ns) = start { time_ns } else { 0 };
        let has = match (start, before) {
            (Start::Resume { .. }, Some(before)) => before.has.clone(),
            _ => BTreeMap::new(),
        };
        Oracle {
            world: world.clone(),
            durability,
            next,
            epoch,
            is_fresh: true,
            not_before_ns,
            is_behind: true,
            has,
            from: next,
            starts_with,
            losses,
            missing: Sequence(0),
        }
    }

    /// A start that finds its number at once must come to it.
    pub(crate) fn begins_with(&mut self, epoch: Epoch, sequence: Option<Sequence>) {
        self.epoch = epoch;
        assert!(self.next.is_none() || self.next == sequence, "starts with {sequence:?}, not {:?}", self.next);
        if self.not_before_ns == 0 {
            self.next = sequence;
            self.from = sequence;
        }
    }

    pub(crate) fn next(&self) -> Option<Sequence> {
        self.next
    }

    /// Where the reader would go on after its process died.
    pub(crate) fn resume(&self) -> Option<(Epoch, Sequence)> {
        self.next.filter(|_| !self.is_fresh).map(|next| (self.epoch, next))
    }

    /// Whether the reader waits for the very message it started with, and that was taken back.
    pub(crate) fn is_ahead(&self, wanted: Sequence) -> bool {
        self.starts_with == Some(wanted) && self.is_fresh && self.world.state().losses > self.losses
    }

    pub(crate) fn judge(&mut self, event: EventKind<'_>) {
        match event {
            EventKind::Message(message) => self.message(&message),
            EventKind::Epoch { epoch, sequence, position } => self.epoch(epoch, sequence, position),
            EventKind::Gap { from, to, cause } => self.gap(from, to, cause),
            EventKind::Rewound { from, to } => self.rewound(from, to),
            EventKind::Lapped { sequence } => {
                assert!(!self.is_behind, "lapped while it was behind already");
                assert!(self.seeks_time() || self.next == Some(sequence), "lapped at {sequence}, not {:?}", self.next);
                self.is_behind = true;
            }
            EventKind::CaughtUp { sequence } => {
                assert!(self.is_behind, "caught up without having been behind");
                assert!(self.next.is_none_or(|next| next == sequence), "caught up at {sequence}, not {:?}", self.next);
                self.is_behind = false;
                if !self.seeks_time() {
                    self.next = Some(sequence);
                    self.from = self.from.or(self.next);
                }
            }
            other => panic!("an event that nothing called for: {other:?}"),
        }
    }

    fn message(&mut self, message: &Message<'_>) {
        let Message { epoch, sequence, position, time_ns, bytes, .. } = *message;
        assert!(self.next.is_none_or(|next| next == sequence), "{sequence} came where {:?} was due", self.next);
        assert!(
            if self.is_fresh { epoch >= self.epoch } else { epoch == self.epoch },
            "of epoch {epoch} while in {}",
            self.epoch
        );
        assert!(time_ns >= self.not_before_ns, "published before the start");
        {
            let world = self.world.state();
            let told = world.ever.get(&(epoch, sequence)).unwrap_or_else(|| panic!("{epoch}/{sequence} never was"));
            assert_eq!((&told.bytes[..], told.time_ns, told.end), (bytes, time_ns, position), "{epoch}/{sequence}");
        }
        if self.durability == Durability::Durable {
            assert!(position <= self.world.durable(), "{epoch}/{sequence} is not durable");
        }
        self.first(sequence, epoch);
        (self.next, self.epoch, self.is_fresh) = (Some(Sequence(sequence.0 + 1)), epoch, false);
        self.has.insert(sequence, epoch);
    }

    /// A start without a number begins with the first message that can be had.
    fn first(&mut self, sequence: Sequence, epoch: Epoch) {
        if self.next.is_some() {
            return;
        }
        self.from = Some(sequence);
        let world = self.world.state();
        let skipped = world.standing.range(..sequence).filter(|(sequence, holder)| {
            let name = (**holder, **sequence);
            world.ever[&name].time_ns >= self.not_before_ns && !world.lost.contains_key(&name)
        });
        // Of an unrecorded ring some is left out at the start, so as not to be lapped at once.
        if world.is_recorded() && world.standing.get(&sequence) == Some(&epoch) {
            assert_eq!(skipped.count(), 0, "messages before {sequence} could have been had");
        }
    }

    fn epoch(&mut self, epoch: Epoch, sequence: Sequence, position: oyez::Position) {
        assert!(epoch > self.epoch, "epoch {epoch} after {}", self.epoch);
        // What it started with was lost before it came to it: that number may be given again.
        let waits = self.is_fresh && self.starts_with > Some(sequence) && self.starts_with == self.next;
        let is_due = waits || self.next.is_none_or(|next| next == sequence);
        assert!(is_due, "epoch {epoch} begins at {sequence}, not {:?}", self.next);
        let world = self.world.state();
        let start = world.epochs.iter().find(|start| start.epoch == epoch).expect("it was granted");
        assert_eq!((start.sequence, start.position), (sequence, position), "start of epoch {epoch}");
        drop(world);
        self.epoch = epoch;
        if !self.seeks_time() && !waits {
            self.is_fresh = false;
            self.next = Some(sequence);
            self.from = self.from.or(self.next);
        }
    }

    /// Until the first message after a start by time nobody knows what is due.
    fn seeks_time(&self) -> bool {
        self.not_before_ns > 0 && self.next.is_none()
    }

    fn gap(&mut self, from: Sequence, to: Sequence, cause: GapCause) {
        assert!(self.seeks_time() || self.next == Some(from), "a gap from {from} where {:?} was due", self.next);
        assert!(to > from, "an empty gap");
        {
            let world = self.world.state();
            // What stands of a later epoch comes after the Rewound that leads there.
            let is_here = |epoch: Epoch| self.epoch == Epoch(0) || epoch <= self.epoch;
            for (sequence, epoch) in world.standing.range(from..to).filter(|(_, epoch)| is_here(**epoch)) {
                let lost = world.lost.get(&(*epoch, *sequence));
                // The rest of what lapped it is left out up to the middle of the ring; the first must truly be gone.
                let lapped = !world.is_recorded() && cause == GapCause::Lapped;
                let lapped = lapped && (*sequence > from || world.is_overwritten(*epoch, *sequence));
                assert!(lost.is_some() || lapped, "{sequence} is in a gap ({cause:?}), and could be had");
            }
            if world.is_recorded() {
                assert!(matches!(cause, GapCause::Retention | GapCause::Corrupt), "a gap of cause {cause:?}");
            }
        }
        if self.seeks_time() {
            self.missing = to;
        } else {
            self.next = Some(to);
        }
    }

    fn rewound(&mut self, from: Sequence, to: Sequence) {
        assert!(self.seeks_time() || self.next == Some(from), "rewound from {from} where {:?} was due", self.next);
        assert!(to < from, "rewound forward");
        let tail = self.world.tail_sequence();
        let world = self.world.state();
        let later = world.epochs.iter().filter(|start| start.epoch > self.epoch).map(|start| start.sequence).min();
        // The newest epochs may have been taken back without a later one that says so.
        let least = later.map(|least| least.min(tail)).filter(|_| self.epoch > Epoch(0));
        assert_eq!(least.unwrap_or(to), to, "rewound to the least start of all later epochs");
        drop(world);
        if self.seeks_time() {
            return;
        }
        drop(self.has.split_off(&to));
        self.next = Some(to);
        self.from = self.from.map(|from| from.min(to));
    }

    /// The reader has, of what stands, everything since its start that can be had, and nothing else.
    pub(crate) fn finish(&self) {
        if self.next.is_some_and(|next| self.is_ahead(next) && next > self.world.tail_sequence()) {
            return;
        }
        // Whether that message comes to its end decides which number is next.
        let cut = self.world.state().cut();
        if self.is_behind && cut.is_some_and(|cut| self.next.is_none_or(|next| next <= cut)) {
            return;
        }
        assert!(!self.is_behind, "never caught up");
        let tail = self.world.tail_sequence();
        let is_due = |(sequence, epoch): (&Sequence, &Epoch)| {
            let world = self.world.state();
            let name = (*epoch, *sequence);
            world.ever[&name].time_ns >= self.not_before_ns && !world.lost.contains_key(&name)
        };
        if self.seeks_time() {
            let standing = self.world.state().standing.clone();
            let mut due = standing.range(self.missing..).filter(|named| is_due(*named));
            return assert!(due.next().is_none(), "what was published after the start never came");
        }
        assert_eq!(self.next, Some(tail), "not everything came");
        let world = self.world.state();
        for (sequence, epoch) in &self.has {
            assert_eq!(world.standing.get(sequence), Some(epoch), "{sequence} is of an epoch that was taken back");
        }
        if world.is_recorded() {
            let from = self.from.unwrap_or(tail);
            for (sequence, epoch) in world.standing.range(from..) {
                let name = (*epoch, *sequence);
                assert!(self.has.contains_key(sequence) || world.lost.contains_key(&name), "{name:?} never came");
            }
        }
    }
}
