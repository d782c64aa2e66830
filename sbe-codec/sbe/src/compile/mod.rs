//! From XML to [`Schema`]: documents and their includes, then types, then messages.

mod constant;
mod element;
mod include;
mod lint;
mod message;
mod types;

use std::path::Path;

use crate::deviation::{Strictness, Warning};
use crate::error::{Fault, SchemaError};
use crate::ir::{Field, HeaderLayout, Presence, Schema};
use crate::primitive::ByteOrder;
use element::Element;
pub(crate) use element::is_symbol;
use include::Texts;
use lint::{Compiled, lint};
use types::Types;

/// Nesting of composites, of groups and of includes. Real schemas need three.
pub(crate) const DEPTH_MAX: u32 = 16;
/// Values in one composite, those of the composites inside it included.
pub(crate) const VALUES_MAX: u32 = 4_096;
/// Bytes of one block or composite: what a block length of 16 bits can say.
pub(crate) const BLOCK_BYTES_MAX: u32 = u16::MAX as u32;

impl Schema {
    /// Compiles a schema from its text; `origin` names it in errors.
    ///
    /// # Errors
    /// The first fault found, with its place. `xi:include` is a fault here, since a text has no folder: see
    /// [`Schema::load`].
    pub fn parse(xml: &str, origin: &str) -> Result<Schema, SchemaError> {
        Ok(Schema::parse_with(xml, origin, Strictness::Lenient)?.0)
    }

    /// Compiles a schema from a file and the files that it includes, which must be in its folder or below.
    ///
    /// # Errors
    /// The first fault found, with its place.
    pub fn load(path: impl AsRef<Path>) -> Result<Schema, SchemaError> {
        Ok(Schema::load_with(path, Strictness::Lenient)?.0)
    }

    /// As [`Schema::parse`], with what the schema does against the standard, by place; none if strict.
    ///
    /// # Errors
    /// The first fault found, with its place; if there is none and it is strict, the first deviation.
    pub fn parse_with(xml: &str, origin: &str, strictness: Strictness) -> Result<(Schema, Vec<Warning>), SchemaError> {
        compile(&Texts::of_text(xml, origin), strictness)
    }

    /// As [`Schema::load`], with what the schema does against the standard, by place; none if strict.
    ///
    /// # Errors
    /// The first fault found, with its place; if there is none and it is strict, the first deviation.
    pub fn load_with(path: impl AsRef<Path>, strictness: Strictness) -> Result<(Schema, Vec<Warning>), SchemaError> {
        compile(&Texts::read(path.as_ref())?, strictness)
    }
}

fn compile(texts: &Texts, strictness: Strictness) -> Result<(Schema, Vec<Warning>), SchemaError> {
    let documents = texts.parse()?;
    let root = documents.root();
    if root.name() != "messageSchema" {
        return Err(root.fault(Fault::NotASchema { found: root.name().to_owned() }));
    }
    let id = root.required_number("id")?;
    let version = root.number("version")?.unwrap_or(0);
    let byte_order = match root.text("byteOrder") {
        None | Some("littleEndian") => ByteOrder::Little,
        Some("bigEndian") => ByteOrder::Big,
        Some(_) => return Err(root.bad_attribute("byteOrder", "littleEndian or bigEndian")),
    };
    let items = documents.items()?;
    let mut types = Types::declare(&items.types)?;
    let declared = types.compile_all()?;
    let messages = message::compile_all(&mut types, &items.messages)?;
    let mut templates: Vec<_> = (0_u32..).zip(&messages).map(|(at, message)| (message.template_id, at)).collect();
    templates.sort_unstable();
    let header = header(&mut types, root, byte_order)?;
    let types = types.finish();
    let compiled = Compiled {
        root,
        version,
        items: &items,
        types: &types,
        declared: &declared,
        messages: &messages,
        header: &header,
    };
    let warnings = lint(&compiled);
    if let (Strictness::Strict, Some(first)) = (strictness, warnings.first()) {
        return Err(first.clone().into_fault());
    }
    let schema = Schema {
        package: root.text_or_empty("package"),
        id,
        version,
        semantic_version: root.text_or_empty("semanticVersion"),
        description: root.text_or_empty("description"),
        byte_order,
        types,
        messages,
        header,
        templates,
    };
    Ok((schema, warnings))
}

/// FIX SBE 1.0, Message Schema: the message header is the composite that `headerType` names, or `messageHeader`.
fn header<'a>(types: &mut Types<'a>, root: Element<'a>, byte_order: ByteOrder) -> Result<HeaderLayout, SchemaError> {
    const ROLE: &str = "a message header";
    let type_id = types.resolve(root, root.text("headerType").unwrap_or("messageHeader"))?;
    let composite = types.composite(root, type_id, ROLE)?;
    let size_bytes = composite.size_bytes;
    let constant = |member: &Field| member.meta.name == "schemaId" && member.presence == Presence::Constant;
    let without_id = composite.members.iter().any(constant);
    let slot = |member| types.slot(root, type_id, member, ROLE);
    Ok(HeaderLayout {
        type_id,
        size_bytes,
        byte_order,
        block_length: slot("blockLength")?,
        template_id: slot("templateId")?,
        schema_id: if without_id { None } else { Some(slot("schemaId")?) },
        version: slot("version")?,
    })
}
