//! Renewal: the owner goes on in a new epoch, with a new ring, as nobody's successor but its own.
//!
//! ```text
//!   operator                broker                                  owner
//!     Renew ──────────────► first of those who wait, with a ring
//!                             RingOffer, unasked ─────────────────► maps it, and publishes on
//!                             sealed: it is warm ◄───────── Mapped
//!                             HandOver ───────────────────────────► gives its ring up, and unmaps it
//!                             Leaving, proven, ended ◄───── Release   back-pressured
//!     Renewed ◄────────────── granted ─────── Granted ────────────► publishes on
//! ```
//!
//! It is a standby's hand-out, with the owner in the first place. Up to `HandOver` nothing has happened to the epoch: an owner
//! that is stopped, or of an older build, keeps it, and its offer is taken back. Nobody is forced: who has mapped its ring and
//! does not let go of the other stays asked, and owns. One that dies is a dead owner, and its new ring goes with it.

use std::time::{Duration, Instant};

use oyez_protocol::{CORRELATION_OF_BROKER, FailureCode, Message};
use oyez_ring::Epoch;

use crate::control::Control;
use crate::event::PartitionIndex;
use crate::log::log;
use crate::partition::{Holder, Partition};
use crate::request::{Asker, Refusing, place};

/// Who asked for it is told after that how it stands.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Somebody who waits for an owner's renewal.
#[derive(Debug)]
pub(crate) struct Renewing {
    pub(crate) asker: Asker,
    partition: PartitionIndex,
    /// The epoch that is to end.
    epoch: Epoch,
    owner: Holder,
    pub(crate) until: Instant,
}

impl Renewing {
    /// What is to be answered, once it is known.
    fn outcome(&self, partition: &Partition, now: Instant) -> Option<Message> {
        let Renewing { epoch, owner, .. } = self;
        let newest = partition.newest();
        let owns = partition.owner_in_sight().is_some_and(|holder| holder.connection == owner.connection);
        let why = match partition.standbys.renews() {
            _ if newest > *epoch && owns => return Some(Message::Renewed { epoch: newest }),
            Some(_) if now < self.until => return None,
            Some(_) => "does not hand its ring over, and stays asked",
            None if owns => "has not answered, and owns on",
            None if partition.owned() && newest == *epoch && now < self.until => return None,
            None => "is gone",
        };
        let about = format!("{}: {owner} {why}", partition.label());
        log(format_args!("not renewed: {about}"));
        Some(Message::failure(FailureCode::NotRenewed, about))
    }
}

impl Control {
    /// The broker's own user, or root, wants the owner to go on in a new epoch; answered when that is so, or is not.
    pub(crate) fn renew(&mut self, asker: Asker, topic: &str, number: u16, now: Instant) -> Result<bool, Refusing> {
        let (index, _) = self.find(topic, number)?;
        let about = || place(topic, number);
        if !self.clients.get_mut(asker.id).is_some_and(|client| client.peer.is_operator()) {
            return Err((FailureCode::RenewDenied, about()));
        }
        if self.stopping {
            return Err((FailureCode::Closing, about()));
        }
        let partition = &mut self.partitions[index.0];
        if let Some(cause) = partition.failed() {
            return Err((FailureCode::JournalFailed, format!("{}: {cause}", about())));
        }
        if partition.many.is_some() {
            return Err((FailureCode::NotRenewed, format!("{}, which the broker itself owns", about())));
        }
        // Between its two rings it is out of sight.
        let Some(owner) = partition.owner_in_sight().or(partition.standbys.renews()).cloned() else {
            return Err((FailureCode::NotRenewed, format!("{}, which nobody owns who is connected", about())));
        };
        let waits = self.renewing.iter().any(|other| other.asker.id == asker.id && other.partition == index);
        if waits {
            return Err((
                FailureCode::TooManyRequests,
                format!("{}, which you have asked to be renewed already", about()),
            ));
        }
        self.renewals += 1;
        if !partition.standbys.renew(&owner, CORRELATION_OF_BROKER + self.renewals) {
            return Err((FailureCode::TooManyRequests, format!("{}, whose owner waits for it, too", about())));
        }
        let (epoch, until) = (partition.newest(), now + ANSWER_MAX);
        log(format_args!("{}: to be renewed by {owner}", partition.label()));
        self.renewing.push(Renewing { asker, partition: index, epoch, owner, until });
        self.hand_out(index, now);
        Ok(true)
    }

    /// Tells those who wait for a renewal what has become of it.
    pub(crate) fn tell_renewed(&mut self, index: PartitionIndex, now: Instant) {
        let partition = &self.partitions[index.0];
        let answer = |renewing: &Renewing| match renewing.partition == index {
            true => renewing.outcome(partition, now).map(|message| (renewing.asker, message)),
            false => None,
        };
        let answers: Vec<_> = self.renewing.iter().filter_map(answer).collect();
        for (asker, message) in answers {
            self.renewing.retain(|renewing| renewing.asker.id != asker.id || renewing.partition != index);
            if !self.say(asker, message) {
                self.hang_up(asker.id, now);
            }
        }
    }
}
