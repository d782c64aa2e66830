//! The rules of SBE that the protocol needs: little-endian fields at fixed places in a block, then groups, then variable
//! data. Decoding checks every bound and obeys the block length it was sent, so that a later version may append fields.

use oyez_ring::{Epoch, EpochStart, Position, Sequence};

use crate::message::Binding;
use crate::{SCHEMA_ID, TEXT_BYTES_MAX, VERSION};

/// Bytes of the SBE message header: block length, template id, schema id, version.
pub const HEADER_BYTES: usize = 8;
/// Bytes of the head of a group: block length of an entry, number of entries.
pub const GROUP_HEAD_BYTES: usize = 4;

/// Why some bytes are not a message of this protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end before the message does.
    #[error(
        "message ends after {found} bytes where {needed} are needed; the sender is broken or speaks another protocol"
    )]
    Short {
        /// Bytes that the field being read needs, counted from the start of the message or of its block.
        needed: usize,
        /// Bytes there are.
        found: usize,
    },
    /// Bytes are left over behind the last field of a message of our own version.
    #[error("{extra} bytes behind the end of template {template}; the sender is broken")]
    Trailing {
        /// Template id of the message.
        template: u16,
        /// Bytes too many.
        extra: usize,
    },
    /// The header names a schema other than ours.
    #[error("schema id {found} where {SCHEMA_ID} belongs; this socket is not for that protocol")]
    Schema {
        /// The schema id found.
        found: u16,
    },
    /// A template that this build does not know.
    #[error("unknown template {found}; upgrade the side that reports this")]
    Template {
        /// The template id found.
        found: u16,
    },
    /// A field holds a value outside its range.
    #[error("{field} has the value {value}, which means nothing; the sender is broken or newer")]
    Value {
        /// Name of the field's type.
        field: &'static str,
        /// The value found.
        value: u64,
    },
    /// A text is not UTF-8 or is longer than the limit.
    #[error("a text of {length} bytes is not UTF-8 or longer than {TEXT_BYTES_MAX} bytes; the sender is broken")]
    Text {
        /// Length in bytes.
        length: usize,
    },
}

/// The header before every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the root block.
    pub block_length: u16,
    /// Which message.
    pub template: u16,
    /// Schema version of the sender.
    pub version: u16,
}

impl Header {
    /// Appends the header to `out`.
    pub fn put(self, out: &mut Vec<u8>) {
        for word in [self.block_length, self.template, SCHEMA_ID, self.version] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }

    /// Reads the header and leaves `input` behind it.
    ///
    /// # Errors
    /// The bytes are too few, or belong to another schema.
    pub fn take(input: &mut Input<'_>) -> Result<Header, DecodeError> {
        let header = Header { block_length: u16::take(input)?, template: u16::take(input)?, version: 0 };
        match u16::take(input)? {
            SCHEMA_ID => Ok(Header { version: u16::take(input)?, ..header }),
            found => Err(DecodeError::Schema { found }),
        }
    }
}

/// Bytes being read, front to back.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Starts reading `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Input<'a> {
        Input(bytes)
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) =
            self.0.split_at_checked(length).ok_or(DecodeError::Short { needed: length, found: self.0.len() })?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next `length` bytes as an input of their own: a block, of which the known fields are read and the rest,
    /// which a later version appended, is passed over.
    ///
    /// # Errors
    /// There are fewer.
    pub fn block(&mut self, length: u16) -> Result<Input<'a>, DecodeError> {
        self.bytes(usize::from(length)).map(Input)
    }

    /// Ends the reading of a message: nothing may be left, unless a later version wrote it.
    ///
    /// # Errors
    /// Bytes are left in a message of our version.
    pub fn finish(self, header: Header) -> Result<(), DecodeError> {
        match self.0.len() {
            0 => Ok(()),
            _ if header.version > VERSION => Ok(()),
            extra => Err(DecodeError::Trailing { template: header.template, extra }),
        }
    }
}

/// A fixed-size field of a block, or a composite of such.
pub trait Field: Sized {
    /// Bytes it takes.
    const BYTES: u16;
    /// Appends it to `out`.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads it.
    ///
    /// # Errors
    /// The bytes end, or the value means nothing.
    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError>;
}

macro_rules! integers {
    ($($integer:ty)+) => {$(
        impl Field for $integer {
            const BYTES: u16 = size_of::<$integer>() as u16;
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
                let mut bytes = [0; size_of::<$integer>()];
                bytes.copy_from_slice(input.bytes(size_of::<$integer>())?);
                Ok(<$integer>::from_le_bytes(bytes))
            }
        }
    )+};
}
integers!(u8 u16 u32 u64);

macro_rules! newtypes {
    ($($name:ident($integer:ty))+) => {$(
        impl Field for $name {
            const BYTES: u16 = <$integer>::BYTES;
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }
            fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
                <$integer>::take(input).map($name)
            }
        }
    )+};
}
newtypes!(Position(u64) Sequence(u64) Epoch(u32));

impl Field for EpochStart {
    const BYTES: u16 = 36;
    fn put(&self, out: &mut Vec<u8>) {
        self.epoch.put(out);
        self.position.put(out);
        self.sequence.put(out);
        self.time_ns.put(out);
        self.previous_end.put(out);
    }
    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(EpochStart {
            epoch: Epoch::take(input)?,
            position: Position::take(input)?,
            sequence: Sequence::take(input)?,
            time_ns: u64::take(input)?,
            previous_end: Position::take(input)?,
        })
    }
}

/// An optional number: the greatest is the null value.
impl Field for Option<u16> {
    const BYTES: u16 = u16::BYTES;
    fn put(&self, out: &mut Vec<u8>) {
        self.unwrap_or(u16::MAX).put(out);
    }
    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Some(u16::take(input)?).filter(|&number| number != u16::MAX))
    }
}

impl Field for Binding {
    const BYTES: u16 = 6;
    fn put(&self, out: &mut Vec<u8>) {
        self.schema_id.put(out);
        self.version_min.put(out);
        self.version_max.put(out);
    }
    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        Ok(Binding { schema_id: Field::take(input)?, version_min: u16::take(input)?, version_max: u16::take(input)? })
    }
}

impl Field for bool {
    const BYTES: u16 = 1;
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self).put(out);
    }
    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        match u8::take(input)? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(DecodeError::Value { field: "Boolean", value: value.into() }),
        }
    }
}

/// What stands behind the root block: a group or variable data.
pub trait Tail: Sized {
    /// Appends it to `out`.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads it.
    ///
    /// # Errors
    /// The bytes end, or a value means nothing.
    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError>;
}

impl Tail for String {
    fn put(&self, out: &mut Vec<u8>) {
        let fits = (0..=self.len().min(TEXT_BYTES_MAX)).rev().find(|&length| self.is_char_boundary(length));
        let text = &self.as_bytes()[..fits.unwrap_or(0)];
        (text.len() as u16).put(out);
        out.extend_from_slice(text);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let length = usize::from(u16::take(input)?);
        let bytes = input.bytes(length)?;
        match str::from_utf8(bytes) {
            Ok(text) if length <= TEXT_BYTES_MAX => Ok(text.to_owned()),
            _ => Err(DecodeError::Text { length }),
        }
    }
}

/// A group, of entries that are one composite each.
impl<E: Field> Tail for Vec<E> {
    fn put(&self, out: &mut Vec<u8>) {
        E::BYTES.put(out);
        (self.len() as u16).put(out);
        self.iter().for_each(|entry| entry.put(out));
    }

    fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
        let (entry_bytes, count) = (u16::take(input)?, u16::take(input)?);
        // Not reserved by `count`: an entry that is not there ends the loop, so memory follows the bytes received. An
        // entry without bytes would not, hence the lower bound.
        if entry_bytes < E::BYTES {
            return Err(DecodeError::Short { needed: E::BYTES.into(), found: entry_bytes.into() });
        }
        (0..count).map(|_| E::take(&mut input.block(entry_bytes)?)).collect()
    }
}
