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
    refused(&publish("bare", &hex_lines([[1; 5_000]])), &["topic bare", "5000"]);
    refused(&publish("bare", &hex_lines([[1; 3]])), &["topic bare", "3"]);
    refused(&house.run(&["publish", "md", "--file", "absent.hex"]), &["absent.hex", "check the path"]);
    refused(&house.run(&["journal", "verify", "data", "nope"]), &["nope", "there are"]);
    refused(&house.run(&["journal", "dump", "data", "nope"]), &["nope", "oyez journal list"]);
}
