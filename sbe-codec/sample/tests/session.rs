//! The generator against its schema, and against itself.

use std::collections::{BTreeMap, HashMap};

use oyez_sample::{MESSAGE_BYTES_MAX, Phase, SCHEMA_ID, SCHEMA_XML, Session};
use oyez_sbe::{Schema, decode_json};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn schema() -> Schema {
    Schema::parse(SCHEMA_XML, "oyez-sample.xml").expect("it is sound")
}

/// The first messages of a session.
fn messages(mut session: Session, count: usize) -> Vec<Vec<u8>> {
    let mut buffer = [0xAA; MESSAGE_BYTES_MAX];
    (0..count).map(|_| session.next(&mut buffer).to_vec()).collect()
}

fn json(schema: &Schema, message: &[u8]) -> (String, Value) {
    let mut out = Vec::new();
    assert_eq!(decode_json(schema, message, &mut out), Ok(message.len()));
    let text = String::from_utf8(out).expect("JSON is UTF-8");
    let value = serde_json::from_str(&text).expect("it is JSON");
    (text, value)
}

/// `OYEZ_BLESS=1` writes the golden file anew: what digests of sessions were made with changes then.
fn check_golden(name: &str, text: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("OYEZ_BLESS").is_some() {
        std::fs::write(&path, text).expect("the golden file can be written");
    }
    assert_eq!(text, std::fs::read_to_string(&path).expect("the golden file is there"));
}

#[test]
fn the_bytes_of_seed_1_are_those_of_the_golden_digest() {
    let mut digest = Sha256::new();
    for message in messages(Session::new(1), 10_000) {
        digest.update((message.len() as u32).to_le_bytes());
        digest.update(&message);
    }
    let hex: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    check_golden("seed-1.sha256", &format!("{hex}\n"));
}

/// The first message of each kind and length, so that every encoder is held against the schema by its JSON.
#[test]
fn the_json_of_each_kind_is_that_of_the_golden_file() {
    let schema = schema();
    let mut first = BTreeMap::new();
    for message in messages(Session::new(1), 10_000) {
        let (text, value) = json(&schema, &message);
        let key = (value["_t"].as_str().expect("it has a name").to_owned(), message.len());
        first.entry(key).or_insert(text);
    }
    let text: String = first.values().map(|line| format!("{line}\n")).collect();
    check_golden("seed-1.jsonl", &text);
}

#[test]
fn every_message_has_its_size_and_decodes_without_anything_unknown() {
    let schema = schema();
    assert_eq!(schema.id, SCHEMA_ID);
    let mut sizes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for message in messages(Session::of(7, 20_000), 20_000) {
        let (text, value) = json(&schema, &message);
        assert!(!text.contains("_unknown") && !text.contains("_enc"), "{text}");
        let name = value["_t"].as_str().expect("it has a name").to_owned();
        let sizes = sizes.entry(name).or_default();
        sizes.push(message.len());
        sizes.sort_unstable();
        sizes.dedup();
    }
    let expected = [
        ("FullTrade", vec![462, 502]),
        ("Health", vec![25]),
        ("MarketUpdate", vec![51]),
        ("OrderEntry", vec![72, 77, 84]),
        ("OrderUpdate", vec![68]),
        ("Quote", vec![62]),
    ];
    assert_eq!(sizes, expected.map(|(name, sizes)| (name.to_owned(), sizes)).into());
}

#[test]
fn the_feed_is_dense_rises_in_time_and_its_orders_exist() {
    let schema = schema();
    let mut orders: HashMap<(u64, u64), ()> = HashMap::new();
    let mut last_time = String::new();
    for (at, message) in messages(Session::new(3), 50_000).iter().enumerate() {
        let (text, value) = json(&schema, message);
        assert_eq!(value["feedSequence"], at.to_string());
        let time = value["eventTime"].as_str().or(value["sentTime"].as_str()).expect("it has a time").to_owned();
        assert!(time > last_time, "{text}");
        last_time = time;
        let Some(order) = value["orders"].get(0) else { continue };
        let number = |name: &str| order[name].as_str().and_then(|text| text.parse::<u64>().ok());
        let instrument = order["instrument"].as_u64().expect("it is a number");
        let priority = number("priority").expect("it has one");
        let known = match order["action"].as_str() {
            Some("Added") => orders.insert((instrument, priority), ()).is_none(),
            Some("Changed") => {
                let previous = number("previousPriority").expect("a changed order has one");
                orders.remove(&(instrument, previous)).is_some() && orders.insert((instrument, priority), ()).is_none()
            }
            _ => orders.remove(&(instrument, priority)).is_some(),
        };
        assert!(known, "{text}");
    }
    assert!(!orders.is_empty());
}

#[test]
fn a_session_has_its_phases_and_then_begins_again() {
    let mut session = Session::of(1, 1_000);
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    let mut count = HashMap::new();
    let mut order = Vec::new();
    for _ in 0..1_000 {
        *count.entry(session.phase()).or_insert(0) += 1;
        if order.last() != Some(&session.phase()) {
            order.push(session.phase());
        }
        session.next(&mut buffer);
    }
    assert_eq!(order, Phase::ALL);
    let expected = [(Phase::Open, 100), (Phase::Quiet, 300), (Phase::Burst, 450), (Phase::Close, 150)];
    assert_eq!(count, HashMap::from(expected));
    assert_eq!(session.phase(), Phase::Open);
    // A session too short for four phases has those that fit.
    let mut short = Session::of(1, 1);
    short.next(&mut buffer);
    assert_eq!(short.phase(), Phase::Open);
}

#[test]
fn a_seed_is_a_session() {
    let one = messages(Session::new(1), 100);
    assert_eq!(one, messages(Session::new(1), 100));
    assert_ne!(one, messages(Session::new(2), 100));
}

#[test]
#[should_panic(expected = "a buffer of MESSAGE_BYTES_MAX bytes")]
fn a_short_buffer_is_a_mistake_at_once() {
    Session::new(1).next(&mut [0; MESSAGE_BYTES_MAX - 1]);
}
