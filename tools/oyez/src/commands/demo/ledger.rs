//! What a publisher notes of itself, outside bus and journal, so that a `kill -9` cannot hide what it had published.
//!
//! Shared memory of the demo's own, which outlives the publisher:
//!
//! ```text
//!   0  epoch          u64   0: never granted
//!   8  first sequence u64
//!  16  publish time   u64   of each message in turn, noted when `offer` has returned; 0: not noted
//! ```
//!
//! The messages themselves follow from the epoch: each epoch's publisher plays the sample session of that seed. A
//! publisher killed between `offer` and its note has published one message more than it noted, never two.

use std::fs::OpenOptions;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use oyez::{Digest, Epoch, Sequence};
use oyez_mem::memory::{self, Access};
use oyez_mem::{Region, RegionMut};
use oyez_sample::{MESSAGE_BYTES_MAX, Session};

use crate::failure::Failure;

const HEAD_BYTES: usize = 16;
const NOTE_BYTES: usize = 8;

/// The session that the publisher of an epoch plays.
pub(super) fn session(epoch: Epoch) -> Session {
    Session::new(epoch.0.into())
}

fn len_bytes(messages: u64) -> Result<usize, Failure> {
    Ok(usize::try_from(messages)? * NOTE_BYTES + HEAD_BYTES)
}

/// The publisher's side.
pub(super) struct Notes {
    region: RegionMut,
    at: usize,
}

impl Notes {
    /// Begins in memory that whoever stages the demo made for so many messages.
    pub(super) fn begin(path: &Path, messages: u64, epoch: Epoch, first: Sequence) -> Result<Notes, Failure> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.map_err(|error| format!("{}: cannot open the ledger: {error}; mount /proc", path.display()))?;
        let region = RegionMut::map(file, len_bytes(messages)?)?;
        region.store(8, first.0);
        region.store_release(0, epoch.0.into());
        Ok(Notes { region, at: HEAD_BYTES })
    }

    /// Notes that a message is out.
    #[inline]
    pub(super) fn note(&mut self, time_ns: u64) {
        self.region.store_release(self.at, time_ns);
        self.at += NOTE_BYTES;
    }
}

/// The reading side, which owns the memory.
pub(super) struct Ledger {
    memory: OwnedFd,
    region: Region,
}

impl Ledger {
    /// An empty ledger with room for so many messages.
    pub(super) fn new(messages: u64) -> Result<Ledger, Failure> {
        let len_bytes = len_bytes(messages)?;
        let memory = memory::create("oyez-demo-ledger", len_bytes as u64)?;
        let region = Region::map(memory::reopen(&memory, Access::Read)?, len_bytes)?;
        Ok(Ledger { memory, region })
    }

    /// Where a child finds it, for as long as this process lives.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.memory.as_raw_fd()).into()
    }

    fn epoch(&self) -> Epoch {
        Epoch(self.region.load(0) as u32)
    }

    fn first(&self) -> Sequence {
        Sequence(self.region.load(8))
    }

    fn times_ns(&self) -> impl Iterator<Item = u64> {
        let notes = (HEAD_BYTES..self.region.len_bytes()).step_by(NOTE_BYTES);
        notes.map(|at| self.region.load(at)).take_while(|time_ns| *time_ns != 0)
    }
}

/// What was published, by the publishers' own ledgers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) messages: u64,
    pub(super) digest: [u8; 32],
    /// Messages that were out when their publisher was killed, and not yet noted: at most one for each epoch.
    pub(super) unnoted: u64,
}

/// Adds up the ledgers, in the order of their epochs, against a topic that ends before `end`. Of a message that was
/// not noted any more, `time_of` says when it was published, if it holds these very bytes.
///
/// # Errors
/// The ledgers do not explain the topic: more than one message between two of them, or another one than was due.
pub(super) fn account(
    ledgers: &[Ledger],
    end: Sequence,
    mut time_of: impl FnMut(Sequence, &[u8]) -> Result<u64, Failure>,
) -> Result<Account, Failure> {
    let (mut digest, mut next, mut unnoted) = (Digest::new(), Sequence(0), 0);
    let granted: Vec<&Ledger> = ledgers.iter().filter(|ledger| ledger.epoch() != Epoch(0)).collect();
    for (at, ledger) in granted.iter().enumerate() {
        let (mut session, mut buffer) = (session(ledger.epoch()), [0; MESSAGE_BYTES_MAX]);
        if ledger.first() != next {
            return Err(format!(
                "epoch {} began at message {}, not {next}; please report it",
                ledger.epoch(),
                ledger.first()
            )
            .into());
        }
        for time_ns in ledger.times_ns() {
            digest.add(next, time_ns, session.next(&mut buffer));
            next.0 += 1;
        }
        let ended = granted.get(at + 1).map_or(end, |after| after.first());
        match ended.0.checked_sub(next.0) {
            Some(0) => {}
            Some(1) if at + 1 < granted.len() => {
                let message = session.next(&mut buffer);
                digest.add(next, time_of(next, message)?, message);
                (next.0, unnoted) = (next.0 + 1, unnoted + 1);
            }
            _ => {
                let epoch = ledger.epoch();
                return Err(format!("epoch {epoch}: its publisher noted messages up to {next}, the topic goes on at {ended}; please report it").into());
            }
        }
    }
    Ok(Account { messages: next.0, digest: digest.value(), unnoted })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays epochs that noted so many messages each, with so many more published after each but the last.
    fn played(epochs: &[(u64, u64)]) -> (Vec<Ledger>, Digest, Sequence) {
        let (mut ledgers, mut digest, mut next) = (Vec::new(), Digest::new(), Sequence(0));
        for (number, (noted, more)) in (1..).zip(epochs) {
            let ledger = Ledger::new(noted + 1).expect("memory");
            let mut notes = Notes::begin(&ledger.path(), noted + 1, Epoch(number), next).expect("ledger");
            let (mut session, mut buffer) = (session(Epoch(number)), [0; MESSAGE_BYTES_MAX]);
            for count in 0..noted + more {
                digest.add(next, 1_000 + next.0, session.next(&mut buffer));
                if count < *noted {
                    notes.note(1_000 + next.0);
                }
                next.0 += 1;
            }
            ledgers.push(ledger);
        }
        (ledgers, digest, next)
    }

    fn time_of(sequence: Sequence, _: &[u8]) -> Result<u64, Failure> {
        Ok(1_000 + sequence.0)
    }

    #[test]
    fn one_message_more_than_was_noted_is_explained_two_are_not() {
        let (ledgers, digest, end) = played(&[(10, 1), (5, 0), (7, 0)]);
        let expected = Account { messages: 23, digest: digest.value(), unnoted: 1 };
        assert_eq!(account(&ledgers, end, time_of).expect("explained"), expected);
        let (ledgers, _, end) = played(&[(10, 2), (5, 0)]);
        assert!(account(&ledgers, end, time_of).is_err_and(|text| text.to_string().contains("up to 10")));
        let (ledgers, _, end) = played(&[(10, 0)]);
        assert!(account(&ledgers, Sequence(end.0 + 1), time_of).is_err(), "the last publisher ended in order");
    }

    #[test]
    fn a_ledger_nobody_was_granted_is_passed_over() {
        let (mut ledgers, digest, end) = played(&[(3, 0)]);
        ledgers.insert(0, Ledger::new(1).expect("memory"));
        let account = account(&ledgers, end, time_of).expect("explained");
        assert_eq!((account.messages, account.digest), (3, digest.value()));
    }
}
