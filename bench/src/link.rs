//! A link: one direction out, one in, between this process and the other.

#[cfg(not(feature = "peers"))]
mod absent;
#[cfg(feature = "peers")]
#[allow(unsafe_code, reason = "Aeron's client and driver are C")]
pub(crate) mod aeron;
pub(crate) mod bus;
#[cfg(feature = "peers")]
pub(crate) mod iceoryx2;
pub(crate) mod limit;
pub(crate) mod ring;

/// The links of the peers, where there are any.
#[cfg(not(feature = "peers"))]
pub(crate) mod aeron {
    pub(crate) use super::absent::Absent as Aeron;
}
#[cfg(not(feature = "peers"))]
pub(crate) mod iceoryx2 {
    pub(crate) use super::absent::{Absent as Iceoryx2, AbsentSleeper as Sleeper};
}

use crate::failure::Failure;
use std::time::{Duration, Instant};

/// How long a message may take before the other process counts as gone.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Empty polls between two looks at the clock.
const POLLS: u32 = 1 << 20;

/// What may come of a poll that is not a message.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The reader was too slow, and messages are gone.
    Lapped,
    /// The system's own words.
    Failed(String),
}

/// Two ends, each in a process of its own, used by one thread.
pub(crate) trait Link {
    /// Publishes; the publish time, in ns since 1970 UTC.
    fn send(&mut self, message: &[u8]) -> Result<u64, Broken>;

    /// Gives up to `limit` messages; how many, 0 at once when there are none.
    fn poll(&mut self, limit: usize, each: impl FnMut(&[u8])) -> Result<usize, Broken>;

    /// Forgets everything that was sent to this end so far; nobody sends while it does.
    fn catch_up(&mut self) -> Result<(), Broken>;
}

/// Polls until one message or more has come.
#[inline(always)]
pub(crate) fn receive<L: Link>(link: &mut L, limit: usize, mut each: impl FnMut(&[u8])) -> Result<usize, Broken> {
    let mut empty = 0;
    loop {
        let brought = link.poll(limit, &mut each)?;
        if brought != 0 {
            return Ok(brought);
        }
        empty += 1;
        if empty == POLLS {
            return receive_slowly(link, limit, each);
        }
        std::hint::spin_loop();
    }
}

#[cold]
fn receive_slowly<L: Link>(link: &mut L, limit: usize, mut each: impl FnMut(&[u8])) -> Result<usize, Broken> {
    let deadline = Instant::now() + ANSWER_MAX;
    while Instant::now() < deadline {
        match link.poll(limit, &mut each)? {
            0 => std::hint::spin_loop(),
            brought => return Ok(brought),
        }
    }
    Err(Broken::Failed(format!("nothing came within {} s", ANSWER_MAX.as_secs())))
}

impl Broken {
    /// With the system's name.
    pub(crate) fn of(self, system: &'static str) -> Failure {
        match self {
            Broken::Lapped => Failure::Lapped { system, tries: 1 },
            Broken::Failed(what) => Failure::System { system, what },
        }
    }
}
