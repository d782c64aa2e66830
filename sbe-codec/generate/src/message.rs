//! A message's module, and within it those of its groups.

use oyez_sbe::Message;

use crate::Generator;
use crate::block::write_constants;
use crate::items::{Item, Kind, Named, is_nested};
use crate::names::Scope;
use crate::source::Source;
use crate::types::since;
use crate::{decode, encode};

/// Constants of our own, which no constant field may stand for.
const CONSTANTS: &[&str] = &["BLOCK_BYTES", "MESSAGE_BYTES_MIN", "SCHEMA_ID", "SCHEMA_VERSION", "TEMPLATE_ID"];

pub(crate) fn write(generator: &Generator<'_>, out: &mut Source, message: &Message, module: &str, scope: &Scope) {
    let meta = &message.meta;
    let block = &message.block;
    let mut scope = scope.clone();
    let named = Named::new(block, &mut scope, &["schema_version", "skip"]);
    let template_id = message.template_id;
    let least = generator.schema.least_bytes(message);
    let size = match is_nested(block) {
        true => format!("{least} bytes and more, as groups and data have them"),
        false => format!("{least} bytes"),
    };
    out.blank();
    out.docs(&meta.description, &format!("Message `{}`, template {template_id}{}: {size}.", meta.name, since(meta)));
    out.open(format_args!("pub mod {module}"));
    out.line("use super::*;");
    out.blank();
    out.line("/// The message's number in its header.");
    out.line(format_args!("pub const TEMPLATE_ID: u16 = {template_id};"));
    out.line("/// Bytes of the fixed part.");
    out.line(format_args!("pub const BLOCK_BYTES: usize = {};", block.length_bytes));
    out.line("/// Bytes of the message, header included, with no entry in a group and no byte in data.");
    out.line(format_args!("pub const MESSAGE_BYTES_MIN: usize = {least};"));
    write_constants(out, generator.schema, &generator.types, &block.fields, constants(&scope));
    out.blank();
    out.docs(&meta.description, &format!("Reads `{}`.", meta.name));
    decode::write(generator, out, &named, "Decoder", decode::Level::Message);
    write_decode(generator, out, &named, &meta.name);
    encode::write_fields(generator, out, &named, "the message");
    write_encode(generator, out, &named, message);
    encode::write(generator, out, &named, "Encoder", encode::Level::Message);
    write_groups(generator, out, &named, &scope, (decode::Level::Message, encode::Level::Message));
    out.close();
}

/// Names that constant fields must not take: types are seen from where the constants are.
pub(crate) fn constants(scope: &Scope) -> Scope {
    let mut scope = scope.clone();
    for name in CONSTANTS {
        scope.unique((*name).to_owned());
    }
    scope
}

fn write_decode(generator: &Generator<'_>, out: &mut Source, named: &Named<'_>, name: &str) {
    let base = crate::block::base_bytes(named.block, generator.partial);
    out.blank();
    out.line("/// The message at the start of the bytes.");
    out.line("///");
    out.line("/// # Errors");
    out.line("/// If its header or its block is cut short, or it is another message.");
    out.function("pub fn decode", &["bytes: &[u8]".to_owned()], "Result<Decoder<'_>, rt::Error>");
    out.line("let (header, rest) = header(bytes)?;");
    out.line("header.of_template(TEMPLATE_ID)?;");
    out.line("open(header, rest)");
    out.close();
    out.blank();
    let arguments = ["header: rt::Header".to_owned(), "rest: rt::Reader<'_>".to_owned()];
    out.function("pub(super) fn open", &arguments, "Result<Decoder<'_>, rt::Error>");
    out.assign("let what", &format!("\"message {name}\""));
    out.line(format_args!("let (block, rest) = rest.block::<{base}>(header.block_length, what)?;"));
    out.line("Ok(Decoder { block, rest })");
    out.close();
}

fn write_encode(generator: &Generator<'_>, out: &mut Source, named: &Named<'_>, message: &Message) {
    let header = generator.schema.header().size_bytes;
    let length = named.block.length_bytes;
    let (next, value) = encode::first(named, "Encoder", encode::Level::Message);
    out.blank();
    out.line(match named.items.is_empty() {
        true => "/// Writes the message, and gives its length in bytes.",
        false => "/// Writes header and fields; what is given writes the rest.",
    });
    out.line("///");
    out.line("/// # Errors");
    out.line("/// If the buffer is too small.");
    let generic = if next == "usize" { "" } else { "<'a>" };
    let buffer = if next == "usize" { "buffer: &mut [u8]" } else { "buffer: &'a mut [u8]" };
    let arguments = [buffer.to_owned(), encode::fields_argument(generator, named)];
    out.function(&format!("pub fn encode{generic}"), &arguments, &format!("Result<{next}, rt::Error>"));
    out.assign("let what", &format!("\"message {}\"", message.meta.name));
    out.line(format_args!("let (out, rest) = rt::Writer::new(buffer).array::<{}>(what)?;", header + length));
    encode::write_header(generator, out, length, message.template_id);
    out.line(format_args!("fields.write(out.part::<{header}, {length}>());"));
    out.line(format_args!("Ok({value})"));
    out.close();
}

type Levels = (decode::Level, encode::Level);

fn write_groups(generator: &Generator<'_>, out: &mut Source, named: &Named<'_>, scope: &Scope, levels: Levels) {
    for item in &named.items {
        write_group(generator, out, item, scope, levels);
    }
}

fn write_group(generator: &Generator<'_>, out: &mut Source, item: &Item<'_>, scope: &Scope, levels: Levels) {
    let Kind::Group(group, module) = &item.kind else { return };
    let mut scope = scope.clone();
    let named = Named::new(&group.block, &mut scope, &[]);
    out.blank();
    let what = format!("Group `{}`: entries of {} bytes.", group.meta.name, group.block.length_bytes);
    out.docs(&group.meta.description, &what);
    out.open(format_args!("pub mod {module}"));
    out.line("use super::*;");
    out.blank();
    out.line("/// Bytes of the fixed part of an entry.");
    out.line(format_args!("pub const BLOCK_BYTES: usize = {};", group.block.length_bytes));
    write_constants(out, generator.schema, &generator.types, &group.block.fields, constants(&scope));
    out.blank();
    decode::write_group(generator, out, group, item, levels.0);
    out.blank();
    out.docs(&group.meta.description, &format!("An entry of `{}`.", group.meta.name));
    match is_nested(&group.block) {
        true => decode::write(generator, out, &named, "Entry", decode::Level::Entry),
        false => decode::write_flat_entry(generator, out, &named),
    }
    encode::write_fields(generator, out, &named, "an entry");
    encode::write_group(generator, out, group, item, levels.1, &named);
    encode::write(generator, out, &named, "EntryEncoder", encode::Level::Entry);
    write_groups(generator, out, &named, &scope, (decode::Level::Entry, encode::Level::Entry));
    out.close();
}
