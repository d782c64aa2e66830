//! JSON that is to become a message.

use oyez_sbe::{decode_json, encode_json};

/// A byte that chooses the schema, then JSON: what is taken has one canonical form, which is taken as the same bytes.
pub(crate) fn any(input: &[u8]) {
    let Some((schema, json)) = crate::choose(input) else { return };
    let mut message = vec![0xAA];
    let encoded = encode_json(schema, json, &mut message);
    assert_eq!(message[0], 0xAA, "what stood before stays");
    let message = &message[1..];
    match encoded {
        Ok(length) => {
            assert_eq!(message.len(), length);
            let (mut canonical, mut again) = (Vec::new(), Vec::new());
            assert_eq!(decode_json(schema, message, &mut canonical), Ok(length));
            let encoded = encode_json(schema, &canonical, &mut again);
            assert_eq!(encoded, Ok(length), "{}", String::from_utf8_lossy(&canonical));
            assert_eq!(again, message, "{}", String::from_utf8_lossy(&canonical));
        }
        Err(error) => {
            assert_eq!(message, b"", "on an error nothing is written");
            crate::one_line(&error);
        }
    }
}
