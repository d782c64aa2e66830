//! Single values of JSON to bytes on the wire; `write.rs` is the way back.

use super::calendar::day;
use super::error::{EncodeError, Unencodable, shown};
use super::tape::{Item, Kind};
use crate::ir::{Content, Encoding, Enum, Field, Presence, Set};
use crate::primitive::{ByteOrder, Charset, Number, Primitive, TimeUnit};

type Written = Result<(), EncodeError>;

/// The value of a field that is a number, a text or an array.
pub(super) fn encoded(
    order: ByteOrder,
    field: &Field,
    encoding: &Encoding,
    item: Option<Item<'_>>,
    bytes: &mut [u8],
) -> Option<Written> {
    let primitive = encoding.primitive;
    let Some(item) = item else {
        return (field.presence == Presence::Optional && null(order, encoding, bytes)).then_some(Ok(()));
    };
    Some(match &encoding.content {
        Content::Number => match field.time_unit {
            Some(unit) => time(item, unit, primitive),
            None => number(item, primitive),
        }
        .map(|number| put(order, primitive, number, bytes)),
        Content::Text(charset) => text(item, Some(charset)).and_then(|text| fill(item, &text, bytes)),
        Content::Bytes => text(item, None).and_then(|found| match found.len() == bytes.len() {
            true => fill(item, &found, bytes),
            false => Err(item.fault(bad(item, format!("base64 of {} bytes", bytes.len())))),
        }),
        Content::Array => array(order, field, encoding, item, bytes),
    })
}

/// Writes the null value, if there is one.
fn null(order: ByteOrder, encoding: &Encoding, bytes: &mut [u8]) -> bool {
    match (&encoding.content, encoding.null) {
        (Content::Number, null) => put(order, encoding.primitive, null, bytes),
        (Content::Text(_), null) => bytes.fill(null.low_byte()),
        _ => return false,
    }
    true
}

fn array(order: ByteOrder, field: &Field, encoding: &Encoding, item: Item<'_>, bytes: &mut [u8]) -> Written {
    let (primitive, size) = (encoding.primitive, encoding.primitive.size_bytes() as usize);
    if item.kind() != Kind::Array || item.children().count() != encoding.length as usize {
        return Err(item.fault(bad(item, format!("an array of {} {}", encoding.length, primitive.name()))));
    }
    for (element, bytes) in item.children().zip(bytes.chunks_exact_mut(size)) {
        let null = element.kind() == Kind::Null && field.presence == Presence::Optional;
        let number = if null { encoding.null } else { number(element, primitive)? };
        put(order, primitive, number, bytes);
    }
    Ok(())
}

/// The number of an enum's name.
pub(super) fn symbol(symbols: &Enum, item: Item<'_>) -> Result<Number, EncodeError> {
    if let Some(unknown) = sole(item, "_unknown") {
        return number(unknown, symbols.primitive);
    }
    let found = symbols.values.iter().find(|value| item.kind() == Kind::String && value.meta.name == item.text());
    found.map(|value| value.number).ok_or_else(|| item.fault(bad(item, format!("enum {}", symbols.meta.name))))
}

/// The bits of a set's names.
pub(super) fn bits(set: &Set, item: Item<'_>) -> Result<u64, EncodeError> {
    let expected = || format!("set {}, an array of names", set.meta.name);
    if item.kind() != Kind::Array {
        return Err(item.fault(bad(item, expected())));
    }
    let mut bits = 0;
    for element in item.children() {
        let named =
            set.choices.iter().find(|choice| element.kind() == Kind::String && choice.meta.name == element.text());
        let unknown = || sole(element, "_unknown")?.text().parse().ok();
        let bit = named.map(|choice| choice.bit).or_else(unknown);
        let bit = bit.filter(|bit| *bit < set.primitive.size_bytes() * 8);
        bits |= 1 << bit.ok_or_else(|| element.fault(bad(element, expected())))?;
    }
    Ok(bits)
}

/// A number, as JSON's or in quotes.
pub(super) fn number(item: Item<'_>, primitive: Primitive) -> Result<Number, EncodeError> {
    let text = match item.kind() {
        Kind::Number => Some(item.text()),
        Kind::String if !primitive.is_float() => Some(item.text()),
        Kind::String => Some(item.text()).filter(|text| matches!(*text, "NaN" | "Infinity" | "-Infinity")),
        _ => None,
    };
    text.and_then(|text| primitive.parse(text)).ok_or_else(|| item.fault(bad(item, primitive.name().to_owned())))
}

/// The integer as a number of this primitive, if it is in its range.
pub(super) fn fitting(primitive: Primitive, integer: i128) -> Option<Number> {
    let unused = u64::BITS - primitive.size_bytes() * 8;
    match primitive.is_unsigned() {
        true => u64::try_from(integer).ok().filter(|number| number << unused >> unused == *number).map(Number::UInt),
        false => i64::try_from(integer).ok().filter(|number| number << unused >> unused == *number).map(Number::Int),
    }
}

/// Mantissa and exponent of a decimal, of which all digits count.
pub(super) fn decimal(item: Item<'_>) -> Option<(i128, i32)> {
    let text = Some(item.text()).filter(|_| matches!(item.kind(), Kind::String | Kind::Number))?;
    let (text, exponent) = match text.split_once(['e', 'E']) {
        Some((text, exponent)) => (text, exponent.parse().ok()?),
        None => (text, 0_i32),
    };
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let mut mantissa = 0_i128;
    for digit in whole.chars().chain(part.chars()) {
        mantissa = mantissa.checked_mul(10)?.checked_add(digit.to_digit(10)?.into())?;
    }
    let mantissa = if negative { -mantissa } else { mantissa };
    (!whole.is_empty()).then_some((mantissa, exponent.checked_sub(i32::try_from(part.len()).ok()?)?))
}

/// The mantissa at another exponent, where that is exact.
pub(super) fn rescaled(mantissa: i128, exponent: i32, target: i32) -> Option<i128> {
    if mantissa == 0 {
        return Some(0);
    }
    let factor = 10_i128.checked_pow(exponent.checked_sub(target)?.unsigned_abs())?;
    match exponent >= target {
        true => mantissa.checked_mul(factor),
        false => (mantissa % factor == 0).then(|| mantissa / factor),
    }
}

/// A time as a number of this primitive.
pub(super) fn time(item: Item<'_>, unit: TimeUnit, primitive: Primitive) -> Result<Number, EncodeError> {
    let fault = || item.fault(bad(item, format!("a time in counts of a {unit:?}, as 2026-01-31T23:59:59Z or a count")));
    if !matches!(item.kind(), Kind::String | Kind::Number) {
        return Err(fault());
    }
    let text = item.text();
    let count = text.parse().ok().or_else(|| count(text.as_bytes(), unit));
    count.and_then(|count| fitting(primitive, count)).ok_or_else(fault)
}

/// The count of a time in RFC 3339, if no digit of its fraction is lost.
fn count(text: &[u8], unit: TimeUnit) -> Option<i128> {
    let (start, fraction) = text.strip_suffix(b"Z")?.split_at_checked(19)?;
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_u32, |number, digit| Some(number * 10 + char::from(*digit).to_digit(10)?))
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    let part = |range: std::ops::Range<usize>, limit: u32| number(&start[range]).filter(|part| *part < limit);
    let day = day(number(&start[..4])?, number(&start[5..7])?, number(&start[8..10])?)?;
    let of_day = part(11..13, 24)? * 3_600 + part(14..16, 60)? * 60 + part(17..19, 60)?;
    let ns = match fraction.split_first() {
        None => 0,
        Some((b'.', digits @ ([_] | [_, ..]))) if digits.len() <= 9 => {
            number(digits)? * 10_u32.pow(9 - digits.len() as u32)
        }
        Some(_) => return None,
    };
    let per_second = i128::from(unit.per_second());
    let ns_per_count = 1_000_000_000 / unit.per_second() as u32;
    let exact = marks.iter().all(|(at, mark)| start[*at] == *mark) && ns % ns_per_count == 0;
    let seconds = i128::from(day) * 86_400 + i128::from(of_day);
    exact.then(|| seconds * per_second + i128::from(ns / ns_per_count))
}

/// The bytes of a text in its character set; of base64 where there is none, or the JSON says so.
pub(super) fn text(item: Item<'_>, charset: Option<&Charset>) -> Result<Vec<u8>, EncodeError> {
    let object = item.members().find(|(key, _)| key.text() == "_data");
    let encoded = item.members().any(|(key, value)| key.text() == "_enc" && value.text() == "b64");
    let (value, charset) = match object {
        Some((_, data)) if encoded && item.members().count() == 2 => (data, None),
        _ => (item, charset),
    };
    let expected = |what: &str| item.fault(bad(item, what.to_owned()));
    if value.kind() != Kind::String {
        return Err(expected("text"));
    }
    match charset {
        None => base64(value.text()).ok_or_else(|| expected("base64, with its padding")),
        Some(Charset::Utf8) => Ok(utf8(value)),
        Some(Charset::Latin1) => {
            let bytes: Result<Vec<u8>, _> = value.characters().map(u8::try_from).collect();
            bytes.map_err(|_| expected("ISO-8859-1"))
        }
        Some(Charset::Other(name)) => {
            Err(expected(&format!("{name}, which is written {{\"_enc\":\"b64\",\"_data\":...}}")))
        }
    }
}

fn utf8(item: Item<'_>) -> Vec<u8> {
    match item.text().contains('\\') {
        true => item.characters().collect::<String>().into_bytes(),
        false => item.text().as_bytes().to_vec(),
    }
}

/// RFC 4648, section 4, padded, without stray bits, so that bytes are written in one way only.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let sextet = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits = text.strip_suffix("==").or(text.strip_suffix('=')).unwrap_or(text);
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for quad in digits.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for digit in quad {
            bits = bits << 6 | u32::from(sextet(*digit)?);
        }
        let (whole, unused) = (quad.len() * 6 / 8, quad.len() * 6 % 8);
        if bits & ((1 << unused) - 1) != 0 {
            return None;
        }
        bits >>= unused;
        bytes.extend_from_slice(&bits.to_be_bytes()[4 - whole..]);
    }
    Some(bytes)
}

/// Copies a text into its field, whose rest stays NUL.
fn fill(item: Item<'_>, text: &[u8], bytes: &mut [u8]) -> Written {
    let room = bytes.len();
    match bytes.get_mut(..text.len()) {
        Some(place) => {
            place.copy_from_slice(text);
            Ok(())
        }
        None => Err(item.fault(Unencodable::Length { found: shown(item.text()), bytes: text.len(), room })),
    }
}

/// Writes a number that was read for this primitive.
pub(super) fn put(order: ByteOrder, primitive: Primitive, number: Number, bytes: &mut [u8]) {
    let written = primitive.write(order, number, bytes);
    debug_assert!(written.is_some(), "{number:?} is no {primitive:?}");
}

/// The value of an object that has but this key.
fn sole<'t>(item: Item<'t>, name: &str) -> Option<Item<'t>> {
    let mut members = item.members();
    let (key, value) = members.next()?;
    (key.text() == name && members.next().is_none()).then_some(value)
}

pub(super) fn bad(item: Item<'_>, expected: String) -> Unencodable {
    let found = match item.kind() {
        Kind::Null => "null".to_owned(),
        Kind::Array => "an array".to_owned(),
        Kind::Object => "an object".to_owned(),
        Kind::Boolean | Kind::Number | Kind::String => shown(item.text()),
    };
    Unencodable::Value { found, expected }
}
