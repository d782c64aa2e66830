//! The canonical JSON form, rule by rule, in both byte orders; and what a message may not do.

use oyez_sbe::{DecodeError, JSON_BYTES_MAX, Schema, Value, Visitor, decode, decode_json, encode_json, message_length};
use proptest::prelude::*;

fn schema(byte_order: &str) -> Schema {
    let xml = include_str!("fixtures/every-kind.xml").replace("littleEndian", byte_order);
    Schema::parse(&xml, "every-kind.xml").expect("it is sound")
}

/// Writes a message, number by number.
#[derive(Clone)]
struct Writer {
    big: bool,
    bytes: Vec<u8>,
}

impl Writer {
    fn new(big: bool, block_length: u16, template: u16, version: u16) -> Writer {
        Writer { big, bytes: Vec::new() }.n(block_length).n(template).n(9_u16).n(version)
    }

    fn n<T: Number>(mut self, number: T) -> Writer {
        let mut bytes = number.little();
        if self.big {
            bytes.reverse();
        }
        self.bytes.extend(bytes);
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Writer {
        self.bytes.extend(bytes);
        self
    }
}

trait Number {
    fn little(&self) -> Vec<u8>;
}

macro_rules! number {
    ($($type:ty)*) => { $(impl Number for $type {
        fn little(&self) -> Vec<u8> { self.to_le_bytes().to_vec() }
    })* };
}
number!(u8 u16 u32 u64 i8 i16 i32 i64 f32 f64);

fn json(schema: &Schema, message: &[u8]) -> String {
    let mut out = Vec::new();
    assert_eq!(decode_json(schema, message, &mut out), Ok(message.len()));
    assert_eq!(message_length(schema, message), Ok(message.len()));
    let mut again = Vec::new();
    assert_eq!(encode_json(schema, &out, &mut again), Ok(message.len()));
    assert_eq!(again, message);
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn scalars(big: bool, null: bool) -> Writer {
    let w = Writer::new(big, 77, 1, 1);
    match null {
        false => w
            .n(-8_i8)
            .n(-16_i16)
            .n(-32_i32)
            .n(i64::MIN + 1)
            .n(8_u8)
            .n(16_u16)
            .n(32_u32)
            .n(u64::MAX - 1)
            .n(0.1_f32)
            .n(-1e300_f64)
            .raw(b"c")
            .raw(b"a\"\\\x01\xC3\xA9\0\0")
            .raw(&[1, 2, 3, 4])
            .n(1_u16)
            .n(2_u16)
            .n(b'B')
            .n(0b101_u8)
            .n(-150_i64)
            .n(1_500_000_000_123_456_789_u64),
        true => w
            .n(i8::MIN)
            .n(i16::MIN)
            .n(i32::MIN)
            .n(i64::MIN)
            .n(u8::MAX)
            .n(u16::MAX)
            .n(u32::MAX)
            .n(u64::MAX)
            .n(f32::NAN)
            .n(f64::NAN)
            .raw(b"\0")
            .raw(&[0; 8])
            .raw(&[0; 4])
            .n(u16::MAX)
            .n(7_u16)
            .n(0_u8)
            .n(0_u8)
            .n(i64::MIN)
            .n(u64::MAX),
    }
}

#[test]
fn every_kind_of_value_has_its_form_in_both_byte_orders() {
    for (big, order) in [(false, "littleEndian"), (true, "bigEndian")] {
        let schema = schema(order);
        let message = scalars(big, false).bytes;
        assert_eq!(
            json(&schema, &message),
            r#"{"_t":"Scalars","i8":-8,"i16":-16,"i32":-32,"i64":"-9223372036854775807","u8":8,"u16":16,"u32":32,"#
                .to_owned()
                + r#""u64":"18446744073709551614","float":0.1,"double":-1e+300,"char":"c","text":"a\"\\\u0001é","#
                + r#""bytes":"AQIDBA==","array":[1,2],"side":"Sell","flags":["first",{"_unknown":2}],"#
                + r#""price":"-0.0150","time":"2017-07-14T02:40:00.123456789Z","kind":"Market","venue":"OYEZ"}"#
        );
        let message = scalars(big, true).bytes;
        assert_eq!(
            json(&schema, &message),
            r#"{"_t":"Scalars","i8":null,"i16":null,"i32":null,"i64":null,"u8":null,"u16":null,"u32":null,"#.to_owned()
                + r#""u64":null,"float":null,"double":null,"char":null,"text":null,"bytes":"AAAAAA==","#
                + r#""array":[null,7],"side":null,"flags":[],"price":null,"time":null,"kind":"Market","venue":"OYEZ"}"#
        );
    }
}

fn nested() -> Vec<u8> {
    Writer::new(false, 0, 2, 1)
        .n(2_u16)
        .n(2_u8)
        .n(1_u16)
        .n(0_u16)
        .n(1_u8)
        .raw(b"")
        .n(2_u8)
        .raw(b"ab")
        .n(2_u16)
        .n(1_u16)
        .n(2_u8)
        .n(9_u8)
        .n(8_u8)
        .n(0_u8)
        .n(3_u8)
        .raw(b"\x01\xFF\x00")
        .bytes
}

#[test]
fn groups_nest_and_data_follows() {
    assert_eq!(
        json(&schema("littleEndian"), &nested()),
        r#"{"_t":"Nested","outer":[{"a":1,"_header_inner":{"blockLength":0},"inner":[{"b":null}],"note":"ab"},"#
            .to_owned()
            + r#"{"a":2,"inner":[{"b":9},{"b":8}],"note":""}],"blob":"Af8A"}"#
    );
}

#[test]
fn older_and_newer_writers_are_read() {
    let schema = schema("littleEndian");
    // Version 0 had neither `late`, nor the group, nor the data.
    assert_eq!(
        json(&schema, &Writer::new(false, 4, 3, 0).n(7_u32).bytes),
        r#"{"_t":"Grown","_header":{"blockLength":4,"version":0},"first":7,"late":null,"entries":null,"note":null}"#
    );
    // Its block may have been longer than its fields: what lies there then is not `late`.
    let padded = Writer::new(false, 6, 3, 0).n(7_u32).n(0xAAAA_u16);
    let old =
        r#"{"_t":"Grown","_header":{"blockLength":6,"version":0},"first":7,"late":null,"_4":"qqo=","entries":null,"#;
    assert_eq!(json(&schema, &padded.bytes), format!(r#"{old}"note":null}}"#));
    let version_1 = Writer::new(false, 6, 3, 1).n(7_u32).n(8_u16).n(1_u16).n(1_u8).n(5_u8).n(1_u8).raw(b"x");
    assert_eq!(json(&schema, &version_1.bytes), r#"{"_t":"Grown","first":7,"late":8,"entries":[{"a":5}],"note":"x"}"#);
    // Version 9 has more in the block and in the entries.
    let version_9 = Writer::new(false, 9, 3, 9)
        .n(7_u32)
        .n(8_u16)
        .raw(&[0xFF; 3])
        .n(3_u16)
        .n(1_u8)
        .n(5_u8)
        .raw(&[0xFF; 2])
        .n(1_u8)
        .raw(b"x");
    assert_eq!(
        json(&schema, &version_9.bytes),
        r#"{"_t":"Grown","_header":{"blockLength":9,"version":9},"first":7,"late":8,"_6":"////","#.to_owned()
            + r#""_header_entries":{"blockLength":3},"entries":[{"a":5,"_1":"//8="}],"note":"x"}"#
    );
    // A block that ends early has not the field, whatever the version says.
    let short = Writer::new(false, 5, 3, 1).n(7_u32).n(8_u8).n(1_u16).n(0_u8).n(0_u8);
    assert_eq!(
        json(&schema, &short.bytes),
        r#"{"_t":"Grown","_header":{"blockLength":5,"version":1},"first":7,"late":null,"_4":"CA==","#.to_owned()
            + r#""entries":[],"note":""}"#
    );
}

#[test]
fn odd_values_keep_every_bit() {
    let odd = |float: f32, text: &[u8; 4], side: u8, mantissa: i64, exponent: i8, time: i64, latin: &[u8; 2]| {
        let w = Writer::new(false, 28, 4, 1).n(float).raw(text).n(side).n(mantissa).n(exponent).n(time).raw(latin);
        json(&schema("littleEndian"), &w.bytes)
    };
    assert_eq!(
        odd(f32::INFINITY, b"a\0b\0", b'x', 5, 2, -1, b"\xE9!"),
        r#"{"_t":"Odd","float":"Infinity","text":{"_enc":"b64","_data":"YQBiAA=="},"side":{"_unknown":120},"#
            .to_owned()
            + r#""amount":"5e2","time":"1969-12-31T23:59:59.999000000Z","latin":"é!"}"#
    );
    assert_eq!(
        odd(f32::NAN, b"\xFF\0\0\0", 0, i64::MIN, -20, i64::MAX, b"\0\0"),
        r#"{"_t":"Odd","float":"NaN","text":{"_enc":"b64","_data":"/wAAAA=="},"side":{"_unknown":0},"#.to_owned()
            + r#""amount":{"mantissa":null,"exponent":-20},"time":"9223372036854775807","latin":""}"#
    );
    assert_eq!(
        odd(-0.0, b"full", b'B', -7, -3, 253_402_300_799_999, b"ab"),
        r#"{"_t":"Odd","float":-0.0,"text":"full","side":"Buy","#.to_owned()
            + r#""amount":"-0.007","time":"9999-12-31T23:59:59.999000000Z","latin":"ab"}"#
    );
}

#[test]
fn what_is_no_message_is_named() {
    let schema = schema("littleEndian");
    let error = |message: Writer| {
        let mut out = Vec::new();
        let error = decode_json(&schema, &message.bytes, &mut out).expect_err("it is no message");
        assert!(out.is_empty());
        assert_eq!(message_length(&schema, &message.bytes).expect_err("it is no message"), error);
        error.to_string()
    };
    let cut = "; the message is cut short or is not of this schema";
    assert_eq!(
        error(Writer { big: false, bytes: vec![0; 7] }),
        format!("the message header at byte 0 needs 8 bytes and 7 are left{cut}")
    );
    assert_eq!(
        error(Writer { big: false, bytes: vec![0, 0, 1, 0, 8, 0, 0, 0] }),
        "schema id 8, this schema has 9; decode it with the schema of that id"
    );
    assert_eq!(
        error(Writer::new(false, 0, 77, 0)),
        "schema every.kind has no message with template id 77; use the schema's newer version or skip it"
    );
    assert_eq!(
        error(Writer::new(false, 4, 3, 0).n(1_u16)),
        format!("the block of Grown at byte 8 needs 4 bytes and 2 are left{cut}")
    );
    assert_eq!(
        error(Writer::new(false, 0, 2, 1).n(2_u16).n(3_u8).n(1_u16)),
        format!("3 entries of 2 bytes in group outer at byte 11 needs 6 bytes and 2 are left{cut}")
    );
    assert_eq!(
        error(Writer::new(false, 0, 5, 1).n(0_u16).n(u32::MAX)),
        "group empty at byte 8 brings the entries without bytes above 65535; the message is damaged"
    );
    let whole = nested();
    for length in 0..whole.len() {
        assert!(error(Writer { big: false, bytes: whole[..length].to_vec() }).contains("are left"), "{length}");
    }
}

/// Every entry brings its constants, which take no bytes of the message.
#[test]
fn a_message_whose_json_would_have_no_end_is_refused() {
    let constant = "a".repeat(65_535);
    let xml = format!(
        r#"<messageSchema package="long" id="1" version="0">
             <types>
               <composite name="messageHeader">
                 <type name="blockLength" primitiveType="uint16"/><type name="templateId" primitiveType="uint16"/>
                 <type name="schemaId" primitiveType="uint16"/><type name="version" primitiveType="uint16"/>
               </composite>
               <composite name="groupSizeEncoding">
                 <type name="blockLength" primitiveType="uint16"/><type name="numInGroup" primitiveType="uint16"/>
               </composite>
               <type name="Long" primitiveType="char" length="{}" presence="constant">{constant}</type>
             </types>
             <message name="Lines" id="1">
               <group name="lines" id="1"><field name="line" id="2" type="Long"/></group>
             </message>
           </messageSchema>"#,
        constant.len()
    );
    let schema = Schema::parse(&xml, "long.xml").expect("the schema is sound");
    let lines = |count: u16| [0_u16, 1, 1, 0, 0, count].map(u16::to_le_bytes).concat();
    let mut out = b"before".to_vec();
    assert_eq!(decode_json(&schema, &lines(4096), &mut out), Ok(12));
    assert!(out.len() > JSON_BYTES_MAX);
    out.truncate(6);
    let error = decode_json(&schema, &lines(4097), &mut out).expect_err("it is longer");
    assert_eq!(
        error.to_string(),
        "the message as JSON is longer than 268435456 bytes; decode it by a visitor of your own or by generated code"
    );
    assert_eq!(out, b"before");
}

/// Adds up what it sees, and checks that what begins also ends.
#[derive(Default)]
struct Depth {
    open: i32,
    events: u64,
}

impl Visitor for Depth {
    fn value(&mut self, _: &oyez_sbe::Field, value: Value<'_>) {
        self.events += 1;
        if let Value::Array(array) = value {
            self.events += array.iter().count() as u64;
        }
    }
    fn composite(&mut self, _: &oyez_sbe::Field, _: &oyez_sbe::Composite) {
        self.open += 1;
    }
    fn composite_end(&mut self) {
        self.open -= 1;
    }
    fn group(&mut self, _: &oyez_sbe::Group, count: Option<u32>) {
        self.open += i32::from(count.is_some());
    }
    fn group_end(&mut self) {
        self.open -= 1;
    }
    fn entry(&mut self) -> Result<(), DecodeError> {
        self.open += 1;
        Ok(())
    }
    fn entry_end(&mut self) {
        self.open -= 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Any bytes behind any header: a message of known length and valid JSON, or an error; never a panic.
    #[test]
    fn random_bytes_are_a_message_or_an_error(
        big: bool, block_length in 0_u16..100, template in 0_u16..7, version in 0_u16..3,
        body in prop::collection::vec(prop_oneof![Just(0_u8), 0_u8..4, any::<u8>()], 0..200),
    ) {
        let schema = schema(if big { "bigEndian" } else { "littleEndian" });
        let message = Writer::new(big, block_length, template, version).raw(&body).bytes;
        let mut out = Vec::new();
        let result = decode_json(&schema, &message, &mut out);
        prop_assert_eq!(&message_length(&schema, &message), &result);
        let mut depth = Depth::default();
        prop_assert_eq!(&decode(&schema, &message, &mut depth), &result);
        match result {
            Ok(length) => {
                prop_assert!(length <= message.len());
                prop_assert_eq!(depth.open, 0);
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
                let mut again = Vec::new();
                prop_assert_eq!(encode_json(&schema, &out, &mut again), Ok(length));
                prop_assert_eq!(&again, &message[..length]);
                // Nothing beyond the length counts, and nothing before it may be missing.
                prop_assert_eq!(message_length(&schema, &message[..length]), Ok(length));
                prop_assert!(message_length(&schema, &message[..length - 1]).is_err());
            }
            Err(error) => {
                prop_assert!(out.is_empty());
                let known = matches!(error, DecodeError::SchemaId { .. });
                prop_assert!(!known, "{}", error);
            }
        }
    }

    #[test]
    fn wholly_random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let schema = schema("littleEndian");
        prop_assert_eq!(
            message_length(&schema, &bytes).is_ok(),
            decode_json(&schema, &bytes, &mut Vec::new()).is_ok()
        );
    }
}
