//! The code of our own sample schema on the messages of a session: against the schema-driven decoder, back to the same
//! bytes, and cut short.

use ::oyez_sample::{MESSAGE_BYTES_MAX, SCHEMA_XML, Session};
use code::oyez_sample::*;
use oyez_sbe::{Data, Field, Schema, Value, Visitor};
use oyez_sbe_runtime::{Error, unpadded};

mod code {
    include!("golden/oyez_sample.rs");
}

/// The values of a message in the order of the schema, as texts.
#[derive(Default, PartialEq, Debug)]
struct Values(Vec<String>);

impl Visitor for Values {
    fn value(&mut self, _field: &Field, value: Value<'_>) {
        self.0.push(match value {
            Value::Null => "null".to_owned(),
            Value::UInt32(number) => number.to_string(),
            Value::UInt64(number) => number.to_string(),
            Value::Double(number) => number.to_string(),
            Value::Decimal(decimal) => decimal.mantissa.to_string(),
            Value::Timestamp(timestamp) => timestamp.count.to_string(),
            Value::Set(_, bits) => bits.to_string(),
            Value::Enum(_, _, value) => value.expect("the session knows the schema").meta.name.clone(),
            Value::Text(text) => lossy(unpadded(text.bytes)),
            other => panic!("the schema has no {other:?}"),
        });
    }

    fn data(&mut self, _data: &Data, bytes: Option<&[u8]>) {
        self.0.push(bytes.map_or("null".to_owned(), lossy));
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A value as [`Values`] has it.
trait Show {
    fn show(&self) -> String;
}

macro_rules! show {
    ($($kind:ty, $value:ident => $text:expr;)*) => {
        $(impl Show for $kind {
            fn show(&self) -> String {
                let $value = self;
                $text
            }
        })*
    };
}

show! {
    u16, value => value.to_string();
    u32, value => value.to_string();
    u64, value => value.to_string();
    f64, value => value.to_string();
    Price, value => value.mantissa.to_string();
    OptionalPrice, value => value.mantissa.show();
    OrderFlags, value => value.0.to_string();
    Book, value => name(value.name());
    Repeat, value => name(value.name());
    Side, value => name(value.name());
    LimitKind, value => name(value.name());
    OrderAction, value => name(value.name());
    OrderKind, value => name(value.name());
    Phase, value => name(value.name());
    &[u8], value => lossy(value);
}

impl Show for i64 {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl<const N: usize> Show for &[u8; N] {
    fn show(&self) -> String {
        lossy(unpadded(*self))
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self) -> String {
        self.as_ref().map_or("null".to_owned(), T::show)
    }
}

fn name(name: Option<&str>) -> String {
    name.expect("the session knows the schema").to_owned()
}

/// Collects the values of the fields, and gives the fields to be written again.
macro_rules! fields {
    ($values:ident, $module:ident, $decoder:ident: $($field:ident),*) => {{
        $($values.0.push($decoder.$field().show());)*
        $module::Fields { $($field: $decoder.$field()),* }
    }};
}

/// The values of a message, and its length when it is written again.
fn read_and_write(bytes: &[u8], out: &mut [u8]) -> Result<(Values, usize), Error> {
    let mut values = Values::default();
    let length = match Message::decode(bytes)? {
        Message::MarketUpdate(update) => {
            use market_update::updates;
            let fields = fields!(values, market_update, update: feed_sequence, repeat, book, event_time);
            let group = update.updates()?;
            let mut encoder = market_update::encode(out, &fields)?.updates()?;
            for entry in &group {
                encoder = encoder.push(&fields!(values, updates, entry: kind, instrument, price, quantity, orders))?;
            }
            encoder.end()?
        }
        Message::OrderUpdate(update) => {
            use order_update::orders;
            let fields = fields!(values, order_update, update: feed_sequence, repeat, book, event_time);
            let group = update.orders()?;
            let mut encoder = order_update::encode(out, &fields)?.orders()?;
            for entry in &group {
                encoder = encoder
                    .push(&fields!(values, orders, entry: instrument, action, side, kind, flags, priority,
                    previous_priority, price, quantity))?;
            }
            encoder.end()?
        }
        Message::FullTrade(trade) => {
            use full_trade::legs;
            let fields = fields!(values, full_trade, trade: feed_sequence, repeat, book, event_time, instrument, isin,
                currency, venue, price, quantity, notional, aggressor, traded_at, published_at, trade_reference,
                cancelled_reference, buyer_lei, seller_lei, buyer_account, seller_account, buyer_reference,
                seller_reference, remark);
            let group = trade.legs()?;
            let mut encoder = full_trade::encode(out, &fields)?.legs()?;
            for entry in &group {
                encoder = encoder.push(&fields!(values, legs, entry: instrument, price, quantity))?;
            }
            encoder.end()?
        }
        Message::Quote(quote) => {
            let fields = fields!(values, quote, quote: feed_sequence, event_time, instrument, maker, bid, bid_quantity,
                offer, offer_quantity);
            quote::encode(out, &fields)?
        }
        Message::OrderEntry(entry) => {
            let fields = fields!(values, order_entry, entry: feed_sequence, sent_time, client_order, instrument, side,
                kind, flags, price, quantity, account);
            let (memo, end) = entry.memo()?;
            values.0.push(memo.show());
            assert_eq!(end.rest(), b"");
            order_entry::encode(out, &fields)?.memo(memo)?
        }
        Message::Health(health) => {
            let fields = fields!(values, health, health: feed_sequence, event_time, phase);
            health::encode(out, &fields)?
        }
    };
    Ok((values, length))
}

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
