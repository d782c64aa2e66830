//! The way in: a connection to a broker, or a bus within one process.

use crate::connection::Link;
use crate::in_process::{InProcess, Topic};
use crate::partition::Attached;
use crate::subscriber::SubscriberBuilder;
use crate::{BusError, Ingress, KeyedPublisherBuilder, Owner, PublishError, Publisher, Standby, TopicInfo};
use oyez_ring::Epoch;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long one request may take, unless said.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How to connect to a broker.
#[derive(Clone, Debug)]
pub struct Connect {
    pub(crate) socket: PathBuf,
    pub(crate) name: String,
    pub(crate) timeout: Duration,
}

impl Connect {
    /// Over the broker's Unix socket.
    pub fn new(socket: impl AsRef<Path>) -> Connect {
        let program = std::env::args_os().next().map(PathBuf::from);
        let name =
            program.as_deref().and_then(Path::file_name).map_or_else(String::new, |name| name.display().to_string());
        Connect { socket: socket.as_ref().to_owned(), name, timeout: TIMEOUT }
    }

    /// What this process is called in the broker's reports; the program's name unless said.
    pub fn name(mut self, name: &str) -> Connect {
        name.clone_into(&mut self.name);
        self
    }

    /// How long one request may take, connecting included; 5 s unless said.
    pub fn timeout(mut self, timeout: Duration) -> Connect {
        self.timeout = timeout;
        self
    }
}

/// A bus. Clones are the same bus; the connection goes with the last of them and of what was opened on it.
///
/// Behind a connection stands one thread, which notices when the broker goes away, connects again when it is back,
/// claims again what publishers own, and learns what subscribers need to know.
#[derive(Clone)]
pub struct Bus(Kind);

#[derive(Clone)]
pub(crate) enum Kind {
    Broker(Arc<Link>),
    InProcess(Arc<InProcess>),
}

impl Bus {
    /// Connects to a broker.
    ///
    /// # Errors
    /// [`BusError`]: nobody listens there within the timeout, or it speaks another version.
    pub fn connect(connect: Connect) -> Result<Bus, BusError> {
        Ok(Bus(Kind::Broker(Link::open(connect)?)))
    }

    /// A bus within this process, with these topics: for unit tests. Nothing is recorded.
    ///
    /// # Errors
    /// [`BusError::Declaration`].
    pub fn in_process(topics: &[Topic]) -> Result<Bus, BusError> {
        Ok(Bus(Kind::InProcess(Arc::new(InProcess::new(topics)?))))
    }

    /// All topics that the catalog declares.
    ///
    /// # Errors
    /// [`BusError`].
    pub fn topics(&self) -> Result<Vec<TopicInfo>, BusError> {
        match &self.0 {
            Kind::Broker(link) => link.topics(),
            Kind::InProcess(bus) => Ok(bus.topics()),
        }
    }

    /// One topic, as it is declared and as its partition 0 stands.
    ///
    /// # Errors
    /// [`BusError`]: there is none of that name.
    pub fn describe(&self, topic: &str) -> Result<TopicInfo, BusError> {
        self.describe_partition(topic, 0)
    }

    /// One topic, as it is declared and as this partition stands.
    ///
    /// # Errors
    /// [`BusError`]: there is none of that name, or no such partition.
    pub fn describe_partition(&self, topic: &str, partition: u16) -> Result<TopicInfo, BusError> {
        match &self.0 {
            Kind::Broker(link) => link.describe(topic, partition),
            Kind::InProcess(bus) => bus.describe(topic, partition),
        }
    }

    /// The schema of a topic as XML, once for each version that the catalog has, the oldest first.
    ///
    /// # Errors
    /// [`BusError`]: the topic has none.
    pub fn schemas_xml(&self, topic: &str) -> Result<Vec<String>, BusError> {
        match &self.0 {
            Kind::Broker(link) => link.schemas_xml(topic),
            Kind::InProcess(bus) => {
                bus.describe(topic, 0)?;
                let what = "an in-process bus keeps ids, not schemas; load the schema's file in the test";
                Err(BusError::Declaration { topic: topic.to_owned(), what })
            }
        }
    }

    /// How the broker, its topics and their readers stand, as one document in JSON: what `oyez stat` prints. Waits where this
    /// user has asked less than 50 ms ago.
    ///
    /// # Errors
    /// [`BusError`]; [`BusError::Declaration`] on an in-process bus, which has no broker.
    pub fn stat(&self) -> Result<String, BusError> {
        match &self.0 {
            Kind::Broker(link) => link.stat(),
            Kind::InProcess(_) => {
                let what = "an in-process bus has no broker to be seen; connect to one";
                Err(BusError::Declaration { topic: "(all)".to_owned(), what })
            }
        }
    }

    /// What would come of the catalog in this file, which the broker reads; with `apply`, what came of it, if nothing stands
    /// against it. One document in JSON: what `oyez catalog plan` prints. Only the broker's own user and root are told.
    ///
    /// # Errors
    /// [`BusError`]; [`BusError::Declaration`] on an in-process bus, which has no broker.
    pub fn plan_catalog(&self, file: &Path, apply: bool) -> Result<String, BusError> {
        match &self.0 {
            Kind::Broker(link) => link.plan_catalog(file, apply),
            Kind::InProcess(_) => {
                let what = "an in-process bus has no catalog; connect to a broker";
                Err(BusError::Declaration { topic: "(all)".to_owned(), what })
            }
        }
    }

    /// A publisher of this topic: to be opened.
    pub fn publisher(&self, topic: &str) -> PublisherBuilder {
        PublisherBuilder { bus: self.clone(), topic: topic.to_owned(), partition: 0, wait: Duration::ZERO }
    }

    /// A publisher of this topic that chooses the partition by a key: to be opened.
    pub fn keyed_publisher(&self, topic: &str) -> KeyedPublisherBuilder {
        KeyedPublisherBuilder::new(self.clone(), topic)
    }

    /// A subscriber: to be given topics, and opened.
    pub fn subscriber(&self) -> SubscriberBuilder {
        SubscriberBuilder::new(self.clone())
    }

    /// Has the owner of a partition killed, as [`Standby::take_over`] does: for whoever is no standby itself.
    ///
    /// # Errors
    /// As there.
    pub fn take_over(&self, topic: &str, partition: u16) -> Result<Option<Owner>, BusError> {
        match &self.0 {
            Kind::Broker(link) => link.take_over(topic, partition),
            Kind::InProcess(_) => self.publisher(topic).partition(partition).standby().take_over(),
        }
    }

    /// Has the owner of a partition go on in a new epoch, with a new ring, and answers with its number. Nothing is lost or given
    /// twice; the publisher is back-pressured for some milliseconds, and subscribers get an `Epoch` event. Only the broker's own
    /// user and root may ask for it.
    ///
    /// # Errors
    /// [`BusError`]: [`FailureCode::NotRenewed`](crate::FailureCode) where nobody owns it, or the owner has not answered or is
    /// gone; [`BusError::Declaration`] on an in-process bus, which has no broker.
    pub fn renew(&self, topic: &str, partition: u16) -> Result<Epoch, BusError> {
        match &self.0 {
            Kind::Broker(link) => link.renew(topic, partition),
            Kind::InProcess(_) => {
                let what = "an in-process bus has no broker to renew an epoch; connect to one";
                Err(BusError::Declaration { topic: topic.to_owned(), what })
            }
        }
    }

    pub(crate) fn attach(&self, topic: &str, partition: u16) -> Result<(TopicInfo, Attached), BusError> {
        match &self.0 {
            Kind::Broker(link) => link.attach(topic, partition),
            Kind::InProcess(bus) => bus.attach(topic, partition),
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        match &self.0 {
            Kind::Broker(link) => link.timeout(),
            Kind::InProcess(_) => TIMEOUT,
        }
    }
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self.0 {
            Kind::Broker(_) => "Bus(broker)",
            Kind::InProcess(_) => "Bus(in process)",
        })
    }
}

/// Which partition to own, and how long to wait for it: made by [`Bus::publisher`].
#[must_use = "a publisher is opened with `open`, or waited for with `standby`"]
pub struct PublisherBuilder {
    bus: Bus,
    topic: String,
    partition: u16,
    wait: Duration,
}

impl PublisherBuilder {
    /// Another partition than 0.
    pub fn partition(mut self, partition: u16) -> PublisherBuilder {
        self.partition = partition;
        self
    }

    /// Waits for so long, as a [`Standby`], while the partition has another owner or the broker is away.
    pub fn wait(mut self, timeout: Duration) -> PublisherBuilder {
        self.wait = timeout;
        self
    }

    /// Waits for the partition behind its owner, from here on; see [`Standby`]. Neither blocks nor fails: what is wrong
    /// [`Standby::wait`] says.
    pub fn standby(self) -> Standby {
        Standby::new(&self.bus.0, &self.topic, self.partition)
    }

    /// One of the topic's many publishers, under this name of the catalog's.
    pub fn origin(self, name: &str) -> IngressBuilder {
        IngressBuilder { publisher: self, origin: name.to_owned() }
    }

    /// Becomes the owner.
    ///
    /// # Errors
    /// [`PublishError::NotGranted`] says who owns it; [`PublishError::Bus`]: an unknown topic, no right to it, no answer.
    pub fn open(self) -> Result<Publisher, PublishError> {
        let PublisherBuilder { bus, topic, partition, wait } = self;
        if !wait.is_zero()
            && let Some(publisher) = Standby::new(&bus.0, &topic, partition).wait(wait)?
        {
            return Ok(publisher);
        }
        match &bus.0 {
            Kind::Broker(link) => link.publisher(&topic, partition),
            Kind::InProcess(bus) => bus.publisher(&topic, partition),
        }
    }
}

/// Under which name to hand in: made by [`PublisherBuilder::origin`].
#[must_use = "a publisher is opened with `open`"]
pub struct IngressBuilder {
    publisher: PublisherBuilder,
    origin: String,
}

impl IngressBuilder {
    /// Opens a session under the name. One process has it at a time; with [`PublisherBuilder::wait`] it is waited for.
    ///
    /// # Errors
    /// [`PublishError::NotGranted`] says who has it; [`PublishError::Bus`]: an unknown topic or name, a topic of one
    /// publisher, no right to it, no answer.
    pub fn open(self) -> Result<Ingress, PublishError> {
        let IngressBuilder { publisher: PublisherBuilder { bus, topic, partition, wait }, origin } = self;
        match &bus.0 {
            Kind::Broker(link) => link.ingress(&topic, partition, &origin, wait),
            Kind::InProcess(_) => {
                let what = "an in-process bus has topics of one publisher; publish without an origin";
                Err(BusError::Declaration { topic, what }.into())
            }
        }
    }
}
