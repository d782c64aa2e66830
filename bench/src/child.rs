//! This program run again as another process. Questions go to its standard input, answers come from its standard
//! output, a line of JSON each.

use crate::failure::Failure;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to end by itself.
const END_MAX: Duration = Duration::from_secs(5);

/// The other process. It ends with this value.
pub(crate) struct Child {
    process: std::process::Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Child {
    /// Runs the subcommand `part` with its plan.
    ///
    /// # Errors
    /// [`Failure::Refused`].
    pub(crate) fn start(part: &str, plan: &impl Serialize) -> Result<Child, Failure> {
        let refused = Failure::refused::<std::io::Error>;
        let program = std::env::current_exe().map_err(refused("find this program"))?;
        let mut command = Command::new(program);
        command.arg(part).arg(line(plan)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(refused("start another process"))?;
        let (questions, answers) = (process.stdin.take(), process.stdout.take().expect("stdout is piped"));
        Ok(Child { process, questions, answers: BufReader::new(answers) })
    }

    /// Asks; `None` where it is gone.
    pub(crate) fn ask(&mut self, question: &impl Serialize) -> Option<()> {
        let questions = self.questions.as_mut().expect("open until dropped");
        writeln!(questions, "{}", line(question)).ok()
    }

    /// Its next answer; `None` where it is gone.
    pub(crate) fn answer<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It ends when its input does, and takes away what it made; where it spins on a link that is dead, it is ended.
        drop(self.questions.take());
        let deadline = Instant::now() + END_MAX;
        while Instant::now() < deadline && matches!(self.process.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data has a form in JSON")
}

/// In the other process: what it was started with, or asked.
///
/// # Errors
/// [`Failure::Refused`].
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::refused("read a task")(std::io::Error::other(error)))
}

/// In the other process: the questions, until there are no more.
pub(crate) fn questions<T: DeserializeOwned>() -> impl Iterator<Item = Result<T, Failure>> {
    std::io::stdin().lines().map(|line| parse(&line.map_err(Failure::refused("read a task"))?))
}

/// In the other process: tells the first one.
pub(crate) fn say(answer: &impl Serialize) {
    println!("{}", line(answer));
}
