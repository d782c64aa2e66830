//! A topic and its schema: what does not fit is refused with its place; a version is rolled while processes of the old
//! one stay attached.
#![forbid(unsafe_code)]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use oyez_sbe::Schema;
use serde_json::{Value, json};
use support::{House, hex_lines, json, refused, sample, stdout};

const PATIENCE: Duration = Duration::from_secs(60);

/// Version 1 of the sample's schema: `Health` has a field more, `Halt` is new.
fn newer() -> String {
    let field = r#"<field name="phase" id="3" type="Phase"/><field name="load" id="4" type="uint8" sinceVersion="1"/>"#;
    let halt = r#"<sbe:message name="Halt" id="7" sinceVersion="1"><field name="reason" id="1" type="uint8"/>
                  </sbe:message></sbe:messageSchema>"#;
    let xml = oyez_sample::SCHEMA_XML.replacen(r#"version="0""#, r#"version="1""#, 1);
    let xml = xml.replace(r#"<field name="phase" id="3" type="Phase"/>"#, field);
    xml.replace("</sbe:messageSchema>", halt)
}

/// The message that this is, in version 1.
fn encode(message: &Value) -> Vec<u8> {
    let schema = Schema::parse(&newer(), "newer.xml").expect("it is sound");
    let mut bytes = Vec::new();
    oyez_sbe::encode_json(&schema, message.to_string().as_bytes(), &mut bytes).expect("it is a message");
    bytes
}

fn health() -> Value {
    json!({"_t": "Health", "feedSequence": "7", "eventTime": "2026-01-31T08:00:00.000000000Z", "phase": "Open", "load": 42})
}

fn halt() -> Value {
    json!({"_t": "Halt", "reason": 9})
}

impl House {
    /// The catalog with both versions.
    fn roll(&self, topic: &str) {
        let catalog = fs::read_to_string(self.path().join("oyez.toml")).expect("the catalog");
        let catalog = catalog.replace(r#"file = "sample.xml""#, r#"files = ["sample.xml", "newer.xml"]"#);
        let catalog = catalog.replace("name = \"md\"\n", &format!("name = \"md\"\n{topic}"));
        fs::write(self.path().join("newer.xml"), newer()).expect("the schema");
        fs::write(self.path().join("oyez.toml"), catalog).expect("the catalog");
        stdout(&self.run(&["catalog", "check", "oyez.toml"]));
    }
}

/// A `tail` that goes on.
struct Tail {
    child: Child,
    lines: Receiver<String>,
}

impl Tail {
    fn start(house: &House, from: &str) -> Tail {
        let mut command = house.command(&["tail", "md", "--from", from, "--format", "json"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it runs");
        let (send, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Tail { child, lines }
    }

    /// The message of that sequence, which comes next but for events.
    fn message(&self, sequence: u64) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("it goes on");
            let line: Value = serde_json::from_str(&line).expect("JSON");
            if line["event"].is_null() {
                assert_eq!(line["sequence"], json!(sequence), "{line}");
                return line["message"].clone();
            }
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A `publish` that goes on.
struct Publish(Child, ChildStdin);

impl Publish {
    fn start(house: &House) -> Publish {
        let mut command = house.command(&["publish", "md"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
        let stdin = child.stdin.take().expect("a pipe");
        Publish(child, stdin)
    }

    fn publish(&mut self, message: &[u8]) {
        self.1.write_all(hex_lines([message]).as_bytes()).expect("it reads on");
    }

    /// What it says at its end.
    fn end(self) -> String {
        drop(self.1);
        stdout(&self.0.wait_with_output().expect("it ends"))
    }
}

#[test]
fn a_version_is_rolled_while_the_old_one_stays_attached() {
    let house = House::new();
    let mut broker = house.serve();
    let old = sample(3);
    let (mut old_publisher, old_tail) = (Publish::start(&house), Tail::start(&house, "earliest"));
    old_publisher.publish(&old[0]);
    let first = old_tail.message(0);
    let early = house.feed(&["publish", "orders"], hex_lines([encode(&health())]).as_bytes());
    refused(&early, &["stdin, line 1", "topic orders: a message of version 1 of schema 500, where 0 to 0 are allowed"]);

    house.roll("");
    broker.restart(&house);
    old_publisher.publish(&old[1]);
    old_tail.message(1);
    let said = old_publisher.end();
    assert!(said.contains("2 messages durable, epoch 1, sequences 0 to 1"), "one epoch, across both lives: {said}");
    let new =
        house.feed(&["publish", "md"], hex_lines([encode(&health()), encode(&halt()), old[2].clone()]).as_bytes());
    assert!(stdout(&new).contains("3 messages durable, epoch 2, sequences 2 to 4"), "{new:?}");

    // Who knows the old version only skips what is new in a message, and shows bytes of a message that is new.
    let mut known = health();
    known.as_object_mut().expect("an object").remove("load");
    let shown = old_tail.message(2);
    assert_eq!(shown["feedSequence"], known["feedSequence"], "{shown}");
    assert!(shown.get("load").is_none() && shown["_header"]["version"] == json!(1), "{shown}");
    let shown = old_tail.message(3);
    assert!(shown["_error"].as_str().is_some_and(|error| error.contains("template id 7")), "{shown}");
    let last = old_tail.message(4);

    let new_tail = Tail::start(&house, "earliest");
    assert_eq!(new_tail.message(0), first);
    new_tail.message(1);
    assert_eq!([new_tail.message(2), new_tail.message(3)], [health(), halt()]);
    assert_eq!(new_tail.message(4), last, "the old version again, by its own schema");

    // Both versions out of the journal, by the command that needs no broker.
    let dump = ["journal", "dump", "data", "md", "--from", "sequence:2", "--format", "json"];
    let dumped = json(&house.run(&[&dump[..], &["--schema", "sample.xml", "--schema", "newer.xml"]].concat()));
    let payloads: Vec<_> =
        dumped.iter().filter(|line| line["kind"] == "Message").map(|line| &line["payload"]).collect();
    assert_eq!(payloads, [&health(), &halt(), &last]);
}

#[test]
fn what_is_bound_is_told_and_enforced() {
    let house = House::new();
    house.roll("version_min = 1\ntemplates = [\"Health\", \"Halt\"]\n");
    let _broker = house.serve();
    let told = json(&house.run(&["topic", "describe", "md", "--format", "json"])).remove(0);
    let binding = (&told["schema_id"], &told["version_min"], &told["version_max"], &told["template_ids"]);
    assert_eq!(binding, (&json!(500), &json!(1), &json!(1), &json!([6, 7])));
    let text = stdout(&house.run(&["topic", "describe", "md"]));
    assert!(text.contains("sample, id 500, versions 1 to 1, templates [6, 7]"), "{text}");
    let bare = json(&house.run(&["topic", "describe", "bare", "--format", "json"])).remove(0);
    assert_eq!((&bare["schema_id"], &bare["version_max"]), (&Value::Null, &Value::Null));
    assert!(stdout(&house.run(&["topic", "describe", "bare"])).contains("schema      none\n"));

    let publish = |more: &[&str], messages: &[&[u8]]| {
        house.feed(&[&["publish", "md"], more].concat(), hex_lines(messages).as_bytes())
    };
    let (health, halt) = (encode(&health()), encode(&halt()));
    let mut old = health.clone();
    old[6] = 0;
    let mut other = halt.clone();
    other[4] = 0;
    let order = sample(50).into_iter().find(|message| message[2] == 2).map(|mut order| {
        order[6] = 1;
        order
    });
    let misfits = [
        (old, "a message of version 0 of schema 500, where 1 to 1 are allowed"),
        (other, "a message of schema 256, where 500 is allowed"),
        (order.expect("an order update"), "a message of template 2 of schema 500, where [6, 7] are allowed"),
    ];
    for (misfit, found) in misfits {
        let wrong = publish(&[], &[&halt, &misfit]);
        refused(&wrong, &["stdin, line 2: topic md: ", found, "allow it in the catalog", "1 messages were published"]);
        let wrong = publish(&["--headers-only"], &[&misfit]);
        refused(&wrong, &["stdin, line 1: topic md: ", found]);
    }
    // A body that is cut short is for the tool to find, and to let pass where it is told to.
    refused(&publish(&[], &[&health[..20]]), &["stdin, line 1: topic md: ", "cut short"]);
    assert!(stdout(&publish(&["--headers-only"], &[&health[..20]])).contains("1 messages durable"));
}

#[test]
fn a_capture_that_does_not_fit_is_refused_with_its_frame() {
    let house = House::new();
    let _broker = house.serve();
    let mut packet = vec![0; 16];
    for message in [&sample(1)[0][..], &encode(&halt())] {
        packet.extend_from_slice(&(message.len() as u16 + 4).to_le_bytes());
        packet.extend_from_slice(&0xEB50_u16.to_le_bytes());
        packet.extend_from_slice(message);
    }
    fs::write(house.path().join("feed.pcap"), capture(&packet)).expect("a capture");
    let wrong = house.run(&["import", "pcap", "feed.pcap", "--topic", "md", "--framing", "b3"]);
    let parts = ["feed.pcap: frame 1: topic md: a message of version 1 of schema 500, where 0 to 0", "allow it in the"];
    refused(&wrong, &parts);
}

/// A capture of one UDP datagram, over raw IPv4.
fn capture(payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend_from_slice(&(28 + payload.len() as u16).to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2]);
    packet.extend_from_slice(&(8 + payload.len() as u16).to_be_bytes());
    packet.extend_from_slice(&[0, 0]);
    packet.extend_from_slice(payload);
    let length = packet.len() as u32;
    let header = [0xA1B2_C3D4, 0x0004_0002, 0, 0, 65_535, 101, 0, 0, length, length];
    header.iter().flat_map(|word: &u32| word.to_le_bytes()).chain(packet).collect()
}
