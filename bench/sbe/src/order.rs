//! The order update of our own sample: every field read, every field written.

use crate::message::Message;
use oyez_sample::order_update::{self, orders};
use oyez_sample::{Book, OrderAction, OrderFlags, OrderKind, Price, Repeat, Side};
use oyez_sbe_runtime::Error;

include!(concat!(env!("OUT_DIR"), "/order.rs"));

/// What a program has that wants to send the message.
pub(crate) struct Order {
    number: u64,
    repeat: Repeat,
    book: Book,
    time_ns: u64,
    orders: Vec<Entry>,
}

struct Entry {
    instrument: u32,
    action: OrderAction,
    side: Side,
    kind: OrderKind,
    /// Market maker, algorithm, direct access.
    flags: [bool; 3],
    priority: Option<u64>,
    previous: Option<u64>,
    price: i64,
    quantity: u64,
}

const FLAGS: [OrderFlags; 3] = [OrderFlags::MARKET_MAKER, OrderFlags::ALGORITHM, OrderFlags::DIRECT_ACCESS];

impl Message for Order {
    const SCHEMA: &'static str = include_str!("../../../sbe-codec/sample/schema/oyez-sample.xml");

    fn new(number: u64) -> Order {
        let entry = Entry {
            instrument: 1250,
            action: OrderAction::ADDED,
            side: Side::SELL,
            kind: OrderKind::LIMIT,
            flags: [false, true, true],
            priority: Some(1_700_000_000_000_000_042),
            previous: None,
            price: 1_234_500,
            quantity: 300,
        };
        let time_ns = 1_700_000_000_000_000_000;
        Order { number, repeat: Repeat::NO, book: Book::CENTRAL, time_ns, orders: vec![entry] }
    }

    #[inline(always)]
    fn set_number(&mut self, number: u64) {
        self.number = number;
    }

    #[inline(always)]
    fn decode(bytes: &[u8]) -> Result<u64, Error> {
        let update = order_update::decode(bytes)?;
        let mut sum = update.feed_sequence() + u64::from(update.repeat().0) + u64::from(update.book().0);
        sum += update.event_time();
        let orders = update.orders()?;
        for order in &orders {
            sum += u64::from(order.instrument()) + u64::from(order.action().0) + u64::from(order.side().0);
            sum += u64::from(order.kind().0);
            let flags = order.flags();
            sum += (0..3).map(|bit| u64::from(flags.contains(FLAGS[bit])) << bit).sum::<u64>();
            sum += order.priority().unwrap_or(1) + order.previous_priority().unwrap_or(1);
            sum += order.price().mantissa as u64 + order.quantity();
        }
        Ok(sum)
    }

    #[inline(always)]
    fn encode(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        let fields = order_update::Fields {
            feed_sequence: self.number,
            repeat: self.repeat,
            book: self.book,
            event_time: self.time_ns,
        };
        let mut encoder = order_update::encode(buffer, &fields)?.orders()?;
        for order in &self.orders {
            let flag = |bit: usize| if order.flags[bit] { FLAGS[bit] } else { OrderFlags::default() };
            encoder = encoder.push(&orders::Fields {
                instrument: order.instrument,
                action: order.action,
                side: order.side,
                kind: order.kind,
                flags: flag(0) | flag(1) | flag(2),
                priority: order.priority,
                previous_priority: order.previous,
                price: Price { mantissa: order.price },
                quantity: order.quantity,
            })?;
        }
        encoder.end()
    }
}
