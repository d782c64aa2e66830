//! A core: one pinned thread with its own I/O and its own recorders. In steady state nothing is allocated, opened or
//! closed here; whatever is slow is asked of the control thread by events and comes back as commands. What it does for one
//! recorded partition is in `slot.rs`.

mod slot;

use std::any::Any;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, unbounded};
use oyez_io::Io;
use oyez_journal::{Partition as Journal, Recorder, Recovery, Segment, recorder_of};
use oyez_ring::{Control, ControlMut, EpochStart, Memory, Position, Tail};

use crate::catalog::{Idle, Topic};
use crate::event::{Event, Events, PartitionIndex};
use crate::ingress::{Sequencer, Session};
use crate::log::log;
use crate::partition::{ConnectionId, Judged, RecorderHandle};
use crate::sleepers::{Sleeper, Sleepers};
use slot::Slot;

/// A turn longer than this is counted as a stall.
const STALL: Duration = Duration::from_micros(50);
/// Longest sleep while I/O is under way: its completion opens the gate.
const SLEEP_IN_FLIGHT_MAX: Duration = Duration::from_micros(50);
/// How long recorders have, once told to stop, to note on disk how far they are durable.
pub(crate) const NOTE_MAX: Duration = Duration::from_millis(250);
/// How much later than asked for the kernel may end a core's sleep, to end others' with it: 50 µs by itself, which is as much
/// again as the shortest `wake_max_us`. Without any, such a core would cost almost twice as much as a bare loop that sleeps.
const SLACK: NonZeroU64 = NonZeroU64::new(10_000).expect("some ns");
/// Recorders on a core from which on no further topic comes: the other half of their numbers is for those that come at once.
const SLOTS_MAX: u16 = 1 << 15;
/// How long a core that does not sleep may be deaf to readers that ask to be woken.
const LISTEN: Duration = Duration::from_micros(50);
/// Idle turns that spin, and idle turns up to which the thread yields, before it sleeps.
const SPINS: u32 = 64;
const YIELDS: u32 = 128;

/// What the control thread has a core do. `slot` is a recorder's number on the core, never given twice.
pub(crate) enum Command {
    /// Record for this partition from now on.
    Take { slot: u16, taken: Box<Slot> },
    /// Record this epoch next.
    Attach(Box<Attach>),
    /// The epoch being recorded ends here.
    End { slot: u16, end: Position },
    /// The segment that was wanted.
    Give { slot: u16, segment: Segment },
    /// This ring is the partition's newest.
    Watch(PartitionIndex, Memory, Control, EpochStart),
    /// The partition is declared no more, and nobody reads or writes it.
    Retire { partition: PartitionIndex, slot: Option<u16> },
    /// Pass the time otherwise.
    Pace(Pace),
    /// Own a partition of many publishers.
    Own(Box<Sequencer>),
    /// A publisher of many may hand in.
    Admit(PartitionIndex, Box<Session>),
    /// The publisher of that number hands in no more.
    Dismiss(PartitionIndex, u16),
    /// Own the partition no more, once everything handed in is taken.
    Cede(PartitionIndex),
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
    pub(crate) slot: u16,
    pub(crate) memory: Memory,
    pub(crate) control: ControlMut,
    pub(crate) start: EpochStart,
    pub(crate) at: Tail,
}

/// A running core, as the control thread sees it.
#[derive(Debug)]
pub(crate) struct Core {
    pace: Pace,
    commands: Sender<Command>,
    /// Recorders so far, which is the next one's number.
    slots: u16,
    /// Partitions that are recorded here, and others that are only woken for.
    recorded: usize,
    unrecorded: usize,
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
    /// Starts the thread, which has nothing to do yet.
    pub(crate) fn start(pace: Pace, io: Box<dyn Io>, events: Events) -> std::io::Result<Core> {
        let (commands, queue) = unbounded();
        let counts = Arc::new(Counts::default());
        let duty = Duty {
            io,
            slots: BTreeMap::new(),
            sequencers: Vec::new(),
            sleepers: Sleepers::new()?,
            retired: Vec::new(),
            commands: queue,
            events,
            counts: Arc::clone(&counts),
            pace,
            stopping: None,
            io_failed: false,
        };
        let thread = std::thread::Builder::new().name(format!("core-{}", pace.cpu)).spawn(move || duty.run())?;
        Ok(Core { pace, commands, slots: 0, recorded: 0, unrecorded: 0, thread, counts })
    }

    /// The processor that it is pinned to.
    pub(crate) fn cpu(&self) -> usize {
        self.pace.cpu
    }

    /// What there is to choose between cores by, for one more partition: the least has the least to do.
    pub(crate) fn load(&self, is_recorded: bool) -> (usize, usize) {
        if is_recorded { (self.recorded, self.unrecorded) } else { (self.unrecorded, self.recorded) }
    }

    /// Whether half the numbers of its recorders are gone. A completion names its own by 16 bits, so none is given twice.
    pub(crate) fn is_used_up(&self) -> bool {
        self.slots >= SLOTS_MAX
    }

    /// Records a partition from now on, and wakes whoever sleeps there.
    ///
    /// # Panics
    /// Where there is no number left, which takes as many partitions at once as no memory has room for.
    pub(crate) fn take(&mut self, partition: PartitionIndex, journal: &Journal, recovery: &Recovery) -> RecorderHandle {
        let slot = self.slots;
        (self.slots, self.recorded) = (slot.checked_add(1).expect("a number"), self.recorded + 1);
        let judged = Judged::default();
        let recorder = Recorder::new(journal, recovery, slot);
        let taken = Box::new(Slot::new(partition, recorder, Arc::clone(&judged)));
        self.command(Command::Take { slot, taken });
        RecorderHandle { commands: self.commands.clone(), slot, judged }
    }

    /// Wakes whoever sleeps at one more partition, which is not recorded.
    pub(crate) fn take_unrecorded(&mut self) {
        self.unrecorded += 1;
    }

    /// Lets go of a partition, once what is under way for it is finished.
    pub(crate) fn retire(&mut self, partition: PartitionIndex, slot: Option<u16>) {
        match slot {
            Some(_) => self.recorded -= 1,
            None => self.unrecorded -= 1,
        }
        self.command(Command::Retire { partition, slot });
    }

    /// Passes its time otherwise from now on, on the same processor.
    pub(crate) fn set_pace(&mut self, idle: Idle, sleep_max: Duration) {
        self.pace = Pace { idle, sleep_max, ..self.pace };
        self.command(Command::Pace(self.pace));
    }

    /// A core that is gone has nothing left to do.
    fn command(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Forgets the readers of a connection that is gone.
    pub(crate) fn forget(&self, connection: ConnectionId) {
        self.command(Command::Forget(connection));
    }

    /// Whether these commands are its own.
    pub(crate) fn hears(&self, commands: &Sender<Command>) -> bool {
        self.commands.same_channel(commands)
    }

    /// The way to the core, for what is not a recorder's.
    pub(crate) fn commands(&self) -> Sender<Command> {
        self.commands.clone()
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
        self.command(Command::Stop(after));
    }

    /// Waits until nothing is under way any more; it was asked to stop.
    pub(crate) fn join(self) {
        // A panic there has ended the process already.
        let _ = self.thread.join();
    }
}

/// The core of a partition: the one on the processor that its topic names, else the one that has the least to do.
///
/// # Panics
/// Where there is none; a catalog that was checked names at least one, and topics name only those.
pub(crate) fn of<'a>(cores: &'a mut [Core], topic: &Topic, number: u16) -> &'a mut Core {
    let is_named = |core: &&mut Core| topic.cpu(number).is_none_or(|cpu| core.cpu() == cpu);
    let allowed = cores.iter_mut().filter(is_named);
    allowed.min_by_key(|core| core.load(topic.recorded())).expect("the catalog was checked")
}

/// The thread's own state. `io` comes first, so that it is dropped first: its drop waits for what the kernel still
/// reads out of rings and recorders.
struct Duty {
    io: Box<dyn Io>,
    slots: BTreeMap<u16, Slot>,
    sequencers: Vec<Sequencer>,
    sleepers: Sleepers,
    /// What belongs to no partition any more, on its way to be closed elsewhere.
    retired: Vec<Box<dyn Any + Send>>,
    commands: Receiver<Command>,
    events: Events,
    counts: Arc<Counts>,
    pace: Pace,
    stopping: Option<Instant>,
    /// No operation is ever completed again.
    io_failed: bool,
}

impl Duty {
    fn run(mut self) {
        let cpu = self.pace.cpu;
        if !core_affinity::set_for_current(core_affinity::CoreId { id: cpu }) {
            log(format_args!("core {cpu}: cannot be pinned there; name a CPU this process may use in `cores`"));
        }
        // Refused, its sleepers are woken that much later.
        let _ = rustix::thread::set_current_timer_slack(Some(SLACK));
        let mut idle_turns = 0;
        let mut heard = Instant::now();
        while self.stopping.is_none_or(|until| Instant::now() < until) {
            let began = Instant::now();
            let work =
                self.obey() + self.complete() + self.sequence() + self.record() + self.sleepers.look() + self.report();
            let ended = Instant::now();
            self.counts.turns.fetch_add(1, Ordering::Relaxed);
            if ended - began > STALL {
                self.counts.stalls.fetch_add(1, Ordering::Relaxed);
            }
            idle_turns = if work > 0 { 0 } else { idle_turns + 1 };
            // One that has no time to sleep listens now and then all the same.
            let pause = self.pause(idle_turns).or((ended - heard > LISTEN).then_some(Duration::ZERO));
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
                Command::Take { slot, taken } => drop(self.slots.insert(slot, *taken)),
                Command::Attach(attach) => self.slot(attach.slot, |slot| slot.next = Some((*attach, None))),
                Command::End { slot, end } => self.slot(slot, |slot| slot.end(end)),
                Command::Give { slot, segment } => self.slot(slot, |slot| slot.give(segment)),
                Command::Watch(partition, memory, control, start) => {
                    self.sleepers.watch(partition, memory, control, &start);
                }
                Command::Retire { partition, slot } => {
                    self.retired.extend(self.sleepers.retire(partition));
                    slot.into_iter().for_each(|slot| self.slot(slot, Slot::retire));
                }
                Command::Pace(pace) => self.pace = pace,
                Command::Own(sequencer) => self.sequencers.push(*sequencer),
                Command::Admit(partition, session) => self.sequencer(partition, |sequencer| sequencer.admit(*session)),
                Command::Dismiss(partition, publisher) => {
                    self.sequencer(partition, |sequencer| sequencer.dismiss(publisher));
                }
                Command::Cede(partition) => self.sequencer(partition, Sequencer::cede),
                Command::Join(sleeper) => self.sleepers.join(*sleeper),
                Command::Forget(connection) => self.sleepers.forget(connection),
                Command::Stop(after) => self.stopping = Some(Instant::now() + after),
            }
        }
        count
    }

    /// None is told anything after it was retired, nor retired twice.
    fn slot(&mut self, slot: u16, tell: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.slots.get_mut(&slot) {
            tell(slot);
        }
    }

    fn complete(&mut self) -> usize {
        let slots = &mut self.slots;
        let each = &mut |completion: oyez_io::Completion| {
            // One that has something under way stays until that is completed.
            if let Some(slot) = slots.get_mut(&recorder_of(completion.token)) {
                slot.recorder.complete(completion);
            }
        };
        match self.io.complete(each) {
            Ok(count) => count,
            Err(error) => {
                // No operation can be completed any more, so nothing written is ever known to be so.
                self.io_failed = true;
                for slot in self.slots.values_mut() {
                    slot.recorder.fail("complete any operation", std::io::Error::new(error.kind(), error.to_string()));
                }
                0
            }
        }
    }

    /// Whatever is not owned any more hears nothing.
    fn sequencer(&mut self, partition: PartitionIndex, tell: impl FnOnce(&mut Sequencer)) {
        if let Some(sequencer) = self.sequencers.iter_mut().find(|sequencer| sequencer.partition == partition) {
            tell(sequencer);
        }
    }

    /// Takes what is handed in, where there are many publishers.
    fn sequence(&mut self) -> usize {
        if self.sequencers.is_empty() {
            return 0;
        }
        let now_ns = self.io.now_ns();
        self.sequencers.iter_mut().map(|sequencer| sequencer.sequence(now_ns)).sum()
    }

    fn cede(&mut self) {
        let Some(at) = self.sequencers.iter().position(|sequencer| sequencer.is_ceded()) else { return };
        let sequencer = Box::new(self.sequencers.swap_remove(at));
        if let Err(Event::Ceded(sequencer)) = self.events.offer(Event::Ceded(sequencer)) {
            self.sequencers.push(*sequencer);
        }
    }

    fn record(&mut self) -> usize {
        let now_ns = self.io.now_ns();
        let io = &mut *self.io;
        self.slots.values_mut().map(|slot| slot.attach_next() + slot.record(io, now_ns)).sum()
    }

    fn report(&mut self) -> usize {
        let events = &self.events;
        let told = self.slots.values_mut().map(|slot| slot.report(events)).sum::<usize>();
        let left = self.slots.iter().find_map(|(number, slot)| slot.has_left().then_some(*number));
        if let Some(slot) = left.and_then(|number| self.slots.remove(&number)) {
            self.retired.push(Box::new(slot));
        }
        let over = self.sequencers.iter_mut().map(|sequencer| sequencer.report(events)).sum::<usize>();
        let asleep = self.sleepers.report(events);
        self.cede();
        told + over + asleep + self.let_go()
    }

    /// Has the control thread close what belongs to no partition any more.
    fn let_go(&mut self) -> usize {
        let mut told = 0;
        while let Some(retired) = self.retired.pop() {
            if let Err(Event::Retired(back)) = self.events.offer(Event::Retired(retired)) {
                self.retired.push(back);
                break;
            }
            told += 1;
        }
        told
    }

    fn in_flight(&self) -> usize {
        if self.io_failed { 0 } else { self.slots.values().map(|slot| slot.recorder.in_flight()).sum() }
    }

    /// How long to sleep after so many idle turns; else it spins or yields here.
    fn pause(&self, idle_turns: u32) -> Option<Duration> {
        match self.pace.idle {
            _ if idle_turns == 0 => {}
            Idle::Spin => std::hint::spin_loop(),
            Idle::BackOff if idle_turns < SPINS => std::hint::spin_loop(),
            Idle::BackOff if idle_turns < YIELDS => std::thread::yield_now(),
            Idle::BackOff | Idle::Block if self.in_flight() > 0 => return Some(SLEEP_IN_FLIGHT_MAX),
            Idle::Block => return Some(self.pace.sleep_max),
            Idle::BackOff => {
                let doublings = (idle_turns - YIELDS).min(16);
                return Some((SLEEP_IN_FLIGHT_MAX * 2_u32.pow(doublings)).min(self.pace.sleep_max));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oyez_io::{Completion, Op};
    use oyez_ring::{Control, Epoch, RegionMut, Sequence};

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
        let mut core = Core::start(pace, Box::new(Broken), events).expect("a thread");
        core.take(PartitionIndex(0), &journal, &recovery);
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
