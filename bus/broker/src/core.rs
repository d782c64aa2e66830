//! A core: one pinned thread with its own I/O and its own recorders. In steady state nothing is allocated, opened or
//! closed here; whatever is slow is asked of the control thread by events and comes back as commands.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, unbounded};
use oyez_io::Io;
use oyez_journal::{Recorder, RecorderState, Segment, recorder_of};
use oyez_ring::{Control, ControlMut, Epoch, EpochStart, Memory, Position, Tail};

use crate::catalog::Idle;
use crate::event::{Event, Events, PartitionIndex};
use crate::log::log;
use crate::partition::{ConnectionId, Judged, RecorderHandle};
use crate::sleepers::{Sleeper, Sleepers};

/// A turn longer than this is counted as a stall.
const STALL: Duration = Duration::from_micros(50);
/// Longest sleep while I/O is under way: its completion opens the gate.
const SLEEP_IN_FLIGHT_MAX: Duration = Duration::from_micros(50);
/// How long recorders have, once told to stop, to note on disk how far they are durable.
pub(crate) const NOTE_MAX: Duration = Duration::from_millis(250);
/// How long a core that does not sleep may be deaf to readers that ask to be woken.
const LISTEN: Duration = Duration::from_micros(50);
/// Idle turns that spin, and idle turns up to which the thread yields, before it sleeps.
const SPINS: u32 = 64;
const YIELDS: u32 = 128;

/// What the control thread has a core do. `slot` is a recorder's place in the core.
#[derive(Debug)]
pub(crate) enum Command {
    /// Record this epoch next.
    Attach(Box<Attach>),
    /// The epoch being recorded ends here.
    End { slot: usize, end: Position },
    /// The segment that was wanted.
    Give { slot: usize, segment: Segment },
    /// This ring is the partition's newest.
    Watch(PartitionIndex, Memory, Control, EpochStart),
    /// A reader may sleep from now on.
    Join(Box<Sleeper>),
    /// A connection is gone, with all that read on it.
    Forget(ConnectionId),
    /// Go on for so long, finish what is under way, and return.
    Stop(Duration),
}

/// An epoch to record.
#[derive(Debug)]
pub(crate) struct Attach {
    pub(crate) slot: usize,
    pub(crate) memory: Memory,
    pub(crate) control: ControlMut,
    pub(crate) start: EpochStart,
    pub(crate) at: Tail,
}

/// A running core, as the control thread sees it.
#[derive(Debug)]
pub(crate) struct Core {
    commands: Sender<Command>,
    judged: Vec<Judged>,
    thread: JoinHandle<()>,
    counts: Arc<Counts>,
}

/// What a core counts.
#[derive(Debug, Default)]
struct Counts {
    turns: AtomicU64,
    stalls: AtomicU64,
}

/// How a core passes its time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) cpu: usize,
    pub(crate) idle: Idle,
    pub(crate) sleep_max: Duration,
}

impl Core {
    /// Starts the thread with its recorders, each with the partition it belongs to.
    pub(crate) fn start(
        pace: Pace,
        io: Box<dyn Io>,
        recorders: Vec<(PartitionIndex, Recorder)>,
        events: Events,
    ) -> std::io::Result<Core> {
        let (commands, queue) = unbounded();
        let counts = Arc::new(Counts::default());
        let slots: Vec<Slot> =
            recorders.into_iter().map(|(partition, recorder)| Slot::new(partition, recorder)).collect();
        let judged = slots.iter().map(|slot| Arc::clone(&slot.judged)).collect();
        let (sleepers, stopping, io_failed) = (Sleepers::new()?, None, false);
        let duty =
            Duty { io, slots, sleepers, commands: queue, events, counts: Arc::clone(&counts), stopping, io_failed };
        let thread = std::thread::Builder::new().name(format!("core-{}", pace.cpu)).spawn(move || duty.run(pace))?;
        Ok(Core { commands, judged, thread, counts })
    }

    /// Forgets the readers of a connection that is gone.
    pub(crate) fn forget(&self, connection: ConnectionId) {
        // A core that is gone has forgotten all.
        let _ = self.commands.send(Command::Forget(connection));
    }

    /// The way to the core, for what is not a recorder's.
    pub(crate) fn commands(&self) -> Sender<Command> {
        self.commands.clone()
    }

    /// The way to the recorder at this place.
    pub(crate) fn recorder(&self, slot: usize) -> RecorderHandle {
        RecorderHandle { commands: self.commands.clone(), slot, judged: Arc::clone(&self.judged[slot]) }
    }

    /// Turns above 50 µs so far.
    pub(crate) fn stalls(&self) -> u64 {
        self.counts.stalls.load(Ordering::Relaxed)
    }

    /// Turns so far.
    pub(crate) fn turns(&self) -> u64 {
        self.counts.turns.load(Ordering::Relaxed)
    }

    /// Asks it to stop, no sooner than after so long.
    pub(crate) fn ask_to_stop(&self, after: Duration) {
        // A core that is gone has stopped.
        let _ = self.commands.send(Command::Stop(after));
    }

    /// Waits until nothing is under way any more; it was asked to stop.
    pub(crate) fn join(self) {
        // A panic there has ended the process already.
        let _ = self.thread.join();
    }
}

/// A recorder, and what the control thread has been told of it.
struct Slot {
    partition: PartitionIndex,
    recorder: Recorder,
    /// What to record next, with its end if that is known: begun when nothing of the last epoch is under way.
    next: Option<(Attach, Option<Position>)>,
    wanting: bool,
    /// The epoch being recorded, and whether its end is known.
    epoch: Option<Epoch>,
    ended: bool,
    judged: Judged,
    /// There was work since `judged` was told.
    moved: bool,
    attached: Option<Epoch>,
    told: Told,
}

/// The last state told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Broken,
    Short,
    Done,
    Failed,
}

/// The thread's own state. `io` comes first, so that it is dropped first: its drop waits for what the kernel still
/// reads out of rings and recorders.
struct Duty {
    io: Box<dyn Io>,
    slots: Vec<Slot>,
    sleepers: Sleepers,
    commands: Receiver<Command>,
    events: Events,
    counts: Arc<Counts>,
    stopping: Option<Instant>,
    /// No operation is ever completed again.
    io_failed: bool,
}

impl Duty {
    fn run(mut self, pace: Pace) {
        if !core_affinity::set_for_current(core_affinity::CoreId { id: pace.cpu }) {
            log(format_args!("core {}: cannot be pinned there; name a CPU this process may use in `cores`", pace.cpu));
        }
        let mut idle_turns = 0;
        let mut heard = Instant::now();
        while self.stopping.is_none_or(|until| Instant::now() < until) {
            let began = Instant::now();
            let work = self.obey() + self.complete() + self.record() + self.sleepers.look() + self.report();
            let ended = Instant::now();
            self.counts.turns.fetch_add(1, Ordering::Relaxed);
            if ended - began > STALL {
                self.counts.stalls.fetch_add(1, Ordering::Relaxed);
            }
            idle_turns = if work > 0 { 0 } else { idle_turns + 1 };
            // One that has no time to sleep listens now and then all the same.
            let pause = self.pause(pace, idle_turns).or((ended - heard > LISTEN).then_some(Duration::ZERO));
            if let Some(pause) = pause {
                heard = ended;
                if self.sleepers.wait(pause) > 0 {
                    idle_turns = 0;
                }
            }
        }
        // An owner may publish on, under the next broker: what is under way is finished, and nothing more begun.
        while self.in_flight() > 0 {
            self.complete();
            std::thread::yield_now();
        }
    }

    fn obey(&mut self) -> usize {
        let mut count = 0;
        while let Ok(command) = self.commands.try_recv() {
            count += 1;
            match command {
                Command::Attach(attach) => {
                    let slot = attach.slot;
                    self.slots[slot].next = Some((*attach, None));
                }
                Command::End { slot, end } => self.slots[slot].end(end),
                Command::Give { slot, segment } => self.slots[slot].give(segment),
                Command::Watch(partition, memory, control, start) => {
                    self.sleepers.watch(partition, memory, control, &start);
                }
                Command::Join(sleeper) => self.sleepers.join(*sleeper),
                Command::Forget(connection) => self.sleepers.forget(connection),
                Command::Stop(after) => self.stopping = Some(Instant::now() + after),
            }
        }
        count
    }

    fn complete(&mut self) -> usize {
        let slots = &mut self.slots;
        let each = &mut |completion: oyez_io::Completion| {
            let slot = usize::from(recorder_of(completion.token));
            slots[slot].recorder.complete(completion);
        };
        match self.io.complete(each) {
            Ok(count) => count,
            Err(error) => {
                // No operation can be completed any more, so nothing written is ever known to be so.
                self.io_failed = true;
                for slot in &mut self.slots {
                    slot.recorder.fail("complete any operation", std::io::Error::new(error.kind(), error.to_string()));
                }
                0
            }
        }
    }

    fn record(&mut self) -> usize {
        let now_ns = self.io.now_ns();
        let io = &mut *self.io;
        self.slots.iter_mut().map(|slot| slot.attach_next() + slot.record(io, now_ns)).sum()
    }

    fn report(&mut self) -> usize {
        let events = &self.events;
        self.slots.iter_mut().map(|slot| slot.report(events)).sum::<usize>() + self.sleepers.report(events)
    }

    fn in_flight(&self) -> usize {
        if self.io_failed { 0 } else { self.slots.iter().map(|slot| slot.recorder.in_flight()).sum() }
    }

    /// How long to sleep after so many idle turns; else it spins or yields here.
    fn pause(&self, pace: Pace, idle_turns: u32) -> Option<Duration> {
        match pace.idle {
            _ if idle_turns == 0 => {}
            Idle::Spin => std::hint::spin_loop(),
            Idle::BackOff if idle_turns < SPINS => std::hint::spin_loop(),
            Idle::BackOff if idle_turns < YIELDS => std::thread::yield_now(),
            Idle::BackOff | Idle::Block if self.in_flight() > 0 => return Some(SLEEP_IN_FLIGHT_MAX),
            Idle::Block => return Some(pace.sleep_max),
            Idle::BackOff => {
                let doublings = (idle_turns - YIELDS).min(16);
                return Some((SLEEP_IN_FLIGHT_MAX * 2_u32.pow(doublings)).min(pace.sleep_max));
            }
        }
        None
    }
}

impl Slot {
    fn new(partition: PartitionIndex, recorder: Recorder) -> Slot {
        Slot {
            partition,
            recorder,
            next: None,
            wanting: false,
            epoch: None,
            ended: false,
            judged: Judged::default(),
            moved: false,
            attached: None,
            told: Told::Nothing,
        }
    }

    fn attach_next(&mut self) -> usize {
        if self.recorder.in_flight() > 0 {
            return 0;
        }
        let Some((Attach { memory, control, start, at, .. }, end)) = self.next.take() else { return 0 };
        if matches!(self.recorder.state(), RecorderState::Failed { .. }) {
            // The control thread asked before it had heard.
            return 1;
        }
        self.recorder.attach(memory, control, &start, at);
        self.epoch = Some(start.epoch);
        self.attached = Some(start.epoch);
        self.told = Told::Nothing;
        self.ended = end.is_some();
        if let Some(end) = end {
            self.recorder.end_epoch(end);
        }
        1
    }

    fn record(&mut self, io: &mut dyn Io, now_ns: u64) -> usize {
        let work = self.recorder.do_work(io, now_ns);
        self.moved |= work > 0;
        // Held by the other side for an instant now and then: told with the next turn.
        if self.moved
            && let Ok(mut judged) = self.judged.try_lock()
        {
            *judged = self.epoch.zip(self.recorder.tail());
            self.moved = false;
        }
        work
    }

    fn end(&mut self, end: Position) {
        match &mut self.next {
            Some((_, known)) => *known = Some(end),
            None => {
                self.ended = true;
                self.recorder.end_epoch(end);
            }
        }
    }

    fn give(&mut self, segment: Segment) {
        self.wanting = false;
        self.recorder.give(segment);
    }

    /// Tells what is new; what the queue does not take now is told in the next turn.
    fn report(&mut self, events: &Events) -> usize {
        let mut count = 0;
        let mut tell = |event: Event| events.offer(event).map(|()| count += 1).is_ok();
        if let Some(epoch) = self.attached
            && tell(Event::Attached(self.partition, epoch))
        {
            self.attached = None;
        }
        // One at a time: until it is given the recorder names the same one by other positions.
        if !self.wanting
            && let Some(position) = self.recorder.wants_segment()
            && tell(Event::Wants(self.partition, position))
        {
            self.wanting = true;
        }
        let state = self.told_next();
        if state != self.told && self.event().is_none_or(tell) {
            self.told = state;
            if let (Told::Short, Some(at)) = (state, self.recorder.tail()) {
                self.recorder.end_epoch(at.position);
            }
        }
        if let Some(segment) = self.recorder.take_spent()
            && let Err(Event::Spent(segment)) = events.offer(Event::Spent(segment))
        {
            // Thousands of events wait: closing one file here is the smaller evil.
            drop(segment);
        }
        count
    }

    fn told_next(&self) -> Told {
        match self.recorder.state() {
            RecorderState::Broken { .. } if self.ended => Told::Short,
            RecorderState::Broken { .. } => Told::Broken,
            RecorderState::EpochDone { .. } => Told::Done,
            RecorderState::Failed { .. } => Told::Failed,
            _ => Told::Nothing,
        }
    }

    fn event(&self) -> Option<Event> {
        let partition = self.partition;
        match self.recorder.state() {
            RecorderState::Broken { at, cause } if self.ended => Some(Event::Short(partition, *at, cause.to_string())),
            RecorderState::Broken { at, cause } => Some(Event::Broken(partition, *at, cause.to_string())),
            RecorderState::EpochDone { .. } => Some(Event::Done(partition)),
            RecorderState::Failed { what, error } => Some(Event::Failed(partition, format!("{what}: {error}"))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oyez_io::{Completion, Op};
    use oyez_ring::{Control, RegionMut, Sequence};

    struct Broken;

    impl Io for Broken {
        fn now_ns(&self) -> u64 {
            1
        }
        fn submit(&mut self, op: Op, _: u64) -> Result<(), Op> {
            Err(op)
        }
        fn complete(&mut self, _: &mut dyn FnMut(Completion)) -> std::io::Result<usize> {
            Err(std::io::Error::other("broken"))
        }
    }

    #[test]
    fn a_core_whose_io_has_failed_takes_no_ring_and_stops() {
        let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
        let options = oyez_journal::Options { durable: false, ..oyez_journal::Options::default() };
        let (journal, recovery) = oyez_journal::Partition::open(folder.path(), &options).expect("a journal");
        let (events, queue) = crate::event::queue().expect("descriptors");
        let pace = Pace { cpu: 0, idle: Idle::BackOff, sleep_max: Duration::from_millis(1) };
        let recorders = vec![(PartitionIndex(0), Recorder::new(&journal, &recovery, 0))];
        let core = Core::start(pace, Box::new(Broken), recorders, events).expect("a thread");
        while !matches!(queue.take(), Some(Event::Failed(..))) {
            std::thread::yield_now();
        }
        let position = Position(0);
        let at = Tail { position, sequence: Sequence(0), time_ns: 0 };
        let start = EpochStart { epoch: Epoch(1), position, sequence: at.sequence, time_ns: 0, previous_end: position };
        let memory = Memory::new(RegionMut::heap(Memory::len_bytes(1 << 21) as usize).reader(), 1 << 21);
        let control = ControlMut::open(RegionMut::heap(Control::LEN_BYTES), position, position);
        core.commands.send(Command::Attach(Box::new(Attach { slot: 0, memory, control, start, at }))).expect("a core");
        core.commands.send(Command::Stop(NOTE_MAX)).expect("a core");
        core.thread.join().expect("no panic");
    }
}
