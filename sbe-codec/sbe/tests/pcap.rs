//! Captures made here, byte by byte.

use std::io::Write;
use std::path::PathBuf;

use oyez_sbe::framing::pcap::{self, PcapError};

/// Time and payload.
type Timed = (u64, Vec<u8>);

/// The payloads of a capture, and how reading it ended.
fn read(bytes: &[u8]) -> (Vec<Timed>, Result<u64, PcapError>) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("it takes the bytes");
    let mut found = Vec::new();
    let mut payloads = match pcap::payloads(file.path()) {
        Ok(payloads) => payloads,
        Err(error) => return (found, Err(error)),
    };
    loop {
        match payloads.next_payload() {
            Ok(Some(payload)) => found.push((payload.time_ns, payload.bytes.to_vec())),
            Ok(None) => return (found, Ok(payloads.skipped())),
            Err(error) => return (found, Err(error)),
        }
    }
}

fn header(magic: u32, link: u32) -> Vec<u8> {
    let mut bytes = magic.to_le_bytes().to_vec();
    bytes.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0]);
    bytes.extend(link.to_le_bytes());
    bytes
}

fn frame(seconds: u32, fraction: u32, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u32;
    let mut frame: Vec<u8> = [seconds, fraction, length, length].into_iter().flat_map(u32::to_le_bytes).collect();
    frame.extend(bytes);
    frame
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 2];
    bytes.extend((payload.len() as u16 + 8).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    bytes
}

fn ipv4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0];
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([64, protocol, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    bytes.extend(payload);
    bytes
}

fn ethernet(types: &[u16], packet: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    // Between the EtherTypes stand the two bytes of each VLAN tag.
    bytes.extend(types.iter().map(|number| number.to_be_bytes()).collect::<Vec<_>>().join(&[0, 7][..]));
    bytes.extend(packet);
    bytes
}

fn capture() -> Vec<u8> {
    let mut ipv6 = vec![0x60, 0, 0, 0, 0, 0, 17, 64];
    ipv6.extend([0; 32]);
    ipv6.extend(udp(b"six"));
    let mut padded = ethernet(&[0x0800], &ipv4(17, 0x4000, &udp(b"plain")));
    padded.extend([0; 13]);
    [
        header(0xA1B2_C3D4, 1),
        frame(1, 2, &padded),
        frame(3, 4, &ethernet(&[0x88A8, 0x8100, 0x0800], &ipv4(17, 0, &udp(b"tagged")))),
        frame(5, 0, &ethernet(&[0x0806], b"address resolution")),
        frame(5, 0, &ethernet(&[0x0800], &ipv4(6, 0, b"TCP"))),
        frame(5, 0, &ethernet(&[0x0800], &ipv4(17, 0x2000, &udp(b"first fragment")))),
        frame(5, 999_999, &ethernet(&[0x86DD], &ipv6)),
    ]
    .concat()
}

fn expected() -> Vec<Timed> {
    vec![(1_000_002_000, b"plain".to_vec()), (3_000_004_000, b"tagged".to_vec()), (5_999_999_000, b"six".to_vec())]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("a Vec takes every write");
    encoder.finish().expect("a Vec takes every write")
}

#[test]
fn udp_payloads_are_given_and_other_frames_counted() {
    let (found, end) = read(&capture());
    assert_eq!(found, expected());
    assert_eq!(end.expect("the capture is whole"), 3);
}

#[test]
fn a_gzipped_capture_is_read_alike() {
    let (found, end) = read(&gzip(&capture()));
    assert_eq!(found, expected());
    assert_eq!(end.expect("the capture is whole"), 3);
}

#[test]
fn nanoseconds_and_raw_ip_are_known() {
    let bytes = [header(0xA1B2_3C4D, 101), frame(1, 2, &ipv4(17, 0, &udp(b"raw")))].concat();
    assert_eq!(read(&bytes).0, [(1_000_000_002, b"raw".to_vec())]);
}

#[test]
fn a_cut_capture_gives_what_is_whole_and_then_a_named_error() {
    let whole = capture();
    for length in 0..whole.len() {
        let (found, end) = read(&whole[..length]);
        assert_eq!(found[..], expected()[..found.len()], "cut at {length}");
        match end {
            Ok(_) => assert!(is_boundary(&whole, length), "cut at {length}"),
            Err(PcapError::NotACapture { .. }) => assert!(length < 24, "cut at {length}"),
            Err(PcapError::Truncated { frame, found, expected, .. }) => {
                assert!(length > 24 && !is_boundary(&whole, length) && frame > 0 && found < expected);
            }
            Err(other) => panic!("cut at {length}: {other}"),
        }
    }
}

/// Is `length` at the end of a frame?
fn is_boundary(capture: &[u8], length: usize) -> bool {
    let mut at = 24;
    while at < length {
        let captured = capture[at + 8..at + 12].try_into().expect("four bytes");
        at += 16 + u32::from_le_bytes(captured) as usize;
    }
    at == length
}

#[test]
fn cut_gzip_is_never_taken_for_the_end() {
    let whole = gzip(&capture());
    for length in 2..whole.len() {
        let (found, end) = read(&whole[..length]);
        assert_eq!(found[..], expected()[..found.len()], "cut at {length}");
        assert!(end.is_err(), "cut at {length}");
    }
}

#[test]
fn what_is_no_capture_is_named() {
    let error = |bytes: &[u8]| {
        let text = read(bytes).1.expect_err("it is no capture").to_string();
        text.split_once(": ").expect("the path comes first").1.to_owned()
    };
    assert_eq!(error(b"<?xml"), "this is no capture (it begins with [3c, 3f, 78, 6d]); name a .pcap or .pcap.gz file");
    assert!(error(&[0x0A, 0x0D, 0x0D, 0x0A]).starts_with("this is pcapng; convert it with `editcap -F pcap "));
    assert_eq!(
        error(&header(0xA1B2_C3D4, 105)),
        "link type 105 is not known here; capture Ethernet, Linux cooked or raw IP"
    );
    let damaged = [header(0xA1B2_C3D4, 1), vec![0xFF; 16]].concat();
    assert_eq!(error(&damaged), "frame 1 claims 4294967295 bytes, more than 262144; the file is damaged there");
    let cut = [header(0xA1B2_C3D4, 1), frame(1, 2, b"four")].concat();
    assert_eq!(error(&cut[..cut.len() - 1]), "ends inside frame 1, with 3 of its 4 bytes; the 0 before it are whole");
    let missing = pcap::payloads(PathBuf::from("absent.pcap")).err().expect("it is absent").to_string();
    assert!(missing.starts_with("absent.pcap: cannot be read: No such file"), "{missing}");
}

/// A segment from a port, with its number, flags and bytes.
fn tcp(port: u16, sequence: u32, flags: u8, bytes: &[u8]) -> Vec<u8> {
    let mut segment = [port.to_be_bytes(), 80_u16.to_be_bytes()].concat();
    segment.extend(sequence.to_be_bytes());
    segment.extend([0, 0, 0, 0, 0x60, flags, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
    segment.extend(bytes);
    let mut packet = ipv4(6, 0, &segment);
    let length = packet.len() as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    // Ethernet's padding is none of it.
    packet.extend([0xEE; 3]);
    ethernet(&[0x0800], &packet)
}

#[test]
fn tcp_payloads_are_given_on_request_and_counted_where_out_of_order() {
    const SYN: u8 = 2;
    const ACK: u8 = 16;
    let segments = [
        tcp(7, u32::MAX, SYN, b""),
        tcp(7, 0, ACK, b"first"),
        tcp(9, 1_000, ACK, b"another connection"),
        tcp(7, 5, ACK, b""),
        tcp(7, 5, ACK, b"second"),
        tcp(7, 20, ACK, b"after a gap"),
        tcp(7, 5, ACK, b"second"),
        tcp(7, 11, ACK, b"in order again"),
    ];
    let frames: Vec<u8> = segments.iter().flat_map(|segment| frame(1, 0, segment)).collect();
    let bytes = [header(0xA1B2_C3D4, 1), frames].concat();
    assert_eq!(read(&bytes).0, [], "they are not asked for");

    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&bytes).expect("it takes the bytes");
    let mut payloads = pcap::payloads(file.path()).expect("it is a capture").with_tcp();
    let mut found = Vec::new();
    while let Some(payload) = payloads.next_payload().expect("it is whole") {
        found.push((payload.frame, String::from_utf8(payload.bytes.to_vec()).expect("text")));
    }
    let expected = [
        (2, "first"),
        (3, "another connection"),
        (5, "second"),
        (6, "after a gap"),
        (7, "second"),
        (8, "in order again"),
    ];
    assert_eq!(found, expected.map(|(frame, text)| (frame, text.to_owned())));
    assert_eq!((payloads.skipped(), payloads.out_of_order()), (2, 2));
}
