//! Those who mean well: a publisher, a reader that polls, one that sleeps. Each message is checked, and how late it came.

use crate::peer::{PATIENCE, now_ns, until};
use hdrhistogram::Histogram;
use oyez::{Bus, Connect, Event, EventKind, Idle, Offer, Start, Subscriber};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const LEN_WORDS: u64 = 8;
const BETWEEN_MESSAGES: Duration = Duration::from_micros(200);
/// Longer than a renewal takes beside those who attack, and shorter than the ring is deep.
const RENEWED_MAX: Duration = Duration::from_secs(5);

/// What is going on beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Phase {
    Quiet = 0,
    /// Others burn processors, and leave the bus alone.
    Busy = 1,
    Hostile = 2,
    Between = 3,
    /// The publisher stops.
    Over = 4,
}

/// How late messages came, in nanoseconds: quiet, busy, and beside hostile clients.
type Late = [Histogram<u64>; 3];

pub(crate) struct Honest {
    phase: Arc<AtomicU64>,
    /// Messages published, once that is over.
    published: JoinHandle<u64>,
    polls: JoinHandle<(Late, u64)>,
    sleeps: JoinHandle<(Late, u64)>,
    bus: Bus,
}

/// Of the reader that polls, and of the one that sleeps.
pub(crate) struct Figures {
    polls: Late,
    sleeps: Late,
    messages: u64,
}

impl Honest {
    pub(crate) fn start(socket: &Path) -> Honest {
        let bus = Bus::connect(Connect::new(socket).name("honest").timeout(PATIENCE)).expect("a broker");
        let phase = Arc::new(AtomicU64::new(Phase::Between as u64));
        let reader = |sleeps: bool| {
            let mut subscriber = bus.subscriber().topic("md", Start::Earliest).open().expect("a start");
            let phase = Arc::clone(&phase);
            std::thread::spawn(move || read(&mut subscriber, sleeps, &phase))
        };
        let (polls, sleeps) = (reader(false), reader(true));
        let (publisher, told) = (bus.publisher("md").open().expect("nobody owns it"), Arc::clone(&phase));
        let published = std::thread::spawn(move || publish(publisher, &told));
        Honest { phase, published, polls, sleeps, bus }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u64, Ordering::SeqCst);
    }

    /// Each reader has had all that was published, and so has one that comes late.
    pub(crate) fn finish(self) -> Figures {
        self.enter(Phase::Over);
        let messages = self.published.join().expect("the publisher is well");
        let (polls, polled) = self.polls.join().expect("the reader is well");
        let (sleeps, slept) = self.sleeps.join().expect("the sleeper is well");
        assert_eq!((polled, slept), (messages, messages));
        let mut late = self.bus.subscriber().topic("md", Start::Earliest).open().expect("a start");
        let mut next = 0;
        until("the whole topic once more", || {
            let each = |event: Event<'_>| {
                check(&event.kind, &mut next);
            };
            late.poll(4_096, each).expect("nothing is wrong");
            (next == messages).then_some(())
        });
        Figures { polls, sleeps, messages }
    }
}

fn words(number: u64) -> [[u8; 8]; LEN_WORDS as usize] {
    std::array::from_fn(|at| (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ at as u64).to_le_bytes())
}

fn publish(mut publisher: oyez::Publisher, phase: &AtomicU64) -> u64 {
    let mut messages = 0;
    while phase.load(Ordering::Relaxed) != Phase::Over as u64 {
        offer(&mut publisher, words(messages).as_flattened());
        messages += 1;
    }
    // For readers to know their end by.
    offer(&mut publisher, &[0; 8]);
    messages
}

fn offer(publisher: &mut oyez::Publisher, message: &[u8]) {
    let (until, epoch, mut waited) = (Instant::now() + RENEWED_MAX, publisher.epoch(), false);
    while publisher.offer(message).expect("an owner") == Offer::BackPressured {
        assert!(Instant::now() < until, "back-pressured for too long");
        waited = true;
        std::thread::sleep(BETWEEN_MESSAGES);
    }
    // A request with bits turned may be one for a renewal, and whoever attacks here is the broker's own user.
    assert!(!waited || publisher.epoch() > epoch, "the recorder was a whole ring behind");
    std::thread::sleep(BETWEEN_MESSAGES);
}

/// The publish time of a message, which must be the next; none of the last one.
fn check(kind: &EventKind<'_>, next: &mut u64) -> Option<u64> {
    match kind {
        EventKind::Message(message) if message.bytes.len() == 8 => return None,
        EventKind::Message(message) => {
            assert_eq!((message.sequence.0, message.bytes), (*next, words(*next).as_flattened()));
            *next += 1;
            return Some(message.time_ns);
        }
        EventKind::Gap { .. } | EventKind::Rewound { .. } => panic!("{kind:?}"),
        _ => {}
    }
    Some(0)
}

fn read(subscriber: &mut Subscriber, sleeps: bool, phase: &AtomicU64) -> (Late, u64) {
    let mut late: Late = std::array::from_fn(|_| Histogram::new(3).expect("three digits"));
    let (mut next, mut is_over, mut idle) = (0, false, Idle::back_off());
    while !is_over {
        let now = phase.load(Ordering::Relaxed) as usize;
        let given = subscriber.poll(256, |event| match check(&event.kind, &mut next) {
            None => is_over = true,
            Some(0) => {}
            Some(time_ns) => {
                if let Some(late) = late.get_mut(now) {
                    late.record(now_ns().saturating_sub(time_ns)).expect("it grows");
                }
            }
        });
        let given = given.expect("nothing is wrong");
        match sleeps {
            true if given == 0 => drop(subscriber.wait(PATIENCE).expect("a bell")),
            true => {}
            false => idle.rest(given),
        }
    }
    (late, next)
}

impl Figures {
    /// The worst of both readers, beside hostile clients by the other phase.
    pub(crate) fn p99_ratio(&self, other: Phase) -> f64 {
        let p99 = |late: &Late, phase: Phase| late[phase as usize].value_at_quantile(0.99).max(1) as f64;
        let ratio = |late| p99(late, Phase::Hostile) / p99(late, other);
        ratio(&self.polls).max(ratio(&self.sleeps))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "hostile: {} messages, whole and in order for each reader; µs late, quiet, busy and hostile:",
            self.messages
        )?;
        for (name, late) in [("polls", &self.polls), ("sleeps", &self.sleeps)] {
            for quantile in [0.5, 0.99, 0.999] {
                let [quiet, busy, hostile] = [0, 1, 2].map(|at| late[at].value_at_quantile(quantile) as f64 / 1e3);
                write!(out, " {name} p{} {quiet:.1} {busy:.1} {hostile:.1};", quantile * 100.0)?;
            }
        }
        let [quiet, busy] = [Phase::Quiet, Phase::Busy].map(|phase| self.p99_ratio(phase));
        write!(out, " worst p99 ratio {quiet:.2} to quiet, {busy:.2} to busy")
    }
}
