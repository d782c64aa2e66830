//! What the story looks like: on a terminal a table that is drawn anew in place, below the lines that tell what
//! happens; elsewhere a plain line a second.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, HumanCount};

use super::report::{Hearing, Publishing, Sample};
use super::verdict::time;
use crate::failure::Failure;
use crate::output::Output;

/// Decoded messages shown at a time.
const SAMPLES: usize = 6;
const DRAW_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(1);

/// How everybody fares.
#[derive(Default)]
pub(super) struct Now {
    pub(super) publisher: Publishing,
    pub(super) subscribers: Vec<Subscriber>,
    pub(super) lane_next_sequence: u64,
    samples: VecDeque<Sample>,
    /// Of the last second: when, and the message that came next.
    seen: VecDeque<(Instant, u64)>,
}

/// A subscriber, and one word on it.
#[derive(Default, Clone)]
pub(super) struct Subscriber {
    pub(super) hearing: Hearing,
    pub(super) state: &'static str,
}

impl Now {
    /// Before anybody has told anything.
    pub(super) fn of(subscribers: usize) -> Now {
        Now { subscribers: vec![Subscriber::default(); subscribers], ..Now::default() }
    }

    /// The publisher has told.
    pub(super) fn publishing(&mut self, publisher: Publishing) {
        self.publisher = publisher;
        let now = Instant::now();
        self.seen.push_back((now, publisher.next_sequence));
        while self.seen.front().is_some_and(|(then, _)| now - *then > LINE_EVERY) {
            self.seen.pop_front();
        }
    }

    /// A subscriber has told.
    pub(super) fn hearing(&mut self, number: usize, mut hearing: Hearing) {
        if let Some(sample) = hearing.sample.take() {
            self.samples.truncate(SAMPLES - 1);
            self.samples.push_front(sample);
        }
        self.subscribers[number].hearing = hearing;
    }

    /// Whether everybody has something to tell.
    fn has_begun(&self) -> bool {
        self.seen.len() > 1 && self.subscribers.iter().all(|subscriber| subscriber.hearing.next_sequence > 0)
    }

    fn rate_messages_per_s(&self) -> u64 {
        let (Some((from, first)), Some((to, last))) = (self.seen.front(), self.seen.back()) else { return 0 };
        let seconds = (*to - *from).as_secs_f64();
        if seconds > 0.0 { ((last - first) as f64 / seconds) as u64 } else { 0 }
    }

    /// Messages that a subscriber has not heard yet.
    pub(super) fn behind(&self, subscriber: usize) -> u64 {
        self.missing(self.subscribers[subscriber].hearing.next_sequence)
    }

    fn missing(&self, next_sequence: u64) -> u64 {
        self.publisher.next_sequence.saturating_sub(next_sequence)
    }

    fn table(&self) -> Vec<String> {
        let Publishing { next_sequence, back_pressured, unwritten_bytes, undurable_bytes, .. } = self.publisher;
        let count = |number| HumanCount(number).to_string();
        let (unwritten, undurable) = (BinaryBytes(unwritten_bytes), BinaryBytes(undurable_bytes));
        let mut lines = vec![
            format!("   {:<13} {:>12} {:>10} {:>9} {:>9} {:>9}", "", "messages", "behind", "p50", "p99", "p99.9"),
            format!(
                "   {:<13} {:>12} {:>10} {:>29}  held back {back_pressured} times",
                "publisher",
                count(next_sequence),
                "",
                format!("{} a second", count(self.rate_messages_per_s())),
            ),
        ];
        for (number, Subscriber { hearing, state }) in (1..).zip(&self.subscribers) {
            let (heard, behind) = (count(hearing.next_sequence), count(self.missing(hearing.next_sequence)));
            let [p50, p99, p99_9] =
                [hearing.latency_ns.p50, hearing.latency_ns.p99, hearing.latency_ns.p99_9].map(time);
            let who = format!("subscriber {number}");
            lines.push(format!("   {who:<13} {heard:>12} {behind:>10} {p50:>9} {p99:>9} {p99_9:>9}  {state}"));
        }
        let lane = self.lane_next_sequence;
        lines.push(format!(
            "   {:<13} {:>12} {:>10} {:>29}  into a file, not Kafka",
            "lane",
            count(lane),
            count(self.missing(lane)),
            ""
        ));
        lines.push(format!("   {:<13} {undurable} not yet durable, {unwritten} of it not yet written", "journal"));
        lines.push(String::new());
        lines.extend(self.samples.iter().rev().map(|sample| format!("   {}", row(sample))));
        lines.resize(lines.len() + SAMPLES - self.samples.len(), String::new());
        lines
    }

    fn line(&self) -> String {
        let rate = HumanCount(self.rate_messages_per_s());
        let (undurable, lane) =
            (BinaryBytes(self.publisher.undurable_bytes), HumanCount(self.missing(self.lane_next_sequence)));
        let latency = |subscriber: &Subscriber| match subscriber.state {
            "" => format!("{} / {}", time(subscriber.hearing.latency_ns.p50), time(subscriber.hearing.latency_ns.p99)),
            state => state.to_owned(),
        };
        let latencies: Vec<_> = self.subscribers.iter().map(latency).collect();
        let sample = self.samples.front().map(row).unwrap_or_default();
        format!(
            "{rate} a second, p50 / p99 {}, durable {undurable} behind, lane {lane} behind | {sample}",
            latencies.join(", ")
        )
    }
}

/// A market update on one line.
fn row(Sample { sequence, message }: &Sample) -> String {
    let update = &message["updates"][0];
    let word = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let of_day = message["eventTime"].as_str().and_then(|time| time.get(11..26)).unwrap_or_default();
    let [kind, instrument, price, quantity] =
        ["kind", "instrument", "price", "quantity"].map(|name| word(&update[name]));
    format!("{sequence:>10}  {of_day}  instrument {instrument:>3}  {kind:<10} {price:>10} x {quantity}")
}

/// Where the story is told.
pub(super) struct Table<'o> {
    output: &'o mut Output,
    is_terminal: bool,
    started: Instant,
    drawn: Option<Instant>,
    lines: usize,
}

impl<'o> Table<'o> {
    pub(super) fn new(output: &'o mut Output) -> Table<'o> {
        let is_terminal = std::io::stdout().is_terminal();
        Table { output, is_terminal, started: Instant::now(), drawn: None, lines: 0 }
    }

    /// How long the story lasts already.
    pub(super) fn since_start(&self) -> Duration {
        self.started.elapsed()
    }

    /// Says what happens, with the time of the story.
    pub(super) fn say(&mut self, text: &str, now: &Now) -> Result<(), Failure> {
        let seconds = self.started.elapsed().as_secs();
        self.wipe()?;
        self.output.line(format_args!("{:02}:{:02}  {text}", seconds / 60, seconds % 60))?;
        if self.is_terminal { self.redraw(now) } else { self.output.flush() }
    }

    /// Shows how everybody fares, if it is time to.
    pub(super) fn show(&mut self, now: &Now) -> Result<(), Failure> {
        let every = if self.is_terminal { DRAW_EVERY } else { LINE_EVERY };
        if !now.has_begun() || self.drawn.is_some_and(|drawn| drawn.elapsed() < every) {
            return Ok(());
        }
        self.drawn = Some(Instant::now());
        match self.is_terminal {
            true => self.wipe().and_then(|()| self.redraw(now)),
            false => self.output.line(format_args!("       {}", now.line())).and_then(|()| self.output.flush()),
        }
    }

    /// Takes the table off, up to where the last line of the story stands.
    fn wipe(&mut self) -> Result<(), Failure> {
        match std::mem::take(&mut self.lines) {
            0 => Ok(()),
            lines => self.output.raw(format_args!("\x1b[{lines}A\x1b[J")),
        }
    }

    fn redraw(&mut self, now: &Now) -> Result<(), Failure> {
        let table = now.table();
        self.lines = table.len() + 1;
        self.output.cut_lines(true);
        self.output.line("")?;
        table.iter().try_for_each(|line| self.output.line(line))?;
        self.output.cut_lines(false);
        self.output.flush()
    }
}
