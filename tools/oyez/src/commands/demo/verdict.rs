//! The verdict: what everybody holds, compared.

use std::fmt::{Display, Formatter};
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::HumanCount;
use oyez::{Digest, Sequence};
use oyez_gateway::sink::loopback::Loopback;
use oyez_journal::{Folder, hex};
use serde::Serialize;

use super::ledger::{self, Account, Ledger};
use super::report::Heard;
use super::stage::Stage;
use crate::failure::Failure;
use crate::progress::Progress;

/// How long the journal's index may take to say that the end is durable.
const NOTED_MAX: Duration = Duration::from_secs(5);

/// Who holds what. All digests must be the same.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) published: u64,
    /// Messages that somebody lacks: the most that one of them does.
    pub(super) lost: u64,
    pub(super) digest: String,
    pub(super) subscribers: Vec<Heard>,
    pub(super) journal: JournalHolds,
    pub(super) lane: LaneHolds,
    #[serde(skip)]
    pub(super) unnoted: u64,
}

/// Read from the segments on disk; no broker or client was asked.
#[derive(Debug, Serialize)]
pub(super) struct JournalHolds {
    pub(super) messages: u64,
    pub(super) digest: String,
    /// All of it, by the journal's own index.
    pub(super) durable: bool,
}

/// Read from the target.
#[derive(Debug, Serialize)]
pub(super) struct LaneHolds {
    pub(super) target: String,
    pub(super) messages: u64,
    pub(super) digest: String,
}

impl Verdict {
    /// Reads journal and lane back, and adds up what the publishers noted.
    pub(super) fn find(
        stage: &Stage,
        ledgers: &[Ledger],
        end: u64,
        subscribers: Vec<Heard>,
        target: String,
    ) -> Result<Verdict, Failure> {
        let Account { messages: published, digest, unnoted } = published(&stage.journal(), ledgers, Sequence(end))?;
        let journal = JournalHolds::read(&stage.journal())?;
        let lane = LaneHolds::read(&stage.target(), target, published)?;
        let held = subscribers.iter().map(|heard| heard.received).chain([journal.messages, lane.messages]);
        let lost = published - held.min().unwrap_or(0).min(published);
        Ok(Verdict { published, lost, digest: hex(&digest), subscribers, journal, lane, unnoted })
    }

    /// Whether everybody holds the same, and it is safe.
    pub(super) fn agrees(&self) -> bool {
        let counts = self.subscribers.iter().map(|heard| heard.received);
        let digests = self.subscribers.iter().map(|heard| &heard.digest);
        self.lost == 0
            && self.journal.durable
            && counts.chain([self.journal.messages, self.lane.messages]).all(|count| count == self.published)
            && digests.chain([&self.journal.digest, &self.lane.digest]).all(|digest| *digest == self.digest)
    }
}

/// What the publishers published, by their ledgers. Of a message that one had no time to note, the time is the
/// journal's, if it holds the bytes that were due.
fn published(journal: &Path, ledgers: &[Ledger], end: Sequence) -> Result<Account, Failure> {
    let folder = Folder::open(journal)?;
    ledger::account(ledgers, end, |sequence, message| {
        let limit = folder.end().position;
        let mut reader = folder.reader()?;
        reader.seek_sequence(sequence, limit)?;
        match reader.poll(limit)? {
            Some(frame) if frame.sequence == sequence && frame.payload == message => Ok(frame.time_ns),
            _ => {
                Err(format!("message {sequence} is not the one its publisher was about to note; please report it")
                    .into())
            }
        }
    })
}

impl JournalHolds {
    /// The index notes what was confirmed a little later than it is told: that is waited for.
    fn read(journal: &Path) -> Result<JournalHolds, Failure> {
        let (mut folder, deadline) = (Folder::open(journal)?, Instant::now() + NOTED_MAX);
        while folder.durable() < folder.end().position && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
            folder = Folder::open(journal)?;
        }
        let mut progress = Progress::new("reading the journal back", "bytes");
        let found = folder.verify(&mut |done, all| progress.set(done, all))?;
        let durable = found.corrupt.is_empty() && found.torn.is_none() && folder.durable() >= folder.end().position;
        Ok(JournalHolds { messages: found.messages, digest: hex(&found.digest), durable })
    }
}

impl LaneHolds {
    fn read(path: &Path, target: String, expected: u64) -> Result<LaneHolds, Failure> {
        let (mut digest, mut messages) = (Digest::new(), 0);
        let mut progress = Progress::new("reading the lane's target back", "messages");
        for record in Loopback::read_committed(path)? {
            let record = record?;
            digest.add(Sequence(record.sequence), record.publish_time_ns, &record.bytes);
            messages += 1;
            if messages % (1 << 16) == 0 {
                progress.set(messages, expected);
            }
        }
        Ok(LaneHolds { target, messages, digest: hex(&digest.value()) })
    }
}

/// Digests at full length are for programs.
fn short(digest: &str) -> &str {
    &digest[..digest.len().min(16)]
}

impl Display for Verdict {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let mut line = |who: &str, messages: u64, digest: &str, more: &str| {
            let (count, digest) = (HumanCount(messages).to_string(), short(digest));
            let line = format!("   {who:<13} {count:>12} messages   digest {digest}…   {more}");
            writeln!(out, "{}", line.trim_end())
        };
        line("publisher", self.published, &self.digest, "")?;
        for (number, heard) in (1..).zip(&self.subscribers) {
            let more = match heard.lapped {
                0 => String::new(),
                1 => "lapped once, and caught up from the journal".to_owned(),
                times => format!("lapped {times} times, and caught up from the journal"),
            };
            line(&format!("subscriber {number}"), heard.received, &heard.digest, &more)?;
        }
        line(
            "journal",
            self.journal.messages,
            &self.journal.digest,
            if self.journal.durable { "all durable" } else { "NOT all durable" },
        )?;
        line("lane", self.lane.messages, &self.lane.digest, &self.lane.target)?;
        match (self.agrees(), self.unnoted) {
            (true, 0) => write!(out, "   lost {}: everybody holds the same, in the same order.", self.lost),
            (true, _) => write!(
                out,
                "   lost {}: everybody holds the same, in the same order. One message had left its publisher when that was killed, \
                 before it could note it: it is there, too.",
                self.lost
            ),
            (false, _) => {
                write!(out, "   lost {}: THEY DO NOT HOLD THE SAME. This must not be; please report it.", self.lost)
            }
        }
    }
}

/// A latency as people read it.
pub(super) fn time(ns: u64) -> String {
    match ns {
        0..10_000 => format!("{ns} ns"),
        10_000..1_000_000 => format!("{} µs", ns / 1_000),
        1_000_000..100_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        100_000_000..10_000_000_000 => format!("{} ms", ns / 1_000_000),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::demo::report::Latency;

    fn verdict(change: impl Fn(&mut Verdict)) -> Verdict {
        let digest = "ab".repeat(32);
        let heard = Heard { received: 9, digest: digest.clone(), lapped: 1, latency_ns: Latency::default() };
        let journal = JournalHolds { messages: 9, digest: digest.clone(), durable: true };
        let lane = LaneHolds { target: "a file, not Kafka".to_owned(), messages: 9, digest: digest.clone() };
        let subscribers = vec![heard.clone(), heard];
        let mut verdict = Verdict { published: 9, lost: 0, digest, subscribers, journal, lane, unnoted: 0 };
        change(&mut verdict);
        verdict
    }

    #[test]
    fn whoever_holds_something_else_is_seen() {
        assert!(verdict(|_| {}).agrees());
        let changes: [fn(&mut Verdict); 9] = [
            |verdict| verdict.lost = 1,
            |verdict| verdict.published = 8,
            |verdict| verdict.digest.push('0'),
            |verdict| verdict.subscribers[1].received = 10,
            |verdict| verdict.subscribers[0].digest.clear(),
            |verdict| verdict.journal.messages = 8,
            |verdict| verdict.journal.digest.clear(),
            |verdict| verdict.journal.durable = false,
            |verdict| verdict.lane.digest.clear(),
        ];
        for (number, change) in changes.iter().enumerate() {
            let changed = verdict(change);
            assert!(!changed.agrees(), "change {number}");
            assert!(changed.to_string().contains("THEY DO NOT HOLD THE SAME"), "change {number}");
        }
    }

    #[test]
    fn in_words_it_names_everybody_and_what_happened() {
        let text = verdict(|verdict| verdict.unnoted = 1).to_string();
        for part in [
            "publisher ",
            "subscriber 2 ",
            "journal ",
            "not Kafka",
            "lapped once",
            "abababababababab…",
            "lost 0",
            "One message",
        ] {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
    }

    #[test]
    fn latencies_are_told_in_three_digits_or_so() {
        let told = [0, 9_999, 10_000, 999_999, 1_250_000, 123_456_789, 12_345_678_901].map(time);
        assert_eq!(told, ["0 ns", "9999 ns", "10 µs", "999 µs", "1.2 ms", "123 ms", "12.3 s"]);
    }
}
