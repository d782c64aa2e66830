//! SBE to JSON: a visitor that writes.

use std::borrow::Cow;
use std::io::Write;

use super::calendar::{date, digits};
use crate::decode::{Visitor, decode};
use crate::error::DecodeError;
use crate::ir::{Composite, Data, Enum, Field, Group, Header, Message, Schema, Set};
use crate::primitive::{Charset, Number, TimeUnit};
use crate::value::{Array, Decimal, Text, Timestamp, Value};

/// Appends the message at the start of `bytes` to `out` as JSON, and gives the message's length in bytes.
///
/// Allocates only as `out` grows, and for text in ISO-8859-1. On an error `out` is as it was.
///
/// # Errors
/// If the bytes are no whole message of this schema.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let schema = oyez_sbe::Schema::parse(
///     r#"<messageSchema package="example" id="7" version="0">
///          <types>
///            <composite name="messageHeader">
///              <type name="blockLength" primitiveType="uint16"/><type name="templateId" primitiveType="uint16"/>
///              <type name="schemaId" primitiveType="uint16"/><type name="version" primitiveType="uint16"/>
///            </composite>
///          </types>
///          <message name="Beat" id="1"><field name="number" id="1" type="uint64"/></message>
///        </messageSchema>"#,
///     "example.xml",
/// )?;
/// let message = [8, 0, 1, 0, 7, 0, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0];
/// let mut json = Vec::new();
/// assert_eq!(oyez_sbe::decode_json(&schema, &message, &mut json)?, 16);
/// assert_eq!(json, br#"{"_t":"Beat","number":"42"}"#);
/// # Ok(())
/// # }
/// ```
pub fn decode_json(schema: &Schema, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, DecodeError> {
    let before = out.len();
    decode(schema, bytes, &mut Json { out }).inspect_err(|_| out.truncate(before))
}

pub(super) struct Json<'a> {
    pub(super) out: &'a mut Vec<u8>,
}

impl Visitor for Json<'_> {
    const EXACT: bool = true;

    fn message(&mut self, message: &Message, _header: &Header) {
        self.raw("{\"_t\":\"");
        self.raw(&message.meta.name);
        self.raw("\"");
    }

    fn message_end(&mut self) {
        self.raw("}");
    }

    #[inline]
    fn value(&mut self, field: &Field, value: Value<'_>) {
        self.key(&field.meta.name);
        self.any(value);
    }

    fn composite(&mut self, field: &Field, _composite: &Composite) {
        self.key(&field.meta.name);
        self.raw("{");
    }

    fn composite_end(&mut self) {
        self.raw("}");
    }

    fn group(&mut self, group: &Group, count: Option<u32>) {
        self.key(&group.meta.name);
        self.raw(if count.is_some() { "[" } else { "null" });
    }

    fn entry(&mut self) {
        self.comma();
        self.raw("{");
    }

    fn entry_end(&mut self) {
        self.raw("}");
    }

    fn group_end(&mut self) {
        self.raw("]");
    }

    fn head(&mut self, name: Option<&str>) {
        self.comma();
        self.raw(if name.is_some() { "\"_header_" } else { "\"_header" });
        self.raw(name.unwrap_or(""));
        self.raw("\":{");
    }

    fn head_end(&mut self) {
        self.raw("}");
    }

    fn unsaid(&mut self, offset: u32, bytes: &[u8]) {
        self.comma();
        self.raw("\"_");
        self.integer(offset);
        self.raw("\":");
        self.base64(bytes);
    }

    fn data(&mut self, data: &Data, bytes: Option<&[u8]>) {
        self.key(&data.meta.name);
        match (bytes, &data.charset) {
            (None, _) => self.raw("null"),
            (Some(bytes), None) => self.base64(bytes),
            (Some(bytes), Some(charset)) => self.text(Text { bytes, charset, padded: false }),
        }
    }
}

impl Json<'_> {
    #[inline]
    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// A comma, unless the first thing in an object or array follows.
    #[inline]
    fn comma(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[')) {
            self.out.push(b',');
        }
    }

    /// Names in a schema are letters, digits and `_`, so they stand as they are.
    #[inline]
    fn key(&mut self, name: &str) {
        // Room at once, so that the pieces need not ask for it.
        self.out.reserve(name.len() + 4);
        self.raw(if matches!(self.out.last(), Some(b'{' | b'[')) { "\"" } else { ",\"" });
        self.raw(name);
        self.raw("\":");
    }

    #[inline(always)]
    pub(super) fn any(&mut self, value: Value<'_>) {
        match value {
            Value::Null => self.raw("null"),
            Value::Int32(number) => self.integer(number),
            Value::UInt32(number) => self.integer(number),
            Value::Int64(number) => self.quoted(number),
            Value::UInt64(number) => self.quoted(number),
            Value::Float(number) => self.float(number.into(), |out| write!(out, "{number:?}")),
            Value::Double(number) => self.float(number, |out| write!(out, "{number:?}")),
            Value::Text(text) => self.text(text),
            Value::Bytes(bytes) => self.base64(bytes),
            Value::Array(array) => self.array(array),
            Value::Enum(symbols, number, known) => match known {
                Some(value) => self.name(&value.meta.name),
                None => self.unknown(symbols, number),
            },
            Value::Set(set, bits) => self.set(set, bits),
            Value::Decimal(decimal) => self.decimal(decimal),
            Value::Timestamp(timestamp) => self.timestamp(timestamp),
        }
    }

    #[inline]
    fn integer(&mut self, number: impl itoa::Integer) {
        self.raw(itoa::Buffer::new().format(number));
    }

    /// What may be above 2^53 is a string, since many readers of JSON would round it.
    #[inline]
    fn quoted(&mut self, number: impl itoa::Integer) {
        self.raw("\"");
        self.integer(number);
        self.raw("\"");
    }

    fn name(&mut self, name: &str) {
        self.out.reserve(name.len() + 2);
        self.raw("\"");
        self.raw(name);
        self.raw("\"");
    }

    /// The shortest decimals that read back as the same float.
    fn float(&mut self, number: f64, write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) {
        if number.is_nan() {
            self.raw("\"NaN\"");
        } else if number.is_infinite() {
            self.raw(if number > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
        } else {
            write(self.out).expect("a Vec takes every write");
        }
    }

    fn unknown(&mut self, symbols: &Enum, number: Number) {
        self.raw("{\"_unknown\":");
        self.any(Value::number(symbols.primitive, number));
        self.raw("}");
    }

    fn array(&mut self, array: Array<'_>) {
        self.raw("[");
        for element in array.iter() {
            self.comma();
            self.any(element);
        }
        self.raw("]");
    }

    fn set(&mut self, set: &Set, bits: u64) {
        let mut unknown = bits;
        self.raw("[");
        for choice in set.choices.iter().filter(|choice| bits >> choice.bit & 1 == 1) {
            unknown &= !(1 << choice.bit);
            self.comma();
            self.name(&choice.meta.name);
        }
        while unknown != 0 {
            let bit = unknown.trailing_zeros();
            unknown &= unknown - 1;
            self.comma();
            self.raw("{\"_unknown\":");
            self.integer(bit);
            self.raw("}");
        }
        self.raw("]");
    }

    /// 1234 × 10^-2 is "12.34", 12 × 10^2 is "12e2": the digits are the mantissa's, so that the scale is kept.
    fn decimal(&mut self, Decimal { mantissa, exponent }: Decimal) {
        let mut buffer = itoa::Buffer::new();
        // Both signs of 64 bits fit, and dividing 64 bits costs a tenth of dividing 128.
        let magnitude = u64::try_from(mantissa.unsigned_abs()).unwrap_or(u64::MAX);
        let digits = buffer.format(magnitude);
        let scale = usize::from(exponent.min(0).unsigned_abs());
        self.raw(if mantissa < 0 { "\"-" } else { "\"" });
        let whole = digits.len().saturating_sub(scale);
        self.raw(if whole == 0 { "0" } else { &digits[..whole] });
        if scale > 0 {
            self.raw(".");
            self.out.resize(self.out.len() + scale.saturating_sub(digits.len()), b'0');
            self.raw(&digits[whole..]);
        }
        if exponent > 0 {
            self.raw("e");
            self.integer(exponent);
        }
        self.raw("\"");
    }

    /// RFC 3339 with nine digits of the second, or the bare count outside the years 0 to 9999.
    fn timestamp(&mut self, Timestamp { count, unit }: Timestamp) {
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
        let Some((year, month, day)) = date(seconds.div_euclid(86_400)) else { return self.quoted(count) };
        let of_day = seconds.rem_euclid(86_400) as u32;
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        let mut text = *b"\"0000-00-00T00:00:00.000000000Z\"";
        let parts = [(1, 4, year), (6, 2, month), (9, 2, day), (12, 2, hour), (15, 2, minute), (18, 2, second)];
        for (start, length, number) in parts {
            digits(&mut text[start..start + length], number);
        }
        digits(&mut text[21..30], ns as u32);
        self.out.extend_from_slice(&text);
    }

    fn text(&mut self, text: Text<'_>) {
        let bytes = text.unpadded();
        let valid = match text.charset {
            Charset::Utf8 => bytes.and_then(|bytes| std::str::from_utf8(bytes).ok().map(Cow::Borrowed)),
            Charset::Latin1 => bytes.map(|bytes| match std::str::from_utf8(bytes) {
                Ok(text) if text.is_ascii() => Cow::Borrowed(text),
                _ => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
            }),
            Charset::Other(_) => None,
        };
        match valid {
            Some(valid) => self.string(&valid),
            None => {
                self.raw("{\"_enc\":\"b64\",\"_data\":");
                self.base64(text.bytes);
                self.raw("}");
            }
        }
    }

    fn string(&mut self, text: &str) {
        self.raw("\"");
        let mut from = 0;
        let special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\' | 0x7f);
        while let Some(at) = text.as_bytes()[from..].iter().position(special) {
            self.raw(&text[from..from + at]);
            match text.as_bytes()[from + at] {
                b'"' => self.raw("\\\""),
                b'\\' => self.raw("\\\\"),
                byte => write!(self.out, "\\u{byte:04x}").expect("a Vec takes every write"),
            }
            from += at + 1;
        }
        self.raw(&text[from..]);
        self.raw("\"");
    }

    /// RFC 4648, section 4, padded.
    fn base64(&mut self, bytes: &[u8]) {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        self.raw("\"");
        for chunk in bytes.chunks(3) {
            let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            let mut quad = [18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift & 63) as usize]);
            quad[chunk.len() + 1..].fill(b'=');
            self.out.extend_from_slice(&quad);
        }
        self.raw("\"");
    }
}

/// Seconds and nanoseconds. The divisor is known to the compiler, since dividing by one that is not costs several times as much.
fn split<const PER_SECOND: i64>(count: i64) -> (i64, i64) {
    let part = count.rem_euclid(PER_SECOND);
    (count.div_euclid(PER_SECOND), part * (TimeUnit::Nanosecond.per_second() / PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Json<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Json { out: &mut out });
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn timestamps_that_no_calendar_has_are_their_count() {
        let time = |count: i128, unit| written(|json| json.timestamp(Timestamp { count, unit }));
        assert_eq!(time(u64::MAX.into(), TimeUnit::Nanosecond), r#""2554-07-21T23:34:33.709551615Z""#);
        assert_eq!(time(i64::MIN.into(), TimeUnit::Nanosecond), r#""1677-09-21T00:12:43.145224192Z""#);
        assert_eq!(time(u64::MAX.into(), TimeUnit::Second), r#""18446744073709551615""#);
        assert_eq!(time(i64::MIN.into(), TimeUnit::Second), r#""-9223372036854775808""#);
        assert_eq!(time(253_402_300_800, TimeUnit::Second), r#""253402300800""#);
    }

    #[test]
    fn decimals_keep_their_scale() {
        let decimal = |mantissa: i128, exponent| written(|json| json.decimal(Decimal { mantissa, exponent }));
        assert_eq!(decimal(1_234_500, -4), r#""123.4500""#);
        assert_eq!(decimal(-5, -4), r#""-0.0005""#);
        assert_eq!(decimal(0, -2), r#""0.00""#);
        assert_eq!(decimal(7, 0), r#""7""#);
        assert_eq!(decimal(-7, 3), r#""-7e3""#);
        assert_eq!(decimal(i64::MIN.into(), -19), r#""-0.9223372036854775808""#);
        assert_eq!(decimal(u64::MAX.into(), -20), r#""0.18446744073709551615""#);
    }
}
