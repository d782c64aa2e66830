//! Running other programs so that nothing of them outlives the chore.

use crate::failure::{Failure, Result};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, PipeReader, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How a child came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    Succeeded,
    Failed(String),
}

/// How long a process may hold on to the output of the child that left it behind.
const LEFT_BEHIND_S: u32 = 5;

/// A command for `program`, ended with everything it started when `limit_s` is over or when this process dies.
///
/// It stands in a process group of its own (`timeout`), which the kernel signals through `timeout` at our death.
/// Call and spawn from the main thread: the kernel watches the thread that spawned, not the process.
pub(crate) fn bounded(limit_s: u32, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "timeout", "--kill-after=10", &limit_s.to_string()]).arg(program);
    command
}

/// Runs the command without input and hands each line it prints, on either stream, to `each`, in order.
///
/// A process that the command leaves running with our pipe in its hands is a failure, not a hang.
pub(crate) fn run(mut command: Command, mut each: impl FnMut(&str)) -> Result<End> {
    let name = format!("{command:?}");
    let (reader, writer) = std::io::pipe().map_err(Failure::at("pipe"))?;
    let second = writer.try_clone().map_err(Failure::at("pipe"))?;
    let spawned = command.stdin(Stdio::null()).stdout(writer).stderr(second).spawn();
    drop(command); // It holds our ends of the pipe, without whose closing there is no end of file.
    let mut child = spawned.map_err(Failure::at(name))?;

    let lines = lines(reader);
    let mut silent_s = 0;
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => each(&line),
            Err(RecvTimeoutError::Disconnected) => return child.wait().map(end).map_err(Failure::at("wait")),
            Err(RecvTimeoutError::Timeout) => {
                if child.try_wait().map_err(Failure::at("wait"))?.is_some() {
                    silent_s += 1;
                }
                if silent_s > LEFT_BEHIND_S {
                    return Ok(End::Failed("it ended, but a process that it started is still running".into()));
                }
            }
        }
    }
}

/// As [`run`], with each line passed on to standard output.
pub(crate) fn show(command: Command, mut each: impl FnMut(&str)) -> Result<End> {
    let mut out = std::io::stdout();
    run(command, |line| {
        // A reader that went away (`| head`) is no reason to stop the work.
        let _ = writeln!(out, "{line}");
        each(line);
    })
}

/// Runs a short command and returns what it printed if it failed.
pub(crate) fn quiet(command: Command) -> Result<()> {
    let mut printed = String::new();
    let name = format!("{command:?}");
    match run(command, |line| printed = format!("{printed}\n  {line}"))? {
        End::Succeeded => Ok(()),
        End::Failed(reason) => Err(Failure(format!("{name}: {reason}{printed}"))),
    }
}

fn lines(reader: PipeReader) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(reader).split(b'\n') {
            let Ok(line) = line else { return };
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn end(status: ExitStatus) -> End {
    match status.code() {
        Some(0) => End::Succeeded,
        Some(124 | 137) => End::Failed("it took too long and was ended".into()),
        _ => End::Failed(status.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = bounded(60, "sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_come_in_order() {
        let mut seen = Vec::new();
        let end = run(shell("echo a; echo b >&2; echo c"), |line| seen.push(line.to_owned())).unwrap();
        assert_eq!((end, seen.join(" ").as_str()), (End::Succeeded, "a b c"));
    }

    #[test]
    fn a_bad_exit_is_told() {
        assert_eq!(run(shell("exit 3"), |_| ()).unwrap(), End::Failed("exit status: 3".into()));
    }

    #[test]
    fn too_long_is_told_and_ended_with_its_children() {
        let mut command = bounded(1, "sh");
        command.args(["-c", "sleep 600 & wait"]);
        assert_eq!(run(command, |_| ()).unwrap(), End::Failed("it took too long and was ended".into()));
    }

    #[test]
    fn a_child_left_behind_is_told() {
        let mut pid = String::new();
        let end = run(shell("sleep 600 & echo $!"), |line| pid = line.to_owned()).unwrap();
        Command::new("kill").arg(pid).status().unwrap();
        assert!(matches!(end, End::Failed(reason) if reason.contains("still running")));
    }
}
