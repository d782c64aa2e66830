//! Euronext Optiq's market data packets, little-endian.
//!
//! ```text
//!   0  time      u64   ns since 1970 UTC, when the packet was sent
//!   8  sequence  u32   low 32 bits of the packet's number in its channel
//!  12  flags     u16   0: body is compressed │ 1-3: restart count │ 4-6: high bits of the sequence
//!                      7: has a Start Of Snapshot │ 8: an End Of Snapshot │ 9: a status message
//!  14  channel   u16
//!  16  body: for each message its length u16 (with itself), the SBE message
//! ```
//!
//! A compressed body is one LZ4 block; the header never is.

use super::lz4;
use super::messages::{Messages, PacketError, Prefix};
use crate::primitive::{ByteOrder, Primitive};

const HEADER_BYTES: usize = 16;
/// No body has more bytes, unpacked.
pub const BODY_BYTES_MAX: usize = 8_192;
const PREFIX: Prefix =
    Prefix { venue: "Optiq", order: ByteOrder::Little, length: Primitive::UInt16, encoding_type: false };

/// A packet: its header, and its messages not yet looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'a> {
    /// When it was sent, in ns since 1970 UTC.
    pub time_ns: u64,
    /// The packet's number in its channel, of 35 bits; from 1 after each restart.
    pub sequence: u64,
    /// How often the publisher was restarted on this day, modulo 8.
    pub restart_count: u8,
    /// The channel.
    pub channel: u16,
    /// All flags, as they stand in the header.
    pub flags: u16,
    body: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads the header of a payload. A compressed body is unpacked into `scratch`, which grows to
    /// [`BODY_BYTES_MAX`] bytes and is used again.
    ///
    /// # Errors
    /// If the payload is shorter than the header, or the body is no LZ4 block within the bound.
    pub fn parse(payload: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<Packet<'a>, PacketError> {
        let (venue, header_bytes) = (PREFIX.venue, HEADER_BYTES);
        let (header, body) = payload.split_first_chunk::<HEADER_BYTES>().ok_or(PacketError::NoHeader {
            venue,
            header_bytes,
            found: payload.len(),
        })?;
        let [t0, t1, t2, t3, t4, t5, t6, t7, n0, n1, n2, n3, f0, f1, c0, c1] = *header;
        let flags = u16::from_le_bytes([f0, f1]);
        let high_bits = u64::from(flags >> 4 & 7);
        let body = match flags & 1 {
            0 => body,
            _ => {
                let (found, limit) = (body.len(), BODY_BYTES_MAX);
                lz4::unpack(body, limit, scratch).ok_or(PacketError::Compressed { venue, found, limit })?;
                scratch
            }
        };
        Ok(Packet {
            time_ns: u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            sequence: high_bits << 32 | u64::from(u32::from_le_bytes([n0, n1, n2, n3])),
            restart_count: (flags >> 1 & 7) as u8,
            channel: u16::from_le_bytes([c0, c1]),
            flags,
            body,
        })
    }

    /// Does it hold the start of a snapshot?
    pub fn starts_snapshot(&self) -> bool {
        self.flags >> 7 & 1 == 1
    }

    /// Does it hold the end of a snapshot?
    pub fn ends_snapshot(&self) -> bool {
        self.flags >> 8 & 1 == 1
    }

    /// Does it hold a start of day, an end of day or a health status?
    pub fn has_status(&self) -> bool {
        self.flags >> 9 & 1 == 1
    }

    /// Its SBE messages in order. After an error there are no more.
    pub fn messages(&self) -> Messages<'a> {
        Messages::new(PREFIX, HEADER_BYTES, self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Vec<u8> {
        [&b"\x05\x00one\x0a\x00"[..], b"aaaaaaaa", b"\x02\x00"].concat()
    }

    fn packet(flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = 77_u64.to_le_bytes().to_vec();
        bytes.extend(9_u32.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(300_u16.to_le_bytes());
        bytes.extend(body);
        bytes
    }

    #[test]
    fn a_packet_gives_its_header_and_messages_compressed_or_not() {
        let mut scratch = Vec::new();
        let flags = 0b0010_0101_1010;
        for (flags, body) in [(flags, body()), (flags | 1, lz4_flex::block::compress(&body()))] {
            let bytes = packet(flags, &body);
            let packet = Packet::parse(&bytes, &mut scratch).expect("it is one");
            let numbers = (packet.time_ns, packet.sequence, packet.restart_count, packet.channel);
            assert_eq!(numbers, (77, 5 << 32 | 9, 5, 300));
            assert_eq!((packet.starts_snapshot(), packet.ends_snapshot(), packet.has_status()), (false, false, true));
            let messages: Vec<_> = packet.messages().collect();
            assert_eq!(messages, [Ok(&b"one"[..]), Ok(b"aaaaaaaa"), Ok(b"")]);
        }
    }

    #[test]
    fn a_body_beyond_the_bound_or_that_is_none_is_refused() {
        let refused = |body: &[u8]| {
            let bytes = packet(1, body);
            Packet::parse(&bytes, &mut Vec::new()).map(|_| ()).expect_err("it is none").to_string()
        };
        let bomb = lz4_flex::block::compress(&[0; BODY_BYTES_MAX + 1]);
        assert_eq!(
            refused(&bomb),
            format!(
                "the body of {} bytes is no LZ4 block of at most 8192; the packet is damaged, or not Optiq's",
                bomb.len()
            )
        );
        assert!(refused(b"\xF0").contains("no LZ4 block"));
        assert!(Packet::parse(&packet(1, &lz4_flex::block::compress(&[0; BODY_BYTES_MAX])), &mut Vec::new()).is_ok());
    }

    #[test]
    fn every_cut_but_those_between_messages_is_an_error() {
        let whole = packet(0, &body());
        for length in 0..whole.len() {
            let mut scratch = Vec::new();
            let Ok(packet) = Packet::parse(&whole[..length], &mut scratch) else {
                assert!(length < 16);
                continue;
            };
            let errors = packet.messages().filter(Result::is_err).count();
            assert_eq!(errors == 0, [16, 21, 31].contains(&length), "{length}");
        }
    }
}
