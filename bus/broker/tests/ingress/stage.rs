//! A broker with its keeper, and publishers, all to be killed.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use oyez::{Bus, Connect};
use oyez_journal::{Digest, Folder};
use oyez_ring::Kind;
use rustix::process::{Pid, Signal, kill_process};

use crate::processes::CATALOG;
use crate::publisher::{self, Noted, message};

pub(crate) const TOPIC: &str = "orders";
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

fn again(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]);
    command
}

#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) struct Stage {
    folder: tempfile::TempDir,
    keeper: Child,
    ready: mpsc::Receiver<()>,
    /// By number; none once it has come to its end.
    publishers: BTreeMap<u16, Child>,
    count: u16,
    messages: u64,
    large: bool,
}

impl Stage {
    /// So many publishers, each to hand in `messages`.
    pub(crate) fn new(publishers: u16, messages: u64, large: bool) -> Stage {
        // On a real disk: tmpfs is refused for what is durable.
        let folder = tempfile::Builder::new().prefix("ingress").tempdir_in("/var/tmp").unwrap();
        let catalog = folder.path().join("catalog.toml");
        let origins: String = (1..=publishers).map(|number| format!("p{number} = {number}\n")).collect();
        let text = format!(
            "[broker]\nname = \"ingress\"\ndata = \"data\"\nsocket = \"bus.sock\"\nsegment_mib = 16\n\
             [[topics]]\nname = \"{TOPIC}\"\nring_mib = 8\npublishers = \"many\"\ningress_kib = 256\npublish = [\"self\"]\n\
             [topics.origins]\n{origins}"
        );
        std::fs::write(&catalog, text).unwrap();
        let mut keeper = again("the_keeper_process").env(CATALOG, &catalog).stdout(Stdio::piped()).spawn().unwrap();
        let (tell, ready) = mpsc::channel();
        let lines = BufReader::new(keeper.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for _ in lines.map_while(Result::ok).filter(|line| line.contains("ready ")) {
                let _ = tell.send(());
            }
        });
        ready.recv_timeout(PATIENCE).expect("the broker is ready");
        let mut stage =
            Stage { folder, keeper, ready, publishers: BTreeMap::new(), count: publishers, messages, large };
        (1..=publishers).for_each(|publisher| stage.start(publisher));
        stage
    }

    fn start(&mut self, publisher: u16) {
        let task = format!("{} {publisher} {} {}", self.folder.path().display(), self.messages, self.large);
        let child = again("the_publisher_process").env(publisher::TASK, task).stdout(Stdio::null()).spawn().unwrap();
        self.publishers.insert(publisher, child);
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn bus(&self) -> Bus {
        Bus::connect(Connect::new(self.folder().join("bus.sock")).timeout(PATIENCE)).unwrap()
    }

    pub(crate) fn has_unfinished(&mut self) -> bool {
        self.unfinished() > 0
    }

    /// How many publishers are not at their end; none of them ends otherwise.
    pub(crate) fn unfinished(&mut self) -> usize {
        self.publishers.retain(|publisher, child| match child.try_wait().unwrap() {
            None => true,
            Some(status) => {
                assert!(status.success(), "publisher {publisher}: {status}");
                false
            }
        });
        self.publishers.len()
    }

    /// Kills it and starts another in its place, unless it has come to its end.
    pub(crate) fn kill_publisher(&mut self, publisher: u16) -> bool {
        self.unfinished();
        let Some(mut child) = self.publishers.remove(&publisher) else { return false };
        child.kill().unwrap();
        child.wait().unwrap();
        self.start(publisher);
        true
    }

    /// How a publisher ends.
    pub(crate) fn end_of_publisher(&mut self, publisher: u16) -> Option<i32> {
        let mut child = self.publishers.remove(&publisher).expect("it was started");
        until("a publisher's end", || child.try_wait().unwrap()).code()
    }

    pub(crate) fn signal_broker(&self, signal: Signal) {
        kill_process(until("there is a broker", || self.broker()), signal).unwrap();
    }

    pub(crate) fn signal_publisher(&self, publisher: u16, signal: Signal) {
        kill_process(pid(self.publishers[&publisher].id()), signal).unwrap();
    }

    /// Kills the broker, and waits for the next.
    pub(crate) fn kill_broker(&self) {
        self.signal_broker(Signal::KILL);
        self.ready.recv_timeout(PATIENCE).expect("the next broker");
    }

    /// The keeper has one child, of whichever of its threads.
    fn broker(&self) -> Option<Pid> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.keeper.id())).ok()?.flatten();
        let children = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
        Some(pid(children.collect::<String>().split_whitespace().next()?.parse().ok()?))
    }

    /// Stops the broker in order, and holds the journal against what publishers have noted: each one's messages are there,
    /// all, once, in order and whole; how many in all.
    pub(crate) fn verdict(mut self) -> u64 {
        kill_process(pid(self.keeper.id()), Signal::TERM).unwrap();
        assert_eq!(self.keeper.wait().unwrap().code(), Some(0), "everything durable, nothing owned");
        let journal = Folder::open(&self.folder().join("data").join(TOPIC).join("0")).unwrap();
        let (mut reader, mut digest) = (journal.reader().unwrap(), Digest::new());
        let mut lasts = BTreeMap::<u16, u64>::new();
        while let Some(frame) = reader.poll(journal.end().position).unwrap() {
            if frame.kind != Kind::Message {
                continue;
            }
            let origin = frame.origin.expect("an origin");
            let last = lasts.entry(origin.publisher()).or_default();
            assert_eq!(origin.number(), *last + 1, "publisher {} at {}", origin.publisher(), frame.position);
            *last += 1;
            assert_eq!(frame.payload, message(origin.publisher(), origin.number(), self.large));
            digest.add(frame.sequence, frame.time_ns, frame.payload);
        }
        for publisher in 1..=self.count {
            let (last, noted) = (lasts.get(&publisher).copied(), Noted::read(self.folder(), publisher).done);
            assert_eq!((last, noted), (Some(self.messages), 1), "of {publisher}");
        }
        let verified = journal.verify(&mut |_, _| ()).unwrap();
        assert_eq!(verified.digest, digest.value());
        assert_eq!(verified.messages, lasts.values().sum::<u64>());
        verified.messages
    }
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number as i32).expect("a process")
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in self.publishers.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if self.keeper.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = kill_process(pid(self.keeper.id()), Signal::TERM);
            let _ = self.keeper.wait();
        }
    }
}
