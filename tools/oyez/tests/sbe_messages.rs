//! `oyez sbe dump` and `encode`: what goes in comes out again, and bad input is one line with place and remedy.
#![forbid(unsafe_code)]

mod support;

use std::fs;
use std::process::Output;

use support::{House, hex_lines, refused, sample};

#[track_caller]
fn done(output: Output) -> Vec<u8> {
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    output.stdout
}

#[test]
fn what_is_dumped_is_encoded_to_the_same_bytes() {
    let house = House::new();
    let messages = sample(500);
    fs::write(house.path().join("messages"), messages.concat()).expect("a file");
    let json = done(house.run(&["sbe", "dump", "messages", "--schema", "sample.xml"]));
    assert_eq!(json.iter().filter(|byte| **byte == b'\n').count(), 500);
    fs::write(house.path().join("messages.jsonl"), &json).expect("a file");
    let encode = |encoding| {
        done(house.run(&["sbe", "encode", "messages.jsonl", "--schema", "sample.xml", "--encoding", encoding]))
    };
    assert_eq!(encode("raw"), messages.concat());
    assert_eq!(encode("hex"), hex_lines(&messages).into_bytes());
    let prefixed = messages.iter().flat_map(|message| [&(message.len() as u32).to_le_bytes(), &message[..]].concat());
    assert_eq!(encode("length-prefixed"), prefixed.collect::<Vec<_>>());

    // Behind a framing header each, as JSON for programs.
    let sofh = |message: &Vec<u8>| [&(message.len() as u32 + 6).to_be_bytes()[..], &[0xEB, 0x50], message].concat();
    fs::write(house.path().join("framed"), messages.iter().flat_map(sofh).collect::<Vec<_>>()).expect("a file");
    let framed = ["--format", "json", "sbe", "dump", "framed", "--schema", "sample.xml", "--framing", "sofh"];
    let lines = String::from_utf8(done(house.run(&framed))).expect("UTF-8");
    let inner: String = lines
        .lines()
        .map(|line| line.strip_prefix("{\"message\":").and_then(|line| line.strip_suffix('}')).expect("an object"))
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_eq!(inner.into_bytes(), json);
}

/// A packet of each venue, with the same messages.
#[test]
fn packets_of_every_venue_are_cut_into_messages() {
    let house = House::new();
    let messages = sample(12);
    let sized = |prefix: usize, between: &[u8]| -> Vec<u8> {
        let framed =
            |message: &Vec<u8>| [&((message.len() + prefix) as u16).to_le_bytes()[..], between, message].concat();
        messages.iter().flat_map(framed).collect()
    };
    let body = sized(2, &[]);
    // An LZ4 block of nothing but literals.
    let mut more = vec![255; (body.len() - 15) / 255];
    more.push(((body.len() - 15) % 255) as u8);
    let compressed = [&[0xF0][..], &more, &body].concat();
    let flags = |flags: u8| [&[0; 12][..], &[flags, 0, 7, 0]].concat();
    let packets = [
        ("b3", [vec![0; 16], sized(4, &[0x50, 0xEB])].concat()),
        ("cme", [&[0; 12][..], &body].concat()),
        ("cme", [&[0xFE, 0xCA][..], &[0; 12], &body].concat()),
        ("optiq", [flags(0), body.clone()].concat()),
        ("optiq", [flags(1), compressed.clone()].concat()),
    ];
    fs::write(house.path().join("plain"), messages.concat()).expect("a file");
    let expected = done(house.run(&["sbe", "dump", "plain", "--schema", "sample.xml"]));
    for (framing, packet) in packets {
        fs::write(house.path().join("packet"), &packet).expect("a file");
        let dump = ["sbe", "dump", "packet", "--schema", "sample.xml", "--framing", framing];
        assert_eq!(done(house.run(&dump)), expected, "{framing}");
        fs::write(house.path().join("packet"), &packet[..packet.len() - 1]).expect("a file");
        let cut = house.run(&dump);
        assert_eq!(cut.status.code(), Some(2), "{framing}: {cut:?}");
        assert!(String::from_utf8_lossy(&cut.stderr).starts_with("oyez: packet: "), "{cut:?}");
    }
}

#[test]
fn bad_input_is_one_line_with_place_and_remedy() {
    let house = House::new();
    let write = |name: &str, bytes: &[u8]| fs::write(house.path().join(name), bytes).expect("a file");
    let dump = |rest: &[&str]| house.run(&[&["sbe", "dump"], rest].concat());
    let messages = sample(2).concat();
    write("cut", &messages[..messages.len() - 1]);
    write("pcapng", &[0x0A, 0x0D, 0x0D, 0x0A]);
    write("not.xml", b"text");
    write("other.xml", b"<html/>");
    let schema = ["--schema", "sample.xml"];
    let cut = house.run(&["sbe", "dump", "cut", "--schema", "sample.xml"]);
    let said = String::from_utf8_lossy(&cut.stderr);
    assert_eq!((cut.status.code(), said.lines().count()), (Some(2), 1), "{cut:?}");
    assert!(said.starts_with("oyez: cut: at byte ") && said.contains("cut short"), "{said}");
    refused(&dump(&["absent", schema[0], schema[1]]), &["absent", "No such file", "check the path"]);
    refused(&dump(&["pcapng", schema[0], schema[1]]), &["pcapng", "editcap -F pcap"]);
    refused(&dump(&["cut", "--schema", "not.xml"]), &["not.xml:1", "XML", "correct it"]);
    refused(&dump(&["cut", "--schema", "other.xml"]), &["other.xml:1:1", "html"]);
    write("framed", &[&[0; 16][..], &messages].concat());
    refused(&dump(&["framed", schema[0], schema[1]]), &["framed: at byte 0", "--framing"]);
    let zipped = "1f8b08000000000002032b49ad280100c7a78b3b04000000";
    let pairs = (0..zipped.len()).step_by(2);
    write("zipped", &pairs.map(|at| u8::from_str_radix(&zipped[at..at + 2], 16).expect("hex")).collect::<Vec<_>>());
    refused(&dump(&["zipped", schema[0], schema[1]]), &["zipped", "gunzip"]);
    write("empty", b"");
    let empty = dump(&["empty", schema[0], schema[1]]);
    let said = String::from_utf8_lossy(&empty.stderr);
    assert!(empty.status.success() && said.starts_with("oyez: empty: no message in it"), "{empty:?}");
    let twice = ["cut", schema[0], schema[1], schema[0], schema[1]];
    refused(&dump(&twice), &["given twice", "leave one out"]);
    refused(
        &dump(&["cut", schema[0], schema[1], "--framing", "sofh"]),
        &["cut: at byte 4", "encoding type", "not SOFH"],
    );
    refused(
        &dump(&["not.xml", schema[0], schema[1], "--framing", "optiq"]),
        &["not.xml", "4 bytes, fewer than the 16"],
    );

    let encode = |json: &str| {
        write("in.jsonl", json.as_bytes());
        house.run(&["sbe", "encode", "in.jsonl", "--schema", "sample.xml"])
    };
    refused(&encode("\n{\"_t\":\n\n"), &["in.jsonl: line 2, column 7", "expected a value", "correct it"]);
    refused(&encode("{\"_t\":\"Nope\"}"), &["column 7: _t: ", "has no message `Nope`", "OrderUpdate"]);
    refused(&encode("{\"_t\":\"Health\",\"x\":1}"), &["line 1, column 1: ", "is missing or null, and required"]);
    refused(
        &house.run(&["sbe", "encode", "absent", "--schema", "sample.xml"]),
        &["absent", "cannot read", "check the path"],
    );
}
