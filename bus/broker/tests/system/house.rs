//! A broker under its keeper in a folder of its own, and children whose lines can be waited for. All end with the test.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use crate::peer::{Peer, until};

/// A process and what it says.
pub(crate) struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

/// A broker and its folders.
pub(crate) struct House {
    pub(crate) keeper: Process,
    pub(crate) catalog: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) data: tempfile::TempDir,
    /// Apart from the data, whose path may be too long for a socket.
    _run: tempfile::TempDir,
}

/// A catalog with a durable topic, one that is only written, one that is not recorded, and one that nobody may use.
const TOPICS: &str = r#"
[[topics]]
name = "md"
ring_mib = 2
publish = ["self"]

[[topics]]
name = "written"
ring_mib = 2
durability = "written"
publish = ["self"]

[[topics]]
name = "scratch"
ring_mib = 2
recorded = false
publish = ["self"]

[[topics]]
name = "closed"
ring_mib = 2
recorded = false
subscribe = []
"#;

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_oyez-broker-test"))
}

/// Copies the program, by another process: one that forks while this one has the copy open for writing keeps it so, and
/// what is open for writing cannot be run.
pub(crate) fn copy_program(to: &Path) {
    let copied = Command::new("cp").args([program(), to]).status().expect("cp is there");
    assert!(copied.success(), "{} is not copied", to.display());
}

impl Process {
    pub(crate) fn start(arguments: &[&str]) -> Process {
        Process::run(Command::new(program()).args(arguments))
    }

    pub(crate) fn run(command: &mut Command) -> Process {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a child");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("piped")), Box::new(child.stderr.take().expect("piped"))];
        for stream in streams {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    lines.lock().expect("lines").push(line);
                }
            });
        }
        Process { child, lines }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("lines").clone()
    }

    /// The first line that holds all parts.
    #[track_caller]
    pub(crate) fn line(&self, parts: &[&str]) -> String {
        let holds = |line: &&String| parts.iter().all(|part| line.contains(part));
        let deadline = std::time::Instant::now() + crate::peer::PATIENCE;
        loop {
            if let Some(line) = self.lines().iter().find(holds) {
                return line.clone();
            }
            assert!(std::time::Instant::now() < deadline, "no line with {parts:?} in {:#?}", self.lines());
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// How many lines hold the part.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(part)).count()
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().expect("piped"), "{line}").expect("a reader");
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    /// Asks it to stop, and waits.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        signal(self.child.id(), rustix::process::Signal::TERM);
        self.wait()
    }

    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        until("its end", || self.child.try_wait().expect("a child"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("process {}: {:#?}", self.child.id(), self.lines());
        }
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid as i32).expect("a process");
    rustix::process::kill_process(pid, signal).expect("signalled");
}

/// A folder on a real disk: `durable` is refused on tmpfs.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

impl House {
    /// Starts a broker and waits until it serves.
    pub(crate) fn new() -> House {
        House::with("segment_mib = 4\nstop_timeout_ms = 2000\n", TOPICS)
    }

    pub(crate) fn with(broker: &str, topics: &str) -> House {
        House::start(program(), broker, topics)
    }

    /// With a program of its own.
    pub(crate) fn run_by(program: &Path) -> House {
        House::start(program, "segment_mib = 4\n", TOPICS)
    }

    fn start(program: &Path, broker: &str, topics: &str) -> House {
        let (data, run) = (folder(), tempfile::tempdir().expect("a folder"));
        let (socket, catalog) = (run.path().join("bus.sock"), data.path().join("oyez.toml"));
        let head = format!("[broker]\nname = \"test\"\ndata = \"data\"\nsocket = {socket:?}\n{broker}\n{topics}");
        std::fs::write(&catalog, head).expect("a catalog");
        let keeper = Process::run(Command::new(program).arg("serve").arg(&catalog));
        let house = House { keeper, catalog, socket, data, _run: run };
        house.keeper.line(&["ready"]);
        house
    }

    pub(crate) fn peer(&self, name: &str) -> Peer {
        Peer::connect(&self.socket, name)
    }

    /// A child in a role that takes socket and topic.
    pub(crate) fn child(&self, role: &str, rest: &[&str]) -> Process {
        let mut arguments = vec![role, self.socket.to_str().expect("a path")];
        arguments.extend(rest);
        Process::start(&arguments)
    }

    /// Kills the broker, not the keeper.
    pub(crate) fn kill_broker(&self) {
        self.end_broker(rustix::process::Signal::KILL);
    }

    /// Ends the broker by this signal.
    pub(crate) fn end_broker(&self, by: rustix::process::Signal) {
        let pid = self.peer("killer").broker_pid;
        let lives = self.keeper.count("ready");
        signal(pid, by);
        until("the next broker", || (self.keeper.count("ready") > lives).then_some(()));
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // The keeper's broker hears of its end, but not before this process may have gone on.
        if let Some(peer) = Peer::try_connect(&self.socket, "end") {
            signal(self.keeper.id(), rustix::process::Signal::TERM);
            signal(peer.broker_pid, rustix::process::Signal::KILL);
        }
    }
}
