//! Fields of a block: how they are documented, read and written.

use oyez_sbe::{Block, Field, Presence, Schema, TimeUnit, Type};

use crate::names::{Scope, screaming};
use crate::source::Source;
use crate::types::{Types, since};
use crate::value::{Holder, Value, constant};

/// The bytes of a block that every version has: up to the end of the last field that was always there.
pub(crate) fn base_bytes(block: &Block, partial: bool) -> u32 {
    let always = |field: &&Field| field.meta.since_version == 0 && field.presence == Presence::Required;
    if partial { 0 } else { block.fields.iter().filter(always).map(Field::end).max().unwrap_or(0) }
}

/// May the field be absent from a received block?
pub(crate) fn is_late(field: &Field, base_bytes: u32) -> bool {
    field.meta.since_version > 0 || field.end() > base_bytes
}

/// Description, place and type of a field.
pub(crate) fn document(out: &mut Source, schema: &Schema, field: &Field) {
    let compiled = schema.type_of(field.type_id);
    let kind = match compiled {
        Type::Encoding(encoding) if encoding.length != 1 => {
            format!("{}[{}]", encoding.primitive.name(), encoding.length)
        }
        Type::Encoding(encoding) => encoding.primitive.name().to_owned(),
        other => other.meta().name.to_string(),
    };
    let unit = match field.time_unit {
        None => "",
        Some(TimeUnit::Second) => ", seconds since 1970",
        Some(TimeUnit::Millisecond) => ", milliseconds since 1970",
        Some(TimeUnit::Microsecond) => ", microseconds since 1970",
        Some(TimeUnit::Nanosecond) => ", nanoseconds since 1970",
    };
    let described = [&field.meta.description, &compiled.meta().description];
    let description = described.into_iter().find(|text| !text.is_empty()).map_or("", String::as_str);
    let Field { offset, size_bytes, .. } = field;
    let bytes = if *size_bytes == 1 { "byte" } else { "bytes" };
    let place =
        format!("`{}` at {offset}, {size_bytes} {bytes}: `{kind}`{unit}{}.", field.meta.name, since(&field.meta));
    out.docs(description, &place);
}

/// Constant fields: they are in the schema only.
pub(crate) fn write_constants(out: &mut Source, schema: &Schema, types: &Types, fields: &[Field], mut scope: Scope) {
    for field in fields.iter().filter(|field| field.presence == Presence::Constant) {
        let Some((kind, value)) = constant(schema, types, field) else { continue };
        let name = scope.unique(screaming(&field.meta.name));
        let ours = format!("Constant `{}`{}.", field.meta.name, since(&field.meta));
        out.docs(&field.meta.description, &ours);
        out.assign(&format!("pub const {name}: {kind}"), &value);
    }
}

/// The rest of a function that gives the value of a field of the block that `of` names.
pub(crate) fn read_body(out: &mut Source, value: &Value<'_>, of: &str, field: &Field, holder: Holder, late: bool) {
    let Field { offset, size_bytes, meta, .. } = field;
    if value.is_versioned() {
        out.line(format_args!("let version = {of}.version();"));
    }
    match late {
        true => {
            let since = meta.since_version;
            out.line(format_args!("let bytes = {of}.later::<{since}, {offset}, {size_bytes}>()?;"));
        }
        false => out.line(format_args!("let bytes = {of}.view::<{offset}, {size_bytes}>();")),
    }
    value.read(out, holder, late);
}

/// A method that writes all fields, and zeros between and behind them.
pub(crate) fn write_writer(
    out: &mut Source,
    schema: &Schema,
    types: &Types,
    visibility: &str,
    fields: &[(&Field, String)],
    length_bytes: u32,
    holder: Holder,
) {
    let gap = |out: &mut Source, from: u32, to: u32| {
        if from < to {
            out.line(format_args!("out.put::<{from}, {0}>([0; {0}]);", to - from));
        }
    };
    out.blank();
    out.line("/// Writes it, and zeros where the schema has gaps.");
    let unused = if length_bytes == 0 { "_" } else { "" };
    let arguments = ["&self".to_owned(), format!("{unused}out: &mut [u8; {length_bytes}]")];
    out.function(&format!("{visibility}fn write"), &arguments, "");
    let mut end = 0;
    for (field, name) in fields.iter().filter(|(field, _)| field.size_bytes > 0) {
        gap(out, end, field.offset);
        end = field.end();
        out.assign("let value", &format!("self.{name}"));
        let missing = holder == Holder::Composite && field.meta.since_version > 0;
        Value::of(schema, types, field).write(out, holder, missing, field.offset);
    }
    gap(out, end, length_bytes);
    out.close();
}
