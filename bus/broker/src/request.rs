//! What clients ask, answered: rights first, then the partition's state, never more than one answer a request. How one
//! becomes an owner is in `granting.rs`.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use oyez_mem::memory;
use oyez_protocol::{Binding, CORRELATION_OF_BROKER, FailureCode, Message, Packet, VERSION};
use oyez_ring::{Epoch, EpochStart, Position, Sequence, Tail};

use crate::catalog::{Limits, Topic, TopicSchema};
use crate::clients::Subscription;
use crate::control::{Control, Parked};
use crate::event::PartitionIndex;
use crate::log::log;
use crate::partition::{ConnectionId, Holder, Reclaim, lock};
use crate::sleepers::{self, SubscriptionId};

/// What is kept of a client's name.
const NAME_CHARACTERS_MAX: usize = 64;

/// How soon a user is shown again how all stands: a look at thousands of readers takes milliseconds.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// A request refused: the code, and what it is about.
pub(crate) type Refusing = (FailureCode, String);

/// Who asked, and what the answer must carry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    pub(crate) id: ConnectionId,
    pub(crate) correlation: u64,
}

impl Control {
    /// Answers one message; false when the connection is to be hung up on.
    pub(crate) fn answer(&mut self, id: ConnectionId, packet: Packet, now: Instant) -> bool {
        let asker = Asker { id, correlation: packet.correlation };
        let name = packet.message.name();
        let Some(client) = self.clients.get_mut(id) else { return true };
        let is_hello = matches!(packet.message, Message::Hello { .. });
        if client.greeted == is_hello {
            self.fail(asker, (FailureCode::BadMessage, format!("{name} out of turn")));
            return false;
        }
        let answered = match packet.message {
            Message::Hello { version, name } => self.hello(asker, version, name),
            Message::OpenPublisher { partition, standby, topic } => {
                self.open_publisher(asker, &topic, partition, standby, now)
            }
            Message::Mapped { partition, topic } => self.mapped(asker, &topic, partition),
            Message::Withdraw { partition, topic } => self.withdraw(asker, &topic, partition),
            Message::TakeOver { partition, epoch, topic } => self.take_over(asker, &topic, partition, epoch),
            Message::Renew { partition, topic } => self.renew(asker, &topic, partition, now),
            Message::Release { partition, epoch, topic } => self.release(asker, &topic, partition, epoch, now),
            Message::Reclaim { partition, epoch, topic } => self.reclaim(asker, &topic, partition, epoch),
            Message::OpenIngress { partition, topic, origin } => self.open_ingress(asker, &topic, partition, &origin),
            Message::CloseIngress { partition, topic, origin } => self.close_ingress(asker, &topic, partition, &origin),
            Message::OpenSubscriber { partition, topic } => self.open_subscriber(asker, &topic, partition),
            Message::OpenEpoch { partition, epoch, wait, topic } => {
                self.open_epoch(asker, &topic, partition, epoch, wait)
            }
            Message::OpenSegment { partition, position, topic } => {
                self.open_segment(asker, &topic, partition, position)
            }
            Message::ListEpochs { partition, from, topic } => self.list_epochs(asker, &topic, partition, from),
            Message::DescribeTopic { partition, topic } => {
                self.find(&topic, partition).and_then(|(index, place)| self.describe(asker, place, index, partition))
            }
            Message::DescribeTopicAt { index } => self.describe_at(asker, index),
            Message::PlanCatalog { apply, path } => self.plan_catalog(asker, apply, path),
            Message::OpenStat {} => self.open_stat(asker, now),
            Message::OpenSchema { index, topic } => self.open_schema(asker, &topic, index),
            _ => {
                self.fail(asker, (FailureCode::BadMessage, format!("{name} is for brokers to say")));
                return false;
            }
        };
        match answered {
            Ok(sent) => sent,
            Err(refusing) => self.fail(asker, refusing),
        }
    }

    fn hello(&mut self, asker: Asker, version: u16, name: String) -> Result<bool, Refusing> {
        if version > VERSION {
            return Err((FailureCode::Version, format!("version {version}, this broker speaks {VERSION}")));
        }
        if let Some(client) = self.clients.get_mut(asker.id) {
            client.greeted = true;
            // It stands in lines of the log.
            client.name = name.chars().take(NAME_CHARACTERS_MAX).flat_map(char::escape_debug).collect();
        }
        let (broker, build) = (self.catalog.name.clone(), env!("CARGO_PKG_VERSION").to_owned());
        Ok(self.say(asker, Message::Welcome { version: VERSION, pid: std::process::id(), broker, build }))
    }

    fn release(
        &mut self,
        asker: Asker,
        topic: &str,
        number: u16,
        epoch: Epoch,
        now: Instant,
    ) -> Result<bool, Refusing> {
        let index = self.find(topic, number)?.0;
        // The answer comes with the end of the epoch, which the next tick looks for.
        match self.partitions[index.0].release(asker.id, epoch, asker.correlation, now) {
            true => Ok(true),
            // To renew: its memory was found free before it said so; the grant follows, or has come.
            false if asker.correlation >= CORRELATION_OF_BROKER => Ok(true),
            false => Err((FailureCode::NotOwner, format!("{} epoch {epoch}", place(topic, number)))),
        }
    }

    fn reclaim(&mut self, asker: Asker, topic: &str, number: u16, epoch: Epoch) -> Result<bool, Refusing> {
        let index = self.may_publish_as(asker, topic, number, false)?;
        let holder = self.holder(asker);
        let back = holder.to_string();
        let about = || format!("{} epoch {epoch}", place(topic, number));
        // The catalog may be another than in the life that granted the epoch.
        let (binding, templates) = binding_of(self.topic(topic)?.1);
        match self.partitions[index.0].reclaim(holder, epoch) {
            Ok(ring) => {
                let page = ring.readable()[1].as_fd();
                let message = Message::Reclaimed { epoch, binding, templates };
                let sent = self.clients.send(asker.id, asker.correlation, message, &[page]);
                log(format_args!("{}: its owner is back: {back}", about()));
                Ok(sent)
            }
            Err(Reclaim::Ended) => Err((FailureCode::EpochEnded, about())),
            Err(Reclaim::Taken) => Err((FailureCode::NotOwner, about())),
        }
    }

    fn open_subscriber(&mut self, asker: Asker, topic: &str, number: u16) -> Result<bool, Refusing> {
        let (index, at) = self.find(topic, number)?;
        let allowed = &self.catalog.topics[at];
        let Some(client) = self.clients.get_mut(asker.id) else { return Ok(true) };
        let uid = client.peer.uid;
        if !allowed.may_subscribe(&client.peer) {
            return Err((FailureCode::SubscribeDenied, who(uid, topic, number)));
        }
        self.room_for_area(asker, uid)?;
        let id = SubscriptionId(self.subscriptions);
        let (sleeper, given) = sleepers::hand_out(id, asker.id, index).map_err(|error| {
            self.clients.seldom.log(format_args!("{}: no area: {error}", place(topic, number)));
            (FailureCode::NoMemory, error.to_string())
        })?;
        self.subscriptions += 1;
        let Some(client) = self.clients.get_mut(asker.id) else { return Ok(true) };
        client.subscribed.insert(index);
        client.subscriptions.insert(id, Subscription { partition: index, area: sleeper.area.clone() });
        let partition = &self.partitions[index.0];
        partition.join(sleeper);
        let message = Message::Subscribed {
            newest: partition.newest(),
            capacity: partition.capacity_bytes,
            durability: partition.durability,
            journal: partition.journal_id,
            segment_bytes: partition.segment_bytes,
            earliest: partition.pages.earliest(),
        };
        // What is not sent is closed here, and so the subscription ends.
        Ok(self.clients.send(asker.id, asker.correlation, message, &given.descriptors()))
    }

    /// Whether one more area may be had: on this connection, by this user, at all.
    fn room_for_area(&mut self, asker: Asker, uid: u32) -> Result<(), Refusing> {
        let Limits { subscriptions_max, areas_max, areas_per_user_max, .. } = self.catalog.limits;
        let (mut of_all, mut of_user) = (0, 0);
        for client in self.clients.iter() {
            of_all += client.subscriptions.len();
            of_user += if client.peer.uid == uid { client.subscriptions.len() } else { 0 };
        }
        let of_connection = self.clients.get_mut(asker.id).map_or(0, |client| client.subscriptions.len());
        let limit = match () {
            () if of_connection >= subscriptions_max => format!("`subscriptions_max` = {subscriptions_max}"),
            () if of_user >= areas_per_user_max => format!("user {uid}: `areas_per_user_max` = {areas_per_user_max}"),
            () if of_all >= areas_max => format!("`areas_max` = {areas_max}"),
            () => return Ok(()),
        };
        Err((FailureCode::SubscriptionLimit, limit))
    }

    fn open_epoch(
        &mut self,
        asker: Asker,
        topic: &str,
        number: u16,
        epoch: Epoch,
        wait: bool,
    ) -> Result<bool, Refusing> {
        let index = self.subscribed(asker, topic, number)?;
        let newest = self.partitions[index.0].newest();
        if epoch <= newest {
            return Ok(self.show_epoch(asker, index, epoch));
        }
        if !wait {
            return Ok(self.say(asker, Message::EpochNotYet { newest }));
        }
        let limit = self.catalog.limits.subscriptions_max;
        let Some(client) = self.clients.get_mut(asker.id) else { return Ok(true) };
        if client.parked >= limit {
            return Err((FailureCode::TooManyRequests, format!("{limit} waiting for epochs")));
        }
        client.parked += 1;
        self.parked.push(Parked { connection: asker.id, correlation: asker.correlation, partition: index, epoch });
        Ok(true)
    }

    /// Answers with the ring of an epoch that exists, or with its end.
    fn show_epoch(&mut self, asker: Asker, index: PartitionIndex, epoch: Epoch) -> bool {
        let partition = &self.partitions[index.0];
        if let Some(ring) = partition.ring_of(epoch) {
            let message = Message::EpochOpened { start: ring.start, capacity: ring.name.capacity_bytes };
            return self.clients.send(asker.id, asker.correlation, message, &ring.readable().map(AsFd::as_fd));
        }
        let Some(start) = partition.epochs.get(epoch).copied() else {
            return self.fail(asker, (FailureCode::EpochEnded, format!("no epoch {epoch}")));
        };
        let empty = Tail { position: start.position, sequence: start.sequence, time_ns: start.time_ns };
        let Tail { position: end, sequence: end_sequence, .. } = partition.end_of(epoch).unwrap_or(empty);
        let message = Message::EpochClosed { start, end, end_sequence };
        self.say(asker, message)
    }

    /// Answers those who wait for an epoch that is there now.
    pub(crate) fn unpark(&mut self, index: PartitionIndex, now: Instant) {
        let newest = self.partitions[index.0].newest();
        let due = |parked: &Parked| parked.partition == index && parked.epoch <= newest;
        while let Some(at) = self.parked.iter().position(due) {
            let Parked { connection, correlation, partition, epoch } = self.parked.swap_remove(at);
            if let Some(client) = self.clients.get_mut(connection) {
                client.parked -= 1;
                if !self.show_epoch(Asker { id: connection, correlation }, partition, epoch) {
                    self.hang_up(connection, now);
                }
            }
        }
    }

    fn open_segment(&mut self, asker: Asker, topic: &str, number: u16, position: Position) -> Result<bool, Refusing> {
        let index = self.subscribed(asker, topic, number)?;
        let about = || format!("{} position {position}", place(topic, number));
        if !self.topic(topic)?.1.recorded() {
            return Err((FailureCode::NotRecorded, place(topic, number)));
        }
        let opened = lock(&self.partitions[index.0].journal).open_segment(position);
        match opened {
            Ok(Some(segment)) => {
                let message = Message::SegmentOpened { base: segment.base };
                Ok(self.clients.send(asker.id, asker.correlation, message, &[segment.file.as_fd()]))
            }
            Ok(None) => Err((FailureCode::NotInJournal, about())),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
                Err((FailureCode::NoDescriptor, about()))
            }
            Err(error) => {
                log(format_args!("{}: cannot open its segment: {error}", about()));
                Err((FailureCode::Broker, about()))
            }
        }
    }

    fn list_epochs(&mut self, asker: Asker, topic: &str, number: u16, from: Epoch) -> Result<bool, Refusing> {
        let index = self.subscribed(asker, topic, number)?;
        let partition = &self.partitions[index.0];
        let newest = partition.newest();
        let known = |start: &&EpochStart| (from..=newest).contains(&start.epoch);
        let epochs = partition.epochs.iter().filter(known).take(oyez_protocol::message::EPOCHS_MAX).copied().collect();
        let running = Tail { position: Position(u64::MAX), sequence: Sequence(u64::MAX), time_ns: 0 };
        let Tail { position: end, sequence: end_sequence, .. } = partition.end_of(newest).unwrap_or(running);
        Ok(self.say(asker, Message::Epochs { newest, end, end_sequence, epochs }))
    }

    fn describe_at(&mut self, asker: Asker, index: u16) -> Result<bool, Refusing> {
        match self.first.get(usize::from(index)) {
            Some(first) => self.describe(asker, usize::from(index), *first, 0),
            None => Err((FailureCode::UnknownTopic, format!("topic number {index}"))),
        }
    }

    fn describe(&mut self, asker: Asker, at: usize, index: PartitionIndex, number: u16) -> Result<bool, Refusing> {
        let topic = &self.catalog.topics[at];
        let Some(client) = self.clients.get_mut(asker.id) else { return Ok(true) };
        let partition = &self.partitions[index.0];
        let (binding, templates) = binding_of(topic);
        let holder = partition.holder();
        let (written, durable) = partition.recorded_to();
        let message = Message::Topic {
            index: at as u16,
            count: self.catalog.topics.len() as u16,
            partitions: topic.partitions,
            partition: number,
            capacity: topic.capacity_bytes,
            durability: topic.durability,
            retention_h: (topic.retention.as_secs() / 3_600) as u32,
            may_publish: topic.may_publish(&client.peer),
            may_subscribe: topic.may_subscribe(&client.peer),
            newest: partition.newest(),
            owner_pid: holder.map_or(0, |holder| holder.pid),
            owner_uid: holder.map_or(0, |holder| holder.uid),
            earliest: partition.pages.earliest(),
            written,
            durable,
            binding,
            templates,
            topic: topic.name.clone(),
            schema: topic.schema.as_ref().map_or_else(String::new, |schema| schema.name.clone()),
            owner: holder.map_or_else(String::new, |holder| holder.name.clone()),
            state: if self.stopping { "closing" } else { partition.state() }.to_owned(),
        };
        Ok(self.say(asker, message))
    }

    fn open_schema(&mut self, asker: Asker, name: &str, index: u16) -> Result<bool, Refusing> {
        let (_, topic) = self.topic(name)?;
        let about = || format!("{name}, version number {index} of its schema");
        let Some(schema) = &topic.schema else { return Err((FailureCode::NoSchema, name.to_owned())) };
        let Some((version, path)) = schema.versions.iter().zip(&schema.files).nth(index.into()) else {
            return Err((FailureCode::NoSchema, about()));
        };
        match std::fs::File::open(path) {
            Ok(file) => {
                let (version, count) = (version.version, schema.files.len() as u16);
                let message = Message::SchemaOpened { version, count, schema: schema.name.clone() };
                Ok(self.clients.send(asker.id, asker.correlation, message, &[file.as_fd()]))
            }
            Err(error) => {
                log(format_args!("{}: cannot open the schema: {error}", path.display()));
                Err((FailureCode::Broker, about()))
            }
        }
    }

    fn open_stat(&mut self, asker: Asker, now: Instant) -> Result<bool, Refusing> {
        let Some(peer) = self.clients.get_mut(asker.id).map(|client| client.peer.clone()) else { return Ok(true) };
        let last = self.shown.insert(peer.uid, now);
        if let Some(last) = last.filter(|last| now - *last < LOOK_PAUSE) {
            self.shown.insert(peer.uid, last);
            return Err((FailureCode::TooManyRequests, format!("user {}, how all stands", peer.uid)));
        }
        let told = serde_json::to_vec(&self.stat(Some(&peer))).map_err(|error| error.to_string());
        let told =
            told.and_then(|text| Ok((memory::document("oyez-stat", &text).map_err(|e| e.to_string())?, text.len())));
        let (document, bytes) = told.map_err(|error| {
            log(format_args!("cannot tell how all stands: {error}"));
            (FailureCode::NoMemory, error)
        })?;
        let message = Message::StatOpened { bytes: bytes as u64 };
        Ok(self.clients.send(asker.id, asker.correlation, message, &[document.as_fd()]))
    }

    pub(crate) fn topic(&self, name: &str) -> Result<(usize, &Topic), Refusing> {
        self.catalog.topic(name).ok_or_else(|| (FailureCode::UnknownTopic, name.to_owned()))
    }

    /// A partition's index, and its topic's place.
    pub(crate) fn find(&self, name: &str, number: u16) -> Result<(PartitionIndex, usize), Refusing> {
        let (at, topic) = self.topic(name)?;
        if number >= topic.partitions {
            return Err((FailureCode::UnknownPartition, place(name, number)));
        }
        Ok((PartitionIndex(self.first[at].0 + usize::from(number)), at))
    }

    pub(crate) fn may_publish(&mut self, asker: Asker, topic: &str, number: u16) -> Result<PartitionIndex, Refusing> {
        let (index, at) = self.find(topic, number)?;
        let allowed = &self.catalog.topics[at];
        match self.clients.get_mut(asker.id) {
            Some(client) if !allowed.may_publish(&client.peer) => {
                let who = who(client.peer.uid, topic, number);
                self.clients.seldom.log(format_args!("{who}: publishing denied"));
                Err((FailureCode::PublishDenied, who))
            }
            _ => Ok(index),
        }
    }

    /// The same, as one of many publishers, or as the one who owns the partition.
    pub(crate) fn may_publish_as(
        &mut self,
        asker: Asker,
        topic: &str,
        number: u16,
        one_of_many: bool,
    ) -> Result<PartitionIndex, Refusing> {
        let index = self.may_publish(asker, topic, number)?;
        match self.partitions[index.0].many.is_some() == one_of_many {
            true => Ok(index),
            false => Err((FailureCode::OtherPublishers, place(topic, number))),
        }
    }

    fn subscribed(&mut self, asker: Asker, topic: &str, number: u16) -> Result<PartitionIndex, Refusing> {
        let (index, _) = self.find(topic, number)?;
        match self.clients.get_mut(asker.id) {
            Some(client) if !client.subscribed.contains(&index) => {
                Err((FailureCode::SubscribeDenied, format!("{}, without OpenSubscriber", place(topic, number))))
            }
            _ => Ok(index),
        }
    }

    pub(crate) fn holder(&mut self, asker: Asker) -> Holder {
        let client = self.clients.get_mut(asker.id);
        let (pid, uid, name) =
            client.map_or((0, 0, String::new()), |client| (client.peer.pid, client.peer.uid, client.name.clone()));
        Holder { connection: asker.id, pid, uid, name }
    }

    pub(crate) fn say(&mut self, asker: Asker, message: Message) -> bool {
        self.clients.send(asker.id, asker.correlation, message, &[])
    }

    pub(crate) fn fail(&mut self, asker: Asker, (code, about): Refusing) -> bool {
        self.say(asker, Message::failure(code, about))
    }
}

pub(crate) fn place(topic: &str, partition: u16) -> String {
    format!("{topic}/{partition}")
}

fn who(uid: u32, topic: &str, partition: u16) -> String {
    format!("user {uid}, {}", place(topic, partition))
}

/// Which messages may be published, as it is told to publishers.
pub(crate) fn binding_of(topic: &Topic) -> (Binding, Vec<u16>) {
    let bound = |schema: &TopicSchema| {
        let TopicSchema { id, version_min, version_max, .. } = *schema;
        (Binding { schema_id: Some(id), version_min, version_max }, schema.templates.clone())
    };
    topic.schema.as_ref().map(bound).unwrap_or_default()
}
