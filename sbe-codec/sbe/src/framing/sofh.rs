//! The FIX Simple Open Framing Header 1.0: length u32 with these six bytes, encoding type u16, both big-endian.

use super::messages::{Messages, Prefix};
use crate::primitive::{ByteOrder, Primitive};

const PREFIX: Prefix = Prefix { venue: "SOFH", order: ByteOrder::Big, length: Primitive::UInt32, encoding_type: true };

/// The messages in the bytes, in order. Each must be SBE, little- or big-endian.
pub fn messages(bytes: &[u8]) -> Messages<'_> {
    Messages::new(PREFIX, 0, bytes)
}
