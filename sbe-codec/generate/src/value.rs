//! What a field is in Rust, and how it becomes bytes and comes from them.

use oyez_sbe::{ByteOrder, Constant, Content, Field, Number, Presence, Primitive, Schema, Type};

use crate::source::Source;
use crate::types::Types;

/// A field that is on the wire, as Rust has it.
pub(crate) struct Value<'s> {
    kind: Kind<'s>,
    size_bytes: u32,
    order: &'static str,
    /// The null value, where the type has one.
    null: Option<String>,
    /// May the writer send the null value?
    optional: bool,
}

enum Kind<'s> {
    Scalar(Primitive),
    /// Bytes or text of fixed length.
    Bytes,
    Array(Primitive, u32),
    /// An enum or a set: a number with a type of its own.
    Named(&'s str, Primitive),
    Composite(&'s str),
}

/// Whose field it is, which decides how texts are held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A composite is a value of its own.
    Composite,
    /// Fields of a message or an entry borrow.
    Block,
}

impl<'s> Value<'s> {
    pub(crate) fn of(schema: &'s Schema, types: &'s Types, field: &Field) -> Value<'s> {
        let order = match schema.byte_order {
            ByteOrder::Little => "le",
            ByteOrder::Big => "be",
        };
        let name = types.name(field.type_id);
        let (kind, null) = match schema.type_of(field.type_id) {
            Type::Encoding(encoding) => {
                let null = Some(literal(encoding.null));
                match encoding.content {
                    Content::Number => (Kind::Scalar(encoding.primitive), null),
                    // A single character is a number; Rust's u8 whatever the schema calls it.
                    Content::Text(_) if encoding.length == 1 => (Kind::Scalar(Primitive::UInt8), byte(encoding.null)),
                    Content::Text(_) => (Kind::Bytes, byte(encoding.null)),
                    Content::Bytes => (Kind::Bytes, None),
                    Content::Array => (Kind::Array(encoding.primitive, encoding.length), None),
                }
            }
            Type::Enum(symbols) => {
                // A null that is the number of a value is that value.
                let null = symbols.value_of(symbols.null).is_none().then(|| literal(symbols.null));
                (Kind::Named(name, symbols.primitive), null)
            }
            Type::Set(set) => (Kind::Named(name, set.primitive), None),
            Type::Composite(_) => (Kind::Composite(name), None),
        };
        let optional = field.presence == Presence::Optional && null.is_some();
        Value { kind, size_bytes: field.size_bytes, order, null, optional }
    }

    /// Does it borrow its bytes?
    pub(crate) fn borrows(&self) -> bool {
        matches!(self.kind, Kind::Bytes)
    }

    /// Its type; an option if it may be missing for other reasons, too.
    pub(crate) fn rust_type(&self, holder: Holder, missing: bool) -> String {
        let size = self.size_bytes;
        let plain = match self.kind {
            Kind::Scalar(primitive) => rust_name(primitive).to_owned(),
            Kind::Bytes if holder == Holder::Block => format!("&'a [u8; {size}]"),
            Kind::Bytes => format!("[u8; {size}]"),
            Kind::Array(primitive, length) => format!("[{}; {length}]", rust_name(primitive)),
            Kind::Named(name, _) | Kind::Composite(name) => name.to_owned(),
        };
        if missing || self.optional { format!("Option<{plain}>") } else { plain }
    }

    /// The end of a function that has `bytes`, and gives the value.
    pub(crate) fn read(&self, out: &mut Source, holder: Holder, missing: bool) {
        let order = self.order;
        let number = |primitive| format!("{}::from_{order}_bytes(*bytes)", rust_name(primitive));
        let null = self.null.as_ref().filter(|_| self.optional);
        let plain = match (&self.kind, null) {
            (Kind::Scalar(primitive), Some(null)) => {
                out.line(format_args!("let value = {};", number(*primitive)));
                return out.line(format_args!("rt::optional(value, {null})"));
            }
            (Kind::Named(name, primitive), Some(null)) => {
                out.line(format_args!("let value = {};", number(*primitive)));
                out.line(format_args!("let value = rt::optional(value, {null})?;"));
                return out.line(format_args!("Some({name}(value))"));
            }
            (Kind::Bytes, Some(null)) if holder == Holder::Block => {
                return out.line(format_args!("rt::text(bytes, {null})"));
            }
            (Kind::Bytes, Some(null)) => return out.line(format_args!("rt::text(bytes, {null}).copied()")),
            (Kind::Scalar(primitive), None) => number(*primitive),
            (Kind::Named(name, primitive), None) => {
                out.line(format_args!("let value = {};", number(*primitive)));
                format!("{name}(value)")
            }
            (Kind::Bytes, None) if holder == Holder::Block => "bytes".to_owned(),
            (Kind::Bytes, None) => "*bytes".to_owned(),
            (Kind::Array(primitive, _), _) => {
                format!("rt::array(bytes, {}::from_{order}_bytes)", rust_name(*primitive))
            }
            (Kind::Composite(name), _) => {
                out.line(format_args!("let value = {name}::read(bytes, version);"));
                "value".to_owned()
            }
        };
        out.line(if missing { format!("Some({plain})") } else { plain });
    }

    /// Does reading it need the writer's version?
    pub(crate) fn is_versioned(&self) -> bool {
        matches!(self.kind, Kind::Composite(_))
    }

    /// Statements that write `value` at `at` of `out`; `missing` says that it is an option for other reasons.
    pub(crate) fn write(&self, out: &mut Source, holder: Holder, missing: bool, at: u32) {
        let (order, size) = (self.order, self.size_bytes);
        let place = format!("{at}, {size}");
        let option = missing || self.optional;
        match (&self.kind, &self.null) {
            (Kind::Scalar(_), Some(null)) if option => {
                out.line(format_args!("let value = value.unwrap_or({null});"));
            }
            (Kind::Named(..), Some(null)) if option => {
                out.line(format_args!("let value = value.map_or({null}, |value| value.0);"));
                return out.line(format_args!("out.put::<{place}>(value.to_{order}_bytes());"));
            }
            (Kind::Bytes, null) if option => {
                let null = null.as_deref().unwrap_or("0");
                let borrow = if holder == Holder::Block { "&" } else { "" };
                out.line(format_args!("let value = value.unwrap_or({borrow}[{null}; {size}]);"));
            }
            _ if option => {
                out.line(format_args!("out.put::<{place}>([0; {size}]);"));
                out.open("if let Some(value) = value");
                self.write_plain(out, holder, &place);
                return out.close();
            }
            _ => {}
        }
        self.write_plain(out, holder, &place);
    }

    fn write_plain(&self, out: &mut Source, holder: Holder, place: &str) {
        let order = self.order;
        let bytes = match self.kind {
            Kind::Scalar(_) => format!("value.to_{order}_bytes()"),
            Kind::Named(..) => format!("value.0.to_{order}_bytes()"),
            Kind::Bytes if holder == Holder::Block => "*value".to_owned(),
            Kind::Bytes => "value".to_owned(),
            Kind::Array(primitive, _) => format!("rt::flat(value, {}::to_{order}_bytes)", rust_name(primitive)),
            Kind::Composite(_) => return out.line(format_args!("value.write(out.part::<{place}>());")),
        };
        out.line(format_args!("out.put::<{place}>({bytes});"));
    }
}

/// A constant's type and value in Rust.
pub(crate) fn constant(schema: &Schema, types: &Types, field: &Field) -> Option<(String, String)> {
    match (field.constant.as_ref()?, schema.type_of(field.type_id)) {
        (Constant::Text(text), _) => Some(("&str".to_owned(), format!("{text:?}"))),
        (Constant::Symbol(index), Type::Enum(_)) => {
            let name = types.name(field.type_id);
            Some((name.to_owned(), format!("{name}::{}", types.values(field.type_id)[*index as usize])))
        }
        (Constant::Number(number), Type::Encoding(encoding)) => {
            let primitive = encoding.primitive;
            Some((rust_name(primitive).to_owned(), literal(*number)))
        }
        _ => None,
    }
}

pub(crate) fn rust_name(primitive: Primitive) -> &'static str {
    match primitive {
        Primitive::Char | Primitive::UInt8 => "u8",
        Primitive::Int8 => "i8",
        Primitive::Int16 => "i16",
        Primitive::Int32 => "i32",
        Primitive::Int64 => "i64",
        Primitive::UInt16 => "u16",
        Primitive::UInt32 => "u32",
        Primitive::UInt64 => "u64",
        Primitive::Float => "f32",
        Primitive::Double => "f64",
    }
}

pub(crate) fn literal(number: Number) -> String {
    match number {
        Number::Int(number) => number.to_string(),
        Number::UInt(number) => number.to_string(),
        Number::Float(number) => float(number.into(), "f32", format!("{number:?}")),
        Number::Double(number) => float(number, "f64", format!("{number:?}")),
    }
}

fn float(number: f64, kind: &str, shortest: String) -> String {
    match number {
        _ if number.is_nan() => format!("{kind}::NAN"),
        f64::INFINITY => format!("{kind}::INFINITY"),
        f64::NEG_INFINITY => format!("{kind}::NEG_INFINITY"),
        _ => shortest,
    }
}

/// The null value of a text, whose bytes are Rust's u8 also where the schema says int8.
fn byte(null: Number) -> Option<String> {
    match null {
        Number::UInt(byte) => Some(byte.to_string()),
        // As the schema-driven decoder: no byte equals a negative number's Int.
        _ => None,
    }
}
