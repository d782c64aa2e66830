//! The second process: this program again. Tasks go to its standard input, answers come from its standard output, a
//! line of JSON each; between a task and its answer the two speak through the system under test alone.

use crate::failure::Failure;
use crate::link::Broken;
use crate::systems::{Ends, Plan, System};
use crate::{machine, pingpong, stream};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

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

/// The second process, as the first one sees it. It ends with this value.
pub(crate) struct Second {
    child: Child,
    tasks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Second {
    pub(crate) fn start(plan: &Plan) -> Result<Second, Failure> {
        let refused = Failure::refused::<std::io::Error>;
        let program = std::env::current_exe().map_err(refused("find this program"))?;
        let mut command = Command::new(program);
        command.arg("second").arg(line(plan)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(refused("start the second process"))?;
        let (tasks, answers) = (child.stdin.take(), child.stdout.take().expect("stdout is piped"));
        Ok(Second { child, tasks, answers: BufReader::new(answers) })
    }

    /// Gives a task, and waits until it is ready for it.
    pub(crate) fn begin(&mut self, task: &Task) -> Result<(), Failure> {
        let tasks = self.tasks.as_mut().expect("open until dropped");
        let sent = writeln!(tasks, "{}", line(task)).and_then(|()| tasks.flush());
        match sent.map(|()| self.answer()) {
            Ok(Some(Answer::Ready)) => Ok(()),
            _ => Err(gone(task, "did not take its part")),
        }
    }

    /// What became of the task.
    pub(crate) fn end(&mut self, task: &Task) -> Result<Result<Outcome, Broken>, Failure> {
        match self.answer() {
            Some(Answer::Done(outcome)) => Ok(Ok(outcome)),
            Some(Answer::Lapped) => Ok(Err(Broken::Lapped)),
            Some(Answer::Failed(what)) => Ok(Err(Broken::Failed(what))),
            Some(Answer::Ready) | None => Err(gone(task, "did not end its part")),
        }
    }

    fn answer(&mut self) -> Option<Answer> {
        let mut line = String::new();
        self.answers.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        // It ends when its input does; where it spins on a link that is dead, it is ended.
        drop(self.tasks.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn gone(task: &Task, what: &'static str) -> Failure {
    Failure::Second { system: task.system.name(), what }
}

fn line<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("plain data has a form in JSON")
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::refused("read a task")(std::io::Error::other(error)))
}

/// The second process, from the inside.
pub(crate) fn serve(plan: &str) -> Result<(), Failure> {
    let plan: Plan = parse(plan)?;
    let mut ends = Ends::open(&plan, 1)?;
    machine::pin(plan.core)?;
    for task in std::io::stdin().lines() {
        let task: Task = parse(&task.map_err(Failure::refused("read a task"))?)?;
        let answer = match take(&mut ends, &task) {
            Ok(outcome) => Answer::Done(outcome),
            Err(Broken::Lapped) => Answer::Lapped,
            Err(Broken::Failed(what)) => Answer::Failed(what),
        };
        say(&answer);
    }
    Ok(())
}

fn take(ends: &mut Ends, task: &Task) -> Result<Outcome, Broken> {
    ends.catch_up(task.system)?;
    say(&Answer::Ready);
    match task.part {
        Part::Answer => ends.turn(task.system, pingpong::Answering(*task)),
        Part::Read => ends.turn(task.system, stream::Reading(*task)),
    }
}

/// Tells the first process.
fn say(answer: &Answer) {
    println!("{}", line(answer));
}
