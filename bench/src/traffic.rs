//! What is sent, and the check of what arrived.

use crate::second::Outcome;
use oyez_mem::clock::now_ns;

/// Messages that differ from each other: as many as cannot divide a lap of any ring, so that what a lap left behind
/// never passes for new.
const VARIANTS: usize = 17;

/// Messages of one size. The first word is the message's number; the rest depends on it.
pub(crate) struct Messages {
    variants: Vec<Vec<u8>>,
}

impl Messages {
    pub(crate) fn new(len_bytes: usize) -> Messages {
        let byte = |variant: usize, at: usize| (variant * 151 + at * 29 + at / 8) as u8 | 1;
        let variant = |variant| (0..len_bytes).map(|at| byte(variant, at)).collect();
        Messages { variants: (0..VARIANTS).map(variant).collect() }
    }

    /// Message `number`.
    #[inline(always)]
    pub(crate) fn message(&mut self, number: u64) -> &[u8] {
        self.prepare(number);
        &self.variants[number as usize % VARIANTS]
    }

    /// Makes message `number` ahead of need.
    #[inline(always)]
    pub(crate) fn prepare(&mut self, number: u64) {
        self.variants[number as usize % VARIANTS][..8].copy_from_slice(&number.to_le_bytes());
    }

    /// Message `number`, which was prepared.
    #[inline(always)]
    pub(crate) fn prepared(&self, number: u64) -> &[u8] {
        &self.variants[number as usize % VARIANTS]
    }

    /// The sum over messages `from..to`.
    pub(crate) fn sum(&mut self, from: u64, to: u64) -> u64 {
        (from..to).fold(0, |all, number| all.wrapping_add(sum(self.message(number))))
    }
}

/// Sums up what arrived, in order.
#[derive(Default)]
pub(crate) struct Arrived {
    /// The number that comes next.
    pub(crate) next: u64,
    /// Sum of all bytes, eight at a time.
    pub(crate) sum: u64,
    /// The first number that was not the next one.
    pub(crate) out_of_order: Option<u64>,
}

impl Arrived {
    /// What there is to tell, at the end.
    pub(crate) fn outcome(&self) -> Outcome {
        Outcome { received: self.next, sum: self.sum, out_of_order: self.out_of_order, end_ns: now_ns() }
    }

    #[inline(always)]
    pub(crate) fn take(&mut self, message: &[u8]) {
        let number = message.first_chunk().map_or(u64::MAX, |word| u64::from_le_bytes(*word));
        if number != self.next && self.out_of_order.is_none() {
            self.out_of_order = Some(number);
        }
        self.next += 1;
        self.sum = self.sum.wrapping_add(sum(message));
    }
}

#[inline(always)]
fn sum(message: &[u8]) -> u64 {
    let (words, rest) = message.as_chunks::<8>();
    let all = words.iter().fold(0u64, |all, word| all.wrapping_add(u64::from_le_bytes(*word)));
    rest.iter().fold(all, |all, byte| all.wrapping_add(u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_that_changed_changes_the_sum_and_one_message_that_is_missing_the_order() {
        for len_bytes in [8, 32, 51, 256] {
            let mut messages = Messages::new(len_bytes);
            let expected = messages.sum(0, 40);
            let mut arrived = Arrived::default();
            (0..40).for_each(|number| arrived.take(messages.message(number)));
            assert_eq!((arrived.sum, arrived.out_of_order), (expected, None));
            let mut touched = messages.message(40).to_vec();
            touched[len_bytes - 1] ^= 4;
            arrived.take(&touched);
            assert_ne!(arrived.sum, messages.sum(0, 41), "{len_bytes} bytes");
            arrived.take(messages.message(42));
            assert!(arrived.out_of_order.is_some());
        }
    }
}
