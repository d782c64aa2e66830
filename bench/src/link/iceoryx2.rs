//! iceoryx2 between two processes, configured as its own benchmark does: publish-subscribe of byte slices, loaned and
//! written in place, a buffer of one sample whose overflow drops the oldest, no history, and busy polling.

use super::{Broken, Link};
use crate::failure::Failure;
use crate::fanout;
use crate::systems::Run;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use iceoryx2::sample_mut_uninit::SampleMutUninit;
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;
use oyez_mem::clock::Clock;
use std::mem::MaybeUninit;

/// As in the other links.
const MESSAGE_BYTES_MAX: usize = 4096;

type Loan = SampleMutUninit<ipc::Service, [MaybeUninit<u8>], ()>;

/// One end.
pub(crate) struct Iceoryx2 {
    /// Loaned ahead of need, while the other side has its turn, as its own benchmark does.
    loan: Option<Loan>,
    publisher: Publisher<ipc::Service, [u8], ()>,
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    clock: Clock,
}

/// A subscriber that has a buffer and never takes.
pub(crate) struct Sleeper {
    subscriber: Subscriber<ipc::Service, [u8], ()>,
}

impl Iceoryx2 {
    /// Publishes one direction and reads the other.
    ///
    /// # Errors
    /// [`Failure::System`].
    pub(crate) fn open(run: Run, out: usize) -> Result<Iceoryx2, Failure> {
        let [there, back] = services(run)?;
        let (out, into) = if out == 0 { (there, back) } else { (back, there) };
        let publisher = out.publisher_builder().initial_max_slice_len(MESSAGE_BYTES_MAX).create();
        let publisher = publisher.map_err(refused)?;
        let subscriber = into.subscriber_builder().create().map_err(refused)?;
        Ok(Iceoryx2 { loan: None, publisher, subscriber, clock: Clock::new() })
    }

    fn loan(&self, len_bytes: usize) -> Result<Loan, Broken> {
        self.publisher.loan_slice_uninit(len_bytes).map_err(failed)
    }
}

impl Sleeper {
    /// Subscribes to the first direction.
    ///
    /// # Errors
    /// [`Failure::System`].
    pub(crate) fn open(run: Run) -> Result<Sleeper, Failure> {
        let [there, _] = services(run)?;
        Ok(Sleeper { subscriber: there.subscriber_builder().create().map_err(refused)? })
    }
}

impl fanout::Sleeper for Sleeper {
    fn wake(&mut self) -> Result<bool, Failure> {
        Ok(self.subscriber.receive().map_err(refused)?.is_some())
    }
}

/// Both directions, each with one publisher, and with room for all who may sleep.
fn services(run: Run) -> Result<[PortFactory<ipc::Service, [u8], ()>; 2], Failure> {
    set_log_level(LogLevel::Error);
    let node = NodeBuilder::new().create::<ipc::Service>().map_err(refused)?;
    let service = |direction| {
        let name = ServiceName::new(&format!("oyez-bench/{}/{direction}", run.id)).map_err(refused)?;
        let service = node.service_builder(&name).publish_subscribe::<[u8]>();
        let service = service.max_publishers(1).max_subscribers(run.subscribers_max).max_nodes(run.subscribers_max + 2);
        let service = service.history_size(0).subscriber_max_buffer_size(1).enable_safe_overflow(true);
        service.open_or_create().map_err(refused)
    };
    Ok([service("there")?, service("back")?])
}

impl Link for Iceoryx2 {
    #[inline(always)]
    fn send(&mut self, message: &[u8]) -> Result<u64, Broken> {
        let loan = match self.loan.take() {
            Some(loan) if loan.payload().len() == message.len() => loan,
            _ => self.loan(message.len())?,
        };
        let sample = loan.write_from_slice(message);
        let time_ns = self.clock.now_ns();
        sample.send().map_err(failed)?;
        self.loan = Some(self.loan(message.len())?);
        Ok(time_ns)
    }

    #[inline(always)]
    fn poll(&mut self, limit: usize, mut each: impl FnMut(&[u8])) -> Result<usize, Broken> {
        let mut brought = 0;
        while brought < limit {
            let Some(sample) = self.subscriber.receive().map_err(failed)? else { break };
            each(sample.payload());
            brought += 1;
        }
        Ok(brought)
    }

    fn catch_up(&mut self) -> Result<(), Broken> {
        while self.poll(1, |_| {})? != 0 {}
        Ok(())
    }
}

#[cold]
fn failed(error: impl std::fmt::Debug) -> Broken {
    Broken::Failed(format!("{error:?}"))
}

fn refused(error: impl std::fmt::Debug) -> Failure {
    Failure::System { system: "iceoryx2", what: format!("{error:?}") }
}
