//! The processes that the system tests start, kill and watch. What they have to say they print as lines.

#![forbid(unsafe_code)]

mod attacker;
#[allow(dead_code, reason = "shared with the tests, which use all of it")]
mod peer;

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use oyez_broker::{Role, ServeOptions, serve};
use oyez_mem::memory::{self, Access};
use oyez_protocol::Message;
use oyez_ring::{Memory, RegionMut, State};
use peer::Peer;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let text = |at: usize| arguments.get(at).and_then(|argument| argument.to_str()).unwrap_or_default().to_owned();
    let path = |at: usize| PathBuf::from(arguments.get(at).cloned().unwrap_or_default());
    match text(0).as_str() {
        "serve" => {
            let role = Role::Keeper { arguments: vec!["broker".into(), path(1).into()] };
            ExitCode::from(serve(&ServeOptions { catalog: path(1), role }))
        }
        "broker" => ExitCode::from(serve(&ServeOptions { catalog: path(1), role: Role::Broker })),
        "own" => own(&path(1), &text(2), text(3).parse().unwrap_or(0)),
        "own-stubborn" => own_stubborn(&path(1), &text(2)),
        "own-out-of-sight" => own_out_of_sight(&path(1), &text(2)),
        "own-and-share" => own_and_share(&path(1), &text(2)),
        "hold" => hold(text(1).parse().unwrap_or(0)),
        "attack" => attack(),
        "apply" => apply(&path(1), text(2)),
        "attack-as" => attacker::attack(&text(1), &path(2)),
        other => panic!("no role `{other}`"),
    }
}

/// Owns a topic, publishes so many messages, and releases when the broker stops.
fn own(socket: &Path, topic: &str, messages: u64) -> ExitCode {
    let mut owned = Peer::connect(socket, "owner").own(topic);
    println!("granted {}", owned.epoch);
    for _ in 0..messages {
        owned.publish();
    }
    println!("published {}", owned.writer.tail().sequence);
    peer::until("a broker that stops", || (owned.writer.control().state() == State::Closing).then_some(()));
    owned.release();
    println!("released");
    ExitCode::SUCCESS
}

/// Owns a topic and heeds nobody.
fn own_stubborn(socket: &Path, topic: &str) -> ExitCode {
    let mut owned = Peer::connect(socket, "stubborn").own(topic);
    owned.publish();
    println!("granted {}", owned.epoch);
    sleep_on()
}

/// Owns a topic, hangs up, and keeps its memory.
fn own_out_of_sight(socket: &Path, topic: &str) -> ExitCode {
    let peer::Owned { peer, writer: _writer, .. } = Peer::connect(socket, "absent").own(topic);
    drop(peer);
    println!("out of sight");
    sleep_on()
}

/// Owns a topic, but lets another process map the memory too before it says that it has mapped it.
fn own_and_share(socket: &Path, topic: &str) -> ExitCode {
    let mut peer = Peer::connect(socket, "sharing");
    let mut offer = peer.open_publisher(topic);
    while let Message::NotGranted { .. } = offer.packet.message {
        offer = peer.open_publisher(topic);
    }
    let Message::RingOffer { capacity, .. } = offer.packet.message else { panic!("no offer") };
    let copy = offer.descriptors[0].try_clone().expect("a copy");
    let me = std::env::current_exe().expect("a path");
    let child = Command::new(me).args(["hold", &capacity.to_string()]).stdin(Stdio::from(copy)).spawn();
    println!("holder {}", child.expect("a child").id());
    // The holder says when it has mapped; only then does this process answer the broker.
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a go-ahead");
    let mut owned = peer.accept(topic, offer);
    owned.publish();
    println!("granted {}", owned.epoch);
    sleep_on()
}

/// Maps for writing what its standard input is, and keeps it.
fn hold(capacity: u64) -> ExitCode {
    let memory = std::io::stdin().as_fd().try_clone_to_owned().expect("a descriptor");
    let _kept = RegionMut::map(&memory, Memory::len_bytes(capacity) as usize).expect("writable");
    println!("held");
    sleep_on()
}

/// Tries all that a reader must not do with the memory that its standard input is.
fn attack() -> ExitCode {
    let memory = std::io::stdin().as_fd().try_clone_to_owned().expect("a descriptor");
    for success in attacks(&memory) {
        println!("succeeded: {success}");
    }
    println!("attacked");
    ExitCode::SUCCESS
}

/// Names what succeeded.
fn attacks(given: &OwnedFd) -> Vec<&'static str> {
    use rustix::fs::{FallocateFlags, SealFlags, fallocate, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate};
    let length = fstat(given).map_or(0, |status| status.st_size as u64);
    let seals = fcntl_get_seals(given).unwrap_or(SealFlags::empty());
    let mut succeeded = Vec::new();
    let reopened = memory::reopen(given, Access::Write).ok();
    for memory in [Some(given), reopened.as_ref()].into_iter().flatten() {
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let mut note = |done: bool, what| succeeded.extend(done.then_some(what));
        note(rustix::io::pwrite(memory, &[1], 0).is_ok(), "write");
        note(RegionMut::map(memory, length as usize).is_ok(), "map for writing");
        note(ftruncate(memory, 0).is_ok(), "truncate");
        note(ftruncate(memory, length * 2).is_ok(), "grow");
        note(fallocate(memory, punch, 0, 4_096).is_ok(), "punch");
        note(fcntl_add_seals(memory, SealFlags::WRITE).is_ok(), "seal");
        note(fcntl_get_seals(memory).is_ok_and(|now| now != seals), "unseal");
    }
    if std::env::var_os("OYEZ_TEST_NO_REOPEN").is_some() && reopened.is_some() {
        succeeded.push("re-open");
    }
    succeeded
}

/// Asks the broker to take a catalog, and tells what it said.
fn apply(socket: &Path, path: String) -> ExitCode {
    let answer = Peer::connect(socket, "stranger").ask(Message::PlanCatalog { apply: true, path });
    let mut text = vec![0; 4_096];
    let length =
        answer.descriptors.first().map_or(0, |document| rustix::io::pread(document, &mut text, 0).unwrap_or(0));
    println!("{}", String::from_utf8_lossy(&text[..length]));
    ExitCode::SUCCESS
}

fn sleep_on() -> ExitCode {
    loop {
        std::thread::park();
    }
}
