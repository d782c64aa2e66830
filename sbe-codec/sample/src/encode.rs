//! The messages, byte by byte. The offsets are those of `schema/oyez-sample.xml`; the tests hold them against it.

use crate::book::Event;

pub(crate) const SCHEMA_ID: u16 = 500;
const HEADER: usize = 8;
const NULL_PRICE: i64 = i64::MIN;

/// A message under construction, of a length known when it is compiled, so that no write needs a check.
struct Message<'a, const N: usize>(&'a mut [u8; N]);

impl<'a, const N: usize> Message<'a, N> {
    /// Begins a message in a buffer that must hold it.
    #[inline]
    fn new(buffer: &'a mut [u8], block_length: u16, template_id: u16) -> Message<'a, N> {
        let message = Message(buffer.first_chunk_mut().expect("a buffer of MESSAGE_BYTES_MAX bytes"));
        message
            .put(0, block_length.to_le_bytes())
            .put(2, template_id.to_le_bytes())
            .put(4, SCHEMA_ID.to_le_bytes())
            .put(6, [0; 2])
    }

    /// Writes at an offset from the start of the message.
    #[inline]
    fn put<const M: usize>(self, offset: usize, bytes: [u8; M]) -> Self {
        self.0[offset..offset + M].copy_from_slice(&bytes);
        self
    }

    #[inline]
    fn length(self) -> usize {
        N
    }
}

/// The first 18 bytes of most blocks.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) sequence: u64,
    pub(crate) time_ns: u64,
}

impl Stamp {
    /// Book 1, not repeated.
    #[inline]
    fn put<const N: usize>(self, message: Message<'_, N>) -> Message<'_, N> {
        message.put(8, self.sequence.to_le_bytes()).put(16, [0, 1]).put(18, self.time_ns.to_le_bytes())
    }
}

#[inline]
pub(crate) fn market_update(
    buffer: &mut [u8],
    stamp: Stamp,
    instrument: u32,
    kind: u8,
    price: i64,
    quantity: u64,
    orders: u16,
) -> usize {
    const ENTRY: usize = 28;
    stamp
        .put(Message::<51>::new(buffer, 18, 1))
        .put(26, [23, 1])
        .put(ENTRY, [kind])
        .put(ENTRY + 1, instrument.to_le_bytes())
        .put(ENTRY + 5, price.to_le_bytes())
        .put(ENTRY + 13, quantity.to_le_bytes())
        .put(ENTRY + 21, orders.to_le_bytes())
        .length()
}

#[inline]
pub(crate) fn order_update(buffer: &mut [u8], stamp: Stamp, instrument: u32, flags: u8, event: Event) -> usize {
    const ENTRY: usize = 28;
    const LIMIT: u8 = 2;
    stamp
        .put(Message::<68>::new(buffer, 18, 2))
        .put(26, [40, 1])
        .put(ENTRY, instrument.to_le_bytes())
        .put(ENTRY + 4, [event.action, side(event.buy), LIMIT, flags])
        .put(ENTRY + 8, event.priority.to_le_bytes())
        .put(ENTRY + 16, event.previous.to_le_bytes())
        .put(ENTRY + 24, event.price.to_le_bytes())
        .put(ENTRY + 32, event.quantity.to_le_bytes())
        .length()
}

/// What a full trade says that differs from trade to trade.
pub(crate) struct Trade {
    pub(crate) instrument: u32,
    pub(crate) price: i64,
    pub(crate) quantity: u64,
    pub(crate) buy: bool,
    /// The time as text.
    pub(crate) at: [u8; 27],
    /// Is it of a spread, with two legs?
    pub(crate) legs: bool,
}

#[inline(never)]
pub(crate) fn full_trade(buffer: &mut [u8], stamp: Stamp, trade: &Trade) -> usize {
    let Trade { instrument, price, quantity, buy, at, legs } = *trade;
    let mut isin = *b"OY0000000000";
    digits(&mut isin[2..], instrument.into());
    let mut reference = padded::<52>(b"TRADE-");
    digits(&mut reference[6..16], stamp.sequence);
    let notional = price as f64 / 1e4 * quantity as f64;
    let length = stamp
        .put(Message::<462>::new(buffer, 452, 3))
        .put(26, instrument.to_le_bytes())
        .put(30, isin)
        .put(42, *b"EUR")
        .put(45, *b"OYEZ")
        .put(49, price.to_le_bytes())
        .put(57, quantity.to_le_bytes())
        .put(65, notional.to_le_bytes())
        .put(73, [side(buy)])
        .put(74, at)
        .put(101, at)
        .put(128, reference)
        .put(180, [0; 52])
        .put(232, *b"969500BUYER000000001")
        .put(252, *b"969500SELLER00000002")
        .put(272, padded::<16>(b"CLIENT"))
        .put(288, padded::<16>(b"HOUSE"))
        .put(304, [0; 52])
        .put(356, [0; 52])
        .put(408, if legs { padded::<52>(b"spread") } else { [0; 52] })
        .put(460, [20, if legs { 2 } else { 0 }])
        .length();
    if !legs {
        return length;
    }
    [instrument, instrument ^ 1].into_iter().fold(length, |at, leg| {
        let entry = buffer[at..].first_chunk_mut::<20>().expect("a buffer of MESSAGE_BYTES_MAX bytes");
        entry[..4].copy_from_slice(&leg.to_le_bytes());
        entry[4..12].copy_from_slice(&price.to_le_bytes());
        entry[12..].copy_from_slice(&quantity.to_le_bytes());
        at + 20
    })
}

/// A market maker's two sides; `None` is no price.
#[inline]
pub(crate) fn quote(
    buffer: &mut [u8],
    stamp: Stamp,
    instrument: u32,
    maker: u16,
    [bid, offer]: [Option<i64>; 2],
    quantity: u64,
) -> usize {
    Message::<62>::new(buffer, 54, 4)
        .put(8, stamp.sequence.to_le_bytes())
        .put(16, stamp.time_ns.to_le_bytes())
        .put(24, instrument.to_le_bytes())
        .put(28, maker.to_le_bytes())
        .put(30, bid.unwrap_or(NULL_PRICE).to_le_bytes())
        .put(38, quantity.to_le_bytes())
        .put(46, offer.unwrap_or(NULL_PRICE).to_le_bytes())
        .put(54, quantity.to_le_bytes())
        .length()
}

/// An order as a member sends it; without a price it is a market order.
#[inline]
pub(crate) fn order_entry(
    buffer: &mut [u8],
    stamp: Stamp,
    instrument: u32,
    buy: bool,
    price: Option<i64>,
    quantity: u64,
    memo: &str,
) -> usize {
    const MARKET: u8 = 1;
    const LIMIT: u8 = 2;
    const FIXED: usize = HEADER + 63;
    let kind = if price.is_some() { LIMIT } else { MARKET };
    Message::<FIXED>::new(buffer, 63, 5)
        .put(8, stamp.sequence.to_le_bytes())
        .put(16, stamp.time_ns.to_le_bytes())
        .put(24, stamp.sequence.wrapping_mul(7).to_le_bytes())
        .put(32, instrument.to_le_bytes())
        .put(36, [side(buy), kind, 0b100])
        .put(39, price.unwrap_or(NULL_PRICE).to_le_bytes())
        .put(47, quantity.to_le_bytes())
        .put(55, padded::<16>(b"MEMBER"));
    buffer[FIXED] = memo.len() as u8;
    let end = FIXED + 1 + memo.len();
    buffer[FIXED + 1..end].copy_from_slice(memo.as_bytes());
    end
}

#[inline]
pub(crate) fn health(buffer: &mut [u8], stamp: Stamp, phase: u8) -> usize {
    Message::<25>::new(buffer, 17, 6)
        .put(8, stamp.sequence.to_le_bytes())
        .put(16, stamp.time_ns.to_le_bytes())
        .put(24, [phase])
        .length()
}

/// Writes the last digits of a number, with leading zeros.
pub(crate) fn digits(out: &mut [u8], mut number: u64) {
    for place in out.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn side(buy: bool) -> u8 {
    if buy { 1 } else { 2 }
}

fn padded<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut padded = [0; N];
    padded[..text.len()].copy_from_slice(text);
    padded
}
