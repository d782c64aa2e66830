//! Generated decoders and encoders, against the schema-driven ones.

use oyez_sbe::{Schema, decode};
use oyez_sbe_runtime::Error;

use crate::SCHEMAS;
use crate::grown::{big, little};
use crate::values::code::oyez_sample::Message;
use crate::values::{Values, read_and_write};

/// The most that the code of the sample writes: 255 entries of 40 bytes, and less than 1,000 beside them.
const MESSAGE_BYTES_MAX: usize = 255 * 40 + 1_000;

/// A message of one of three schemas: what generated code reads, the schema says too, value for value; and what it writes
/// reads the same.
pub(crate) fn any(message: &[u8]) {
    let [sample, _, grown, grown_big] = &*SCHEMAS;
    check(sample, message, read_sample(message), skip_sample(message));
    check(grown, message, little::read(message), little::skip(message));
    check(grown_big, message, big::read(message), big::skip(message));
}

fn check(schema: &Schema, message: &[u8], read: Result<(Values, usize), Error>, skipped: Result<usize, Error>) {
    let mut driven = Values::default();
    let decoded = decode(schema, message, &mut driven);
    match read {
        Ok((values, length)) => {
            assert_eq!((decoded, skipped), (Ok(length), Ok(length)));
            assert_eq!(values, driven);
        }
        // It refuses more: a block without the required fields, which it may skip.
        Err(error @ Error::ShortBlock { .. }) => crate::one_line(&error),
        Err(error) => {
            crate::one_line(&error);
            assert!(decoded.is_err() && skipped.is_err(), "{error}");
        }
    }
}

fn skip_sample(message: &[u8]) -> Result<usize, Error> {
    Ok(message.len() - Message::decode(message)?.skip()?.rest().len())
}

fn read_sample(message: &[u8]) -> Result<(Values, usize), Error> {
    let mut out = [0xAA; MESSAGE_BYTES_MAX];
    let (values, written) = read_and_write(message, &mut out)?;
    let mut again = Values::default();
    assert_eq!(decode(&SCHEMAS[0], &out[..written], &mut again), Ok(written));
    assert_eq!(again, values);
    Ok((values, skip_sample(message)?))
}
