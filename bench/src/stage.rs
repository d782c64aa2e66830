//! The set-up that every scenario shares: memories, second process, cores, and the rounds.

use crate::arguments::Common;
use crate::failure::Failure;
use crate::link::Broken;
use crate::machine::{self, Environment};
use crate::peer::{Outcome, Peer, Task};
use crate::report::Report;
use crate::systems::{Ends, Memories, System, Turn};
use crate::traffic::Messages;

/// Both processes in place.
pub(crate) struct Stage {
    systems: Vec<System>,
    rounds: u32,
    cores: [usize; 2],
    ring_mib: u64,
    ends: Ends,
    peer: Peer,
    memories: Memories,
}

impl Stage {
    pub(crate) fn set(common: &Common) -> Result<Stage, Failure> {
        let cores = machine::two_cores(common.cores.as_deref())?;
        let memories = Memories::new(common.ring_mib << 20)?;
        let plan = memories.plan(cores[1]);
        let peer = Peer::start(&plan)?;
        machine::pin(cores[0])?;
        let ends = Ends::open(&plan, 0)?;
        let others = common.systems.iter().copied().filter(|system| *system != System::Limit);
        let systems = std::iter::once(System::Limit).chain(others).collect();
        Ok(Stage { systems, rounds: common.rounds, cores, ring_mib: common.ring_mib, ends, peer, memories })
    }

    pub(crate) fn report(&self, scenario: &'static str) -> Report {
        let environment = Environment::new(self.cores, self.ring_mib, self.memories.huge_pages);
        Report::new(scenario, self.rounds, environment)
    }

    /// The systems in turn, round by round, so that what disturbs the machine disturbs all of them.
    pub(crate) fn interleave<R>(
        &mut self,
        mut round: impl FnMut(&mut Stage, System) -> Result<R, Failure>,
    ) -> Result<Vec<(System, Vec<R>)>, Failure> {
        let systems = self.systems.clone();
        let mut results: Vec<_> = systems.iter().map(|system| (*system, Vec::new())).collect();
        for _ in 0..self.rounds {
            for (system, results) in &mut results {
                results.push(round(self, *system)?);
            }
        }
        Ok(results)
    }

    /// Both processes take their parts in one round.
    pub(crate) fn take<T: Turn>(&mut self, task: &Task, turn: T) -> Result<(T::Answer, Outcome), Failure> {
        let failed = |broken: Broken| broken.of(task.system.name());
        self.ends.catch_up(task.system).map_err(failed)?;
        self.peer.begin(task)?;
        let mine = self.ends.turn(task.system, turn);
        let others = self.peer.end(task)?;
        Ok((mine.map_err(failed)?, others.map_err(failed)?))
    }

    /// Whether everything arrived, once, in order, whole.
    pub(crate) fn check(&self, task: &Task, arrived: &Outcome) -> Result<(), Failure> {
        let expected = Messages::new(task.len_bytes).sum(0, task.messages);
        let Outcome { received, sum, out_of_order, .. } = *arrived;
        if (received, sum, out_of_order) == (task.messages, expected, None) {
            return Ok(());
        }
        let what = format!(
            "{received} messages of {} bytes with checksum {sum:016x} arrived, {} with {expected:016x} were sent, out of \
             order: {out_of_order:?}",
            task.len_bytes, task.messages
        );
        Err(Failure::Wrong { system: task.system.name().to_owned(), what })
    }
}
