//! What has a known length at most: names, numbers, times. It is stored in steps of a fixed size, of which only the first
//! bytes count, since a call that copies a few bytes takes longer than copying them.

use super::calendar::date;
use crate::primitive::TimeUnit;
use crate::value::{Decimal, Timestamp, Value};

/// Room for a key and a value, or for either: the longest are a name in quotes and a decimal of 128 places.
pub(super) const ROOM_BYTES: usize = 256;

/// Where the text goes on. It goes from hand to hand, and so stays in registers.
pub(super) struct Pen<'a> {
    pub(super) room: &'a mut [u8; ROOM_BYTES],
    /// So many bytes of the room are text.
    pub(super) at: usize,
}

impl Pen<'_> {
    #[inline(always)]
    pub(super) fn put<const N: usize>(mut self, bytes: &[u8; N]) -> Self {
        self.room[self.at..][..N].copy_from_slice(bytes);
        self.at += N;
        self
    }

    /// The first `length` of the bytes.
    #[inline(always)]
    pub(super) fn start_of<const N: usize>(mut self, (bytes, length): (&[u8; N], usize)) -> Self {
        self.room[self.at..][..N].copy_from_slice(bytes);
        self.at += length;
        self
    }

    /// A value that has a known length at most, and its comma; else how far the text has come.
    #[inline(always)]
    pub(super) fn value(self, value: Value<'_>) -> Result<Self, usize> {
        Ok(match value {
            Value::Null => self.put(b"null,"),
            Value::Int32(number) => self.signed(number.into()).put(b","),
            Value::UInt32(number) => self.unsigned(number.into()).put(b","),
            // What may be above 2^53 is a string, since many readers of JSON would round it.
            Value::Int64(number) => self.put(b"\"").signed(number).put(b"\","),
            Value::UInt64(number) => self.put(b"\"").unsigned(number).put(b"\","),
            Value::Float(number) => self.float(number, number.into()),
            Value::Double(number) => self.float(number, number),
            Value::Decimal(decimal) => self.decimal(decimal),
            Value::Timestamp(timestamp) => self.timestamp(timestamp),
            Value::Enum(_, _, Some(known)) => match known.meta.name.quoted() {
                Some(name) => self.start_of(name).put(b","),
                None => return Err(self.at),
            },
            _ => return Err(self.at),
        })
    }

    #[inline(always)]
    fn signed(self, number: i64) -> Self {
        let pen = if number < 0 { self.put(b"-") } else { self };
        pen.unsigned(number.unsigned_abs())
    }

    #[inline(always)]
    pub(super) fn unsigned(self, number: u64) -> Self {
        if number >= TEN_TO_8 {
            return self.long(number);
        }
        let digits = digits(number as u32);
        // Zero has a digit, too.
        let zeros = (digits | 1 << 56).trailing_zeros() / 8;
        self.start_of((&((digits | ZEROS) >> (8 * zeros)).to_le_bytes(), 8 - zeros as usize))
    }

    fn long(self, number: u64) -> Self {
        self.unsigned(number / TEN_TO_8).put(&ascii((number % TEN_TO_8) as u32))
    }

    /// The shortest decimals that read back as the same float, and of two equally near ones the even.
    #[inline(never)]
    fn float<F: zmij::Float>(mut self, number: F, wide: f64) -> Self {
        let mut buffer = zmij::Buffer::new();
        let text = match wide.is_finite() {
            true => buffer.format_finite(number),
            false if wide.is_nan() => "\"NaN\"",
            false if wide < 0.0 => "\"-Infinity\"",
            false => "\"Infinity\"",
        };
        self.room[self.at..][..text.len()].copy_from_slice(text.as_bytes());
        self.at += text.len();
        self.put(b",")
    }

    /// 1234 × 10^-2 is "12.34", 12 × 10^2 is "12e2": the digits are the mantissa's, so that the scale is kept.
    #[inline(always)]
    fn decimal(self, Decimal { mantissa, exponent }: Decimal) -> Self {
        // Both signs of 64 bits fit, and dividing 64 bits costs a tenth of dividing 128.
        let magnitude = u64::try_from(mantissa.unsigned_abs()).unwrap_or(u64::MAX);
        let pen = if mantissa < 0 { self.put(b"\"-") } else { self.put(b"\"") };
        match exponent {
            0 => pen.unsigned(magnitude),
            1.. => pen.unsigned(magnitude).put(b"e").unsigned(exponent.unsigned_abs().into()),
            _ => pen.scaled(magnitude, exponent.unsigned_abs().into()),
        }
        .put(b"\",")
    }

    fn scaled(self, number: u64, scale: usize) -> Self {
        match POWERS.get(scale) {
            Some(power) => self.unsigned(number / power).places(b'.', number % power, scale),
            None => {
                let mut pen = self.scaled(number / POWERS[18], scale - 18);
                pen.at -= 1;
                let last = pen.room[pen.at];
                pen.places(last, number % POWERS[18], 18)
            }
        }
    }

    /// A character, then as many digits as there are places, of which there may be 18.
    #[inline(always)]
    fn places(self, first: u8, number: u64, places: usize) -> Self {
        let at = self.at;
        // A 1 before them keeps the zeros, and its place.
        let mut pen = self.unsigned(POWERS[places] + number);
        pen.room[at] = first;
        // How many digits they are is known without looking at them.
        pen.at = at + 1 + places;
        pen
    }

    /// RFC 3339 with nine digits of the second, or the bare count outside the years 0 to 9999.
    #[inline(never)]
    fn timestamp(self, Timestamp { count, unit }: Timestamp) -> Self {
        // A uint64 above all of int64 is in seconds a time that no calendar has, and so is what stands for it.
        let (seconds, ns) = match (i64::try_from(count), unit) {
            (Ok(count), TimeUnit::Nanosecond) => split::<1_000_000_000>(count),
            (Ok(count), TimeUnit::Microsecond) => split::<1_000_000>(count),
            (Ok(count), TimeUnit::Millisecond) => split::<1_000>(count),
            (Ok(count), TimeUnit::Second) => split::<1>(count),
            (Err(_), unit) => {
                let (per_second, ns_per_second) = (unit.per_second(), TimeUnit::Nanosecond.per_second());
                let part = (count % i128::from(per_second)) as i64 * (ns_per_second / per_second);
                (i64::try_from(count / i128::from(per_second)).unwrap_or(i64::MAX), part)
            }
        };
        let Some((year, month, day)) = date(seconds.div_euclid(86_400)) else {
            return self.decimal(Decimal { mantissa: count, exponent: 0 });
        };
        let of_day = seconds.rem_euclid(86_400) as u32;
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        let [y0, y1, y2, y3, m0, m1, d0, d1] = ascii(10_000 * year + 100 * month + day);
        let [_, _, h0, h1, i0, i1, s0, s1] = ascii(10_000 * hour + 100 * minute + second);
        let pen =
            self.put(&[b'"', y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', i0, i1, b':', s0, s1]);
        let [n0, n1, n2, n3, n4, n5, n6, n7] = ascii(ns as u32 / 10);
        pen.put(&[b'.', n0, n1, n2, n3, n4, n5, n6, n7, b'0' + (ns % 10) as u8, b'Z', b'"', b','])
    }
}

const TEN_TO_8: u64 = 100_000_000;
const ZEROS: u64 = u64::from_le_bytes(*b"00000000");

/// Those of ten that 64 bits hold with as much again.
const POWERS: [u64; 19] = {
    let mut powers = [1; 19];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = 10 * powers[at - 1];
        at += 1;
    }
    powers
};

/// The eight digits of a number below 10^8 as numbers, the first in the lowest byte: halves, then quarters, then digits
/// are split at once. The factors are those of a division by 100 and by 10 that is exact for numbers so small.
#[inline(always)]
fn digits(number: u32) -> u64 {
    let number = u64::from(number);
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - 10 * tens) << 8)
}

#[inline(always)]
fn ascii(number: u32) -> [u8; 8] {
    (digits(number) | ZEROS).to_le_bytes()
}

/// Seconds and nanoseconds. The divisor is known to the compiler, since dividing by one that is not costs several times as
/// much.
fn split<const PER_SECOND: i64>(count: i64) -> (i64, i64) {
    let part = count.rem_euclid(PER_SECOND);
    (count.div_euclid(PER_SECOND), part * (TimeUnit::Nanosecond.per_second() / PER_SECOND))
}
