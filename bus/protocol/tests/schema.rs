//! What is sent against the schema: a decoder that knows only the XML must read the same values.

use oyez_protocol::SCHEMA_XML;
use oyez_sbe::{Schema, decode_json};

const GOLDEN: &str = include_str!("golden/messages.hex");

fn golden() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let byte = |line: &str, at: usize| u8::from_str_radix(&line[at..at + 2], 16).expect("hex");
    let bytes = move |line: &str| (0..line.len()).step_by(2).map(|at| byte(line, at)).collect();
    GOLDEN.lines().filter_map(|line| line.split_once(' ')).map(move |(name, line)| (name, bytes(line)))
}

#[test]
fn every_golden_message_is_whole_by_the_schema() {
    let schema = Schema::parse(SCHEMA_XML, "oyez-protocol.xml").expect("a schema");
    assert_eq!((schema.id, schema.version), (oyez_protocol::SCHEMA_ID, oyez_protocol::VERSION));
    for (name, bytes) in golden() {
        let mut json = Vec::new();
        let length = decode_json(&schema, &bytes, &mut json).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(length, bytes.len(), "{name}");
    }
}

#[test]
fn the_schema_reads_the_values_that_were_written() {
    let schema = Schema::parse(SCHEMA_XML, "oyez-protocol.xml").expect("a schema");
    let json = |wanted: &str| {
        let (_, bytes) = golden().find(|(name, _)| *name == wanted).expect("golden bytes");
        let mut json = Vec::new();
        decode_json(&schema, &bytes, &mut json).expect("decoded");
        String::from_utf8(json).expect("text")
    };
    let topic = json("Topic");
    for part in ["md.equities", "\"optiq\"", "1001", "1002", "4711", "Durable", "owned"] {
        assert!(topic.contains(part), "{part} is not in {topic}");
    }
    let epochs = json("Epochs");
    for part in ["286326784", "286326776", "8738", "16909060"] {
        assert!(epochs.contains(part), "{part} is not in {epochs}");
    }
    assert!(json("Failure").contains("UnknownTopic"));
    assert!(json("NotGranted").contains("Taken"));
}
