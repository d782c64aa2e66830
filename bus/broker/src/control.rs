//! The control thread: everything slow. It polls the socket, the cores' events and the partitions' clocks; requests are
//! answered in `request.rs`, `granting.rs` and `renewing.rs`, what becomes of a partition is decided in `partition/owner.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use oyez_protocol::{FailureCode, Message};
use oyez_ring::{Epoch, Position};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::catalog::Catalog;
use crate::clients::Clients;
use crate::core::{Core, NOTE_MAX};
use crate::event::{Event, EventQueue, Helper, PartitionIndex};
use crate::keeper::HANDED_OVER;
use crate::log::log;
use crate::partition::{ConnectionId, Ended, Partition, lock};
use crate::partitions::Partitions;
use crate::renewing::Renewing;
use crate::spare::Spares;
use crate::store::Store;

/// Messages taken from one client before the next has its turn.
const MESSAGES_PER_TURN: usize = 16;
/// How often what is due now and then is done.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// A turn of the control thread that takes longer is told of: requests have deadlines of seconds.
const TURN_MAX: Duration = Duration::from_secs(1);
/// How often a stop looks whether it may end.
const STOP_LOOK: Duration = Duration::from_millis(10);
/// How long a stop waits for the disk after the owners are gone.
const SETTLE_MAX: Duration = Duration::from_secs(30);

/// A request for an epoch that does not exist yet.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) connection: ConnectionId,
    pub(crate) correlation: u64,
    pub(crate) partition: PartitionIndex,
    pub(crate) epoch: Epoch,
}

/// Where a stop has come to.
#[derive(Debug, Clone, Copy)]
struct Stopping {
    owners_until: Instant,
    disk_until: Instant,
}

/// The broker, as its control thread has it.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) clients: Clients,
    pub(crate) partitions: Partitions,
    /// Index of each topic's first partition.
    pub(crate) first: Vec<PartitionIndex>,
    pub(crate) store: Store,
    pub(crate) spares: Spares,
    pub(crate) parked: Vec<Parked>,
    /// Who waits for an owner's renewal.
    pub(crate) renewing: Vec<Renewing>,
    /// Renewals so far, which number their conversations.
    pub(crate) renewals: u64,
    /// Subscriptions so far.
    pub(crate) subscriptions: u64,
    pub(crate) began: Instant,
    /// When each user was shown last how all stands.
    pub(crate) shown: BTreeMap<u32, Instant>,
    pub(crate) segments: Helper,
    /// Reads catalogs, one at a time, and keeps what topics are declared as.
    pub(crate) drafts: Helper,
    pub(crate) drafting: bool,
    /// Topics of which the store has rings, and which were not declared when the broker started.
    pub(crate) orphans: BTreeSet<String>,
    pub(crate) events: EventQueue,
    pub(crate) cores: Vec<Core>,
    pub(crate) signals: UnixStream,
    /// Segments that could not be made for lack of room, asked for again with the housekeeping.
    pub(crate) wanting: Vec<(PartitionIndex, Position)>,
    pub(crate) stopping: bool,
}

impl Control {
    /// Serves until told to stop; answers with the exit code: 0, 1 when an owner or the disk would not finish, 3 when
    /// another build is to go on.
    pub(crate) fn run(mut self) -> u8 {
        let mut housekeeping = Instant::now() + HOUSEKEEPING;
        let (mut stopping, mut makes_way) = (None, None);
        loop {
            let ready = self.wait(housekeeping);
            let now = Instant::now();
            self.clients.accept();
            ready.into_iter().for_each(|id| self.serve_client(id, now));
            self.take_events(now);
            // Before the look at each partition: what it finds free is granted in it.
            if now >= housekeeping {
                housekeeping = now + HOUSEKEEPING;
                self.keep_house(now);
            }
            self.tick(now);
            if now.elapsed() > TURN_MAX {
                let seconds = now.elapsed().as_secs_f64();
                log(format_args!(
                    "stood still for {seconds:.1} s, and whoever asked for anything with it; is the disk slow?"
                ));
            }
            // Whoever makes way has another go on, and whoever stops has not.
            if crate::stop::take_upgrade() {
                makes_way = Some(now + self.catalog.stop_timeout);
            }
            if let Some(until) = makes_way.filter(|_| !crate::stop::requested())
                && (now >= until || !self.partitions.iter().any(Partition::is_draining))
            {
                return self.make_way();
            }
            if crate::stop::requested() {
                let began = stopping.is_some();
                let stop = *stopping.get_or_insert_with(|| self.begin_stop(now));
                if began && let Some(code) = self.stopped(stop, now) {
                    return self.leave(code);
                }
            }
        }
    }

    /// Sleeps until somebody wants something; answers with the connections that do.
    fn wait(&self, housekeeping: Instant) -> Vec<ConnectionId> {
        let clients: Vec<_> = self.clients.sockets().collect();
        let others = [self.events.bell(), self.signals.as_fd()].into_iter().chain(self.clients.listener());
        let mut sources: Vec<PollFd<'_>> = others
            .chain(clients.iter().map(|(_, socket)| *socket))
            .map(|source| PollFd::from_borrowed_fd(source, PollFlags::IN))
            .collect();
        let answers = self.renewing.iter().map(|renewing| renewing.until);
        let looks = self.partitions.iter().filter_map(Partition::next_look).chain(answers);
        let next = looks.min().unwrap_or(housekeeping).min(housekeeping);
        let longest = if self.stopping { STOP_LOOK } else { HOUSEKEEPING };
        let longest = self.clients.hurry().map_or(longest, |hurry| hurry.min(longest));
        let pause = next.saturating_duration_since(Instant::now()).min(longest);
        let timeout = Timespec::try_from(pause).ok();
        // Interrupted, it returns early, and everything is looked at anyway.
        let _ = poll(&mut sources, timeout.as_ref());
        // The flag tells which; what is left unread would keep poll from sleeping.
        while matches!((&self.signals).read(&mut [0; 64]), Ok(1..)) {}
        let ready = sources[sources.len() - clients.len()..]
            .iter()
            .zip(&clients)
            .filter(|(source, _)| !source.revents().is_empty());
        ready.map(|(_, (id, _))| *id).collect()
    }

    fn serve_client(&mut self, id: ConnectionId, now: Instant) {
        for _ in 0..MESSAGES_PER_TURN {
            match self.clients.receive(id) {
                Ok(Some(received)) => {
                    if !self.answer(id, received.packet, now) {
                        return self.hang_up(id, now);
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    if !matches!(error, oyez_protocol::ConnectionError::HungUp) {
                        self.clients.seldom.log(format_args!("connection {}: {error}", id.0));
                        let failure = Message::failure(FailureCode::BadMessage, "this connection");
                        self.clients.send(id, 0, failure, &[]);
                    }
                    return self.hang_up(id, now);
                }
            }
        }
    }

    /// Forgets a connection, and looks at once whether what it owned is free.
    pub(crate) fn hang_up(&mut self, id: ConnectionId, now: Instant) {
        self.clients.remove(id);
        self.parked.retain(|parked| parked.connection != id);
        self.renewing.retain(|renewing| renewing.asker.id != id);
        self.cores.iter().for_each(|core| core.forget(id));
        self.partitions.iter_mut().for_each(|partition| partition.disconnected(id, now));
    }

    fn take_events(&mut self, now: Instant) {
        self.events.silence();
        while let Some(event) = self.events.take() {
            match event {
                Event::Wants(partition, position) => self.make_segment(partition, position),
                Event::Spent(_) | Event::Retired(_) => {}
                Event::Attached(index, epoch) => self.partitions.tell(index, |partition| partition.attached(epoch)),
                Event::Done(index) => self.partitions.tell(index, Partition::recorded),
                Event::Broken(index, at, cause) => {
                    self.partitions.tell(index, |partition| partition.broken(at, &cause));
                }
                Event::Short(index, at, cause) => self.partitions.tell(index, |partition| partition.short(at, &cause)),
                Event::Draft(draft) => self.take_draft(*draft, now),
                Event::Withheld(Ok(()), _) => {}
                Event::Withheld(Err(error), topic) => log(format_args!(
                    "{topic}: {error}; whoever lost the right to subscribe may see what comes in there until the broker restarts"
                )),
                Event::Left(sleeper) => self.clients.left(&sleeper),
                Event::IngressLeft(partition, left) => self.ingress_left(partition, &left, now),
                Event::Ceded(sequencer) => {
                    let index = sequencer.partition;
                    drop(sequencer);
                    self.partitions.tell(index, |partition| partition.ceded(now));
                }
                Event::Look(viewer) => viewer.show(self.stat(None)),
                Event::Closed(uid) => self.clients.closed(uid),
                Event::Failed(index, cause) => {
                    self.partitions.tell(index, |partition| partition.journal_failed(cause));
                }
                Event::Spare(capacity_bytes, made) => self.spares.made(capacity_bytes, made),
                Event::Segment(index, _, Ok(segment)) => {
                    self.partitions.tell(index, |partition| partition.give(segment));
                }
                Event::Segment(index, position, Err(error)) => {
                    self.partitions.tell(index, |partition| {
                        partition.is_wanting = false;
                        let label = partition.label();
                        log(format_args!(
                            "{label}: no segment for position {position}: {error}; tried again each second"
                        ));
                    });
                    self.wanting.push((index, position));
                }
            }
        }
    }

    /// Has the helper make a segment, off this thread: zero-filling it takes long.
    fn make_segment(&mut self, index: PartitionIndex, position: Position) {
        let segments = &self.segments;
        self.partitions.tell(index, |partition| {
            partition.is_wanting = true;
            let journal = Arc::clone(&partition.journal);
            let pages = Arc::clone(&partition.pages);
            segments.ask(move || {
                let tell = &mut |earliest| pages.set_earliest(earliest);
                // The lock is not held while files are removed and filled: an epoch may begin meanwhile.
                let job = lock(&journal).segment_job(position, now_ns(), tell);
                let made = job.and_then(|job| job.run().inspect(|_| lock(&journal).segment_made(&job)));
                Event::Segment(index, position, made)
            });
        });
    }

    /// Gives each partition that asked for it a look.
    fn tick(&mut self, now: Instant) {
        for index in self.partitions.indexes() {
            if let Some(ended) = self.partitions[index.0].tick(now) {
                self.ended(&ended, now);
            }
            // Before anything is stored: what never came to be may have the name of what is to be.
            self.let_go(index);
            self.hand_out(index, now);
            self.own(index, now);
            self.unpark(index, now);
            self.tell_renewed(index, now);
        }
    }

    /// Has the store let go of the rings that a partition has dropped.
    pub(crate) fn let_go(&mut self, index: PartitionIndex) {
        for name in self.partitions[index.0].take_dropped() {
            if let Err(error) = self.store.remove(&name) {
                log(format_args!("{name}: the store does not let go of it: {error}; restart the broker"));
            }
        }
    }

    /// An epoch has ended: who asked for that is told.
    pub(crate) fn ended(&mut self, ended: &Ended, now: Instant) {
        if let Some((connection, correlation)) = ended.release {
            let (epoch, end, sequence) = (ended.epoch, ended.end.position, ended.end.sequence);
            let sent = self.clients.send(connection, correlation, Message::Released { epoch, end, sequence }, &[]);
            if !sent {
                self.hang_up(connection, now);
            }
        }
    }

    fn keep_house(&mut self, now: Instant) {
        self.look_for_vacancies(now);
        // Unheard, the service manager starts another broker, and the rings go on.
        let _ = self.store.alive();
        self.partitions.iter_mut().for_each(Partition::renew_reserve);
        self.partitions.iter_mut().for_each(Partition::let_go_of_rings);
        for (partition, position) in std::mem::take(&mut self.wanting) {
            self.make_segment(partition, position);
        }
    }

    fn begin_stop(&mut self, now: Instant) -> Stopping {
        log("stopping: owners are asked to release");
        let _ = self.store.stopping();
        self.stopping = true;
        self.partitions.iter().for_each(Partition::closing);
        self.partitions.indexes().into_iter().for_each(|index| self.dismiss(index, FailureCode::Closing, now));
        let ids: Vec<_> = self.clients.sockets().map(|(id, _)| id).collect();
        for id in ids {
            self.clients.send(id, 0, Message::Closing {}, &[]);
        }
        let owners_until = now + self.catalog.stop_timeout;
        Stopping { owners_until, disk_until: owners_until + SETTLE_MAX }
    }

    /// The exit code, once there is nothing left to wait for.
    fn stopped(&self, stop: Stopping, now: Instant) -> Option<u8> {
        let owned = self.partitions.iter().any(Partition::owned);
        if owned && now < stop.owners_until {
            return None;
        }
        let settled = self.partitions.iter().all(|partition| partition.owned() || partition.settled());
        if !settled && now < stop.disk_until {
            return None;
        }
        for partition in self.partitions.iter().filter(|partition| partition.owned()) {
            let (pid, name) = partition.holder().map_or((0, "unknown"), |holder| (holder.pid, holder.name.as_str()));
            log(format_args!("{}: process {pid} ({name}) did not release; end it first next time", partition.label()));
        }
        for partition in self.partitions.iter().filter(|partition| !partition.settled()) {
            log(format_args!("{}: not recorded to its end; the disk is too slow or full", partition.label()));
        }
        Some(u8::from(owned || !settled))
    }

    /// Makes way for another build: what is under way on the disk is finished, all rings stay in the store and with their
    /// owners, and no epoch ends.
    fn make_way(mut self) -> u8 {
        log("handing over: rings and owners are kept for the next broker");
        // Nothing is to be noted: the next broker looks for itself.
        let stalls = self.stop_cores(Duration::ZERO);
        log(format_args!("handed over; {stalls} turns of the cores took longer than 50 µs"));
        HANDED_OVER
    }

    /// Ends the cores; how many of their turns were too long.
    fn stop_cores(&mut self, after: Duration) -> u64 {
        let stalls = self.cores.iter().map(Core::stalls).sum();
        self.cores.iter().for_each(|core| core.ask_to_stop(after));
        self.cores.drain(..).for_each(Core::join);
        stalls
    }

    /// Lets go of everything, in the order that loses nothing.
    fn leave(mut self, code: u8) -> u8 {
        let stalls = self.stop_cores(NOTE_MAX);
        for partition in self.partitions.iter_mut() {
            partition.drop_all();
            for name in partition.take_dropped() {
                // Whoever stored it leaves with us, or finds out at the next start that it is of no use.
                let _ = self.store.remove(&name);
            }
        }
        log(format_args!("stopped with exit code {code}; {stalls} turns of the cores took longer than 50 µs"));
        code
    }
}

/// The wall clock, for publish times and retention.
pub(crate) fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
