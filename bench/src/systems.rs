//! The systems under test, and how both processes come to hold their ends.

use crate::failure::Failure;
use crate::house::{RECORDED, UNRECORDED};
use crate::link::aeron::Aeron;
use crate::link::bus::Bus;
use crate::link::iceoryx2::Iceoryx2;
use crate::link::limit::Limit;
use crate::link::ring::{Ring, Untimed};
use crate::link::{Broken, Link};
use crate::machine;
use oyez::Connect;
use oyez_mem::clock::now_ns;
use oyez_mem::memory;
use oyez_mem::{Region, RegionMut};
use oyez_ring::{Control, ControlMut, Epoch, EpochStart, Memory, Position, Reader, Sequence, Tail, Writer, write_head};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum System {
    /// The same bytes without a protocol, the clock read as often.
    Limit,
    /// The same bytes without a protocol and without the clock.
    Memcpy,
    /// The bus, over topics that are not recorded.
    Oyez,
    /// The bus, over topics that are kept at `durable`.
    Recorded,
    /// Writer and reader of the bare ring.
    Ring,
    /// The same, with a time that stands still.
    RingUntimed,
    /// A peer: Aeron, over shared memory.
    Aeron,
    /// A peer: iceoryx2.
    Iceoryx2,
}

impl System {
    pub(crate) fn name(self) -> &'static str {
        match self {
            System::Limit => "limit",
            System::Memcpy => "memcpy",
            System::Oyez => "oyez",
            System::Recorded => "recorded",
            System::Ring => "ring",
            System::RingUntimed => "ring_untimed",
            System::Aeron => "aeron",
            System::Iceoryx2 => "iceoryx2",
        }
    }
}

/// What the second process needs in order to open its ends; paths lead to descriptors of the first.
#[derive(Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) core: usize,
    socket: PathBuf,
    recorded: bool,
    peers: Vec<System>,
    run: Run,
    /// Of each direction: the first process writes the first.
    limit: [String; 2],
    ring: [String; 2],
    control: [String; 2],
    /// Where the writers of the rings go on: position and time.
    tail: [(u64, u64); 2],
}

/// What a run is, for all of its processes.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Run {
    /// No other run has it now: the first process's own.
    pub(crate) id: u32,
    /// For what a system does beside the two processes: the broker's.
    pub(crate) spare_core: usize,
    /// Whether neither of the two processes runs on it.
    pub(crate) spare_is_free: bool,
    /// Of one direction's memory.
    pub(crate) ring_bytes: u64,
    /// Of one direction.
    pub(crate) subscribers_max: usize,
}

impl Run {
    /// # Errors
    /// [`Failure::Refused`].
    pub(crate) fn new(cores: [usize; 2], ring_mib: u64, subscribers_max: usize) -> Result<Run, Failure> {
        let spare_core = machine::spare_core(cores)?;
        let spare_is_free = !cores.contains(&spare_core);
        Ok(Run { id: std::process::id(), spare_core, spare_is_free, ring_bytes: ring_mib << 20, subscribers_max })
    }
}

/// The memories of limit and bare ring, held by the first process.
pub(crate) struct Memories {
    limit: [OwnedFd; 2],
    ring: [OwnedFd; 2],
    control: [OwnedFd; 2],
    tails: [Tail; 2],
    /// Whether the kernel gave huge pages.
    pub(crate) huge_pages: bool,
}

/// Something to do with any link.
pub(crate) trait Turn {
    /// What it answers.
    type Answer;
    /// Does it.
    fn run<L: Link>(self, link: &mut L) -> Result<Self::Answer, Broken>;
}

/// Brings a link to where nothing is left to read.
struct CatchUp;

impl Turn for CatchUp {
    type Answer = ();

    fn run<L: Link>(self, link: &mut L) -> Result<(), Broken> {
        link.catch_up()
    }
}

/// The ends of all links that one process holds.
pub(crate) struct Ends {
    limit: Limit,
    ring: Ring,
    oyez: Bus,
    recorded: Option<Bus>,
    aeron: Option<Aeron>,
    iceoryx2: Option<Iceoryx2>,
}

const START: EpochStart =
    EpochStart { epoch: Epoch(1), position: Position(0), sequence: Sequence(0), time_ns: 0, previous_end: Position(0) };

impl Memories {
    /// # Errors
    /// [`Failure::Memory`], [`Failure::Refused`].
    pub(crate) fn new(ring_bytes: u64) -> Result<Memories, Failure> {
        let [(ring_0, tail_0, huge_0), (ring_1, tail_1, huge_1)] = [ring(ring_bytes)?, ring(ring_bytes)?];
        Ok(Memories {
            limit: [area(ring_bytes)?, area(ring_bytes)?],
            ring: [ring_0, ring_1],
            control: [control()?, control()?],
            tails: [tail_0, tail_1],
            huge_pages: huge_0 && huge_1,
        })
    }

    pub(crate) fn plan(&self, core: usize, socket: PathBuf, recorded: bool, peers: Vec<System>, run: Run) -> Plan {
        let paths = |files: &[OwnedFd; 2]| files.each_ref().map(path);
        Plan {
            core,
            socket,
            recorded,
            peers,
            run,
            limit: paths(&self.limit),
            ring: paths(&self.ring),
            control: paths(&self.control),
            tail: self.tails.map(|tail| (tail.position.0, tail.time_ns)),
        }
    }
}

fn path(file: &OwnedFd) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

/// A zeroed area, on huge pages where they are to be had.
fn area(len_bytes: u64) -> Result<OwnedFd, Failure> {
    let file = memory::create("oyez-bench-limit", len_bytes)?;
    let region = Region::map(&file, len_bytes as usize).map_err(Failure::refused("map the limit's memory"))?;
    memory::prepare(&region);
    Ok(file)
}

fn ring(ring_bytes: u64) -> Result<(OwnedFd, Tail, bool), Failure> {
    let len_bytes = Memory::len_bytes(ring_bytes);
    let file = memory::create("oyez-bench-ring", len_bytes)?;
    let region = RegionMut::map(&file, len_bytes as usize).map_err(Failure::refused("map a ring"))?;
    let tail = write_head(&region, ring_bytes, &START, now_ns());
    let (_, huge) = memory::prepare(&region);
    Ok((file, tail, huge))
}

/// A page that never says stop, and a gate that never shuts.
fn control() -> Result<OwnedFd, Failure> {
    let file = memory::create("oyez-bench-control", Control::LEN_BYTES as u64)?;
    let page = RegionMut::map(&file, Control::LEN_BYTES).map_err(Failure::refused("map a control page"))?;
    ControlMut::open(page, START.position, Position(u64::MAX));
    Ok(file)
}

impl Ends {
    /// The ends of the process that writes direction `out`: 0 or 1.
    ///
    /// # Errors
    /// [`Failure::Refused`], [`Failure::Bus`].
    pub(crate) fn open(plan: &Plan, out: usize) -> Result<Ends, Failure> {
        let into = 1 - out;
        let bytes = plan.run.ring_bytes;
        let limit = Limit::new(map_mut(&plan.limit[out], bytes)?, map(&plan.limit[into], bytes)?);
        let control = Control::new(map(&plan.control[out], Control::LEN_BYTES as u64)?);
        let (position, time_ns) = plan.tail[out];
        let tail = Tail { position: Position(position), sequence: START.sequence, time_ns };
        let memory = map_mut(&plan.ring[out], Memory::len_bytes(bytes))?;
        let writer = Writer::new(memory, bytes, control, START.epoch, tail);
        let view = Memory::new(map(&plan.ring[into], Memory::len_bytes(bytes))?, bytes);
        let reader = Reader::at(view, START.epoch, START.position);
        let connect = Connect::new(&plan.socket).name("oyez-bench");
        let bus = oyez::Bus::connect(connect).map_err(Failure::bus("connect to the broker"))?;
        let open = |topics: [&str; 2]| Bus::open(&bus, topics[out], topics[into]);
        let recorded = plan.recorded.then(|| open(RECORDED)).transpose()?;
        let (oyez, wanted) = (open(UNRECORDED)?, |peer| plan.peers.contains(&peer));
        let aeron = wanted(System::Aeron).then(|| Aeron::open(plan.run, out)).transpose()?;
        let iceoryx2 = wanted(System::Iceoryx2).then(|| Iceoryx2::open(plan.run, out)).transpose()?;
        Ok(Ends { limit, ring: Ring::new(writer, reader), oyez, recorded, aeron, iceoryx2 })
    }

    /// Forgets what was sent to this end; while both processes are between tasks.
    ///
    /// # Errors
    /// The system's own.
    pub(crate) fn catch_up(&mut self, system: System) -> Result<(), Broken> {
        self.turn(system, CatchUp)
    }

    /// Takes a turn on one system.
    ///
    /// # Errors
    /// The system's own.
    pub(crate) fn turn<T: Turn>(&mut self, system: System, turn: T) -> Result<T::Answer, Broken> {
        match system {
            System::Limit => turn.run(&mut self.limit),
            System::Oyez => turn.run(&mut self.oyez),
            System::Ring => turn.run(&mut self.ring),
            System::RingUntimed => turn.run(&mut Untimed(&mut self.ring)),
            System::Recorded | System::Memcpy => turn.run(self.recorded()?),
            System::Aeron => turn.run(present(&mut self.aeron)?),
            System::Iceoryx2 => turn.run(present(&mut self.iceoryx2)?),
        }
    }

    /// The link over recorded topics.
    ///
    /// # Errors
    /// Where the run has none.
    pub(crate) fn recorded(&mut self) -> Result<&mut Bus, Broken> {
        present(&mut self.recorded)
    }
}

fn present<L>(link: &mut Option<L>) -> Result<&mut L, Broken> {
    link.as_mut().ok_or_else(|| Broken::Failed("this run has no such link".to_owned()))
}

fn map(path: &str, len_bytes: u64) -> Result<Region, Failure> {
    let file = File::open(path).map_err(Failure::refused("open a memory"))?;
    Region::map(file, len_bytes as usize).map_err(Failure::refused("map a memory"))
}

fn map_mut(path: &str, len_bytes: u64) -> Result<RegionMut, Failure> {
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(Failure::refused("open a memory"))?;
    RegionMut::map(file, len_bytes as usize).map_err(Failure::refused("map a memory"))
}
