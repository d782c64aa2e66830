//! A broker with its keeper, publishers and a subscriber, all to be killed.

use crate::content::Mix;
use crate::ledger::Ledger;
use crate::processes::CATALOG;
use crate::witness::Testimony;
use crate::{Verdict, publisher};
use oyez::{Bus, Connect, EventKind, Idle, Start};
use oyez_journal::Folder;
use oyez_ring::layout::EpochOpening;
use oyez_ring::{Epoch, Kind, Position};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

pub(crate) const TOPIC: &str = "killed";
const PROGRAM: &str = "program";
const PUBLISHER: &str = "OYEZ_TEST_PUBLISHER";
const STANDS_BY: &str = "OYEZ_TEST_STANDS_BY";
const IDLES: &str = "OYEZ_TEST_IDLES";
/// How far behind the recorder may be when its broker is ended.
const CLOSE_BYTES: u64 = 16 << 20;
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn wall_ns() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64
}

pub(crate) fn again(test: &str) -> Command {
    run(&std::env::current_exe().unwrap(), test)
}

/// Copies a program, by another process: one that forks while this one has the copy open for writing keeps it so, and what
/// is open for writing cannot be run.
fn copy(program: &Path, to: &Path) {
    assert!(Command::new("cp").args([program, to]).status().unwrap().success(), "{} is not copied", to.display());
}

fn run(program: &Path, test: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["--exact", test, "--nocapture"]);
    command
}

pub(crate) fn publisher_process() {
    let Ok(task) = std::env::var(PUBLISHER) else { return };
    let [folder, rate, mix] = task.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{task}: no task") };
    let (folder, mix) = (Path::new(folder), if mix == "Large" { Mix::Large } else { Mix::Small });
    let [stands_by, idles] = [STANDS_BY, IDLES].map(|name| std::env::var_os(name).is_some());
    publisher::run(&folder.join("bus.sock"), folder, rate.parse().unwrap(), mix, stands_by, idles);
}

/// Who dies.
#[derive(Clone, Copy)]
pub(crate) enum Victim {
    Broker,
    Both(Owner),
}

/// The publisher that owns the partition.
#[derive(Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) epoch: u32,
    pid: u32,
}

impl Owner {
    pub(crate) fn kill(self) {
        signal(self.pid, Signal::KILL);
    }

    pub(crate) fn stop(self) {
        signal(self.pid, Signal::STOP);
    }

    pub(crate) fn go_on(self) {
        signal(self.pid, Signal::CONT);
    }
}

pub(crate) struct Stage {
    folder: tempfile::TempDir,
    keeper: Child,
    ready: mpsc::Receiver<Instant>,
    publishers: Vec<Child>,
    messages_per_s: u64,
    mix: Mix,
    /// What the publishers' environment says of them, beside their task.
    manners: &'static [&'static str],
    reader: Option<JoinHandle<(Ledger, Duration)>>,
    read: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Stage {
    /// Publishers that ask again and again for the partition that one of them has.
    pub(crate) fn new(ring_mib: u64, messages_per_s: u64, mix: Mix, publishers: usize) -> Stage {
        Stage::with(ring_mib, messages_per_s, mix, publishers, &[])
    }

    /// An owner and a standby, which may have it killed.
    pub(crate) fn with_standby(ring_mib: u64, messages_per_s: u64) -> Stage {
        Stage::with(ring_mib, messages_per_s, Mix::Small, 2, &[STANDS_BY])
    }

    /// An owner that is idle now and then, and one that asks again and again.
    pub(crate) fn with_idling(ring_mib: u64, messages_per_s: u64) -> Stage {
        Stage::with(ring_mib, messages_per_s, Mix::Small, 2, &[IDLES])
    }

    fn with(
        ring_mib: u64,
        messages_per_s: u64,
        mix: Mix,
        publishers: usize,
        manners: &'static [&'static str],
    ) -> Stage {
        // On a real disk: tmpfs is refused for what is durable.
        let folder = tempfile::Builder::new().prefix("kills").tempdir_in("/var/tmp").unwrap();
        let catalog = folder.path().join("catalog.toml");
        let text = format!(
            "[broker]\nname = \"kills\"\ndata = \"data\"\nsocket = \"bus.sock\"\nsegment_mib = 16\n\
             [[topics]]\nname = \"{TOPIC}\"\nring_mib = {ring_mib}\npublish = [\"self\"]\n{}\n",
            if manners.contains(&STANDS_BY) { "standbys = 1\ntakeover = \"kill\"" } else { "" }
        );
        std::fs::write(&catalog, text).unwrap();
        // A copy, which another build may be put in place of.
        let program = folder.path().join(PROGRAM);
        copy(&std::env::current_exe().unwrap(), &program);
        let mut keeper =
            run(&program, "the_keeper_process").env(CATALOG, &catalog).stdout(Stdio::piped()).spawn().unwrap();
        let (tell, ready) = mpsc::channel();
        let lines = std::io::BufRead::lines(std::io::BufReader::new(keeper.stdout.take().unwrap()));
        std::thread::spawn(move || {
            for _ in lines.map_while(Result::ok).filter(|line| line.contains("ready ")) {
                let _ = tell.send(Instant::now());
            }
        });
        ready.recv_timeout(PATIENCE).expect("the broker is ready");
        let (read, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let reader = {
            let (socket, read, stop) = (folder.path().join("bus.sock"), read.clone(), stop.clone());
            Some(std::thread::spawn(move || subscribe(&socket, mix, &read, &stop)))
        };
        let none = Vec::new();
        let mut stage =
            Stage { folder, keeper, ready, publishers: none, messages_per_s, mix, manners, reader, read, stop };
        (0..publishers).for_each(|_| stage.start_publisher());
        stage.await_epoch_after(0);
        stage
    }

    fn start_publisher(&mut self) {
        let task = format!("{} {} {:?}", self.folder.path().display(), self.messages_per_s, self.mix);
        let mut publisher = again("the_publisher_process");
        publisher.env(PUBLISHER, task).stdout(Stdio::null());
        publisher.envs(self.manners.iter().map(|name| (name, "1")));
        self.publishers.push(publisher.spawn().unwrap());
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How many messages the subscriber in this process has had.
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Lets so many ms go by, and sees that messages flow.
    pub(crate) fn let_run(&self, ms: u64) {
        let (before, begun) = (self.read.load(Ordering::Relaxed), Instant::now());
        std::thread::sleep(Duration::from_millis(ms));
        while self.read.load(Ordering::Relaxed) == before {
            assert!(begun.elapsed() < PATIENCE, "nothing flows");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until the recorder is close behind the publisher: the next absence then finds the ring as deep as it is.
    pub(crate) fn await_recorded(&self) {
        let bus = Bus::connect(Connect::new(self.folder.path().join("bus.sock")).name("recorded?")).unwrap();
        let begun = Instant::now();
        loop {
            let published = Testimony::newest(self.folder.path()).map_or(0, |newest| newest.position);
            let behind = published.saturating_sub(bus.describe(TOPIC).unwrap().written.0);
            if behind < CLOSE_BYTES {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "the recorder stays {behind} bytes behind");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn owner(&self) -> Owner {
        let newest = Testimony::newest(self.folder.path()).expect("somebody has published");
        Owner { epoch: newest.epoch, pid: newest.pid }
    }

    /// Waits until an epoch above `epoch` has its first commit.
    pub(crate) fn await_epoch_after(&self, epoch: u32) -> Testimony {
        let begun = Instant::now();
        loop {
            let newest = Testimony::newest(self.folder.path());
            if let Some(newest) = newest.filter(|newest| newest.epoch > epoch && newest.count > 0) {
                return newest;
            }
            assert!(begun.elapsed() < PATIENCE, "no commit in an epoch after {epoch}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for another's first commit: whoever died may have had a later epoch than the one that was seen.
    pub(crate) fn await_successor_of(&self, owner: Owner) {
        let begun = Instant::now();
        while self.await_epoch_after(owner.epoch).pid == owner.pid {
            assert!(begun.elapsed() < PATIENCE, "nobody goes on behind epoch {}", owner.epoch);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until the owner is at a large message: to kill it there.
    pub(crate) fn await_large_message(&self, owner: Owner) {
        let (begun, path) = (Instant::now(), self.folder.path().join(format!("witness-{}", owner.epoch)));
        while Testimony::read(&path).is_none_or(|testimony| testimony.offering_bytes < 1 << 20) {
            assert!(begun.elapsed() < PATIENCE, "no large message in epoch {}", owner.epoch);
        }
    }

    /// Kills it and starts another in its place.
    pub(crate) fn kill_publisher(&mut self, owner: Owner) {
        owner.kill();
        self.replace(owner);
    }

    pub(crate) fn operator(&self) -> Bus {
        Bus::connect(Connect::new(self.folder.path().join("bus.sock")).name("operator")).unwrap()
    }

    /// Has the kernel stop it, and the broker kill it for the standby.
    pub(crate) fn take_over_from_stopped(&mut self, owner: Owner) {
        signal(owner.pid, Signal::STOP);
        let killed = self.operator().take_over(TOPIC, 0).unwrap_or_else(|error| panic!("{error}")).expect("an owner");
        assert_eq!(killed.pid, owner.pid);
    }

    /// Waits for its death and starts another in its place.
    pub(crate) fn replace(&mut self, owner: Owner) {
        let place = self.publishers.iter().position(|child| child.id() == owner.pid).expect("a publisher of ours");
        let died = self.publishers.swap_remove(place).wait().unwrap();
        assert_eq!(died.signal(), Some(Signal::KILL.as_raw()));
        self.start_publisher();
    }

    /// Waits until the one that does not own is warm.
    pub(crate) fn await_warm(&self) {
        let owner = self.owner().pid;
        let standby = self.publishers.iter().find(|child| child.id() != owner).expect("two publishers").id();
        let (begun, warm) = (Instant::now(), self.folder.path().join(format!("warm-{standby}")));
        while !warm.exists() {
            assert!(begun.elapsed() < PATIENCE, "the standby is not warm");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Puts another build in place of the one that runs, and has the keeper upgrade to it; how long until that was ready.
    pub(crate) fn upgrade(&mut self, build: &Path) -> Duration {
        let next = self.folder.path().join("next");
        copy(build, &next);
        let inode = std::fs::metadata(&next).unwrap().ino();
        std::fs::rename(&next, self.folder.path().join(PROGRAM)).unwrap();
        let begun = Instant::now();
        signal(self.keeper.id(), Signal::HUP);
        let away = self.ready.recv_timeout(PATIENCE).expect("the keeper starts the other build") - begun;
        let runs = std::fs::metadata(format!("/proc/{}/exe", self.broker_pid())).unwrap().ino();
        assert_eq!(runs, inode, "the former build runs");
        away
    }

    /// Kills the broker, and lets the keeper start it again only when publishers are held back.
    pub(crate) fn keep_away_until_back_pressured(&mut self) -> Duration {
        let held_back = || Testimony::newest(self.folder.path()).map_or(0, |newest| newest.back_pressured);
        let (keeper, before) = (self.keeper.id(), held_back());
        let killed = Instant::now();
        // Nobody is left to start it again, before it is gone.
        signal(keeper, Signal::STOP);
        signal(self.broker_pid(), Signal::KILL);
        while held_back() < before + 100 {
            assert!(killed.elapsed() < PATIENCE, "the ring is never full");
            std::thread::sleep(Duration::from_millis(1));
        }
        signal(keeper, Signal::CONT);
        self.ready.recv_timeout(PATIENCE).expect("the keeper starts the broker again") - killed
    }

    /// Kills; how long until the broker was ready again.
    pub(crate) fn kill(&mut self, victim: Victim) -> Duration {
        let broker = self.broker_pid();
        let killed = Instant::now();
        signal(broker, Signal::KILL);
        if let Victim::Both(owner) = victim {
            self.kill_publisher(owner);
        }
        self.ready.recv_timeout(PATIENCE).expect("the keeper starts the broker again") - killed
    }

    /// What all publishers know of themselves so far.
    pub(crate) fn testimonies(&self) -> Vec<Testimony> {
        Testimony::all(self.folder.path())
    }

    /// Between two of them it waits for the next.
    fn broker_pid(&self) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(pid) = self.broker_now() {
                return pid;
            }
            assert!(Instant::now() < deadline, "the keeper has no broker");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn broker_now(&self) -> Option<u32> {
        let tasks = format!("/proc/{}/task", self.keeper.id());
        let children = |task: PathBuf| std::fs::read_to_string(task.join("children")).unwrap_or_default();
        let all: String = std::fs::read_dir(tasks).unwrap().map(|task| children(task.unwrap().path())).collect();
        Some(all.split_whitespace().next()?.parse().unwrap())
    }

    /// Ends everything, the publishers by kill, and holds all accounts against each other.
    pub(crate) fn verdict(mut self) -> Verdict {
        for publisher in &mut self.publishers {
            publisher.kill().unwrap();
            publisher.wait().unwrap();
        }
        let testimonies = Testimony::all(self.folder.path());
        let told = testimonies.iter().map(|testimony| testimony.first + testimony.count).max().unwrap();
        let begun = Instant::now();
        while self.read.load(Ordering::Relaxed) < told {
            assert!(begun.elapsed() < PATIENCE, "the subscriber has {} of {told}", self.read.load(Ordering::Relaxed));
            std::thread::sleep(Duration::from_millis(10));
        }
        // A last commit may not have returned: the clean stop ends the epoch behind it, and the subscriber sees that.
        std::thread::sleep(Duration::from_millis(200));
        self.stop.store(true, Ordering::Relaxed);
        let (read, delivery_gap) = self.reader.take().unwrap().join().expect("the subscriber's own checks");
        signal(self.keeper.id(), Signal::TERM);
        assert_eq!(self.keeper.wait().unwrap().code(), Some(0), "a clean stop");
        let (journal, cut) = journal(&self.folder.path().join("data"), self.mix);
        Verdict::new(&testimonies, &read, &journal, cut, delivery_gap)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for publisher in &mut self.publishers {
            let _ = publisher.kill();
            let _ = publisher.wait();
        }
        if self.keeper.try_wait().is_ok_and(|status| status.is_none()) {
            signal(self.keeper.id(), Signal::TERM);
            let _ = self.keeper.wait();
        }
    }
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Reads everything from the beginning until told to stop, the broker's deaths included.
fn subscribe(socket: &Path, mix: Mix, read: &AtomicU64, stop: &AtomicBool) -> (Ledger, Duration) {
    let bus = Bus::connect(Connect::new(socket).name("oracle")).unwrap();
    let mut subscriber = bus.subscriber().topic(TOPIC, Start::Earliest).open().unwrap();
    let (mut ledger, mut idle) = (Ledger::new(mix), Idle::default());
    let (mut last, mut gap) = (None::<Instant>, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let before = ledger.next();
        let given = subscriber.poll(1024, |event| match event.kind {
            EventKind::Message(message) => {
                ledger.add(message.epoch.0, message.sequence.0, message.time_ns, message.bytes);
            }
            EventKind::Gap { .. } | EventKind::Rewound { .. } => panic!("{event:?}"),
            _ => {}
        });
        let given = given.unwrap_or_else(|error| panic!("{error}"));
        if ledger.next() > before {
            let now = Instant::now();
            gap = last.replace(now).map_or(gap, |last| gap.max(now - last));
        }
        read.store(ledger.next(), Ordering::Relaxed);
        idle.rest(given);
    }
    (ledger, gap)
}

/// The same account from the segments on disk; and how many epochs end behind their last message: their owner died within
/// the next one.
fn journal(data: &Path, mix: Mix) -> (Ledger, usize) {
    let folder = Folder::open(&data.join(TOPIC).join("0")).unwrap();
    let end = folder.end().position;
    let mut reader = folder.reader().unwrap();
    let mut ledger = Ledger::new(mix);
    let (mut epoch, mut ends) = (0, BTreeMap::new());
    while let Some(frame) = reader.poll(end).unwrap_or_else(|error| panic!("{error}")) {
        match frame.kind {
            Kind::Epoch => epoch = EpochOpening::decode(frame.payload).unwrap().epoch.0,
            Kind::Message => ledger.add(epoch, frame.sequence.0, frame.time_ns, frame.payload),
            _ => {}
        }
        ends.insert(epoch, frame.end);
    }
    let is_cut =
        |(epoch, end): (&u32, &Position)| folder.epochs().end_of(Epoch(*epoch)).is_some_and(|told| told > *end);
    (ledger, ends.iter().filter(|end| is_cut(*end)).count())
}
