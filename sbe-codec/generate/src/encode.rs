//! Encoders: a type for each place in a message at which something is written, so that leaving out a group or data, or
//! writing them in another order, does not compile.

use oyez_sbe::{Data, Group, Slot};

use crate::Generator;
use crate::block::{document, write_writer};
use crate::items::{Item, Kind, Named, is_nested};
use crate::source::Source;
use crate::types::derived;
use crate::value::{Holder, Value, rust_name};

/// What is being written: a message, or an entry of a group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Message,
    Entry,
}

impl Level {
    fn writer(self) -> &'static str {
        match self {
            Level::Message => "rt::Writer<'a>",
            Level::Entry => "rt::Writer<'a, OpenGroup<'a>>",
        }
    }

    /// What is given when all is written: the length of the message, or the group for its next entry.
    fn done(self) -> &'static str {
        match self {
            Level::Message => "usize",
            Level::Entry => "Encoder<'a>",
        }
    }

    fn done_value(self) -> &'static str {
        match self {
            Level::Message => "rest.end()",
            Level::Entry => "Encoder(rest)",
        }
    }
}

/// The fields of a block as one value, so that none can be forgotten.
pub(crate) fn write_fields(generator: &Generator<'_>, out: &mut Source, named: &Named<'_>, of: &str) {
    let generics = fields_generics(generator, named);
    out.blank();
    out.line(format_args!("/// The fields of {of}, to be written."));
    out.line(derived(generator.schema, &named.block.fields));
    out.open(format_args!("pub struct Fields{generics}"));
    for (field, name) in &named.fields {
        let value = Value::of(generator.schema, &generator.types, field);
        document(out, generator.schema, field);
        out.member(&format!("pub {name}"), &value.rust_type(Holder::Block, false));
    }
    out.close();
    out.blank();
    out.open(format_args!("impl{generics} Fields{generics}"));
    let length = named.block.length_bytes;
    write_writer(out, generator.schema, &generator.types, "", &named.fields, length, Holder::Block);
    out.close();
}

fn fields_generics(generator: &Generator<'_>, named: &Named<'_>) -> &'static str {
    let borrows = |field| Value::of(generator.schema, &generator.types, field).borrows();
    if named.fields.iter().any(|(field, _)| borrows(field)) { "<'a>" } else { "" }
}

/// How a function takes them.
pub(crate) fn fields_argument(generator: &Generator<'_>, named: &Named<'_>) -> String {
    let lifetime = if fields_generics(generator, named).is_empty() { "" } else { "<'_>" };
    format!("fields: &Fields{lifetime}")
}

/// What comes first when the block is written.
pub(crate) fn first(named: &Named<'_>, name: &str, level: Level) -> (String, String) {
    match named.items.is_empty() {
        true => (level.done().to_owned(), level.done_value().to_owned()),
        false => (format!("{name}<'a>"), format!("{name}(rest)")),
    }
}

/// The encoders of what follows a block: the first is `name`.
pub(crate) fn write(generator: &Generator<'_>, out: &mut Source, named: &Named<'_>, name: &str, level: Level) {
    let writer = level.writer();
    let names = named.items.iter().map(|item| item.after_encoder.as_deref());
    let names = std::iter::once(Some(name)).chain(names);
    for (name, item) in names.zip(&named.items) {
        let Some(name) = name else { continue };
        out.blank();
        out.line(format_args!("/// Writes `{}`.", item.kind.name()));
        out.line("#[derive(Debug)]");
        out.line("#[must_use = \"the message is not whole\"]");
        out.line(format_args!("pub struct {name}<'a>({writer});"));
        out.blank();
        out.open(format_args!("impl<'a> {name}<'a>"));
        write_item(generator, out, item, level);
        out.close();
    }
}

fn write_item(generator: &Generator<'_>, out: &mut Source, item: &Item<'_>, level: Level) {
    let head = format!("pub fn {}", item.method);
    match &item.kind {
        Kind::Group(group, module) => {
            out.docs(&group.meta.description, &format!("Begins group `{}`.", group.meta.name));
            write_errors(out, "If the buffer is full.");
            out.function(&head, &["self".to_owned()], &format!("Result<{module}::Encoder<'a>, rt::Error>"));
            out.assign("let what", &format!("\"group {}\"", group.meta.name));
            out.line("let group = self.0.open(what)?;");
            out.line(format_args!("Ok({module}::Encoder(group))"));
        }
        Kind::Data(data) => {
            generator.document_data(out, data);
            write_errors(out, "If the buffer is full, or the bytes are too many for their count.");
            let result = format!("Result<{}, rt::Error>", item.next_encoder(level));
            out.function(&head, &["self".to_owned(), "bytes: &[u8]".to_owned()], &result);
            write_data(generator, out, data);
            out.line(format_args!("Ok({})", item.next_encoder_value(level)));
        }
    }
    out.close();
}

fn write_errors(out: &mut Source, when: &str) {
    out.line("///");
    out.line("/// # Errors");
    out.line(format_args!("/// {when}"));
}

fn write_data(generator: &Generator<'_>, out: &mut Source, data: &Data) {
    let (kind, size) = (rust_name(data.length.primitive), data.length.primitive.size_bytes());
    out.assign("let what", &format!("\"data {}\"", data.meta.name));
    out.line(format_args!("let length: {kind} = rt::count(bytes.len(), what)?;"));
    out.line(format_args!("let (head, rest) = self.0.array::<{}>(what)?;", data.start));
    if size < data.start {
        out.line(format_args!("*head = [0; {}];", data.start));
    }
    put(generator, out, "head", data.length, "length");
    out.line("let rest = rest.bytes(bytes, what)?;");
}

fn put(generator: &Generator<'_>, out: &mut Source, place: &str, slot: Slot, value: &str) {
    let (at, size, order) = (slot.offset, slot.primitive.size_bytes(), generator.order());
    out.line(format_args!("{place}.put::<{at}, {size}>({value}.to_{order}_bytes());"));
}

/// Writes a number of the schema; one that the schema has no room for is an error when it is written.
fn put_number(generator: &Generator<'_>, out: &mut Source, place: &str, slot: Slot, number: u32) {
    let kind = rust_name(slot.primitive);
    if u64::from(number) >> (slot.primitive.size_bytes() * 8).min(63) == 0 {
        return put(generator, out, place, slot, &format!("{number}_{kind}"));
    }
    out.line(format_args!("let number: {kind} = rt::count({number}, what)?;"));
    put(generator, out, place, slot, "number");
}

/// The header of a message with this block length and template id, at the start of `out`.
pub(crate) fn write_header(generator: &Generator<'_>, out: &mut Source, block_length: u32, template_id: u16) {
    let header = generator.schema.header();
    let slots = [
        (Some(header.block_length), block_length),
        (Some(header.template_id), template_id.into()),
        (header.schema_id, generator.schema.id.into()),
        (Some(header.version), generator.schema.version.into()),
    ];
    let slots: Vec<_> = slots.into_iter().filter_map(|(slot, value)| Some((slot?, value))).collect();
    if slots.iter().map(|(slot, _)| slot.primitive.size_bytes()).sum::<u32>() < header.size_bytes {
        out.line(format_args!("out.put::<0, {0}>([0; {0}]);", header.size_bytes));
    }
    for (slot, value) in slots {
        put_number(generator, out, "out", slot, value);
    }
}

/// The group's encoder, in its module: `item` is where it stands, `level` what it stands in.
pub(crate) fn write_group(
    generator: &Generator<'_>,
    out: &mut Source,
    group: &Group,
    item: &Item<'_>,
    level: Level,
    named: &Named<'_>,
) {
    let size = group.dimension.size_bytes;
    let outer = if level == Level::Message { "" } else { ", super::OpenGroup<'a>" };
    out.blank();
    out.line(format_args!("type OpenGroup<'a> = rt::Open<'a, {size}{outer}>;"));
    out.blank();
    out.line(format_args!("/// Writes the entries of `{}`.", group.meta.name));
    out.line("#[derive(Debug)]");
    out.line("#[must_use = \"the message is not whole\"]");
    out.line("pub struct Encoder<'a>(pub(super) rt::Writer<'a, OpenGroup<'a>>);");
    out.blank();
    out.open("impl<'a> Encoder<'a>");
    let (next, value) = first(named, "EntryEncoder", Level::Entry);
    out.line(match is_nested(&group.block) {
        true => "/// Writes an entry; the encoder comes back when its groups and data are written.",
        false => "/// Writes an entry.",
    });
    write_errors(out, "If the buffer is full.");
    let arguments = ["self".to_owned(), fields_argument(generator, named)];
    out.function("pub fn push", &arguments, &format!("Result<{next}, rt::Error>"));
    out.assign("let what", &format!("\"group {}\"", group.meta.name));
    out.line("let (out, rest) = self.0.entry(what)?;");
    out.line("fields.write(out);");
    out.line(format_args!("Ok({value})"));
    out.close();
    out.blank();
    write_end(generator, out, group, item, level);
    out.close();
}

fn write_end(generator: &Generator<'_>, out: &mut Source, group: &Group, item: &Item<'_>, level: Level) {
    let (dimension, length) = (&group.dimension, group.block.length_bytes);
    out.line("/// Ends the group.");
    write_errors(out, "If the entries are too many for their count.");
    let next = match level {
        Level::Entry if item.after_encoder.is_none() => "super::Encoder<'a>".to_owned(),
        _ => item.next_encoder(level),
    };
    out.function("pub fn end", &["self".to_owned()], &format!("Result<{next}, rt::Error>"));
    out.assign("let what", &format!("\"group {}\"", group.meta.name));
    out.line("let (head, count, rest) = self.0.close();");
    let kind = rust_name(dimension.count.primitive);
    out.line(format_args!("let count: {kind} = rt::count(count, what)?;"));
    let sizes = dimension.block_length.primitive.size_bytes() + dimension.count.primitive.size_bytes();
    if sizes < dimension.size_bytes {
        out.line(format_args!("*head = [0; {}];", dimension.size_bytes));
    }
    put_number(generator, out, "head", dimension.block_length, length);
    put(generator, out, "head", dimension.count, "count");
    match level {
        Level::Entry if item.after_encoder.is_none() => out.line("Ok(super::Encoder(rest))"),
        _ => out.line(format_args!("Ok({})", item.next_encoder_value(level))),
    }
    out.close();
}

impl Item<'_> {
    fn next_encoder(&self, level: Level) -> String {
        match &self.after_encoder {
            Some(after) => format!("{after}<'a>"),
            None => level.done().to_owned(),
        }
    }

    fn next_encoder_value(&self, level: Level) -> String {
        match &self.after_encoder {
            Some(after) => format!("{after}(rest)"),
            None => level.done_value().to_owned(),
        }
    }
}
