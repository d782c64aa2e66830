//! Schema-driven decoding, to JSON and back.

use oyez_sbe::{Schema, decode_json, encode_json, message_length};

/// A byte that chooses the schema, then a message.
pub(crate) fn any(input: &[u8]) {
    if let Some((schema, message)) = crate::choose(input) {
        check(schema, message);
    }
}

/// Whatever decodes becomes JSON that is the same bytes again; and only what decodes has a length.
pub(crate) fn check(schema: &Schema, message: &[u8]) {
    let mut json = Vec::new();
    let decoded = decode_json(schema, message, &mut json);
    assert_eq!(decoded, message_length(schema, message));
    match decoded {
        Ok(length) => {
            let mut again = Vec::new();
            let encoded = encode_json(schema, &json, &mut again);
            assert_eq!(encoded, Ok(length), "{}", String::from_utf8_lossy(&json));
            assert_eq!(again, &message[..length], "{}", String::from_utf8_lossy(&json));
        }
        Err(error) => crate::one_line(&error),
    }
}
