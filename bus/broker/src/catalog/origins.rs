//! Topics of many publishers: who hands in, by name and number, and through how large a ring.

use std::collections::{BTreeMap, BTreeSet};

use oyez_ring::layout::PUBLISHERS_MAX;
use oyez_ring::{BLOCK, Memory, message_bytes_max};

use super::text::TopicText;
use super::{CatalogError, Check};

const KIB: u64 = 1 << 10;

/// What a topic of many publishers declares of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Many {
    /// Each publisher's number, by its name. Numbers are never given to another.
    pub origins: BTreeMap<String, u16>,
    /// Bytes of each publisher's ingress ring, a power of two.
    pub ingress_bytes: u64,
}

impl Many {
    /// Bytes that the ingress rings of a partition take at most, with what they are read into: a frame, and a message.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let read_into = BLOCK + message_bytes_max(self.ingress_bytes) as u64;
        self.origins.len() as u64 * (Memory::len_bytes(self.ingress_bytes) + read_into)
    }
}

impl Check<'_> {
    /// What a topic says of its publishers; `None` where it has one at a time.
    pub(super) fn many(&self, topic: &str, text: &TopicText) -> Result<Option<Many>, CatalogError> {
        let place = |key: &str| format!("topics.{topic}.{key}");
        if !self.one_of(&place("publishers"), &text.publishers, &[("one", false), ("many", true)])? {
            return match text.origins.first_key_value() {
                None => Ok(None),
                Some((name, _)) => {
                    let problem = format!("`{name}`, where there is one publisher at a time");
                    self.wrong(&place("origins"), problem, "set `publishers = \"many\"`, or leave `origins` out")
                }
            };
        }
        if text.takeover != "release" || text.standbys != 0 {
            let problem = "with `publishers = \"many\"`, whose partitions the broker owns itself";
            return self.wrong(&place("takeover"), problem, "leave `takeover` and `standbys` out");
        }
        if !text.recorded {
            let problem = "where nothing tells after a stop how far each publisher was taken";
            return self.wrong(
                &place("recorded"),
                problem,
                "leave `recorded = false` out, or have one publisher at a time",
            );
        }
        if !text.ingress_kib.is_power_of_two() || !(128..=16_384).contains(&text.ingress_kib) {
            let problem = format!("an ingress ring of {} KiB", text.ingress_kib);
            return self.wrong(&place("ingress_kib"), problem, "take a power of two from 128 to 16384");
        }
        let count = text.origins.len();
        if !(1..=PUBLISHERS_MAX).contains(&count) {
            let remedy = format!("give 1 to {PUBLISHERS_MAX} publishers a name and a number of their own");
            return self.wrong(&place("origins"), format!("{count} publishers"), remedy);
        }
        let mut numbers = BTreeSet::new();
        for (name, &number) in &text.origins {
            self.name(&place("origins"), name)?;
            if number == 0 || !numbers.insert(number) {
                let problem = format!("`{name}` has number {number}");
                let remedy = "take a number from 1 to 65535 that no publisher of the topic has, or ever had";
                return self.wrong(&place("origins"), problem, remedy);
            }
        }
        Ok(Some(Many { origins: text.origins.clone(), ingress_bytes: text.ingress_kib * KIB }))
    }
}
