//! The values of a message in the form of `Reference.java`, as the schema-driven decoder hands them over.

use oyez_sbe::{
    Composite, Constant, Content, Data, DecodeError, Encoding, Field, Group, Header, Message, Number, Presence, Schema,
};
use oyez_sbe::{Type, Value, Visitor, decode};

/// All of them, or why there are none.
pub(super) fn values(schema: &Schema, message: &[u8]) -> Result<String, String> {
    let mut values = Values { schema, version: 0, text: String::new() };
    let length = decode(schema, message, &mut values).map_err(|error| error.to_string())?;
    Ok(format!("length={length}{}", values.text))
}

struct Values<'s> {
    schema: &'s Schema,
    version: u16,
    text: String,
}

impl Values<'_> {
    fn put(&mut self, name: &str, value: &str) {
        self.text += &format!(" {name}={value}");
    }

    /// The two members that the decoder took together.
    fn pair(&mut self, field: &Field, composite: &Composite, first: &str, second: &str) {
        self.put(&field.meta.name, "{");
        for (member, value) in composite.members.iter().zip([first, second]) {
            let constant = member.constant.as_ref().map(|constant| match constant {
                Constant::Number(number) => number_text(*number),
                Constant::Text(text) => hex(text.as_bytes()),
                Constant::Symbol(index) => match self.schema.type_of(member.type_id) {
                    Type::Enum(symbols) => number_text(symbols.values[*index as usize].number),
                    _ => unreachable!("only enums have symbols"),
                },
            });
            self.put(&member.meta.name, constant.as_deref().unwrap_or(value));
        }
        self.text += " }";
    }
}

impl Visitor for Values<'_> {
    fn message(&mut self, _: &Message, header: &Header) {
        self.version = header.version;
    }

    fn value(&mut self, field: &Field, value: Value<'_>) {
        let absent = field.meta.since_version > self.version;
        let schema = self.schema;
        let text = match (value, schema.type_of(field.type_id)) {
            _ if absent => "absent".to_owned(),
            (Value::Decimal(decimal), Type::Composite(composite)) => {
                return self.pair(field, composite, &decimal.mantissa.to_string(), &decimal.exponent.to_string());
            }
            (Value::Timestamp(time), Type::Composite(composite)) => {
                return self.pair(field, composite, &time.count.to_string(), "");
            }
            (Value::Null, Type::Composite(composite)) => return self.pair(field, composite, "null", ""),
            (value, Type::Encoding(encoding)) => encoded(field, encoding, value),
            (Value::Enum(symbols, number, None), _) if number == symbols.null => "null".to_owned(),
            (Value::Enum(_, number, _), _) => number_text(number),
            (Value::Set(_, bits), _) => bits.to_string(),
            (Value::Null, _) => "null".to_owned(),
            (other, _) => panic!("{}: {other:?}", field.meta.name),
        };
        self.put(&field.meta.name, &text);
    }

    fn composite(&mut self, field: &Field, _: &Composite) {
        self.put(&field.meta.name, "{");
    }

    fn composite_end(&mut self) {
        self.text += " }";
    }

    fn group(&mut self, group: &Group, count: Option<u32>) {
        self.put(&group.meta.name, &count.map_or("absent".to_owned(), |count| format!("[{count}")));
    }

    fn entry(&mut self) -> Result<(), DecodeError> {
        self.text += " {";
        Ok(())
    }

    fn entry_end(&mut self) {
        self.text += " }";
    }

    fn group_end(&mut self) {
        self.text += " ]";
    }

    fn data(&mut self, data: &Data, bytes: Option<&[u8]>) {
        self.put(&data.meta.name, &bytes.map_or("absent".to_owned(), hex));
    }
}

fn encoded(field: &Field, encoding: &Encoding, value: Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        // One character is a number, unless it stands in the schema.
        Value::Text(text) if encoding.length == 1 && field.presence != Presence::Constant => text.bytes[0].to_string(),
        Value::Text(text) => hex(text.bytes),
        Value::Bytes(bytes) => hex(bytes),
        Value::Array(array) => {
            let element = |value| match value {
                Value::Null => number_text(encoding.null),
                value => encoded(field, &Encoding { content: Content::Number, ..encoding.clone() }, value),
            };
            array.iter().map(element).collect::<Vec<_>>().join(",")
        }
        Value::Int32(number) => number.to_string(),
        Value::Int64(number) => number.to_string(),
        Value::UInt32(number) => number.to_string(),
        Value::UInt64(number) => number.to_string(),
        Value::Float(number) => number_text(Number::Float(number)),
        Value::Double(number) => number_text(Number::Double(number)),
        Value::Timestamp(time) => time.count.to_string(),
        other => panic!("{}: {other:?}", field.meta.name),
    }
}

fn number_text(number: Number) -> String {
    match number {
        Number::Int(number) => number.to_string(),
        Number::UInt(number) => number.to_string(),
        Number::Float(number) if number.is_nan() => "nan".to_owned(),
        Number::Float(number) => number.to_bits().to_string(),
        Number::Double(number) if number.is_nan() => "nan".to_owned(),
        Number::Double(number) => number.to_bits().to_string(),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}
