//! SBE → JSON → SBE and JSON → SBE → JSON are identities, for any schema and any message of it.

mod random;

use oyez_sbe::{DecodeError, Schema, Unencodable, decode_json, encode_json, message_length};
use proptest::prelude::*;
use random::{Choices, choices};

fn compile(shape: Vec<u8>) -> (String, Schema) {
    let xml = random::schema::schema(&mut Choices::new(shape));
    let schema = Schema::parse(&xml, "random.xml").unwrap_or_else(|error| panic!("{error}\n{xml}"));
    (xml, schema)
}

/// The message as JSON, which becomes the same bytes again.
fn check(schema: &Schema, message: &[u8]) -> Result<String, TestCaseError> {
    let (mut json, mut again) = (Vec::new(), b"before".to_vec());
    let length = match decode_json(schema, message, &mut json) {
        Ok(length) => length,
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    };
    let json = String::from_utf8(json).expect("JSON is UTF-8");
    let encoded = encode_json(schema, json.as_bytes(), &mut again);
    prop_assert_eq!(encoded, Ok(length), "{}", json);
    prop_assert_eq!(&again[b"before".len()..], &message[..length], "{}", json);
    Ok(json)
}

/// A thousand cases of each, or as many as PROPTEST_CASES says.
fn config() -> ProptestConfig {
    let given = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { given } else { ProptestConfig { cases: 1_000, ..given } }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_message_of_any_schema_is_its_json_and_back(
        shape in choices(200), content in choices(400), damage in prop::collection::vec((any::<u16>(), any::<u8>()), 0..3),
    ) {
        let (xml, schema) = compile(shape);
        let mut message = random::message::message(&mut Choices::new(content), &schema);
        let json = check(&schema, &message).map_err(|error| TestCaseError::fail(format!("{error}\n{xml}\n{message:02x?}")))?;
        prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{}", json);
        // Damaged, it is another message, or none.
        for (at, byte) in damage {
            let at = usize::from(at) % message.len();
            message[at] = byte;
        }
        if message_length(&schema, &message).is_ok() {
            check(&schema, &message).map_err(|error| TestCaseError::fail(format!("{error}\n{xml}\n{message:02x?}")))?;
        }
    }

    #[test]
    fn any_json_of_any_schema_is_its_message_and_back(shape in choices(200), content in choices(200)) {
        let (xml, schema) = compile(shape);
        let json = random::json::json(&mut Choices::new(content), &schema);
        let (mut message, mut again) = (Vec::new(), Vec::new());
        let encoded = encode_json(&schema, json.as_bytes(), &mut message);
        // A block longer than its uint8 can say, which no writer can send.
        if matches!(&encoded, Err(error) if matches!(error.fault, Unencodable::Slot { .. })) {
            return Ok(());
        }
        prop_assert!(encoded.is_ok(), "{}\n{}\n{}", encoded.expect_err("it failed"), json, xml);
        prop_assert_eq!(decode_json(&schema, &message, &mut again), Ok(message.len()));
        prop_assert_eq!(String::from_utf8(again).expect("JSON is UTF-8"), json, "{}", xml);
    }

    #[test]
    fn a_message_cut_anywhere_is_an_error(shape in choices(200), content in choices(400)) {
        let (_, schema) = compile(shape);
        let message = random::message::message(&mut Choices::new(content), &schema);
        let length = message_length(&schema, &message).expect("it is whole");
        for length in (0..length).step_by(1 + length / 64) {
            let mut json = Vec::new();
            let error = decode_json(&schema, &message[..length], &mut json).expect_err("it is cut short");
            prop_assert!(matches!(error, DecodeError::Truncated { .. }), "{}", error);
            prop_assert!(json.is_empty());
        }
    }

    /// JSON that was damaged is refused with its place, or is another message.
    #[test]
    fn damaged_json_is_refused_or_encoded(
        shape in choices(120), content in choices(200), at in any::<prop::sample::Index>(), piece in r#"[\[\]{}:,"0-9a-z_-]{0,6}"#, cut in 0_usize..12,
    ) {
        let (_, schema) = compile(shape);
        let json = random::json::json(&mut Choices::new(content), &schema).into_bytes();
        let at = at.index(json.len());
        let damaged = [&json[..at], piece.as_bytes(), &json[(at + cut).min(json.len())..]].concat();
        let mut message = b"before".to_vec();
        match encode_json(&schema, &damaged, &mut message) {
            Ok(length) => {
                prop_assert_eq!(message.len(), b"before".len() + length);
                check(&schema, &message[b"before".len()..])?;
            }
            Err(error) => {
                prop_assert_eq!(message, b"before");
                prop_assert!(error.line >= 1 && error.column >= 1 && error.to_string().contains("; "), "{}", error);
            }
        }
    }
}
