//! Messages in a row, each behind a length that counts itself: what B3, CME, Optiq and the Simple Open Framing Header
//! have in common.

use crate::error::DecodeError;
use crate::ir::Slot;
use crate::primitive::{ByteOrder, Primitive};

/// SBE, little-endian, in the registry of encoding types (FIX Simple Open Framing Header).
pub(super) const SBE_LITTLE_ENDIAN: u16 = 0xEB50;
/// SBE, big-endian.
pub(super) const SBE_BIG_ENDIAN: u16 = 0x5BE0;

/// Bytes that are no packet of a venue. Offsets are in bytes from the start of the payload; behind a compressed body's
/// header, as if the body were not compressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the text of each says what its values are")]
pub enum PacketError {
    #[error(
        "the payload has {found} bytes, fewer than the {header_bytes} of a {venue} packet header; \
             is the capture of a {venue} channel?"
    )]
    NoHeader { venue: &'static str, header_bytes: usize, found: usize },
    #[error(
        "at byte {offset} a message claims {length} bytes and {left} are left; the packet is cut short, or not {venue}'s"
    )]
    Length { venue: &'static str, offset: usize, length: usize, left: usize },
    #[error("at byte {offset} the encoding type is {found:#06x}, not SBE's; the packet is not {venue}'s")]
    EncodingType { venue: &'static str, offset: usize, found: u16 },
    #[error("the body of {found} bytes is no LZ4 block of at most {limit}; the packet is damaged, or not {venue}'s")]
    Compressed { venue: &'static str, found: usize, limit: usize },
    #[error("at byte {offset}: {source}")]
    Message { offset: usize, source: DecodeError },
}

/// What stands before each message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Prefix {
    pub(super) venue: &'static str,
    pub(super) order: ByteOrder,
    /// Length of the message, this prefix included; it comes first.
    pub(super) length: Primitive,
    /// Does an encoding type of two bytes follow?
    pub(super) encoding_type: bool,
}

/// The messages of a packet. After an error there are no more.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    prefix: Prefix,
    /// Of `rest` in the payload.
    offset: usize,
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    pub(super) fn new(prefix: Prefix, offset: usize, rest: &'a [u8]) -> Messages<'a> {
        Messages { prefix, offset, rest }
    }

    fn cut(&mut self) -> Result<&'a [u8], PacketError> {
        let Messages { prefix: Prefix { venue, order, length, encoding_type }, offset, rest } = *self;
        let left = rest.len();
        let length_bytes = length.size_bytes() as usize;
        let prefix_bytes = length_bytes + if encoding_type { 2 } else { 0 };
        if left < prefix_bytes {
            return Err(PacketError::Length { venue, offset, length: prefix_bytes, left });
        }
        let read = |slot: Slot| slot.read(order, rest).unwrap_or(u64::MAX);
        if encoding_type {
            let slot = Slot { offset: length_bytes as u32, primitive: Primitive::UInt16 };
            let found = read(slot) as u16;
            let big = found == SBE_BIG_ENDIAN && order == ByteOrder::Big;
            if found != SBE_LITTLE_ENDIAN && !big {
                return Err(PacketError::EncodingType { venue, offset: offset + length_bytes, found });
            }
        }
        let length = usize::try_from(read(Slot { offset: 0, primitive: length })).unwrap_or(usize::MAX);
        let message = rest.get(prefix_bytes..length).ok_or(PacketError::Length { venue, offset, length, left })?;
        self.rest = &rest[length..];
        self.offset += length;
        Ok(message)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<&'a [u8], PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some(self.cut().inspect_err(|_| self.rest = &[]))
    }
}

impl std::iter::FusedIterator for Messages<'_> {}
