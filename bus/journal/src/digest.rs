//! The digest: the one way to say that two sequences of messages are the same. `docs/formats/digest.md`.

use oyez_ring::Sequence;
use sha2::{Digest as _, Sha256};

/// Sequences that one run counts: run `n` holds the sequences from `n * RUN` on.
pub const RUN: u64 = 65_536;

/// The chained SHA-256 over messages in order. It says nothing of frames, blocks, epochs or padding.
///
/// ```
/// # use oyez_journal::{Digest, hex};
/// # use oyez_ring::Sequence;
/// let mut digest = Digest::new();
/// digest.add(Sequence(0), 1_700_000_000_000_000_000, b"message!");
/// assert_eq!(hex(&digest.value()).len(), 64);
/// ```
#[derive(Clone, Debug)]
pub struct Digest {
    chained: [u8; 32],
    run: Option<Run>,
}

/// The part of a digest that one run contributes: runs may be computed apart from each other, and then chained in
/// order.
#[derive(Clone, Debug)]
pub struct Run {
    number: u64,
    sha: Sha256,
}

impl Run {
    /// The run that `sequence` belongs to, with no message yet.
    pub fn of(sequence: Sequence) -> Run {
        Run { number: sequence.0 / RUN, sha: Sha256::new() }
    }

    /// Whether `sequence` belongs to this run.
    pub fn holds(&self, sequence: Sequence) -> bool {
        sequence.0 / RUN == self.number
    }

    /// Adds the next message: all of it, origin word excluded.
    pub fn add(&mut self, sequence: Sequence, time_ns: u64, message: &[u8]) {
        debug_assert!(self.holds(sequence));
        let mut head = [0; 20];
        head[0..8].copy_from_slice(&sequence.0.to_le_bytes());
        head[8..16].copy_from_slice(&time_ns.to_le_bytes());
        head[16..20].copy_from_slice(&(message.len() as u32).to_le_bytes());
        self.sha.update(head);
        self.sha.update(message);
    }

    /// The run's own digest.
    pub fn value(self) -> [u8; 32] {
        self.sha.finalize().into()
    }
}

impl Default for Digest {
    fn default() -> Self {
        Digest::new()
    }
}

impl Digest {
    /// Of no message at all: 32 zero bytes.
    pub fn new() -> Digest {
        Digest { chained: [0; 32], run: None }
    }

    /// Adds the next message. Sequences rise; where some are missing the digest is that of what was given.
    #[inline]
    pub fn add(&mut self, sequence: Sequence, time_ns: u64, message: &[u8]) {
        if !self.run.as_ref().is_some_and(|run| run.holds(sequence)) {
            self.close_run();
        }
        self.run.get_or_insert_with(|| Run::of(sequence)).add(sequence, time_ns, message);
    }

    /// Adds a whole run that was computed elsewhere. The open one, if any, is closed first.
    pub fn add_run(&mut self, run: Run) {
        self.close_run();
        self.chain(run);
    }

    /// The digest of all messages so far. More may follow.
    pub fn value(&self) -> [u8; 32] {
        let mut copy = self.clone();
        copy.close_run();
        copy.chained
    }

    fn close_run(&mut self) {
        if let Some(run) = self.run.take() {
            self.chain(run);
        }
    }

    fn chain(&mut self, run: Run) {
        self.chained = Sha256::new().chain_update(self.chained).chain_update(run.value()).finalize().into();
    }
}

/// Lower-case hexadecimal, as digests are shown everywhere.
pub fn hex(value: &[u8; 32]) -> String {
    value.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(messages: &[(u64, Vec<u8>)]) -> [u8; 32] {
        let mut digest = Digest::new();
        messages.iter().for_each(|(sequence, bytes)| digest.add(Sequence(*sequence), sequence * 3, bytes));
        digest.value()
    }

    #[test]
    fn the_definition_by_hand() {
        let run = |messages: &[(u64, u64, &[u8])]| {
            let mut bytes = Vec::new();
            for (sequence, time_ns, message) in messages {
                bytes.extend(sequence.to_le_bytes());
                bytes.extend(time_ns.to_le_bytes());
                bytes.extend((message.len() as u32).to_le_bytes());
                bytes.extend(*message);
            }
            Sha256::digest(bytes)
        };
        let mut digest = Digest::new();
        assert_eq!(digest.value(), [0; 32]);
        digest.add(Sequence(65_534), 5, b"abc");
        digest.add(Sequence(65_535), 6, b"");
        digest.add(Sequence(65_536), 7, b"defg");
        let first = Sha256::digest([[0; 32], run(&[(65_534, 5, b"abc"), (65_535, 6, b"")]).into()].concat());
        let second = Sha256::digest([<[u8; 32]>::from(first), run(&[(65_536, 7, b"defg")]).into()].concat());
        assert_eq!(digest.value(), <[u8; 32]>::from(second));
    }

    proptest! {
        #[test]
        fn looking_in_between_and_computing_runs_apart_change_nothing(
            first in 0..3 * RUN,
            steps in prop::collection::vec((1..RUN / 2, prop::collection::vec(any::<u8>(), 0..20)), 1..40),
            looks in any::<u64>(),
        ) {
            let mut sequence = first;
            let messages: Vec<_> = steps.into_iter().map(|(step, bytes)| { sequence += step; (sequence, bytes) }).collect();
            let whole = of(&messages);

            let mut looked = Digest::new();
            let mut runs: Vec<Run> = Vec::new();
            for (at, (sequence, bytes)) in messages.iter().enumerate() {
                if looks >> (at % 64) & 1 == 1 {
                    prop_assert_eq!(looked.value(), of(&messages[..at]));
                }
                looked.add(Sequence(*sequence), sequence * 3, bytes);
                if !runs.last().is_some_and(|run| run.holds(Sequence(*sequence))) {
                    runs.push(Run::of(Sequence(*sequence)));
                }
                runs.last_mut().unwrap().add(Sequence(*sequence), sequence * 3, bytes);
            }
            let mut chained = Digest::new();
            runs.into_iter().for_each(|run| chained.add_run(run));
            prop_assert_eq!(looked.value(), whole);
            prop_assert_eq!(chained.value(), whole);
        }

        #[test]
        fn any_change_of_order_time_length_or_bytes_changes_it(at in 0..20usize, byte in 0..8usize) {
            let messages: Vec<_> = (0..20).map(|n| (n, vec![n as u8; 8])).collect();
            let mut changed = messages.clone();
            changed[at].1[byte] ^= 1;
            prop_assert_ne!(of(&changed), of(&messages));
            let mut longer = messages.clone();
            longer[at].1.push(0);
            prop_assert_ne!(of(&longer), of(&messages));
            let mut later = messages.clone();
            later[at..].iter_mut().for_each(|(sequence, _)| *sequence += 1);
            prop_assert_ne!(of(&later), of(&messages));
        }
    }
}
