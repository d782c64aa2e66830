//! A broker in a folder of its own, and the command at it.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Topics: `md` takes the sample's messages, `orders` only its order updates, `bare` anything, and has a standby.
const CATALOG: &str = r#"[broker]
name = "test"
data = "data"
socket = "bus.sock"
segment_mib = 4

[schemas.sample]
file = "sample.xml"

[[topics]]
name = "md"
schema = "sample"
ring_mib = 2
publish = ["self"]

[[topics]]
name = "orders"
schema = "sample"
templates = ["OrderUpdate"]
ring_mib = 2
publish = ["self"]

[[topics]]
name = "bare"
ring_mib = 2
standbys = 1
takeover = "kill"
publish = ["self"]

[[topics]]
name = "many"
ring_mib = 2
publishers = "many"
publish = ["self"]
[topics.origins]
gateway-a = 7
"#;

/// A folder on a disk, with a catalog.
pub(crate) struct House {
    pub(crate) dir: TempDir,
}

/// A running broker; it is stopped when it is dropped.
pub(crate) struct Broker {
    keeper: Child,
}

impl House {
    pub(crate) fn new() -> House {
        let dir = tempfile::Builder::new().prefix("oyez-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        fs::write(dir.path().join("oyez.toml"), CATALOG).expect("the catalog");
        fs::write(dir.path().join("sample.xml"), oyez_sample::SCHEMA_XML).expect("the schema");
        House { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn serve(&self) -> Broker {
        self.serve_into(Stdio::null())
    }

    /// The same, with a place for the log.
    pub(crate) fn serve_into(&self, log: impl Into<Stdio>) -> Broker {
        self.start(&mut self.command(&["serve", "--catalog", "oyez.toml"]), log)
    }

    /// Starts a broker by this command.
    pub(crate) fn start(&self, command: &mut Command, log: impl Into<Stdio>) -> Broker {
        let mut keeper = command.stdout(Stdio::piped()).stderr(log).spawn().expect("the broker starts");
        let mut said = String::new();
        BufReader::new(keeper.stdout.take().expect("a pipe")).read_line(&mut said).expect("it speaks");
        assert!(said.starts_with("ready "), "the broker said: {said}");
        Broker { keeper }
    }

    /// The command, to be run in the folder; relative, since a socket's path must be short.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oyez"));
        command.args(arguments).current_dir(self.path()).env("OYEZ_SOCKET", "bus.sock").stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the command runs")
    }

    /// Runs the command with this on stdin.
    pub(crate) fn feed(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        // A command that refuses its input need not read all of it.
        let _ = child.stdin.take().expect("a pipe").write_all(input);
        child.wait_with_output().expect("it ends")
    }
}

impl Broker {
    /// Kills the broker, not its keeper, which starts another; waits until that serves.
    pub(crate) fn restart(&mut self, house: &House) {
        let before = self.pid();
        kill_process(before, Signal::KILL).expect("killed");
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.pid() == before || !house.run(&["topic", "list"]).status.success() {
            assert!(Instant::now() < deadline, "no other broker serves");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The keeper's child; its own, while there is none.
    fn pid(&self) -> Pid {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.keeper.id())).expect("it runs").flatten();
        let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let child = children.collect::<String>().split_whitespace().next().and_then(|pid| pid.parse().ok());
        child.and_then(Pid::from_raw).unwrap_or(Pid::from_child(&self.keeper))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.keeper.id() as i32) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.keeper.wait();
    }
}

/// Checks that a command was refused in one line with these parts, and printed nothing else.
#[track_caller]
pub(crate) fn refused(output: &Output, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(said.lines().count(), 1, "one line: {said}");
    assert!(said.starts_with("oyez: ") && output.stdout.is_empty(), "{output:?}");
    for part in parts {
        assert!(said.contains(part), "`{part}` is not in: {said}");
    }
}

/// The stdout of a command that succeeded.
#[track_caller]
pub(crate) fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// The stdout of a command that succeeded, as JSON, one value a line.
#[track_caller]
pub(crate) fn json(output: &Output) -> Vec<serde_json::Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// The first messages of the sample session.
pub(crate) fn sample(messages: usize) -> Vec<Vec<u8>> {
    let mut session = oyez_sample::Session::new(1);
    (0..messages).map(|_| session.next(&mut [0; oyez_sample::MESSAGE_BYTES_MAX]).to_vec()).collect()
}

/// One message a line.
pub(crate) fn hex_lines<M: AsRef<[u8]>>(messages: impl IntoIterator<Item = M>) -> String {
    let hex = |message: M| message.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n";
    messages.into_iter().map(hex).collect()
}
