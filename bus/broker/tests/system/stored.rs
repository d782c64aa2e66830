//! Rings that no sound broker would have stored: taken up as far as that is safe.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use command_fds::{CommandFdExt as _, FdMapping};
use oyez_mem::memory::{self, Access};
use oyez_protocol::{Message, Refusal};
use oyez_ring::{Epoch, Memory, RegionMut};
use rustix::net::{RecvAncillaryBuffer, RecvFlags};
use rustix::process::Signal;

use crate::house::{House, Process, program, signal};
use crate::peer::until;

const CAPACITY: u64 = 2 << 20;

/// A broker whose store is this test: it gives `original` as the ring of the first epoch of `md`, and acknowledges all.
fn start_with(house: &mut House, original: &OwnedFd) {
    // The former broker is gone with its keeper, and the epoch is in the file.
    let broker = house.peer("killer").broker_pid;
    signal(house.keeper.id(), Signal::STOP);
    signal(broker, Signal::KILL);
    house.keeper.kill();
    let lock = std::fs::File::open(house.data.path().join("data/lock")).expect("a lock");
    until("the broker's end", || lock.try_lock().ok());
    // Not by closing it: a child that another test starts may have a copy until it runs its own program.
    lock.unlock().expect("the lock is given back");
    let path = house.data.path().join("store");
    let store = UnixDatagram::bind(&path).expect("a socket");
    std::thread::spawn(move || {
        loop {
            let (mut bytes, mut space) = ([0; 4_096], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))]);
            // What comes with it is closed with the buffer, which is how a barrier is answered.
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::CMSG_CLOEXEC;
            rustix::net::recvmsg(&store, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags).expect("a word");
        }
    });
    let mut command = Command::new(program());
    let parent_fd = original.try_clone().expect("a copy");
    command
        .arg("broker")
        .arg(&house.catalog)
        .env("NOTIFY_SOCKET", path)
        .env("FDSTORE", "16")
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", format!("ring.md.0.1.{CAPACITY}.0"))
        .fd_mappings(vec![FdMapping { parent_fd, child_fd: 3 }])
        .expect("one descriptor");
    house.keeper = Process::run(&mut command);
    house.keeper.line(&["ready"]);
}

/// A memory as a ring's, and who can write it.
fn written() -> (OwnedFd, RegionMut) {
    let original = memory::create("stored", Memory::len_bytes(CAPACITY)).expect("memory");
    let writable = memory::reopen(&original, Access::Write).expect("a descriptor");
    let region = RegionMut::map(writable, Memory::len_bytes(CAPACITY) as usize).expect("writable");
    (original, region)
}

#[test]
fn a_ring_that_was_stored_without_its_seals_is_sealed() {
    let mut house = House::new();
    house.peer("owner").own("md");
    let (original, region) = written();
    start_with(&mut house, &original);
    let mut reader = house.peer("reader");
    reader.subscribe("md");
    // The check of what a reader is given is in here.
    assert_eq!(reader.open_epoch("md", 1).messages(), [0; 0]);
    drop(region);
    assert_eq!(house.peer("next").own("md").epoch, Epoch(2));
}

#[test]
fn a_ring_that_cannot_be_adopted_keeps_the_next_owner_away_while_it_can_be_written() {
    let mut house = House::new();
    house.peer("owner").own("md");
    let (original, region) = written();
    memory::seal_size(&original).expect("sealed");
    start_with(&mut house, &original);
    house.keeper.line(&["ring.md.0.1.", "not adopted"]);
    let answer = house.peer("second").open_publisher("md").packet.message;
    assert!(matches!(answer, Message::NotGranted { refusal: Refusal::Ending, .. }), "{answer:?}");
    drop(region);
    assert_eq!(house.peer("second").own("md").epoch, Epoch(2));
}
