//! An owner's own next epoch: the broker offers a ring unasked, which is mapped while the publisher goes on with the one that
//! it has; then that one is taken from it, busy or idle, and it gets the new one with the grant.

use super::attendant::{Attendant, Claim, Waiter};
use super::standby::Ring;
use crate::publisher::News;
use oyez_protocol::{Message, Received};
use oyez_ring::Epoch;

/// An owner on its way into the next epoch.
pub(super) struct Renewal {
    /// For the next epoch.
    claim: Claim,
    ring: Ring,
    /// The present ring is taken, or is to be: there is no way back.
    hands_over: bool,
}

impl Renewal {
    /// Nothing comes of it. Who has its ring still goes on with that.
    pub(super) fn broken_off(self, why: &str) {
        if let Some(owned) = self.claim.owned.upgrade().filter(|_| self.hands_over) {
            owned.tell(News::Lost(why.to_owned()));
        }
    }
}

impl Attendant {
    /// The broker offers what nobody asked for: to an owner, if it is one still.
    pub(super) fn renew(&mut self, offer: Received) {
        let Message::RingOffer { partition, capacity, ref topic } = offer.packet.message else { return };
        let (topic, correlation) = (topic.clone(), offer.packet.correlation);
        let mapped = self.map_beside(&topic, partition, capacity, &offer);
        // The kernel proves nothing of a memory that is open for writing still.
        drop(offer);
        let answer = match mapped {
            Some(renewal) => {
                self.waiters.insert(correlation, Waiter::Renewal(renewal));
                Message::Mapped { partition, topic }
            }
            None => Message::Withdraw { partition, topic },
        };
        if self.send(correlation, answer).is_err() {
            self.hang_up();
        }
    }

    fn map_beside(&self, topic: &str, partition: u16, capacity: u64, offer: &Received) -> Option<Renewal> {
        let mut owners = self.claims.iter().filter_map(|claim| claim.owned.upgrade());
        let owned = owners.find(|owned| owned.topic == topic && owned.partition == partition)?;
        let ring = Ring::map(topic, capacity, &offer.descriptors).ok()?;
        ring.warm();
        Some(Renewal { claim: Claim::new(&owned), ring, hands_over: false })
    }

    /// What the broker answers to a renewal.
    pub(super) fn renewal_told(&mut self, mut renewal: Renewal, received: Received) {
        let correlation = received.packet.correlation;
        match received.packet.message {
            Message::HandOver { .. } => {
                renewal.hands_over = true;
                self.waiters.insert(correlation, Waiter::Renewal(renewal));
                self.handing_over.push(correlation);
                self.hand_over();
            }
            // The grant follows.
            Message::Released { .. } => drop(self.waiters.insert(correlation, Waiter::Renewal(renewal))),
            Message::Granted { epoch, .. } => self.renewed(renewal, epoch, received.packet.message),
            Message::Failure { text, .. } => renewal.broken_off(&text),
            other => renewal.broken_off(other.name()),
        }
    }

    /// The next epoch is owned; or given back, where its publisher is gone.
    fn renewed(&mut self, renewal: Renewal, epoch: Epoch, granted: Message) {
        let Renewal { claim, ring, .. } = renewal;
        let owned = claim.owned.upgrade();
        self.claims.retain(|other| !other.owned.ptr_eq(&claim.owned));
        self.claims.push(claim.granted(epoch));
        if let Some(owned) = owned
            && let Some(reign) = ring.granted(&owned, granted)
        {
            owned.tell(News::Renewed(Box::new(reign)));
        }
    }

    /// Takes from publishers what the broker wants of them; where one is in the middle of a publish, at the next turn.
    pub(super) fn hand_over(&mut self) {
        for correlation in std::mem::take(&mut self.handing_over) {
            let Some(Waiter::Renewal(renewal)) = self.waiters.get(&correlation) else { continue };
            let owned = renewal.claim.owned.clone();
            let Some(held) = owned.upgrade() else { continue };
            if held.take().is_err() {
                self.handing_over.push(correlation);
                continue;
            }
            let release = held.release_message();
            drop(held);
            // From here on it is not to be claimed again.
            self.claims.retain(|claim| !claim.owned.ptr_eq(&owned));
            if self.send(correlation, release).is_err() {
                self.hang_up();
            }
        }
    }
}
