//! What the connection's thread and a publisher share: that an epoch is owned, and what becomes of it.

use super::{Command, Link, Wake};
use crate::publisher::News;
use crate::{BusError, publisher};
use oyez_mem::memory::{MemoryError, check_reader, check_size};
use oyez_mem::{InUse, Seat, Taker};
use oyez_protocol::{FailureCode, Message};
use oyez_ring::layout::RING_BYTES_MAX;
use oyez_ring::{BLOCK, Control, Epoch, Memory, Region, RegionMut, Tail, Writer};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An epoch owned by a publisher of this process, or to be owned once it is granted. The thread holds it weakly: when it
/// is gone, so are the publisher and its mapping, and the epoch is released.
pub(super) struct Owned {
    pub(super) topic: String,
    pub(super) partition: u16,
    /// The name under which it hands in, where the topic has many publishers.
    origin: Option<String>,
    signal: Arc<AtomicU64>,
    state: Mutex<State>,
    wake: Arc<Wake>,
}

struct State {
    /// The epoch that was granted last; 0 before.
    epoch: Epoch,
    /// For the publisher, which has not heard it yet.
    news: Option<News>,
    /// Takes the epoch's ring out of the publisher's hands.
    taker: Option<Taker<Writer>>,
    /// The publisher is gone: nothing is kept for it.
    is_left: bool,
}

impl Owned {
    pub(super) fn new(topic: &str, partition: u16, wake: Arc<Wake>) -> Arc<Owned> {
        Owned::under(topic, partition, None, wake)
    }

    /// Of one of many publishers: what it owns is its session.
    pub(super) fn of_many(topic: &str, partition: u16, origin: &str, wake: Arc<Wake>) -> Arc<Owned> {
        Owned::under(topic, partition, Some(origin.to_owned()), wake)
    }

    fn under(topic: &str, partition: u16, origin: Option<String>, wake: Arc<Wake>) -> Arc<Owned> {
        let state = State { epoch: Epoch(0), news: None, taker: None, is_left: false };
        Arc::new(Owned {
            topic: topic.to_owned(),
            partition,
            origin,
            signal: Arc::new(AtomicU64::new(0)),
            state: Mutex::new(state),
            wake,
        })
    }

    /// The epoch that was granted last; 0 before.
    pub(super) fn epoch(&self) -> Epoch {
        self.state().epoch
    }

    /// It is owned from here on.
    pub(super) fn granted(&self, epoch: Epoch) {
        self.state().epoch = epoch;
    }

    /// Where the publisher uses the writer of its epoch; it is taken from there by `take`.
    pub(super) fn seat(&self, writer: Writer) -> Seat<Writer> {
        let (seat, taker) = oyez_mem::seat(writer);
        self.state().taker = Some(taker);
        seat
    }

    /// Takes the writer, which goes, and with it the mapping; from here on the publisher is back-pressured. Where it is
    /// publishing, or is not there yet, it is to be tried again.
    pub(super) fn take(&self) -> Result<(), InUse> {
        let taken = self.state().taker.as_mut().map_or(Err(InUse), Taker::take)?;
        drop(taken);
        Ok(())
    }

    /// The publisher is gone. An epoch that was granted a moment ago, or is in this one, is not mapped for it any more.
    fn leave(&self) {
        let mut state = self.state();
        state.is_left = true;
        let news = state.news.take();
        drop(state);
        drop(news);
    }

    pub(super) fn signal(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.signal)
    }

    pub(super) fn tell(&self, news: News) {
        let mut state = self.state();
        if let News::Lost(_) = news {
            // A writer that was asked for and not taken is the publisher's to drop.
            state.taker = None;
        }
        let State { news: told, is_left, .. } = &mut *state;
        match (told, news) {
            _ if *is_left => {}
            (Some(News::Renewed(reign)), News::Back(control, check)) => reign.go_on(control, check),
            // There is no way back from it.
            (Some(News::Lost(_)), _) => {}
            (told, news) => *told = Some(news),
        }
        drop(state);
        self.signal.fetch_add(1, Ordering::Release);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn release_message(&self) -> Message {
        let (partition, topic) = (self.partition, self.topic.clone());
        match &self.origin {
            None => Message::Release { partition, epoch: self.epoch(), topic },
            Some(origin) => Message::CloseIngress { partition, topic, origin: origin.clone() },
        }
    }

    /// What is said to have it back, once the broker is.
    pub(super) fn reclaim_message(&self) -> Message {
        let (partition, topic) = (self.partition, self.topic.clone());
        match &self.origin {
            None => Message::Reclaim { partition, epoch: self.epoch(), topic },
            Some(origin) => Message::OpenIngress { partition, topic, origin: origin.clone() },
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.wake.wake();
    }
}

/// The publisher's end.
pub(super) struct Ownership {
    /// Gone once released.
    owned: Option<Arc<Owned>>,
    link: Arc<Link>,
}

impl Ownership {
    pub(super) fn new(owned: Arc<Owned>, link: Arc<Link>) -> Ownership {
        Ownership { owned: Some(owned), link }
    }
}

impl publisher::Ownership for Ownership {
    fn news(&mut self) -> Option<News> {
        self.owned.as_ref()?.state().news.take()
    }

    fn release(&mut self, _: Tail, wait: bool) -> Result<(), BusError> {
        let Some(owned) = self.owned.take() else { return Ok(()) };
        if !wait {
            return Ok(());
        }
        self.link.command(Command::Forget(Arc::downgrade(&owned)));
        owned.leave();
        loop {
            let epoch = owned.epoch();
            match self.link.request("Release", owned.release_message()) {
                // It was renewed meanwhile.
                Err(BusError::Refused { code: FailureCode::NotOwner, .. }) if owned.epoch() != epoch => {}
                Err(BusError::Refused { code: FailureCode::NotOwner, .. }) => return Ok(()),
                answer => return answer.map(|_| ()),
            }
        }
    }
}

/// Checks and maps what a publisher was given: the data memory to write, the control page to read.
pub(super) fn map_owned(topic: &str, capacity: u64, given: &[OwnedFd]) -> Result<(RegionMut, Control), BusError> {
    let (data, control) = two(topic, capacity, given)?;
    check_size(data, Memory::len_bytes(capacity)).map_err(untrusted(topic))?;
    let memory = RegionMut::map(data, Memory::len_bytes(capacity) as usize).map_err(unmapped(topic))?;
    Ok((memory, map_control(topic, control)?))
}

/// Checks and maps what a reader was given.
pub(super) fn map_ring(topic: &str, capacity: u64, given: &[OwnedFd]) -> Result<(Memory, Control), BusError> {
    let (data, control) = two(topic, capacity, given)?;
    let region = map_read_only(topic, data, Memory::len_bytes(capacity))?;
    Ok((Memory::new(region, capacity), map_control(topic, control)?))
}

/// Checks and maps a control page.
pub(super) fn map_control(topic: &str, page: impl AsFd) -> Result<Control, BusError> {
    Ok(Control::new(map_read_only(topic, page, Control::LEN_BYTES as u64)?))
}

fn map_read_only(topic: &str, memory: impl AsFd, len_bytes: u64) -> Result<Region, BusError> {
    check_reader(&memory, len_bytes).map_err(untrusted(topic))?;
    Region::map(memory, len_bytes as usize).map_err(unmapped(topic))
}

fn two<'a>(topic: &str, capacity: u64, given: &'a [OwnedFd]) -> Result<(&'a OwnedFd, &'a OwnedFd), BusError> {
    let is_sound = capacity.is_power_of_two() && (2 * BLOCK..=RING_BYTES_MAX).contains(&capacity);
    match given {
        [data, control] if is_sound => Ok((data, control)),
        _ => Err(untrusted(topic)(MemoryError::Size { found: capacity, expected: 2 * BLOCK })),
    }
}

fn untrusted(topic: &str) -> impl Fn(MemoryError) -> BusError {
    let topic = topic.to_owned();
    move |source| BusError::Memory { topic: topic.clone(), source }
}

fn unmapped(topic: &str) -> impl Fn(std::io::Error) -> BusError {
    let topic = topic.to_owned();
    move |source| BusError::System { topic: topic.clone(), step: "map its ring", source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HeaderCheck;
    use oyez_ring::{ControlMut, Position};

    #[test]
    fn a_broker_that_is_back_does_not_take_a_loss_back() {
        let owned = Owned::new("md", 0, Wake::new().expect("a descriptor"));
        owned.tell(News::Lost("its ring was taken".to_owned()));
        let page = ControlMut::open(RegionMut::heap(Control::LEN_BYTES), Position(0), Position(0));
        owned.tell(News::Back(page.reader(), HeaderCheck::new(None)));
        assert!(matches!(owned.state().news, Some(News::Lost(_))));
    }

    #[test]
    fn nothing_is_kept_for_a_publisher_that_is_gone() {
        let owned = Owned::new("md", 0, Wake::new().expect("a descriptor"));
        let page = ControlMut::open(RegionMut::heap(Control::LEN_BYTES), Position(0), Position(0));
        let back = || News::Back(page.reader(), HeaderCheck::new(None));
        owned.tell(back());
        owned.leave();
        assert!(owned.state().news.is_none());
        owned.tell(back());
        assert!(owned.state().news.is_none(), "its ring would stay mapped");
    }
}
