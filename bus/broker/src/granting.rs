//! How one becomes an owner: in its turn, once the kernel has proven the one before gone; or, where the catalog lets it,
//! by having that one killed first. How an owner becomes its own successor is in `renewing.rs`. Whoever opens a publisher waits, a standby for as long as it likes, everybody else for
//! no longer than it takes to map a ring.

use std::os::fd::AsFd;
use std::time::Instant;

use oyez_protocol::{FailureCode, Message, Refusal};
use oyez_ring::{Epoch, Tail};

use crate::catalog::TakeOver;
use crate::control::{Control, now_ns};
use crate::event::PartitionIndex;
use crate::log::log;
use crate::partition::{Holder, Refused, Warm};
use crate::request::{Asker, Refusing, binding_of, place};
use crate::ring::HandOut;
use crate::spare::{Spare, Taken};

impl Control {
    /// Somebody wants to own; answered here, where the partition is not to be had, else by `hand_out`.
    pub(crate) fn open_publisher(
        &mut self,
        asker: Asker,
        topic: &str,
        number: u16,
        standby: bool,
        now: Instant,
    ) -> Result<bool, Refusing> {
        let index = self.may_publish_as(asker, topic, number, false)?;
        if self.stopping {
            return Err((FailureCode::Closing, place(topic, number)));
        }
        if let Some(cause) = self.partitions[index.0].failed() {
            return Err((FailureCode::JournalFailed, format!("{}: {cause}", place(topic, number))));
        }
        if !standby && let Some(refused) = self.refusal(index, now) {
            return Ok(self.not_granted(asker, refused));
        }
        let waiting = self.partitions.iter().filter(|partition| partition.standbys.has(asker.id)).count();
        let (limit, holder) = (self.catalog.limits.subscriptions_max, self.holder(asker));
        let standbys = &mut self.partitions[index.0].standbys;
        if waiting >= limit || !standbys.join(holder, asker) {
            return Err((FailureCode::TooManyRequests, place(topic, number)));
        }
        self.hand_out(index, now);
        // Only a standby waits for a ring to be made.
        if !standby && self.partitions[index.0].standbys.is_cold(asker.id) {
            self.partitions[index.0].standbys.leave(asker.id);
            return Ok(self.not_granted(asker, (Refusal::Preparing, None)));
        }
        Ok(true)
    }

    /// Why somebody who does not wait gets nothing.
    fn refusal(&mut self, index: PartitionIndex, now: Instant) -> Option<(Refusal, Option<Holder>)> {
        let partition = &mut self.partitions[index.0];
        match partition.vacancy(now) {
            Ok(Some(ended)) => self.ended(&ended, now),
            Ok(None) => {}
            Err(Refused::Taken(holder)) => return Some((Refusal::Taken, Some(holder))),
            Err(Refused::Ending(holder)) => return Some((Refusal::Ending, holder)),
        }
        let partition = &self.partitions[index.0];
        if let Some(first) = partition.standbys.first() {
            return Some((Refusal::Offered, Some(first.clone())));
        }
        partition.is_behind().then_some((Refusal::Preparing, None))
    }

    pub(crate) fn not_granted(&mut self, asker: Asker, (refusal, holder): (Refusal, Option<Holder>)) -> bool {
        let (pid, uid, holder) = holder.map_or((0, 0, String::new()), |holder| (holder.pid, holder.uid, holder.name));
        self.say(asker, Message::NotGranted { refusal, pid, uid, holder })
    }

    /// Looks whether an owner whom somebody waits for has unmapped its ring without a word, or a ring that could not be
    /// adopted is free.
    pub(crate) fn look_for_vacancies(&mut self, now: Instant) {
        for index in self.partitions.indexes() {
            let partition = &mut self.partitions[index.0];
            if (partition.standbys.first().is_some() || partition.many.is_some())
                && let Ok(Some(ended)) = partition.vacancy(now)
            {
                self.ended(&ended, now);
            }
        }
    }

    /// Offers rings to those who are to have one, and the partition to the first who has mapped its own.
    pub(crate) fn hand_out(&mut self, index: PartitionIndex, now: Instant) {
        let Some(_) = self.partitions[index.0].standbys.first() else { return };
        if self.partitions[index.0].failed().is_some() {
            return self.dismiss(index, FailureCode::JournalFailed, now);
        }
        while let Some(silent) = self.partitions[index.0].standbys.overdue(now) {
            let (about, id) = (format!("{}: {silent}", self.partitions[index.0].label()), silent.connection);
            self.clients.seldom.log(format_args!("{about} has not mapped what it was offered, which is taken back"));
            self.partitions[index.0].standbys.leave(id);
        }
        while let Some(asker) = self.partitions[index.0].wants_ring() {
            match self.spares.take(self.partitions[index.0].capacity_bytes) {
                Taken::Spare(spare) => self.offer(index, asker, spare, now),
                Taken::NotYet => break,
                Taken::Failed(error) => self.turn_away(index, asker, FailureCode::NoMemory, &error, now),
            }
        }
        if self.partitions[index.0].is_vacant()
            && let Some(warm) = self.partitions[index.0].standbys.take_warm()
        {
            self.grant(index, warm, now);
        }
    }

    fn offer(&mut self, index: PartitionIndex, asker: Asker, spare: Spare, now: Instant) {
        let partition = &mut self.partitions[index.0];
        let (number, topic) = (partition.number, partition.topic.clone());
        let made = HandOut::new(spare).and_then(|hand_out| Ok((hand_out.writable()?, hand_out)));
        let (writable, hand_out) = match made {
            Ok(made) => made,
            Err(error) => return self.turn_away(index, asker, FailureCode::Broker, &error, now),
        };
        let message = Message::RingOffer { partition: number, capacity: hand_out.capacity_bytes, topic };
        let descriptors = [writable.as_fd(), hand_out.control_page().as_fd()];
        // The one writable descriptor is closed on return; the kernel carries its own to the owner-to-be.
        let sent = self.clients.send(asker.id, asker.correlation, message, &descriptors);
        partition.standbys.offered(asker.id, hand_out, now);
        if !sent {
            self.hang_up(asker.id, now);
        }
    }

    /// Somebody has mapped what it was offered; answered with the grant.
    pub(crate) fn mapped(&mut self, asker: Asker, topic: &str, number: u16) -> Result<bool, Refusing> {
        let index = self.may_publish(asker, topic, number)?;
        let partition = &mut self.partitions[index.0];
        match partition.standbys.mapped(asker) {
            None => Err((FailureCode::NotOwner, format!("{}, of which nothing was offered", place(topic, number)))),
            // It tampered with it: nobody is ever told of that ring.
            Some(Err(error)) => {
                partition.standbys.leave(asker.id);
                Err((FailureCode::BadMessage, error.to_string()))
            }
            Some(Ok(false)) => Ok(true),
            Some(Ok(true)) => {
                let epoch = partition.newest();
                Ok(self.say(asker, Message::HandOver { epoch }))
            }
        }
    }

    fn grant(&mut self, index: PartitionIndex, warm: Warm, now: Instant) {
        let asker = Asker { id: warm.holder.connection, correlation: warm.correlation };
        let partition = &mut self.partitions[index.0];
        let Tail { position, sequence, time_ns } = match partition.grant(warm, &mut self.store, now_ns()) {
            Ok(tail) => tail,
            Err(error) => return self.turn_away(index, asker, FailureCode::Broker, &error, now),
        };
        if let Some(holder) = partition.holder() {
            log(format_args!("{}: granted to {holder}", partition.label()));
        }
        let (epoch, durability) = (partition.newest(), partition.durability);
        let (binding, templates) =
            self.catalog.topic(&partition.topic).map(|(_, topic)| binding_of(topic)).unwrap_or_default();
        let message = Message::Granted { epoch, position, sequence, time_ns, durability, binding, templates };
        if !self.say(asker, message) {
            self.hang_up(asker.id, now);
        }
    }

    /// Tells one that it waits in vain.
    fn turn_away(
        &mut self,
        index: PartitionIndex,
        asker: Asker,
        code: FailureCode,
        error: &dyn std::fmt::Display,
        now: Instant,
    ) {
        let partition = &mut self.partitions[index.0];
        let about = place(&partition.topic, partition.number);
        self.clients.seldom.log(format_args!("{about}: not handed out: {error}"));
        partition.standbys.leave(asker.id);
        if !self.fail(asker, (code, about)) {
            self.hang_up(asker.id, now);
        }
    }

    /// Tells everybody who waits that they do so in vain.
    pub(crate) fn dismiss(&mut self, index: PartitionIndex, code: FailureCode, now: Instant) {
        let partition = &mut self.partitions[index.0];
        let about = place(&partition.topic, partition.number);
        for asker in partition.standbys.leave_all() {
            if !self.fail(asker, (code, about.clone())) {
                self.hang_up(asker.id, now);
            }
        }
    }

    pub(crate) fn withdraw(&mut self, asker: Asker, topic: &str, number: u16) -> Result<bool, Refusing> {
        let index = self.may_publish(asker, topic, number)?;
        match self.partitions[index.0].standbys.withdraw(asker) {
            Some(waiting) => Ok(self.not_granted(waiting, (Refusal::Withdrawn, None))),
            // Its grant is under way, or whatever else it was answered.
            None => Ok(true),
        }
    }

    /// Kills the owner of that epoch, where the catalog lets it and a standby goes on. Nothing ends by this: the epoch does
    /// when the kernel has proven its memory free, as ever.
    pub(crate) fn take_over(&mut self, asker: Asker, topic: &str, number: u16, epoch: Epoch) -> Result<bool, Refusing> {
        let index = self.may_publish(asker, topic, number)?;
        let about = || format!("{} epoch {epoch}", place(topic, number));
        if self.topic(topic)?.1.takeover == TakeOver::Release {
            return Err((FailureCode::TakeOverDenied, about()));
        }
        let partition = &self.partitions[index.0];
        if partition.newest() != epoch || !partition.owned() {
            return Err((FailureCode::EpochEnded, about()));
        }
        let holder = partition.owner_in_sight().cloned();
        if !partition.standbys.has_warm_beside(holder.as_ref().map_or(0, |holder| holder.pid)) {
            return Err((FailureCode::NoStandby, about()));
        }
        let Some(holder) = holder else {
            self.partitions[index.0].kill_holders();
            return Ok(self.not_granted(asker, (Refusal::Ending, None)));
        };
        if let Err(error) = self.clients.kill(holder.connection) {
            log(format_args!("{}: {holder} cannot be killed: {error}", about()));
            return Err((FailureCode::TakeOverDenied, format!("{}: {error}", about())));
        }
        log(format_args!(
            "{}: {holder} killed for the standby that takes over, as {} asks",
            about(),
            self.holder(asker)
        ));
        let Holder { pid, uid, name, .. } = holder;
        Ok(self.say(asker, Message::OwnerKilled { pid, uid, holder: name }))
    }
}
