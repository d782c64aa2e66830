//! The books: enough of a market that prices wander, and that only orders which exist are changed and removed.

use crate::random::Bits;

/// Of each instrument. A power of two, as are the slots, so that random bits choose without bias.
pub(crate) const INSTRUMENT_BITS: u32 = 6;
const SLOT_BITS: u32 = 4;
/// A cent, at four decimals.
const TICK: i64 = 100;
/// One, at four decimals.
const PRICE_MIN: i64 = 10_000;

pub(crate) const NO_PRIORITY: u64 = u64::MAX;

/// The book of one instrument.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    pub(crate) instrument: u32,
    /// The middle of the market, at four decimals.
    pub(crate) middle: i64,
    orders: [Option<Order>; 1 << SLOT_BITS],
    last_priority: u64,
}

#[derive(Clone, Copy, Debug)]
struct Order {
    priority: u64,
    price: i64,
    quantity: u64,
    buy: bool,
}

/// What happened to an order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) action: u8,
    pub(crate) buy: bool,
    pub(crate) priority: u64,
    pub(crate) previous: u64,
    pub(crate) price: i64,
    pub(crate) quantity: u64,
}

impl Book {
    pub(crate) fn new(instrument: u32, mut bits: Bits) -> Book {
        let middle = 50_000 + bits.take(20) as i64 / TICK * TICK;
        Book { instrument, middle, orders: [None; 1 << SLOT_BITS], last_priority: 0 }
    }

    /// A tick up, a tick down, or most often neither.
    #[inline]
    pub(crate) fn wander(&mut self, bits: &mut Bits) {
        let step = match bits.take(3) {
            0 => TICK,
            1 => -TICK,
            _ => 0,
        };
        self.middle = (self.middle + step).max(PRICE_MIN);
    }

    pub(crate) fn bid(&self) -> i64 {
        self.middle - TICK
    }

    pub(crate) fn offer(&self) -> i64 {
        self.middle + TICK
    }

    /// Adds, changes or removes an order.
    #[inline]
    pub(crate) fn order(&mut self, bits: &mut Bits) -> Event {
        let slot = bits.take(SLOT_BITS) as usize;
        match self.orders[slot] {
            None => self.add(slot, bits),
            Some(order) if bits.take(2) == 0 => self.change(slot, order, bits),
            Some(order) => self.remove(slot, order),
        }
    }

    fn add(&mut self, slot: usize, bits: &mut Bits) -> Event {
        let buy = bits.take(1) == 0;
        let away = (1 + bits.take(4) as i64) * TICK;
        let price = if buy { (self.middle - away).max(TICK) } else { self.middle + away };
        let order = Order { priority: self.next_priority(), price, quantity: quantity(bits), buy };
        self.orders[slot] = Some(order);
        order.event(1, NO_PRIORITY)
    }

    /// A change of quantity, for which the order goes to the end of its price.
    fn change(&mut self, slot: usize, order: Order, bits: &mut Bits) -> Event {
        let changed = Order { priority: self.next_priority(), quantity: quantity(bits), ..order };
        self.orders[slot] = Some(changed);
        changed.event(2, order.priority)
    }

    fn remove(&mut self, slot: usize, order: Order) -> Event {
        self.orders[slot] = None;
        order.event(3, NO_PRIORITY)
    }

    fn next_priority(&mut self) -> u64 {
        self.last_priority += 1;
        self.last_priority
    }
}

impl Order {
    fn event(self, action: u8, previous: u64) -> Event {
        let Order { priority, price, quantity, buy } = self;
        Event { action, buy, priority, previous, price, quantity }
    }
}

/// From 10 to 2,560 shares.
#[inline]
pub(crate) fn quantity(bits: &mut Bits) -> u64 {
    10 * (1 + bits.take(8))
}
