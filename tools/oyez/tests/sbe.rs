//! `oyez sbe check`, `describe` and `diff`: both shapes of output, and the exit codes.
#![forbid(unsafe_code)]

mod support;

use std::fs;

use serde_json::json;
use support::{House, json, stdout};

/// A schema to which the standard has no objection.
const SOUND: &str = r#"<sbe:messageSchema xmlns:sbe="http://fixprotocol.io/2016/sbe" package="p" id="7" version="0"><types>
<composite name="messageHeader">
<type name="blockLength" primitiveType="uint16"/><type name="templateId" primitiveType="uint16"/>
<type name="schemaId" primitiveType="uint16"/><type name="version" primitiveType="uint16"/></composite>
</types><sbe:message name="M" id="1"/></sbe:messageSchema>"#;

/// A house with the sample's schema, and a next version of it in which a message has grown at its end.
fn house() -> House {
    let house = House::new();
    let grown = oyez_sample::SCHEMA_XML.replacen(" version=\"0\"", " version=\"1\"", 1).replacen(
        "</sbe:message>",
        "<data name=\"note\" id=\"999\" type=\"Memo\" sinceVersion=\"1\"/></sbe:message>",
        1,
    );
    fs::write(house.path().join("grown.xml"), grown).expect("a file");
    house
}

#[test]
fn warnings_are_lines_and_strict_refuses_the_first() {
    let house = house();
    fs::write(house.path().join("sound.xml"), SOUND).expect("a file");
    let sound = stdout(&house.run(&["sbe", "check", "--strict", "sound.xml"]));
    assert_eq!(sound, "sound.xml: good. Package \"p\", id 7, version 0; messages 1, types 5, warnings 0\n");

    fs::write(house.path().join("old.xml"), SOUND.replace("http://fixprotocol.io/2016/sbe", "urn:old"))
        .expect("a file");
    let told = json(&house.run(&["sbe", "check", "old.xml", "--format", "json"]));
    assert_eq!((&told[0]["warning"], &told[0]["file"]), (&json!("name-space"), &json!("old.xml")));
    assert_eq!((told.len(), &told[1]["warnings"]), (2, &json!(1)));
    let text = stdout(&house.run(&["sbe", "check", "old.xml"]));
    assert!(text.starts_with("old.xml:1:1: name-space: the root's name space is \"urn:old\"; write "), "{text}");

    let strict = house.run(&["sbe", "check", "--strict", "old.xml"]);
    let said = String::from_utf8_lossy(&strict.stderr);
    assert_eq!((strict.status.code(), strict.stdout.len(), said.lines().count()), (Some(2), 0, 1));
    assert!(said.starts_with("oyez: old.xml:") && said.contains("name-space: "), "{said}");
}

#[test]
fn a_layout_is_shown_by_name_and_by_template() {
    let house = house();
    let schema = oyez_sbe::Schema::parse(oyez_sample::SCHEMA_XML, "sample.xml").expect("it is sound");
    let all = json(&house.run(&["sbe", "describe", "sample.xml", "--format", "json"]));
    assert_eq!(all.len(), schema.messages.len());
    let update = schema.message_by_name("OrderUpdate").expect("it is there");
    let template = update.template_id.to_string();
    let one = json(&house.run(&["sbe", "describe", "sample.xml", &template, "--format", "json"])).remove(0);
    assert_eq!((&one["message"], &one["block_bytes"]), (&json!("OrderUpdate"), &json!(update.block.length_bytes)));
    let last = update.block.fields.last().expect("a field");
    let lines = one["layout"].as_array().expect("an array");
    let line = lines.iter().find(|line| line["name"] == json!(last.meta.name.as_str())).expect("a line");
    assert_eq!((&line["offset"], &line["size_bytes"]), (&json!(last.offset), &json!(last.size_bytes)));

    let overview = stdout(&house.run(&["sbe", "describe", "sample.xml"]));
    assert_eq!(overview.lines().count(), 2 + schema.messages.len(), "{overview}");
    let text = stdout(&house.run(&["sbe", "describe", "sample.xml", "OrderUpdate"]));
    assert!(text.starts_with(&format!("OrderUpdate: template {template}, block of ")), "{text}");
    assert_eq!(text.lines().count(), 2 + lines.len(), "{text}");
    let absent = house.run(&["sbe", "describe", "sample.xml", "Absent"]);
    let said = String::from_utf8_lossy(&absent.stderr);
    assert!(absent.status.code() == Some(2) && said.contains("`oyez sbe describe sample.xml` lists them"), "{said}");
}

#[test]
fn a_step_that_breaks_somebody_is_a_negative_answer() {
    let house = house();
    let forth = json(&house.run(&["sbe", "diff", "sample.xml", "grown.xml", "--format", "json"]));
    assert_eq!(
        (&forth[0]["change"], &forth[0]["readers"], &forth[0]["writers"]),
        (&json!("added"), &json!(true), &json!(true))
    );
    assert_eq!(forth.last().expect("a verdict")["compatible"], json!(true));
    let text = stdout(&house.run(&["sbe", "diff", "sample.xml", "grown.xml"]));
    assert!(text.ends_with("version 0 to 1, 2 changes: compatible for readers yes, for writers yes\n"), "{text}");

    let back = house.run(&["sbe", "diff", "grown.xml", "sample.xml"]);
    assert_eq!(back.status.code(), Some(1));
    let text = String::from_utf8_lossy(&back.stdout);
    assert!(text.contains("old readers look for it") && text.contains("compatible for readers no"), "{text}");
    assert_eq!(stdout(&house.run(&["sbe", "diff", "sample.xml", "sample.xml"])).lines().count(), 2);
}
