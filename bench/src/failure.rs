//! Why a benchmark gave no figure.

use std::io;

/// Each says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Failure {
    /// Two processes that spin on one core measure the scheduler.
    #[error("cores {found:?} may be used, and two are needed; give this process two, with `taskset` or --cores")]
    Cores {
        /// The cores this process may run on.
        found: Vec<usize>,
    },
    /// The core that was asked for.
    #[error("core {wanted} is none of the cores {found:?} that may be used; choose one of these with --core")]
    Core {
        /// What was said.
        wanted: usize,
        /// The cores this process may run on.
        found: Vec<usize>,
    },
    /// The kernel refused something.
    #[error("cannot {step}: {source}; run it as a user, and in a place, that may")]
    Refused {
        /// What was tried.
        step: &'static str,
        /// The answer.
        source: io::Error,
    },
    /// Memory could not be had.
    #[error(transparent)]
    Memory(#[from] oyez_mem::memory::MemoryError),
    /// The broker did not start.
    #[error("the broker did not start: {log}")]
    Broker {
        /// What it said last.
        log: String,
    },
    /// The bus refused this process.
    #[error("cannot {step}: {what}")]
    Bus {
        /// What was tried.
        step: &'static str,
        /// Its own words.
        what: String,
    },
    /// A program that the run needs is not there, or failed.
    #[error("cannot {step}: {what}")]
    Tool {
        /// What it was run for.
        step: &'static str,
        /// Its own words, or what to install.
        what: String,
    },
    /// The other process is gone or does not answer.
    #[error("{system}: the second process {what}; look at what it wrote above, and run again on idle cores")]
    Second {
        /// The system under test.
        system: &'static str,
        /// What it did.
        what: &'static str,
    },
    /// What arrived is not what was sent: no figure is given for that.
    #[error("{system}: {what}; this is a bug, please report it with this line")]
    Wrong {
        /// The system under test.
        system: &'static str,
        /// Expected and found.
        what: String,
    },
    /// The reader was lapped in every try.
    #[error("{system}: the reader was lapped {tries} times; free these cores, or send fewer --messages a round")]
    Lapped {
        /// The system under test.
        system: &'static str,
        /// How often it was tried.
        tries: u32,
    },
    /// The system itself failed.
    #[error("{system}: {what}")]
    System {
        /// The system under test.
        system: &'static str,
        /// Its own words.
        what: String,
    },
}

impl Failure {
    /// A refusal by the kernel at this step.
    pub(crate) fn refused<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> Failure {
        move |source| Failure::Refused { step, source: source.into() }
    }

    /// A refusal by the bus at this step.
    pub(crate) fn bus<E: std::fmt::Display>(step: &'static str) -> impl FnOnce(E) -> Failure {
        move |error| Failure::Bus { step, what: error.to_string() }
    }
}
