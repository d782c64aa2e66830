//! The way to an ingress ring, at first and after each return of the broker.

use super::attendant::{Claim, Request};
use super::owned::{Owned, Ownership, map_control, map_owned};
use super::{ASK_AGAIN, Link, unexpected, why_not};
use crate::ingress::{Accepted, Session};
use crate::{BusError, HeaderCheck, Ingress, PublishError, binding};
use oyez_protocol::{Message, Received, Refusal};
use oyez_ring::layout::INGRESS_EPOCH;
use oyez_ring::{Tail, Writer};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Link {
    /// Hands in under this name from here on; waits for so long while the name has another session.
    pub(crate) fn ingress(
        self: &Arc<Link>,
        topic: &str,
        partition: u16,
        origin: &str,
        wait: Duration,
    ) -> Result<Ingress, PublishError> {
        let now = Instant::now();
        let (until, taken_until) = (now + self.timeout().max(wait), now + wait);
        loop {
            // Each time anew: a session whose answer came too late is closed, since nobody has it.
            let owned = Owned::of_many(topic, partition, origin, Arc::clone(&self.wake));
            let request =
                Request { message: owned.reclaim_message(), correlation: None, claim: Some(Claim::new(&owned)) };
            let answer = match self.once("OpenIngress", request, Instant::now() + self.timeout()) {
                Err(error) if error.is_retriable() && Instant::now() < until => {
                    std::thread::sleep(ASK_AGAIN);
                    continue;
                }
                answer => answer?,
            };
            let Message::NotGranted { refusal, pid, uid, holder } = answer.packet.message else {
                let session = session(topic, &answer)?;
                let (signal, ownership) = (owned.signal(), Box::new(Ownership::new(owned, Arc::clone(self))));
                return Ok(Ingress::new(topic, partition, origin, session, signal, ownership));
            };
            // Whatever is not another's passes in a moment.
            let patience = if refusal == Refusal::Taken { taken_until } else { until };
            if Instant::now() >= patience {
                let why = format!("origin {origin}: {}", why_not(refusal, pid, uid, &holder));
                return Err(PublishError::NotGranted { topic: topic.to_owned(), partition, why });
            }
            std::thread::sleep(ASK_AGAIN);
        }
    }
}

/// Maps what a publisher of many was given.
pub(super) fn session(topic: &str, opened: &Received) -> Result<Session, BusError> {
    let Message::IngressOpened {
        number,
        number_epoch,
        capacity,
        tail,
        message_bytes_max,
        epoch,
        start,
        position,
        sequence,
        durability,
        ref binding,
        ref templates,
        ..
    } = opened.packet.message
    else {
        return Err(unexpected("OpenIngress", opened));
    };
    let [data @ .., partition] = opened.descriptors.as_slice() else {
        return Err(unexpected("OpenIngress", opened));
    };
    let (memory, control) = map_owned(topic, capacity, data)?;
    let behind = Tail { position: tail, sequence: (number + 1).into(), time_ns: 0 };
    Ok(Session {
        writer: Writer::new(memory, capacity, control, INGRESS_EPOCH, behind),
        message_bytes_max: message_bytes_max as usize,
        accepted: Accepted { number, epoch, sequence, position },
        number_epoch,
        start,
        partition: map_control(topic, partition)?,
        durability: durability.into(),
        check: HeaderCheck::new(binding::told(*binding, templates.clone())),
    })
}
