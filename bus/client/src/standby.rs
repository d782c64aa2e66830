//! A second publisher, which goes on when the first is gone.

use crate::bus::Kind;
use crate::connection;
use crate::in_process::InProcess;
use crate::{BusError, Owner, PublishError, Publisher};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often an in-process bus is asked.
const ASK_AGAIN: Duration = Duration::from_millis(1);

/// Waits for a partition that another publisher owns, in the order of arrival, and owns it when that one has released it
/// or is dead. Where the catalog counts memory for it (`standbys`) it is warm: its ring is mapped and touched long before.
///
/// One thread's at a time. Dropping it ends the waiting. While the broker is away, nothing is waited for; [`Standby::wait`]
/// asks again when it is back.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let bus = oyez::Bus::in_process(&[oyez::Topic::new("md")])?;
/// let mut standby = bus.publisher("md").standby();
/// let mut publisher = loop {
///     // Whatever else is to be looked after meanwhile is looked after here.
///     if let Some(publisher) = standby.wait(std::time::Duration::from_secs(1))? {
///         break publisher;
///     }
/// };
/// let _ = publisher.offer(&[0; 64])?;
/// # Ok(())
/// # }
/// ```
pub struct Standby(Waiting);

enum Waiting {
    AtBroker(connection::Standby),
    InProcess(Arc<InProcess>, String, u16),
}

impl Standby {
    pub(crate) fn new(bus: &Kind, topic: &str, partition: u16) -> Standby {
        Standby(match bus {
            Kind::Broker(link) => Waiting::AtBroker(connection::Standby::new(Arc::clone(link), topic, partition)),
            Kind::InProcess(bus) => Waiting::InProcess(Arc::clone(bus), topic.to_owned(), partition),
        })
    }

    /// Waits for so long; `None`: the partition has another owner still. What it is offered it maps in here, so call this
    /// soon, and again and again: an offer that is not answered in five seconds is taken back, and with it the place in the
    /// order.
    ///
    /// # Errors
    /// [`PublishError`]: no right to it, the topic's journal failed; or what passes, and has not in that time.
    pub fn wait(&mut self, timeout: Duration) -> Result<Option<Publisher>, PublishError> {
        let deadline = Instant::now() + timeout;
        match &mut self.0 {
            Waiting::AtBroker(standby) => standby.wait(deadline),
            Waiting::InProcess(bus, topic, partition) => loop {
                match bus.publisher(topic, *partition) {
                    Err(error) if error.is_retriable() && Instant::now() < deadline => std::thread::sleep(ASK_AGAIN),
                    Err(error) if error.is_retriable() => return Ok(None),
                    answer => return answer.map(Some),
                }
            },
        }
    }

    /// Whether its ring is mapped, so that it goes on at once when the owner is gone.
    pub fn is_warm(&self) -> bool {
        match &self.0 {
            Waiting::AtBroker(standby) => standby.is_warm(),
            Waiting::InProcess(..) => true,
        }
    }

    /// Has the owner killed, where the catalog lets it (`takeover = "kill"`) and a standby of another process is warm, which
    /// then goes on: this one, or one that has waited longer. Answers with who was killed; `None`: the broker saw none any
    /// more, and whoever keeps its ring all the same is looked for, and killed.
    /// Then [`Standby::wait`]: the epoch ends when the kernel has proven that nobody can write any more.
    ///
    /// # Errors
    /// [`BusError`]: it is not allowed, nobody is warm, the kernel refuses it.
    pub fn take_over(&self) -> Result<Option<Owner>, BusError> {
        match &self.0 {
            Waiting::AtBroker(standby) => standby.take_over(),
            Waiting::InProcess(_, topic, _) => {
                let what = "nobody is killed on an in-process bus; drop the other publisher";
                Err(BusError::Declaration { topic: topic.clone(), what })
            }
        }
    }
}

impl std::fmt::Debug for Standby {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Standby({})", if self.is_warm() { "warm" } else { "cold" })
    }
}
