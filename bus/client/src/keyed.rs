//! Publishing by key: what belongs together goes to one partition, and so comes in order.

use crate::{Bus, Offer, PublishError, Publisher};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use twox_hash::XxHash64;

/// The partition of a key: XXH64 with seed 0 of its bytes, modulo `partitions`. The same for every publisher, in every
/// language, for ever: a topic with another number of partitions is another topic.
///
/// ```
/// assert_eq!(oyez::partition_of(b"FR0000131104", 4), 2);
/// ```
///
/// # Panics
/// Where there are no partitions.
#[inline]
pub fn partition_of(key: &[u8], partitions: u16) -> u16 {
    assert!(partitions > 0, "a topic has a partition at least");
    (XxHash64::oneshot(0, key) % u64::from(partitions)) as u16
}

/// Which partitions to own, and how long to wait for them: made by [`Bus::keyed_publisher`].
#[must_use = "a publisher is opened with `open`"]
pub struct KeyedPublisherBuilder {
    bus: Bus,
    topic: String,
    partitions: Option<BTreeSet<u16>>,
    wait: Duration,
}

impl KeyedPublisherBuilder {
    pub(crate) fn new(bus: Bus, topic: &str) -> KeyedPublisherBuilder {
        KeyedPublisherBuilder { bus, topic: topic.to_owned(), partitions: None, wait: Duration::ZERO }
    }

    /// Only these, where several publishers share the topic; all of them unless said. None, where they are to be
    /// [`put`](KeyedPublisher::put) in.
    pub fn partitions(mut self, partitions: impl IntoIterator<Item = u16>) -> KeyedPublisherBuilder {
        self.partitions = Some(partitions.into_iter().collect());
        self
    }

    /// Waits for so long in all while partitions have another owner, or the broker is away.
    pub fn wait(mut self, timeout: Duration) -> KeyedPublisherBuilder {
        self.wait = timeout;
        self
    }

    /// Becomes the owner of all of them, or of none. They are taken in ascending order, so that two who wait for the same
    /// ones never wait for each other.
    ///
    /// # Errors
    /// As [`crate::PublisherBuilder::open`], of the first partition that is not to be had.
    pub fn open(self) -> Result<KeyedPublisher, PublishError> {
        let KeyedPublisherBuilder { bus, topic, partitions, wait } = self;
        let (count, deadline) = (bus.describe(&topic)?.partitions, Instant::now() + wait);
        let wanted = partitions.unwrap_or_else(|| (0..count).collect());
        let mut keyed = KeyedPublisher { topic, publishers: (0..count).map(|_| None).collect() };
        for partition in wanted {
            let left = deadline.saturating_duration_since(Instant::now());
            let _ = keyed.put(bus.publisher(&keyed.topic).partition(partition).wait(left).open()?);
        }
        Ok(keyed)
    }
}

/// Owns some or all partitions of a topic, and publishes each message to the partition of its key.
///
/// The messages of one key come in the order in which they were offered, over changes of the owner too; those of different
/// keys only where they share a partition. What befalls one partition, back-pressure or the loss of its epoch, leaves the
/// others as they are. One thread's at a time; costs what a [`Publisher`] does, and the key's hash. Dropping it ends the
/// epochs.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = oyez::Bus::in_process(&[oyez::Topic::new("orders").partitions(4)])?;
/// let mut orders = bus.keyed_publisher("orders").open()?;
/// let published = orders.offer(b"FR0000131104", &[0; 64])?.published().expect("nothing holds it back");
/// assert_eq!(published.partition, 2);
/// # Ok(())
/// # }
/// ```
pub struct KeyedPublisher {
    topic: String,
    /// By partition; none where it is not owned here.
    publishers: Box<[Option<Publisher>]>,
}

impl KeyedPublisher {
    /// Publishes a copy of `message` to the partition of `key`, as [`Publisher::offer`] does. [`Offer::BackPressured`] is of
    /// that partition alone. Whoever goes on with others meanwhile keeps back all that goes to this one: a later message
    /// would overtake.
    ///
    /// # Errors
    /// [`PublishError::NotOwned`]; else as there, of this partition alone.
    #[inline]
    pub fn offer(&mut self, key: &[u8], message: &[u8]) -> Result<Offer, PublishError> {
        self.of_key(key)?.offer(message)
    }

    /// The publisher that a key belongs to: to claim of it, or to wait for what it published.
    ///
    /// # Errors
    /// [`PublishError::NotOwned`]: its partition is not owned here.
    #[inline]
    pub fn of_key(&mut self, key: &[u8]) -> Result<&mut Publisher, PublishError> {
        let partition = partition_of(key, self.partitions());
        match &mut self.publishers[usize::from(partition)] {
            Some(publisher) => Ok(publisher),
            None => Err(PublishError::NotOwned { topic: self.topic.clone(), partition }),
        }
    }

    /// The publisher of a partition, where it is owned here.
    pub fn of_partition(&mut self, partition: u16) -> Option<&mut Publisher> {
        self.publishers.get_mut(usize::from(partition))?.as_mut()
    }

    /// All that are owned here, in ascending order.
    pub fn publishers(&mut self) -> impl Iterator<Item = &mut Publisher> {
        self.publishers.iter_mut().flatten()
    }

    /// Takes a partition in, in the place of the one before: one whose epoch was lost and that was opened again, or one that
    /// another publisher has given up.
    ///
    /// # Panics
    /// Where it is of another topic.
    pub fn put(&mut self, publisher: Publisher) -> Option<Publisher> {
        assert_eq!(publisher.topic(), self.topic, "a publisher of another topic");
        self.publishers[usize::from(publisher.partition())].replace(publisher)
    }

    /// Gives a partition out of hand, to be released or used alone.
    pub fn take(&mut self, partition: u16) -> Option<Publisher> {
        self.publishers.get_mut(usize::from(partition))?.take()
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// How many partitions the topic has, those of others included.
    #[inline]
    pub fn partitions(&self) -> u16 {
        self.publishers.len() as u16
    }

    /// Ends all epochs and waits until the broker has said so. Dropping it does the same without waiting.
    ///
    /// # Errors
    /// As [`Publisher::release`], of the first that could not be; the others are released all the same.
    pub fn release(self) -> Result<(), PublishError> {
        self.publishers.into_iter().flatten().map(Publisher::release).fold(Ok(()), Result::and)
    }
}

impl std::fmt::Debug for KeyedPublisher {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list().entries(self.publishers.iter().flatten()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The buffer of xxHash's own check of itself, and what it answers there for seed 0.
    #[test]
    fn the_hash_is_xxh64_with_seed_0() {
        let step = |state: &u64| Some(state.wrapping_mul(11_400_714_785_074_694_797));
        let buffer: Vec<u8> =
            std::iter::successors(Some(2_654_435_761), step).map(|state| (state >> 56) as u8).take(222).collect();
        for (len, hash) in [
            (0, 0xEF46_DB37_51D8_E999),
            (1, 0xE934_A84A_DB05_2768),
            (4, 0x9136_A0DC_A574_57EE),
            (14, 0x8282_DCC4_994E_35C8),
            (222, 0xB641_AE8C_B691_C174),
        ] {
            assert_eq!(XxHash64::oneshot(0, &buffer[..len]), hash, "{len} bytes");
        }
    }

    /// Computed by another implementation, the C library's: for lengths on both sides of its 4, 8 and 32 bytes.
    #[test]
    fn a_keys_partition_is_what_it_is_everywhere_and_for_ever() {
        let counted: Vec<u8> = (0..33).collect();
        for (key, expected) in [
            (&b""[..], [0, 1, 0, 1, 6, 25]),
            (b"a", [0, 1, 2, 3, 6, 27]),
            (b"abc", [0, 1, 0, 1, 0, 25]),
            (b"EURUSD", [0, 1, 0, 3, 6, 43]),
            (b"FR0000131104", [0, 0, 2, 2, 2, 2]),
            (&7_u32.to_le_bytes(), [0, 0, 2, 2, 3, 14]),
            (&7_u64.to_le_bytes(), [0, 1, 2, 1, 3, 21]),
            (&counted[..31], [0, 1, 1, 1, 2, 33]),
            (&counted[..32], [0, 0, 1, 0, 1, 52]),
            (&counted, [0, 1, 1, 1, 4, 45]),
        ] {
            assert_eq!([1, 2, 3, 4, 7, 64].map(|partitions| partition_of(key, partitions)), expected, "{key:?}");
        }
    }
}
