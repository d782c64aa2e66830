//! Captures in the pcap format (draft-ietf-opsawg-pcap), plain or gzipped: the UDP payloads, and on request those of TCP,
//! with their times.
//!
//! ```text
//!   0  magic       u32   0xA1B2C3D4: times in µs, 0xA1B23C4D: in ns; its byte order is that of all numbers
//!   4  version     u16, u16; then 12 bytes that say nothing here
//!  20  link type   u32   the low 28 bits
//!  24  then, for each frame: seconds u32, fraction u32, captured bytes u32, bytes on the wire u32, the bytes
//! ```
//!
//! Read with our own few lines: this is all that is needed of it, and a crate for it brings pcapng and live capture.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use super::ethernet::{self, Datagram, Flow, Link, Segment};
use crate::primitive::ByteOrder;

/// The most that a frame may claim: what tcpdump itself allows, so that a damaged length asks for no more.
const FRAME_BYTES_MAX: u32 = 262_144;

/// Directions of TCP connections that are followed; for another one, one of them is forgotten.
const FLOWS_MAX: usize = 65_536;

/// A UDP payload of a capture, or the bytes of a TCP segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payload<'a> {
    /// When it was captured, in ns since 1970 UTC.
    pub time_ns: u64,
    /// The number of its frame in the capture, from 1, as other tools count.
    pub frame: u64,
    /// The payload.
    pub bytes: &'a [u8],
}

/// A capture that cannot be read, or not further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the text of each says what its values are")]
pub enum PcapError {
    #[error("{path}: cannot be read: {source}; check the path, its rights and, if it is gzipped, that it is whole")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path}: this is pcapng; convert it with `editcap -F pcap {path} OUT.pcap`")]
    PcapNg { path: PathBuf },
    #[error("{path}: this is no capture (it begins with {magic:02x?}); name a .pcap or .pcap.gz file")]
    NotACapture { path: PathBuf, magic: [u8; 4] },
    #[error("{path}: link type {number} is not known here; capture Ethernet, Linux cooked or raw IP")]
    LinkType { path: PathBuf, number: u32 },
    #[error("{path}: ends inside frame {frame}, with {found} of its {expected} bytes; the {} before it are whole", frame - 1)]
    Truncated { path: PathBuf, frame: u64, found: usize, expected: usize },
    #[error("{path}: frame {frame} claims {length} bytes, more than {FRAME_BYTES_MAX}; the file is damaged there")]
    FrameLength { path: PathBuf, frame: u64, length: u32 },
}

/// Opens a capture. A file that begins as gzip does is unpacked while it is read, whatever its name.
///
/// # Errors
/// If it cannot be read, or is no pcap file of a known link type.
pub fn payloads(path: impl AsRef<Path>) -> Result<Payloads, PcapError> {
    let path = path.as_ref();
    let file = File::open(path).map_err(|source| PcapError::Read { path: path.to_owned(), source })?;
    payloads_of(BufReader::with_capacity(1 << 16, file), path)
}

/// Reads a capture that is no file, or open already; `name` stands for it in errors.
///
/// # Errors
/// As of [`payloads`].
pub fn payloads_of(input: impl BufRead + Send + 'static, name: impl Into<PathBuf>) -> Result<Payloads, PcapError> {
    Payloads::begin(input, name.into())
}

/// The UDP payloads of a capture, read as they are asked for, one frame in memory.
pub struct Payloads {
    path: PathBuf,
    input: Box<dyn Read + Send>,
    order: ByteOrder,
    /// In one count of a time's fraction.
    fraction_ns: u64,
    link: Link,
    frame: u64,
    skipped: u64,
    tcp: bool,
    /// The number that the next segment of each direction begins with.
    flows: BTreeMap<Flow, u32>,
    out_of_order: u64,
    buffer: Vec<u8>,
}

impl Payloads {
    /// Gives the bytes of TCP segments too, as they come: a message that spans segments is not put together, and what
    /// is lost, late or sent again only counted: see [`Payloads::out_of_order`].
    pub fn with_tcp(mut self) -> Payloads {
        self.tcp = true;
        self
    }

    /// TCP segments so far that did not begin where the one before them in their direction ended.
    pub fn out_of_order(&self) -> u64 {
        self.out_of_order
    }

    /// Does the segment bring bytes? It is counted where it is out of order.
    fn follow(&mut self, Segment { flow, sequence, numbers, bytes }: Segment<'_>) -> bool {
        if !self.flows.contains_key(&flow) && self.flows.len() == FLOWS_MAX {
            self.flows.pop_first();
        }
        // Only what takes numbers has a place in the order.
        if numbers > 0 {
            let before = self.flows.insert(flow, sequence.wrapping_add(numbers));
            self.out_of_order += u64::from(before.is_some_and(|expected| expected != sequence));
        }
        !bytes.is_empty()
    }

    fn begin(mut input: impl BufRead + Send + 'static, path: PathBuf) -> Result<Payloads, PcapError> {
        let read = |source| PcapError::Read { path: path.clone(), source };
        let gzipped = input.fill_buf().map_err(read)?.starts_with(&[0x1F, 0x8B]);
        let mut input: Box<dyn Read + Send> =
            if gzipped { Box::new(BufReader::new(MultiGzDecoder::new(input))) } else { Box::new(input) };
        let mut header = [0; 24];
        let found = fill(&mut input, &mut header).map_err(read)?;
        let magic = [header[0], header[1], header[2], header[3]];
        let (order, fraction_ns) = match magic {
            [0xD4, 0xC3, 0xB2, 0xA1] => (ByteOrder::Little, 1_000),
            [0x4D, 0x3C, 0xB2, 0xA1] => (ByteOrder::Little, 1),
            [0xA1, 0xB2, 0xC3, 0xD4] => (ByteOrder::Big, 1_000),
            [0xA1, 0xB2, 0x3C, 0x4D] => (ByteOrder::Big, 1),
            [0x0A, 0x0D, 0x0D, 0x0A] => return Err(PcapError::PcapNg { path }),
            _ => return Err(PcapError::NotACapture { path, magic }),
        };
        if found < header.len() {
            return Err(PcapError::NotACapture { path, magic });
        }
        let number = u32_at(order, &header, 20) & 0x0FFF_FFFF;
        let Some(link) = Link::of_number(number) else { return Err(PcapError::LinkType { path, number }) };
        Ok(Payloads {
            path,
            input,
            order,
            fraction_ns,
            link,
            frame: 0,
            skipped: 0,
            tcp: false,
            flows: BTreeMap::new(),
            out_of_order: 0,
            buffer: Vec::new(),
        })
    }

    /// The next payload; nothing at the end of the capture.
    ///
    /// Frames that bring no payload are passed over and counted: see [`Payloads::skipped`].
    ///
    /// # Errors
    /// If the file ends inside a frame, or is damaged. All payloads before that have been given.
    pub fn next_payload(&mut self) -> Result<Option<Payload<'_>>, PcapError> {
        while let Some(time_ns) = self.next_frame()? {
            // The buffer is taken out for as long as it is looked at, since a borrow returned from a loop lasts for all
            // of it.
            let buffer = std::mem::take(&mut self.buffer);
            let found = match ethernet::datagram(self.link, &buffer) {
                Some(Datagram::Udp(bytes)) => Some(range_in(&buffer, bytes)),
                Some(Datagram::Tcp(segment)) if self.tcp => {
                    let range = range_in(&buffer, segment.bytes);
                    self.follow(segment).then_some(range)
                }
                _ => None,
            };
            self.buffer = buffer;
            match found {
                Some(range) => return Ok(Some(Payload { time_ns, frame: self.frame, bytes: &self.buffer[range] })),
                None => self.skipped += 1,
            }
        }
        Ok(None)
    }

    /// Frames so far that were no whole UDP datagrams, nor, where they are asked for, TCP segments with bytes.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Reads a frame into the buffer, and gives its time; nothing at the end.
    fn next_frame(&mut self) -> Result<Option<u64>, PcapError> {
        let mut header = [0; 16];
        let found = fill(&mut self.input, &mut header).map_err(|source| self.read_error(source))?;
        if found == 0 {
            return Ok(None);
        }
        self.frame += 1;
        self.check_whole(found, header.len())?;
        let [seconds, fraction, length] = [0, 4, 8].map(|offset| u32_at(self.order, &header, offset));
        if length > FRAME_BYTES_MAX {
            return Err(PcapError::FrameLength { path: self.path.clone(), frame: self.frame, length });
        }
        self.buffer.resize(length as usize, 0);
        let found = fill(&mut self.input, &mut self.buffer).map_err(|source| self.read_error(source))?;
        self.check_whole(found, self.buffer.len())?;
        Ok(Some(u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.fraction_ns))
    }

    fn check_whole(&self, found: usize, expected: usize) -> Result<(), PcapError> {
        match found == expected {
            true => Ok(()),
            false => Err(PcapError::Truncated { path: self.path.clone(), frame: self.frame, found, expected }),
        }
    }

    fn read_error(&self, source: io::Error) -> PcapError {
        PcapError::Read { path: self.path.clone(), source }
    }
}

/// Where a part of the buffer begins and ends in it.
fn range_in(buffer: &[u8], part: &[u8]) -> std::ops::Range<usize> {
    let start = part.as_ptr().addr() - buffer.as_ptr().addr();
    start..start + part.len()
}

fn u32_at(order: ByteOrder, bytes: &[u8], offset: usize) -> u32 {
    let bytes = [bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]];
    match order {
        ByteOrder::Little => u32::from_le_bytes(bytes),
        ByteOrder::Big => u32::from_be_bytes(bytes),
    }
}

/// Reads until the buffer is full or the input ends, and gives how many bytes came.
fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // gzip that is cut short: what came is good, the caller sees that it is not all, and the next call fails.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && filled > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
