//! The eleven primitive types of SBE (FIX SBE 1.0, Field Encoding) and the numbers they hold.

use rkyv::{Archive, Deserialize, Serialize};

/// The order of bytes in every number of a schema's messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Archive, Serialize, Deserialize)]
pub enum ByteOrder {
    /// Least significant byte first; what a schema means that says nothing.
    #[default]
    Little,
    /// Most significant byte first.
    Big,
}

/// A primitive type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum Primitive {
    Char,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float,
    Double,
}

/// A number as it stood on the wire or in a schema, widened to the widest of its kind.
///
/// Numbers of one kind are equal if their values are, and any NaN equals any other: NaN is the null of floats.
#[derive(Clone, Copy, Debug, Archive, Serialize, Deserialize)]
pub enum Number {
    /// From int8 to int64.
    Int(i64),
    /// From uint8 to uint64, and char.
    UInt(u64),
    /// float
    Float(f32),
    /// double
    Double(f64),
}

impl Primitive {
    /// Every primitive, in the order of the standard.
    pub const ALL: [Primitive; 11] = {
        use Primitive::*;
        [Char, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Float, Double]
    };

    /// The primitive of this name in a schema.
    pub fn named(name: &str) -> Option<Primitive> {
        Self::ALL.into_iter().find(|primitive| primitive.name() == name)
    }

    /// Its name in a schema.
    pub const fn name(self) -> &'static str {
        match self {
            Primitive::Char => "char",
            Primitive::Int8 => "int8",
            Primitive::Int16 => "int16",
            Primitive::Int32 => "int32",
            Primitive::Int64 => "int64",
            Primitive::UInt8 => "uint8",
            Primitive::UInt16 => "uint16",
            Primitive::UInt32 => "uint32",
            Primitive::UInt64 => "uint64",
            Primitive::Float => "float",
            Primitive::Double => "double",
        }
    }

    /// Bytes on the wire.
    pub const fn size_bytes(self) -> u32 {
        match self {
            Primitive::Char | Primitive::Int8 | Primitive::UInt8 => 1,
            Primitive::Int16 | Primitive::UInt16 => 2,
            Primitive::Int32 | Primitive::UInt32 | Primitive::Float => 4,
            Primitive::Int64 | Primitive::UInt64 | Primitive::Double => 8,
        }
    }

    /// Is it uint8, uint16, uint32 or uint64?
    pub const fn is_unsigned(self) -> bool {
        matches!(self, Primitive::UInt8 | Primitive::UInt16 | Primitive::UInt32 | Primitive::UInt64)
    }

    /// Is it an integer, signed or not? (char is not.)
    pub const fn is_integer(self) -> bool {
        self.is_unsigned() || matches!(self, Primitive::Int8 | Primitive::Int16 | Primitive::Int32 | Primitive::Int64)
    }

    /// Is it float or double?
    pub const fn is_float(self) -> bool {
        matches!(self, Primitive::Float | Primitive::Double)
    }

    /// The null value where a schema states none (FIX SBE 1.0, Field Encoding).
    pub const fn null(self) -> Number {
        match self {
            Primitive::Char => Number::UInt(0),
            Primitive::Int8 => Number::Int(i8::MIN as i64),
            Primitive::Int16 => Number::Int(i16::MIN as i64),
            Primitive::Int32 => Number::Int(i32::MIN as i64),
            Primitive::Int64 => Number::Int(i64::MIN),
            Primitive::UInt8 => Number::UInt(u8::MAX as u64),
            Primitive::UInt16 => Number::UInt(u16::MAX as u64),
            Primitive::UInt32 => Number::UInt(u32::MAX as u64),
            Primitive::UInt64 => Number::UInt(u64::MAX),
            Primitive::Float => Number::Float(f32::NAN),
            Primitive::Double => Number::Double(f64::NAN),
        }
    }

    /// Reads the number at the start of `bytes`; nothing if there are too few.
    #[inline]
    pub fn read(self, order: ByteOrder, bytes: &[u8]) -> Option<Number> {
        macro_rules! number {
            ($kind:ident, $wide:ty, $narrow:ty) => {{
                let bytes = *bytes.first_chunk()?;
                let number = match order {
                    ByteOrder::Little => <$narrow>::from_le_bytes(bytes),
                    ByteOrder::Big => <$narrow>::from_be_bytes(bytes),
                };
                Number::$kind(<$wide>::from(number))
            }};
        }
        Some(match self {
            Primitive::Char | Primitive::UInt8 => Number::UInt(u64::from(*bytes.first()?)),
            Primitive::Int8 => number!(Int, i64, i8),
            Primitive::Int16 => number!(Int, i64, i16),
            Primitive::Int32 => number!(Int, i64, i32),
            Primitive::Int64 => number!(Int, i64, i64),
            Primitive::UInt16 => number!(UInt, u64, u16),
            Primitive::UInt32 => number!(UInt, u64, u32),
            Primitive::UInt64 => number!(UInt, u64, u64),
            Primitive::Float => number!(Float, f32, f32),
            Primitive::Double => number!(Double, f64, f64),
        })
    }

    /// Writes the number at the start of `bytes`; nothing if it is of another kind, or there are too few bytes.
    ///
    /// The number must be in this primitive's range, as one that was read or parsed by it is.
    pub(crate) fn write(self, order: ByteOrder, number: Number, bytes: &mut [u8]) -> Option<()> {
        // The low bytes of the widest integer are those of every narrower one.
        let bits = match (self, number) {
            (Primitive::Float, Number::Float(number)) => u64::from(number.to_bits()),
            (Primitive::Double, Number::Double(number)) => number.to_bits(),
            (Primitive::Float | Primitive::Double, _) | (_, Number::Float(_) | Number::Double(_)) => return None,
            (_, Number::Int(number)) => number as u64,
            (_, Number::UInt(number)) => number,
        };
        let size = self.size_bytes() as usize;
        let bytes = bytes.get_mut(..size)?;
        match order {
            ByteOrder::Little => bytes.copy_from_slice(&bits.to_le_bytes()[..size]),
            ByteOrder::Big => bytes.copy_from_slice(&bits.to_be_bytes()[8 - size..]),
        }
        Some(())
    }

    /// Reads a number written in a schema; nothing if it is none of this type, or out of its range.
    pub fn parse(self, text: &str) -> Option<Number> {
        fn int<T: std::str::FromStr + Into<i64>>(text: &str) -> Option<Number> {
            text.parse::<T>().ok().map(|number| Number::Int(number.into()))
        }
        fn uint<T: std::str::FromStr + Into<u64>>(text: &str) -> Option<Number> {
            text.parse::<T>().ok().map(|number| Number::UInt(number.into()))
        }
        // A decimal beyond the type's range reads as infinity, which only the words for it may mean.
        let overflows = |infinite: bool| infinite && !text.to_ascii_lowercase().contains("inf");
        match self {
            Primitive::Char => uint::<u8>(text),
            Primitive::Int8 => int::<i8>(text),
            Primitive::Int16 => int::<i16>(text),
            Primitive::Int32 => int::<i32>(text),
            Primitive::Int64 => int::<i64>(text),
            Primitive::UInt8 => uint::<u8>(text),
            Primitive::UInt16 => uint::<u16>(text),
            Primitive::UInt32 => uint::<u32>(text),
            Primitive::UInt64 => uint::<u64>(text),
            Primitive::Float => text.parse().ok().filter(|n: &f32| !overflows(n.is_infinite())).map(Number::Float),
            Primitive::Double => text.parse().ok().filter(|n: &f64| !overflows(n.is_infinite())).map(Number::Double),
        }
    }
}

impl PartialEq for Number {
    #[inline(always)]
    fn eq(&self, other: &Number) -> bool {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => a == b,
            (Number::UInt(a), Number::UInt(b)) => a == b,
            (Number::Float(a), Number::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
            (Number::Double(a), Number::Double(b)) => a == b || (a.is_nan() && b.is_nan()),
            _ => false,
        }
    }
}

impl Eq for Number {}

impl Number {
    /// Of an integer the least significant byte, which for a single byte is how it stands on the wire.
    pub(crate) fn low_byte(self) -> u8 {
        self.integer().map_or(0, |integer| integer as u8)
    }

    /// The integer it is; nothing for float and double.
    #[inline]
    pub fn integer(self) -> Option<i128> {
        match self {
            Number::Int(number) => Some(number.into()),
            Number::UInt(number) => Some(number.into()),
            Number::Float(_) | Number::Double(_) => None,
        }
    }
}

/// How the bytes of a text are characters.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub enum Charset {
    /// UTF-8; also ASCII and texts whose schema says nothing, which are the same where they are valid.
    Utf8,
    /// ISO-8859-1: every byte is a character.
    Latin1,
    /// Another, by the schema's name for it; such texts are handed on as bytes.
    Other(String),
}

impl Charset {
    /// The character set of a `characterEncoding` attribute.
    pub fn named(name: &str) -> Charset {
        match name.to_ascii_uppercase().as_str() {
            "" | "ASCII" | "US-ASCII" | "UTF-8" | "UTF8" => Charset::Utf8,
            "ISO-8859-1" | "ISO8859_1" | "LATIN1" => Charset::Latin1,
            _ => Charset::Other(name.to_owned()),
        }
    }
}

/// What one count of a timestamp is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum TimeUnit {
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
}

impl TimeUnit {
    /// The unit of a `timeUnit` attribute.
    pub fn named(name: &str) -> Option<TimeUnit> {
        Some(match name {
            "second" => TimeUnit::Second,
            "millisecond" => TimeUnit::Millisecond,
            "microsecond" => TimeUnit::Microsecond,
            "nanosecond" => TimeUnit::Nanosecond,
            _ => return None,
        })
    }

    /// The unit of which there are 10^`power` in a second, as in the `unit` of a timestamp composite.
    pub fn of_power(power: i128) -> Option<TimeUnit> {
        Some(match power {
            0 => TimeUnit::Second,
            3 => TimeUnit::Millisecond,
            6 => TimeUnit::Microsecond,
            9 => TimeUnit::Nanosecond,
            _ => return None,
        })
    }

    /// How many there are in a second.
    pub const fn per_second(self) -> i64 {
        match self {
            TimeUnit::Second => 1,
            TimeUnit::Millisecond => 1_000,
            TimeUnit::Microsecond => 1_000_000,
            TimeUnit::Nanosecond => 1_000_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_both_orders() {
        let bytes = [0xFE, 0xFF, 0, 0, 0, 0, 0, 0];
        assert_eq!(Primitive::Int16.read(ByteOrder::Little, &bytes), Some(Number::Int(-2)));
        assert_eq!(Primitive::Int16.read(ByteOrder::Big, &bytes), Some(Number::Int(-257)));
        assert_eq!(Primitive::UInt64.read(ByteOrder::Little, &bytes), Some(Number::UInt(0xFFFE)));
        assert_eq!(Primitive::UInt64.read(ByteOrder::Big, &bytes[..7]), None);
    }

    #[test]
    fn what_was_read_is_written_the_same() {
        for (primitive, order) in Primitive::ALL.into_iter().flat_map(|p| [(p, ByteOrder::Little), (p, ByteOrder::Big)])
        {
            let bytes = [0x81, 0x42, 0x63, 0x84, 0xA5, 0x96, 0x77, 0x18];
            let mut written = [0; 8];
            let number = primitive.read(order, &bytes).expect("eight bytes are enough");
            let size = primitive.size_bytes() as usize;
            assert_eq!(primitive.write(order, number, &mut written), Some(()));
            assert_eq!(written[..size], bytes[..size], "{primitive:?}");
            assert_eq!(primitive.write(order, number, &mut written[..size - 1]), None);
        }
        assert_eq!(Primitive::Float.write(ByteOrder::Little, Number::Int(1), &mut [0; 8]), None);
    }

    #[test]
    fn numbers_out_of_range_are_none() {
        assert_eq!(Primitive::Int8.parse("-128"), Some(Number::Int(-128)));
        assert_eq!(Primitive::Int8.parse("128"), None);
        assert_eq!(Primitive::UInt64.parse("18446744073709551615"), Some(Number::UInt(u64::MAX)));
        assert_eq!(Primitive::Float.parse("3.4028235e+39"), None);
        assert_eq!(Primitive::Float.parse("inf"), Some(Number::Float(f32::INFINITY)));
        assert_eq!(Primitive::Double.parse(" 1"), None);
    }

    #[test]
    fn a_primitive_is_found_by_its_own_name() {
        for primitive in Primitive::ALL {
            assert_eq!(Primitive::named(primitive.name()), Some(primitive));
            let zeros = [0; 8];
            assert!(primitive.read(ByteOrder::Little, &zeros[..primitive.size_bytes() as usize]).is_some());
            assert!(primitive.read(ByteOrder::Little, &zeros[..primitive.size_bytes() as usize - 1]).is_none());
        }
    }
}
