//! The publisher's part.

use std::time::Duration;

use oyez::{Bus, Connect, Durability, Idle, Offer, Position, Publisher};
use oyez_sample::MESSAGE_BYTES_MAX;

use super::ledger::{self, Notes};
use super::report::{Orders, Publishing, Report, tell};
use crate::args::PublisherArgs;
use crate::commands::publishing::Pace;
use crate::failure::Failure;

/// How often it tells how it fares.
const TELL_EVERY_NS: u64 = 100_000_000;
/// How long the owner before it may take to go, and its last message to become durable.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn play(args: &PublisherArgs) -> Result<(), Failure> {
    let mut orders = Orders::listen();
    let bus = Bus::connect(Connect::new(&args.socket).name("demo-publisher"))?;
    let mut publisher = bus.publisher(&args.topic).wait(PATIENCE).open()?;
    let (epoch, first) = (publisher.epoch(), publisher.next_sequence());
    tell(&Report::Granted { epoch: epoch.0, sequence: first.0 })?;
    let mut notes = Notes::begin(&args.ledger, args.messages, epoch, first)?;
    let (mut session, mut buffer) = (ledger::session(epoch), [0; MESSAGE_BYTES_MAX]);
    let (pace, mut watch) = (Pace::new(args.rate_messages_per_s), Watch::default());
    for number in 0..args.messages {
        pace.wait_for(number);
        let published = publish(&mut publisher, session.next(&mut buffer), &mut watch)?;
        notes.note(published.time_ns);
        if watch.is_due(published.time_ns, published.position) {
            tell(&Report::Publishing(watch.told(&mut publisher)?))?;
            if orders.until()?.is_some() {
                break;
            }
        }
    }
    publisher.wait(watch.end, Durability::Durable, PATIENCE)?;
    let next_sequence = publisher.next_sequence().0;
    publisher.release()?;
    tell(&Report::Published { next_sequence })
}

fn publish(publisher: &mut Publisher, message: &[u8], watch: &mut Watch) -> Result<oyez::Published, Failure> {
    let mut idle = Idle::default();
    let mut was_held_back = false;
    loop {
        match publisher.offer(message)? {
            Offer::Published(published) => return Ok(published),
            Offer::BackPressured => {
                watch.now.back_pressured += u64::from(!was_held_back);
                was_held_back = true;
                idle.rest(0);
            }
        }
    }
}

/// What the publisher notices of itself.
#[derive(Default)]
struct Watch {
    now: Publishing,
    last_ns: u64,
    told_ns: u64,
    /// Where its last frame ends.
    end: Position,
}

impl Watch {
    /// A message is out; whether it is time to tell.
    #[inline]
    fn is_due(&mut self, time_ns: u64, end: Position) -> bool {
        if self.last_ns != 0 {
            self.now.pause_ns_max = self.now.pause_ns_max.max(time_ns - self.last_ns);
        }
        (self.last_ns, self.end) = (time_ns, end);
        time_ns >= self.told_ns + TELL_EVERY_NS
    }

    fn told(&mut self, publisher: &mut Publisher) -> Result<Publishing, Failure> {
        self.told_ns = self.last_ns;
        self.now.next_sequence = publisher.next_sequence().0;
        self.now.unwritten_bytes = self.end.0.saturating_sub(publisher.position(Durability::Written)?.0);
        self.now.undurable_bytes = self.end.0.saturating_sub(publisher.position(Durability::Durable)?.0);
        let told = self.now;
        self.now.pause_ns_max = 0;
        Ok(told)
    }
}
