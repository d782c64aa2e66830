//! Catalogs, good and bad: what is accepted, and that each refusal is one line with place and remedy.

use std::path::Path;

use oyez_broker::catalog::{Catalog, Idle, Peer, Right, TakeOver};
use oyez_protocol::Durability;

const HEAD: &str = "[broker]\nname = \"demo\"\ndata = \"data\"\nsocket = \"bus.sock\"\n";

const SCHEMA: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<sbe:messageSchema xmlns:sbe="http://fixprotocol.io/2016/sbe" package="test" id="7" version="1" byteOrder="littleEndian">
  <types>
    <composite name="messageHeader">
      <type name="blockLength" primitiveType="uint16"/>
      <type name="templateId" primitiveType="uint16"/>
      <type name="schemaId" primitiveType="uint16"/>
      <type name="version" primitiveType="uint16"/>
    </composite>
  </types>
  <sbe:message name="Tick" id="3"><field name="price" id="1" type="uint64"/></sbe:message>
  <sbe:message name="Halt" id="4"><field name="reason" id="1" type="uint8"/></sbe:message>
</sbe:messageSchema>
"#;

fn load_in(folder: &Path, text: &str) -> Result<Catalog, String> {
    let path = folder.join("oyez.toml");
    std::fs::write(&path, text).expect("catalog");
    std::fs::write(folder.join("test.xml"), SCHEMA).expect("schema");
    std::fs::write(folder.join("broken.xml"), "<nonsense>").expect("schema");
    // A later version: `Halt` is gone, `Pause` and `Stop` have come.
    let later = r#"<sbe:message name="Stop" id="5"/></sbe:messageSchema>"#;
    let later = SCHEMA.replace("version=\"1\"", "version=\"4\"").replace("</sbe:messageSchema>", later);
    let later = later.replace("\"Halt\" id=\"4\"", "\"Pause\" id=\"6\"");
    std::fs::write(folder.join("later.xml"), later).expect("schema");
    // A version that gives the number of `Halt` to another message.
    let reused = SCHEMA.replace("version=\"1\"", "version=\"5\"").replace("\"Halt\" id=\"4\"", "\"Halt\" id=\"6\"");
    let secret = r#"<sbe:message name="Secret" id="4"/></sbe:messageSchema>"#;
    std::fs::write(folder.join("reused.xml"), reused.replace("</sbe:messageSchema>", secret)).expect("schema");
    std::fs::write(folder.join("other.xml"), SCHEMA.replace("id=\"7\"", "id=\"8\"")).expect("schema");
    std::fs::write(folder.join("zero.xml"), SCHEMA.replace("id=\"7\"", "id=\"0\"")).expect("schema");
    std::fs::write(folder.join("null.xml"), SCHEMA.replace("id=\"7\"", "id=\"65535\"")).expect("schema");
    std::fs::write(folder.join("big.xml"), SCHEMA.replace("littleEndian", "bigEndian")).expect("schema");
    let small = SCHEMA.replace("\"templateId\" primitiveType=\"uint16\"", "\"templateId\" primitiveType=\"uint8\"");
    std::fs::write(folder.join("small.xml"), small).expect("schema");
    let long = "version\" primitiveType=\"uint16\"/><type name=\"numGroups\" primitiveType=\"uint16";
    let long = SCHEMA.replace("version\" primitiveType=\"uint16", long);
    std::fs::write(folder.join("long.xml"), long).expect("schema");
    let none = SCHEMA.lines().filter(|line| !line.contains("sbe:message ")).collect::<String>();
    std::fs::write(folder.join("none.xml"), none).expect("schema");
    Catalog::load(&path).map_err(|error| error.to_string())
}

fn load(text: &str) -> Result<Catalog, String> {
    load_in(tempfile::tempdir().expect("folder").path(), text)
}

#[track_caller]
fn refused(text: &str, parts: &[&str]) {
    let error = load(&format!("{HEAD}{text}")).expect_err("a bad catalog");
    assert_eq!(error.lines().count(), 1, "{error}");
    for part in parts.iter().chain(&["oyez.toml", "; "]) {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let folder = tempfile::tempdir().expect("folder");
    let least = load_in(folder.path(), &format!("{HEAD}[[topics]]\nname = \"md\"\n")).expect("least catalog");
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/catalog.md")).expect("page");
    let documented = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("defaults");
    let full = load_in(folder.path(), documented).expect("documented catalog");
    assert_eq!(format!("{least:?}"), format!("{full:?}"));
    assert_eq!(least.idle, Idle::BackOff);
    assert_eq!(least.topics[0].durability, Durability::Durable);
}

#[test]
fn a_full_catalog_is_taken_whole() {
    let text = format!(
        "{HEAD}[clusters.primary]\nbootstrap = \"localhost:9092\"\n[schemas.test]\nfile = \"test.xml\"\n\
         [[topics]]\nname = \"md.equities\"\nschema = \"test\"\ntemplates = [\"Halt\"]\nring_mib = 2\n\
         durability = \"written\"\npublish = [\"user:root\"]\nsubscribe = [\"*\"]\npartitions = 2\n\
         [[topics.lanes]]\ncluster = \"primary\"\nkafka_topic = \"md.equities\"\n\
         [[topics]]\nname = \"scratch\"\nrecorded = false\n"
    );
    let folder = tempfile::tempdir().expect("folder");
    let catalog = load_in(folder.path(), &text).expect("catalog");
    assert_eq!(catalog.socket, folder.path().join("bus.sock"));
    let (index, topic) = catalog.topic("md.equities").expect("declared");
    assert_eq!((index, topic.partitions, topic.capacity_bytes), (0, 2, 2 << 20));
    let schema = topic.schema.as_ref().expect("it is bound");
    assert_eq!((schema.id, schema.version_min, schema.version_max, schema.templates.as_slice()), (7, 0, 1, &[4][..]));
    assert_eq!(topic.lanes[0].bootstrap, "localhost:9092");
    assert_eq!(topic.publish, [Right::User(0)]);
    let (root, other) = (Peer::new(1, 0, 0), Peer::new(1, 54_321, 54_321));
    assert!(topic.may_publish(&root) && !topic.may_publish(&other) && topic.may_subscribe(&other));
    let scratch = &catalog.topics[1];
    assert!(!scratch.recorded() && scratch.publish.is_empty() && !scratch.may_publish(&root));
    // 2 partitions * 2 rings of 2 MiB, 1 * 2 of 64 MiB, one spare of each size, a header block each.
    assert_eq!(catalog.memory_bytes, (4 * 2 + 2 * 64 + 2 + 64) * (1 << 20) + 8 * 65_536);
    assert_eq!(catalog.areas_bytes, 4_096 * 65_536);
    assert_eq!(catalog.disk_bytes, 2 * 3 * (256 << 20));
}

#[test]
fn a_pipe_is_no_catalog_and_no_schema_and_nobody_waits_for_its_other_end() {
    let folder = tempfile::tempdir().expect("folder");
    let pipe = folder.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
    let (tell, told) = std::sync::mpsc::channel();
    let catalog = pipe.clone();
    std::thread::spawn(move || tell.send(Catalog::load(catalog).expect_err("a pipe").to_string()));
    let error = told.recv_timeout(std::time::Duration::from_secs(20)).expect("an answer");
    assert!(error.contains("no regular file"), "{error}");
    let text = format!("{HEAD}[schemas.test]\nfile = \"pipe\"\n");
    let error = load_in(folder.path(), &text).expect_err("a pipe");
    assert!(error.contains("schemas.test.file") && error.contains("no regular file"), "{error}");
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    refused(
        "[[topics]]\nname = \"md\"\ndurabilty = \"durable\"\n",
        &["toml:7: unknown key `durabilty`", "`durability`"],
    );
    refused("segmnt_mib = 4\n", &["toml:5:", "did you mean `segment_mib`?"]);
    refused("[topic]\nname = \"md\"\n", &["unknown key `topic`", "did you mean `topics`?"]);
    refused("colour = \"red\"\n", &["unknown key `colour`", "name, data, socket"]);
}

#[test]
fn a_value_of_another_type_is_named_with_its_line() {
    refused("cores = \"all\"\n", &["toml:5:", "invalid type: string \"all\""]);
    refused("[[topics]]\nrecorded = true\n", &["missing field `name`"]);
    refused("segment_mib = \n", &["toml:5:"]);
}

#[test]
fn values_out_of_range_are_refused() {
    refused("idle = \"spinning\"\n", &["broker.idle", "did you mean `spin`?"]);
    refused("io = \"epoll\"\n", &["broker.io", "auto, uring, syscalls"]);
    refused("cores = []\n", &["broker.cores", "[0]"]);
    refused("segment_mib = 6\n", &["broker.segment_mib", "multiple of 4"]);
    refused("wake_max_us = 1\n", &["broker.wake_max_us", "50 to 100000"]);
    refused("[[topics]]\nname = \"../etc\"\n", &["topics.name", "`../etc`"]);
    refused("[[topics]]\nname = \"a\"\n[[topics]]\nname = \"a\"\n", &["`a` is declared twice"]);
    refused("[[topics]]\nname = \"a\"\nring_mib = 3\n", &["topics.a.ring_mib", "power of two"]);
    refused("[[topics]]\nname = \"a\"\nring_mib = 2048\n", &["topics.a.ring_mib"]);
    refused("[[topics]]\nname = \"a\"\ndurability = \"safe\"\n", &["topics.a.durability", "durable, written"]);
    refused("[[topics]]\nname = \"a\"\nwhen_behind = \"gap\"\n", &["topics.a.when_behind", "wait"]);
    refused("[[topics]]\nname = \"a\"\nretention_h = 1\n", &["topics.a.retention_h", "retention_why"]);
    refused(
        "[[topics]]\nname = \"a\"\ncores = [0, 7]\n",
        &["topics.a.cores", "no core on CPU 7", "`broker.cores` has [0]"],
    );
    refused("[[topics]]\nname = \"a\"\npartitions = 0\n", &["topics.a.partitions"]);
    refused("[[topics]]\nname = \"a\"\npublish = [\"all\"]\n", &["topics.a.publish", "none of self"]);
    refused("[[topics]]\nname = \"a\"\nsubscribe = [\"user:no-such\"]\n", &["topics.a.subscribe", "/etc/passwd"]);
}

#[test]
fn a_retention_outside_the_usual_needs_a_reason_and_takes_one() {
    let text = "[[topics]]\nname = \"a\"\nretention_h = 1\nretention_why = \"a test\"\n";
    let catalog = load(&format!("{HEAD}{text}")).expect("an override with its reason");
    assert_eq!(catalog.topics[0].retention.as_secs(), 3_600);
}

#[test]
fn schemas_and_lanes_are_followed() {
    let schemas = "[schemas.test]\nfile = \"test.xml\"\n[[topics]]\nname = \"a\"\n";
    refused("[schemas.test]\nfile = \"absent.xml\"\n", &["schemas.test.file", "absent.xml"]);
    refused("[schemas.test]\nfile = \"broken.xml\"\n", &["schemas.test.file", "broken.xml"]);
    refused(&format!("{schemas}schema = \"tset\"\n"), &["topics.a.schema", "did you mean `test`?"]);
    refused(&format!("{schemas}templates = [\"Tick\"]\n"), &["topics.a.templates", "name the topic's `schema`"]);
    refused(
        &format!("{schemas}schema = \"test\"\ntemplates = [\"Tock\"]\n"),
        &["topics.a.templates", "did you mean `Tick`?"],
    );
    refused(
        "[[topics]]\nname = \"a\"\n[[topics.lanes]]\ncluster = \"x\"\nkafka_topic = \"a\"\n",
        &["topics.a.lanes.cluster", "no cluster `x`"],
    );
    refused(
        "[[topics]]\nname = \"a\"\nrecorded = false\n[[topics.lanes]]\ncluster = \"x\"\nkafka_topic = \"a\"\n",
        &["unrecorded"],
    );
}

/// What a topic is bound to: versions, templates.
fn bound(schema: &str, topic: &str) -> (u16, u16, Vec<u16>) {
    let text = format!("{HEAD}[schemas.test]\n{schema}\n[[topics]]\nname = \"a\"\nschema = \"test\"\n{topic}");
    let catalog = load(&text).expect("a good catalog");
    let schema = catalog.topics[0].schema.clone().expect("it is bound");
    (schema.version_min, schema.version_max, schema.templates)
}

#[test]
fn a_topic_is_bound_to_versions_and_templates() {
    assert_eq!(bound("file = \"test.xml\"", ""), (0, 1, vec![3, 4]));
    assert_eq!(bound("files = [\"test.xml\"]", ""), (0, 1, vec![3, 4]));
    assert_eq!(bound("file = \"zero.xml\"", "").0, 0);
    assert_eq!(bound("file = \"long.xml\"", "").2, [3, 4]);
    let both = "files = [\"later.xml\", \"test.xml\"]";
    assert_eq!(bound(both, ""), (0, 4, vec![3, 4, 5, 6]));
    assert_eq!(bound(both, "templates = [\"Stop\", \"Tick\"]"), (0, 4, vec![3, 5]));
    // Version 1 is all that may be published; versions 2 and 3 are read by the schema of version 4.
    assert_eq!(bound(both, "version_max = 1"), (0, 1, vec![3, 4]));
    assert_eq!(bound(both, "version_max = 2"), (0, 2, vec![3, 4, 5, 6]));
    // What may not be published any more is carried on by lanes.
    assert_eq!(bound(both, "version_min = 4"), (4, 4, vec![3, 4, 5, 6]));
    assert_eq!(bound(both, "version_min = 1\nversion_max = 1\ntemplates = [\"Halt\"]"), (1, 1, vec![4]));

    let folder = tempfile::tempdir().expect("folder");
    let text = format!("{HEAD}[schemas.test]\n{both}\n[[topics]]\nname = \"a\"\nschema = \"test\"\n");
    let schema = load_in(folder.path(), &text).expect("good").topics[0].schema.clone().expect("bound");
    assert_eq!(schema.files, [folder.path().join("test.xml"), folder.path().join("later.xml")]);
    assert_eq!(schema.versions.iter().map(|schema| schema.version).collect::<Vec<_>>(), [1, 4]);
}

#[test]
fn what_the_schema_files_do_not_know_is_refused() {
    let both = "[schemas.test]\nfiles = [\"test.xml\", \"later.xml\"]\n[[topics]]\nname = \"a\"\n";
    let topic = |text: &str| format!("{both}schema = \"test\"\n{text}\n");
    refused(
        &topic("version_max = 5"),
        &["topics.a.version_max", "version 5", "has is 4", "add its file to `schemas.test`"],
    );
    refused(&topic("version_min = 5"), &["topics.a.version_min", "from 5 on", "highest is 4", "take 4 or less"]);
    refused(&topic("version_min = 2\nversion_max = 1"), &["topics.a.version_min", "take 1 or less"]);
    refused(&topic("version_min = 65536"), &["toml:10", "65536"]);
    // `Halt` is gone in version 4, which reads versions 2 and 3 too; `Stop` came with it.
    refused(
        &topic("version_min = 2\ntemplates = [\"Halt\"]"),
        &["topics.a.templates", "no message `Halt` in versions 2 to 4", "Pause, Stop, Tick"],
    );
    refused(&topic("version_max = 1\ntemplates = [\"Stop\"]"), &["no message `Stop` in versions 0 to 1"]);
    let reused = topic("templates = [\"Halt\"]").replace("later.xml", "reused.xml");
    refused(&reused, &["topics.a.templates", "number 4 is that of `Secret` in another version", "narrow the versions"]);
    let named = reused.replace("[\"Halt\"]", "[\"Halt\", \"Secret\"]");
    load(&format!("{HEAD}{named}")).expect("both are named");
    for key in ["version_min = 1", "version_max = 1"] {
        let place = format!("topics.a.{}", &key[..11]);
        refused(&format!("{both}{key}\n"), &[place.as_str(), "without a schema", "name the topic's `schema`"]);
    }
}

#[test]
fn files_that_are_not_versions_of_one_schema_are_refused() {
    let files = |files: &str| format!("[schemas.test]\n{files}\n");
    refused(
        &files("files = [\"test.xml\", \"other.xml\"]"),
        &["schemas.test.files", "test.xml has the schema id 7", "other.xml has 8", "a name of its own"],
    );
    refused(&files("files = [\"test.xml\", \"test.xml\"]"), &["schemas.test.files", "version 1 is given twice"]);
    refused(&files("files = [\"test.xml\", \"broken.xml\"]"), &["schemas.test.files", "broken.xml"]);
    refused(&files("file = \"test.xml\"\nfiles = [\"later.xml\"]"), &["schemas.test:", "`file` beside `files`"]);
    for none in ["", "files = []"] {
        refused(&files(none), &["schemas.test:", "no file", "take `file` for one version"]);
    }
    refused(&files("file = \"none.xml\""), &["schemas.test.file", "a schema without messages"]);
    for file in ["big.xml", "small.xml", "null.xml"] {
        let parts = ["schemas.test.file", file, "not that of the bus", "declared without a schema"];
        refused(&files(&format!("file = \"{file}\"")), &parts);
    }
}

#[test]
fn what_is_declared_must_fit_the_budget() {
    refused("memory_mib_max = 100\n[[topics]]\nname = \"a\"\n", &["broker.memory_mib_max", "448 MiB"]);
    refused("disk_gib_max = 0\n[[topics]]\nname = \"a\"\n", &["broker.disk_gib_max", "1 GiB"]);
}

#[test]
fn a_path_too_long_for_a_socket_and_a_file_that_is_not_there_are_refused() {
    let head = HEAD.replace("bus.sock", &"s".repeat(120));
    let error = load(&head).expect_err("too long");
    assert!(error.contains("broker.socket") && error.contains("92"), "{error}");
    let error = Catalog::load("/nonexistent/oyez.toml").expect_err("no file").to_string();
    assert!(error.contains("/nonexistent/oyez.toml") && error.contains("cannot read"), "{error}");
}

#[test]
fn standbys_and_take_over_are_declared_within_bounds() {
    let topic = |more: &str| format!("{HEAD}[[topics]]\nname = \"md\"\nring_mib = 64\n{more}");
    let catalog = load(&topic("standbys = 2\ntakeover = \"kill\"\npublish = [\"self\"]\n")).expect("a catalog");
    assert_eq!((catalog.topics[0].standbys, catalog.topics[0].takeover), (2, TakeOver::Kill));
    // Two rings, two standbys' and the spare.
    assert_eq!(catalog.memory_bytes, 5 * (64 << 20) + 5 * 65_536);
    let refused = |more: &str, parts: &[&str]| refused(&format!("[[topics]]\nname = \"md\"\n{more}"), parts);
    refused("standbys = 9\n", &["topics.md.standbys", "take 0 to 8"]);
    refused("takeover = \"kil\"\n", &["topics.md.takeover", "did you mean `kill`?"]);
    let tight = HEAD.to_owned() + "memory_mib_max = 256\n[[topics]]\nname = \"md\"\nstandbys = 2\n";
    assert!(load(&tight).expect_err("too much").contains("the standbys'"));
}

#[test]
fn many_publishers_are_declared_with_numbers_that_nobody_else_has() {
    let topic = |more: &str, origins: &str| {
        format!("[[topics]]\nname = \"md\"\nring_mib = 2\npublishers = \"many\"\n{more}\n[topics.origins]\n{origins}\n")
    };
    let catalog = load(&format!("{HEAD}{}", topic("partitions = 2\ningress_kib = 256", "a = 7\nb = 1"))).expect("good");
    let many = catalog.topics[0].many.as_ref().expect("many");
    assert_eq!((many.origins["a"], many.origins["b"], many.ingress_bytes), (7, 1, 256 << 10));
    // Of each partition two rings and two ingress rings, and the spare; a header block each. An ingress ring is read into a
    // frame, and its quarter.
    assert_eq!(catalog.memory_bytes, (4 + 1) * (2 << 20) + 4 * (256 << 10) + 9 * 65_536 + 4 * (65_536 + (64 << 10)));
    refused(&topic("", ""), &["topics.md.origins", "0 publishers", "1 to 4096"]);
    refused(&topic("", "a = 0"), &["topics.md.origins", "`a` has number 0", "1 to 65535"]);
    refused(&topic("", "a = 3\nb = 3"), &["topics.md.origins", "`b` has number 3", "ever had"]);
    refused(&topic("", "a = 65536"), &["toml:", "65536"]);
    refused(&topic("", "\"a b\" = 1"), &["topics.md.origins", "`a b`"]);
    let crowd: String = (1..=4_097).map(|number| format!("p{number} = {number}\n")).collect();
    refused(&topic("", &crowd), &["topics.md.origins", "4097 publishers"]);
    refused(&topic("ingress_kib = 64", "a = 1"), &["topics.md.ingress_kib", "128 to 16384"]);
    refused(&topic("ingress_kib = 200", "a = 1"), &["topics.md.ingress_kib", "power of two"]);
    for more in ["standbys = 1", "takeover = \"kill\""] {
        refused(&topic(more, "a = 1"), &["topics.md.takeover", "leave `takeover` and `standbys` out"]);
    }
    refused(&topic("recorded = false", "a = 1"), &["topics.md.recorded", "how far each publisher was taken"]);
    let one = topic("", "a = 1").replace("\"many\"", "\"one\"");
    refused(&one, &["topics.md.origins", "`a`, where there is one publisher at a time"]);
    refused(&one.replace("\"one\"", "\"several\""), &["topics.md.publishers", "one, many"]);
}

#[test]
fn owners_that_the_broker_could_not_kill_are_no_ones_to_take_over_from() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let everybody = format!("{HEAD}[[topics]]\nname = \"md\"\ntakeover = \"kill\"\npublish = [\"*\"]\n");
    let own = everybody.replace("\"*\"", "\"self\"");
    let mut sets = capabilities(None).expect("capabilities");
    assert_eq!(load(&everybody).is_ok(), sets.effective.contains(CapabilitySet::KILL));
    // Of this thread alone.
    sets.effective.remove(CapabilitySet::KILL);
    set_capabilities(None, sets).expect("fewer");
    let error = load(&everybody).expect_err("it could not be done");
    assert!(error.contains("topics.md.takeover: `kill`, where other users") && error.contains("CAP_KILL"), "{error}");
    assert_eq!(load(&own).expect("own processes").topics[0].takeover, TakeOver::Kill);
}
