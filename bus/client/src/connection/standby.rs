//! The way to a grant: what is offered is mapped, and owned once the broker says so; at once where the partition is
//! vacant, else when everybody before is gone.

use super::attendant::{Claim, Request};
use super::owned::{Owned, Ownership, map_owned};
use super::{ASK_AGAIN, Answer, Link, unexpected};
use crate::publisher::{Granted, Reign};
use crate::{BusError, HeaderCheck, Owner, PublishError, Publisher, binding};
use oyez_protocol::{FailureCode, Message, Received};
use oyez_ring::{Control, RegionMut, Tail, Writer};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

/// A ring that is mapped, and belongs to no epoch yet.
pub(super) struct Ring {
    memory: RegionMut,
    control: Control,
    capacity: u64,
}

impl Ring {
    pub(super) fn map(topic: &str, capacity: u64, given: &[OwnedFd]) -> Result<Ring, BusError> {
        let (memory, control) = map_owned(topic, capacity, given)?;
        Ok(Ring { memory, control, capacity })
    }

    /// Touches all of it, so that nothing of that is left to be done at the grant.
    pub(super) fn warm(&self) {
        self.memory.populate();
    }

    /// What `Granted` makes of it; `None` for whatever else.
    pub(super) fn granted(self, owned: &Owned, granted: Message) -> Option<Reign> {
        let Message::Granted { epoch, position, sequence, time_ns, durability, binding, templates } = granted else {
            return None;
        };
        let check = HeaderCheck::new(binding::told(binding, templates));
        let tail = Tail { position, sequence, time_ns };
        let writer = Writer::new(self.memory, self.capacity, self.control, epoch, tail);
        Some(Reign::new(epoch, durability.into(), check, writer, |writer| owned.seat(writer)))
    }
}

/// A ring that is mapped and not granted yet, to become a publisher's.
pub(super) struct Mapped {
    ring: Ring,
    /// Declared after the memory, so dropped after it: the broker hears of the end when nothing is mapped any more.
    owned: Arc<Owned>,
}

impl Mapped {
    /// Maps what was offered.
    pub(super) fn new(link: &Link, topic: &str, partition: u16, offer: &Received) -> Result<Mapped, BusError> {
        let Message::RingOffer { capacity, .. } = offer.packet.message else {
            return Err(unexpected("OpenPublisher", offer));
        };
        let owned = Owned::new(topic, partition, Arc::clone(&link.wake));
        // What cannot be mapped is not waited for.
        let mapped = Ring::map(topic, capacity, &offer.descriptors).inspect_err(|_| link.withdraw(topic, partition));
        Ok(Mapped { ring: mapped?, owned })
    }

    /// Tells the broker, whose answer is the grant; all descriptors of the offer are to be closed before.
    pub(super) fn request(&self, correlation: u64) -> Request {
        let (partition, topic) = (self.owned.partition, self.owned.topic.clone());
        let (correlation, claim) = (Some(correlation), Some(Claim::new(&self.owned)));
        Request { message: Message::Mapped { partition, topic }, correlation, claim }
    }

    pub(super) fn granted(self, link: &Arc<Link>, granted: Received) -> Result<Publisher, BusError> {
        let Mapped { ring, owned } = self;
        let answer = granted.packet.message.name();
        let Some(reign) = ring.granted(&owned, granted.packet.message) else {
            return Err(BusError::Answer { request: "Mapped", answer });
        };
        Ok(Publisher::new(Granted {
            topic: owned.topic.as_str().into(),
            partition: owned.partition,
            reign,
            signal: owned.signal(),
            ownership: Box::new(Ownership::new(owned, Arc::clone(link))),
        }))
    }
}

/// One that waits until the partition is its own.
pub(crate) struct Standby {
    link: Arc<Link>,
    topic: String,
    partition: u16,
    stage: Stage,
}

enum Stage {
    /// Nothing is asked: at the beginning, after the broker went away, and when it is over.
    Idle,
    Asked(Answer),
    Warm(Answer, Mapped),
}

impl Standby {
    pub(crate) fn new(link: Arc<Link>, topic: &str, partition: u16) -> Standby {
        let mut standby = Standby { link, topic: topic.to_owned(), partition, stage: Stage::Idle };
        standby.ask();
        standby
    }

    pub(crate) fn is_warm(&self) -> bool {
        matches!(self.stage, Stage::Warm(..))
    }

    /// Goes as far as it can until the deadline; `None`: the partition is not its own yet.
    pub(crate) fn wait(&mut self, deadline: Instant) -> Result<Option<Publisher>, PublishError> {
        loop {
            let answer = match &self.stage {
                Stage::Idle => {
                    self.ask();
                    continue;
                }
                Stage::Asked(answer) | Stage::Warm(answer, _) => answer.before(deadline),
            };
            let Some(answer) = answer else { return Ok(None) };
            match (answer, std::mem::replace(&mut self.stage, Stage::Idle)) {
                (Ok(granted), Stage::Warm(_, ring)) => return Ok(Some(ring.granted(&self.link, granted)?)),
                (Ok(offer), _) => self.warm(offer)?,
                // Taken back, since it was not answered in time.
                (Err(BusError::Refused { code: FailureCode::NotOwner, .. }), _) => {}
                (Err(error), _) if error.is_retriable() && Instant::now() < deadline => std::thread::sleep(ASK_AGAIN),
                (Err(error), _) => return Err(error.into()),
            }
        }
    }

    pub(crate) fn take_over(&self) -> Result<Option<Owner>, BusError> {
        self.link.take_over(&self.topic, self.partition)
    }

    fn ask(&mut self) {
        let message = Message::OpenPublisher { partition: self.partition, standby: true, topic: self.topic.clone() };
        self.stage = Stage::Asked(self.link.ask(Request { message, correlation: None, claim: None }));
    }

    /// Maps and touches what is offered.
    fn warm(&mut self, offer: Received) -> Result<(), BusError> {
        let ring = Mapped::new(&self.link, &self.topic, self.partition, &offer)?;
        ring.ring.warm();
        let request = ring.request(offer.packet.correlation);
        // The kernel proves nothing of a memory that is open for writing still.
        drop(offer);
        self.stage = Stage::Warm(self.link.ask(request), ring);
        Ok(())
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        if !matches!(self.stage, Stage::Idle) {
            // A grant that crosses this is given back as soon as it is heard.
            self.link.withdraw(&self.topic, self.partition);
        }
    }
}
