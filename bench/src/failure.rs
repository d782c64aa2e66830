//! Why a benchmark gave no figure.

use std::io;

/// Each says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Failure {
    /// Two processes that spin on one core measure the scheduler.
    #[error("cores {found:?} may be used, and two are needed; give this process two with `taskset`")]
    Cores {
        /// The cores this process may run on.
        found: Vec<usize>,
    },
    /// The kernel refused something.
    #[error("cannot {step}: {source}")]
    Refused {
        /// What was tried.
        step: &'static str,
        /// The answer.
        source: io::Error,
    },
    /// Memory could not be had.
    #[error(transparent)]
    Memory(#[from] oyez_mem::memory::MemoryError),
    /// The other process is gone or does not answer.
    #[error("the second process {what} in {system}; look at what it wrote above, and run again on idle cores")]
    Peer {
        /// What it did.
        what: String,
        /// The system under test.
        system: String,
    },
    /// What arrived is not what was sent: no figure is given for that.
    #[error("{system}: {what}; this is a bug, please report it with this line")]
    Wrong {
        /// The system under test.
        system: String,
        /// Expected and found.
        what: String,
    },
    /// The reader was lapped in every try.
    #[error("{system}: the reader was lapped in {tries} tries; it does not keep up on these cores: free them, or make rounds shorter")]
    Lapped {
        /// The system under test.
        system: String,
        /// How often it was tried.
        tries: u32,
    },
    /// The system itself failed.
    #[error("{system}: {what}")]
    System {
        /// The system under test.
        system: String,
        /// Its own words.
        what: String,
    },
}

impl Failure {
    /// A refusal by the kernel at this step.
    pub(crate) fn refused<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> Failure {
        move |source| Failure::Refused { step, source: source.into() }
    }
}
