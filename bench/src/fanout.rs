//! What publishing costs beside subscribers that sleep: attached to the topic, and never polling. They live in a few
//! processes of their own, unpinned, and take no processor's time; what the publisher pays for them is its own work.

use crate::arguments::Fanout;
use crate::child::{self, Child};
use crate::failure::Failure;
use crate::house::{House, UNRECORDED};
use crate::link::bus::{self, Bus};
use crate::link::iceoryx2::{self, Iceoryx2};
use crate::link::{Broken, Link};
use crate::machine::{self, Environment, OfScenario};
use crate::report::Report;
use crate::stage::interleave;
use crate::systems::{Run, System, Turn};
use crate::traffic::Messages;
use hdrhistogram::Histogram;
use oyez::Connect;
use oyez_mem::clock::now_ns;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Processes that share the subscribers.
const PROCESSES: usize = 3;
/// Messages that are timed together: so the clock's step, which may be longer than one publish, does not matter.
const BATCH: u64 = 64;

/// A subscriber that does nothing until it is woken.
pub(crate) trait Sleeper {
    /// Whether it finds that something was published. Only then was it attached.
    fn wake(&mut self) -> Result<bool, Failure>;
}

/// So many subscribers that sleep, of this system.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) system: System,
    pub(crate) subscribers: usize,
}

pub(crate) fn run(options: &Fanout) -> Result<Report, Failure> {
    let common = &options.common;
    let cores = machine::two_cores(common.cores.as_deref())?;
    let most = options.subscribers.iter().copied().max().unwrap_or_default();
    let run = Run::new(cores, common.ring_mib, most + 1)?;
    let house = House::open(common.data.as_deref(), run.spare_core, common.ring_mib, false)?;
    let mut sleepers = Sleepers::start(&Plan { socket: house.socket(), run })?;
    let mut publishers = Publishers::open(&house, run, &options.peers)?;
    machine::pin(cores[0])?;

    let mut systems = vec![System::Oyez];
    systems.extend(&options.peers);
    let counts = &options.subscribers;
    let of_system = |&system| counts.iter().map(move |&subscribers| Point { system, subscribers });
    let points: Vec<_> = systems.iter().flat_map(of_system).collect();
    let publishing = Publishing { len_bytes: options.size, messages: options.messages };
    let rounds = interleave(&points, common.rounds, |point| {
        sleepers.hold(point)?;
        let batches_ns = publishers.publish(point.system, publishing)?;
        if Some(&point.subscribers) == counts.last() {
            sleepers.hold(Point { subscribers: 0, ..point })?;
        }
        Ok(batches_ns)
    })?;
    let beside = OfScenario::Sleepers { ring_mib: common.ring_mib, len_bytes: options.size, processes: PROCESSES };
    let mut report = Report::new("fanout", common.rounds, Environment::new(vec![cores[0]], beside));
    report.add_publishing(BATCH, &rounds);
    Ok(report)
}

/// What publishes, of each system.
struct Publishers {
    oyez: Bus,
    iceoryx2: Option<Iceoryx2>,
}

impl Publishers {
    fn open(house: &House, run: Run, peers: &[System]) -> Result<Publishers, Failure> {
        let connect = Connect::new(house.socket()).name("oyez-bench");
        let bus = oyez::Bus::connect(connect).map_err(Failure::bus("connect to the broker"))?;
        let iceoryx2 = peers.contains(&System::Iceoryx2).then(|| Iceoryx2::open(run, 0)).transpose()?;
        Ok(Publishers { oyez: Bus::open(&bus, UNRECORDED[0], UNRECORDED[1])?, iceoryx2 })
    }

    fn publish(&mut self, system: System, publishing: Publishing) -> Result<Histogram<u64>, Failure> {
        let published = match (system, &mut self.iceoryx2) {
            (System::Iceoryx2, Some(iceoryx2)) => publishing.run(iceoryx2),
            _ => publishing.run(&mut self.oyez),
        };
        published.map_err(|broken| broken.of(system.name()))
    }
}

/// Publishes as fast as it can.
#[derive(Clone, Copy)]
struct Publishing {
    len_bytes: usize,
    messages: u64,
}

impl Turn for Publishing {
    /// Of each batch, in ns.
    type Answer = Histogram<u64>;

    fn run<L: Link>(self, link: &mut L) -> Result<Histogram<u64>, Broken> {
        let mut messages = Messages::new(self.len_bytes);
        let batches = self.messages / BATCH;
        let mut starts_ns = Vec::with_capacity(batches as usize + 1);
        for batch in 0..batches {
            // The publish times are the clock that is read anyway.
            starts_ns.push(link.send(messages.message(batch * BATCH))?);
            for number in batch * BATCH + 1..(batch + 1) * BATCH {
                link.send(messages.message(number))?;
            }
        }
        starts_ns.push(now_ns());
        let mut batches_ns = Histogram::new(3).expect("three digits are allowed");
        // A publisher looks after new subscribers in its first publish: the first twentieth is not counted.
        for pair in starts_ns[starts_ns.len() / 20..].windows(2) {
            batches_ns.record(pair[1].saturating_sub(pair[0])).expect("grows as needed");
        }
        Ok(batches_ns)
    }
}

/// Where to subscribe.
#[derive(Serialize, Deserialize)]
struct Plan {
    socket: PathBuf,
    run: Run,
}

/// The processes of subscribers, as the first one sees them.
struct Sleepers(Vec<Child>);

impl Sleepers {
    fn start(plan: &Plan) -> Result<Sleepers, Failure> {
        Ok(Sleepers((0..PROCESSES).map(|_| Child::start("attached", plan)).collect::<Result<_, _>>()?))
    }

    /// Has so many sleep, in all processes together.
    fn hold(&mut self, Point { system, subscribers }: Point) -> Result<(), Failure> {
        for (at, child) in self.0.iter_mut().enumerate() {
            let share = subscribers * (at + 1) / PROCESSES - subscribers * at / PROCESSES;
            let answer = child.ask(&Point { system, subscribers: share }).and_then(|()| child.answer());
            let gone = Failure::Second { system: system.name(), what: "of subscribers is gone" };
            let held: Result<(), String> = answer.ok_or(gone)?;
            held.map_err(|what| Failure::Bus { step: "have subscribers sleep", what })?;
        }
        Ok(())
    }
}

/// A process of subscribers, from the inside.
///
/// # Errors
/// [`Failure::Refused`].
pub(crate) fn attach(plan: &str) -> Result<(), Failure> {
    let plan: Plan = child::parse(plan)?;
    let mut sleepers = BTreeMap::new();
    for point in child::questions() {
        let Point { system, subscribers } = point?;
        let held = plan.hold(system, subscribers, sleepers.entry(system).or_default());
        child::say(&held.map_err(|failure| failure.to_string()));
    }
    Ok(())
}

impl Plan {
    fn hold(&self, system: System, subscribers: usize, sleepers: &mut Vec<Box<dyn Sleeper>>) -> Result<(), Failure> {
        while sleepers.len() < subscribers {
            sleepers.push(match system {
                System::Iceoryx2 => Box::new(iceoryx2::Sleeper::open(self.run)?),
                _ => Box::new(bus::Sleeper::open(&self.socket, UNRECORDED[0])?),
            });
        }
        for mut sleeper in sleepers.drain(subscribers..) {
            if !sleeper.wake()? {
                let what = "a subscriber that slept finds nothing that was published".to_owned();
                return Err(Failure::Wrong { system: system.name(), what });
            }
        }
        Ok(())
    }
}
