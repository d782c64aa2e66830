//! Values of fields.

use core::fmt::{Debug, Formatter};

use crate::error::Error;

/// The value, unless it is the null value. Any NaN is null where NaN is.
#[inline(always)]
pub fn optional<T: PartialEq + Copy>(value: T, null: T) -> Option<T> {
    #[expect(clippy::eq_op, reason = "only NaN differs from itself, and integers have no is_nan")]
    let both_nan = value != value && null != null;
    if value == null || both_nan { None } else { Some(value) }
}

/// The text, unless every byte is the null value.
#[inline]
pub fn text<const N: usize>(bytes: &[u8; N], null: u8) -> Option<&[u8; N]> {
    if bytes.iter().all(|byte| *byte == null) { None } else { Some(bytes) }
}

/// The numbers of an array: `from` makes one of its bytes.
#[inline(always)]
pub fn array<T, const N: usize, const SIZE: usize, const LENGTH: usize>(
    bytes: &[u8; LENGTH],
    from: fn([u8; SIZE]) -> T,
) -> [T; N] {
    const { assert!(N * SIZE == LENGTH) }
    core::array::from_fn(|at| from(*bytes[at * SIZE..].first_chunk().expect("asserted above")))
}

/// The bytes of an array of numbers: `to` makes those of one.
#[inline(always)]
pub fn flat<T: Copy, const N: usize, const SIZE: usize, const LENGTH: usize>(
    values: [T; N],
    to: fn(T) -> [u8; SIZE],
) -> [u8; LENGTH] {
    const { assert!(N * SIZE == LENGTH) }
    let mut bytes = [0; LENGTH];
    bytes.chunks_exact_mut(SIZE).zip(values).for_each(|(place, value)| place.copy_from_slice(&to(value)));
    bytes
}

/// A text of fixed length, padded with NUL; nothing if it is too long.
///
/// # Examples
/// ```
/// assert_eq!(oyez_sbe_runtime::padded(b"EUR"), Some(*b"EUR\0"));
/// assert_eq!(oyez_sbe_runtime::padded::<2>(b"EUR"), None);
/// ```
#[inline]
pub fn padded<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    bytes.get_mut(..text.len())?.copy_from_slice(text);
    Some(bytes)
}

/// The bytes of a text of fixed length before the first NUL.
#[inline]
pub fn unpadded(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    &bytes[..end]
}

/// A member of a message header as 16 bits, which it never exceeds in a sound message.
///
/// # Errors
/// If it does.
#[inline(always)]
pub fn narrow(value: u64, member: &'static str) -> Result<u16, Error> {
    u16::try_from(value).map_err(|_| Error::HeaderValue { member, value })
}

/// A count of entries or bytes as the number that stands for it on the wire.
///
/// # Errors
/// If it is too great for that.
#[inline(always)]
pub fn count<T: TryFrom<usize>>(count: usize, what: &'static str) -> Result<T, Error> {
    T::try_from(count).map_err(|_| Error::TooMany { what, count })
}

/// Prints a value of an enum: `Side::Buy`, or `Side(7)` where the schema has no name for it.
pub fn name(out: &mut Formatter<'_>, kind: &str, name: Option<&str>, number: &dyn Debug) -> core::fmt::Result {
    match name {
        Some(name) => write!(out, "{kind}::{name}"),
        None => write!(out, "{kind}({number:?})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_values_are_none_and_any_nan_is_null_where_nan_is() {
        assert_eq!((optional(7_u8, 255), optional(255_u8, 255)), (Some(7), None));
        assert_eq!((optional(-f32::NAN, f32::NAN), optional(1.5, f32::NAN)), (None, Some(1.5)));
        assert!(optional(f64::NAN, 0.0).is_some_and(f64::is_nan));
        assert_eq!(optional(0.0, 0.0), None);
        assert_eq!((text(b"\0\0", 0), text(b"\0a", 0)), (None, Some(b"\0a")));
    }

    #[test]
    fn arrays_are_their_numbers_one_by_one() {
        let bytes = [1, 2, 3, 4];
        let numbers: [u16; 2] = array(&bytes, u16::from_be_bytes);
        assert_eq!(numbers, [0x0102, 0x0304]);
        assert_eq!(flat::<_, 2, 2, 4>(numbers, u16::to_be_bytes), bytes);
        assert_eq!((unpadded(b"ab\0c"), unpadded(b"ab"), unpadded(b"\0")), (&b"ab"[..], &b"ab"[..], &b""[..]));
    }
}
