//! The whole way out: a real broker, the `oyez-gateway` binary, a real Kafka, and a read_committed reader that is not
//! ours. What it reads is held against the journal on disk, line by line.
#![forbid(unsafe_code)]

#[path = "../support/kafka_topic.rs"]
mod kafka_topic;
#[path = "../../../bus/client/tests/support/keeper.rs"]
mod keeper;
mod publishing;
mod stage;

use kafka_topic::within;
use oyez_sbe::framing::{b3, pcap};
use publishing::Publishing;
use stage::{Stage, Tools};
use std::path::Path;
use std::time::Duration;

#[test]
fn captures_are_the_same_bytes_out_of_kafka() {
    let shared = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared"));
    if !shared.is_dir() {
        return eprintln!("SKIPPED captures_are_the_same_bytes_out_of_kafka: ../shared is absent");
    }
    let schema = shared.join("schemas/b3-umdf/B3.Equities.BinaryUmdf.Sbe.v1.7.xml");
    for (file, count) in [("Incremental.pcap.gz", 10_884), ("Instrument.pcap.gz", 2_515)] {
        let Some(tools) = Tools::find("captures_are_the_same_bytes_out_of_kafka") else { return };
        let messages = messages_of(&shared.join("data/b3-umdf").join(file));
        assert_eq!(messages.len(), count, "{file}: messages of the capture");

        let stage = Stage::new(&tools, &[&schema]);
        let gateway = stage.gateway();
        let mut publisher = publishing::open(&stage.bus(), stage.topic());
        messages.iter().for_each(|message| publishing::publish(&mut publisher, message));
        drop(publisher);
        let progress = tools.kafka.progress();
        within("the lane has it all", || (progress() == count as u64).then_some(()));
        gateway.stop();

        let journal = stage.stop();
        assert!(journal.iter().map(|line| &line.bytes).eq(&messages), "{file}: the journal differs");
        stage::assert_same(&tools.committed(), &journal);
    }
}

/// What the capture holds, cut out of its packets.
fn messages_of(capture: &Path) -> Vec<Vec<u8>> {
    let mut payloads = pcap::payloads(capture).expect("it is a capture");
    let mut messages = Vec::new();
    while let Some(payload) = payloads.next_payload().expect("it is whole") {
        let packet = b3::Packet::parse(payload.bytes).expect("it is B3's");
        messages.extend(packet.messages().map(|message| message.expect("the packet is whole").to_vec()));
    }
    messages
}

/// Version 1, and with `version` replaced another: the messages are the same.
const SCHEMA: &str = r#"<messageSchema package="roll" id="7" version="1"><types>
    <composite name="messageHeader">
      <type name="blockLength" primitiveType="uint16"/><type name="templateId" primitiveType="uint16"/>
      <type name="schemaId" primitiveType="uint16"/><type name="version" primitiveType="uint16"/>
    </composite></types>
  <message name="Beat" id="1"><field name="number" id="1" type="uint64"/></message></messageSchema>"#;

#[test]
fn a_version_is_rolled_under_a_gateway_and_a_publisher_that_stay_attached() {
    let Some(tools) = Tools::find("a_version_is_rolled_under_a_gateway_and_a_publisher_that_stay_attached") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (folder.path().join("1.xml"), folder.path().join("2.xml"));
    std::fs::write(&old, SCHEMA).expect("a schema");
    std::fs::write(&new, SCHEMA.replace("version=\"1\"", "version=\"2\"")).expect("a schema");
    let message = |version: u8, number: u64| [&[8, 0, 1, 0, 7, 0, version, 0], &number.to_le_bytes()[..]].concat();

    let stage = Stage::new(&tools, &[&old]);
    let (gateway, progress) = (stage.gateway(), tools.kafka.progress());
    let mut publisher = publishing::open(&stage.bus(), stage.topic());
    (0..100).for_each(|number| publishing::publish(&mut publisher, &message(1, number)));
    within("the lane has the old version", || (progress() == 100).then_some(()));
    let misfit = publisher.offer(&message(2, 100)).expect_err("nobody knows that version");
    assert!(misfit.to_string().contains("version 2 of schema 7, where 0 to 1 are allowed"), "{misfit}");

    stage.roll(&[&old, &new]);
    within("the publisher may", || publisher.offer(&message(2, 100)).ok()?.published());
    (101..200).for_each(|number| publishing::publish(&mut publisher, &message(1 + number as u8 % 2, number)));
    within("the lane has both versions", || (progress() == 200).then_some(()));
    assert_eq!(publisher.epoch().0, 1);
    drop(publisher);
    gateway.stop();
    let journal = stage.stop();
    assert_eq!(journal.iter().filter(|line| line.bytes[6] == 2).count(), 51);
    stage::assert_same(&tools.committed(), &journal);
}

#[test]
fn a_killed_gateway_leaves_every_message_once() {
    let kills = std::env::var("OYEZ_KILLS_GATEWAY").map_or(5, |kills| kills.parse().expect("a count"));
    let Some(tools) = Tools::find("a_killed_gateway_leaves_every_message_once") else { return };
    let stage = Stage::new(&tools, &[]);
    let publishing = Publishing::start(stage.bus(), stage.topic());
    let progress = tools.kafka.progress();
    for kill in 0..kills {
        let gateway = stage.gateway();
        if kill % 2 == 0 {
            // In the stream, at any moment of a transaction.
            let before = progress();
            within("the lane goes on", || (progress() > before).then_some(()));
        }
        std::thread::sleep(Duration::from_millis(publishing::mix(kill) % if kill % 2 == 0 { 200 } else { 1500 }));
        gateway.kill();
    }
    let published = publishing.stop();
    let gateway = stage.gateway();
    within("the lane has it all", || (progress() == published).then_some(()));
    gateway.stop();

    let journal = stage.stop();
    let epochs = journal.last().map_or(0, |line| line.epoch);
    assert!(journal.iter().map(|line| line.bytes.clone()).eq((0..published).map(publishing::message)));
    stage::assert_same(&tools.committed(), &journal);
    let seen_twice = tools.kafka.read("read_uncommitted").len() as u64 - published;
    eprintln!(
        "gateway killed {kills} times: {published} messages of {epochs} epochs dense and none twice; {seen_twice} more \
         in transactions that the kills cut off"
    );
}
