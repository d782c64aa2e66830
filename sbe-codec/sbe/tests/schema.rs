//! What a schema may and may not say. The rules are those of FIX SBE 1.0, as far as venues keep them.

use oyez_sbe::{ByteOrder, Fault, Form, Presence, Schema, SchemaError, Type};

const HEADER: &str = r#"<composite name="messageHeader">
<type name="blockLength" primitiveType="uint16"/><type name="templateId" primitiveType="uint16"/>
<type name="schemaId" primitiveType="uint16"/><type name="version" primitiveType="uint16"/></composite>
<composite name="groupSizeEncoding">
<type name="blockLength" primitiveType="uint16"/><type name="numInGroup" primitiveType="uint8"/></composite>
<composite name="text"><type name="length" primitiveType="uint8"/>
<type name="varData" primitiveType="uint8" length="0" characterEncoding="UTF-8"/></composite>"#;

/// A schema with these types from line 8 on, and then this message.
fn parse(types: &str, message: &str) -> Result<Schema, SchemaError> {
    let xml = format!(
        "<messageSchema package=\"p\" id=\"1\" version=\"2\"><types>{HEADER}\n{types}</types>\n\
         <message name=\"M\" id=\"1\">{message}</message></messageSchema>"
    );
    Schema::parse(&xml, "test.xml")
}

fn fault(types: &str, message: &str) -> String {
    parse(types, message).expect_err("the schema is broken").to_string()
}

#[test]
fn every_fault_says_where_what_and_what_to_do() {
    let types = |xml| fault(xml, "");
    let message = |xml| fault("", xml);
    assert_eq!(types("<type name='t'/>"), "test.xml:8:1: <type> has no primitiveType; add primitiveType=\"...\"");
    assert_eq!(
        types("<type name='t' primitiveType='int7'/>"),
        "test.xml:8:16: primitiveType=\"int7\" is not a primitive type (char, int8 to int64, uint8 to uint64, float, \
         double); correct it"
    );
    assert_eq!(
        types("<type name='a-b' primitiveType='int8'/>"),
        "test.xml:8:7: \"a-b\" is not a name; use letters, digits and _, beginning with a letter or _"
    );
    assert_eq!(
        types("<type name='t' primitiveType='int8'/>\n<type name='t' primitiveType='int8'/>"),
        "test.xml:9:1: type \"t\" is declared a second time (first at line 8); rename or remove one"
    );
    assert_eq!(
        types("<field name='f'/>"),
        "test.xml:8:1: <field> cannot stand in <types>; only type, enum, set and composite can"
    );
    assert_eq!(
        types(
            "<composite name='a'>\n<ref name='x' type='b'/></composite><composite name='b'><ref name='y' type='a'/></composite>"
        ),
        "test.xml:8:1: composite \"a\" contains itself; break the circle of references"
    );
    assert_eq!(
        types(
            "<composite name='c'><type name='a' primitiveType='int32'/><type name='b' primitiveType='int8' offset='3'/></composite>"
        ),
        "test.xml:8:95: \"b\" is at offset 3, but what stands before it ends at 4; raise the offset or remove it"
    );
    assert_eq!(
        types("<type name='t' primitiveType='uint8' nullValue='256'/>"),
        "test.xml:8:38: \"256\" is not a value of uint8; correct it"
    );
    assert_eq!(
        types("<type name='t' primitiveType='char' length='2' presence='constant'>ABC</type>"),
        "test.xml:8:1: \"ABC\" has 3 characters, more than the length 2; shorten it or raise the length"
    );
    assert_eq!(
        types("<type name='t' primitiveType='int8' presence='constant'/>"),
        "test.xml:8:1: \"t\" is constant and has no value; give its text or a valueRef"
    );
    assert_eq!(
        types("<type name='t' primitiveType='int8' presence='constant' valueRef='E.A'/>"),
        "test.xml:8:57: valueRef \"E.A\" names no declared type; write Enum.Name of a value of a declared enum"
    );
    assert_eq!(
        types("<set name='s' encodingType='uint8'><choice name='c'>8</choice></set>"),
        "test.xml:8:36: choice \"c\" is bit 8 of a set of 8 bits; choose 0 to 7"
    );
    assert_eq!(
        types("<enum name='e' encodingType='text'/>"),
        "test.xml:8:1: type \"text\" is a composite, where an enum's encoding needs a type of a single value; name \
         another type"
    );
    assert_eq!(
        message("<field name='f' id='1' type='Uint8'/>"),
        "test.xml:9:49: no type is named \"Uint8\" (the nearest is \"uint8\"); declare it in <types>"
    );
    assert_eq!(
        message("<field name='f' id='65536' type='uint8'/>"),
        "test.xml:9:42: id=\"65536\" is not a whole number from 0 to 65535; correct it"
    );
    assert_eq!(
        message("<group name='g' id='1' dimensionType='text'/>"),
        "test.xml:9:26: composite \"text\" has no member blockLength that is a single unsigned integer on the wire, \
         which a group's dimension needs; add it"
    );
    assert_eq!(
        message("<data name='d' id='1' type='text'/><field name='f' id='2' type='int8'/>"),
        "test.xml:9:61: <field> \"f\" stands after a <data>; the order is fields, groups, data"
    );
    assert_eq!(
        message("<group name='g' id='1' blockLength='1'><field name='f' id='2' type='int16'/></group>"),
        "test.xml:9:49: blockLength 1 is less than the 2 bytes of the fields; raise it or remove it"
    );
    assert_eq!(
        message("<field name='f' id='1' type='groupSizeEncoding' offset='65533'/>"),
        "test.xml:9:26: the bytes of a block or composite exceed the limit of 65535; make the schema smaller"
    );
}

#[test]
fn a_name_or_number_stands_for_one_thing() {
    let field = "<field name='f' id='1' type='int8'/>";
    let group = "<group name='f' id='2'/>";
    let message = "</message><message name='N' id='1'>";
    let cases = [
        (fault("", &format!("{field}{field}")), "member \"f\""),
        (fault("", &format!("{field}{group}")), "member \"f\""),
        (fault("", message), "message id \"1\""),
        (fault("", &message.replace("'N' id='1'", "'M' id='2'")), "message \"M\""),
        (
            fault(
                &format!("<composite name='c'>{}</composite>", "<type name='t' primitiveType='int8'/>".repeat(2)),
                "",
            ),
            "member \"t\"",
        ),
        (
            fault(
                &format!(
                    "<enum name='e' encodingType='int8'>{}</enum>",
                    "<validValue name='v'>1</validValue>".repeat(2)
                ),
                "",
            ),
            "value \"v\"",
        ),
        (
            fault(&format!("<set name='s' encodingType='uint8'>{}</set>", "<choice name='c'>1</choice>".repeat(2)), ""),
            "choice \"c\"",
        ),
    ];
    for (found, what) in cases {
        assert!(found.contains(&format!("{what} is declared a second time")), "{found}");
    }
}

#[test]
fn a_constant_has_one_value_of_its_type() {
    let constant = |attributes: &str, text: &str| {
        let enumeration = "<enum name='E' encodingType='uint16'><validValue name='A'>300</validValue></enum>";
        parse(&format!("{enumeration}<type name='t' presence='constant' {attributes}>{text}</type>"), "")
            .map_err(|error| error.fault.to_string())
    };
    assert!(constant("primitiveType='uint16' valueRef='E.A'", "").is_ok());
    let refused = [
        ("primitiveType='uint16' length='2'", "7", "length=\"2\" is not 1, and a constant of numbers has a single one"),
        ("primitiveType='uint16' length='2' valueRef='E.A'", "", "length=\"2\" is not 1"),
        ("primitiveType='uint8' valueRef='E.A'", "", "names a value that the type cannot hold"),
        ("primitiveType='uint8' valueRef='E.B'", "", "names no value of that enum"),
        ("primitiveType='uint8' valueRef='text.A'", "", "names a type that is no enum"),
        ("primitiveType='uint8'", "256", "\"256\" is not a value of uint8"),
    ];
    for (attributes, text, reason) in refused {
        let found = constant(attributes, text).expect_err(attributes);
        assert!(found.contains(reason), "{found}");
    }
}

#[test]
fn what_is_no_schema_is_refused() {
    let fault = |xml| Schema::parse(xml, "test.xml").expect_err("it is no schema").to_string();
    assert_eq!(fault("<a/>"), "test.xml:1:1: the root element is <a>; an SBE schema begins with <messageSchema>");
    assert!(fault("a,b\n1,2").starts_with("test.xml:1:1: not well-formed XML: "));
    let doctype = "<?xml version='1.0'?>\n<!-- c -->  <!DOCTYPE a [<!ENTITY e 'x'>]>\n<a/>";
    assert_eq!(
        fault(doctype),
        "test.xml:2:13: the document type has definitions, which are refused, as are entities; remove the <!DOCTYPE>"
    );
    assert!(fault("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>").contains("which are refused"));
    assert!(fault("<!DOCTYPE a><a>&e;</a>").contains("not well-formed XML"));
    // A bare one defines nothing, and B3 writes it.
    assert!(fault("<!DOCTYPE xml><a/>").contains("the root element is <a>"));
    assert_eq!(
        fault(
            "<messageSchema id='1' xmlns:xi='http://www.w3.org/2001/XInclude'><xi:include href='t.xml'/></messageSchema>"
        ),
        "test.xml:1:78: cannot include \"t.xml\": a schema given as text has no folder; load it from its file"
    );
    assert_eq!(
        fault("<messageSchema id='1'/>"),
        "test.xml:1:1: no type is named \"messageHeader\"; declare it in <types>"
    );
}

#[test]
fn nesting_and_size_are_bounded() {
    let deep = "<composite name='c'>".repeat(17) + &"</composite>".repeat(17);
    assert!(fault(&deep, "").contains("composites within composites exceed the limit of 16"));
    // By references alone, each declared before it is used.
    let chain: String = (1..=20)
        .map(|n| {
            format!(
                "<composite name='c{n}'><ref name='r' type='{}'/></composite>",
                if n == 1 { "int8".into() } else { format!("c{}", n - 1) }
            )
        })
        .collect();
    assert!(fault(&chain, "").contains("composites within composites exceed the limit of 16"));
    // Constants take no bytes, so that only their number bounds them.
    let wide: String = (1..=8)
        .map(|n| {
            let inner = if n == 1 { "k".into() } else { format!("c{}", n - 1) };
            let members: String = (0..8).map(|m| format!("<ref name='m{m}' type='{inner}'/>")).collect();
            format!("<composite name='c{n}'>{members}</composite>")
        })
        .collect();
    let constant = "<type name='k' primitiveType='int8' presence='constant'>1</type>";
    assert!(fault(&format!("{constant}{wide}"), "").contains("the values of a composite exceed the limit of 4096"));
    let groups: String = "<group name='g' id='1'>".repeat(17) + &"</group>".repeat(17);
    assert!(fault("", &groups).contains("groups within groups exceed the limit of 16"));
}

#[test]
fn the_layout_is_resolved() {
    let schema = parse(
        "<type name='opt' primitiveType='uint32' presence='optional'/>
         <type name='k' primitiveType='int8' presence='constant'>-3</type>
         <composite name='price'><type name='mantissa' primitiveType='int64'/><ref name='exponent' type='k'/></composite>",
        "<field name='a' id='1' type='uint8'/><field name='k' id='2' type='k'/><field name='b' id='3' type='opt'/>
         <field name='p' id='4' type='price' offset='8' sinceVersion='2'/>
         <group name='g' id='5' blockLength='4'><field name='x' id='6' type='int16' presence='optional'/></group>
         <data name='d' id='7' type='text'/>",
    )
    .expect("it is sound");
    assert_eq!((schema.id, schema.version, schema.byte_order), (1, 2, ByteOrder::Little));
    assert_eq!(schema.header().size_bytes, 8);
    let message = schema.message_by_template(1).expect("it is there");
    assert_eq!(schema.message_by_name("M"), Some(message));
    assert!(schema.message_by_template(2).is_none() && schema.message_by_name("m").is_none());
    let places: Vec<_> = message.block.fields.iter().map(|f| (f.meta.name.as_str(), f.offset, f.size_bytes)).collect();
    assert_eq!(places, [("a", 0, 1), ("k", 1, 0), ("b", 1, 4), ("p", 8, 8)]);
    let presence: Vec<_> = message.block.fields.iter().map(|field| field.presence).collect();
    assert_eq!(presence, [Presence::Required, Presence::Constant, Presence::Optional, Presence::Required]);
    assert_eq!(message.block.length_bytes, 16);
    let group = &message.block.groups[0];
    assert_eq!((group.block.length_bytes, group.block.fields_end, group.dimension.size_bytes), (4, 2, 3));
    let Type::Composite(price) = schema.type_of(message.block.fields[3].type_id) else { panic!("it is a composite") };
    assert_eq!((price.form, price.size_bytes), (Form::Decimal, 8));
    assert_eq!(schema, schema.clone());
}

/// SBE 2.0, Message Schema: what 1.0 says of the type may be said of the field.
#[test]
fn a_field_may_state_null_bounds_and_constant() {
    let types = "<type name='i' primitiveType='uint8'/><type name='c' primitiveType='char' length='4'/>\
                 <enum name='e' encodingType='uint8'><validValue name='a'>1</validValue></enum>";
    let schema = parse(
        types,
        "<field name='n' id='1' type='i' presence='optional' nullValue='9' minValue='1' maxValue='8'/>
         <field name='e' id='2' type='e' presence='optional' nullValue='0'/>
         <field name='k' id='3' type='c' presence='constant'>XEUR</field><field name='i' id='4' type='i'/>",
    )
    .expect("it is sound");
    let mut json = Vec::new();
    let message = [3, 0, 1, 0, 1, 0, 2, 0, 9, 0, 9];
    assert_eq!(oyez_sbe::decode_json(&schema, &message, &mut json), Ok(11));
    assert_eq!(String::from_utf8_lossy(&json), r#"{"_t":"M","n":null,"e":null,"k":"XEUR","i":9}"#);
    let Type::Encoding(n) = schema.type_of(schema.messages[0].block.fields[0].type_id) else { panic!("it is a type") };
    assert_eq!((n.min, n.max), (Some(oyez_sbe::Number::UInt(1)), Some(oyez_sbe::Number::UInt(8))));
    let long = fault(types, "<field name='k' id='1' type='c' presence='constant'>XEURO</field>");
    assert!(
        long.ends_with("\"XEURO\" has 5 characters, more than the length 4; shorten it or raise the length"),
        "{long}"
    );
}

#[test]
fn includes_stay_in_their_folder() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("it can be written");
    let schema = |href: &str| {
        let xi = "xmlns:xi='http://www.w3.org/2001/XInclude'";
        write(
            "main.xml",
            &format!(
                "<messageSchema id='1' {xi}>\n<xi:include href='{href}'/><message name='M' id='1'/></messageSchema>"
            ),
        );
        Schema::load(folder.path().join("main.xml"))
    };
    std::fs::create_dir(folder.path().join("below")).expect("it can be made");
    write("below/types.xml", &format!("<types>{HEADER}</types>"));
    assert_eq!(schema("below/types.xml").expect("it is sound").messages.len(), 1);

    let fault = |href| schema(href).expect_err("it is refused").fault.to_string();
    for outside in ["../types.xml", "/etc/passwd", "http://example.com/types.xml"] {
        assert!(fault(outside).contains("it leaves the folder of the schema; name a file in that folder"), "{outside}");
    }
    assert!(fault("absent.xml").contains("No such file"));
    write("below/broken.xml", "<types>\n<type/></types>");
    let error = schema("below/broken.xml").expect_err("it is refused");
    assert!(error.origin.ends_with("below/broken.xml") && error.line == 2, "{error}");
    assert!(matches!(schema("main.xml").expect_err("it is a circle").fault, Fault::Unexpected { .. }));
}
