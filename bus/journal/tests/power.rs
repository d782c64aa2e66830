//! Real power cuts, as far as a kernel can be asked for them: ext4 on a loop device is shut down without its log being
//! flushed, and mounted again. Only root may do that; where it may not be done, the tests say SKIPPED.

mod support;

use oyez_io::{Io, Kind};
use oyez_journal::{Partition, RecorderState};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Topic, assert_same, folder, options, read, skipped};

const NEEDS: &str = "needs root, loop devices, ext4 and python3";
/// `EXT4_IOC_SHUTDOWN`, with the flag that drops what the log has not written.
const SHUT_DOWN: &str = "import fcntl,os,struct,sys\n\
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";

struct Disk {
    dir: tempfile::TempDir,
    mounted: bool,
}

impl Disk {
    fn new() -> Option<Disk> {
        let mut disk = Disk { dir: folder(), mounted: false };
        std::fs::create_dir(disk.root()).unwrap();
        std::fs::File::create(disk.image()).unwrap().set_len(64 << 20).unwrap();
        let made = run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(disk.image()));
        disk.mounted = made && disk.mount();
        disk.mounted.then_some(disk)
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn mount(&self) -> bool {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.root()))
    }

    fn cut_power(&self) {
        assert!(run(Command::new("python3").args(["-c", SHUT_DOWN]).arg(self.root())));
    }

    fn mount_again(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !run(Command::new("umount").arg(self.root())) {
            assert!(Instant::now() < deadline, "cannot unmount");
            std::thread::yield_now();
        }
        self.mounted = false;
        assert!(self.mount());
        self.mounted = true;
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            run(Command::new("umount").arg(self.root()));
        }
    }
}

fn run(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn count(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|count| count.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn an_epoch_is_on_disk_before_it_may_be_granted() {
    let Some(mut disk) = Disk::new() else {
        return skipped(NEEDS);
    };
    let dir = disk.root().join("partition");
    for granted in 1..=5 {
        let (mut partition, recovery) = Partition::open(&dir, &options()).unwrap();
        assert_eq!(partition.epochs().iter().count(), granted - 1);
        partition.begin_epoch(&partition.next_epoch(recovery.tail)).unwrap();
        disk.cut_power();
        drop(partition);
        disk.mount_again();
    }
}

#[test]
fn nothing_durable_is_lost_when_the_power_goes() {
    for kind in [Kind::Uring, Kind::Syscalls] {
        let Some(mut disk) = Disk::new() else {
            return skipped(NEEDS);
        };
        let mut io = match oyez_io::open(kind) {
            Ok((io, _)) => io,
            Err(refusal) => {
                skipped(&format!("on {kind:?}: {refusal}"));
                continue;
            }
        };
        let dir = disk.root().join("partition");
        let mut published = Vec::new();
        for cut in 0..count("OYEZ_POWER_CUTS", 6) {
            let (mut topic, recovery) = Topic::open(&dir, &options());
            assert_eq!(recovery.corrupt, [], "{kind:?} cut {cut}: {recovery:?}");
            published.truncate(recovery.tail.sequence.0 as usize);
            assert_same(&read(&dir), &published, "what was recovered");
            topic.published = std::mem::take(&mut published);
            topic.begin_epoch(recovery.tail);
            let durable = record_until_cut(&mut topic, &mut *io, &disk, cut);
            topic.idle(&mut *io);
            published = topic.outlived().1;
            disk.mount_again();
            let kept = Topic::open(&dir, &options()).1.tail.position;
            assert!(kept >= durable, "{kind:?} cut {cut}: {durable} was durable, {kept} was kept");
        }
    }
}

/// Publishes until the disk no longer takes it; what was durable when the power went.
fn record_until_cut(topic: &mut Topic, io: &mut dyn Io, disk: &Disk, cut: u64) -> oyez_ring::Position {
    let wanted = topic.ring().start.position.plus(100_000 + cut * 77_777);
    std::thread::scope(|scope| {
        let is_recording = |topic: &Topic| matches!(topic.recorder.state(), RecorderState::Recording);
        let deadline = Instant::now() + Duration::from_secs(60);
        while topic.recorder.durable() < wanted {
            assert!(Instant::now() < deadline, "{wanted} is not durable within a minute");
            topic.publish();
            topic.turn(io);
        }
        let cutting = scope.spawn(|| disk.cut_power());
        topic.makes_segments = false;
        while is_recording(topic) && !cutting.is_finished() {
            topic.publish();
            topic.turn(io);
        }
        topic.control().durable()
    })
}
