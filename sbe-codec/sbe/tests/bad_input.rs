//! What is no schema, or no message: one line that says where, what, and what to do.

mod given;

use given::schema;
use oyez_sbe::{Schema, decode_json};

/// What is told of a schema.
fn told(xml: &str) -> String {
    Schema::parse(xml, "bad.xml").expect_err("it is no schema").to_string()
}

/// What is told of a message of this content, in a block of no bytes.
fn told_of(members: &str, types: &str, after_header: &[u8]) -> String {
    let schema = Schema::parse(&schema(types, members), "test.xml").expect("it is sound");
    let message = [&[0, 0, 1, 0, 1, 0, 2, 0], after_header].concat();
    let mut out = Vec::new();
    decode_json(&schema, &message, &mut out).expect_err("it is no message").to_string()
}

#[test]
fn bad_schemas_are_told_in_one_line_with_place_and_remedy() {
    let circle = "<composite name='a'><ref name='x' type='b'/></composite>\n\
                  <composite name='b'><ref name='y' type='a'/></composite>";
    let itself = "<composite name='a'>\n<ref name='x' type='a'/></composite>";
    let message = |members: &str| schema("", members);
    let cases = [
        ("price,quantity\n1,2".to_owned(), "1:1: not well-formed XML: ", "correct it there"),
        ("<a>\n<b></a>".to_owned(), "2:4: not well-formed XML: ", "correct it there"),
        ("<messageSchema>\n  <types>".to_owned(), "2:10: not well-formed XML: ", "correct it there"),
        (String::new(), "1:1: not well-formed XML: ", "correct it there"),
        ("<html><body/></html>".to_owned(), "1:1: the root element is <html>", "begins with <messageSchema>"),
        (schema(circle, ""), "9:1: composite \"a\" contains itself", "break the circle"),
        (schema(itself, ""), "9:1: composite \"a\" contains itself", "break the circle"),
        (
            message("</sbe:message>\n<sbe:message name='N' id='1'>"),
            "11:1: message id \"1\" is declared a second time (first at line 9)",
            "rename or remove one",
        ),
        (
            message("<field name='f' id='1' type='int32'/>\n<field name='g' id='2' type='int32' offset='2'/>"),
            "11:37: \"g\" is at offset 2, but what stands before it ends at 4",
            "raise the offset or remove it",
        ),
        (
            schema(
                "<composite name='c'><type name='m' primitiveType='int32'/>\n<type name='n' primitiveType='int8' offset='3'/></composite>",
                "",
            ),
            "10:37: \"n\" is at offset 3, but what stands before it ends at 4",
            "raise the offset or remove it",
        ),
    ];
    for (xml, place_and_fault, remedy) in cases {
        let told = told(&xml);
        assert!(told.starts_with(&format!("bad.xml:{place_and_fault}")), "{told}");
        assert!(told.contains(remedy) && told.lines().count() == 1, "{told}");
    }
    // An id twice in one block says nothing about the wire, so only the strict refuse it.
    let twice = message("<field name='f' id='1' type='int8'/>\n<field name='g' id='1' type='int8'/>");
    let (_, warnings) = Schema::parse_with(&twice, "bad.xml", oyez_sbe::Strictness::Lenient).expect("it can be read");
    let told: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|told| told.starts_with("bad.xml:11:17: duplicate-id: id 1 is already \"f\"")), "{told:?}");
}

#[test]
fn bad_messages_are_told_in_one_line_with_place_and_remedy() {
    let wide = "<composite name='wide'><type name='blockLength' primitiveType='uint16'/>\
                <type name='numInGroup' primitiveType='uint32'/></composite>";
    let empty = "<group name='g' id='1' dimensionType='wide'/>";
    let within = "<group name='g' id='1' dimensionType='wide'><group name='h' id='2'/></group>";
    let later =
        "<group name='g' id='1' dimensionType='wide'><data name='d' id='2' type='text' sinceVersion='3'/></group>";
    let full = "<group name='g' id='1'><field name='f' id='2' type='int64'/></group>";
    let four_billion = [0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
    let cases = [
        (empty, wide, &four_billion[..], "group g at byte 8 brings the entries without bytes above 65535", "damaged"),
        (later, wide, &four_billion, "group g at byte 8 brings the entries without bytes above 65535", "damaged"),
        (within, wide, &four_billion, "h at byte 14 needs 3 bytes and 0 are left", "cut short"),
        (
            full,
            "",
            &[8, 0, 200, 1, 2, 3],
            "200 entries of 8 bytes in group g at byte 11 needs 1600 bytes and 3 are left",
            "cut short",
        ),
        (
            "<data name='d' id='1' type='text'/>",
            "",
            &[9, 1],
            "data d at byte 9 needs 9 bytes and 1 are left",
            "cut short",
        ),
    ];
    for (members, types, bytes, place_and_fault, remedy) in cases {
        let told = told_of(members, types, bytes);
        assert!(told.contains(place_and_fault) && told.contains(remedy) && told.lines().count() == 1, "{told}");
    }
}
