//! The code of our own sample schema on the messages of a session: against the schema-driven decoder, back to the same
//! bytes, and cut short.

use ::oyez_sample::{MESSAGE_BYTES_MAX, SCHEMA_XML, Session};
use oyez_sbe::Schema;
use oyez_sbe_runtime::Error;
use values::code::oyez_sample::*;
use values::{Values, read_and_write};

mod values;

#[test]
fn every_value_is_that_of_the_schema_driven_decoder_and_goes_back_to_the_same_bytes() {
    let schema = Schema::parse(SCHEMA_XML, "oyez-sample.xml").expect("it is sound");
    let mut session = Session::new(1);
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..10_000 {
        let message = session.next(&mut buffer);
        let mut expected = Values::default();
        assert_eq!(oyez_sbe::decode(&schema, message, &mut expected), Ok(message.len()));
        let mut out = [0xAA; MESSAGE_BYTES_MAX];
        let (values, length) = read_and_write(message, &mut out).expect("it is sound");
        assert_eq!(values, expected);
        assert_eq!(&out[..length], message);
        let end = Message::decode(message).and_then(Message::skip).expect("it is sound");
        assert_eq!(end.rest(), b"");
        seen.insert(message[2]);
    }
    assert_eq!(seen.len(), 6, "each template was there: {seen:?}");
}

#[test]
fn a_message_cut_at_any_byte_is_an_error() {
    let mut session = Session::new(2);
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    for _ in 0..500 {
        let message = session.next(&mut buffer);
        for length in 0..message.len() {
            let mut out = [0; MESSAGE_BYTES_MAX];
            read_and_write(&message[..length], &mut out).expect_err("it is cut short");
            Message::decode(&message[..length]).and_then(Message::skip).expect_err("it is cut short");
            // A buffer that is too small is refused by the encoder.
            let refused = read_and_write(message, &mut out[..length]).expect_err("the buffer is too small");
            assert!(matches!(refused, Error::BufferFull { .. }), "{refused}");
        }
    }
}

#[test]
fn damaged_bytes_never_panic() {
    let mut session = Session::new(3);
    let mut buffer = [0; MESSAGE_BYTES_MAX];
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..5_000 {
        let mut message = session.next(&mut buffer).to_vec();
        for _ in 0..4 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (random >> 33) as usize % message.len();
            message[at] = (random >> 20) as u8;
        }
        if let Ok(message) = Message::decode(&message) {
            let _ = message.skip();
        }
    }
}

#[test]
fn headers_of_others_are_refused() {
    let mut buffer = [0; 64];
    let fields = health::Fields { feed_sequence: 1, event_time: 2, phase: Phase::OPEN };
    assert_eq!(health::encode(&mut buffer, &fields), Ok(health::MESSAGE_BYTES_MIN));
    assert_eq!(order_entry::decode(&buffer).err(), Some(Error::TemplateId { found: 6 }));
    buffer[2] = 99;
    assert_eq!(Message::decode(&buffer).err(), Some(Error::TemplateId { found: 99 }));
    buffer[4] = 1;
    assert!(matches!(Message::decode(&buffer).err(), Some(Error::SchemaId { expected: 500, .. })));
}

#[test]
fn unknown_values_of_enums_and_sets_are_kept() {
    assert_eq!(format!("{:?} {:?}", Side::BUY, Side(7)), "Side::Buy Side(7)");
    assert_eq!((Side(7).name(), Side(7).0), (None, 7));
    let flags = OrderFlags::MARKET_MAKER | OrderFlags(0x80);
    assert!(flags.contains(OrderFlags::MARKET_MAKER) && !flags.contains(OrderFlags::ALGORITHM));
    assert_eq!(flags.0, 0x81);
}
