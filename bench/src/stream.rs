//! One writer at full speed, one reader that keeps up.

use crate::arguments::Stream;
use crate::failure::Failure;
use crate::link::{Broken, Link, receive};
use crate::peer::{Outcome, Part, Task};
use crate::report::Report;
use crate::stage::Stage;
use crate::systems::Turn;
use crate::traffic::{Arrived, Messages};

pub(crate) fn run(options: &Stream) -> Result<Report, Failure> {
    let mut stage = Stage::set(&options.common)?;
    let mut report = stage.report("stream");
    for &len_bytes in &options.common.sizes {
        let task = |system| Task { system, part: Part::Read, len_bytes, messages: options.messages };
        let rounds = stage.interleave(|stage, system| {
            let (start_ns, read) = stage.take(&task(system), Writing(task(system)))?;
            stage.check(&task(system), &read)?;
            Ok(options.messages as f64 * 1e9 / read.end_ns.saturating_sub(start_ns).max(1) as f64)
        })?;
        report.add_rates(len_bytes, &rounds);
    }
    Ok(report)
}

/// The first process: writes as fast as it can.
struct Writing(Task);

impl Turn for Writing {
    /// When it began, ns since 1970 UTC.
    type Answer = u64;

    fn run<L: Link>(self, link: &mut L) -> Result<u64, Broken> {
        let Task { len_bytes, messages: count, .. } = self.0;
        let mut messages = Messages::new(len_bytes);
        let start_ns = link.send(messages.message(0))?;
        messages.prepare(1);
        for number in 1..count {
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
            receive(link, 256, |message| arrived.take(message))?;
        }
        Ok(arrived.outcome())
    }
}
