//! Every message against its golden bytes, and decoding against whatever bytes there are.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use oyez_protocol::{
    Binding, DecodeError, Durability, FailureCode, Message, Packet, Refusal, SCHEMA_XML, TEXT_BYTES_MAX,
};
use oyez_ring::{Epoch, EpochStart, Position, Sequence};
use oyez_sbe_runtime::Error;
use proptest::prelude::*;

const GOLDEN: &str = include_str!("golden/messages.hex");

/// One of each message, no field zero and no two alike, so that a swapped field shows.
fn samples() -> Vec<Packet> {
    let topic = || "md.equities".to_owned();
    let epoch = Epoch(0x0102_0304);
    let start = EpochStart {
        epoch,
        position: Position(0x1111_0000),
        sequence: Sequence(0x2222),
        time_ns: 0x3333_4444_5555_6666,
        previous_end: Position(0x1110_fff8),
    };
    let binding = Binding { schema_id: Some(44), version_min: 365, version_max: 367 };
    let messages = vec![
        Message::Hello { version: 7, name: "app".into() },
        Message::OpenPublisher { partition: 3, standby: true, topic: topic() },
        Message::Mapped { partition: 3, topic: topic() },
        Message::Release { partition: 3, epoch, topic: topic() },
        Message::Reclaim { partition: 3, epoch, topic: topic() },
        Message::OpenSubscriber { partition: 3, topic: topic() },
        Message::OpenEpoch { partition: 3, epoch, wait: true, topic: topic() },
        Message::OpenSegment { partition: 3, position: Position(0x5566_7788_99aa), topic: topic() },
        Message::ListEpochs { partition: 3, from: epoch, topic: topic() },
        Message::DescribeTopic { partition: 3, topic: topic() },
        Message::DescribeTopicAt { index: 9 },
        Message::OpenSchema { index: 2, topic: topic() },
        Message::Failure { code: FailureCode::UnknownTopic, text: "no such topic".into() },
        Message::Welcome { version: 7, pid: 4711, broker: "demo".into(), build: "0.1.0".into() },
        Message::RingOffer { partition: 3, capacity: 64 << 20, topic: topic() },
        Message::Granted {
            epoch,
            position: Position(0x1111_0060),
            sequence: Sequence(0x2222),
            time_ns: 0x77,
            durability: Durability::Durable,
            binding,
            templates: vec![1001],
        },
        Message::NotGranted { refusal: Refusal::Taken, pid: 4711, uid: 1000, holder: "other".into() },
        Message::Released { epoch, end: Position(0x1112_0008), sequence: Sequence(0x2233) },
        Message::Reclaimed { epoch, binding, templates: vec![1001, 1003] },
        Message::Subscribed {
            newest: epoch,
            capacity: 64 << 20,
            durability: Durability::Written,
            journal: 0x0123_4567_89ab_cdef,
            segment_bytes: 256 << 20,
            earliest: Position(0x10_0000),
        },
        Message::EpochOpened { start, capacity: 64 << 20 },
        Message::EpochClosed { start, end: Position(0x1112_0008), end_sequence: Sequence(0x2233) },
        Message::EpochNotYet { newest: epoch },
        Message::SegmentOpened { base: Position(0x1000_0000) },
        Message::Epochs {
            newest: epoch,
            end: Position(0x1112_0008),
            end_sequence: Sequence(0x2233),
            epochs: vec![start, EpochStart { epoch: Epoch(9), ..start }],
        },
        Message::Topic {
            index: 1,
            count: 2,
            partitions: 5,
            partition: 3,
            capacity: 64 << 20,
            durability: Durability::Durable,
            retention_h: 48,
            may_publish: false,
            may_subscribe: true,
            newest: epoch,
            owner_pid: 4711,
            owner_uid: 1000,
            earliest: Position(0x10_0000),
            written: Position(0x2222_0000),
            durable: Position(0x2221_0000),
            binding,
            templates: vec![1001, 1002],
            topic: topic(),
            schema: "optiq".into(),
            owner: "app".into(),
            state: "owned".into(),
        },
        Message::SchemaOpened { version: 365, count: 2, schema: "optiq".into() },
        Message::Closing {},
        Message::Withdraw { partition: 3, topic: topic() },
        Message::TakeOver { partition: 3, epoch, topic: topic() },
        Message::OwnerKilled { pid: 4711, uid: 1000, holder: "other".into() },
        Message::OpenStat {},
        Message::StatOpened { bytes: 0x1234_5678 },
        Message::PlanCatalog { apply: true, path: "/etc/oyez/oyez.toml".into() },
        Message::CatalogPlanned { bytes: 0x1234_5679 },
        Message::OpenIngress { partition: 3, topic: topic(), origin: "gateway-a".into() },
        Message::IngressOpened {
            publisher: 7,
            number: 0x0506_0708_090a,
            number_epoch: Epoch(5),
            capacity: 1 << 20,
            tail: Position(0x60),
            message_bytes_max: 1 << 18,
            epoch,
            start: Position(0x1111_0000),
            position: Position(0x1112_0008),
            sequence: Sequence(0x2222),
            durability: Durability::Durable,
            binding,
            templates: vec![1001, 1003],
        },
        Message::CloseIngress { partition: 3, topic: topic(), origin: "gateway-a".into() },
        Message::IngressClosed { number: 0x0506_0708_090a },
        Message::Renew { partition: 3, topic: topic() },
        Message::Renewed { epoch },
        Message::HandOver { epoch },
    ];
    let number = |(index, message)| Packet { correlation: 0xc0_0000_0000 + index as u64, message };
    messages.into_iter().enumerate().map(number).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all");
        text
    })
}

fn golden() -> BTreeMap<&'static str, Vec<u8>> {
    let byte = |line: &str, at: usize| u8::from_str_radix(&line[at..at + 2], 16).expect("hex");
    let bytes = |line: &str| (0..line.len()).step_by(2).map(|at| byte(line, at)).collect();
    GOLDEN.lines().filter_map(|line| line.split_once(' ')).map(|(name, line)| (name, bytes(line))).collect()
}

/// `OYEZ_BLESS=1` writes the golden file anew: a change of what old clients say, so a deliberate one.
#[test]
fn every_message_has_its_golden_bytes() {
    let samples = samples();
    if std::env::var_os("OYEZ_BLESS").is_some() {
        let lines: String =
            samples.iter().map(|packet| format!("{} {}\n", packet.message.name(), hex(&packet.encode()))).collect();
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/messages.hex"), lines).expect("golden file");
        return;
    }
    let golden = golden();
    assert_eq!((golden.len(), SCHEMA_XML.matches("<sbe:message ").count()), (samples.len(), samples.len()));
    for packet in samples {
        let name = packet.message.name();
        let expected = golden.get(name).unwrap_or_else(|| panic!("{name} has no golden bytes"));
        assert_eq!(hex(&packet.encode()), hex(expected), "{name}");
        assert_eq!(Packet::decode(expected).as_ref(), Ok(&packet), "{name}");
    }
}

#[test]
fn a_truncated_message_is_an_error_at_every_length() {
    for packet in samples() {
        let bytes = packet.encode();
        for length in 0..bytes.len() {
            assert!(Packet::decode(&bytes[..length]).is_err(), "{} cut to {length}", packet.message.name());
        }
    }
}

#[test]
fn bytes_behind_the_end_are_refused_in_our_version_and_passed_over_in_a_later_one() {
    for packet in samples() {
        let mut bytes = packet.encode();
        bytes.push(0);
        assert!(matches!(Packet::decode(&bytes), Err(DecodeError::Trailing { extra: 1, .. })));
        bytes[6] = 1;
        assert_eq!(Packet::decode(&bytes), Ok(packet));
    }
}

#[test]
fn a_longer_block_is_refused_in_our_version_and_passed_over_in_a_later_one() {
    for packet in samples() {
        let mut bytes = packet.encode();
        let block_length = u16::from_le_bytes([bytes[0], bytes[1]]);
        bytes[..2].copy_from_slice(&(block_length + 3).to_le_bytes());
        let end = 8 + usize::from(block_length);
        bytes.splice(end..end, [0xee; 3]);
        assert!(matches!(Packet::decode(&bytes), Err(DecodeError::Trailing { extra: 3, .. })));
        bytes[6] = 1;
        assert_eq!(Packet::decode(&bytes), Ok(packet));
    }
}

#[test]
fn values_without_a_meaning_are_refused() {
    let hello = Packet { correlation: 1, message: Message::Hello { version: 0, name: "x".into() } }.encode();
    let change = |at: usize, value: u8| {
        let mut bytes = hello.clone();
        bytes[at] = value;
        Packet::decode(&bytes)
    };
    assert_eq!(change(4, 99), Err(Error::SchemaId { found: 99, expected: 100 }.into()));
    assert_eq!(change(2, 31), Err(Error::TemplateId { found: 31 }.into()));
    assert_eq!(change(hello.len() - 1, 0xff), Err(DecodeError::Text { length: 1 }));
}

#[test]
fn values_that_the_schema_does_not_know_are_refused_with_the_name_of_their_type() {
    let unknown = |name: &str, behind_correlation: usize| {
        let mut bytes = golden()[name].clone();
        bytes[8 + 8 + behind_correlation] = 99;
        Packet::decode(&bytes).expect_err("99 means nothing").to_string()
    };
    let types = [("OpenEpoch", 6, "Boolean"), ("Failure", 0, "FailureCode"), ("NotGranted", 0, "Refusal")];
    for (name, at, of) in types.into_iter().chain([("Subscribed", 12, "Durability"), ("Topic", 16, "Durability")]) {
        let error = unknown(name, at);
        assert!(error.contains(&format!("enum {of} has no value 99")), "{name}: {error}");
    }
}

#[test]
fn a_text_beyond_the_limit_is_cut_when_sent_and_refused_when_received() {
    let name = |length: usize| "é".repeat(length / 2) + &"e".repeat(length % 2);
    let hello = |name: String| Packet { correlation: 1, message: Message::Hello { version: 0, name } };
    for (length, sent) in [(TEXT_BYTES_MAX, TEXT_BYTES_MAX), (TEXT_BYTES_MAX + 1, TEXT_BYTES_MAX), (70_000, 4_096)] {
        assert_eq!(Packet::decode(&hello(name(length)).encode()), Ok(hello(name(sent))));
    }
    // No character is cut in two.
    let odd = |length| hello("x".to_owned() + &name(length));
    assert_eq!(Packet::decode(&odd(5_000).encode()), Ok(odd(4_094)));
    let mut bytes = hello(name(TEXT_BYTES_MAX)).encode();
    bytes.push(b'e');
    bytes[18..20].copy_from_slice(&4_097_u16.to_le_bytes());
    assert_eq!(Packet::decode(&bytes), Err(DecodeError::Text { length: 4_097 }));
}

#[test]
fn entries_shorter_than_known_are_refused_and_longer_ones_read() {
    let none = Message::Epochs { newest: Epoch(1), end: Position(0), end_sequence: Sequence(0), epochs: vec![] };
    let mut bytes = Packet { correlation: 1, message: none }.encode();
    let end = bytes.len();
    // Many entries of nothing.
    bytes[end - 4..].copy_from_slice(&[0, 0, 0xff, 0xff]);
    let what = "group epochs";
    assert_eq!(Packet::decode(&bytes), Err(Error::ShortBlock { what, length: 0, needed: 36 }.into()));
    bytes[end - 4..].copy_from_slice(&[35, 0, 1, 0]);
    bytes.extend([7; 35]);
    assert_eq!(Packet::decode(&bytes), Err(Error::ShortBlock { what, length: 35, needed: 36 }.into()));
    bytes[end - 4] = 37;
    bytes.extend([7; 2]);
    let message = Packet::decode(&bytes).expect("a later version's").message;
    assert!(matches!(message, Message::Epochs { epochs, .. } if epochs[0].position == Position(0x0707_0707_0707_0707)));
    // A count beyond the bytes there are costs no memory.
    bytes[end - 2..end].copy_from_slice(&[0xff, 0xff]);
    assert!(matches!(Packet::decode(&bytes), Err(DecodeError::Codec(Error::Truncated { .. }))));
}

#[test]
fn a_topic_without_a_schema_is_told_from_one_of_schema_0() {
    // Schema id 0 is that of a real venue.
    for schema_id in [None, Some(0), Some(65_534)] {
        let binding = Binding { schema_id, ..Binding::default() };
        let message = Message::Reclaimed { epoch: Epoch(1), binding, templates: Vec::new() };
        let packet = Packet { correlation: 1, message };
        assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        // What decodes must encode to something that decodes to the same.
        if let Ok(packet) = Packet::decode(&bytes) {
            prop_assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
        }
    }

    #[test]
    fn a_message_with_bytes_changed_decodes_or_is_refused(
        sample in 0..samples().len(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = samples()[sample].encode();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(packet) = Packet::decode(&bytes) {
            prop_assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
        }
    }
}
