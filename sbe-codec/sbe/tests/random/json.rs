//! A random message of a schema as canonical JSON, made without a single byte of SBE.

use oyez_sbe::{
    Block, Charset, Composite, Constant, Content, Encoding, Field, Form, Number, Presence, Primitive, Schema, Type,
};

use super::Choices;

pub(crate) fn json(choices: &mut Choices, schema: &Schema) -> String {
    let message = &schema.messages[choices.below(schema.messages.len())];
    let mut writer = Writer { choices, schema };
    format!(
        "{{\"_t\":\"{}\"{}}}",
        message.meta.name,
        writer.block(&message.block).map_or(String::new(), |members| format!(",{members}"))
    )
}

struct Writer<'c> {
    choices: &'c mut Choices,
    schema: &'c Schema,
}

impl Writer<'_> {
    /// The members of a block's object, if it has any.
    fn block(&mut self, block: &Block) -> Option<String> {
        let mut members = self.fields(&block.fields);
        for group in &block.groups {
            let value = match self.has(group.meta.since_version) {
                true => {
                    let entry = |writer: &mut Self| format!("{{{}}}", writer.block(&group.block).unwrap_or_default());
                    let entries: Vec<_> = (0..self.choices.below(3)).map(|_| entry(self)).collect();
                    format!("[{}]", entries.join(","))
                }
                false => "null".to_owned(),
            };
            members.push(format!("\"{}\":{value}", group.meta.name));
        }
        for data in &block.data {
            let value = match self.has(data.meta.since_version) {
                true => self.text(data.charset.as_ref(), usize::MAX),
                false => "null".to_owned(),
            };
            members.push(format!("\"{}\":{value}", data.meta.name));
        }
        (!members.is_empty()).then(|| members.join(","))
    }

    fn has(&self, since_version: u16) -> bool {
        since_version <= self.schema.version
    }

    fn fields(&mut self, fields: &[Field]) -> Vec<String> {
        fields.iter().map(|field| format!("\"{}\":{}", field.meta.name, self.field(field))).collect()
    }

    fn field(&mut self, field: &Field) -> String {
        if !self.has(field.meta.since_version) {
            return "null".to_owned();
        }
        let optional = field.presence == Presence::Optional;
        match self.schema.type_of(field.type_id) {
            Type::Encoding(encoding) => match &field.constant {
                Some(Constant::Number(number)) => shown(encoding.primitive, *number),
                Some(Constant::Text(text)) => format!("\"{text}\""),
                _ => self.encoded(field, encoding, optional),
            },
            Type::Enum(symbols) => match field.constant {
                Some(Constant::Symbol(index)) => format!("\"{}\"", symbols.values[index as usize].meta.name),
                _ if optional && self.choices.once_in(3) && symbols.value_of(symbols.null).is_none() => {
                    "null".to_owned()
                }
                _ => format!("\"{}\"", symbols.values[self.choices.below(symbols.values.len())].meta.name),
            },
            Type::Set(set) => {
                let names: Vec<_> = set
                    .choices
                    .iter()
                    .filter(|_| self.choices.once_in(2))
                    .map(|choice| format!("\"{}\"", choice.meta.name))
                    .collect();
                format!("[{}]", names.join(","))
            }
            Type::Composite(composite) => self.composite(composite),
        }
    }

    fn composite(&mut self, composite: &Composite) -> String {
        let object = |writer: &mut Self| format!("{{{}}}", writer.fields(&composite.members).join(","));
        let [first, second] = composite.members.as_slice() else { return object(self) };
        let Type::Encoding(encoding) = self.schema.type_of(first.type_id) else { return object(self) };
        let constant = second.presence == Presence::Constant;
        let null = first.presence == Presence::Optional && self.choices.once_in(3);
        match composite.form {
            Form::Plain => object(self),
            Form::Timestamp(_) if null || !self.has(first.meta.since_version) => "null".to_owned(),
            // Far from any day that a small count could mean, since years beyond 9999 are written as they are.
            Form::Timestamp(_) => self.time(encoding.primitive),
            Form::Decimal if !constant && !self.has(second.meta.since_version) => {
                let mantissa = self.number(encoding, first.presence == Presence::Optional);
                format!("{{\"mantissa\":{mantissa},\"exponent\":null}}")
            }
            Form::Decimal if null && constant => "null".to_owned(),
            Form::Decimal => {
                let mantissa = u64::from(self.choices.byte() % 70) + 1;
                match second.constant {
                    Some(Constant::Number(Number::Int(exponent))) => decimal(mantissa, exponent),
                    _ => decimal(mantissa, self.choices.below(9) as i64 - 4),
                }
            }
        }
    }

    /// A time that every unit can tell.
    fn time(&mut self, primitive: Primitive) -> String {
        match primitive {
            Primitive::Int64 | Primitive::UInt64 => "\"2026-02-28T23:59:58.000000000Z\"".to_owned(),
            _ => "\"1970-01-01T00:00:00.000000000Z\"".to_owned(),
        }
    }

    fn encoded(&mut self, field: &Field, encoding: &Encoding, optional: bool) -> String {
        let null = optional && self.choices.once_in(3);
        match &encoding.content {
            Content::Number if null => "null".to_owned(),
            Content::Number if field.time_unit.is_some() => self.time(encoding.primitive),
            Content::Number => self.number(encoding, optional),
            Content::Text(_) if null => "null".to_owned(),
            Content::Text(_) if optional && encoding.length == 0 => "null".to_owned(),
            Content::Text(charset) => self.text(Some(charset), encoding.length as usize),
            Content::Bytes => base64(&(0..encoding.length).map(|_| self.choices.byte()).collect::<Vec<_>>()),
            Content::Array => {
                let element = |_| match optional && self.choices.once_in(3) {
                    true => "null".to_owned(),
                    false => self.number(encoding, optional),
                };
                format!("[{}]", (0..encoding.length).map(element).collect::<Vec<_>>().join(","))
            }
        }
    }

    /// A number other than the null value.
    fn number(&mut self, encoding: &Encoding, optional: bool) -> String {
        let small = self.choices.byte() % 70;
        let number = match encoding.primitive {
            primitive if primitive.is_float() => return format!("{:?}", f64::from(small) / 2.0 + 0.5),
            Primitive::UInt64 => Number::UInt(self.choices.u64()),
            Primitive::Int64 => Number::Int(self.choices.u64() as i64),
            primitive if primitive.is_unsigned() => Number::UInt(u64::from(small) + 1),
            _ => Number::Int(i64::from(small) - 71),
        };
        if optional && number == encoding.null { "null".to_owned() } else { shown(encoding.primitive, number) }
    }

    /// A text of at most so many bytes, of which none is padding.
    fn text(&mut self, charset: Option<&Charset>, length_max: usize) -> String {
        let all: &[(&str, &[u8])] =
            &[("a", b"a"), ("\\\"", b"\""), ("\\\\", b"\\"), ("\\u0001", b"\x01"), ("\u{e9}", "\u{e9}".as_bytes())];
        let latin = matches!(charset, Some(Charset::Latin1));
        let (mut text, mut bytes) = (String::new(), Vec::new());
        for _ in 0..1 + self.choices.below(4) {
            let (piece, encoded) = self.choices.one_of(all);
            let encoded = if latin && piece == "\u{e9}" { b"\xe9" } else { encoded };
            if bytes.len() + encoded.len() <= length_max {
                text += piece;
                bytes.extend(encoded);
            }
        }
        if bytes.is_empty() && length_max > 0 {
            (text, bytes) = ("a".to_owned(), b"a".to_vec());
        }
        match charset {
            None => base64(&bytes),
            Some(Charset::Other(_)) => {
                bytes.resize(if length_max == usize::MAX { bytes.len() } else { length_max }, 0);
                format!("{{\"_enc\":\"b64\",\"_data\":{}}}", base64(&bytes))
            }
            Some(_) => format!("\"{text}\""),
        }
    }
}

fn shown(primitive: Primitive, number: Number) -> String {
    match number {
        Number::Int(number) if primitive == Primitive::Int64 => format!("\"{number}\""),
        Number::UInt(number) if primitive == Primitive::UInt64 => format!("\"{number}\""),
        Number::Int(number) => number.to_string(),
        Number::UInt(number) => number.to_string(),
        Number::Float(number) => format!("{number:?}"),
        Number::Double(number) => format!("{number:?}"),
    }
}

fn decimal(mantissa: u64, exponent: i64) -> String {
    match usize::try_from(-exponent) {
        Err(_) => format!("\"{mantissa}e{exponent}\""),
        Ok(0) => format!("\"{mantissa}\""),
        Ok(scale) => {
            let digits = format!("{mantissa:0>width$}", width = scale + 1);
            format!("\"{}.{}\"", &digits[..digits.len() - scale], &digits[digits.len() - scale..])
        }
    }
}

/// Bit by bit, so that it has nothing in common with the one that is tested.
fn base64(bytes: &[u8]) -> String {
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let mut text: String = bits
        .chunks(6)
        .map(|six| alphabet[(0..6).fold(0, |sum, at| sum << 1 | usize::from(six.get(at).copied().unwrap_or(0)))])
        .collect();
    text.extend(std::iter::repeat_n('=', (4 - text.len() % 4) % 4));
    format!("\"{text}\"")
}
