//! Round trips: one message there, one back, both processes spinning.
//!
//! A round trip is measured from one publish time to the next, so that no clock is read that the system under test
//! would not read: two readings a round trip, of the limit as of the bus. The next message is made after the send,
//! while the other side has its turn.

use crate::arguments::Pingpong;
use crate::durable::{Flush, histogram};
use crate::failure::Failure;
use crate::link::{Broken, Link, receive};
use crate::report::Report;
use crate::second::{Outcome, Part, Task};
use crate::stage::{Stage, check, interleave};
use crate::systems::{System, Turn};
use crate::traffic::{Arrived, Messages};
use hdrhistogram::Histogram;
use oyez_mem::clock::now_ns;

/// Round trips.
pub(crate) const ROUND_TRIP: &str = "round_trip_ns";
/// From the publish until it is durable; of the limit, a disk block's write and flush.
const DURABLE: &str = "durable_ns";

pub(crate) fn run(options: &Pingpong) -> Result<Report, Failure> {
    let (common, traffic) = (&options.common, &options.traffic);
    let mut stage = Stage::set(common, traffic.recorded, &options.peers)?;
    let mut report = Report::new("pingpong", common.rounds, stage.environment(common));
    let mut systems = vec![System::Limit, System::Oyez, System::Ring];
    systems.extend(traffic.recorded.then_some(System::Recorded));
    systems.extend(&options.peers);
    for &len_bytes in &traffic.sizes {
        let rounds =
            interleave(&systems, common.rounds, |system| round_trips(&mut stage, system, len_bytes, options.messages))?;
        report.add_latencies(ROUND_TRIP, "", len_bytes, &rounds);
    }
    if traffic.recorded {
        durable(&mut stage, options, &mut report)?;
    }
    Ok(report)
}

/// One round of them, in ns.
///
/// # Errors
/// [`Failure`].
pub(crate) fn round_trips(
    stage: &mut Stage,
    system: System,
    len_bytes: usize,
    messages: u64,
) -> Result<Histogram<u64>, Failure> {
    let task = Task { system, part: Part::Answer, len_bytes, messages };
    let (asked, answered) = stage.take(&task, Asking)?;
    check(&task, &answered)?;
    check(&task, &asked.arrived)?;
    Ok(asked.round_trip_ns)
}

/// The way to `durable`, of a message at a time, beside the device's.
fn durable(stage: &mut Stage, options: &Pingpong, report: &mut Report) -> Result<(), Failure> {
    let mut flush = Flush::new(stage.house.folder())?;
    let count = options.durable_messages.div_ceil(u64::from(options.common.rounds));
    for &len_bytes in &options.traffic.sizes {
        let mut messages = Messages::new(len_bytes);
        let rounds = interleave(&[System::Limit, System::Recorded], options.common.rounds, |system| match system {
            System::Limit => flush.time(count),
            _ => {
                let failed = |broken: Broken| broken.of(system.name());
                let link = stage.ends.recorded().map_err(failed)?;
                histogram(count, || link.send_durably(messages.message(0)).map_err(failed))
            }
        })?;
        report.add_latencies(DURABLE, "durable_", len_bytes, &rounds);
    }
    Ok(())
}

/// The first process: sends, waits for the answer, sends the next.
struct Asking(Task);

struct Asked {
    arrived: Outcome,
    round_trip_ns: Histogram<u64>,
}

impl Turn for Asking {
    type Answer = Asked;

    fn run<L: Link>(self, link: &mut L) -> Result<Asked, Broken> {
        let Task { len_bytes, messages: count, .. } = self.0;
        let mut messages = Messages::new(len_bytes);
        let mut arrived = Arrived::default();
        let mut sent_ns = vec![0; count as usize + 1];
        messages.prepare(0);
        for number in 0..count {
            sent_ns[number as usize] = link.send(messages.prepared(number))?;
            messages.prepare(number + 1);
            receive(link, 1, |message| arrived.take(message))?;
        }
        sent_ns[count as usize] = now_ns();
        let mut round_trip_ns = Histogram::new(3).expect("three digits are allowed");
        // What a round begins with is cold: the first twentieth is not counted.
        for pair in sent_ns[count as usize / 20..].windows(2) {
            round_trip_ns.record(pair[1].saturating_sub(pair[0])).expect("grows as needed");
        }
        Ok(Asked { arrived: arrived.outcome(), round_trip_ns })
    }
}

/// The second process: answers each message with one of the same size.
pub(crate) struct Answering(pub(crate) Task);

impl Turn for Answering {
    type Answer = Outcome;

    fn run<L: Link>(self, link: &mut L) -> Result<Outcome, Broken> {
        let Task { len_bytes, messages: count, .. } = self.0;
        let mut messages = Messages::new(len_bytes);
        let mut arrived = Arrived::default();
        messages.prepare(0);
        for number in 0..count {
            receive(link, 1, |message| arrived.take(message))?;
            link.send(messages.prepared(number))?;
            messages.prepare(number + 1);
        }
        Ok(arrived.outcome())
    }
}
