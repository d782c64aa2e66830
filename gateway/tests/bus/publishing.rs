//! A publisher that goes on while gateways die, in one epoch after the other.

use oyez::{Bus, Offer, Publisher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const MESSAGES_PER_MS: u64 = 5;
const EPOCH: Duration = Duration::from_secs(1);

pub(crate) struct Publishing {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Publishing {
    pub(crate) fn start(bus: Bus, topic: &str) -> Publishing {
        let stop = Arc::new(AtomicBool::new(false));
        let (topic, stopped) = (topic.to_owned(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut next = 0;
            while !stopped.load(Ordering::Relaxed) {
                next = one_epoch(open(&bus, &topic), &stopped);
            }
            next
        });
        Publishing { stop, thread }
    }

    /// How many messages were published.
    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("has published")
    }
}

/// Publishes in bursts of a ms; the sequence that comes next.
fn one_epoch(mut publisher: Publisher, stopped: &AtomicBool) -> u64 {
    let begun = Instant::now();
    let mut due = begun;
    while begun.elapsed() < EPOCH && !stopped.load(Ordering::Relaxed) {
        for _ in 0..MESSAGES_PER_MS {
            let message = message(publisher.next_sequence().0);
            publish(&mut publisher, &message);
        }
        due += Duration::from_millis(1);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let next = publisher.next_sequence().0;
    publisher.release().expect("lets go");
    next
}

/// Becomes the topic's owner, as soon as there is a ring for it.
pub(crate) fn open(bus: &Bus, topic: &str) -> Publisher {
    bus.publisher(topic).wait(Duration::from_secs(60)).open().expect("is granted")
}

/// Publishes, as soon as the bus takes it.
pub(crate) fn publish(publisher: &mut Publisher, message: &[u8]) {
    while let Offer::BackPressured = publisher.offer(message).expect("goes on") {
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// The message with that sequence: every byte follows from it, so that whatever was changed shows.
pub(crate) fn message(sequence: u64) -> Vec<u8> {
    (0..2 + mix(sequence) % 14).flat_map(|word| mix(sequence ^ word << 56).to_le_bytes()).collect()
}

pub(crate) fn mix(n: u64) -> u64 {
    let n = (n ^ n >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ n >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ n >> 31
}
