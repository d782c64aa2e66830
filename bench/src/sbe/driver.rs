//! A program that takes tasks and answers with figures: a line each. And ours among them.

use crate::failure::Failure;
use crate::tool;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A program that runs. It ends with this value.
pub(super) struct Driver {
    name: &'static str,
    child: Child,
    tasks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What it found.
pub(super) struct Answer {
    pub(super) spent_ns: f64,
    /// Of all fields, and of the bytes of the last message.
    pub(super) sum: u64,
    pub(super) allocations: u64,
    /// The last message, where it was printed.
    pub(super) json: Option<String>,
}

impl Driver {
    /// # Errors
    /// [`Failure::Tool`].
    pub(super) fn start(name: &'static str, command: &mut Command) -> Result<Driver, Failure> {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.map_err(|error| tool::failed("start what is measured", command, &error))?;
        let (tasks, answers) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        Ok(Driver { name, child, tasks, answers: BufReader::new(answers) })
    }

    /// Does something with a message, `count` times.
    ///
    /// # Errors
    /// [`Failure::Second`].
    pub(super) fn ask(&mut self, message: &str, task: &str, count: u64) -> Result<Answer, Failure> {
        let mut answer = String::new();
        let asked = writeln!(self.tasks, "{message} {task} {count}");
        let answered = asked.and_then(|()| self.answers.read_line(&mut answer));
        let failure = Failure::Second { system: self.name, what: "did not answer" };
        answered.ok().and_then(|_| Answer::parse(answer.trim_end())).ok_or(failure)
    }
}

impl Answer {
    fn parse(line: &str) -> Option<Answer> {
        let mut parts = line.splitn(4, ' ');
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (spent_ns, sum, allocations) = (number()? as f64, number()?, number()?);
        Some(Answer { spent_ns, sum, allocations, json: parts.next().map(str::to_owned) })
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Between tasks it has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Compiles the Rust side for this machine, beside where this program was compiled.
///
/// # Errors
/// [`Failure::Tool`].
pub(super) fn build_rust() -> Result<PathBuf, Failure> {
    let target = tool::target()?.join("native");
    let mut cargo = tool::cargo_build(&target);
    cargo.args(["--package", "oyez-bench-sbe"]);
    cargo.env("RUSTFLAGS", "-C target-cpu=native").env_remove("CARGO_ENCODED_RUSTFLAGS");
    tool::run("compile the Rust side", &mut cargo)?;
    Ok(target.join("release/oyez-bench-sbe"))
}

/// The versions of all compilers that are here.
pub(super) fn versions() -> Vec<String> {
    ["rustc", "g++", "java"].into_iter().filter_map(tool::version).collect()
}
