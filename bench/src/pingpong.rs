//! Round trips: one message there, one back, both processes spinning.
//!
//! A round trip is measured from one publish time to the next, so that no clock is read that the system under test
//! would not read: two readings a round trip, of the limit as of the bus. The next message is made after the send,
//! while the other side has its turn.

use crate::arguments::Pingpong;
use crate::failure::Failure;
use crate::link::{Broken, Link, receive};
use crate::machine::now_ns;
use crate::peer::{Outcome, Part, Task};
use crate::report::Report;
use crate::stage::Stage;
use crate::systems::Turn;
use crate::traffic::{Arrived, Messages};
use hdrhistogram::Histogram;

pub(crate) fn run(options: &Pingpong) -> Result<Report, Failure> {
    let mut stage = Stage::set(&options.common)?;
    let mut report = stage.report("pingpong");
    for &len_bytes in &options.common.sizes {
        let task = |system| Task { system, part: Part::Answer, len_bytes, messages: options.messages };
        let rounds = stage.interleave(|stage, system| {
            let (asked, answered) = stage.take(&task(system), Asking(task(system)))?;
            stage.check(&task(system), &answered)?;
            stage.check(&task(system), &asked.arrived)?;
            Ok(asked.round_trip_ns)
        })?;
        report.add_latencies(len_bytes, &rounds);
    }
    Ok(report)
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
