//! Enums of Rust beside those that keep unknown values: for a `match` that the compiler knows to be whole.

use oyez_sbe::{Enum, Schema, Type};

use crate::names::{Scope, camel};
use crate::source::Source;
use crate::types::{Types, is_first, number, since};
use crate::value::rust_name;

/// The module of them, if the schema has enums with values.
pub(crate) fn write(schema: &Schema, types: &Types, out: &mut Source) {
    let enums = schema.types.iter().zip(types.names()).filter_map(|(compiled, name)| match compiled {
        Type::Enum(symbols) if !symbols.values.is_empty() => Some((symbols, name)),
        _ => None,
    });
    let mut enums = enums.peekable();
    if enums.peek().is_none() {
        return;
    }
    out.blank();
    out.line("/// The enums as enums of Rust: to be one of these, a value must be known to the schema.");
    out.open("pub mod known");
    out.line("use super::rt;");
    enums.for_each(|(symbols, name)| write_enum(out, symbols, name));
    out.close();
}

fn write_enum(out: &mut Source, symbols: &Enum, name: &str) {
    let kind = rust_name(symbols.primitive);
    let mut scope = Scope::with(&["Self"]);
    let values = symbols.values.iter().filter(|value| is_first(symbols, value));
    let values: Vec<_> = values.map(|value| (value, scope.unique(camel(&value.meta.name)))).collect();
    out.blank();
    out.docs(&symbols.meta.description, &format!("Enum `{}`.", symbols.meta.name));
    out.line("#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]");
    out.line(format_args!("#[repr({kind})]"));
    out.open(format_args!("pub enum {name}"));
    for (value, variant) in &values {
        out.docs(&value.meta.description, &format!("`{}`{}", value.meta.name, since(&value.meta)));
        out.line(format_args!("{variant} = {},", number(symbols, value)));
    }
    out.close();
    out.blank();
    out.implementation(&format!("TryFrom<super::{name}>"), name);
    out.line("type Error = rt::Error;");
    out.blank();
    out.function("fn try_from", &[format!("value: super::{name}")], "Result<Self, rt::Error>");
    out.open("let known = match value.0");
    for (value, variant) in &values {
        out.arm(&number(symbols, value), &format!("Self::{variant}"));
    }
    out.open("value =>");
    out.assign("let what", &format!("\"enum {}\"", symbols.meta.name));
    out.line("let value = value as i64;");
    out.line("return Err(rt::Error::UnknownValue { what, value });");
    out.close();
    out.close_with(";");
    out.line("Ok(known)");
    out.close();
    out.close();
    out.blank();
    out.implementation(&format!("From<{name}>"), &format!("super::{name}"));
    out.function("fn from", &[format!("known: {name}")], "Self");
    out.line(format_args!("Self(known as {kind})"));
    out.close();
    out.close();
}
