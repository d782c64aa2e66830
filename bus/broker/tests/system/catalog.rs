//! Another catalog while the broker runs: planned, refused whole, taken whole; who loses a right, and who notices nothing.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, TryRecvError};
use std::time::{Duration, Instant};

use oyez::{Bus, Connect, EventKind, PublishError, Start};
use oyez_broker::plan::{Change, Plan};
use oyez_protocol::{FailureCode, Message};
use oyez_ring::{Epoch, Offer};

use crate::house::{House, Process, program, signal};
use crate::peer::{Peer, now_ns, until};
use crate::sleepers::stat;

/// What the broker makes of a catalog.
pub(crate) fn ask(house: &House, path: &Path, apply: bool) -> Plan {
    let path = path.to_str().expect("a path").to_owned();
    let received = house.peer("operator").ask(Message::PlanCatalog { apply, path });
    let Message::CatalogPlanned { bytes } = received.packet.message else { panic!("{:?}", received.packet.message) };
    let mut text = vec![0; bytes as usize];
    assert_eq!(rustix::io::pread(&received.descriptors[0], &mut text, 0), Ok(text.len()));
    serde_json::from_slice(&text).expect("the document")
}

/// Changes the file in which the broker's catalog is.
pub(crate) fn edit(house: &House, from: &str, to: &str) {
    let text = std::fs::read_to_string(&house.catalog).expect("a catalog");
    assert_eq!(text.matches(from).count(), 1, "`{from}` in {text}");
    std::fs::write(&house.catalog, text.replace(from, to)).expect("a catalog");
}

fn declare(house: &House, topic: &str) {
    let text = std::fs::read_to_string(&house.catalog).expect("a catalog");
    std::fs::write(&house.catalog, format!("{text}\n[[topics]]\n{topic}\n")).expect("a catalog");
}

#[track_caller]
pub(crate) fn applied(house: &House) -> Plan {
    let plan = ask(house, &house.catalog, true);
    assert!(plan.applied && plan.is_appliable(), "{plan:?}");
    plan
}

/// What stands against it, at the one place that is refused; nothing is applied.
#[track_caller]
fn refused(house: &House, place: &str) -> String {
    let plan = ask(house, &house.catalog, true);
    let refused: Vec<&Change> = plan.changes.iter().filter(|change| change.refused.is_some()).collect();
    assert!(!plan.applied && refused.len() == 1 && refused[0].place == place, "{plan:?}");
    refused[0].refused.clone().expect("filtered")
}

fn connect(house: &House, name: &str) -> Bus {
    Bus::connect(Connect::new(&house.socket).name(name)).expect("a broker")
}

#[test]
fn a_plan_tells_every_difference_and_changes_nothing() {
    let house = House::new();
    assert_eq!(ask(&house, &house.catalog, false).changes, []);
    edit(
        &house,
        "name = \"written\"\nring_mib = 2",
        "name = \"written\"\nring_mib = 4\npartitions = 2\nretention_h = 72",
    );
    edit(&house, "name = \"closed\"", "name = \"other\"");
    edit(&house, "segment_mib = 4", "segment_mib = 8\nidle = \"block\"\ncores = [0, 1]");
    for apply in [false, true] {
        let plan = ask(&house, &house.catalog, apply);
        let told: Vec<String> = plan.changes.iter().map(Change::to_string).collect();
        let folder = house.data.path().join("data/closed");
        assert_eq!(
            told,
            [
                "refuse broker.cores: 0 becomes 0, 1: fixed while the broker runs; restart it, which keeps rings and owners",
                "change broker.idle: back-off becomes block: at once",
                "change broker.segment_mib: 4 becomes 8: for journals that do not exist yet",
                "refuse topics.written.partitions: 1 becomes 2: a key's messages would go to another partition than before; \
                 declare a new topic",
                "change topics.written.ring_mib: 2 becomes 4: with each partition's next epoch",
                "change topics.written.retention_h: 48 becomes 72: as new segments are wanted",
                "add topics.other (unrecorded, partitions 1, ring_mib 2): at once",
                &format!(
                    "remove topics.closed (unrecorded, partitions 1, ring_mib 2), declared no more: its folder stays: {}",
                    folder.display()
                ),
            ]
        );
        assert!(!plan.applied && !plan.is_appliable());
    }
    let unknown = house.peer("asker").refusal(Message::DescribeTopic { partition: 0, topic: "other".into() });
    assert_eq!(unknown.0, FailureCode::UnknownTopic, "nothing of it is taken");
    assert!(!house.data.path().join("data/other").exists());
}

#[test]
fn a_journal_that_cannot_be_opened_leaves_everything_as_it_was() {
    let house = House::new();
    let news = house.data.path().join("data/news");
    std::fs::create_dir(&news).and_then(|()| std::fs::write(news.join("0"), "no folder")).expect("in the way");
    edit(&house, "name = \"md\"", "name = \"md\"\nretention_h = 72");
    declare(&house, "name = \"news\"\nring_mib = 2");
    let planned = ask(&house, &house.catalog, false);
    assert!(planned.is_appliable() && planned.changes.len() == 2, "{planned:?}");
    let problem = ask(&house, &house.catalog, true).problem.expect("a problem");
    assert!(problem.contains("data/news"), "{problem}");
    assert_eq!(ask(&house, &house.catalog, false), planned);
    std::fs::remove_file(news.join("0")).expect("out of the way");
    assert_eq!(applied(&house).changes, planned.changes);
}

#[test]
fn what_is_no_catalog_or_another_file_is_told_and_changes_nothing() {
    let house = House::new();
    edit(&house, "durability = \"written\"", "durability = \"perhaps\"");
    let problem = ask(&house, &house.catalog, true).problem.expect("a problem");
    assert!(problem.contains("topics.written.durability") && problem.contains("durable, written"), "{problem}");
    let draft = house.data.path().join("draft.toml");
    edit(&house, "durability = \"perhaps\"", "durability = \"written\"\nretention_h = 50");
    std::fs::copy(&house.catalog, &draft).expect("a draft");
    let planned = ask(&house, &draft, false);
    assert!(planned.is_appliable() && planned.changes.len() == 1, "{planned:?}");
    let problem = ask(&house, &draft, true).problem.expect("a problem");
    assert!(problem.contains("was started with") && problem.contains("put it there first"), "{problem}");
    assert_eq!(applied(&house).changes, planned.changes);
    assert_eq!(ask(&house, &house.catalog, false).changes, []);
}

#[test]
fn a_catalog_is_taken_while_a_million_messages_pass_and_nobody_waits() {
    const MESSAGES: u64 = 1_000_000;
    // It is full after less than two seconds: a larger one would hide a core that stands still.
    let topics = "[[topics]]\nname = \"md\"\nring_mib = 32\ndurability = \"written\"\npublish = [\"self\"]\n";
    let house = House::with("segment_mib = 16\n", topics);
    let mut owned = house.peer("owner").own("md");
    let mut reader = connect(&house, "reader").subscriber().topic("md", Start::Earliest).open().expect("subscribed");
    let read = std::thread::spawn(move || {
        let mut next = 0;
        let deadline = Instant::now() + Duration::from_secs(120);
        while next < MESSAGES && Instant::now() < deadline {
            let poll = reader.poll(1_000, |event| {
                if let EventKind::Message(message) = event.kind {
                    assert_eq!(message.bytes[8..16], next.to_le_bytes());
                    next += 1;
                }
            });
            poll.expect("read");
        }
        next
    });
    let (last, more) = mpsc::channel::<()>();
    let publish = std::thread::spawn(move || {
        let mut waited = 0;
        let began = Instant::now();
        for number in 0.. {
            if number >= MESSAGES && matches!(more.try_recv(), Err(TryRecvError::Disconnected)) {
                break;
            }
            // 250,000 a second: what came late is made up for.
            while number % 250 == 0 && began.elapsed() < Duration::from_micros(4 * number) {
                std::thread::sleep(Duration::from_micros(200));
            }
            let message: Vec<u8> =
                [0, number, 2, 3, 4, 5, 6].iter().flat_map(|word: &u64| word.to_le_bytes()).collect();
            while matches!(owned.writer.offer(&message, now_ns()).expect("a length in bounds"), Offer::BackPressured) {
                waited += 1;
                std::thread::yield_now();
            }
        }
        (owned, waited)
    });
    let topic = |number: u64| format!("name = \"new-{number}\"\nring_mib = 2\npublish = [\"self\"]");
    let (mut rounds, mut last) = (0_u64, Some(last));
    while !publish.is_finished() {
        declare(&house, &topic(rounds));
        if rounds > 0 {
            edit(&house, &format!("\n[[topics]]\n{}\n", topic(rounds - 1)), "");
        }
        // Not before the last one's epoch is on disk.
        let plan = until("a catalog taken", || Some(ask(&house, &house.catalog, true)).filter(|plan| plan.applied));
        assert_eq!(plan.changes.len(), if rounds == 0 { 1 } else { 2 });
        let mut new = house.peer("new").own(&format!("new-{rounds}"));
        new.publish_all(100);
        assert_eq!(new.epoch, Epoch(1));
        new.release();
        rounds += 1;
        if rounds == 3 {
            drop(last.take());
        }
    }
    let (owned, waited) = publish.join().expect("published");
    assert_eq!((read.join().expect("read"), waited), (MESSAGES, 0), "after {rounds} catalogs");
    eprintln!("{rounds} catalogs taken, each with a topic that came and one that went");
    owned.release();
}

#[test]
fn a_topic_goes_when_nobody_uses_it_and_comes_back_where_it_was() {
    let house = House::new();
    let mut owned = house.peer("owner").own("md");
    owned.publish_all(10);
    let all = std::fs::read_to_string(&house.catalog).expect("a catalog");
    let (head, rest) = all.split_once("[[topics]]").expect("topics");
    let (_, others) = rest.split_once("[[topics]]").expect("topics");
    let without = format!("{head}[[topics]]\nname = \"news\"\nring_mib = 2\n[[topics]]{others}");
    let write = |text: &str| std::fs::write(&house.catalog, text).expect("a catalog");
    write(&without);
    let why = refused(&house, "topics.md");
    assert!(why.contains("(owner), user") && why.contains("owns partition 0; `oyez stat md`"), "{why}");
    assert!(!house.data.path().join("data/news").exists(), "nothing is made of what is refused");
    let mut reader = house.peer("reader");
    reader.subscribe("md");
    let mut peer = owned.release();
    let why = until("the journal", || {
        Some(refused(&house, "topics.md")).filter(|why| !why.contains("recorded") && !why.contains("ending"))
    });
    assert!(why.contains("1 subscriptions read it"), "{why}");
    // It waits for an epoch that never comes.
    reader.say(Message::OpenEpoch { partition: 0, epoch: Epoch(2), wait: true, topic: "md".into() });
    reader.berths.clear();
    until("its end", || ask(&house, &house.catalog, true).applied.then_some(()));
    assert!(matches!(reader.hear().packet.message, Message::Failure { code: FailureCode::UnknownTopic, .. }));
    for message in [
        Message::OpenPublisher { partition: 0, standby: false, topic: "md".into() },
        Message::OpenSubscriber { partition: 0, topic: "md".into() },
        Message::DescribeTopic { partition: 0, topic: "md".into() },
    ] {
        assert_eq!(peer.refusal(message).0, FailureCode::UnknownTopic);
    }
    assert!(stat(&mut house.peer("viewer")).partitions.iter().all(|partition| partition.topic != "md"));
    house.peer("other").own("written").publish();
    // Nothing of it is left: its core lets go of its segments within moments.
    let pid = house.peer("asker").broker_pid;
    until("closed files", || {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors").flatten();
        let mut links = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        (!links.any(|path| path.to_string_lossy().contains("data/md/"))).then_some(())
    });
    write(&all);
    applied(&house);
    let mut owned = house.peer("owner").own("md");
    assert_eq!((owned.epoch, owned.publish().0), (Epoch(2), 10));
    let mut reader = connect(&house, "reader").subscriber().topic("md", Start::Earliest).open().expect("subscribed");
    let mut count = 0;
    until("all of it", || {
        reader.poll(100, |event| count += u64::from(matches!(event.kind, EventKind::Message(_)))).expect("read");
        (count == 11).then_some(())
    });
    // What was taken holds for the broker's next life too, and it finds the ring.
    house.kill_broker();
    owned.reclaim(&house.socket);
    assert_eq!(owned.publish().0, 11);
    owned.release();
}

#[test]
fn an_owner_that_may_not_publish_any_more_is_told_and_lets_go() {
    let house = House::new();
    let mut publisher = connect(&house, "owner").publisher("md").open().expect("granted");
    assert!(matches!(publisher.offer(&[0; 64]), Ok(oyez::Offer::Published(_))));
    let mut other = house.peer("other").own("written");
    edit(&house, "name = \"md\"\nring_mib = 2\npublish = [\"self\"]", "name = \"md\"\nring_mib = 2\npublish = []");
    let plan = applied(&house);
    assert_eq!(
        plan.changes[0].to_string(),
        "change topics.md.publish: self becomes none: an owner that may not any more is told to let go"
    );
    // From the answer on nothing more is published.
    let error = publisher.offer(&[0; 64]).expect_err("denied");
    assert!(matches!(error, PublishError::Closing { .. } | PublishError::Lost { .. }), "{error}");
    drop(publisher);
    let error = connect(&house, "owner").publisher("md").open().expect_err("denied").to_string();
    assert!(error.contains("does not let this user publish"), "{error}");
    until("the end of its epoch", || (house.peer("asker").state("md").0 == "idle").then_some(()));
    other.publish();
    other.release();
    edit(&house, "publish = []", "publish = [\"self\"]");
    applied(&house);
    assert_eq!(house.peer("again").own("md").epoch, Epoch(2));
}

#[test]
fn a_reader_that_may_not_subscribe_any_more_is_told_and_its_segments_have_no_other_life() {
    let house = House::new();
    let mut owned = house.peer("owner").own("md");
    owned.publish_all(10);
    let bus = connect(&house, "reader");
    let mut reader = bus.subscriber().topic("md", Start::Earliest).open().expect("subscribed");
    let mut beside = bus.subscriber().topic("written", Start::Earliest).open().expect("subscribed");
    let segment = house.data.path().join("data/md/0/00000000000000000000.segment");
    until("a segment", || segment.exists().then_some(()));
    edit(&house, "name = \"md\"\nring_mib = 2", "name = \"md\"\nring_mib = 2\nsubscribe = []");
    applied(&house);
    let error = until("its error", || reader.poll(100, |_| ()).err()).to_string();
    assert!(error.contains("does not let this user subscribe"), "{error}");
    let mut other = house.peer("other").own("written");
    other.publish();
    until("what is published beside", || beside.poll(100, |_| ()).expect("read").gt(&0).then_some(()));
    until("the mark", || (segment.metadata().expect("a segment").mode() & 0o1000 != 0).then_some(()));
    // The owner was not touched.
    owned.publish();
    owned.release();
    other.release();
}

#[test]
fn an_owner_obeys_another_binding_without_opening_again() {
    let folder = crate::house::folder();
    let schema = folder.path().join("sample.xml");
    std::fs::write(&schema, oyez_sample::SCHEMA_XML).expect("a schema");
    let topics = format!(
        "[schemas.sample]\nfile = {schema:?}\n[[topics]]\nname = \"md\"\nschema = \"sample\"\nring_mib = 2\npublish = [\"self\"]\n"
    );
    let house = House::with("segment_mib = 4\n", &topics);
    let mut publisher = connect(&house, "owner").publisher("md").open().expect("granted");
    let mut session = oyez_sample::Session::new(1);
    let message = session.next(&mut [0; oyez_sample::MESSAGE_BYTES_MAX]).to_vec();
    assert!(matches!(publisher.offer(&message), Ok(oyez::Offer::Published(_))));
    let others = if message[2..4] == 1_u16.to_le_bytes() { "OrderUpdate" } else { "MarketUpdate" };
    edit(&house, "ring_mib = 2", &format!("ring_mib = 2\ntemplates = [\"{others}\"]"));
    let plan = applied(&house);
    assert_eq!(plan.changes[0].place, "topics.md.templates", "{plan:?}");
    let error = until("the other binding", || publisher.offer(&message).err());
    assert!(matches!(error, PublishError::Misfit { .. }), "{error}");
    edit(&house, &format!("\ntemplates = [\"{others}\"]"), "");
    applied(&house);
    until("the first binding", || matches!(publisher.offer(&message), Ok(oyez::Offer::Published(_))).then_some(()));
    assert_eq!(publisher.epoch(), Epoch(1), "it owned it all the time");
}

#[test]
fn limits_rings_and_cores_are_those_of_the_new_catalog() {
    let topics = "[[topics]]\nname = \"md\"\nring_mib = 2\ncores = [1]\npublish = [\"self\"]\n";
    let house = House::with("segment_mib = 4\ncores = [0, 1]\n", topics);
    let owned = house.peer("owner").own("md");
    edit(&house, "ring_mib = 2", "ring_mib = 4");
    edit(&house, "cores = [0, 1]", "cores = [0, 1]\nconnections_per_user_max = 4\nwake_max_us = 50000");
    declare(&house, "name = \"there\"\nring_mib = 2\npartitions = 3\ncores = [1, 0]");
    declare(&house, "name = \"anywhere\"\nring_mib = 2\npartitions = 2");
    applied(&house);
    let seen = stat(&mut house.peer("viewer"));
    let cpus: Vec<_> = seen.partitions.iter().map(|partition| (partition.topic.as_str(), partition.cpu)).collect();
    // Core 1 has three of them before the last two come.
    assert_eq!(cpus, [("md", 1), ("there", 1), ("there", 0), ("there", 1), ("anywhere", 0), ("anywhere", 0)]);
    assert_eq!((seen.limits.connections.max, seen.broker.wake_max_us), (256, 50_000));
    let owned = owned.release().own("md");
    let mut reader = house.peer("reader");
    reader.subscribe("md");
    assert_eq!(reader.open_epoch("md", 2).memory.capacity_bytes(), 4 << 20);
    let more: Vec<_> = (0..4).filter_map(|_| Peer::try_connect(&house.socket, "one more")).collect();
    assert!(more.len() < 4, "{} more", more.len());
    drop((owned, more));
}

#[test]
fn rings_that_are_kept_of_a_topic_that_was_not_declared_keep_it_from_coming() {
    let house = House::new();
    let owned = house.peer("owner").own("md");
    let all = std::fs::read_to_string(&house.catalog).expect("a catalog");
    std::fs::write(&house.catalog, all.replace("name = \"md\"", "name = \"else\"")).expect("a catalog");
    house.kill_broker();
    std::fs::write(&house.catalog, all.replace("name = \"written\"", "name = \"else\"")).expect("a catalog");
    let plan = ask(&house, &house.catalog, true);
    let md = plan.changes.iter().find(|change| change.place == "topics.md").expect("it comes");
    assert!(!plan.applied && md.refused.as_ref().is_some_and(|why| why.contains("restart the broker")), "{plan:?}");
    drop(owned);
}

#[test]
fn only_the_broker_s_own_user_and_root_may_plan_or_apply() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!(
            "SKIPPED only_the_broker_s_own_user_and_root_may_plan_or_apply: needs root, which can become another user"
        );
    }
    let house = House::new();
    let run = house.socket.parent().expect("a folder");
    std::fs::set_permissions(run, std::fs::Permissions::from_mode(0o755)).expect("opened to others");
    let mut command = Command::new(program());
    command.arg("apply").arg(&house.socket).arg(&house.catalog).uid(65_534).gid(65_534);
    let other = Process::run(&mut command);
    other.line(&["user 65534 may not see or change the catalog; ask as user 0 or root", "\"changes\":[]"]);
}

#[test]
fn a_broker_that_is_killed_while_it_takes_a_catalog_comes_back_with_it() {
    let house = House::new();
    let mut owned = house.peer("owner").own("md");
    for round in 0..5 {
        declare(&house, &format!("name = \"new-{round}\"\nring_mib = 2\npartitions = 8\npublish = [\"self\"]"));
        let lives = house.keeper.count("ready");
        let mut operator = house.peer("operator");
        operator.say(Message::PlanCatalog { apply: true, path: house.catalog.to_str().expect("a path").to_owned() });
        std::thread::sleep(Duration::from_millis(3 * round));
        signal(operator.broker_pid, rustix::process::Signal::KILL);
        until("the next broker", || (house.keeper.count("ready") > lives).then_some(()));
        owned.reclaim(&house.socket);
        owned.publish();
        assert_eq!(house.peer("new").own(&format!("new-{round}")).epoch, Epoch(1));
        assert_eq!(ask(&house, &house.catalog, false).changes, []);
    }
}
