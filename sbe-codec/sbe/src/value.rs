//! A value as the decoder hands it over: borrowed from the message and the schema.

use crate::ir::{Enum, Set, ValidValue};
use crate::primitive::{ByteOrder, Charset, Number, Primitive, TimeUnit};

/// The value of a field, or of a member of a composite.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// None: the null value, or a field that the writer's version did not have.
    Null,
    /// int8 to int32.
    Int32(i32),
    /// int64
    Int64(i64),
    /// uint8 to uint32.
    UInt32(u32),
    /// uint64
    UInt64(u64),
    /// float
    Float(f32),
    /// double
    Double(f64),
    /// char, an array of char, or bytes with a character set.
    Text(Text<'a>),
    /// An array of uint8 without a character set.
    Bytes(&'a [u8]),
    /// Any other array.
    Array(Array<'a>),
    /// A value of an enum, and its name if the schema knows it.
    Enum(&'a Enum, Number, Option<&'a ValidValue>),
    /// The bits of a set.
    Set(&'a Set, u64),
    /// mantissa × 10^exponent
    Decimal(Decimal),
    /// A time, UTC.
    Timestamp(Timestamp),
}

/// A text: its bytes as they stand on the wire or in the schema.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// All of them; those of fixed length with what pads them.
    pub bytes: &'a [u8],
    /// Their character set.
    pub charset: &'a Charset,
    /// Is it padded with NUL to a fixed length?
    pub padded: bool,
}

impl<'a> Text<'a> {
    /// The bytes before the padding; nothing if anything but NUL follows the first NUL, which is then no padding.
    pub fn unpadded(&self) -> Option<&'a [u8]> {
        let end = self.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        match self.padded {
            true => Some(&self.bytes[..end]).filter(|text| !text.contains(&0)),
            false => Some(self.bytes),
        }
    }
}

/// An array of numbers.
#[derive(Clone, Copy, Debug)]
pub struct Array<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) primitive: Primitive,
    pub(crate) order: ByteOrder,
    pub(crate) null: Option<Number>,
}

impl<'a> Array<'a> {
    /// The elements: numbers, or [`Value::Null`] where the array is optional.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Value<'a>> + use<'a> {
        let Array { bytes, primitive, order, null } = *self;
        bytes.chunks_exact(primitive.size_bytes() as usize).map(move |element| {
            let number = primitive.read(order, element);
            number.filter(|number| Some(*number) != null).map_or(Value::Null, |number| Value::number(primitive, number))
        })
    }
}

/// A decimal number, with its scale: 1.50 is not 1.5.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decimal {
    /// Any of int64 and uint64.
    pub mantissa: i128,
    /// From -128 to 127.
    pub exponent: i8,
}

/// A point in time since 1970, UTC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timestamp {
    /// Any of int64 and uint64.
    pub count: i128,
    /// What is counted.
    pub unit: TimeUnit,
}

impl Value<'_> {
    /// The number as a value of its width.
    #[inline]
    pub(crate) fn number(primitive: Primitive, number: Number) -> Self {
        match number {
            Number::Int(number) if primitive == Primitive::Int64 => Value::Int64(number),
            Number::UInt(number) if primitive == Primitive::UInt64 => Value::UInt64(number),
            // The number was read in 32 bits or fewer.
            Number::Int(number) => Value::Int32(number as i32),
            Number::UInt(number) => Value::UInt32(number as u32),
            Number::Float(number) => Value::Float(number),
            Number::Double(number) => Value::Double(number),
        }
    }
}
