//! A broker under its keeper, in a folder of its own. All of it ends with the test.

use crate::keeper::keeper;
use oyez::{Bus, Connect};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long anything may take on a machine that has much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct House {
    keeper: Child,
    lines: Arc<Mutex<Vec<String>>>,
    folder: tempfile::TempDir,
    _run: tempfile::TempDir,
    socket: PathBuf,
}

impl House {
    /// With these topics, in TOML.
    pub(crate) fn new(topics: &str) -> House {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on a disk");
        // Apart from the data, whose path may be too long for a socket.
        let run = tempfile::tempdir().expect("a folder");
        let socket = run.path().join("bus.sock");
        std::fs::write(folder.path().join("schema.xml"), SCHEMA).expect("a schema");
        let newer = SCHEMA.replace("version=\"0\"", "version=\"1\"").replace("\"Two\" id=\"2\"", "\"Three\" id=\"3\"");
        std::fs::write(folder.path().join("newer.xml"), newer).expect("a schema");
        declare(folder.path(), &socket, topics);
        let (keeper, lines) = start(folder.path().join("oyez.toml"));
        let house = House { keeper, lines, folder, _run: run, socket };
        house.await_ready(1);
        house
    }

    /// Makes the slot of a block in the first segment of `md` illegible.
    pub(crate) fn damage_slot(&self, block: u64) {
        let path = self.folder.path().join("data/md/0/00000000000000000000.segment");
        let file = File::options().write(true).open(path).expect("a segment");
        // Data, header, three places of the open block's slot: docs/formats/segment.md.
        file.write_all_at(&[0xa5], (4 << 20) + 4 * 4096 + block * 64 + 5).expect("written");
    }

    /// Waits until the journal itself knows that it is durable up to there: what is damaged below is no torn tail.
    pub(crate) fn await_noted(&self, topic: &str, position: oyez::Position) {
        let folder = self.folder.path().join("data").join(topic).join("0");
        until("the note of what is durable", || {
            oyez_journal::Folder::open(&folder).is_ok_and(|journal| journal.durable() >= position).then_some(())
        });
    }

    /// Changes a byte of the first segment of a topic.
    pub(crate) fn damage(&self, topic: &str, position: u64) {
        let path = self.folder.path().join(format!("data/{topic}/0/00000000000000000000.segment"));
        let file = File::options().read(true).write(true).open(path).expect("a segment");
        let mut byte = [0];
        file.read_exact_at(&mut byte, position).expect("read");
        file.write_all_at(&[!byte[0]], position).expect("written");
    }

    pub(crate) fn bus(&self) -> Bus {
        Bus::connect(Connect::new(&self.socket).name("client-test").timeout(PATIENCE)).expect("a broker that serves")
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Writes another catalog, for the broker's next life.
    pub(crate) fn declare(&self, topics: &str) {
        declare(self.folder.path(), &self.socket, topics);
    }

    /// Kills the broker, not the keeper, which starts another.
    pub(crate) fn kill_broker(&self) {
        let lives = self.lives();
        kill(self.broker_pid());
        self.await_ready(lives + 1);
    }

    /// Freezes the broker, until what this returns is dropped.
    pub(crate) fn stop_broker(&self) -> Stopped {
        let broker = self.broker_pid();
        kill_process(broker, Signal::STOP).expect("told");
        // A thread on another processor goes on for a moment.
        until("the broker to stand still", || is_stopped(broker).then_some(()));
        Stopped(broker)
    }

    /// Kills the broker, and does something before there is another.
    pub(crate) fn while_away(&self, act: impl FnOnce()) {
        let (lives, keeper) = (self.lives(), Pid::from_raw(self.keeper.id() as i32).expect("a process"));
        kill_process(keeper, Signal::STOP).expect("stopped");
        kill(self.broker_pid());
        act();
        kill_process(keeper, Signal::CONT).expect("it goes on");
        self.await_ready(lives + 1);
    }

    /// Stops keeper and broker in order; the exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        kill_process(Pid::from_raw(self.keeper.id() as i32).expect("a process"), Signal::TERM).expect("told");
        self.keeper.wait().expect("reaped").code()
    }

    /// Kills both, and with them the rings' descriptors; the folder stays.
    pub(crate) fn kill_all(&mut self) {
        let (broker, keeper) = (self.broker_pid(), Pid::from_raw(self.keeper.id() as i32).expect("a process"));
        // Stopped, so that it starts no other; after its end the broker would stop of its own accord.
        kill_process(keeper, Signal::STOP).expect("stopped");
        kill(broker);
        self.keeper.kill().expect("killed");
        self.keeper.wait().expect("reaped");
        until("the broker's end", || (!alive(broker)).then_some(()));
    }

    pub(crate) fn start_again(&mut self) {
        (self.keeper, self.lines) = start(self.folder.path().join("oyez.toml"));
        self.await_ready(1);
    }

    /// Whether keeper or broker has said so.
    pub(crate) fn said(&self, part: &str) -> bool {
        self.lines.lock().expect("lines").iter().any(|line| line.contains(part))
    }

    fn lives(&self) -> usize {
        self.lines.lock().expect("lines").iter().filter(|line| line.contains("ready ")).count()
    }

    fn await_ready(&self, lives: usize) {
        until(&format!("life {lives} of the broker"), || (self.lives() >= lives).then_some(()));
    }

    /// The keeper has one child.
    fn broker_pid(&self) -> Pid {
        let children = format!("/proc/{0}/task/{0}/children", self.keeper.id());
        let threads = || std::fs::read_dir(format!("/proc/{}/task", self.keeper.id())).into_iter().flatten().flatten();
        let of_threads = threads().filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
        let all: String = of_threads.collect();
        let pid = all.split_whitespace().next().unwrap_or_else(|| panic!("no child in {children}"));
        Pid::from_raw(pid.parse().expect("a number")).expect("a process")
    }
}

/// Whether all its threads are stopped: the letter behind the name, which is in brackets.
fn is_stopped(pid: Pid) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).into_iter().flatten().flatten();
    let stats: Vec<_> = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok()).collect();
    !stats.is_empty() && stats.iter().all(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
}

/// A process that goes on with the end of this.
pub(crate) struct Stopped(Pid);

impl Drop for Stopped {
    fn drop(&mut self) {
        // Where it is gone, so is the test's reason to go on.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the broker said: {:#?}", self.lines.lock());
        }
        if let Some(keeper) = Pid::from_raw(self.keeper.id() as i32) {
            // It may be gone already: then there is nobody to tell.
            let _ = kill_process(keeper, Signal::TERM);
        }
        let _ = self.keeper.wait();
    }
}

fn declare(folder: &Path, socket: &Path, topics: &str) {
    let broker = format!("[broker]\nname = \"test\"\ndata = \"data\"\nsocket = {socket:?}\nsegment_mib = 4\n");
    std::fs::write(folder.join("oyez.toml"), broker + topics).expect("a catalog");
}

fn start(catalog: PathBuf) -> (Child, Arc<Mutex<Vec<String>>>) {
    let mut keeper = keeper(&catalog).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a keeper");
    let lines = Arc::new(Mutex::new(Vec::new()));
    let (out, err) = (keeper.stdout.take().expect("piped"), keeper.stderr.take().expect("piped"));
    collect(out, &lines);
    collect(err, &lines);
    (keeper, lines)
}

fn collect(stream: impl std::io::Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        let read = BufReader::new(stream).lines().map_while(Result::ok);
        read.for_each(|line| lines.lock().expect("lines").push(line));
    });
}

fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).expect("killed");
}

fn alive(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

/// Waits for something, with a deadline.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Version 0; version 1 has `Three` in the place of `Two`.
const SCHEMA: &str = include_str!("../support/schema.xml");
