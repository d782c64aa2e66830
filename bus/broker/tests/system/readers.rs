//! Readers: what they get cannot harm anybody, whoever they are.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use crate::house::{House, program};
use crate::peer::Opened;

/// Runs the attacks on a descriptor as another process; gives what succeeded.
fn attacked(descriptor: &OwnedFd, user: Option<u32>) -> Vec<String> {
    let mut command = Command::new(program());
    command.arg("attack").stdin(Stdio::from(descriptor.try_clone().expect("a copy")));
    if let Some(user) = user {
        command.uid(user).gid(user).env("OYEZ_TEST_NO_REOPEN", "1");
    }
    let output = command.output().expect("an attacker");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("attacked"), "the attacker did not finish: {text} {output:?}");
    text.lines().filter_map(|line| line.strip_prefix("succeeded: ")).map(str::to_owned).collect()
}

fn opened(house: &House) -> Opened {
    let mut reader = house.peer("reader");
    reader.subscribe("md");
    reader.open_epoch("md", 1)
}

#[test]
fn the_same_user_gets_nothing_that_writes() {
    let house = House::new();
    let mut owned = house.peer("owner").own("md");
    owned.publish();
    let opened = opened(&house);
    assert_eq!(attacked(&opened.data, None), [""; 0], "data");
    assert_eq!(attacked(&opened.page, None), [""; 0], "control page");
    assert_eq!(opened.messages(), [0]);
    // And the owner goes on, for readers too.
    owned.publish();
    assert_eq!(opened.messages(), [0, 1]);
}

#[test]
fn another_user_cannot_even_open_it_again() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED another_user_cannot_even_open_it_again: needs root, which can become another user");
        return;
    }
    let house = House::new();
    let _owned = house.peer("owner").own("md");
    let opened = opened(&house);
    assert_eq!(attacked(&opened.data, Some(65_534)), [""; 0], "data");
    assert_eq!(attacked(&opened.page, Some(65_534)), [""; 0], "control page");
}

#[test]
fn a_reader_that_locks_what_it_was_given_harms_nobody() {
    let house = House::new();
    let mut owned = house.peer("owner").own("md");
    let opened = opened(&house);
    for descriptor in [&opened.data, &opened.page] {
        rustix::fs::flock(descriptor, rustix::fs::FlockOperation::LockExclusive).expect("locked");
    }
    owned.publish();
    let next = owned.release().own("md");
    assert_eq!(next.epoch.0, 2);
}

#[test]
fn a_reader_that_splices_ring_pages_into_a_pipe_and_keeps_them_delays_no_epoch() {
    let house = House::new();
    let mut owned = house.peer("owner").own("md");
    owned.publish();
    let opened = opened(&house);
    let (_read, write) = rustix::pipe::pipe().expect("a pipe");
    let taken =
        rustix::pipe::splice(&opened.data, Some(&mut 0), &write, None, 16_384, rustix::pipe::SpliceFlags::empty());
    assert!(taken.expect("spliced") > 0);
    let next = owned.release().own("md");
    assert_eq!(next.epoch.0, 2);
}

#[test]
fn readers_that_go_leave_nothing_behind() {
    let house = House::new();
    let _owned = house.peer("owner").own("md");
    let pid = house.peer("asker").broker_pid;
    let descriptors = || std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors").count();
    drop(opened(&house));
    let before = descriptors();
    for _ in 0..50 {
        drop(opened(&house));
    }
    crate::peer::until("all to be closed", || (descriptors() < before + 10).then_some(()));
}
