//! B3's binary UMDF packets, little-endian.
//!
//! ```text
//!   0  channel          u8
//!   1  reserved         u8
//!   2  sequence version u16   a new one each week, and when another engine takes over
//!   4  sequence number  u32   of the packet in its channel
//!   8  sending time     u64   ns since 1970 UTC
//!  16  then, for each message: length u16 (with these 4 bytes), encoding type u16 = 0xEB50, the SBE message
//! ```

use super::messages::{Messages, PacketError, Prefix};
use crate::primitive::{ByteOrder, Primitive};

/// A packet header's bytes.
const HEADER_BYTES: usize = 16;
/// The FIX Simple Open Framing Header in B3's compact form.
const PREFIX: Prefix = Prefix { venue: "B3", order: ByteOrder::Little, length: Primitive::UInt16, encoding_type: true };

/// A packet: its header, and its messages not yet looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'a> {
    /// The channel.
    pub channel: u8,
    /// The version of the channel's numbering.
    pub sequence_version: u16,
    /// The packet's number in its channel.
    pub sequence_number: u32,
    /// When it was sent, in ns since 1970 UTC.
    pub sending_time_ns: u64,
    body: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads the header of a UDP payload.
    ///
    /// # Errors
    /// If the payload is shorter than that.
    pub fn parse(payload: &'a [u8]) -> Result<Packet<'a>, PacketError> {
        let (venue, header_bytes, found) = (PREFIX.venue, HEADER_BYTES, payload.len());
        let header =
            payload.first_chunk::<HEADER_BYTES>().ok_or(PacketError::NoHeader { venue, header_bytes, found })?;
        let [channel, _, v0, v1, n0, n1, n2, n3, time @ ..] = *header;
        Ok(Packet {
            channel,
            sequence_version: u16::from_le_bytes([v0, v1]),
            sequence_number: u32::from_le_bytes([n0, n1, n2, n3]),
            sending_time_ns: u64::from_le_bytes(time),
            body: &payload[HEADER_BYTES..],
        })
    }

    /// Its SBE messages in order. After an error there are no more.
    pub fn messages(&self) -> Messages<'a> {
        Messages::new(PREFIX, HEADER_BYTES, self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(framed: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![68, 0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
        for message in framed {
            bytes.extend((message.len() as u16 + 4).to_le_bytes());
            bytes.extend([0x50, 0xEB]);
            bytes.extend(*message);
        }
        bytes
    }

    #[test]
    fn a_packet_gives_its_header_and_messages() {
        let bytes = packet(&[b"one", b"", b"three"]);
        let packet = Packet::parse(&bytes).expect("it has a header");
        let numbers = (packet.channel, packet.sequence_version, packet.sequence_number, packet.sending_time_ns);
        assert_eq!(numbers, (68, 1, 2, 3));
        let messages: Vec<_> = packet.messages().collect();
        assert_eq!(messages, [Ok(&b"one"[..]), Ok(b""), Ok(b"three")]);
    }

    #[test]
    fn every_cut_but_those_between_messages_is_an_error() {
        let whole = packet(&[b"one", b"three"]);
        for length in 0..whole.len() {
            let Ok(packet) = Packet::parse(&whole[..length]) else {
                assert!(length < 16);
                continue;
            };
            let errors = packet.messages().filter(Result::is_err).count();
            assert_eq!(errors == 0, length == 16 || length == 23, "{length}");
        }
    }

    #[test]
    fn errors_name_the_place() {
        let mut bytes = packet(&[b"one", b"three"]);
        bytes[25] = 0;
        let error = Packet::parse(&bytes).expect("it has a header").messages().nth(1);
        assert_eq!(error, Some(Err(PacketError::EncodingType { venue: "B3", offset: 25, found: 0xEB00 })));
        bytes[16..18].copy_from_slice(&3_u16.to_le_bytes());
        let error = Packet::parse(&bytes).expect("it has a header").messages().next();
        assert_eq!(error, Some(Err(PacketError::Length { venue: "B3", offset: 16, length: 3, left: 16 })));
        let text = Packet::parse(b"cut").expect_err("it is too short").to_string();
        assert_eq!(
            text,
            "the payload has 3 bytes, fewer than the 16 of a B3 packet header; is the capture of a B3 channel?"
        );
    }
}
