//! A full disk, a real one: a small ext4 on a loop device. At the start it is refused in one line; later the publisher
//! is held back, the log says why, and recording resumes by itself when there is room.
#![forbid(unsafe_code)]

mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{House, json};

/// More than the ring and the segments that lie ready can hold.
const MESSAGES: &str = "300000";

/// Mounted where the catalog has its data.
struct Disk(PathBuf);

impl Disk {
    /// None where that may not be done.
    fn mount(house: &House) -> Option<Disk> {
        let (image, data) = (house.path().join("image"), house.path().join("data"));
        fs::create_dir(&data).expect("a folder");
        File::create(&image).and_then(|file| file.set_len(64 << 20)).expect("an image");
        let ran = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        let made = ran(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))
            && ran(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&data));
        made.then(|| Disk(data))
    }

    /// Leaves no room; gives the file that takes it.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let file = File::create(&path).expect("a file");
        let room = rustix::fs::statvfs(&self.0).expect("a disk");
        let mut rest = room.f_bavail * room.f_frsize;
        let mut filled = 0;
        while rest >= 4_096 {
            match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), filled, rest) {
                Ok(()) => filled += rest,
                Err(_) => rest /= 2,
            }
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !Command::new("umount").arg(&self.0).status().is_ok_and(|status| status.success()) {
            assert!(Instant::now() < deadline, "cannot unmount {}", self.0.display());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn said(log: &Path, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !fs::read_to_string(log).expect("the log").contains(what) {
        assert!(Instant::now() < deadline, "`{what}` is not in: {}", fs::read_to_string(log).expect("the log"));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn at_the_start_it_is_refused_in_one_line() {
    let house = House::new();
    let Some(disk) = Disk::mount(&house) else {
        return eprintln!("SKIPPED at_the_start_it_is_refused_in_one_line: needs root, loop devices and ext4");
    };
    disk.fill();
    let output = house.run(&["serve", "--catalog", "oyez.toml"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{output:?}");
    assert!(error.contains("data") && error.contains("make room"), "{error}");
}

#[test]
fn later_the_publisher_is_held_back_until_there_is_room() {
    let house = House::new();
    let Some(disk) = Disk::mount(&house) else {
        return eprintln!(
            "SKIPPED later_the_publisher_is_held_back_until_there_is_room: needs root, loop devices and ext4"
        );
    };
    let log = house.path().join("log");
    let _broker = house.serve_into(File::create(&log).expect("a file"));
    let filler = disk.fill();

    let mut publish = house.command(&["publish", "md", "--sample", "1", "--messages", MESSAGES]);
    let mut publisher = publish.stdout(Stdio::null()).spawn().expect("it runs");
    said(&log, "make room");
    std::thread::sleep(Duration::from_millis(500));
    assert!(publisher.try_wait().expect("a child").is_none(), "there is no room for all, and yet it has ended");

    fs::remove_file(filler).expect("removed");
    assert!(publisher.wait().expect("a child").success());
    let found = &json(&house.run(&["journal", "verify", "data", "md", "--format", "json"]))[0];
    assert_eq!(found["messages"].to_string(), MESSAGES, "{found}");
}
