//! What cores and helper threads tell the control thread: a bounded queue, and an eventfd that its poll wakes from.

use std::any::Any;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::thread::JoinHandleExt as _;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded, unbounded};
use nix::sys::signal::Signal;
use oyez_journal::{JournalError, Segment};
use oyez_mem::memory::MemoryError;
use oyez_ring::{Epoch, Position, Tail};
use rustix::event::EventfdFlags;

use crate::apply::Draft;
use crate::http::Viewer;
use crate::ingress::{Left, Sequencer};
use crate::serve::StartError;
use crate::sleepers::Sleeper;
use crate::spare::Spare;

/// Most events under way: each partition has at most a handful.
const EVENTS_MAX: usize = 4_096;

/// A partition, by a number that none has after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PartitionIndex(pub(crate) usize);

/// Something happened off the control thread.
#[derive(Debug)]
pub(crate) enum Event {
    /// A recorder needs the segment at this position soon.
    Wants(PartitionIndex, Position),
    /// A recorder has done with a segment; it is closed off the core.
    Spent(#[allow(dead_code, reason = "carried only to be dropped here")] Segment),
    /// What a partition that is declared no more has left on its core; it is closed off the core.
    Retired(#[allow(dead_code, reason = "carried only to be dropped here")] Box<dyn Any + Send>),
    /// A recorder has begun on an epoch, and so let go of the ring before it.
    Attached(PartitionIndex, Epoch),
    /// A recorder has taken an epoch to its end, as durable as the topic is declared.
    Done(PartitionIndex),
    /// The owner wrote what no honest writer writes; the last good frame ends here.
    Broken(PartitionIndex, Tail, String),
    /// An ended epoch's ring does not hold what it held when its end was found: recorded to here, and no further.
    Short(PartitionIndex, Tail, String),
    /// Another catalog was read, or the journals of its new topics were made.
    Draft(Box<Draft>),
    /// The segments of a topic are not used again, or why some may be.
    Withheld(Result<(), StartError>, String),
    /// What a client of this user left is closed.
    Closed(u32),
    /// A reader is gone, or cannot be woken: what it had is closed off the core.
    Left(Box<Sleeper>),
    /// A publisher of many hands in no more.
    IngressLeft(PartitionIndex, Box<Left>),
    /// The core owns a partition of many publishers no more; dropped here, its ring is unmapped.
    Ceded(Box<Sequencer>),
    /// Somebody wants to see how all stands.
    Look(Viewer),
    /// The journal failed, for good.
    Failed(PartitionIndex, String),
    /// A spare ring of this capacity, or why there is none.
    Spare(u64, Result<Spare, MemoryError>),
    /// A segment for a recorder, or why there is none.
    Segment(PartitionIndex, Position, Result<Segment, JournalError>),
}

/// The sending end; clones go to every thread.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    queue: Sender<Event>,
    bell: Arc<OwnedFd>,
}

/// The receiving end.
#[derive(Debug)]
pub(crate) struct EventQueue {
    queue: Receiver<Event>,
    bell: Arc<OwnedFd>,
}

/// Makes a queue.
pub(crate) fn queue() -> std::io::Result<(Events, EventQueue)> {
    let (sender, receiver) = bounded(EVENTS_MAX);
    let bell = Arc::new(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    Ok((Events { queue: sender, bell: Arc::clone(&bell) }, EventQueue { queue: receiver, bell }))
}

impl Events {
    /// Sends without waiting; gives the event back when the queue is full, to be offered again.
    pub(crate) fn offer(&self, event: Event) -> Result<(), Event> {
        match self.queue.try_send(event) {
            Ok(()) => {
                // A bell that already rings needs no second stroke, and nothing else can fail here.
                let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
                Ok(())
            }
            // The control thread is gone: so is everybody who would listen.
            Err(TrySendError::Disconnected(_)) => Ok(()),
            Err(TrySendError::Full(event)) => Err(event),
        }
    }
}

impl EventQueue {
    /// The next event, if there is one.
    pub(crate) fn take(&self) -> Option<Event> {
        self.queue.try_recv().ok()
    }

    /// Silences the bell; look at the queue after it.
    pub(crate) fn silence(&self) {
        let _ = rustix::io::read(&*self.bell, &mut [0_u8; 8]);
    }

    /// What poll wakes from.
    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

type Job = Box<dyn FnOnce() -> Event + Send>;

/// A thread for what takes long, so that the control thread never does.
#[derive(Debug)]
pub(crate) struct Helper {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

impl Helper {
    /// Starts the thread. It ends when the helper is dropped.
    pub(crate) fn start(name: &str, events: Events) -> std::io::Result<Helper> {
        let (jobs, queue) = unbounded::<Job>();
        let work = move || {
            for job in queue {
                let mut event = job();
                while let Err(back) = events.offer(event) {
                    event = back;
                    std::thread::yield_now();
                }
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Helper { jobs, thread })
    }

    /// Ends what its job waits for in the kernel just now, if that can be ended. Needs a handler of the signal.
    pub(crate) fn interrupt(&self, signal: Signal) {
        // The thread lives as long as this, so it can be signalled.
        let _ = nix::sys::pthread::pthread_kill(self.thread.as_pthread_t(), signal);
    }

    /// Has the thread do this next. Jobs are bounded by whoever asks: one a partition, a capacity, a client.
    pub(crate) fn ask(&self, job: impl FnOnce() -> Event + Send + 'static) {
        // The thread lives as long as this sender.
        let _ = self.jobs.send(Box::new(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn rings(queue: &EventQueue) -> bool {
        let mut sources = [PollFd::from_borrowed_fd(queue.bell(), PollFlags::IN)];
        poll(&mut sources, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).expect("poll") > 0
    }

    #[test]
    fn an_event_rings_the_bell_until_it_is_silenced() {
        let (events, queue) = queue().expect("descriptors");
        assert!(!rings(&queue));
        events.offer(Event::Done(PartitionIndex(3))).expect("room");
        assert!(rings(&queue));
        queue.silence();
        assert!(!rings(&queue));
        assert!(matches!(queue.take(), Some(Event::Done(PartitionIndex(3)))));
        assert!(queue.take().is_none());
    }

    #[test]
    fn a_full_queue_gives_the_event_back() {
        let (events, queue) = queue().expect("descriptors");
        for _ in 0..EVENTS_MAX {
            events.offer(Event::Done(PartitionIndex(0))).expect("room");
        }
        assert!(matches!(events.offer(Event::Done(PartitionIndex(1))), Err(Event::Done(PartitionIndex(1)))));
        queue.take().expect("an event");
        events.offer(Event::Done(PartitionIndex(1))).expect("room again");
    }
}
