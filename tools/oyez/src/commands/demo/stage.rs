//! Where the demo plays: a folder of its own, and a broker in it. Nothing of it is left when it goes.

use std::fs::{self, DirBuilder, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use indicatif::BinaryBytes;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::failure::Failure;

/// The recorded topic.
pub(super) const TOPIC: &str = "md.equities";
/// The unrecorded topics of the hop, one for each way.
pub(super) const THERE: &str = "hop.there";
pub(super) const BACK: &str = "hop.back";

/// How long the broker may take to start, and to stop.
const BROKER_MAX: Duration = Duration::from_secs(20);
/// Room on disk beside what the messages take: segments made ahead, and the broker's own files.
const SPARE_BYTES: u64 = 512 << 20;

/// A folder with a catalog and a running broker.
pub(super) struct Stage {
    dir: PathBuf,
    keeper: Option<Child>,
    /// One item whenever a broker says that it is ready.
    ready: Receiver<Instant>,
    interrupted: Arc<AtomicBool>,
}

impl Stage {
    /// Finds a folder with room for so many bytes of data and starts a broker in it.
    pub(super) fn set(bytes: u64) -> Result<Stage, Failure> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
        }
        let (sender, ready) = channel();
        // From here on a failure leaves nothing behind either.
        let mut stage = Stage { dir: find_dir(bytes + SPARE_BYTES)?, keeper: None, ready, interrupted };
        fs::write(stage.dir.join("sample.xml"), oyez_sample::SCHEMA_XML)?;
        fs::write(stage.dir.join("catalog.toml"), catalog())?;
        let mut keeper = Command::new(std::env::current_exe()?)
            .args(["serve", "--catalog"])
            .arg(stage.dir.join("catalog.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(stage.log())?)
            // Ctrl-C is for us to hear: we end the others in order.
            .process_group(0)
            .spawn()?;
        let said = BufReader::new(keeper.stdout.take().ok_or("no pipe from the broker; please report it")?);
        std::thread::spawn(move || {
            for _ in said.lines().map_while(Result::ok).filter(|line| line.starts_with("ready ")) {
                let _ = sender.send(Instant::now());
            }
        });
        stage.keeper = Some(keeper);
        stage.broker_ready()?;
        Ok(stage)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.join("bus.sock")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The journal of [`TOPIC`].
    pub(super) fn journal(&self) -> PathBuf {
        self.data().join(TOPIC).join("0")
    }

    /// The lane's loopback target.
    pub(super) fn target(&self) -> PathBuf {
        self.dir.join("lane.loopback")
    }

    /// Where the broker's log goes.
    fn log(&self) -> PathBuf {
        self.dir.join("broker.log")
    }

    /// The keeper's process.
    pub(super) fn keeper(&self) -> u32 {
        self.keeper.as_ref().map_or(0, Child::id)
    }

    /// Whether somebody wants the demo to end.
    pub(super) fn check_interrupted(&self) -> Result<(), Failure> {
        match self.interrupted.load(Ordering::Relaxed) {
            true => Err("demo: interrupted; its processes are ended and its folder is removed".into()),
            false => Ok(()),
        }
    }

    /// When a broker has become ready since this was asked last.
    pub(super) fn broker_came(&self) -> Option<Instant> {
        self.ready.try_recv().ok()
    }

    fn broker_ready(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + BROKER_MAX;
        while self.ready.recv_timeout(Duration::from_millis(50)).is_err() {
            self.check_interrupted()?;
            let ended = self.keeper.as_mut().map(Child::try_wait).transpose()?.flatten();
            if ended.is_some() || Instant::now() >= deadline {
                let log = fs::read_to_string(self.log()).unwrap_or_default();
                return Err(format!(
                    "demo: the broker did not start: {}",
                    log.lines().last().unwrap_or("it said nothing")
                )
                .into());
            }
        }
        Ok(())
    }

    /// Kills the broker, not its keeper, with a signal that cannot be caught.
    pub(super) fn kill_broker(&self) -> Result<(), Failure> {
        let broker = child_of(self.keeper()).ok_or("demo: no broker to kill; is /proc mounted?")?;
        Ok(kill_process(broker, Signal::KILL)?)
    }

    /// Leaves broker and folder as they are.
    pub(super) fn leave(mut self) {
        self.keeper = None;
        self.dir = PathBuf::new();
    }

    /// Stops the broker in order.
    fn stop(&mut self) -> Result<(), Failure> {
        let Some(mut keeper) = self.keeper.take() else { return Ok(()) };
        if let Some(pid) = Pid::from_raw(keeper.id() as i32) {
            kill_process(pid, Signal::TERM)?;
        }
        let deadline = Instant::now() + BROKER_MAX;
        while keeper.try_wait()?.is_none() {
            if Instant::now() >= deadline {
                // The broker follows its keeper.
                keeper.kill()?;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // There is nobody left to tell, and nothing more that could be done.
        let _ = self.stop();
        if !self.dir.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// A new folder where files outlive a power cut and `bytes` fit.
fn find_dir(bytes: u64) -> Result<PathBuf, Failure> {
    let wanted = std::env::var_os("TMPDIR").map(PathBuf::from);
    let candidates = wanted.into_iter().chain([PathBuf::from("/var/tmp"), std::env::current_dir()?]);
    let mut refused = Vec::new();
    for parent in candidates {
        match make_dir(&parent, bytes) {
            Ok(dir) => return Ok(dir),
            Err(failure) => refused.push(format!("{}: {failure}", parent.display())),
        }
    }
    let (room, refused) = (BinaryBytes(bytes), refused.join("; "));
    Err(format!("demo: no folder for its data ({refused}); set TMPDIR to one on a disk with {room} free").into())
}

fn make_dir(parent: &Path, bytes: u64) -> Result<PathBuf, Failure> {
    let free = rustix::fs::statvfs(parent)?;
    let free_bytes = free.f_bavail.saturating_mul(free.f_frsize);
    if free_bytes < bytes {
        return Err(format!("only {} free", BinaryBytes(free_bytes)).into());
    }
    if !oyez_io::file::outlives_power(parent)? {
        return Err("kept in memory, where nothing is durable".into());
    }
    let dir = parent.join(format!("oyez-demo-{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&dir)?;
    Ok(dir)
}

fn catalog() -> String {
    // The last one: the hop spins on the first two.
    let allowed = rustix::thread::sched_getaffinity(None).unwrap_or_default();
    let core = (0..rustix::thread::CpuSet::MAX_CPU).rev().find(|&processor| allowed.is_set(processor)).unwrap_or(0);
    format!(
        r#"# The catalog of `oyez demo`.
[broker]
name = "demo"
data = "data"
socket = "bus.sock"
cores = [{core}]
segment_mib = 64

[schemas.sample]
file = "sample.xml"

[[topics]]
name = "{TOPIC}"
schema = "sample"
ring_mib = 64
durability = "durable"
publish = ["self"]
subscribe = ["self"]

[[topics]]
name = "{THERE}"
ring_mib = 2
recorded = false
publish = ["self"]

[[topics]]
name = "{BACK}"
ring_mib = 2
recorded = false
publish = ["self"]
"#
    )
}

/// Some child of a process.
fn child_of(parent: u32) -> Option<Pid> {
    let processes = fs::read_dir("/proc").ok()?;
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let parent_of = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in brackets, may hold anything; behind it: state, parent.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    pids.into_iter().find(|&pid| parent_of(pid) == Some(parent)).and_then(Pid::from_raw)
}
