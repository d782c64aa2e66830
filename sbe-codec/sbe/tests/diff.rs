//! What a new version of a schema means for readers of the old one, and for messages of old writers.

mod given;

use given::schema;
use oyez_sbe::{Diff, Schema, diff};

fn parse(xml: &str) -> Schema {
    Schema::parse(xml, "test.xml").expect("it is sound")
}

/// The changes, with `r` for readers and `w` for writers that get along.
fn told(diff: &Diff) -> Vec<String> {
    let line = |change: &oyez_sbe::Change| {
        assert_eq!(change.reason.is_empty(), change.readers && change.writers, "{change:?}");
        let (r, w) = (if change.readers { "r" } else { "-" }, if change.writers { "w" } else { "-" });
        let line = format!("{r}{w} {} {}: {} > {}", change.kind.name(), change.place, change.old, change.new);
        line.replace(":  >", ": >").trim_end().to_owned()
    };
    diff.changes.iter().map(line).collect()
}

/// From version 2 to version 3 of a schema with these types and this message; the version itself apart.
fn step(types: [&str; 2], message: [&str; 2]) -> Vec<String> {
    let old = parse(&schema(types[0], message[0]));
    let new = parse(&schema(types[1], message[1]).replace("version=\"2\"", "version=\"3\""));
    let mut told = told(&diff(&old, &new));
    assert_eq!(told.pop().as_deref(), Some("rw version schema: 2 > 3"));
    told
}

fn message(old: &str, new: &str) -> Vec<String> {
    step(["", ""], [old, new])
}

/// A change of the type `t`, of which the message has a field.
fn types(old: &str, new: &str) -> Vec<String> {
    let field = "<field name='f' id='1' type='t'/>";
    step([old, new], [field, field])
}

const A: &str = "<field name='a' id='1' type='int32'/>";
const B: &str = "<field name='b' id='2' type='int16'/>";
const B3: &str = "<field name='b' id='2' type='int16' sinceVersion='3'/>";

#[test]
fn fields_are_appended_and_stay() {
    let (ab, ba) = (&[A, B].concat(), &[B, A].concat());
    let (ab3, b3a) = (&[A, B3].concat(), &[B3, A].concat());
    assert_eq!(message(ab, ab), Vec::<String>::new());
    assert_eq!(message(A, ab3), ["rw block-length M: 4 bytes > 6 bytes", "rw added M.b: > int16 at 4"]);
    assert_eq!(message(A, ab), ["rw block-length M: 4 bytes > 6 bytes", "r- added M.b: > int16 at 4"]);
    let since_old = B3.replace("'3'", "'2'");
    let untold = ["rw block-length M: 4 bytes > 6 bytes", "r- added M.b: > int16 at 4"];
    assert_eq!(message(A, &[A, &since_old].concat()), untold);
    let moved =
        ["rw block-length M: 4 bytes > 6 bytes", "rw added M.b: > int16 at 0", "-- moved M.a: offset 0 > offset 2"];
    assert_eq!(message(A, b3a), moved);
    assert_eq!(message(ab, ba), ["-- moved M.b: offset 4 > offset 0", "-- moved M.a: offset 0 > offset 2"]);
    assert_eq!(message(ab, A), ["-w block-length M: 6 bytes > 4 bytes", "-w removed M.b: int16 at 4 >"]);
    // Where the old version kept room, nobody has to move.
    let (wide, filled) =
        ("<field name='b' id='2' type='int16' offset='6'/>", "<field name='c' id='3' type='int16' sinceVersion='3'/>");
    let filled = [A, filled, wide].concat();
    assert_eq!(message(&[A, wide].concat(), &filled), ["rw added M.c: > int16 at 4"]);
    assert_eq!(message(A, &A.replace("'a'", "'x'")), ["rw renamed M.x: a > x"]);
    assert_eq!(message(A, &A.replace("'1'", "'7'")), ["rw renumbered M.a: id 1 > id 7"]);
    assert_eq!(message(ab, ab3), ["r- since M.b: 0 > 3"]);
    assert_eq!(message(A, &A.replace("/>", " deprecated='3'/>")), ["rw deprecated M.a: no > 3"]);
    assert_eq!(
        message(A, &A.replace("32", "64")),
        ["rw block-length M: 4 bytes > 8 bytes", "-- retyped M.a: int32 > int64"]
    );
    let optional = &A.replace("/>", " presence='optional'/>");
    assert_eq!(message(A, optional), ["-w presence M.a: required > optional"]);
    assert_eq!(message(optional, A), ["r- presence M.a: optional > required"]);
}

#[test]
fn what_follows_the_block_is_found_by_its_order() {
    let group = |name: &str, id: u8, since: u8, inside: &str| {
        format!(
            "<group name='{name}' id='{id}' sinceVersion='{since}'><field name='x' id='9' type='int8'/>{inside}</group>"
        )
    };
    let data =
        |name: &str, id: u8, since: u8| format!("<data name='{name}' id='{id}' type='text' sinceVersion='{since}'/>");
    let (g, h0, h3) = (group("g", 3, 0, ""), group("h", 4, 0, ""), group("h", 4, 3, ""));
    let (d, e0, e3) = (data("d", 5, 0), data("e", 6, 0), data("e", 6, 3));
    let join = |parts: &[&String]| parts.iter().map(|part| part.as_str()).collect::<String>();
    // At the end of the message it is skipped; before what old readers know, it is taken for that.
    assert_eq!(message(&g, &join(&[&g, &h3])), ["rw added M.h: > group"]);
    assert_eq!(message(&g, &join(&[&g, &h0])), ["r- added M.h: > group"]);
    assert_eq!(message(&g, &join(&[&h3, &g])), ["-w added M.h: > group"]);
    assert_eq!(message(&join(&[&g, &d]), &join(&[&g, &h3, &d])), ["-w added M.h: > group"]);
    assert_eq!(message(&join(&[&g, &d]), &join(&[&g, &d, &e3])), ["rw added M.e: > data"]);
    assert_eq!(message(&d, &join(&[&e0, &d])), ["-- added M.e: > data"]);
    assert_eq!(message(&join(&[&g, &h0]), &g), ["-w removed M.h: group >"]);
    assert_eq!(message(&join(&[&h0, &g]), &g), ["-- removed M.h: group >"]);
    assert_eq!(message(&join(&[&d, &e0]), &join(&[&e0, &d])), ["-- reordered M.d: 1 > 2"]);
    // In an entry there is no end to skip to, but blocks have their length.
    assert_eq!(message(&g, &group("g", 3, 0, &h3)), ["-w added M.g.h: > group"]);
    assert_eq!(message(&group("g", 3, 0, &d), &g), ["-- removed M.g.d: data >"]);
    assert_eq!(
        message(&group("g", 3, 0, ""), &group("g", 3, 0, B3)),
        ["rw block-length M.g: 1 bytes > 3 bytes", "rw added M.g.b: > int16 at 1"]
    );
    let named = g.replace("'g'", "'k'");
    assert_eq!(message(&g, &named), ["rw renamed M.k: g > k"]);

    let dimension = ["uint16", "uint32"].map(|count| {
        format!("<composite name='d'><type name='blockLength' primitiveType='uint16'/><type name='numInGroup' primitiveType='{count}'/></composite>\
                 <composite name='v'><type name='length' primitiveType='{count}'/><type name='varData' primitiveType='uint8' length='0'/></composite>")
    });
    let uses = "<group name='g' id='1' dimensionType='d'/><data name='v' id='2' type='v'/>";
    assert_eq!(
        step([&dimension[0], &dimension[1]], [uses, uses]),
        [
            "-- layout M.g: blockLength uint16, numInGroup uint16 > blockLength uint16, numInGroup uint32",
            "-- layout M.v: length uint16 > length uint32"
        ]
    );
    let charset = dimension[0].replace("length='0'", "length='0' characterEncoding='UTF-8'");
    assert_eq!(step([&dimension[0], &charset], [uses, uses]), ["-- meaning M.v: bytes > text Utf8"]);
}

#[test]
fn types_keep_their_bytes_and_what_they_mean() {
    let null = |value| format!("<type name='t' primitiveType='uint8' presence='optional' nullValue='{value}'/>");
    assert_eq!(types(&null(0), &null(255)), ["-- null M.f: 0 > 255"]);
    let constant = |value| format!("<type name='t' primitiveType='uint8' presence='constant'>{value}</type>");
    assert_eq!(types(&constant(1), &constant(2)), ["-- constant M.f: 1 > 2"]);
    let symbols = |of, values: &[(&str, u8)]| {
        let values = values.iter().map(|(name, value)| format!("<validValue name='{name}'>{value}</validValue>"));
        format!("<enum name='t' encodingType='{of}'>{}</enum>", values.collect::<String>())
    };
    let one = symbols("uint8", &[("a", 1)]);
    assert_eq!(types(&one, &symbols("uint8", &[("a", 1), ("b", 2)])), ["rw added enum t.b: > 2"]);
    assert_eq!(types(&symbols("uint8", &[("a", 1), ("b", 2)]), &one), ["rw removed enum t.b: 2 >"]);
    assert_eq!(types(&one, &symbols("uint8", &[("b", 1)])), ["rw renamed enum t.b: a > b"]);
    assert_eq!(types(&one, &symbols("uint8", &[("a", 2)])), ["-- retyped enum t.a: 1 > 2"]);
    assert_eq!(
        types(&one, &symbols("uint16", &[("a", 1)])),
        ["rw block-length M: 1 bytes > 2 bytes", "-- retyped M.f: enum t uint8 > enum t uint16"]
    );
    assert_eq!(types("<type name='t' primitiveType='uint8'/>", &one), ["rw retyped M.f: uint8 > enum t uint8"]);
    let set = |bit| format!("<set name='t' encodingType='uint8'><choice name='a'>{bit}</choice></set>");
    assert_eq!(types(&set(1), &set(2)), ["-- retyped set t.a: bit 1 > bit 2"]);
    let price = |exponent| {
        format!(
            "<composite name='t'><type name='mantissa' primitiveType='int64'/>\
                 <type name='exponent' primitiveType='int8' presence='constant'>{exponent}</type></composite>"
        )
    };
    assert_eq!(types(&price(-4), &price(-7)), ["-- constant composite t.exponent: -4 > -7"]);
    assert_eq!(types(&price(-4), &price(-4).replace("int64", "int32")), [
        "rw block-length M: 8 bytes > 4 bytes".replace("rw", "-w"),
        "-- retyped M.f: composite t of 8 bytes (mantissa int64, exponent constant) > composite t of 4 bytes (mantissa int32, exponent constant)".into()]);
    let time = |unit| format!("<field name='f' id='1' type='uint64' semanticType='UTCTimestamp' timeUnit='{unit}'/>");
    assert_eq!(message(&time("second"), &time("nanosecond")), ["-- meaning M.f: Second > Nanosecond"]);
    // Of a constant of an enum it is the number that counts.
    let field = "<field name='f' id='1' type='t' presence='constant' valueRef='t.a'/>";
    let renamed = (symbols("uint8", &[("b", 1)]), field.replace("t.a", "t.b"));
    assert_eq!(step([&one, &renamed.0], [field, &renamed.1]), ["rw renamed enum t.b: a > b"]);
}

#[test]
fn messages_and_the_schema_itself() {
    let old = schema("", A);
    let against = |new: &str| told(&diff(&parse(&old), &parse(new)));
    let raised = |new: &str| against(&new.replace("version=\"2\"", "version=\"3\""));
    assert_eq!(against(&old), Vec::<String>::new());
    assert_eq!(
        raised(&old.replace("package=\"p\"", "package=\"q\"")),
        ["rw renamed schema: p > q", "rw version schema: 2 > 3"]
    );
    assert_eq!(raised(&old.replacen("id=\"1\"", "id=\"5\"", 1)), ["-- id schema: 1 > 5", "rw version schema: 2 > 3"]);
    assert_eq!(
        raised(&old.replace("version=\"2\"", "version=\"2\" byteOrder=\"bigEndian\"")),
        ["-- byte-order schema: little > big", "rw version schema: 2 > 3"]
    );
    assert_eq!(
        raised(&old.replacen("uint16", "uint32", 1)),
        ["-- layout message header: 8 bytes > 10 bytes", "rw version schema: 2 > 3"]
    );
    let two = old.replace("</sbe:messageSchema>", "<sbe:message name='N' id='2'/></sbe:messageSchema>");
    assert_eq!(raised(&two), ["rw added N: > template 2", "rw version schema: 2 > 3"]);
    let gone = two.replace("name=\"M\" id=\"1\"", "name=\"M\" id=\"3\"");
    assert_eq!(
        told(&diff(&parse(&two), &parse(&gone))),
        ["r- removed M: template 1 >", "rw added M: > template 3", "-- version schema: 2 > 2"]
    );
    assert_eq!(raised(&old.replace("\"M\"", "\"L\"")), ["rw renamed L: M > L", "rw version schema: 2 > 3"]);
    assert_eq!(against(&old.replace("\"M\"", "\"L\"")), ["rw renamed L: M > L"]);
    assert_eq!(against(&old.replace("version=\"2\"", "version=\"1\"")), ["-- version schema: 2 > 1"]);
}
