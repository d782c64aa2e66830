//! A subscriber in a process of its own, which is stopped for a while and continued.

use crate::content::Mix;
use crate::ledger::Ledger;
use crate::stage::{self, PATIENCE, TOPIC};
use oyez::{Bus, Connect, EventKind, Idle, Start};
use oyez_mem::{Region, RegionMut};
use rustix::process::Signal;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

const SUBSCRIBER: &str = "OYEZ_TEST_SUBSCRIBER";
const LEN_BYTES: usize = 4096;
const NEXT: usize = 0;
const LAPPED: usize = 8;
const CAUGHT_UP: usize = 16;

pub(crate) struct Frozen {
    process: Child,
    page: Region,
    started: Instant,
}

/// Reads for ever, and says in a mapped file how far it has come.
pub(crate) fn process() {
    let Some(folder) = std::env::var_os(SUBSCRIBER) else { return };
    let folder = Path::new(&folder);
    let file = OpenOptions::new().read(true).write(true).open(folder.join("frozen")).unwrap();
    let page = RegionMut::map(&file, LEN_BYTES).unwrap();
    let bus = Bus::connect(Connect::new(folder.join("bus.sock")).name("frozen")).unwrap();
    let mut subscriber = bus.subscriber().topic(TOPIC, Start::Earliest).open().unwrap();
    let (mut ledger, mut idle) = (Ledger::new(Mix::Small), Idle::default());
    loop {
        let given = subscriber.poll(1024, |event| match event.kind {
            EventKind::Message(message) => {
                ledger.add(message.epoch.0, message.sequence.0, message.time_ns, message.bytes);
            }
            EventKind::Lapped { .. } => page.store(LAPPED, page.load(LAPPED) + 1),
            EventKind::CaughtUp { .. } => page.store(CAUGHT_UP, page.load(CAUGHT_UP) + 1),
            EventKind::Epoch { .. } => {}
            _ => panic!("{event:?}"),
        });
        let given = given.unwrap_or_else(|error| panic!("{error}"));
        page.store(NEXT, ledger.next());
        idle.rest(given);
    }
}

impl Frozen {
    pub(crate) fn new(folder: &Path) -> Frozen {
        let path = folder.join("frozen");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap();
        file.set_len(LEN_BYTES as u64).unwrap();
        let page = Region::map(&file, LEN_BYTES).unwrap();
        let process = stage::again("the_subscriber_process").env(SUBSCRIBER, folder).spawn().unwrap();
        let frozen = Frozen { process, page, started: Instant::now() };
        frozen.until("it reads live", |frozen| frozen.page.load(CAUGHT_UP) == 1);
        frozen
    }

    /// Stops it for so long; how long after that it was back on the ring.
    pub(crate) fn freeze(&self, pause: Duration) -> Duration {
        stage::signal(self.process.id(), Signal::STOP);
        std::thread::sleep(pause);
        stage::signal(self.process.id(), Signal::CONT);
        let continued = Instant::now();
        self.until("it was lapped and caught up", |frozen| {
            frozen.page.load(LAPPED) > 0 && frozen.page.load(CAUGHT_UP) > frozen.page.load(LAPPED)
        });
        continued.elapsed()
    }

    /// Waits until it has had all messages below `next`; its own checks have passed up to there.
    pub(crate) fn has_all_below(&self, next: u64) {
        self.until("it has everything", |frozen| frozen.page.load(NEXT) >= next);
    }

    fn until(&self, what: &str, done: impl Fn(&Frozen) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            let next = self.page.load(NEXT);
            assert!(begun.elapsed() < PATIENCE, "waited for: {what}; it has {next} after {:?}", self.started.elapsed());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
