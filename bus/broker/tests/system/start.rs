//! Starting and stopping: ready, clean, refused.

use std::process::Command;

use oyez_protocol::Message;
use oyez_ring::Position;

use crate::house::{House, Process, folder, program};
use crate::peer::until;

#[test]
fn a_stop_makes_everything_durable_and_exits_0() {
    let mut house = House::new();
    let mut owner = house.child("own", &["md", "1000"]);
    owner.line(&["published 1000"]);
    assert_eq!(house.keeper.stop().code(), Some(0), "{:#?}", house.keeper.lines());
    owner.line(&["released"]);
    assert_eq!(owner.wait().code(), Some(0));
    assert!(!house.socket.exists(), "the socket is left behind");
    let left: Vec<_> = std::fs::read_dir(house.socket.parent().expect("a folder")).expect("a folder").collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    let journal = oyez_journal::Folder::open(&house.data.path().join("data/md/0")).expect("a journal");
    let found = journal.verify(&mut |_, _| ()).expect("verified");
    assert_eq!(found.messages, 1_000);
    assert_eq!(journal.durable(), journal.end().position);
}

#[test]
fn what_was_published_is_there_after_a_restart_and_numbers_go_on() {
    let mut house = House::new();
    house.peer("owner").own("md").publish();
    assert_eq!(house.keeper.stop().code(), Some(0));
    house.keeper = Process::start(&["serve", house.catalog.to_str().expect("a path")]);
    house.keeper.line(&["ready"]);
    let mut reader = house.peer("reader");
    reader.subscribe("md");
    let answer =
        reader.ask(Message::OpenEpoch { partition: 0, epoch: oyez_ring::Epoch(1), wait: false, topic: "md".into() });
    let Message::EpochClosed { start, end, end_sequence } = answer.packet.message else { panic!("{answer:?}") };
    assert!(end > start.position && end_sequence.0 == 1);
    let answer = reader.ask(Message::OpenSegment { partition: 0, position: Position(0), topic: "md".into() });
    assert!(matches!(answer.packet.message, Message::SegmentOpened { base: Position(0) }));
    let owned = house.peer("owner").own("md");
    assert_eq!((owned.epoch.0, owned.writer.tail().sequence.0), (2, 1));
}

#[test]
fn an_owner_that_does_not_release_is_named_and_the_exit_code_is_1() {
    let mut house = House::with(
        "segment_mib = 4\nstop_timeout_ms = 200\n",
        "[[topics]]\nname = \"md\"\nring_mib = 2\npublish = [\"self\"]\n",
    );
    let owner = house.child("own-stubborn", &["md"]);
    owner.line(&["granted 1"]);
    assert_eq!(house.keeper.stop().code(), Some(1));
    house.keeper.line(&["md/0", &format!("process {}", owner.id()), "stubborn", "did not release"]);
}

/// Starts a second broker that must refuse; gives its one line.
fn refused(catalog: &std::path::Path) -> String {
    let mut second = Process::start(&["serve", catalog.to_str().expect("a path")]);
    assert_eq!(second.wait().code(), Some(2), "{:#?}", second.lines());
    // Where io_uring is refused that is told too, and is no error.
    let told = || second.lines().into_iter().filter(|line| !line.contains("plain system calls"));
    let line = until("what it says", || told().next());
    assert_eq!(told().count(), 1, "{:#?}", second.lines());
    assert!(line.starts_with("oyez: "), "{line}");
    assert!(line.contains("; "), "no remedy in: {line}");
    line
}

#[test]
fn a_second_broker_on_the_same_data_or_socket_is_refused() {
    let house = House::new();
    assert!(refused(&house.catalog).contains("another broker has this data folder"));
    let other = folder();
    let text = std::fs::read_to_string(&house.catalog).expect("a catalog");
    let catalog = other.path().join("oyez.toml");
    std::fs::write(&catalog, text).expect("a catalog");
    assert!(refused(&catalog).contains("another broker listens there"));
    // The first one is unharmed.
    house.peer("still here");
}

#[test]
fn places_that_cannot_be_used_are_named() {
    let folder = folder();
    let catalog = folder.path().join("oyez.toml");
    let check = |data: &str, socket: &str, topics: &str, part: &str| {
        let text = format!("[broker]\nname = \"t\"\nsegment_mib = 4\ndata = {data:?}\nsocket = {socket:?}\n{topics}");
        std::fs::write(&catalog, text).expect("a catalog");
        let line = refused(&catalog);
        assert!(line.contains(part), "`{part}` is not in: {line}");
    };
    let run = tempfile::tempdir().expect("a folder");
    let socket = run.path().join("s");
    let socket = socket.to_str().expect("a path");
    let topic = "[[topics]]\nname = \"md\"\nring_mib = 2\n";
    check("data", "/nonexistent/bus.sock", "", "/nonexistent/bus.sock");
    check("/proc/no", socket, "", "/proc/no: cannot make the data folder");
    check("data", socket, "[[topics]]\nname = \"a\"\nring_mib = 3\n", "topics.a.ring_mib");
    check("/dev/shm/oyez-test-data", socket, topic, "tmpfs");
    let _ = std::fs::remove_dir_all("/dev/shm/oyez-test-data");
}

#[test]
fn a_broker_without_a_store_is_refused() {
    let house = House::new();
    let mut bare = Process::run(Command::new(program()).arg("broker").arg(&house.catalog).env_remove("NOTIFY_SOCKET"));
    assert_eq!(bare.wait().code(), Some(2));
    bare.line(&["another broker has this data folder"]);
    // The lock comes first here; on data of its own it is the store.
    let other = folder();
    let catalog = other.path().join("oyez.toml");
    let text = format!("[broker]\nname = \"t\"\ndata = \"data\"\nsocket = {:?}\n", other.path().join("s"));
    std::fs::write(&catalog, text).expect("a catalog");
    let mut bare = Process::run(Command::new(program()).arg("broker").arg(&catalog).env_remove("NOTIFY_SOCKET"));
    assert_eq!(bare.wait().code(), Some(2));
    bare.line(&["no descriptor store", "--no-keeper"]);
}

#[test]
fn a_broker_whose_keeper_is_killed_stops_in_order() {
    let mut house = House::new();
    let mut owner = house.child("own", &["md", "10"]);
    owner.line(&["published 10"]);
    house.keeper.kill();
    owner.line(&["released"]);
    owner.wait();
    until("the broker's end", || (!house.socket.exists()).then_some(()));
    let journal = oyez_journal::Folder::open(&house.data.path().join("data/md/0")).expect("a journal");
    assert_eq!(journal.verify(&mut |_, _| ()).expect("verified").messages, 10);
}

#[test]
fn a_broker_with_few_descriptors_says_so_and_goes_on() {
    let mut house = House::new();
    let pid = house.peer("asker").broker_pid;
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors").count();
    limit_descriptors(pid, open as u64 + 4);
    let peers: Vec<_> = (0..20).filter_map(|_| crate::peer::Peer::try_connect(&house.socket, "one of many")).collect();
    assert!(!peers.is_empty() && peers.len() < 10, "{} connected", peers.len());
    house.keeper.line(&["out of descriptors", "LimitNOFILE"]);
    drop(peers);
    house.peer("after");
    assert!(crate::sleepers::stat(&mut house.peer("viewer")).limits.descriptors.refused > 0);
    // A limit does not keep it from stopping either.
    assert_eq!(house.keeper.stop().code(), Some(0), "{:#?}", house.keeper.lines());
}

fn limit_descriptors(pid: u32, limit: u64) {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let pid = Pid::from_raw(pid as i32);
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(limit), maximum: Some(limit) }).expect("lowered");
}
