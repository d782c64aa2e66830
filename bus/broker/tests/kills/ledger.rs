//! The oracle: a stream of messages held against what their publishers know of themselves.

use crate::content::{self, Mix};
use crate::witness::Testimony;
use oyez::{Digest, Sequence};
use std::collections::BTreeMap;

/// What a reader, or the journal, has of one epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Reign {
    first: u64,
    count: u64,
    /// The chain after the last message, and after the one before.
    chain: u64,
    before: u64,
}

/// Messages in the order in which they were given; dense, whole, unchanged, or it panics.
pub(crate) struct Ledger {
    mix: Mix,
    expected: Vec<u8>,
    reigns: BTreeMap<u32, Reign>,
    next: u64,
    time_ns: u64,
    digest: Digest,
}

impl Ledger {
    pub(crate) fn new(mix: Mix) -> Ledger {
        let (expected, reigns, digest) = (Vec::new(), BTreeMap::new(), Digest::new());
        Ledger { mix, expected, reigns, next: 0, time_ns: 0, digest }
    }

    pub(crate) fn add(&mut self, epoch: u32, sequence: u64, time_ns: u64, bytes: &[u8]) {
        assert_eq!(sequence, self.next, "a message is missing, doubled or out of order");
        assert!(bytes == self.mix.message(sequence, &mut self.expected), "message {sequence} was changed");
        assert!(time_ns >= self.time_ns, "time went back at message {sequence}");
        assert!(self.reigns.last_key_value().is_none_or(|(last, _)| *last <= epoch), "epochs out of order");
        let reign = self.reigns.entry(epoch).or_insert_with(|| Reign { first: sequence, ..Reign::default() });
        (reign.before, reign.chain) = (reign.chain, content::chain(reign.chain, sequence, time_ns));
        reign.count += 1;
        self.digest.add(Sequence(sequence), time_ns, bytes);
        (self.next, self.time_ns) = (sequence + 1, time_ns);
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        self.digest.value()
    }

    /// Every commit that returned is here as its publisher saw it; and at most one more, whose return the kill cut off.
    pub(crate) fn hold_against(&self, testimonies: &[Testimony]) {
        for testimony in testimonies.iter().filter(|testimony| testimony.count > 0) {
            let reign = self.reigns.get(&testimony.epoch);
            let reign = reign.unwrap_or_else(|| panic!("epoch {} is lost: {testimony:?}", testimony.epoch));
            let count = testimony.count;
            assert_eq!(reign.first, testimony.first, "first sequence of epoch {}", testimony.epoch);
            assert!(
                (count..=count + 1).contains(&reign.count),
                "epoch {}: {} messages, its publisher knows of {count}",
                testimony.epoch,
                reign.count
            );
            let chain = if reign.count == count { reign.chain } else { reign.before };
            assert_eq!(chain, testimony.hash, "epoch {} was changed", testimony.epoch);
        }
    }
}
