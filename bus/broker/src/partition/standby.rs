//! Who wants to own a partition, in the order of arrival. Each is offered a ring to map: long before it is needed, as far
//! as the catalog counts memory for that, the others when the partition is vacant. The first of those who have mapped
//! theirs is granted it, so that one that is slow, or stopped, holds nobody up. An owner that is to renew its epoch is the
//! first of all.
//!
//! ```text
//!   Cold ── a spare is there ──► Offered ── mapped: sealed ──► Warm ── the partition is vacant ──► granted
//! ```

use std::time::{Duration, Instant};

use oyez_mem::memory::MemoryError;

use oyez_protocol::CORRELATION_OF_BROKER;

use super::{ConnectionId, Holder};
use crate::request::Asker;
use crate::ring::HandOut;

/// An offer that is not answered by then is taken back.
const OFFER_MAX: Duration = Duration::from_secs(5);
/// Who may wait for one partition.
const STANDBYS_MAX: usize = 16;

/// Everybody who waits for one partition.
#[derive(Debug)]
pub(crate) struct Standbys {
    queue: Vec<Standby>,
    /// How many may have a ring while somebody else owns.
    warm_max: usize,
}

#[derive(Debug)]
struct Standby {
    holder: Holder,
    correlation: u64,
    /// It owns, and is to go on in a new epoch.
    renews: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Cold,
    Offered { hand_out: Box<HandOut>, until: Instant },
    Warm(Box<HandOut>),
}

/// One that has mapped its ring, and now is to own.
#[derive(Debug)]
pub(crate) struct Warm {
    pub(crate) holder: Holder,
    pub(crate) correlation: u64,
    pub(crate) hand_out: HandOut,
}

impl Standbys {
    pub(super) fn new(warm_max: usize) -> Standbys {
        Standbys { queue: Vec::new(), warm_max }
    }

    /// How many may have a ring from now on; whoever has one keeps it.
    pub(super) fn keep_warm(&mut self, warm_max: usize) {
        self.warm_max = warm_max;
    }

    /// The connections of all who wait.
    pub(crate) fn connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.queue.iter().map(|standby| standby.holder.connection)
    }

    /// Who has waited longest.
    pub(crate) fn first(&self) -> Option<&Holder> {
        self.queue.first().map(|standby| &standby.holder)
    }

    /// Whether this connection waits here.
    pub(crate) fn has(&self, connection: ConnectionId) -> bool {
        self.queue.iter().any(|standby| standby.holder.connection == connection)
    }

    /// Whether somebody would go on at once without that process.
    pub(crate) fn has_warm_beside(&self, pid: u32) -> bool {
        self.queue.iter().any(|standby| standby.holder.pid != pid && matches!(standby.stage, Stage::Warm(_)))
    }

    /// The processes of all who wait.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.queue.iter().map(|standby| standby.holder.pid).collect()
    }

    /// Waits from here on. False: it does already, or too many do.
    pub(crate) fn join(&mut self, holder: Holder, Asker { correlation, .. }: Asker) -> bool {
        let joins = self.queue.len() < STANDBYS_MAX && !self.has(holder.connection);
        if joins {
            self.queue.push(Standby { holder, correlation, renews: false, stage: Stage::Cold });
        }
        joins
    }

    /// The owner waits for its own epoch's end before everybody else, in a conversation that the broker begins. False: it
    /// stands by already.
    pub(crate) fn renew(&mut self, owner: &Holder, correlation: u64) -> bool {
        if self.renews().is_none() && !self.has(owner.connection) {
            let stage = Stage::Cold;
            self.queue.insert(0, Standby { holder: owner.clone(), correlation, renews: true, stage });
        }
        self.renews().is_some()
    }

    /// The owner that is to renew its epoch.
    pub(crate) fn renews(&self) -> Option<&Holder> {
        self.queue.iter().find(|standby| standby.renews).map(|standby| &standby.holder)
    }

    /// The epoch has ended: who has not been asked to hand it over has nothing to renew.
    pub(super) fn renew_no_more(&mut self) {
        self.queue.retain(|standby| !standby.renews || matches!(standby.stage, Stage::Warm(_)));
    }

    /// Waits no more; the request that it waits with. What it was offered goes with it: it may have been written to.
    pub(crate) fn leave(&mut self, connection: ConnectionId) -> Option<Asker> {
        let at = self.queue.iter().position(|standby| standby.holder.connection == connection)?;
        Some(self.queue.remove(at).asker())
    }

    /// Wants to wait no more.
    pub(crate) fn withdraw(&mut self, asker: Asker) -> Option<Asker> {
        self.speaks(asker)?;
        self.leave(asker.id)
    }

    /// Everybody, who is then to be told why.
    pub(crate) fn leave_all(&mut self) -> impl Iterator<Item = Asker> + use<> {
        std::mem::take(&mut self.queue).into_iter().map(|standby| standby.asker())
    }

    /// Who is to be offered a ring next; more are while the partition is vacant. To be renewed takes the second ring of those
    /// that are counted for a partition.
    pub(super) fn wants_ring(&self, vacant: bool, renewable: bool) -> Option<Asker> {
        let rings = self.queue.iter().filter(|standby| !standby.renews && !standby.is_cold()).count();
        let cold = self.queue.iter().find(|standby| standby.is_cold() && (!standby.renews || renewable));
        cold.filter(|cold| cold.renews || rings < self.warm_max.max(vacant.into())).map(Standby::asker)
    }

    /// Whether it waits, and for a ring still.
    pub(crate) fn is_cold(&self, connection: ConnectionId) -> bool {
        self.queue.iter().any(|standby| standby.holder.connection == connection && standby.is_cold())
    }

    /// It is offered this.
    pub(crate) fn offered(&mut self, connection: ConnectionId, hand_out: HandOut, now: Instant) {
        if let Some(standby) = self.of(connection) {
            standby.stage = Stage::Offered { hand_out: Box::new(hand_out), until: now + OFFER_MAX };
        }
    }

    /// It has mapped what it was offered, which is sealed now; the grant answers this request. Whether it owns still, and is
    /// to hand that over first. `None`: nothing was offered to it.
    pub(crate) fn mapped(&mut self, asker: Asker) -> Option<Result<bool, MemoryError>> {
        let standby = self.speaks(asker)?;
        match std::mem::replace(&mut standby.stage, Stage::Cold) {
            Stage::Offered { hand_out, .. } => {
                let sealed = hand_out.seal();
                (standby.correlation, standby.stage) = (asker.correlation, Stage::Warm(hand_out));
                Some(sealed.map(|()| standby.renews))
            }
            stage => {
                standby.stage = stage;
                None
            }
        }
    }

    /// Who is to own next; it waits no more.
    pub(crate) fn take_warm(&mut self) -> Option<Warm> {
        let at = self.queue.iter().position(|standby| matches!(standby.stage, Stage::Warm(_)))?;
        match self.queue.remove(at) {
            Standby { holder, correlation, stage: Stage::Warm(hand_out), .. } => {
                Some(Warm { holder, correlation, hand_out: *hand_out })
            }
            _ => unreachable!("looked at above"),
        }
    }

    /// One who does not answer its offer.
    pub(crate) fn overdue(&self, now: Instant) -> Option<&Holder> {
        let is_overdue = |standby: &&Standby| matches!(standby.stage, Stage::Offered { until, .. } if until <= now);
        self.queue.iter().find(is_overdue).map(|standby| &standby.holder)
    }

    pub(super) fn next_look(&self) -> Option<Instant> {
        let until = |standby: &Standby| match standby.stage {
            Stage::Offered { until, .. } => Some(until),
            Stage::Cold | Stage::Warm(_) => None,
        };
        self.queue.iter().filter_map(until).min()
    }

    /// Who speaks of what it was offered, or waits for; an owner says by the correlation which of its offers it means.
    fn speaks(&mut self, Asker { id, correlation }: Asker) -> Option<&mut Standby> {
        let is_renewal = correlation >= CORRELATION_OF_BROKER;
        self.of(id)
            .filter(|standby| standby.renews == is_renewal && (!is_renewal || standby.correlation == correlation))
    }

    fn of(&mut self, connection: ConnectionId) -> Option<&mut Standby> {
        self.queue.iter_mut().find(|standby| standby.holder.connection == connection)
    }
}

impl Standby {
    fn asker(&self) -> Asker {
        Asker { id: self.holder.connection, correlation: self.correlation }
    }

    fn is_cold(&self) -> bool {
        matches!(self.stage, Stage::Cold)
    }
}
