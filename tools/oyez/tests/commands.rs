//! The commands at a running broker: what goes in comes out, and both shapes of output.
#![forbid(unsafe_code)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use support::{House, hex_lines, json, refused, sample, stdout};

#[test]
fn what_is_published_is_shown_and_kept() {
    let house = House::new();
    let _broker = house.serve();
    let messages = sample(100);

    let lines = house.feed(&["publish", "md", "--format", "json"], hex_lines(&messages).as_bytes());
    let published = json(&lines).remove(0);
    assert_eq!(
        (&published["messages"], &published["first_sequence"], &published["last_sequence"]),
        (&json!(100), &json!(0), &json!(99))
    );
    let framed: Vec<u8> =
        messages.iter().flat_map(|message| [&(message.len() as u32).to_le_bytes()[..], message].concat()).collect();
    let again = house.feed(&["publish", "md", "--encoding", "length-prefixed", "--messages", "50"], &framed);
    assert!(stdout(&again).starts_with("md: 50 messages durable, epoch 2, sequences 100 to 149, digest "), "{again:?}");

    let shown = json(&house.run(&["tail", "md", "--from", "earliest", "--messages", "150", "--format", "json"]));
    let mut events: Vec<_> = shown.iter().filter_map(|line| line["event"].as_str()).collect();
    // Whether it has caught up before the second epoch or after it depends on where the first one's ring is by then.
    events.sort_unstable();
    assert_eq!(events, ["CaughtUp", "Epoch"]);
    let told = shown.iter().filter(|line| line["event"].is_null()).collect::<Vec<_>>();
    assert_eq!(told.len(), 150);
    for (sequence, line) in told.iter().enumerate() {
        assert_eq!((&line["sequence"], &line["epoch"]), (&json!(sequence), &json!(1 + sequence / 100)));
        let schema = oyez_sbe::Schema::parse(oyez_sample::SCHEMA_XML, "sample.xml").expect("it is sound");
        let mut decoded = Vec::new();
        oyez_sbe::decode_json(&schema, &messages[sequence % 100], &mut decoded).expect("it is whole");
        assert_eq!(line["message"], serde_json::from_slice::<serde_json::Value>(&decoded).expect("JSON"));
    }
    let from = stdout(&house.run(&["tail", "md", "--from", "sequence:140", "--messages", "1"]));
    assert!(from.lines().any(|line| line.starts_with("140 ") && line.contains(r#"{"_t":""#)), "{from}");

    // As the capture of a topic of its own: the digest is that of the publisher.
    let sample =
        json(&house.run(&["publish", "bare", "--sample", "7", "--messages", "1000", "--format", "json"])).remove(0);
    let verify = || json(&house.run(&["journal", "verify", "data", "bare", "--format", "json"])).remove(0);
    // An idle recorder notes on disk within 100 ms how far it is durable.
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut verified = verify();
    while verified["durable"] != json!(true) && Instant::now() < deadline {
        verified = verify();
    }
    assert_eq!(
        (&verified["digest"], &verified["messages"], &verified["durable"]),
        (&sample["digest"], &json!(1000), &json!(true))
    );
    let dumped = json(&house.run(&["journal", "dump", "data", "bare", "--from", "sequence:999", "--format", "json"]));
    assert_eq!((dumped.len(), &dumped[0]["sequence"], &dumped[0]["kind"]), (1, &json!(999), &json!("Message")));
    let position = format!("position:{}", dumped[0]["position"]);
    assert_eq!(json(&house.run(&["journal", "dump", "data", "bare", "--from", &position, "--format", "json"])), dumped);
}

#[test]
fn one_of_many_publishers_goes_on_behind_its_last_number() {
    let house = House::new();
    let _broker = house.serve();
    let publish = ["publish", "many", "--origin", "gateway-a", "--sample", "7", "--messages"];
    let first = json(&house.run(&[&publish[..], &["30", "--format", "json"]].concat())).remove(0);
    assert_eq!((&first["last_number"], &first["origin"]), (&json!(30), &json!("gateway-a")));
    let text = stdout(&house.run(&[&publish[..], &["20"]].concat()));
    assert_eq!(text, "many: 20 messages durable, epoch 1, gateway-a's up to 50\n");
    let shown = json(&house.run(&["tail", "many", "--from", "earliest", "--messages", "50", "--format", "json"]));
    let told = shown.iter().filter(|line| line["event"].is_null());
    assert!(told.zip(1..).all(|(line, number)| line["publisher"] == json!(7) && line["number"] == json!(number)));
    let dumped = json(&house.run(&["journal", "dump", "data", "many", "--frames", "3", "--format", "json"]));
    assert_eq!([&dumped[0]["kind"], &dumped[1]["kind"]], [&json!("Epoch"), &json!("Publishers")]);
    assert_eq!((&dumped[2]["publisher"], &dumped[2]["number"]), (&json!(7), &json!(1)));
    refused(
        &house.run(&["publish", "many", "--origin", "gateway-b", "--sample", "7", "--messages", "1"]),
        &["many/0, origin gateway-b", "add it to `origins`"],
    );
    refused(&house.run(&["publish", "many", "--sample", "7", "--messages", "1"]), &["many/0", "under an origin"]);
    let described = stdout(&house.run(&["topic", "describe", "many"]));
    let partition = described.lines().find(|line| line.starts_with("partition   0: owned")).expect("a partition");
    assert!(partition.ends_with("; publishers: many, 0 connected, 50 messages accepted"), "{described}");
}

#[test]
fn messages_of_several_frames_go_in_and_come_out_whole() {
    let house = House::new();
    let _broker = house.serve();
    let messages = [64, 512 << 10, 5_000, 8].map(|len: usize| (0..len).map(|at| (at * 7) as u8).collect::<Vec<_>>());
    let framed = |messages: &[Vec<u8>]| -> Vec<u8> {
        messages.iter().flat_map(|message| [&(message.len() as u32).to_le_bytes()[..], message].concat()).collect()
    };
    let publish = ["publish", "bare", "--encoding", "length-prefixed", "--format", "json"];
    let published = json(&house.feed(&publish, &framed(&messages))).remove(0);
    let shown = json(&house.run(&["tail", "bare", "--from", "earliest", "--messages", "4", "--format", "json"]));
    let told = shown.iter().filter(|line| line["event"].is_null()).map(|line| line["message"]["_hex"].clone());
    assert!(told.eq(hex_lines(&messages).lines().map(|line| json!(line))));
    let verified = json(&house.run(&["journal", "verify", "data", "bare", "--format", "json"])).remove(0);
    assert_eq!((&verified["messages"], &verified["digest"]), (&json!(4), &published["digest"]));
    let dumped = json(&house.run(&["journal", "dump", "data", "bare", "--from", "sequence:1", "--format", "json"]));
    assert_eq!((dumped.len(), &dumped[0]["payload_bytes"]), (3, &json!(512 << 10)));
    refused(
        &house.feed(&publish, &framed(&[vec![7; (512 << 10) + 1]])),
        &["stdin, message 1", "length prefix says 524289 bytes, and the topic takes 524288"],
    );
    let text = stdout(&house.run(&["topic", "describe", "bare"]));
    assert!(text.lines().any(|line| line == "ring        2.00 MiB, messages of up to 512.00 KiB"), "{text}");
}

#[test]
fn topics_and_journals_are_listed() {
    let house = House::new();
    let _broker = house.serve();
    stdout(&house.run(&["publish", "md", "--sample", "1", "--messages", "10"]));
    let topics = json(&house.run(&["topic", "list", "--format", "json"])).remove(0);
    let names: Vec<_> = topics.as_array().expect("an array").iter().map(|topic| topic["topic"].clone()).collect();
    assert_eq!(names, ["md", "orders", "bare", "many"]);
    let orders = json(&house.run(&["topic", "describe", "orders", "--format", "json"])).remove(0);
    assert_eq!(orders["stat"][0]["state"], orders["state"]);
    assert_eq!(orders["message_bytes_max"].as_u64(), orders["ring_bytes"].as_u64().map(|bytes| bytes / 4));
    assert_eq!(
        (&orders["template_ids"], &orders["durability"], &orders["ring_bytes"]),
        (&json!([2]), &json!("durable"), &json!(2 << 20))
    );
    let text = stdout(&house.run(&["topic", "describe", "orders"]));
    assert!(text.contains("templates [2]") && text.contains("publish, subscribe"), "{text}");
    let journals = json(&house.run(&["journal", "list", "data", "--format", "json"])).remove(0);
    let md = journals.as_array().expect("an array").iter().find(|journal| journal["topic"] == "md").expect("a journal");
    assert_eq!((&md["next_sequence"], &md["epochs"]), (&json!(10), &json!(1)));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let house = House::new();
    let _broker = house.serve();
    stdout(&house.run(&["publish", "md", "--sample", "1", "--messages", "20000"]));
    let mut tail = house.command(&["tail", "md", "--from", "earliest"]);
    let mut tail = tail.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut line = String::new();
    BufReader::new(tail.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let output = tail.wait_with_output().expect("it ends");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
    }
}

/// Publishes on and on.
fn owner_of_bare(house: &House) -> Child {
    let owner = ["publish", "bare", "--sample", "1", "--rate-messages-per-s", "100"];
    house.command(&owner).stderr(Stdio::null()).spawn().expect("it runs")
}

#[test]
fn an_owner_goes_on_in_a_new_epoch() {
    let house = House::new();
    let _broker = house.serve();
    let none = house.run(&["topic", "renew", "bare"]);
    assert!(none.status.code() == Some(1) && none.stdout.starts_with(b"bare/0, which nobody owns"), "{none:?}");
    let mut owner = owner_of_bare(&house);
    until("a renewal", || house.run(&["topic", "renew", "bare"]).stdout == b"bare/0: renewed, epoch 2\n");
    let again = json(&house.run(&["topic", "renew", "bare", "--format", "json"])).remove(0);
    assert_eq!((&again["epoch"], &again["not_renewed"]), (&json!(3), &json!(null)));
    assert!(owner.try_wait().expect("a child").is_none(), "it publishes on");
    owner.kill().expect("killed");
    owner.wait().expect("reaped");
}

#[test]
fn an_owner_is_killed_for_a_standby_that_goes_on_in_its_place() {
    let house = House::new();
    let _broker = house.serve();
    let gone = house.run(&["topic", "take-over", "bare"]);
    assert!(gone.status.code() == Some(1) && gone.stdout.starts_with(b"nobody owns it"), "{gone:?}");
    let mut owner = owner_of_bare(&house);
    until("an owner", || stdout(&house.run(&["topic", "describe", "bare"])).contains("owned"));
    refused(&house.run(&["topic", "take-over", "bare"]), &["bare/0 epoch 1", "start a standby first"]);
    let standby = ["publish", "bare", "--standby", "--sample", "2", "--messages", "5", "--format", "json"];
    let standby = house.command(&standby).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
    let killed = format!("killed oyez (process {}, user {})\n", owner.id(), rustix::process::geteuid().as_raw());
    until("a warm standby", || house.run(&["topic", "take-over", "bare"]).stdout == killed.as_bytes());
    let published = json(&standby.wait_with_output().expect("it ends")).remove(0);
    assert_eq!((&published["messages"], &published["epoch"]), (&json!(5), &json!(2)));
    assert!(!owner.wait().expect("it ends").success());
}

#[test]
fn a_damaged_journal_is_a_negative_answer() {
    let house = House::new();
    let broker = house.serve();
    stdout(&house.run(&["publish", "bare", "--sample", "1", "--messages", "5000"]));
    drop(broker);
    let segment = house.path().join("data/bare/0/00000000000000000000.segment");
    let mut bytes = std::fs::read(&segment).expect("the segment");
    bytes[100_000] ^= 1;
    std::fs::write(&segment, bytes).expect("written");
    let output = house.run(&["journal", "verify", "data", "bare", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let verified: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(verified["corrupt"][0]["from"], json!(65_536), "{verified}");

    let mut unread = house.command(&["journal", "verify", "data", "bare"]);
    let mut unread = unread.stdout(Stdio::piped()).spawn().expect("it runs");
    drop(unread.stdout.take());
    assert_eq!(unread.wait().expect("it ends").code(), Some(1), "the answer stands, whoever reads it");
}

#[test]
fn nothing_is_called_durable_of_a_topic_that_is_not_recorded() {
    let house = House::new();
    let path = house.path().join("oyez.toml");
    let catalog = std::fs::read_to_string(&path).expect("the catalog");
    let unrecorded = catalog.replace("name = \"bare\"", "name = \"bare\"\nrecorded = false");
    std::fs::write(path, unrecorded).expect("the catalog");
    let broker = house.serve();
    stdout(&house.run(&["publish", "bare", "--sample", "1", "--messages", "10"]));
    drop(broker);
    assert_eq!(stdout(&house.run(&["journal", "verify", "data", "bare"])), "bare/0: nothing is recorded\n");
    let verified = json(&house.run(&["journal", "verify", "data", "bare", "--format", "json"])).remove(0);
    assert_eq!((&verified["recorded"], &verified["durable"]), (&json!(false), &json!(false)));
}
