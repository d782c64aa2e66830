//! SBE to JSON: a visitor that writes. Behind every value stands a comma, in the place of the last of which the end of what
//! they stand in comes.

use std::borrow::Cow;

use super::pen::{Pen, ROOM_BYTES};
use crate::decode::{Visitor, decode};
use crate::error::DecodeError;
use crate::ir::{Composite, Data, Enum, Field, Group, Header, Message, Name, Schema, Set};
use crate::primitive::{Charset, Number};
use crate::value::{Array, Text, Value};

/// No entry begins where a message's JSON is longer than this.
///
/// Without it a message could ask for any amount of memory: an entry of few bytes still brings the names of all fields, and
/// its constants.
pub const JSON_BYTES_MAX: usize = 256 << 20;

/// Appends the message at the start of `bytes` to `out` as JSON, and gives the message's length in bytes.
///
/// Allocates only as `out` grows, and for text in ISO-8859-1. On an error `out` is as it was.
///
/// # Errors
/// If the bytes are no whole message of this schema, or its JSON is longer than [`JSON_BYTES_MAX`] with entries to come.
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
    let mut json = Json { at: before, entries_end: before.saturating_add(JSON_BYTES_MAX), text: std::mem::take(out) };
    let decoded = decode(schema, bytes, &mut json);
    *out = json.text;
    out.truncate(if decoded.is_ok() { json.at - 1 } else { before });
    decoded
}

/// A single value as JSON.
pub(super) fn value_json(value: Value<'_>) -> Vec<u8> {
    let mut json = Json { at: 0, entries_end: JSON_BYTES_MAX, text: Vec::new() };
    json.value(value);
    json.text.truncate(json.at - 1);
    json.text
}

struct Json {
    /// JSON up to `at`, and room.
    text: Vec<u8>,
    at: usize,
    /// No entry begins beyond.
    entries_end: usize,
}

/// Room that is made at once, beyond what is asked for.
const MORE_BYTES: usize = 1024;

impl Visitor for Json {
    const EXACT: bool = true;

    fn message(&mut self, message: &Message, _header: &Header) {
        self.put(b"{\"_t\":");
        self.name(&message.meta.name, b",");
    }

    fn message_end(&mut self) {
        self.close(b'}');
    }

    #[inline(always)]
    fn value(&mut self, field: &Field, value: Value<'_>) {
        match self.key(&field.meta.name).put(b":").value(value) {
            Ok(pen) => self.at += pen.at,
            Err(key_bytes) => {
                self.at += key_bytes;
                self.long(value);
            }
        }
    }

    fn composite(&mut self, field: &Field, _composite: &Composite) {
        self.name(&field.meta.name, b":{");
    }

    fn composite_end(&mut self) {
        self.close(b'}');
    }

    #[inline]
    fn group(&mut self, group: &Group, count: Option<u32>) {
        match count {
            Some(_) => self.name(&group.meta.name, b":["),
            None => self.name(&group.meta.name, b":null,"),
        }
    }

    #[inline]
    fn entry(&mut self) -> Result<(), DecodeError> {
        if self.at > self.entries_end {
            return Err(DecodeError::JsonLength { limit: JSON_BYTES_MAX });
        }
        self.put(b"{");
        Ok(())
    }

    #[inline]
    fn entry_end(&mut self) {
        self.close(b'}');
    }

    #[inline]
    fn group_end(&mut self) {
        self.close(b']');
    }

    fn head(&mut self, name: Option<&str>) {
        self.raw(if name.is_some() { b"\"_header_" } else { b"\"_header" });
        self.raw(name.unwrap_or("").as_bytes());
        self.put(b"\":{");
    }

    fn head_end(&mut self) {
        self.close(b'}');
    }

    fn unsaid(&mut self, offset: u32, bytes: &[u8]) {
        self.at += self.pen().put(b"\"_").unsigned(offset.into()).put(b"\":").at;
        self.base64(bytes);
    }

    #[inline]
    fn data(&mut self, data: &Data, bytes: Option<&[u8]>) {
        self.name(&data.meta.name, b":");
        match (bytes, &data.charset) {
            (None, _) => self.put(b"null,"),
            (Some(bytes), None) => self.base64(bytes),
            (Some(bytes), Some(charset)) => self.text(Text { bytes, charset, padded: false }),
        }
    }
}

impl Json {
    #[inline(always)]
    fn pen(&mut self) -> Pen<'_> {
        let room = match self.text.len().checked_sub(self.at) {
            Some(ROOM_BYTES..) => self.text[self.at..].first_chunk_mut().expect("there is room"),
            _ => self.more_room(),
        };
        Pen { room, at: 0 }
    }

    #[cold]
    #[inline(never)]
    fn more_room(&mut self) -> &mut [u8; ROOM_BYTES] {
        self.room(ROOM_BYTES).first_chunk_mut().expect("it was asked for")
    }

    /// So many bytes behind the text.
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        if self.text.len() - self.at < bytes {
            self.text.resize(self.at + bytes + MORE_BYTES, 0);
        }
        &mut self.text[self.at..][..bytes]
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.at += self.pen().put(bytes).at;
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
        self.at += bytes.len();
    }

    #[inline(always)]
    fn close(&mut self, end: u8) {
        if self.text[self.at - 1] == b',' {
            self.at -= 1;
        }
        self.put(&[end, b',']);
    }

    /// A name, and a pen behind it.
    #[inline(always)]
    fn key(&mut self, name: &Name) -> Pen<'_> {
        match name.quoted() {
            Some(name) => self.pen().start_of(name),
            None => {
                self.long_name(name);
                self.pen()
            }
        }
    }

    #[inline(always)]
    fn name<const N: usize>(&mut self, name: &Name, end: &[u8; N]) {
        self.at += self.key(name).put(end).at;
    }

    #[cold]
    #[inline(never)]
    fn long_name(&mut self, name: &Name) {
        self.put(b"\"");
        self.raw(name.as_bytes());
        self.put(b"\"");
    }

    fn value(&mut self, value: Value<'_>) {
        match self.pen().value(value) {
            Ok(pen) => self.at += pen.at,
            Err(_) => self.long(value),
        }
    }

    /// A value of any length.
    #[inline(always)]
    fn long(&mut self, value: Value<'_>) {
        match value {
            Value::Text(text) => self.text(text),
            Value::Bytes(bytes) => self.base64(bytes),
            Value::Array(array) => self.array(array),
            Value::Set(set, bits) => self.set(set, bits),
            Value::Enum(_, _, Some(known)) => self.name(&known.meta.name, b","),
            Value::Enum(symbols, number, None) => self.unknown(symbols, number),
            _ => unreachable!("a pen has written it"),
        }
    }

    #[inline(never)]
    fn unknown(&mut self, symbols: &Enum, number: Number) {
        self.put(b"{\"_unknown\":");
        self.value(Value::number(symbols.primitive, number));
        self.close(b'}');
    }

    #[inline(never)]
    fn array(&mut self, array: Array<'_>) {
        self.put(b"[");
        array.iter().for_each(|element| self.value(element));
        self.close(b']');
    }

    #[inline(never)]
    fn set(&mut self, set: &Set, bits: u64) {
        let mut unknown = bits;
        self.put(b"[");
        for choice in set.choices.iter().filter(|choice| bits >> choice.bit & 1 == 1) {
            unknown &= !(1 << choice.bit);
            self.name(&choice.meta.name, b",");
        }
        while unknown != 0 {
            let bit = unknown.trailing_zeros();
            unknown &= unknown - 1;
            self.at += self.pen().put(b"{\"_unknown\":").unsigned(bit.into()).put(b"},").at;
        }
        self.close(b']');
    }

    #[inline(never)]
    fn text(&mut self, text: Text<'_>) {
        let valid = match (text.unpadded(), text.charset) {
            (Some(bytes), Charset::Utf8 | Charset::Latin1) if self.plain(bytes) => return,
            (Some(bytes), Charset::Utf8) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            (Some(bytes), Charset::Latin1) => Some(bytes.iter().copied().map(char::from).collect()),
            (_, Charset::Other(_)) | (None, _) => None,
        };
        match valid {
            Some(valid) => self.string(&valid),
            None => {
                self.raw(b"{\"_enc\":\"b64\",\"_data\":");
                self.base64(text.bytes);
                self.close(b'}');
            }
        }
    }

    /// Text that is ASCII and has nothing to escape; else nothing is written.
    #[inline(always)]
    fn plain(&mut self, bytes: &[u8]) -> bool {
        let length = bytes.len();
        let room = self.room(length + 11);
        room[0] = b'"';
        let plain = match bytes.last_chunk() {
            None => {
                let word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
                room[1..9].copy_from_slice(&word.to_le_bytes());
                is_plain(word | SPACES << (8 * length))
            }
            Some(last) => {
                let words = room[1..].chunks_exact_mut(8).zip(bytes.as_chunks().0);
                let mut plain = is_plain(u64::from_le_bytes(*last));
                words.for_each(|(to, word)| {
                    to.copy_from_slice(word);
                    plain &= is_plain(u64::from_le_bytes(*word));
                });
                room[length - 7..length + 1].copy_from_slice(last);
                plain
            }
        };
        if plain {
            room[length + 1..length + 3].copy_from_slice(b"\",");
            self.at += length + 3;
        }
        plain
    }

    fn string(&mut self, text: &str) {
        self.put(b"\"");
        let mut from = 0;
        let special = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\' | 0x7f);
        while let Some(at) = text.as_bytes()[from..].iter().position(special) {
            self.raw(&text.as_bytes()[from..from + at]);
            let byte = text.as_bytes()[from + at];
            let hex = |digit: u8| b"0123456789abcdef"[usize::from(digit)];
            match byte {
                b'"' | b'\\' => self.put(&[b'\\', byte]),
                _ => self.put(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]),
            }
            from += at + 1;
        }
        self.raw(&text.as_bytes()[from..]);
        self.put(b"\",");
    }

    /// RFC 4648, section 4, padded.
    #[inline(never)]
    fn base64(&mut self, bytes: &[u8]) {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        self.put(b"\"");
        for chunk in bytes.chunks(3) {
            let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            let mut quad = [18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift & 63) as usize]);
            quad[chunk.len() + 1..].fill(b'=');
            self.put(&quad);
        }
        self.put(b"\",");
    }
}

const SPACES: u64 = u64::from_le_bytes([b' '; 8]);

/// Are these eight bytes all ASCII, and none of them a control character, a quote or a backslash? The highest bit of a byte
/// tells of it, or of one before it.
fn is_plain(word: u64) -> bool {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let control = word.wrapping_sub(32 * ONES) | word.wrapping_add(ONES);
    let quote = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (word | control | quote | backslash) & (128 * ONES) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitive::TimeUnit;
    use crate::value::{Decimal, Timestamp};

    fn written(value: Value<'_>) -> String {
        String::from_utf8(value_json(value)).expect("JSON is UTF-8")
    }

    #[test]
    fn timestamps_that_no_calendar_has_are_their_count() {
        let time = |count: i128, unit| written(Value::Timestamp(Timestamp { count, unit }));
        assert_eq!(time(u64::MAX.into(), TimeUnit::Nanosecond), r#""2554-07-21T23:34:33.709551615Z""#);
        assert_eq!(time(i64::MIN.into(), TimeUnit::Nanosecond), r#""1677-09-21T00:12:43.145224192Z""#);
        assert_eq!(time(u64::MAX.into(), TimeUnit::Second), r#""18446744073709551615""#);
        assert_eq!(time(i64::MIN.into(), TimeUnit::Second), r#""-9223372036854775808""#);
        assert_eq!(time(253_402_300_800, TimeUnit::Second), r#""253402300800""#);
    }

    #[test]
    fn decimals_keep_their_scale() {
        let decimal = |mantissa: i128, exponent| written(Value::Decimal(Decimal { mantissa, exponent }));
        assert_eq!(decimal(1_234_500, -4), r#""123.4500""#);
        assert_eq!(decimal(-5, -4), r#""-0.0005""#);
        assert_eq!(decimal(0, -2), r#""0.00""#);
        assert_eq!(decimal(7, 0), r#""7""#);
        assert_eq!(decimal(-7, 3), r#""-7e3""#);
        assert_eq!(decimal(i64::MIN.into(), -19), r#""-0.9223372036854775808""#);
        assert_eq!(decimal(u64::MAX.into(), -20), r#""0.18446744073709551615""#);
    }
}
