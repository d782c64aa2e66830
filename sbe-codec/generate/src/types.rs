//! Enums, sets and composites.

use oyez_sbe::{Composite, Enum, Field, Meta, Number, Presence, Primitive, Schema, Set, Type, TypeId, ValidValue};

use crate::block;
use crate::names::{Scope, camel, screaming};
use crate::source::Source;
use crate::value::{Holder, Value, literal, rust_name};

/// The names of a schema's types in Rust.
pub(crate) struct Types {
    names: Vec<String>,
    /// Of each enum, the names of its values.
    values: Vec<Vec<String>>,
    /// Those that are generated.
    used: Vec<bool>,
}

impl Types {
    pub(crate) fn new(schema: &Schema, scope: &mut Scope) -> Types {
        let used = used(schema);
        let mut types = Types { names: Vec::new(), values: Vec::new(), used };
        for (at, compiled) in schema.types.iter().enumerate() {
            let mut constants = Scope::default();
            let mut constant = |meta: &Meta| constants.unique(screaming(&meta.name));
            types.values.push(match compiled {
                Type::Enum(symbols) => symbols.values.iter().map(|value| constant(&value.meta)).collect(),
                Type::Set(set) => set.choices.iter().map(|choice| constant(&choice.meta)).collect(),
                Type::Encoding(_) | Type::Composite(_) => Vec::new(),
            });
            let name = if types.used[at] { scope.unique(camel(&compiled.meta().name)) } else { String::new() };
            types.names.push(name);
        }
        types
    }

    pub(crate) fn name(&self, id: TypeId) -> &str {
        &self.names[id.0 as usize]
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    pub(crate) fn values(&self, id: TypeId) -> &[String] {
        &self.values[id.0 as usize]
    }

    pub(crate) fn write(&self, schema: &Schema, out: &mut Source) {
        for (at, compiled) in schema.types.iter().enumerate().filter(|(at, _)| self.used[*at]) {
            let (name, values) = (&self.names[at], &self.values[at]);
            out.blank();
            match compiled {
                Type::Enum(symbols) => write_enum(out, symbols, name, values),
                Type::Set(set) => write_set(out, set, name, values),
                Type::Composite(composite) => write_composite(out, schema, self, composite, name),
                Type::Encoding(_) => {}
            }
        }
    }
}

/// All enums and sets, the header, and the composites that fields are of: those before groups and data are not values.
fn used(schema: &Schema) -> Vec<bool> {
    fn mark(schema: &Schema, used: &mut [bool], id: TypeId) {
        used[id.0 as usize] = true;
        if let Type::Composite(composite) = schema.type_of(id) {
            composite.members.iter().for_each(|member| mark(schema, used, member.type_id));
        }
    }
    fn mark_block(schema: &Schema, used: &mut [bool], block: &oyez_sbe::Block) {
        block.fields.iter().for_each(|field| mark(schema, used, field.type_id));
        block.groups.iter().for_each(|group| mark_block(schema, used, &group.block));
    }
    let mut used: Vec<_> = schema.types.iter().map(|of| matches!(of, Type::Enum(_) | Type::Set(_))).collect();
    mark(schema, &mut used, schema.header().type_id);
    schema.messages.iter().for_each(|message| mark_block(schema, &mut used, &message.block));
    used.iter_mut().zip(&schema.types).for_each(|(used, of)| *used &= !matches!(of, Type::Encoding(_)));
    used
}

fn write_enum(out: &mut Source, symbols: &Enum, name: &str, values: &[String]) {
    let Enum { meta, primitive, .. } = symbols;
    out.docs(&meta.description, &format!("Enum `{}`: {}. Unknown values are kept.", meta.name, primitive.name()));
    out.line("#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]");
    out.line(format_args!("pub struct {name}(pub {});", rust_name(*primitive)));
    out.blank();
    out.open(format_args!("impl {name}"));
    for (value, constant) in symbols.values.iter().zip(values) {
        out.docs(&value.meta.description, &format!("`{}`{}", value.meta.name, since(&value.meta)));
        out.line(format_args!("pub const {constant}: Self = Self({});", number(symbols, value)));
    }
    out.blank();
    out.line("/// Its name in the schema, if it has one there.");
    out.function("pub fn name", &["self".to_owned()], "Option<&'static str>");
    let known = symbols.values.iter().zip(values).filter(|(value, _)| is_first(symbols, value));
    let known: Vec<_> = known.map(|(value, constant)| (&value.meta.name, constant)).collect();
    if known.is_empty() {
        out.line("None");
    } else {
        out.open("let name = match self");
        known.iter().for_each(|(name, constant)| out.arm(&format!("Self::{constant}"), &format!("\"{name}\"")));
        out.line("_ => return None,");
        out.close_with(";");
        out.line("Some(name)");
    }
    out.close();
    out.close();
    out.blank();
    out.open(format_args!("impl ::core::fmt::Debug for {name}"));
    out.open("fn fmt(&self, out: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result");
    out.line(format_args!("let kind = \"{name}\";"));
    out.line("rt::name(out, kind, self.name(), &self.0)");
    out.close();
    out.close();
}

/// Is it the first of an enum's values with its number, whose name is told?
pub(crate) fn is_first(symbols: &Enum, value: &ValidValue) -> bool {
    symbols.value_of(value.number).is_some_and(|first| std::ptr::eq(first, value))
}

/// The number of an enum's value, of a char enum the character.
pub(crate) fn number(symbols: &Enum, value: &ValidValue) -> String {
    match (symbols.primitive, value.number) {
        (Primitive::Char, Number::UInt(code)) if code < 128 => format!("b'{}'", (code as u8).escape_ascii()),
        (_, number) => literal(number),
    }
}

fn write_set(out: &mut Source, set: &Set, name: &str, values: &[String]) {
    let Set { meta, primitive, choices } = set;
    out.docs(&meta.description, &format!("Set `{}`: {}. Unknown bits are kept.", meta.name, primitive.name()));
    out.line("#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]");
    out.line(format_args!("pub struct {name}(pub {});", rust_name(*primitive)));
    out.blank();
    out.open(format_args!("impl {name}"));
    for (choice, constant) in choices.iter().zip(values) {
        out.docs(&choice.meta.description, &format!("`{}`{}", choice.meta.name, since(&choice.meta)));
        out.line(format_args!("pub const {constant}: Self = Self(1 << {});", choice.bit));
    }
    out.blank();
    out.line("/// Are all choices of the other set in this one?");
    out.function("pub fn contains", &["self".to_owned(), "other: Self".to_owned()], "bool");
    out.line("self.0 & other.0 == other.0");
    out.close();
    out.close();
    out.blank();
    out.open(format_args!("impl ::core::ops::BitOr for {name}"));
    out.line("type Output = Self;");
    out.blank();
    out.function("fn bitor", &["self".to_owned(), "other: Self".to_owned()], "Self");
    out.line("Self(self.0 | other.0)");
    out.close();
    out.close();
}

fn write_composite(out: &mut Source, schema: &Schema, types: &Types, composite: &Composite, name: &str) {
    let Composite { meta, size_bytes, members, .. } = composite;
    out.docs(&meta.description, &format!("Composite `{}`: {size_bytes} bytes.", meta.name));
    out.line(derived(schema, members));
    out.open(format_args!("pub struct {name}"));
    let mut scope = Scope::default();
    let named = members.iter().filter(|member| member.presence != Presence::Constant);
    let named: Vec<(&Field, String)> =
        named.map(|member| (member, scope.unique(crate::names::snake(&member.meta.name)))).collect();
    let missing = |member: &Field| member.meta.since_version > 0;
    for (member, name) in &named {
        let value = Value::of(schema, types, member);
        block::document(out, schema, member);
        out.member(&format!("pub {name}"), &value.rust_type(Holder::Composite, missing(member)));
    }
    out.close();
    out.blank();
    out.open(format_args!("impl {name}"));
    block::write_constants(out, schema, types, members, Scope::default());
    let unused = if named.is_empty() { "_" } else { "" };
    out.blank();
    out.line("/// Reads it from its bytes, as a writer of that version sent them.");
    let arguments = [format!("{unused}bytes: &[u8; {size_bytes}]"), format!("{unused}version: u16")];
    out.function("pub fn read", &arguments, "Self");
    if named.is_empty() {
        out.line("Self {}");
    } else {
        out.line("let block = rt::Block::of(bytes, version);");
        out.open("Self");
        for (_, name) in &named {
            out.member(name, &format!("Self::read_{name}(block)"));
        }
        out.close();
    }
    out.close();
    block::write_writer(out, schema, types, "pub ", &named, *size_bytes, Holder::Composite);
    for (member, name) in &named {
        let value = Value::of(schema, types, member);
        let late = missing(member);
        out.blank();
        let block = format!("block: rt::Block<'_, {size_bytes}>");
        out.function(&format!("fn read_{name}"), &[block], &value.rust_type(Holder::Composite, late));
        block::read_body(out, &value, "block", member, Holder::Composite, late);
        out.close();
    }
    out.close();
}

/// What is derived for a struct of the fields: one with floats is not always equal to itself.
pub(crate) fn derived(schema: &Schema, fields: &[Field]) -> &'static str {
    fn has_float(schema: &Schema, field: &Field) -> bool {
        match schema.type_of(field.type_id) {
            Type::Encoding(encoding) => matches!(encoding.primitive, Primitive::Float | Primitive::Double),
            Type::Composite(composite) => composite.members.iter().any(|member| has_float(schema, member)),
            Type::Enum(_) | Type::Set(_) => false,
        }
    }
    match fields.iter().any(|field| has_float(schema, field)) {
        true => "#[derive(Clone, Copy, PartialEq, Debug)]",
        false => "#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]",
    }
}

/// What a name's documentation says of its version.
pub(crate) fn since(meta: &Meta) -> String {
    let since = match meta.since_version {
        0 => String::new(),
        version => format!(", since version {version}"),
    };
    match meta.deprecated {
        None => since,
        Some(version) => format!("{since}, deprecated since version {version}"),
    }
}
