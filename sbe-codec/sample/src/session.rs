//! The generator.

use crate::MESSAGE_BYTES_MAX;
use crate::book::{Book, INSTRUMENT_BITS, quantity};
use crate::encode::{self, Stamp, Trade};
use crate::phase::{Kind, Phase};
use crate::random::{Bits, Random};

/// Monday, 2026-01-05, 08:00 UTC.
const OPENING_NS: u64 = 1_767_600_000_000_000_000;
const SECOND_NS: u64 = 1_000_000_000;
const DAY_NS: u64 = 86_400 * SECOND_NS;
/// A health message is the first of so many.
const HEALTH_EVERY: u64 = 4_096;
const MEMOS: [&str; 4] = ["", "hedge", "block 2 of 5", "für Kunde 7"];

/// A session of messages, the same for the same seed. Its times are its own: they pass as if each phase were published
/// at the rate it suggests.
///
/// It allocates when it is made and never after; a message costs some ten nanoseconds.
#[derive(Clone, Debug)]
pub struct Session {
    random: Random,
    books: Vec<Book>,
    /// Number of the next message, from 0.
    sequence: u64,
    messages: u64,
    /// Messages of this day already given.
    done: u64,
    /// At which message of the day each phase ends.
    ends: [u64; 4],
    phase: Phase,
    time_ns: u64,
    day: u64,
}

impl Session {
    /// A session of a million messages.
    pub fn new(seed: u64) -> Session {
        Session::of(seed, 1_000_000)
    }

    /// A session of so many messages, at least 1. After them the next day begins with its opening.
    pub fn of(seed: u64, messages: u64) -> Session {
        let messages = messages.max(1);
        let mut random = Random::new(seed);
        let books = (0..1 << INSTRUMENT_BITS).map(|instrument| Book::new(instrument, random.next())).collect();
        let mut percent = 0;
        let ends = Phase::ALL.map(|phase| {
            percent += phase.percent();
            (u128::from(messages) * u128::from(percent)).div_ceil(100) as u64
        });
        let (phase, time_ns) = (Phase::Open, OPENING_NS);
        Session { random, books, sequence: 0, messages, done: 0, ends, phase, time_ns, day: 0 }
    }

    /// The phase of the next message, which tells how fast to publish it.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Writes the next message to the start of the buffer, and gives it.
    ///
    /// # Panics
    /// If the buffer is shorter than [`MESSAGE_BYTES_MAX`].
    #[inline]
    pub fn next<'a>(&mut self, buffer: &'a mut [u8]) -> &'a [u8] {
        assert!(buffer.len() >= MESSAGE_BYTES_MAX, "a buffer of MESSAGE_BYTES_MAX bytes");
        let mut bits = self.random.next();
        self.time_ns += self.interval_ns(&mut bits);
        let stamp = Stamp { sequence: self.sequence, time_ns: self.time_ns };
        let length = match self.sequence % HEALTH_EVERY {
            0 => encode::health(buffer, stamp, self.phase.number()),
            _ => self.market(buffer, stamp, bits),
        };
        self.advance();
        &buffer[..length]
    }

    /// Half to one and a half times what the phase's rate asks for.
    #[inline]
    fn interval_ns(&self, bits: &mut Bits) -> u64 {
        let mean_ns = SECOND_NS / self.phase.rate_messages_per_s();
        mean_ns / 2 + mean_ns * bits.take(8) / 256
    }

    /// Everything but health.
    #[inline]
    fn market(&mut self, buffer: &mut [u8], stamp: Stamp, mut bits: Bits) -> usize {
        let kind = self.phase.kind(bits.take(8));
        let book = &mut self.books[bits.take(INSTRUMENT_BITS) as usize];
        book.wander(&mut bits);
        let instrument = book.instrument;
        match kind {
            Kind::OrderUpdate => {
                let event = book.order(&mut bits);
                encode::order_update(buffer, stamp, instrument, bits.take(3) as u8, event)
            }
            Kind::MarketUpdate => {
                let (kind, price) = match bits.take(2) {
                    0 | 1 => (1, book.bid()),
                    2 => (2, book.offer()),
                    _ => (3, book.middle),
                };
                let (quantity, orders) = (quantity(&mut bits), 1 + bits.take(4) as u16);
                encode::market_update(buffer, stamp, instrument, kind, price, quantity, orders)
            }
            Kind::Quote => {
                // Now and then a maker takes a side away.
                let sides = [bits.take(4) != 0, bits.take(4) != 0];
                let prices = [sides[0].then_some(book.bid()), sides[1].then_some(book.offer())];
                encode::quote(buffer, stamp, instrument, bits.take(4) as u16, prices, quantity(&mut bits))
            }
            Kind::OrderEntry => {
                let buy = bits.take(1) == 0;
                let price = (bits.take(2) != 0).then_some(if buy { book.bid() } else { book.offer() });
                let memo = MEMOS[bits.take(2) as usize];
                encode::order_entry(buffer, stamp, instrument, buy, price, quantity(&mut bits), memo)
            }
            Kind::FullTrade => {
                let (buy, legs) = (bits.take(1) == 0, bits.take(3) == 0);
                let (price, quantity) = (book.middle, quantity(&mut bits));
                let at = self.clock();
                encode::full_trade(buffer, stamp, &Trade { instrument, price, quantity, buy, at, legs })
            }
        }
    }

    /// One message on, and into the next phase or day where this one ends.
    #[inline]
    fn advance(&mut self) {
        self.sequence += 1;
        self.done += 1;
        while self.done < self.messages && self.done >= self.ends[usize::from(self.phase.number()) - 1] {
            self.phase = Phase::ALL[usize::from(self.phase.number())];
        }
        if self.done == self.messages {
            self.day += 1;
            (self.done, self.phase, self.time_ns) = (0, Phase::Open, OPENING_NS + self.day * DAY_NS);
        }
    }

    /// The time as text, with the first day's date: what regulation's text fields look like, not a calendar.
    fn clock(&self) -> [u8; 27] {
        let of_day_ns = self.time_ns % DAY_NS;
        let second = of_day_ns / SECOND_NS;
        let mut text = *b"2026-01-05T00:00:00.000000Z";
        encode::digits(&mut text[11..13], second / 3_600);
        encode::digits(&mut text[14..16], second / 60 % 60);
        encode::digits(&mut text[17..19], second % 60);
        encode::digits(&mut text[20..26], of_day_ns % SECOND_NS / 1_000);
        text
    }
}
