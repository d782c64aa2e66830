//! `oyez catalog`: what a catalog declares, and another one at a running broker.
#![forbid(unsafe_code)]

mod support;

use serde_json::json;
use support::{House, json, refused, stdout};

fn edit(house: &House, from: &str, to: &str) {
    let path = house.path().join("oyez.toml");
    let text = std::fs::read_to_string(&path).expect("the catalog");
    assert_eq!(text.matches(from).count(), 1, "{from}");
    std::fs::write(path, text.replace(from, to)).expect("the catalog");
}

#[test]
fn a_catalog_is_planned_and_applied_and_a_refusal_says_why() {
    let house = House::new();
    refused(&house.run(&["catalog", "plan", "oyez.toml"]), &["cannot connect", "oyez serve"]);
    let _broker = house.serve();
    let path = house.path().join("oyez.toml").canonicalize().expect("a path").display().to_string();
    assert_eq!(stdout(&house.run(&["catalog", "plan", "oyez.toml"])), format!("{path}: no difference\n"));

    edit(&house, "name = \"md\"", "name = \"md\"\nretention_h = 72");
    edit(
        &house,
        "name = \"bare\"",
        "name = \"news\"\nring_mib = 2\npublish = [\"self\"]\n\n[[topics]]\nname = \"bare\"",
    );
    let lines = "change topics.md.retention_h: 48 becomes 72: as new segments are wanted\n\
                 add topics.news (durable, partitions 1, ring_mib 2): at once\n";
    let planned = stdout(&house.run(&["catalog", "plan", "oyez.toml"]));
    assert_eq!(
        planned,
        format!(
            "{lines}{path}: differences 2; `oyez catalog apply` makes them, from the file that the broker was started with\n"
        )
    );
    refused(&house.run(&["publish", "news", "--sample", "1", "--messages", "10"]), &["news"]);
    assert_eq!(
        stdout(&house.run(&["catalog", "apply", "oyez.toml"])),
        format!("{lines}{path}: applied, differences 2\n")
    );
    stdout(&house.run(&["publish", "news", "--sample", "1", "--messages", "10"]));
    assert_eq!(stdout(&house.run(&["topic", "describe", "md"])).lines().filter(|line| line.contains("72")).count(), 1);

    edit(&house, "name = \"md\"", "name = \"md\"\npartitions = 2");
    edit(&house, "retention_h = 72", "retention_h = 96");
    for verb in ["plan", "apply"] {
        let told = house.run(&["catalog", verb, "oyez.toml", "--format", "json"]);
        assert_eq!(told.status.code(), Some(1), "{told:?}");
        let plan: serde_json::Value = serde_json::from_slice(&told.stdout).expect("a document");
        let why = "a key's messages would go to another partition than before; declare a new topic";
        let change = |place: &str, from: &str, to: &str, effect: &str, refused: Option<&str>| json!({ "place": place, "from": from, "to": to, "effect": effect, "refused": refused });
        let changes = [
            change("topics.md.partitions", "1", "2", "", Some(why)),
            change("topics.md.retention_h", "72", "96", "as new segments are wanted", None),
        ];
        assert_eq!(plan, json!({ "catalog": path, "problem": null, "applied": false, "changes": changes }));
    }
    let told = house.run(&["catalog", "apply", "oyez.toml"]);
    let last = String::from_utf8_lossy(&told.stdout).lines().last().map(str::to_owned);
    assert_eq!(last, Some(format!("{path}: differences 2, refused 1: nothing is applied")));

    edit(&house, "partitions = 2", "partitions = 0");
    refused(&house.run(&["catalog", "apply", "oyez.toml"]), &["oyez.toml: topics.md.partitions", "take 1 to 64"]);
}

#[test]
fn a_check_adds_up_as_the_broker_does_and_notes_cpus_that_are_not_there() {
    let house = House::new();
    let _broker = house.serve();
    let checked = house.run(&["catalog", "check", "oyez.toml", "--format", "json"]);
    assert!(checked.stderr.is_empty(), "{checked:?}");
    let stat = json(&house.run(&["stat", "--format", "json"])).remove(0);
    assert_eq!(json(&checked)[0]["memory_bytes"], stat["limits"]["memory_bytes"]["used"]);
    edit(&house, "segment_mib", "cores = [0, 4095]\nsegment_mib");
    let checked = house.run(&["catalog", "check", "oyez.toml"]);
    let noted = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success() && noted.contains("no CPU 4095") && !noted.contains("CPU 0 "), "{noted}");
}

#[test]
fn golden_a_catalog_is_drawn() {
    let house = House::new();
    let lanes = "[[topics.lanes]]\ncluster = \"primary\"\nkafka_topic = \"md\"\n\
                 [[topics.lanes]]\ncluster = \"dr\"\nkafka_topic = \"md.copy\"\n\n[[topics]]\nname = \"orders\"";
    edit(&house, "[[topics]]\nname = \"orders\"", lanes);
    edit(&house, "name = \"orders\"", "name = \"orders\"\npartitions = 4\nsubscribe = [\"*\", \"user:0\"]");
    let clusters = "[clusters.primary]\nbootstrap = \"kafka-1:9092,kafka-2:9092\"\n[clusters.dr]\nbootstrap = \"far:9092\"\n[schemas.sample]";
    edit(&house, "[schemas.sample]", clusters);
    edit(&house, "name = \"bare\"", "name = \"bare\"\nrecorded = false");
    let drawn = stdout(&house.run(&["catalog", "check", "oyez.toml", "--mermaid"]));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/catalog.mermaid");
    if std::env::var_os("OYEZ_BLESS").is_some() {
        std::fs::write(path, &drawn).expect("written");
    }
    assert_eq!(drawn, std::fs::read_to_string(path).expect("a golden file"));
    let same = json(&house.run(&["catalog", "check", "oyez.toml", "--mermaid", "--format", "json"])).remove(0);
    assert_eq!(same["mermaid"].as_str().map(|text| format!("{text}\n")), Some(drawn));
}
