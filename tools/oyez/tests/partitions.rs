//! A topic of several partitions by the commands: published by key or number, shown one, some or all.
#![forbid(unsafe_code)]

mod support;

use serde_json::{Value, json};
use support::{House, json, stdout};

const CATALOG: &str = "[broker]
name = \"test\"
data = \"data\"
socket = \"bus.sock\"
segment_mib = 4

[[topics]]
name = \"orders\"
partitions = 4
ring_mib = 2
publish = [\"self\"]

[[topics]]
name = \"single\"
ring_mib = 2
publish = [\"self\"]
";

#[test]
fn a_key_chooses_the_partition_and_tail_shows_one_some_or_all() {
    let house = House::new();
    std::fs::write(house.path().join("oyez.toml"), CATALOG).expect("the catalog");
    let _broker = house.serve();
    for (place, message, partition) in [
        (["--key", "EURUSD"], b"0801020304050607", 3),
        (["--key", "FR0000131104"], b"1801020304050607", 2),
        (["--key", "EURUSD"], b"2801020304050607", 3),
        (["--partition", "0"], b"3801020304050607", 0),
    ] {
        let output = house.feed(&[&["publish", "orders", "--format", "json"][..], &place].concat(), message);
        assert_eq!(json(&output)[0]["partition"], json!(partition));
        let said = String::from_utf8_lossy(&output.stderr);
        let expected = format!("belongs to partition {partition} of 4");
        assert_eq!(said.contains(&expected), place[0] == "--key", "{said}");
    }
    stdout(&house.feed(&["publish", "single"], b"4801020304050607"));
    let shown = |partition: &str, messages: &str| {
        let tail = ["tail", "orders", "--from", "earliest", "--partition", partition, "--messages", messages];
        let told = json(&house.run(&[&tail[..], &["--format", "json"]].concat())).into_iter();
        let messages = told.filter(|line| line["event"].is_null());
        let place =
            |line: Value| (line["partition"].as_u64(), line["sequence"].as_u64(), line["message"]["_hex"].clone());
        let mut places: Vec<_> = messages.map(place).collect();
        places.sort_by_key(|(partition, sequence, _)| (*partition, *sequence));
        places
    };
    let all = [
        (Some(0), Some(0), json!("3801020304050607")),
        (Some(2), Some(0), json!("1801020304050607")),
        (Some(3), Some(0), json!("0801020304050607")),
        (Some(3), Some(1), json!("2801020304050607")),
    ];
    assert_eq!(shown("all", "4"), all);
    assert_eq!(shown("2,0", "2"), all[..2]);
    assert_eq!(shown("3", "2"), all[2..]);
    let text = stdout(&house.run(&["tail", "single", "--partition", "all", "--from", "earliest", "--messages", "1"]));
    assert!(text.lines().any(|line| line.starts_with("0/0 ")), "{text}");
    let text = stdout(&house.run(&["tail", "orders", "--partition", "all", "--from", "earliest", "--messages", "4"]));
    assert!(text.lines().any(|line| line.starts_with("3/1 ")), "{text}");
    assert!(text.lines().any(|line| line == "-- 1/CaughtUp: sequence 0 comes next"), "{text}");

    // Behind the note that the topic has no schema.
    let refused = |arguments: &[&str], part: &str| {
        let output = house.run(&[&["tail", "orders"][..], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(2) && said.lines().nth(1).is_some_and(|line| line.contains(part)),
            "{said}"
        );
    };
    refused(&["--partition", "4"], "orders/4");
    let part = "topic orders: a sequence counts within one of its 4 partitions";
    refused(&["--partition", "all", "--from", "sequence:1"], part);
}
