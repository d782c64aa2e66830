//! What the standard forbids and venues do: each is told by name and place, and refused under the strict reading.

mod given;

use std::collections::BTreeSet;

use given::schema;
use oyez_sbe::{Schema, Strictness};

/// What a schema is warned of, and, under the strict reading, refused for.
fn warned(xml: &str) -> Vec<String> {
    let (_, warnings) = Schema::parse_with(xml, "test.xml", Strictness::Lenient).expect("it can be read");
    let told: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    let strict = Schema::parse_with(xml, "test.xml", Strictness::Strict).map_err(|error| error.to_string());
    assert_eq!(strict.err(), told.first().cloned());
    told
}

#[test]
fn the_standard_is_silent_about_what_it_allows() {
    let types = "<type name='i' primitiveType='int32'/><enum name='e' encodingType='uint8'>\
                 <validValue name='a'>1</validValue></enum><type name='o' primitiveType='int8' presence='optional'/>";
    // Presence on the type alone, an optional enum, gaps, and what a foreign name space says.
    let message = "<field name='f' id='1' type='i' offset='4'/><field name='g' id='2' type='o'/>\
                   <field name='h' id='3' type='e' presence='optional' sinceVersion='1' v:path='x' xmlns:v='urn:v'/>\
                   <group name='s' id='4' blockLength='9'><field name='f' id='1' type='i'/></group>\
                   <data name='d' id='5' type='text'/>";
    assert_eq!(warned(&schema(types, message)), Vec::<String>::new());
}

/// Types from line 9 on, a message from line 10, and what is told of them.
const WARNINGS: [(&str, &str, &str); 20] = [
    (
        "",
        "<field name='f' id='1' type='int8'/>",
        "10:24: undeclared-primitive: type \"int8\" is a primitive that no <type> declares; declare it in <types>",
    ),
    (
        "<type name='i' primitiveType='int8' presence='optional'/>",
        "<field name='f' id='1' type='i' presence='required'/>",
        "10:33: presence-mismatch: presence is required here and optional in type \"i\"; state it once",
    ),
    (
        "<type name='i' primitiveType='int8' semanticType='int'/>",
        "<field name='f' id='1' type='i' semanticType='Qty'/>",
        "10:33: semantic-type-mismatch: semanticType is \"Qty\" here and \"int\" in type \"i\"; state it once",
    ),
    (
        "<set name='s' encodingType='uint8'><choice name='c'>0</choice></set>",
        "<field name='f' id='1' type='s' presence='optional'/>",
        "10:33: optional-set: a set is optional and has no null value; remove the presence",
    ),
    (
        "<type name='i' primitiveType='int8' nullValue='0'/>",
        "",
        "9:37: null-of-required: nullValue is given where presence is not optional; add presence=\"optional\" or remove it",
    ),
    (
        "<type name='i' primitiveType='int8'/>",
        "<field name='f' id='1' type='i' nullValue='0'/>",
        "10:33: null-of-required: nullValue is given where presence is not optional; add presence=\"optional\" or remove it",
    ),
    (
        "<enum name='e' encodingType='int8'><validValue name='a'>0</validValue></enum>",
        "",
        "9:16: enum-encoding: an enum is encoded as int8; use char or an unsigned integer",
    ),
    (
        "<enum name='e' encodingType='char'><validValue name='a'> </validValue></enum>",
        "",
        "9:36: blank-value: the value is blank; give it another character",
    ),
    (
        "<enum name='e' encodingType='uint8'><validValue name='a'>1</validValue><validValue name='b'>1</validValue></enum>",
        "",
        "9:72: duplicate-value: 1 is already \"a\"; give each its own",
    ),
    (
        "<set name='s' encodingType='uint8'><choice name='a'>1</choice><choice name='b'>1</choice></set>",
        "",
        "9:63: duplicate-value: 1 is already \"a\"; give each its own",
    ),
    ("<enum name='e' encodingType='uint8'/>", "", "9:1: empty-element: <enum> has no validValue; add one or remove it"),
    ("", "<group name='g' id='1'/>", "10:1: empty-element: <group> has no field; add one or remove it"),
    (
        "<type name='i' primitiveType='int8' sinceVersion='3'/>",
        "",
        "9:37: version-above-schema: sinceVersion 3 is above the schema's version 2; raise the schema's version or correct it",
    ),
    (
        "<type name='i' primitiveType='int8' presense='optional'/>",
        "",
        "9:37: unknown-attribute: <type> has no attribute presense in the standard; remove it, or give it a name space of its own",
    ),
    (
        "<type name='i' primitiveType='int8'/>",
        "<field name='f' id='1' type='i' sinceVersion='2'/>\n<field name='g' id='2' type='i' sinceVersion='1'/>",
        "11:33: newer-before-older: it is since version 1 and stands after what is since 2; what is newer is appended",
    ),
    (
        "<type name='i' primitiveType='int8'/>",
        "<field name='f' id='1' type='i'/>\n<field name='g' id='1' type='i'/>",
        "11:17: duplicate-id: id 1 is already \"f\" in this block; give each its own",
    ),
    (
        "<type name='i' primitiveType='int8'/>",
        "<field name='f' id='1' type='i'/><group name='h' id='2'>\n<field name='g' id='1' type='i'/></group>",
        "11:17: id-of-another: id 1 is \"f\" at line 10; one id has one name in the whole schema",
    ),
    (
        "<type name='i' primitiveType='int8'/><type name='k' primitiveType='int8' presence='constant'>1</type>",
        "<field name='f' id='1' type='i'/>\n<field name='g' id='2' type='k' offset='0'/>",
        "11:33: constant-offset: offset 0 of a constant is before 1, where it stands; remove the offset",
    ),
    (
        "<composite name='d'><type name='length' primitiveType='uint16'/><type name='varData' primitiveType='uint8'/></composite>",
        "<data name='f' id='1' type='d'/>",
        "10:23: var-data-length: varData has no length=\"0\", which says that its length varies; add it",
    ),
    (
        "<composite name='d'><type name='length' primitiveType='uint32'/><type name='varData' primitiveType='uint8' length='0'/></composite>",
        "<data name='f' id='1' type='d'/>",
        "10:23: data-length-encoding: the length of variable data is uint32; use uint8 or uint16",
    ),
];

#[test]
fn each_deviation_is_told_by_name_and_place() {
    for (types, message, expected) in WARNINGS {
        assert_eq!(warned(&schema(types, message)), [format!("test.xml:{expected}")]);
    }
    let name = "n".repeat(65);
    let long = warned(&schema(&format!("<type name='{name}' primitiveType='int8'/>"), ""));
    assert_eq!(long, ["test.xml:9:7: long-name: the name has 65 characters; use at most 64"]);
}

#[test]
fn the_root_and_the_header_are_looked_at() {
    let sound = schema("", "");
    let cases = [
        (
            sound.replace("fixprotocol.io/2016/sbe", "example.com"),
            "1:1: name-space: the root's name space is \"http://example.com\"",
        ),
        (sound.replace(" version=\"2\"", ""), "1:1: missing-attribute: <messageSchema> has no version"),
        (
            sound.replace("</sbe:messageSchema>", "<types/></sbe:messageSchema>"),
            "types-after-messages: <types> stands after a message",
        ),
    ];
    for (xml, expected) in &cases {
        let told = warned(xml);
        assert!(told.len() == 1 && told[0].contains(expected), "{told:?}");
    }
    let turned = sound.replacen("\"templateId\"", "\"t\"", 1).replacen("\"schemaId\"", "\"templateId\"", 1);
    let told = warned(&turned.replacen("\"t\"", "\"schemaId\"", 1));
    assert!(told.len() == 1 && told[0].starts_with("test.xml:2:1: header-order: "), "{told:?}");
    let told = warned(
        &sound[..sound.find("<sbe:message ").expect("a message")].replace("</types>", "</types></sbe:messageSchema>"),
    );
    assert!(told.len() == 1 && told[0].contains("empty-element: <messageSchema> has no message"), "{told:?}");
}

#[test]
fn the_guide_names_every_warning() {
    let guide = include_str!("../../../docs/guide/sbe.md");
    let names: BTreeSet<_> = WARNINGS.iter().filter_map(|(.., told)| told.split(": ").nth(1)).collect();
    for name in names.into_iter().chain([
        "name-space",
        "missing-attribute",
        "types-after-messages",
        "header-order",
        "long-name",
    ]) {
        assert!(guide.contains(&format!("| `{name}` |")), "{name} is not in docs/guide/sbe.md");
    }
}
