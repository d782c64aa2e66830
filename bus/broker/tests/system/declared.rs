//! What a topic was declared as outlives the broker: what no catalog may change is refused by a start too, and of a right that
//! is taken away while no broker runs it is known who may have segments open.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::catalog::{applied, ask, edit};
use crate::house::{House, signal};
use crate::peer::until;

const WHY: &str = "topics.md.partitions: 1 becomes 2: a key's messages would go to another partition than before; \
                   declare a new topic";

/// Kills the broker; its next one starts, or says why not, when it likes.
fn kill(house: &House) {
    signal(house.peer("killer").broker_pid, rustix::process::Signal::KILL);
}

fn file(house: &House, name: &str) -> PathBuf {
    house.data.path().join("data/md").join(name)
}

#[test]
fn what_a_plan_refuses_for_good_no_start_takes_either() {
    let house = House::new();
    let mut owned = house.peer("owner").own("md");
    let lives = house.keeper.count("ready");
    edit(&house, "name = \"md\"", "name = \"md\"\npartitions = 2");
    let plan = ask(&house, &house.catalog, true);
    assert!(!plan.applied && plan.changes[0].to_string() == format!("refuse {WHY}"), "{plan:?}");
    kill(&house);
    house.keeper.line(&["oyez.toml: refuse ", WHY, ", or put the former value back"]);
    assert!(!file(&house, "1").exists());
    edit(&house, "\npartitions = 2", "");
    until("the next broker", || (house.keeper.count("ready") > lives).then_some(()));
    owned.reclaim(&house.socket);
    owned.publish();
    owned.release();
}

#[test]
fn a_topic_that_comes_back_is_what_it_was() {
    let house = House::new();
    edit(&house, "name = \"md\"", "name = \"other\"");
    applied(&house);
    edit(&house, "name = \"closed\"", "name = \"md\"\npartitions = 2");
    let told: Vec<String> = ask(&house, &house.catalog, true).changes.iter().map(ToString::to_string).collect();
    assert!(told.contains(&format!("refuse {WHY}")), "{told:#?}");
    let recorded =
        "refuse topics.md.recorded: true becomes false: a journal begins with its topic; declare a new topic";
    assert!(told.contains(&recorded.to_owned()), "{told:#?}");
}

#[test]
fn where_nothing_was_kept_a_start_takes_what_there_is_and_keeps_it() {
    let house = House::new();
    let lives = house.keeper.count("ready");
    std::fs::remove_file(file(&house, "declared")).expect("an older data folder");
    edit(&house, "name = \"md\"", "name = \"md\"\npartitions = 2");
    house.kill_broker();
    edit(&house, "\npartitions = 2", "");
    kill(&house);
    house.keeper.line(&["refuse topics.md.partitions: 2 becomes 1: "]);
    std::fs::write(file(&house, "declared"), "{").expect("damage");
    house.keeper.line(&["data/md/declared: damaged: ", "restore it, or remove it"]);
    std::fs::remove_file(file(&house, "declared")).expect("as told");
    until("the next broker", || (house.keeper.count("ready") > lives + 1).then_some(()));
}

#[test]
fn who_lost_a_right_while_no_broker_ran_sees_nothing_new_in_old_segments() {
    let house = House::new();
    let is_withheld = || file(&house, "0/00000000000000000000.segment").metadata().expect("it").mode() & 0o1000 != 0;
    let kept = || std::fs::read_to_string(file(&house, "declared")).expect("it is kept");
    let mut owned = house.peer("owner").own("md");
    owned.publish_all(10);
    until("a segment", || file(&house, "0/00000000000000000000.segment").exists().then_some(()));
    edit(&house, "name = \"md\"", "name = \"md\"\nsubscribe = [\"self\", \"user:4242\"]");
    house.kill_broker();
    assert!(!is_withheld() && kept().contains("user:4242"), "{}", kept());
    edit(&house, ", \"user:4242\"", "");
    house.kill_broker();
    assert!(is_withheld() && !kept().contains("user:4242"), "{}", kept());
    owned.reclaim(&house.socket);
    owned.publish();
    owned.release();
}

#[test]
fn who_may_have_segments_open_is_kept_before_it_may_and_until_none_is_used_again() {
    let house = House::new();
    let kept = || std::fs::read_to_string(file(&house, "declared")).expect("it is kept");
    edit(&house, "name = \"md\"", "name = \"md\"\nsubscribe = [\"user:4242\"]");
    applied(&house);
    assert!(kept().contains("user:4242"), "{}", kept());
    until("the other to be forgotten", || (!kept().contains("self")).then_some(()));
    // The segments cannot be told so: the folder is no place to look into.
    let (folder, aside) = (file(&house, "0"), file(&house, "aside"));
    std::fs::rename(&folder, &aside).expect("moved");
    edit(&house, "user:4242", "user:4243");
    applied(&house);
    house.keeper.line(&["md: ", "whoever lost the right to subscribe may see what comes in there"]);
    assert!(kept().contains("user:4242") && kept().contains("user:4243"), "{}", kept());
    std::fs::rename(&aside, &folder).expect("moved back");
    house.kill_broker();
    assert!(!kept().contains("user:4242") && kept().contains("user:4243"), "{}", kept());
}
