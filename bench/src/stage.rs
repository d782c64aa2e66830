//! The set-up that every scenario shares: broker, memories, second process, cores, and the rounds.

use crate::arguments::Common;
use crate::failure::Failure;
use crate::house::House;
use crate::link::Broken;
use crate::machine::{self, Environment, OfScenario};
use crate::second::{Outcome, Second, Task};
use crate::systems::{Ends, Memories, Run, System, Turn};
use crate::traffic::Messages;

/// How often a round is begun again whose reader was lapped, as happens when somebody else takes its core.
const TRIES: u32 = 20;

/// Both processes in place, and a broker.
pub(crate) struct Stage {
    // It ends first: what its links need beside them lives in this process.
    second: Second,
    pub(crate) ends: Ends,
    memories: Memories,
    pub(crate) house: House,
    cores: [usize; 2],
}

impl Stage {
    /// # Errors
    /// [`Failure`]: too few cores, no memory, no broker.
    pub(crate) fn set(common: &Common, recorded: bool, peers: &[System]) -> Result<Stage, Failure> {
        let cores = machine::two_cores(common.cores.as_deref())?;
        let run = Run::new(cores, common.ring_mib, 1)?;
        let house = House::open(common.data.as_deref(), run.spare_core, common.ring_mib, recorded)?;
        let memories = Memories::new(run.ring_bytes)?;
        let plan = memories.plan(cores[1], house.socket(), recorded, peers.to_vec(), run);
        let second = Second::start(&plan)?;
        // Opened before this thread is pinned: the connection's own thread stays free to run anywhere.
        let ends = Ends::open(&plan, 0)?;
        machine::pin(cores[0])?;
        Ok(Stage { ends, second, memories, house, cores })
    }

    pub(crate) fn environment(&self, common: &Common) -> Environment {
        let memories = OfScenario::Memories { ring_mib: common.ring_mib, huge_pages: self.memories.huge_pages };
        Environment::new(self.cores.to_vec(), memories)
    }

    /// Both processes take their parts in one round; begun again where a reader was lapped.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) fn take<T: Turn>(
        &mut self,
        task: &Task,
        turn: impl Fn(Task) -> T,
    ) -> Result<(T::Answer, Outcome), Failure> {
        let system = task.system.name();
        for _ in 0..TRIES {
            self.ends.catch_up(task.system).map_err(|broken| broken.of(system))?;
            self.second.begin(task)?;
            let mine = self.ends.turn(task.system, turn(*task));
            let others = self.second.end(task)?;
            match (mine, others) {
                (Ok(mine), Ok(others)) => return Ok((mine, others)),
                (Err(Broken::Failed(what)), _) | (_, Err(Broken::Failed(what))) => {
                    return Err(Failure::System { system, what });
                }
                _ => {}
            }
        }
        Err(Failure::Lapped { system, tries: TRIES })
    }
}

/// The systems in turn, round by round, so that what disturbs the machine disturbs all of them.
///
/// # Errors
/// The first of `round`.
pub(crate) fn interleave<S: Copy, R>(
    systems: &[S],
    rounds: u32,
    mut round: impl FnMut(S) -> Result<R, Failure>,
) -> Result<Vec<(S, Vec<R>)>, Failure> {
    let mut results: Vec<_> = systems.iter().map(|system| (*system, Vec::new())).collect();
    for _ in 0..rounds {
        for (system, results) in &mut results {
            results.push(round(*system)?);
        }
    }
    Ok(results)
}

/// Whether everything arrived, once, in order, whole.
///
/// # Errors
/// [`Failure::Wrong`].
pub(crate) fn check(task: &Task, arrived: &Outcome) -> Result<(), Failure> {
    let expected = Messages::new(task.len_bytes).sum(0, task.messages);
    let Outcome { received, sum, out_of_order, .. } = *arrived;
    if (received, sum, out_of_order) == (task.messages, expected, None) {
        return Ok(());
    }
    let what = format!(
        "{received} messages of {} bytes with checksum {sum:016x} arrived, {} with {expected:016x} were sent, first out \
         of order: {out_of_order:?}",
        task.len_bytes, task.messages
    );
    Err(Failure::Wrong { system: task.system.name(), what })
}
