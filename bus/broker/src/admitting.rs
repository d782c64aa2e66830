//! How one of many publishers comes to hand in, and how the broker comes to own what they hand in to.

use std::os::fd::AsFd;
use std::time::Instant;

use oyez_protocol::{FailureCode, Message};

use crate::control::{Control, now_ns};
use crate::event::PartitionIndex;
use crate::ingress::Left;
use crate::log::log;
use crate::partition::{Admission, Opened};
use crate::request::{Asker, Refusing, binding_of, place};
use crate::ring::HandOutError;
use crate::spare::Taken;

impl Control {
    /// The broker becomes the owner of a partition of many publishers, as soon as that is vacant.
    pub(crate) fn own(&mut self, index: PartitionIndex, now: Instant) {
        let partition = &mut self.partitions[index.0];
        if self.stopping || !partition.wants_owner(now) {
            return;
        }
        let problem = match self.spares.take(partition.capacity_bytes) {
            Taken::NotYet => return,
            Taken::Failed(error) => error.to_string(),
            Taken::Spare(spare) => match partition.own(spare, &mut self.store, now_ns()) {
                Ok(()) => return log(format_args!("{}: owned by the broker", partition.label())),
                Err(HandOutError::Unknown(cause)) => return partition.take_nothing(cause),
                Err(error) => error.to_string(),
            },
        };
        log(format_args!("{}: not to be owned: {problem}; tried again each second", partition.label()));
        partition.own_later(now);
    }

    pub(crate) fn open_ingress(
        &mut self,
        asker: Asker,
        topic: &str,
        number: u16,
        origin: &str,
    ) -> Result<bool, Refusing> {
        let index = self.may_publish_as(asker, topic, number, true)?;
        let about = || format!("{}, origin {origin}", place(topic, number));
        if self.stopping {
            return Err((FailureCode::Closing, about()));
        }
        if let Some(cause) = self.partitions[index.0].takes_nothing() {
            return Err((FailureCode::JournalFailed, format!("{}: {cause}", about())));
        }
        let holder = self.holder(asker);
        match self.partitions[index.0].admit(origin, holder) {
            Admission::NoSuchName => Err((FailureCode::UnknownOrigin, about())),
            Admission::NotNow(refusal, holder) => Ok(self.not_granted(asker, (refusal, holder))),
            Admission::Failed(error) => {
                self.clients.seldom.log(format_args!("{}: no ingress ring: {error}", about()));
                Err((FailureCode::NoMemory, about()))
            }
            Admission::Opened(opened) => Ok(self.ingress_opened(asker, index, *opened)),
        }
    }

    fn ingress_opened(&mut self, asker: Asker, index: PartitionIndex, opened: Opened) -> bool {
        let Opened { publisher, accepted, number_epoch, tail, capacity_bytes, message_bytes_max, start, given } =
            opened;
        let partition = &self.partitions[index.0];
        let (binding, templates) =
            self.catalog.topic(&partition.topic).map(|(_, topic)| binding_of(topic)).unwrap_or_default();
        let message = Message::IngressOpened {
            publisher,
            number: accepted.number,
            number_epoch,
            capacity: capacity_bytes,
            tail,
            message_bytes_max: message_bytes_max as u64,
            epoch: start.epoch,
            start: start.position,
            position: accepted.position,
            sequence: accepted.sequence,
            durability: partition.durability,
            binding,
            templates,
        };
        // The writable descriptor is closed on return: nobody but its publisher can write the ring any more.
        self.clients.send(asker.id, asker.correlation, message, &given.each_ref().map(AsFd::as_fd))
    }

    pub(crate) fn close_ingress(
        &mut self,
        asker: Asker,
        topic: &str,
        number: u16,
        origin: &str,
    ) -> Result<bool, Refusing> {
        let index = self.may_publish_as(asker, topic, number, true)?;
        match self.partitions[index.0].close_session(origin, asker) {
            // The answer comes when the core has taken everything.
            true => Ok(true),
            false => Err((FailureCode::NotOwner, format!("{}, origin {origin}", place(topic, number)))),
        }
    }

    /// The core has done with a publisher's session.
    pub(crate) fn ingress_left(&mut self, index: PartitionIndex, left: &Left, now: Instant) {
        if let Some((asker, number)) = self.partitions[index.0].session_left(left)
            && !self.say(asker, Message::IngressClosed { number })
        {
            self.hang_up(asker.id, now);
        }
    }
}
