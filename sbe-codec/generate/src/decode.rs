//! Decoders: a type for each place in a message from which something is read, so that reading in another order does
//! not compile.

use oyez_sbe::{Data, Group, Slot};

use crate::Generator;
use crate::block::{base_bytes, document, is_late, read_body};
use crate::items::{Item, Kind, Named, is_nested};
use crate::source::Source;
use crate::value::{Holder, Value, rust_name};

/// What is being read: a message, or an entry of a group that has groups or data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Message,
    Entry,
}

impl Level {
    pub(crate) fn generics(self) -> &'static str {
        match self {
            Level::Message => "<'a>",
            Level::Entry => "<'g, 'a>",
        }
    }

    fn reader(self) -> &'static str {
        match self {
            Level::Message => "rt::Reader<'a>",
            Level::Entry => "rt::Reader<'a, rt::Inside<'g, 'a>>",
        }
    }

    fn home(self) -> &'static str {
        match self {
            Level::Message => "",
            Level::Entry => ", rt::Inside<'g, 'a>",
        }
    }
}

/// The decoder of a block and those of what follows it: `name` is `Decoder` or `Entry`.
pub(crate) fn write(generator: &Generator<'_>, out: &mut Source, named: &Named<'_>, name: &str, level: Level) {
    let base = base_bytes(named.block, generator.partial);
    let (generics, reader) = (level.generics(), level.reader());
    out.line("#[derive(Clone, Copy, Debug)]");
    out.open(format_args!("pub struct {name}{generics}"));
    out.line(format_args!("block: rt::Block<'a, {base}>,"));
    out.line(format_args!("rest: {reader},"));
    out.close();
    out.blank();
    out.open(format_args!("impl{generics} {name}{generics}"));
    write_fields(generator, out, named);
    if let Some(item) = named.items.first() {
        write_item(generator, out, item, "self.rest", level);
    }
    if level == Level::Message {
        write_message_methods(out, named);
    }
    out.close();
    for (before, item) in named.items.iter().zip(named.items.iter().skip(1)) {
        let Some(after) = &before.after else { continue };
        out.blank();
        out.line(format_args!("/// Behind `{}`.", before.kind.name()));
        out.line("#[derive(Clone, Copy, Debug)]");
        out.line(format_args!("pub struct {after}{generics}({reader});"));
        out.blank();
        out.open(format_args!("impl{generics} {after}{generics}"));
        write_item(generator, out, item, "self.0", level);
        out.close();
    }
    for item in &named.items {
        if let Kind::Data(data) = item.kind {
            write_read_data(generator, out, data, &item.method);
        }
    }
    if is_nested(named.block) {
        write_skip(out, named);
    }
}

/// The decoder of an entry that has nothing but its block.
pub(crate) fn write_flat_entry(generator: &Generator<'_>, out: &mut Source, named: &Named<'_>) {
    let base = base_bytes(named.block, generator.partial);
    out.line("#[derive(Clone, Copy, Debug)]");
    out.open("pub struct Entry<'a>");
    out.line(format_args!("block: rt::Block<'a, {base}>,"));
    out.close();
    out.blank();
    out.open(format_args!("impl<'a> From<rt::Block<'a, {base}>> for Entry<'a>"));
    out.function("fn from", &[format!("block: rt::Block<'a, {base}>")], "Self");
    out.line("Entry { block }");
    out.close();
    out.close();
    out.blank();
    out.open("impl<'a> Entry<'a>");
    write_fields(generator, out, named);
    out.close();
}

fn write_fields(generator: &Generator<'_>, out: &mut Source, named: &Named<'_>) {
    let base = base_bytes(named.block, generator.partial);
    for (field, name) in &named.fields {
        let value = Value::of(generator.schema, &generator.types, field);
        let late = is_late(field, base);
        out.blank();
        document(out, generator.schema, field);
        let kind = value.rust_type(Holder::Block, late);
        out.function(&format!("pub fn {name}"), &["&self".to_owned()], &kind);
        read_body(out, &value, "self.block", field, Holder::Block, late);
        out.close();
    }
}

fn write_message_methods(out: &mut Source, named: &Named<'_>) {
    out.blank();
    out.line("/// The version of the schema that the writer had.");
    out.function("pub fn schema_version", &["&self".to_owned()], "u16");
    out.line("self.block.version()");
    out.close();
    out.blank();
    out.line("/// The end of the message, all before it checked and not looked at.");
    out.line("///");
    out.line("/// # Errors");
    out.line("/// If the message is cut short.");
    out.function("pub fn skip", &["self".to_owned()], "Result<rt::End<'a>, rt::Error>");
    out.line(if is_nested(named.block) { "Ok(skip(self.rest)?.end())" } else { "Ok(self.rest.end())" });
    out.close();
}

/// The method that reads a group or data and goes behind it.
fn write_item(generator: &Generator<'_>, out: &mut Source, item: &Item<'_>, rest: &str, level: Level) {
    let method = &item.method;
    out.blank();
    match &item.kind {
        Kind::Group(group, module) => {
            out.docs(
                &group.meta.description,
                &format!("Group `{}`{}.", group.meta.name, crate::types::since(&group.meta)),
            );
            write_errors(out);
            let generics = level.generics();
            let result = format!("Result<{module}::Group{generics}, rt::Error>");
            out.function(&format!("pub fn {method}"), &["self".to_owned()], &result);
            out.line(format_args!("let group = {module}::open({rest})?;"));
            out.line(format_args!("Ok({module}::Group(group))"));
            out.close();
        }
        Kind::Data(data) => {
            generator.document_data(out, data);
            write_errors(out);
            let bytes = data_type(data);
            let result = format!("Result<({bytes}, {}), rt::Error>", item.next(level));
            out.function(&format!("pub fn {method}"), &["self".to_owned()], &result);
            out.line(format_args!("let (data, rest) = read_{method}({rest})?;"));
            match &item.after {
                Some(after) => out.line(format_args!("Ok((data, {after}(rest)))")),
                None => out.line("Ok((data, rest.end()))"),
            }
            out.close();
        }
    }
}

fn write_errors(out: &mut Source) {
    out.line("///");
    out.line("/// # Errors");
    out.line("/// If the message is cut short.");
}

fn data_type(data: &Data) -> &'static str {
    if data.meta.since_version > 0 { "Option<&'a [u8]>" } else { "&'a [u8]" }
}

fn write_read_data(generator: &Generator<'_>, out: &mut Source, data: &Data, method: &str) {
    let result = format!("Result<({}, rt::Reader<'a, H>), rt::Error>", data_type(data));
    out.blank();
    out.function(&format!("fn read_{method}<'a, H>"), &["reader: rt::Reader<'a, H>".to_owned()], &result);
    let since = data.meta.since_version;
    if since > 0 {
        out.open(format_args!("if reader.version() < {since}"));
        out.line("return Ok((None, reader));");
        out.close();
    }
    out.assign("let what", &format!("\"data {}\"", data.meta.name));
    out.line(format_args!("let (head, rest) = reader.array::<{}>(what)?;", data.start));
    write_slot(generator, out, "length", data.length);
    match since {
        0 => out.line("rest.bytes(length.into(), what)"),
        _ => {
            out.line("let (data, rest) = rest.bytes(length.into(), what)?;");
            out.line("Ok((Some(data), rest))");
        }
    }
    out.close();
}

fn write_slot(generator: &Generator<'_>, out: &mut Source, name: &str, slot: Slot) {
    let (kind, size) = (rust_name(slot.primitive), slot.primitive.size_bytes());
    let (order, at) = (generator.order(), slot.offset);
    out.line(format_args!("let {name} = {kind}::from_{order}_bytes(*head.view::<{at}, {size}>());"));
}

/// The header's members, each a variable.
pub(crate) fn write_header_slots(generator: &Generator<'_>, out: &mut Source) {
    let header = generator.schema.header();
    write_slot(generator, out, "block_length", header.block_length);
    write_slot(generator, out, "template_id", header.template_id);
    if let Some(slot) = header.schema_id {
        write_slot(generator, out, "schema_id", slot);
    }
    write_slot(generator, out, "version", header.version);
}

/// The function that walks over the groups and data of a block.
fn write_skip(out: &mut Source, named: &Named<'_>) {
    out.blank();
    out.function("pub(super) fn skip", &["rest: rt::Reader<'_>".to_owned()], "Result<rt::Reader<'_>, rt::Error>");
    for item in &named.items {
        match &item.kind {
            Kind::Data(_) => out.line(format_args!("let (_, rest) = read_{}(rest)?;", item.method)),
            Kind::Group(group, module) => {
                out.line(format_args!("let group = {module}::open(rest)?;"));
                match is_nested(&group.block) {
                    true => out.line(format_args!("let rest = group.end({module}::skip)?;")),
                    false => out.line("let rest = group.end();"),
                }
            }
        }
    }
    out.line("Ok(rest)");
    out.close();
}

/// The group itself, in its module: `item` is where it stands, `level` what it stands in.
pub(crate) fn write_group(generator: &Generator<'_>, out: &mut Source, group: &Group, item: &Item<'_>, level: Level) {
    let base = base_bytes(&group.block, generator.partial);
    let (generics, home) = (level.generics(), level.home());
    let nested = is_nested(&group.block);
    let of = |home: &str| match nested {
        true => format!("rt::Nested<'a{home}>"),
        false => format!("rt::Flat<'a, {base}{home}>"),
    };
    out.docs(
        &group.meta.description,
        &format!("Group `{}`: its entries are read by iterating over `&group`.", group.meta.name),
    );
    out.line(if nested { "#[derive(Clone, Debug)]" } else { "#[derive(Clone, Copy, Debug)]" });
    out.line(format_args!("pub struct Group{generics}(pub(super) {});", of(home)));
    out.blank();
    out.open(format_args!("impl{generics} Group{generics}"));
    out.line("/// The number of entries.");
    out.function("pub fn count", &["&self".to_owned()], "u32");
    out.line("self.0.count()");
    out.close();
    if group.meta.since_version > 0 {
        out.blank();
        out.line("/// Did the writer's version have it?");
        out.function("pub fn is_present", &["&self".to_owned()], "bool");
        out.line(format_args!("self.0.version() >= {}", group.meta.since_version));
        out.close();
    }
    out.blank();
    let next = item.next(level);
    let fallible = if nested { format!("Result<{next}, rt::Error>") } else { next };
    out.line("/// Goes on behind the group; entries that were not read are skipped.");
    if nested {
        write_errors(out);
    }
    // What a nested group holds takes longer to hand over than its end takes where all entries were read.
    let inline = if nested { "#[inline(always)]" } else { "#[inline]" };
    out.function_inlined(inline, "pub fn end", &["self".to_owned()], &fallible);
    out.line(if nested { "let rest = self.0.end(skip)?;" } else { "let rest = self.0.end();" });
    let next = match &item.after {
        Some(after) => format!("{after}(rest)"),
        None => "rest.end()".to_owned(),
    };
    out.line(if nested { format!("Ok({next})") } else { next });
    out.close();
    out.close();
    write_iterator(out, nested, base, level);
    write_open(generator, out, group, &of(", H"));
}

fn write_iterator(out: &mut Source, nested: bool, base: u32, level: Level) {
    let (parameters, group) = match level {
        Level::Message => ("<'i, 'a>", "Group<'a>"),
        Level::Entry => ("<'i, 'g, 'a>", "Group<'g, 'a>"),
    };
    out.blank();
    match nested {
        true => {
            out.open(format_args!("impl{parameters} Iterator for &'i {group}"));
            out.line("type Item = Result<Entry<'i, 'a>, rt::Error>;");
            out.blank();
            out.function("fn next", &["&mut self".to_owned()], "Option<Self::Item>");
            out.open("Some(match self.0.next(skip)?");
            out.line("Ok((block, rest)) => Ok(Entry { block, rest }),");
            out.line("Err(error) => Err(error),");
            out.close_with(")");
            out.close();
        }
        false => {
            out.open(format_args!("impl{parameters} IntoIterator for &'i {group}"));
            out.line("type Item = Entry<'a>;");
            out.line(format_args!("type IntoIter = rt::Entries<'a, {base}, Entry<'a>>;"));
            out.blank();
            out.function("fn into_iter", &["self".to_owned()], "Self::IntoIter");
            out.line("self.0.entries()");
            out.close();
        }
    }
    out.close();
}

/// The function that reads the counts before the entries.
fn write_open(generator: &Generator<'_>, out: &mut Source, group: &Group, result: &str) {
    let method = if is_nested(&group.block) { "nested" } else { "flat" };
    out.blank();
    let argument = "reader: rt::Reader<'a, H>".to_owned();
    out.function("pub(super) fn open<'a, H>", &[argument], &format!("Result<{result}, rt::Error>"));
    out.assign("let what", &format!("\"group {}\"", group.meta.name));
    let since = group.meta.since_version;
    if since > 0 {
        out.open(format_args!("if reader.version() < {since}"));
        out.line(format_args!("return reader.{method}(0, 0, what);"));
        out.close();
    }
    out.line(format_args!("let (head, rest) = reader.array::<{}>(what)?;", group.dimension.size_bytes));
    write_slot(generator, out, "length", group.dimension.block_length);
    write_slot(generator, out, "count", group.dimension.count);
    out.line(format_args!("rest.{method}(length.into(), count.into(), what)"));
    out.close();
}

impl Item<'_> {
    /// What is read next.
    fn next(&self, level: Level) -> String {
        match &self.after {
            Some(after) => format!("{after}{}", level.generics()),
            None => "rt::End<'a>".to_owned(),
        }
    }
}

impl Kind<'_> {
    pub(crate) fn name(&self) -> &str {
        match self {
            Kind::Group(group, _) => &group.meta.name,
            Kind::Data(data) => &data.meta.name,
        }
    }
}
