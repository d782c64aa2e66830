//! One writer at full speed, one reader that keeps up: the rate from the first message written to the last one read.

use crate::arguments::Stream;
use crate::failure::Failure;
use crate::link::{Broken, Link, receive};
use crate::memcpy::Memcpy;
use crate::report::Report;
use crate::second::{Outcome, Part, Task};
use crate::stage::{Stage, check, interleave};
use crate::systems::{System, Turn};
use crate::traffic::{Arrived, Messages};
use oyez_mem::clock::now_ns;

/// Messages that the reader takes with one poll.
const POLL_MESSAGES: usize = 256;

pub(crate) fn run(options: &Stream) -> Result<Report, Failure> {
    let (common, traffic) = (&options.common, &options.traffic);
    let mut stage = Stage::set(common, traffic.recorded, &options.peers)?;
    let mut memcpy = Memcpy::new(common.ring_mib << 20)?;
    let mut report = Report::new("stream", common.rounds, stage.environment(common));
    let mut systems = vec![System::Limit, System::Memcpy, System::Oyez, System::RingUntimed];
    systems.extend(traffic.recorded.then_some(System::Recorded));
    systems.extend(&options.peers);
    for &len_bytes in &traffic.sizes {
        let rounds = interleave(&systems, common.rounds, |system| match system {
            System::Limit => Ok(memcpy.rate(len_bytes, options.messages, true)),
            System::Memcpy => Ok(memcpy.rate(len_bytes, options.messages, false)),
            // Nothing holds this writer back, and the clock does not either: a round that is no longer than the ring
            // gives the rate of the slower side.
            System::RingUntimed => rate(
                &mut stage,
                system,
                len_bytes,
                options.messages.min((common.ring_mib << 19) / (len_bytes as u64 + 24)),
            ),
            _ => rate(&mut stage, system, len_bytes, options.messages),
        })?;
        report.add_rates(len_bytes, &rounds);
    }
    Ok(report)
}

/// Messages a second, from one process to the other.
fn rate(stage: &mut Stage, system: System, len_bytes: usize, messages: u64) -> Result<f64, Failure> {
    let task = Task { system, part: Part::Read, len_bytes, messages };
    let (start_ns, read) = stage.take(&task, Writing)?;
    check(&task, &read)?;
    Ok(messages as f64 * 1e9 / read.end_ns.saturating_sub(start_ns).max(1) as f64)
}

/// The first process: writes as fast as it can.
struct Writing(Task);

impl Turn for Writing {
    /// When it began, ns since 1970 UTC.
    type Answer = u64;

    fn run<L: Link>(self, link: &mut L) -> Result<u64, Broken> {
        let Task { len_bytes, messages: count, .. } = self.0;
        let mut messages = Messages::new(len_bytes);
        messages.prepare(0);
        let start_ns = now_ns();
        for number in 0..count {
            link.send(messages.prepared(number))?;
            messages.prepare(number + 1);
        }
        Ok(start_ns)
    }
}

/// The second process: reads as fast as it can.
pub(crate) struct Reading(pub(crate) Task);

impl Turn for Reading {
    type Answer = Outcome;

    fn run<L: Link>(self, link: &mut L) -> Result<Outcome, Broken> {
        let mut arrived = Arrived::default();
        while arrived.next < self.0.messages {
            receive(link, POLL_MESSAGES, |message| arrived.take(message))?;
        }
        Ok(arrived.outcome())
    }
}
