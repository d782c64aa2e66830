//! What stands for a peer in the program that has none: nothing can be opened, and so nothing is ever used.

use super::{Broken, Link};
use crate::failure::Failure;
use crate::fanout::Sleeper;
use crate::systems::Run;

/// There is none.
pub(crate) enum Absent {}

/// Nor this.
pub(crate) enum AbsentSleeper {}

impl AbsentSleeper {
    /// # Errors
    /// Always.
    pub(crate) fn open(_: Run) -> Result<AbsentSleeper, Failure> {
        Err(none())
    }
}

impl Sleeper for AbsentSleeper {
    fn wake(&mut self) -> Result<bool, Failure> {
        match *self {}
    }
}

fn none() -> Failure {
    Failure::System { system: "peers", what: "this program has none; run oyez-bench with --peers".to_owned() }
}

impl Absent {
    /// # Errors
    /// Always.
    pub(crate) fn open(_: Run, _: usize) -> Result<Absent, Failure> {
        Err(none())
    }
}

impl Link for Absent {
    fn send(&mut self, _: &[u8]) -> Result<u64, Broken> {
        match *self {}
    }

    fn poll(&mut self, _: usize, _: impl FnMut(&[u8])) -> Result<usize, Broken> {
        match *self {}
    }

    fn catch_up(&mut self) -> Result<(), Broken> {
        match *self {}
    }
}
