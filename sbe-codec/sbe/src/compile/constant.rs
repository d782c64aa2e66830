//! Values that stand in the schema: texts of constants, and references to values of enums.

use super::element::Element;
use super::types::Types;
use crate::error::{Fault, SchemaError};
use crate::ir::{Constant, Type, TypeId};
use crate::primitive::{Number, Primitive};

/// A number written as an attribute: a null, least or greatest value.
pub(super) fn attribute(
    element: Element<'_>,
    attribute: &str,
    primitive: Primitive,
) -> Result<Option<Number>, SchemaError> {
    let Some(text) = element.text(attribute) else { return Ok(None) };
    // Of a char: its code, or the character itself.
    let read = primitive.parse(text).or_else(|| single_char(text).filter(|_| primitive == Primitive::Char));
    read.map(Some).ok_or_else(|| element.fault_at(attribute, bad_value(text, primitive)))
}

/// The number of an enum's value; of a char enum, the character's code.
pub(super) fn valid_value(element: Element<'_>, primitive: Primitive) -> Result<Number, SchemaError> {
    // The whole text first: MEMX's "not applicable" is the character space.
    let (whole, text) = (element.node.text().unwrap_or(""), element.content());
    let read = match primitive {
        Primitive::Char => single_char(whole).or_else(|| single_char(text)),
        _ => primitive.parse(text),
    };
    read.ok_or_else(|| element.fault(bad_value(text, primitive)))
}

/// The value of a constant `<type>`: its text, or the value that its `valueRef` names.
pub(super) fn of_type<'a>(
    types: &mut Types<'a>,
    element: Element<'a>,
    primitive: Primitive,
    length: Option<u32>,
) -> Result<Constant, SchemaError> {
    if primitive != Primitive::Char && length.unwrap_or(1) != 1 {
        return Err(element.bad_attribute("length", "1, and a constant of numbers has a single one"));
    }
    if element.text("valueRef").is_some() {
        let named = reference(types, element)?;
        return fitting(element, named, primitive);
    }
    text(element, primitive, length)
}

/// The value that stands in an element.
fn text(element: Element<'_>, primitive: Primitive, length: Option<u32>) -> Result<Constant, SchemaError> {
    let text = element.content();
    if text.is_empty() {
        return Err(element.fault(Fault::NoValue { name: element.text_or_empty("name") }));
    }
    if primitive == Primitive::Char {
        let found = text.len() as u32;
        return match length.filter(|length| found > *length) {
            Some(length) => Err(element.fault(Fault::TextLength { value: text.to_owned(), found, length })),
            None => Ok(Constant::Text(text.to_owned())),
        };
    }
    primitive.parse(text).map(Constant::Number).ok_or_else(|| element.fault(bad_value(text, primitive)))
}

/// The value of a constant field: what its `valueRef` names or, as SBE 2.0 has it, its text.
pub(super) fn of_field<'a>(
    types: &mut Types<'a>,
    field: Element<'a>,
    type_id: TypeId,
) -> Result<Constant, SchemaError> {
    if field.text("valueRef").is_none() {
        return match types.get(type_id) {
            Type::Encoding(encoding) => text(field, encoding.primitive, Some(encoding.length)),
            _ => Err(field.fault(Fault::NoValue { name: field.text_or_empty("name") })),
        };
    }
    let named = reference(types, field)?;
    match types.get(type_id) {
        Type::Enum(_) if named.enum_id == type_id => Ok(Constant::Symbol(named.index)),
        Type::Enum(_) => Err(bad_reference(field, "names another enum than the field's type")),
        Type::Encoding(encoding) => fitting(field, named, encoding.primitive),
        Type::Set(_) | Type::Composite(_) => Err(bad_reference(field, "is given to a field that is no single value")),
    }
}

/// A value of an enum that a `valueRef` names.
struct Reference {
    enum_id: TypeId,
    index: u32,
    number: Number,
}

fn reference<'a>(types: &mut Types<'a>, element: Element<'a>) -> Result<Reference, SchemaError> {
    let text = element.required("valueRef")?;
    let (enum_name, value_name) = text.split_once('.').ok_or_else(|| bad_reference(element, "has no dot"))?;
    let enum_id = types.resolve(element, enum_name).map_err(|_| bad_reference(element, "names no declared type"))?;
    let Type::Enum(symbols) = types.get(enum_id) else {
        return Err(bad_reference(element, "names a type that is no enum"));
    };
    let found = symbols.values.iter().enumerate().find(|(_, value)| value.meta.name == value_name);
    let (index, value) = found.ok_or_else(|| bad_reference(element, "names no value of that enum"))?;
    Ok(Reference { enum_id, index: index as u32, number: value.number })
}

/// The referenced number as one of `primitive`, if it is in its range.
fn fitting(element: Element<'_>, named: Reference, primitive: Primitive) -> Result<Constant, SchemaError> {
    let number = named.number.integer().and_then(|integer| primitive.parse(&integer.to_string()));
    number.map(Constant::Number).ok_or_else(|| bad_reference(element, "names a value that the type cannot hold"))
}

fn single_char(text: &str) -> Option<Number> {
    match text.as_bytes() {
        [byte] => Some(Number::UInt(u64::from(*byte))),
        _ => None,
    }
}

fn bad_value(value: &str, primitive: Primitive) -> Fault {
    Fault::Value { value: value.to_owned(), primitive: primitive.name() }
}

fn bad_reference(element: Element<'_>, reason: &'static str) -> SchemaError {
    let reference = element.text_or_empty("valueRef");
    element.fault_at("valueRef", Fault::ValueRef { reference, reason })
}
