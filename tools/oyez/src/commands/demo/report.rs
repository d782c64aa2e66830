//! What the parts of the demo tell whoever stages it: one line of JSON each, on stdout; and what they are told: lines
//! on stdin, whose end is theirs too.

use std::io::{BufRead as _, Write as _};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What a part tells.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub(super) enum Report {
    /// It has opened what it needs.
    Ready,
    /// The publisher owns the topic.
    Granted { epoch: u32, sequence: u64 },
    /// How the publisher fares.
    Publishing(Publishing),
    /// How a subscriber fares.
    Hearing(Hearing),
    /// A subscriber met an event of the stream.
    Met { event: Met, sequence: u64 },
    /// How the lane fares.
    Carrying { next_sequence: u64 },
    /// The publisher has ended, everything durable.
    Published { next_sequence: u64 },
    /// A subscriber has heard all it was to hear.
    Heard(Heard),
    /// The lane has committed all that it was to carry.
    Carried { target: String },
    /// It cannot go on.
    Failed { text: String },
    /// Its process is gone.
    Gone,
}

/// The publisher, now.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Publishing {
    /// The message that comes next.
    pub(super) next_sequence: u64,
    /// How often it was held back, in all.
    pub(super) back_pressured: u64,
    /// The longest time between two messages since the last such report.
    pub(super) pause_ns_max: u64,
    /// Published and not yet written.
    pub(super) unwritten_bytes: u64,
    /// Published and not yet durable.
    pub(super) undurable_bytes: u64,
}

/// A subscriber, now.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Hearing {
    /// The message that it wants next.
    pub(super) next_sequence: u64,
    /// Of the messages since the last such report.
    pub(super) latency_ns: Latency,
    /// The last market update, as JSON.
    pub(super) sample: Option<Sample>,
}

/// A message, decoded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Sample {
    pub(super) sequence: u64,
    pub(super) message: serde_json::Value,
}

/// Events of the stream that the story tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Met {
    Epoch,
    Lapped,
    CaughtUp,
    /// Messages are missing, or taken back: never expected here.
    Loss,
}

/// What a subscriber heard, whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Heard {
    pub(super) received: u64,
    pub(super) digest: String,
    pub(super) lapped: u64,
    pub(super) latency_ns: Latency,
}

/// From publish time to receipt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Latency {
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) p99_9: u64,
    pub(super) max: u64,
}

impl Latency {
    pub(super) fn of(histogram: &Histogram<u64>) -> Latency {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Latency { p50: at(0.5), p99: at(0.99), p99_9: at(0.999), max: histogram.max() }
    }
}

/// A histogram of latencies: three digits, from a nanosecond to an hour.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("these bounds and digits are allowed")
}

/// The clock that publish times are taken from.
#[inline]
pub(super) fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Tells whoever stages the demo. If nobody listens the demo is over.
pub(super) fn tell(report: &Report) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    Ok(std::io::stdout().lock().write_all(&line)?)
}

/// What a part is told.
pub(super) struct Orders {
    lines: Receiver<String>,
    until: Option<u64>,
}

impl Orders {
    /// Listens to stdin from now on.
    pub(super) fn listen() -> Orders {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // The end of stdin, which comes with that of whoever stages the demo, is the end of `lines`, too.
            std::io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Orders { lines, until: None }
    }

    /// The message before which to end, once that was said: a number on a line of its own.
    ///
    /// # Errors
    /// Nobody stages the demo any more.
    pub(super) fn until(&mut self) -> Result<Option<u64>, Failure> {
        match self.lines.try_recv() {
            Ok(line) => self.until = line.parse().ok().or(self.until),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                return Err("demo: whoever staged it is gone; this part ends, too".into());
            }
        }
        Ok(self.until)
    }

    /// Waits for the next line.
    pub(super) fn wait(&mut self) -> Option<String> {
        self.lines.recv().ok()
    }
}
