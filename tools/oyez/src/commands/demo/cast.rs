//! The parts of the demo, each a process of its own that runs this same program.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::report::Report;
use super::stage::Stage;
use crate::failure::Failure;

/// Who tells something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The publisher of that number: each one that is killed is followed by another.
    Publisher(usize),
    /// Counts from 0.
    Subscriber(usize),
    Lane,
    Echo,
}

/// The processes, and what they tell.
pub(super) struct Cast {
    players: Vec<Player>,
    sender: Sender<(Who, Report)>,
    reports: Receiver<(Who, Report)>,
}

struct Player {
    who: Who,
    child: Child,
    /// Was killed on purpose: it may go without a word.
    killed: bool,
}

impl Cast {
    pub(super) fn new() -> Cast {
        let (sender, reports) = channel();
        Cast { players: Vec::new(), sender, reports }
    }

    /// Starts a part.
    pub(super) fn enter(&mut self, stage: &Stage, who: Who, arguments: Vec<OsString>) -> Result<(), Failure> {
        let log = OpenOptions::new().append(true).create(true).open(stage.dir().join("parts.log"))?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("demo-part")
            .args(arguments)
            .arg("--socket")
            .arg(stage.socket())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .spawn()?;
        let said = child.stdout.take().map(BufReader::new);
        self.players.push(Player { who, child, killed: false });
        let sender = self.sender.clone();
        std::thread::spawn(move || {
            for line in said.into_iter().flat_map(|said| said.lines().map_while(Result::ok)) {
                let report = serde_json::from_str(&line);
                let report = report.unwrap_or_else(|error| Report::Failed { text: format!("said `{line}`: {error}") });
                let _ = sender.send((who, report));
            }
            let _ = sender.send((who, Report::Gone));
        });
        Ok(())
    }

    /// Tells a part something.
    pub(super) fn tell(&mut self, who: Who, line: impl std::fmt::Display) -> Result<(), Failure> {
        let stdin =
            self.players.iter_mut().find(|player| player.who == who).and_then(|player| player.child.stdin.as_mut());
        let stdin = stdin.ok_or_else(|| format!("demo: {who:?} is not on stage; please report it"))?;
        Ok(writeln!(stdin, "{line}")?)
    }

    /// Sends a part a signal.
    pub(super) fn signal(&mut self, who: Who, signal: Signal) -> Result<(), Failure> {
        for player in self.players.iter_mut().filter(|player| player.who == who) {
            player.killed |= signal == Signal::KILL;
            if let Some(pid) = Pid::from_raw(player.child.id() as i32) {
                kill_process(pid, signal)?;
            }
        }
        Ok(())
    }

    /// The next report, within the time.
    ///
    /// # Errors
    /// A part cannot go on, or is gone without having been killed or having ended.
    pub(super) fn next(&mut self, within: Duration) -> Result<Option<(Who, Report)>, Failure> {
        let Ok((who, report)) = self.reports.recv_timeout(within) else { return Ok(None) };
        match report {
            Report::Failed { text } => Err(format!("demo: {who:?}: {text}").into()),
            Report::Gone if self.players.iter().any(|player| player.who == who && !player.killed) => {
                Err(format!("demo: {who:?} is gone before its end; please report it").into())
            }
            Report::Published { .. } | Report::Heard(_) | Report::Carried { .. } => {
                self.players.iter_mut().filter(|player| player.who == who).for_each(|player| player.killed = true);
                Ok(Some((who, report)))
            }
            report => Ok(Some((who, report))),
        }
    }

    /// Reports until one is of use, within the time.
    ///
    /// # Errors
    /// As [`Cast::next`]; or the time is over.
    pub(super) fn wait_for<T>(
        &mut self,
        stage: &Stage,
        what: &str,
        within: Duration,
        mut take: impl FnMut(Who, Report) -> Option<T>,
    ) -> Result<T, Failure> {
        let deadline = Instant::now() + within;
        while Instant::now() < deadline {
            stage.check_interrupted()?;
            let next = self.next(Duration::from_millis(50))?;
            if let Some(taken) = next.and_then(|(who, report)| take(who, report)) {
                return Ok(taken);
            }
        }
        Err(format!("demo: {what} did not come within {} s; is the machine overloaded?", within.as_secs()).into())
    }
}

impl Drop for Cast {
    fn drop(&mut self) {
        for player in &mut self.players {
            // It may have ended by itself.
            let _ = player.child.kill();
            let _ = player.child.wait();
        }
    }
}
