//! The second process: this program again. Between a task and its answer the two speak through the system under test
//! alone.

use crate::child::{self, Child};
use crate::failure::Failure;
use crate::link::Broken;
use crate::systems::{Ends, Plan, System};
use crate::{machine, pingpong, stream};
use serde::{Deserialize, Serialize};

/// What the second process is to do.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) system: System,
    pub(crate) part: Part,
    pub(crate) len_bytes: usize,
    pub(crate) messages: u64,
}

/// Its part in a scenario.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Part {
    /// Answers each message with one as long.
    Answer,
    /// Reads as fast as it can.
    Read,
}

/// What it says.
#[derive(Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It has read all that was there, and waits for the first message.
    Ready,
    /// It has done its part.
    Done(Outcome),
    /// It was lapped.
    Lapped,
    /// The system failed.
    Failed(String),
}

/// What arrived.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) received: u64,
    pub(crate) sum: u64,
    pub(crate) out_of_order: Option<u64>,
    /// When the last message was taken, ns since 1970 UTC.
    pub(crate) end_ns: u64,
}

/// The second process, as the first one sees it.
pub(crate) struct Second(Child);

impl Second {
    /// # Errors
    /// [`Failure::Refused`].
    pub(crate) fn start(plan: &Plan) -> Result<Second, Failure> {
        Ok(Second(Child::start("second", plan)?))
    }

    /// Gives a task, and waits until it is ready for it.
    pub(crate) fn begin(&mut self, task: &Task) -> Result<(), Failure> {
        match self.0.ask(task).and_then(|()| self.0.answer()) {
            Some(Answer::Ready) => Ok(()),
            _ => Err(gone(task, "did not take its part")),
        }
    }

    /// What became of the task.
    pub(crate) fn end(&mut self, task: &Task) -> Result<Result<Outcome, Broken>, Failure> {
        match self.0.answer() {
            Some(Answer::Done(outcome)) => Ok(Ok(outcome)),
            Some(Answer::Lapped) => Ok(Err(Broken::Lapped)),
            Some(Answer::Failed(what)) => Ok(Err(Broken::Failed(what))),
            Some(Answer::Ready) | None => Err(gone(task, "did not end its part")),
        }
    }
}

fn gone(task: &Task, what: &'static str) -> Failure {
    Failure::Second { system: task.system.name(), what }
}

/// The second process, from the inside.
pub(crate) fn serve(plan: &str) -> Result<(), Failure> {
    let plan: Plan = child::parse(plan)?;
    let mut ends = Ends::open(&plan, 1)?;
    machine::pin(plan.core)?;
    for task in child::questions() {
        child::say(&match take(&mut ends, &task?) {
            Ok(outcome) => Answer::Done(outcome),
            Err(Broken::Lapped) => Answer::Lapped,
            Err(Broken::Failed(what)) => Answer::Failed(what),
        });
    }
    Ok(())
}

fn take(ends: &mut Ends, task: &Task) -> Result<Outcome, Broken> {
    ends.catch_up(task.system)?;
    child::say(&Answer::Ready);
    match task.part {
        Part::Answer => ends.turn(task.system, pingpong::Answering(*task)),
        Part::Read => ends.turn(task.system, stream::Reading(*task)),
    }
}
