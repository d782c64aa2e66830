//! `oyez stat`, `oyez top` and `oyez health` at a running broker.
#![forbid(unsafe_code)]

mod support;

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{House, json, refused, stdout};

/// Every place in a document where a value stands, as a path: `readers[].lag_messages`.
fn places(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(parts) => parts.iter().for_each(|(name, part)| places(part, &format!("{path}.{name}"), found)),
        Value::Array(parts) => parts.iter().for_each(|part| places(part, &format!("{path}[]"), found)),
        _ => drop(found.insert(path.to_owned())),
    }
}

#[test]
fn golden_what_is_seen_of_a_topic_and_its_reader() {
    let house = House::new();
    let _broker = house.serve();
    let mut reader =
        house.command(&["tail", "md", "--from", "earliest"]).stdout(Stdio::null()).spawn().expect("it runs");
    stdout(&house.run(&["publish", "md", "--sample", "1", "--messages", "1000"]));
    let deadline = Instant::now() + Duration::from_secs(60);
    let seen = loop {
        let seen = json(&house.run(&["stat", "md", "--format", "json"])).remove(0);
        let (partition, reader) = (&seen["partitions"][0], &seen["readers"][0]);
        if reader["sequence"].as_u64() >= Some(1000) && partition["owner"].is_null() {
            if !reader["latency"].is_null() && reader["lag_messages"] == 0 {
                break seen;
            }
            // Few polls brought all of them: more are needed for a sample.
            stdout(&house.run(&["publish", "md", "--sample", "1", "--messages", "40", "--rate-messages-per-s", "200"]));
        }
        assert!(Instant::now() < deadline, "{seen}");
    };
    reader.kill().expect("killed");
    reader.wait().expect("reaped");
    assert_eq!((seen["partitions"].as_array().map(Vec::len), &seen["partitions"][0]["topic"]), (Some(1), &"md".into()));
    assert_eq!((&seen["readers"][0]["name"], &seen["readers"][0]["lag_messages"]), (&"oyez".into(), &0.into()));
    let mut found = BTreeSet::new();
    places(&seen, "", &mut found);
    let told = found.iter().map(|place| format!("{place}\n")).collect::<String>();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/stat.txt");
    if std::env::var_os("OYEZ_BLESS").is_some() {
        std::fs::write(path, &told).expect("written");
    }
    assert_eq!(told, std::fs::read_to_string(path).expect("a golden file"));
}

#[test]
fn people_see_tables_and_probes_an_exit_code() {
    let house = House::new();
    refused(&house.run(&["stat"]), &["cannot connect", "oyez serve"]);
    let away = house.run(&["health"]);
    assert_eq!(away.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&away.stdout).starts_with("unhealthy: cannot connect"), "{away:?}");

    let _broker = house.serve();
    assert_eq!(stdout(&house.run(&["health"])), "healthy\n");
    assert_eq!(json(&house.run(&["health", "--format", "json"]))[0]["healthy"], true);
    stdout(&house.run(&["publish", "bare", "--sample", "1", "--messages", "10"]));
    let shown = stdout(&house.run(&["stat"]));
    assert!(shown.starts_with("test ") && shown.contains("core 0: "), "{shown}");
    let line = shown.lines().find(|line| line.contains("bare/0")).expect("the topic");
    assert!(line.trim_start().starts_with("10 "), "{line}");
    let once = stdout(&house.run(&["top", "bare", "--once", "--interval-ms", "100"]));
    let line = once.lines().find(|line| line.contains("bare/0")).expect("the topic");
    assert!(line.split_whitespace().nth(1) == Some("0"), "messages a second: {line}");
    assert!(!once.contains('\u{1b}') && !once.contains("md/0"), "{once}");
    refused(&house.run(&["stat", "nowhere"]), &["topic nowhere", "oyez topic list"]);
}
