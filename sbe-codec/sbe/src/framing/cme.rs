//! CME's MDP 3.0 packets, little-endian, in both of their forms.
//!
//! ```text
//! UDP                                          TCP
//!   0  sequence number  u32                      0  magic            u16   0xCAFE
//!   4  sending time     u64, ns since 1970       2  sequence number  u32
//!                                                6  sending time     u64
//!  12  then, for each message: size u16 (with itself), the SBE message
//! ```

use super::messages::{Messages, PacketError, Prefix};
use crate::primitive::{ByteOrder, Primitive};

const HEADER_BYTES: usize = 12;
const MAGIC: [u8; 2] = 0xCAFE_u16.to_le_bytes();
const PREFIX: Prefix =
    Prefix { venue: "CME MDP3", order: ByteOrder::Little, length: Primitive::UInt16, encoding_type: false };

/// A packet: its header, and its messages not yet looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'a> {
    /// The packet's number in its channel or connection.
    pub sequence_number: u32,
    /// When it was sent, in ns since 1970 UTC.
    pub sending_time_ns: u64,
    body_offset: usize,
    body: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads the header of a payload.
    ///
    /// It is of the TCP form if it begins with the magic and its messages then end where it does: one UDP packet in
    /// 65,536 has a sequence number that begins alike.
    ///
    /// # Errors
    /// If the payload is shorter than a header.
    pub fn parse(payload: &'a [u8]) -> Result<Packet<'a>, PacketError> {
        let tcp = payload.strip_prefix(&MAGIC).and_then(|rest| Packet::behind(rest, MAGIC.len()));
        if let Some(packet) = tcp.filter(|packet| packet.messages().all(|message| message.is_ok())) {
            return Ok(packet);
        }
        let (venue, header_bytes, found) = (PREFIX.venue, HEADER_BYTES, payload.len());
        Packet::behind(payload, 0).ok_or(PacketError::NoHeader { venue, header_bytes, found })
    }

    fn behind(bytes: &'a [u8], offset: usize) -> Option<Packet<'a>> {
        let [n0, n1, n2, n3, time @ ..] = *bytes.first_chunk::<HEADER_BYTES>()?;
        Some(Packet {
            sequence_number: u32::from_le_bytes([n0, n1, n2, n3]),
            sending_time_ns: u64::from_le_bytes(time),
            body_offset: offset + HEADER_BYTES,
            body: &bytes[HEADER_BYTES..],
        })
    }

    /// Its SBE messages in order. After an error there are no more.
    pub fn messages(&self) -> Messages<'a> {
        Messages::new(PREFIX, self.body_offset, self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(start: &[u8], framed: &[&[u8]]) -> Vec<u8> {
        let mut bytes = start.to_vec();
        bytes.extend([7, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
        for message in framed {
            bytes.extend((message.len() as u16 + 2).to_le_bytes());
            bytes.extend(*message);
        }
        bytes
    }

    #[test]
    fn both_forms_give_header_and_messages() {
        for start in [&[][..], &MAGIC] {
            let bytes = packet(start, &[b"one", b"three"]);
            let packet = Packet::parse(&bytes).expect("it has a header");
            assert_eq!((packet.sequence_number, packet.sending_time_ns), (7, 9));
            assert_eq!(packet.messages().collect::<Vec<_>>(), [Ok(&b"one"[..]), Ok(b"three")]);
        }
        // A sequence number that begins as the magic does.
        let mut bytes = packet(&[], &[b"one"]);
        bytes[..2].copy_from_slice(&MAGIC);
        let packet = Packet::parse(&bytes).expect("it has a header");
        assert_eq!((packet.sequence_number, packet.messages().next()), (0xCAFE, Some(Ok(&b"one"[..]))));
    }

    #[test]
    fn every_cut_but_those_between_messages_is_an_error() {
        let whole = packet(&[], &[b"one", b"three"]);
        for length in 0..whole.len() {
            let Ok(packet) = Packet::parse(&whole[..length]) else {
                assert!(length < 12);
                continue;
            };
            let errors = packet.messages().filter(Result::is_err).count();
            assert_eq!(errors == 0, length == 12 || length == 17, "{length}");
        }
        let text = Packet::parse(&whole[..3]).expect_err("it is cut").to_string();
        assert!(text.starts_with("the payload has 3 bytes, fewer than the 12 of a CME MDP3 packet header"), "{text}");
    }
}
