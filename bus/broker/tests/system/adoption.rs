//! The broker killed: rings outlive it, owners and readers go on, the next broker takes up where it stood.

use oyez_protocol::{FailureCode, Message};
use oyez_ring::{Epoch, State};

use crate::house::House;
use crate::peer::until;

#[test]
fn a_broker_killed_is_replaced_and_its_owner_goes_on() {
    let mut house = House::new();
    let mut owned = house.peer("owner").own("md");
    let mut reader = house.peer("reader");
    reader.subscribe("md");
    let before = reader.open_epoch("md", 1);
    for round in 1..=5_u64 {
        house.kill_broker();
        // Out of the broker's sight, on the memory it had handed out.
        owned.publish_all(100);
        owned.reclaim(&house.socket);
        owned.publish_all(100);
        assert_eq!(before.messages().len() as u64, round * 200);
        let mut reader = house.peer("reader");
        reader.subscribe("md");
        let now = reader.open_epoch("md", 1);
        assert_eq!(now.messages(), before.messages());
        let tail = owned.writer.tail().position;
        until("the recorder to catch up", || (now.control.durable() == tail).then_some(()));
    }
    assert_eq!(house.keeper.count("the broker died (killed by signal 9)"), 5);
    owned.release();
    assert_eq!(house.keeper.stop().code(), Some(0));
    let journal = oyez_journal::Folder::open(&house.data.path().join("data/md/0")).expect("a journal");
    assert_eq!(journal.verify(&mut |_, _| ()).expect("verified").messages, 1_000);
}

#[test]
fn broker_and_owner_killed_together_lose_nothing_published() {
    let house = House::new();
    for round in 0..3 {
        let mut owner = house.child("own", &["md", "1000"]);
        owner.line(&["published"]);
        let pid = house.peer("killer").broker_pid;
        crate::house::signal(pid, rustix::process::Signal::KILL);
        owner.kill();
        let mut owned = house.peer("next").own("md");
        assert_eq!((owned.epoch, owned.publish().0), (Epoch(2 * round + 2), u64::from(round) * 1_001 + 1_000));
        owned.release();
    }
}

#[test]
fn an_unrecorded_ring_is_adopted_too() {
    let house = House::new();
    let mut owned = house.peer("owner").own("scratch");
    // More than the ring holds: nothing gates it.
    owned.publish_all(60_000);
    house.kill_broker();
    owned.reclaim(&house.socket);
    owned.publish();
    let next = owned.release().own("scratch");
    assert_eq!((next.epoch, next.writer.tail().sequence.0), (Epoch(2), 60_001));
}

#[test]
fn an_owner_that_died_with_its_broker_is_not_waited_for_and_a_foreign_reclaim_is_refused() {
    let house = House::new();
    let owned = house.peer("owner").own("md");
    house.kill_broker();
    let reclaim = |epoch| Message::Reclaim { partition: 0, epoch: Epoch(epoch), topic: "md".into() };
    assert_eq!(house.peer("liar").refusal(reclaim(2)).0, FailureCode::EpochEnded);
    drop(owned);
    until("the end", || (house.peer("asker").state("md").0 == "idle").then_some(()));
    assert_eq!(house.peer("late").refusal(reclaim(1)).0, FailureCode::EpochEnded);
}

#[test]
fn an_epoch_ended_just_before_the_kill_stays_ended() {
    let house = House::new();
    let mut owned = house.peer("owner").own("md");
    owned.publish_all(50);
    let end = owned.writer.tail().position;
    owned.release();
    house.kill_broker();
    let mut reader = house.peer("reader");
    reader.subscribe("md");
    let opened = reader.open_epoch("md", 1);
    until("its end", || (opened.control.end() == Some(end)).then_some(()));
    assert_eq!(opened.control.state(), State::Ended);
    assert_eq!(house.peer("next").own("md").writer.tail().sequence.0, 50);
}

#[test]
fn two_epochs_not_yet_recorded_are_both_taken_up() {
    let mut house = House::new();
    let mut messages = 0;
    for _ in 0..3 {
        let mut owned = house.peer("owner").own("md");
        owned.publish_all(5_000);
        messages += 5_000;
        drop(owned);
        let next = house.peer("owner").own("md");
        house.kill_broker();
        drop(next);
    }
    until("the end", || (house.peer("asker").state("md").0 == "idle").then_some(()));
    assert_eq!(house.keeper.stop().code(), Some(0), "{:#?}", house.keeper.lines());
    let journal = oyez_journal::Folder::open(&house.data.path().join("data/md/0")).expect("a journal");
    assert_eq!(journal.verify(&mut |_, _| ()).expect("verified").messages, messages);
}

#[test]
fn rings_that_nobody_needs_are_let_go_of_by_broker_and_keeper() {
    let house = House::new();
    let rings = |pid: u32| {
        let links = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors").flatten();
        let names = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        names.filter(|name| name.to_string_lossy().starts_with("/memfd:oyez-ring")).count()
    };
    for round in 0..12 {
        for topic in ["md", "scratch"] {
            let mut owned = house.peer("owner").own(topic);
            owned.publish_all(100);
            owned.release();
        }
        if round % 4 == 3 {
            house.kill_broker();
        }
    }
    // A recorded topic keeps the ring of the newest epoch, an unrecorded one two; the broker has a spare as well.
    until("the keeper to let go", || (rings(house.keeper.id()) <= 3).then_some(()));
    let broker = house.peer("asker").broker_pid;
    until("the broker to let go", || (rings(broker) <= 4).then_some(()));
}

#[test]
fn a_broker_that_cannot_start_again_is_tried_until_it_can() {
    let house = House::new();
    let mut owned = house.peer("owner").own("md");
    owned.publish();
    let catalog = std::fs::read_to_string(&house.catalog).expect("a catalog");
    std::fs::write(&house.catalog, catalog.replace("ring_mib", "ring_mb")).expect("a broken catalog");
    let pid = house.peer("killer").broker_pid;
    crate::house::signal(pid, rustix::process::Signal::KILL);
    until("two attempts", || (house.keeper.count("unknown key `ring_mb`") >= 2).then_some(()));
    std::fs::write(&house.catalog, catalog).expect("a repaired catalog");
    owned.reclaim(&house.socket);
    assert_eq!(owned.publish().0, 1);
    owned.release();
}

#[test]
fn a_broker_without_io_uring_records_and_recovers_the_same() {
    let topic = "[[topics]]\nname = \"md\"\nring_mib = 2\npublish = [\"self\"]\n";
    let mut house = House::with("segment_mib = 4\nio = \"syscalls\"\n", topic);
    let mut owned = house.peer("owner").own("md");
    owned.publish_all(30_000);
    let tail = owned.writer.tail().position;
    until("room for what comes while no broker is there", || (owned.writer.control().written() == tail).then_some(()));
    house.kill_broker();
    owned.publish_all(10_000);
    owned.reclaim(&house.socket);
    owned.publish_all(30_000);
    owned.release();
    assert_eq!(house.keeper.stop().code(), Some(0), "{:#?}", house.keeper.lines());
    let journal = oyez_journal::Folder::open(&house.data.path().join("data/md/0")).expect("a journal");
    assert_eq!(journal.verify(&mut |_, _| ()).expect("verified").messages, 70_000);
}

#[test]
fn what_was_on_offer_goes_with_the_broker_and_holds_nobody_up() {
    let house = House::new();
    let mut first = house.peer("first");
    let offer = until("an offer", || {
        let answer = first.open_publisher("md");
        (!matches!(answer.packet.message, Message::NotGranted { .. })).then_some(answer)
    });
    house.kill_broker();
    assert_eq!(house.peer("second").own("md").epoch, Epoch(1));
    drop(offer);
}

#[test]
fn a_broker_whose_program_is_away_for_a_moment_is_started_when_it_is_back() {
    let folder = crate::house::folder();
    let program = folder.path().join("program");
    crate::house::copy_program(&program);
    let house = House::run_by(&program);
    let mut owned = house.peer("owner").own("md");
    owned.publish();
    let pid = house.peer("killer").broker_pid;
    let away = folder.path().join("away");
    std::fs::rename(&program, &away).expect("away");
    crate::house::signal(pid, rustix::process::Signal::KILL);
    until("two attempts", || (house.keeper.count("cannot start the broker") >= 2).then_some(()));
    std::fs::rename(&away, &program).expect("back");
    owned.reclaim(&house.socket);
    assert_eq!(owned.publish().0, 1);
    owned.release();
}

#[test]
fn a_broker_that_dies_time_after_time_is_given_more_and_more_time() {
    let house = House::new();
    let back = |died: rustix::process::Signal| {
        let died_at = std::time::Instant::now();
        house.end_broker(died);
        died_at.elapsed()
    };
    let killed: Vec<_> = (0..8).map(|_| back(rustix::process::Signal::KILL)).collect();
    assert!(killed[7] < std::time::Duration::from_millis(400), "whoever kills it is not its fault: {killed:?}");
    let away: Vec<_> = (0..8).map(|_| back(rustix::process::Signal::ABORT)).collect();
    // The pauses are 50, 100, 200 and 400 ms long; the first brokers are back as soon as they can be.
    assert!(away[7] > std::time::Duration::from_millis(400), "{away:?}");
    assert!(away[0] < std::time::Duration::from_millis(400), "{away:?}");
}

#[test]
fn a_stop_close_behind_an_upgrade_ends_everything_in_order() {
    for pause in [1, 20, 60].map(std::time::Duration::from_millis) {
        let mut house = House::new();
        let owner = house.child("own", &["md", "1000"]);
        owner.line(&["published 1000"]);
        crate::house::signal(house.keeper.id(), rustix::process::Signal::HUP);
        std::thread::sleep(pause);
        // 1 where the owner had not come to the next broker yet, and so could not be asked to release.
        let code = house.keeper.stop().code();
        assert!(matches!(code, Some(0 | 1)), "{code:?} after {pause:?}: {:#?}", house.keeper.lines());
        house.keeper.line(&["stopped with exit code"]);
        let journal = oyez_journal::Folder::open(&house.data.path().join("data/md/0")).expect("a journal");
        assert_eq!(journal.verify(&mut |_, _| ()).expect("verified").messages, 1_000, "after {pause:?}");
    }
}

#[test]
fn a_keeper_that_is_hung_up_on_has_another_build_take_over_and_no_epoch_ends() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = crate::house::folder();
    let [program, next] = ["program", "next"].map(|name| folder.path().join(name));
    crate::house::copy_program(&program);
    let mut house = House::run_by(&program);
    let mut owned = house.peer("owner").own("md");
    for round in 1..=3 {
        crate::house::copy_program(&next);
        let inode = std::fs::metadata(&next).expect("a file").ino();
        std::fs::rename(&next, &program).expect("installed");
        owned.publish_all(50);
        crate::house::signal(house.keeper.id(), rustix::process::Signal::HUP);
        until("the next broker", || (house.keeper.count("ready") > round).then_some(()));
        owned.publish_all(50);
        owned.reclaim(&house.socket);
        let runs = |pid: u32| std::fs::metadata(format!("/proc/{pid}/exe")).expect("a program").ino();
        assert_eq!(runs(house.peer("asker").broker_pid), inode, "the old program runs");
        // The keeper follows when the broker has shown that the program serves.
        until("the keeper's other build", || (runs(house.keeper.id()) == inode).then_some(()));
        until("its word", || (house.keeper.count("goes on as another build") == round).then_some(()));
        assert_eq!(house.keeper.count("the broker handed over; 1 rings kept"), round);
    }
    assert_eq!((owned.epoch, house.keeper.count("the broker died")), (Epoch(1), 0));
    // What it has kept over all that is what it kept.
    house.kill_broker();
    owned.reclaim(&house.socket);
    owned.publish();
    owned.release();
    assert_eq!(house.peer("next").own("md").epoch, Epoch(2), "a ring that a keeper has open is never proven free");
    assert_eq!(house.keeper.stop().code(), Some(0));
    let journal = oyez_journal::Folder::open(&house.data.path().join("data/md/0")).expect("a journal");
    assert_eq!(journal.verify(&mut |_, _| ()).expect("verified").messages, 301);
}
