//! Every value of a message of the sample, by the generated code and by the schema-driven decoder, so that they can be
//! compared. Shared with the fuzz targets, which bring values that no session has.

use code::oyez_sample::*;
use oyez_sbe::{Data, Field, Group, Presence, Value, Visitor};
use oyez_sbe_runtime::Error;

pub(crate) mod code {
    include!("../golden/oyez_sample.rs");
}

/// The values of a message in the order of the schema, as texts, without constants.
#[derive(Default, PartialEq, Debug)]
pub(crate) struct Values(pub(crate) Vec<String>);

impl Visitor for Values {
    fn value(&mut self, field: &Field, value: Value<'_>) {
        if field.presence != Presence::Constant {
            self.0.push(text(value));
        }
    }

    fn group(&mut self, _group: &Group, count: Option<u32>) {
        self.0.push(count.show());
    }

    fn data(&mut self, _data: &Data, bytes: Option<&[u8]>) {
        self.0.push(bytes.show());
    }
}

fn text(value: Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Int32(number) => number.to_string(),
        Value::Int64(number) => number.to_string(),
        Value::UInt32(number) => number.to_string(),
        Value::UInt64(number) => number.to_string(),
        Value::Float(number) => number.show(),
        Value::Double(number) => number.show(),
        Value::Decimal(decimal) => decimal.mantissa.to_string(),
        Value::Timestamp(timestamp) => timestamp.count.to_string(),
        Value::Set(_, bits) => bits.to_string(),
        Value::Enum(_, number, None) => number.integer().expect("enums are of integers").to_string(),
        Value::Enum(_, _, Some(value)) => value.meta.name.to_string(),
        // One character is a number in Rust.
        Value::Text(text) if text.bytes.len() == 1 => text.bytes[0].to_string(),
        Value::Text(text) => text.bytes.show(),
        Value::Bytes(bytes) => bytes.show(),
        Value::Array(array) => array.iter().map(text).collect::<Vec<_>>().join(","),
    }
}

/// A value as [`Values`] has it.
pub(crate) trait Show {
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
    i8, value => value.to_string();
    i16, value => value.to_string();
    i32, value => value.to_string();
    i64, value => value.to_string();
    u8, value => value.to_string();
    u16, value => value.to_string();
    u32, value => value.to_string();
    u64, value => value.to_string();
    f32, value => format!("{:#x}", value.to_bits());
    f64, value => format!("{:#x}", value.to_bits());
    [i16; 2], value => value.map(|element| element.to_string()).join(",");
    &[u8], value => format!("{value:?}");
    Price, value => value.mantissa.to_string();
    OptionalPrice, value => value.mantissa.show();
    OrderFlags, value => value.0.to_string();
    Book, value => name(value.name(), value.0);
    Repeat, value => name(value.name(), value.0);
    Side, value => name(value.name(), value.0);
    LimitKind, value => name(value.name(), value.0);
    OrderAction, value => name(value.name(), value.0);
    OrderKind, value => name(value.name(), value.0);
    Phase, value => name(value.name(), value.0);
}

impl<const N: usize> Show for &[u8; N] {
    fn show(&self) -> String {
        self.as_slice().show()
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self) -> String {
        self.as_ref().map_or("null".to_owned(), T::show)
    }
}

/// The name, or the number of an enum that the schema does not know.
pub(crate) fn name(name: Option<&str>, number: impl ToString) -> String {
    name.map_or_else(|| number.to_string(), str::to_owned)
}

/// Collects values.
macro_rules! put {
    ($values:ident: $($value:expr),* $(,)?) => {
        $($values.0.push($value.show());)*
    };
}

/// Collects the values of the fields, and gives the fields to be written again.
macro_rules! fields {
    ($values:ident, $module:ident, $decoder:ident: $($field:ident),*) => {{
        put!($values: $($decoder.$field()),*);
        $module::Fields { $($field: $decoder.$field()),* }
    }};
}

/// The values of a message, and its length when it is written again.
pub(crate) fn read_and_write(bytes: &[u8], out: &mut [u8]) -> Result<(Values, usize), Error> {
    let mut values = Values::default();
    let length = match Message::decode(bytes)? {
        Message::MarketUpdate(update) => {
            use market_update::updates;
            let fields = fields!(values, market_update, update: feed_sequence, repeat, book, event_time);
            let group = update.updates()?;
            put!(values: group.count());
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
            put!(values: group.count());
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
            put!(values: group.count());
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
            let (memo, _) = entry.memo()?;
            put!(values: memo);
            order_entry::encode(out, &fields)?.memo(memo)?
        }
        Message::Health(health) => {
            let fields = fields!(values, health, health: feed_sequence, event_time, phase);
            health::encode(out, &fields)?
        }
    };
    Ok((values, length))
}
