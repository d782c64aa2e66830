//! One hop: two processes pass a message of a market update's size to and fro, spinning, through the bus and through
//! nothing but memory, in turn. Half of the way there and back is a hop.

mod ways;

use std::hint::spin_loop;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use oyez::{Bus, Connect, Publisher, Start, Subscriber};
use oyez_mem::memory;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::cast::{Cast, Who};
use super::report::{Orders, Report, histogram, now_ns, tell};
use super::stage::{BACK, Stage, THERE};
use crate::args::EchoArgs;
use crate::failure::Failure;
use ways::{MEMORY_BYTES, Memory, Through, Way};

/// A market update.
const MESSAGE_BYTES: usize = 51;
/// Behind the message header: whether the rally is over.
const OVER_AT: usize = 8;
const ROUNDS: u32 = 4;
const ROUND: Duration = Duration::from_millis(250);
/// How long an answer may take before the other process counts as gone.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Empty polls between two looks at the clock.
const POLLS: u32 = 1 << 20;

type Message = [u8; MESSAGE_BYTES];

/// What was measured.
pub(super) struct Hop {
    /// Through the bus.
    pub(super) bus: Histogram<u64>,
    /// The machine's own limit: the same bytes through fresh cache lines, with as many looks at the clock.
    pub(super) limit: Histogram<u64>,
}

/// Half of the way there and back at a quantile, in nanoseconds.
pub(super) fn hop_ns(there_and_back: &Histogram<u64>, quantile: f64) -> u64 {
    there_and_back.value_at_quantile(quantile) / 2
}

/// Measures for two seconds; nothing where there are no two processors to spin on.
pub(super) fn measure(stage: &Stage) -> Result<Option<Hop>, Failure> {
    let [here, there] = match processors()[..] {
        [here, there, ..] => [here, there],
        _ => return Ok(None),
    };
    let shared = memory::create("oyez-demo-hop", MEMORY_BYTES as u64)?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), shared.as_raw_fd());
    let mut cast = Cast::new();
    let mut through = Through { publisher: open_publisher(stage, THERE)?, subscriber: open_subscriber(stage, BACK)? };
    let arguments = ["echo", "--memory", &path, "--processor", &there.to_string()].map(Into::into);
    cast.enter(stage, Who::Echo, arguments.to_vec())?;
    cast.wait_for(stage, "the other end of the hop", ANSWER_MAX, |_, report| {
        matches!(report, Report::Ready).then_some(())
    })?;
    let mut memory = Memory::new(memory::reopen(&shared, memory::Access::Write)?, true)?;
    let mut hop = Hop { bus: histogram(), limit: histogram() };
    let allowed = sched_getaffinity(None)?;
    stay_on(here)?;
    for _ in 0..ROUNDS {
        stage.check_interrupted()?;
        cast.tell(Who::Echo, "memory")?;
        rally(&mut memory, &mut hop.limit)?;
        cast.tell(Who::Echo, "bus")?;
        rally(&mut through, &mut hop.bus)?;
    }
    sched_setaffinity(None, &allowed)?;
    Ok(Some(hop))
}

/// The other end: sends everything back.
pub(super) fn echo(args: &EchoArgs) -> Result<(), Failure> {
    let mut orders = Orders::listen();
    let bus = Bus::connect(Connect::new(&args.socket).name("demo-echo"))?;
    let subscriber = bus.subscriber().topic(THERE, Start::Live).open()?;
    let mut through = Through { publisher: bus.publisher(BACK).wait(ANSWER_MAX).open()?, subscriber };
    let shared = std::fs::OpenOptions::new().read(true).write(true).open(&args.memory)?;
    let mut memory = Memory::new(shared, false)?;
    stay_on(args.processor)?;
    tell(&Report::Ready)?;
    while let Some(order) = orders.wait() {
        match order.as_str() {
            "memory" => send_back(&mut memory)?,
            _ => send_back(&mut through)?,
        }
    }
    Ok(())
}

fn open_publisher(stage: &Stage, topic: &str) -> Result<Publisher, Failure> {
    let bus = Bus::connect(Connect::new(stage.socket()).name("demo-hop"))?;
    Ok(bus.publisher(topic).wait(ANSWER_MAX).open()?)
}

fn open_subscriber(stage: &Stage, topic: &str) -> Result<Subscriber, Failure> {
    let bus = Bus::connect(Connect::new(stage.socket()).name("demo-hop"))?;
    Ok(bus.subscriber().topic(topic, Start::Live).open()?)
}

fn rally(way: &mut impl Way, there_and_back: &mut Histogram<u64>) -> Result<(), Failure> {
    let (mut message, mut answer) = ([0; MESSAGE_BYTES], [0; MESSAGE_BYTES]);
    let end_ns = now_ns() + ROUND.as_nanos() as u64;
    loop {
        let sent_ns = way.send(&message)?;
        receive(way, &mut answer)?;
        let now_ns = now_ns();
        there_and_back.saturating_record(now_ns.saturating_sub(sent_ns));
        if now_ns >= end_ns {
            message[OVER_AT] = 1;
            way.send(&message)?;
            return Ok(());
        }
    }
}

fn send_back(way: &mut impl Way) -> Result<(), Failure> {
    let mut message = [0; MESSAGE_BYTES];
    loop {
        receive(way, &mut message)?;
        if message[OVER_AT] != 0 {
            return Ok(());
        }
        way.send(&message)?;
    }
}

#[inline(always)]
fn receive(way: &mut impl Way, message: &mut Message) -> Result<(), Failure> {
    let mut started = None;
    loop {
        for _ in 0..POLLS {
            if way.poll(message)? {
                return Ok(());
            }
            spin_loop();
        }
        if started.get_or_insert_with(Instant::now).elapsed() > ANSWER_MAX {
            return Err("demo: the other end of the hop is gone; is the machine overloaded?".into());
        }
    }
}

/// The processors that this process may use.
fn processors() -> Vec<usize> {
    let allowed = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor)).collect()
}

/// Keeps this thread on one processor.
fn stay_on(processor: usize) -> Result<(), Failure> {
    let mut only = CpuSet::new();
    only.set(processor);
    Ok(sched_setaffinity(None, &only)?)
}
