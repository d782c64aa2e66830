//! What a schema that has been compiled does against the standard. Nothing here decides what a schema means.
//!
//! Each rule cites FIX SBE 1.0. One is left out: "semanticType must be specified on either a field or its type", since
//! it says nothing about the wire and no venue obeys it.

use std::collections::HashMap;

use super::element::Element;
use super::include::Items;
use crate::deviation::{Deviation, Warning};
use crate::ir::{Block, Composite, Data, Field, HeaderLayout, Message, Meta, Presence, Type, TypeId};
use crate::primitive::Primitive;

/// The name spaces of SBE 1.0 and 2.0.
const NAME_SPACES: [&str; 2] = ["http://fixprotocol.io/2016/sbe", "http://fixprotocol.io/2017/sbe"];
const NAME_MAX: usize = 64;

/// What was compiled, beside what it was compiled from.
pub(super) struct Compiled<'a, 'b> {
    pub(super) root: Element<'a>,
    pub(super) version: u16,
    pub(super) items: &'b Items<'a>,
    pub(super) types: &'b [Type],
    /// Of `items.types`, in their order.
    pub(super) declared: &'b [TypeId],
    pub(super) messages: &'b [Message],
    pub(super) header: &'b HeaderLayout,
}

/// All deviations, by place.
pub(super) fn lint(compiled: &Compiled<'_, '_>) -> Vec<Warning> {
    let elements = compiled.items.types.iter().map(|element| (element.text_or_empty("name"), *element));
    let mut lint = Lint {
        version: compiled.version,
        types: compiled.types,
        declared: elements.collect(),
        ids: HashMap::new(),
        warnings: Vec::new(),
    };
    lint.root(compiled.root, compiled.items);
    lint.header(compiled);
    for (element, id) in compiled.items.types.iter().zip(compiled.declared) {
        lint.type_of(*element, *id);
    }
    for (element, message) in compiled.items.messages.iter().zip(compiled.messages) {
        lint.block(*element, &message.meta, &message.block);
    }
    lint.warnings.sort_by(|a, b| (&a.origin, a.line, a.column).cmp(&(&b.origin, b.line, b.column)));
    lint.warnings
}

struct Lint<'a, 'b> {
    version: u16,
    types: &'b [Type],
    declared: HashMap<String, Element<'a>>,
    /// Where each id of a field, group or data was first; nothing once it was found to be of several.
    ids: HashMap<u16, Option<Element<'a>>>,
    warnings: Vec<Warning>,
}

impl<'a> Lint<'a, '_> {
    fn warn(&mut self, element: Element<'_>, attribute: &str, deviation: Deviation) {
        self.warnings.push(element.warning_at(attribute, deviation));
    }

    /// Message Schema, "Root element"; sbe.xsd, `messageSchema`.
    fn root(&mut self, root: Element<'a>, items: &Items<'_>) {
        let found = root.node.tag_name().namespace().unwrap_or("");
        if !NAME_SPACES.contains(&found) {
            self.warn(root, "", Deviation::NameSpace { found: found.to_owned() });
        }
        if root.text("version").is_none() {
            self.warn(root, "", Deviation::MissingAttribute { element: root.name().to_owned(), attribute: "version" });
        }
        let mut messages = false;
        for child in root.children() {
            messages |= matches!(child.name(), "message" | "messages");
            if messages && child.name() == "types" {
                self.warn(child, "", Deviation::TypesAfterMessages);
            }
        }
        self.content(root, "message", items.messages.is_empty());
        self.attributes(root);
    }

    /// Message Structure, "Message header schema": in a fixed position.
    fn header(&mut self, compiled: &Compiled<'_, 'a>) {
        let Type::Composite(header) = &self.types[compiled.header.type_id.0 as usize] else { return };
        let sent = header.members.iter().filter(|member| member.presence != Presence::Constant);
        let first = sent.take(4).map(|member| member.meta.name.as_str());
        if first.ne(["blockLength", "templateId", "schemaId", "version"]) {
            let at = self.declared.get(header.meta.name.as_str()).copied().unwrap_or(compiled.root);
            self.warn(at, "", Deviation::HeaderOrder);
        }
    }

    fn type_of(&mut self, element: Element<'a>, id: TypeId) {
        self.named(element, self.types[id.0 as usize].meta());
        match &self.types[id.0 as usize] {
            // Message Schema, "<type> attributes": nullValue is only valid if presence = optional.
            Type::Encoding(encoding) if encoding.presence != Presence::Optional => {
                if element.text("nullValue").is_some() {
                    self.warn(element, "nullValue", Deviation::NullOfRequired);
                }
            }
            Type::Encoding(_) => {}
            Type::Enum(symbols) => {
                // Message Schema, "<enum> element": char or any unsigned integer type.
                if !(symbols.primitive == Primitive::Char || symbols.primitive.is_unsigned()) {
                    let primitive = symbols.primitive.name();
                    self.warn(element, "encodingType", Deviation::EnumEncoding { primitive });
                }
                self.choices(element, "validValue", symbols.values.iter().map(|value| (&value.meta, value.number)));
            }
            Type::Set(set) => {
                self.choices(element, "choice", set.choices.iter().map(|choice| (&choice.meta, choice.bit)))
            }
            Type::Composite(composite) => self.composite(element, composite),
        }
    }

    /// Field Encoding, "Encoding specification of enumeration", and of multi-value choice: at least one, and the name
    /// and value unique.
    fn choices<'m, V: PartialEq + Copy>(
        &mut self,
        element: Element<'a>,
        content: &'static str,
        choices: impl Iterator<Item = (&'m Meta, V)>,
    ) {
        let mut seen: Vec<(&Meta, V)> = Vec::new();
        for (child, (meta, value)) in element.children().zip(choices) {
            self.named(child, meta);
            if child.content().is_empty() {
                self.warn(child, "", Deviation::BlankValue);
            }
            if let Some((first, _)) = seen.iter().find(|(_, other)| *other == value) {
                let (value, first) = (child.content().to_owned(), first.name.to_string());
                self.warn(child, "", Deviation::DuplicateValue { value, first });
            }
            seen.push((meta, value));
        }
        self.content(element, content, seen.is_empty());
    }

    fn composite(&mut self, element: Element<'a>, composite: &Composite) {
        let mut newest = 0;
        for (child, member) in element.children().zip(&composite.members) {
            self.appended(child, &member.meta, &mut newest);
            match child.name() {
                "ref" => {
                    self.named(child, &member.meta);
                    self.declared_type(child);
                }
                _ => self.type_of(child, member.type_id),
            }
            self.constant_offset(child, member);
        }
        self.content(element, "type", composite.members.is_empty());
    }

    fn block(&mut self, element: Element<'a>, meta: &Meta, block: &Block) {
        self.named(element, meta);
        let mut ids = HashMap::new();
        let mut children = element.children();
        let mut newest = 0;
        for (field, child) in block.fields.iter().zip(&mut children) {
            self.member(child, &field.meta, field.id, &mut ids, &mut newest);
            self.named(child, &field.meta);
            self.field(child, field);
        }
        newest = 0;
        for (group, child) in block.groups.iter().zip(&mut children) {
            self.member(child, &group.meta, group.id, &mut ids, &mut newest);
            // Message Structure, "Repeating groups": a group must contain at least one field.
            self.content(child, "field", group.block.fields.is_empty());
            self.block(child, &group.meta, &group.block);
        }
        newest = 0;
        for (data, child) in block.data.iter().zip(&mut children) {
            self.member(child, &data.meta, data.id, &mut ids, &mut newest);
            self.named(child, &data.meta);
            self.declared_type(child);
            self.data(child, data);
        }
    }

    /// Message Schema, "Schema validation": id and name identify a field or group within the schema.
    fn member(
        &mut self,
        element: Element<'a>,
        meta: &Meta,
        id: u16,
        in_block: &mut HashMap<u16, String>,
        newest: &mut u16,
    ) {
        self.appended(element, meta, newest);
        if let Some(first) = in_block.insert(id, meta.name.to_string()) {
            return self.warn(element, "id", Deviation::DuplicateId { id, first });
        }
        let known = self.ids.entry(id).or_insert(Some(element));
        // Once for each id: venues that number the fields of every message from 1 mean nothing by it.
        if let Some(first) = known.take_if(|first| first.text("name") != Some(&meta.name)) {
            let (name, first_line) = (first.text_or_empty("name"), first.line());
            self.warn(element, "id", Deviation::IdOfAnother { id, first: name, first_line });
        }
    }

    /// Schema Extension Mechanism, "Since version": extensions follow earlier ones.
    fn appended(&mut self, element: Element<'a>, meta: &Meta, newest: &mut u16) {
        if meta.since_version < *newest {
            let deviation = Deviation::NewerBeforeOlder { found: meta.since_version, before: *newest };
            self.warn(element, "sinceVersion", deviation);
        }
        *newest = meta.since_version.max(*newest);
    }

    fn field(&mut self, element: Element<'a>, field: &Field) {
        // Field Encoding, "Multi-value choice encoding": there is no null value.
        if matches!(self.types[field.type_id.0 as usize], Type::Set(_)) && field.presence == Presence::Optional {
            self.warn(element, "presence", Deviation::OptionalSet);
        }
        if element.text("nullValue").is_some() && field.presence != Presence::Optional {
            self.warn(element, "nullValue", Deviation::NullOfRequired);
        }
        self.constant_offset(element, field);
        let Some(declared) = self.declared_type(element) else { return };
        let name = declared.text_or_empty("name");
        // Message Schema, "Schema validation": where both say it, they say the same.
        let both = |attribute| {
            let (here, there) = (element.text(attribute)?, declared.text(attribute)?);
            (here != there).then(|| (here.to_owned(), there.to_owned()))
        };
        if let Some((field, in_type)) = both("presence") {
            self.warn(element, "presence", Deviation::PresenceMismatch { name: name.clone(), field, in_type });
        }
        if let Some((field, in_type)) = both("semanticType") {
            self.warn(element, "semanticType", Deviation::SemanticTypeMismatch { name, field, in_type });
        }
    }

    /// Message Schema, "Field attributes": type matches the name of a declared encoding.
    fn declared_type(&mut self, element: Element<'a>) -> Option<Element<'a>> {
        let name = element.text("type")?;
        let declared = self.declared.get(name).copied();
        if declared.is_none() {
            self.warn(element, "type", Deviation::UndeclaredPrimitive { name: name.to_owned() });
        }
        declared
    }

    /// Message Schema, "Field attributes": an offset is not less than the sizes before it.
    fn constant_offset(&mut self, element: Element<'a>, field: &Field) {
        match element.text("offset").and_then(|offset| offset.parse().ok()) {
            Some(offset) if offset < field.offset => {
                self.warn(element, "offset", Deviation::ConstantOffset { offset, end: field.offset });
            }
            _ => {}
        }
    }

    /// Field Encoding, "Variable-length data encoding".
    fn data(&mut self, element: Element<'a>, data: &Data) {
        let Type::Composite(composite) = &self.types[data.type_id.0 as usize] else { return };
        let bytes = composite.members.iter().find(|member| member.meta.name == "varData");
        let length = bytes.map(|member| match &self.types[member.type_id.0 as usize] {
            Type::Encoding(encoding) => encoding.length,
            _ => 0,
        });
        if length != Some(0) {
            self.warn(element, "type", Deviation::VarDataLength);
        }
        let primitive = data.length.primitive;
        if !matches!(primitive, Primitive::UInt8 | Primitive::UInt16) {
            self.warn(element, "type", Deviation::DataLengthEncoding { primitive: primitive.name() });
        }
    }

    /// What every named element obeys: sbe.xsd, `symbolicName_t`; Message Schema, `sinceVersion` and `deprecated`.
    fn named(&mut self, element: Element<'a>, meta: &Meta) {
        self.attributes(element);
        if meta.name.len() > NAME_MAX {
            self.warn(element, "name", Deviation::LongName { length: meta.name.len() });
        }
        let versions = [("sinceVersion", Some(meta.since_version)), ("deprecated", meta.deprecated)];
        for (attribute, found) in versions {
            if let Some(found) = found.filter(|found| *found > self.version) {
                let version = self.version;
                self.warn(element, attribute, Deviation::VersionAboveSchema { attribute, found, version });
            }
        }
    }

    fn content(&mut self, element: Element<'a>, content: &'static str, empty: bool) {
        if empty {
            self.warn(element, "", Deviation::Empty { element: element.name().to_owned(), content });
        }
    }

    fn attributes(&mut self, element: Element<'a>) {
        for attribute in element.node.attributes().filter(|attribute| attribute.namespace().is_none()) {
            if !known(element.name(), attribute.name()) {
                let (element_name, name) = (element.name().to_owned(), attribute.name().to_owned());
                self.warn(
                    element,
                    attribute.name(),
                    Deviation::UnknownAttribute { element: element_name, attribute: name },
                );
            }
        }
    }
}

/// The attributes of sbe.xsd, of 1.0 and of 2.0 together.
fn known(element: &str, attribute: &str) -> bool {
    let all = matches!(attribute, "name" | "description" | "sinceVersion" | "deprecated");
    let placed = matches!(attribute, "offset" | "alignment");
    let valued = matches!(attribute, "presence" | "valueRef" | "nullValue" | "minValue" | "maxValue");
    let semantic = attribute == "semanticType";
    match element {
        "messageSchema" => matches!(
            attribute,
            "package" | "id" | "version" | "semanticVersion" | "description" | "byteOrder" | "headerType"
        ),
        "type" => {
            all || placed || valued || semantic || matches!(attribute, "length" | "primitiveType" | "characterEncoding")
        }
        "composite" => all || placed || semantic,
        "enum" | "set" => all || placed || semantic || attribute == "encodingType",
        "ref" => all || placed || semantic || attribute == "type",
        "validValue" | "choice" => all,
        "field" | "data" => {
            all || placed || valued || semantic || matches!(attribute, "id" | "type" | "epoch" | "timeUnit")
        }
        "message" => all || semantic || matches!(attribute, "id" | "blockLength" | "alignment"),
        _ => all || semantic || matches!(attribute, "id" | "blockLength" | "alignment" | "dimensionType"),
    }
}
