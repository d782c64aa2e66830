//! Bad input: each is refused in one line with thing, place and remedy, exit code 2, and no panic.
#![forbid(unsafe_code)]

mod support;

use std::fs;

use support::{House, hex_lines, refused, sample};

#[test]
fn what_needs_no_broker() {
    let house = House::new();
    let path = |name: &str| house.path().join(name);
    let catalog = fs::read_to_string(path("oyez.toml")).expect("the catalog");

    fs::write(path("broken.toml"), catalog.replace("ring_mib", "ring_mb")).expect("a file");
    refused(&house.run(&["catalog", "check", "broken.toml"]), &["broken.toml:13", "ring_mb", "ring_mib"]);
    refused(&house.run(&["doctor", "--catalog", "broken.toml"]), &["broken.toml:13", "ring_mb", "ring_mib"]);
    refused(&house.run(&["catalog", "check", "absent.toml"]), &["absent.toml", "cannot read", "name an existing file"]);
    fs::write(path("broken.xml"), "<messageSchema").expect("a file");
    fs::write(path("schema.toml"), catalog.replace("sample.xml", "broken.xml")).expect("a file");
    refused(&house.run(&["catalog", "check", "schema.toml"]), &["broken.xml", "XML", "correct it"]);
    refused(&house.run(&["serve", "--catalog", "schema.toml"]), &["broken.xml", "XML", "correct it"]);

    for (key, place) in [("data", "/proc/oyez"), ("socket", "/absent/bus.sock")] {
        let text = catalog
            .lines()
            .map(|line| if line.starts_with(key) { format!("{key} = \"{place}\"\n") } else { format!("{line}\n") });
        fs::write(path("place.toml"), text.collect::<String>()).expect("a file");
        refused(&house.run(&["serve", "--catalog", "place.toml"]), &[place, "let this user write"]);
    }

    for command in [&["tail", "md"][..], &["topic", "list"], &["topic", "describe", "md"], &["publish", "md"]] {
        refused(&house.run(command), &["bus.sock", "is the broker running (`oyez serve`)"]);
    }
    refused(&house.run(&["journal", "verify", "absent"]), &["absent", "cannot list", "the catalog calls `data`"]);
    fs::create_dir(path("empty")).expect("a folder");
    refused(&house.run(&["journal", "list", "empty"]), &["empty", "no journal", "the catalog calls `data`"]);
    fs::write(path("capture"), b"something else").expect("a file");
    let import = ["import", "pcap", "capture", "--topic", "md", "--framing", "b3"];
    refused(&house.run(&import), &["capture", "this is no capture", "name a .pcap"]);
}

/// A schema with these types and this content of its one message.
fn schema(types: &str, members: &str) -> String {
    let member = |name: &str, primitive: &str| format!("<type name='{name}' primitiveType='{primitive}'/>");
    let header = ["blockLength", "templateId", "schemaId", "version"].map(|name| member(name, "uint16")).concat();
    let counts = member("blockLength", "uint16") + &member("numInGroup", "uint32");
    format!(
        "<messageSchema package='p' id='1' version='0'><types><composite name='messageHeader'>{header}</composite>\n\
         <composite name='groupSizeEncoding'>{counts}</composite>\n{types}</types>\n\
         <message name='M' id='1'>\n{members}</message></messageSchema>"
    )
}

#[test]
fn what_is_no_schema() {
    let house = House::new();
    let circle = "<composite name='a'><ref name='x' type='b'/></composite><composite name='b'><ref name='y' type='a'/></composite>";
    let overlap = "<field name='f' id='1' type='int32'/>\n<field name='g' id='2' type='int8' offset='2'/>";
    let cases: [(Vec<u8>, [&str; 2]); 7] = [
        (b"price,quantity\n1,2\n".into(), [":1:1: not well-formed XML", "correct it there"]),
        (b"<messageSchema>\n\xE9".into(), [":2:1: the text is not UTF-8", "save the file as UTF-8"]),
        (b"<html/>".into(), [":1:1: the root element is <html>", "begins with <messageSchema>"]),
        (schema(circle, "").into(), [":3:1: composite \"a\" contains itself", "break the circle of references"]),
        (
            schema("", "</message>\n<message name='N' id='1'>").into(),
            [":6:1: message id \"1\" is declared a second time (first at line 4)", "rename or remove one"],
        ),
        (schema("", overlap).into(), [":6:36: \"g\" is at offset 2", "raise the offset or remove it"]),
        (
            schema("", "<group name='g' id='1' blockLength='2'><field name='f' id='1' type='int32'/></group>").into(),
            [":5:24: blockLength 2 is less than the 4 bytes", "raise it or remove it"],
        ),
    ];
    for (xml, parts) in cases {
        fs::write(house.path().join("bad.xml"), xml).expect("a file");
        for command in [&["sbe", "check", "bad.xml"][..], &["sbe", "dump", "sample.xml", "--schema", "bad.xml"]] {
            refused(&house.run(command), &[&format!("bad.xml{}", parts[0]), parts[1]]);
        }
    }
}

#[test]
fn what_is_no_message() {
    let house = House::new();
    let full = schema("", "<group name='g' id='1'><field name='f' id='2' type='int64'/></group>");
    let empty = schema("", "<group name='g' id='1'/>");
    let head = |schema_id: u8| [0, 0, 1, 0, schema_id, 0, 0, 0];
    let four_billion = [&head(1)[..], &[0, 0, 255, 255, 255, 255]].concat();
    let beyond = [&head(1)[..], &[8, 0, 200, 0, 0, 0, 1, 2, 3]].concat();
    let cases = [
        (&empty, &four_billion[..], ["group g at byte 8 brings", "above 65535; the message is damaged"]),
        (&full, &four_billion, ["group g at byte 8 brings", "above 65535; the message is damaged"]),
        (&full, &beyond, ["200 entries of 8 bytes in group g at byte 14 needs 1600 bytes and 3 are left", "cut short"]),
        (&full, &beyond[..13], ["the dimension of group g at byte 8 needs 6 bytes and 5 are left", "cut short"]),
        (&full, &head(1)[..7], ["the message header at byte 0 needs 8 bytes and 7 are left", "cut short"]),
        (&full, &head(9), ["no schema given has the id 9", "give that schema too"]),
    ];
    for (xml, bytes, parts) in cases {
        fs::write(house.path().join("schema.xml"), xml).expect("a file");
        fs::write(house.path().join("bad"), bytes).expect("a file");
        let dump = house.run(&["sbe", "dump", "bad", "--schema", "schema.xml"]);
        refused(&dump, &[&["bad: at byte 0: ", parts[0]].concat(), parts[1]]);
    }
}

#[test]
fn what_a_broker_refuses() {
    let house = House::new();
    let _broker = house.serve();
    for command in [&["tail", "nope"][..], &["topic", "describe", "nope"], &["publish", "nope"]] {
        refused(&house.run(command), &["nope", "`oyez topic list` shows"]);
    }
    refused(&house.run(&["serve", "--catalog", "oyez.toml"]), &["another broker", "stop it first"]);
    refused(&house.run(&["tail", "md", "--from", "sequence:7"]), &["md", "7"]);

    let messages = sample(8);
    let order = messages.iter().find(|message| message[2] == 2).expect("an order update");
    let other = messages.iter().find(|message| message[2] != 2).expect("another message");
    let long = [&order[..], &[0]].concat();
    let publish = |topic: &str, input: &str| house.feed(&["publish", topic], input.as_bytes());

    let wrong = publish("orders", &hex_lines([order, other]));
    refused(
        &wrong,
        &["stdin, line 2", "where [2] are allowed", "allow it in the catalog", "1 messages were published"],
    );
    refused(&publish("md", &hex_lines([&long])), &["stdin, line 1", "1 bytes follow", "cut them off"]);
    refused(&publish("md", &hex_lines([&order[..20]])), &["stdin, line 1", "topic md", "cut short"]);
    refused(&publish("md", "00zz"), &["stdin, line 1", "`z`", "write 0-9, a-f"]);
    refused(&publish("bare", &hex_lines([vec![1; 524_289]])), &["topic bare", "524289", "8 to 524288 bytes fit"]);
    refused(&publish("bare", &hex_lines([[1; 3]])), &["topic bare", "3"]);
    refused(&house.run(&["publish", "md", "--file", "absent.hex"]), &["absent.hex", "check the path"]);
    refused(&house.run(&["journal", "verify", "data", "nope"]), &["nope", "there are"]);
    refused(&house.run(&["journal", "dump", "data", "nope"]), &["nope", "oyez journal list"]);
}
