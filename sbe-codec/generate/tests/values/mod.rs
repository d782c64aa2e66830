//! Every value of a message of the sample, by the generated code and by the schema-driven decoder, so that they can be
//! compared. Shared with the fuzz targets, which bring values that no session has.

use code::oyez_sample::*;
use oyez_sbe::{Data, Field, Value, Visitor};
use oyez_sbe_runtime::{Error, unpadded};

pub(crate) mod code {
    include!("../golden/oyez_sample.rs");
}

/// The values of a message in the order of the schema, as texts.
#[derive(Default, PartialEq, Debug)]
pub(crate) struct Values(Vec<String>);

impl Visitor for Values {
    fn value(&mut self, _field: &Field, value: Value<'_>) {
        self.0.push(match value {
            Value::Null => "null".to_owned(),
            Value::UInt32(number) => number.to_string(),
            Value::UInt64(number) => number.to_string(),
            Value::Double(number) => number.show(),
            Value::Decimal(decimal) => decimal.mantissa.to_string(),
            Value::Timestamp(timestamp) => timestamp.count.to_string(),
            Value::Set(_, bits) => bits.to_string(),
            Value::Enum(_, number, value) => value.map_or_else(
                || number.integer().expect("enums are of integers").to_string(),
                |value| value.meta.name.clone(),
            ),
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
    f64, value => format!("{:#x}", value.to_bits());
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

/// The name, or the number of an enum that the schema does not know.
fn name(name: Option<&str>, number: u8) -> String {
    name.map_or_else(|| number.to_string(), str::to_owned)
}

/// Collects the values of the fields, and gives the fields to be written again.
macro_rules! fields {
    ($values:ident, $module:ident, $decoder:ident: $($field:ident),*) => {{
        $($values.0.push($decoder.$field().show());)*
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
            let (memo, _) = entry.memo()?;
            values.0.push(memo.show());
            order_entry::encode(out, &fields)?.memo(memo)?
        }
        Message::Health(health) => {
            let fields = fields!(values, health, health: feed_sequence, event_time, phase);
            health::encode(out, &fields)?
        }
    };
    Ok((values, length))
}
