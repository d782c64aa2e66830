//! The generated decoder and encoder of the sample, against the schema-driven ones.

use oyez_sbe::{decode, message_length};

use crate::SCHEMAS;
use crate::values::code::oyez_sample::Message;
use crate::values::{Values, read_and_write};

/// The most that the code of the sample writes: 255 entries of 40 bytes, and less than 1,000 beside them.
const MESSAGE_BYTES_MAX: usize = 255 * 40 + 1_000;

/// A message: what generated code reads, the schema says too, value for value; what it writes reads the same.
pub(crate) fn any(message: &[u8]) {
    let schema = &SCHEMAS[0];
    // It may refuse more: a block without the required fields.
    let Ok(end) = Message::decode(message).and_then(Message::skip) else {
        assert!(read_and_write(message, &mut [0; MESSAGE_BYTES_MAX]).is_err());
        return;
    };
    let length = message.len() - end.rest().len();
    assert_eq!(message_length(schema, message), Ok(length));
    let mut driven = Values::default();
    decode(schema, message, &mut driven).expect("it has a length");
    let mut out = [0xAA; MESSAGE_BYTES_MAX];
    let (generated, length) = read_and_write(message, &mut out).expect("all of it was checked");
    assert_eq!(generated, driven);
    let mut again = Values::default();
    assert_eq!(decode(schema, &out[..length], &mut again), Ok(length));
    assert_eq!(again, driven);
}
