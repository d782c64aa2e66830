//! Messages: blocks of fields, groups and variable data.

use super::DEPTH_MAX;
use super::element::Element;
use super::types::{Lines, Types};
use crate::error::{Fault, SchemaError};
use crate::ir::{Block, Content, Data, Dimension, Group, Message, Type};
use crate::primitive::Charset;

/// All messages, in the order of the schema.
pub(super) fn compile_all<'a>(types: &mut Types<'a>, elements: &[Element<'a>]) -> Result<Vec<Message>, SchemaError> {
    let mut messages = Vec::new();
    let (mut names, mut ids) = (Lines::default(), Lines::default());
    for element in elements.iter().copied() {
        if element.name() != "message" {
            return Err(element.unexpected("messages", "only message can"));
        }
        let message = Message {
            meta: element.meta()?,
            template_id: element.required_number("id")?,
            block: block(types, element, 0)?,
        };
        names.unique(element, "message", &message.meta.name)?;
        ids.unique(element, "message id", &message.template_id.to_string())?;
        messages.push(message);
    }
    Ok(messages)
}

fn block<'a>(types: &mut Types<'a>, element: Element<'a>, depth: u32) -> Result<Block, SchemaError> {
    if depth > DEPTH_MAX {
        return Err(element.fault(Fault::Limit { what: "groups within groups", limit: DEPTH_MAX }));
    }
    let mut block = Block::default();
    let mut names = Lines::default();
    for child in element.children() {
        match child.name() {
            "field" => {
                in_order(child, !block.groups.is_empty(), "group")?;
                in_order(child, !block.data.is_empty(), "data")?;
                let named = types.resolve(child, child.required("type")?)?;
                let type_id = types.restated(child, named)?;
                let id = child.required_number("id")?;
                let field = types.field(child, type_id, id, &mut block.fields_end)?;
                block.fields.push(field);
            }
            "group" => {
                in_order(child, !block.data.is_empty(), "data")?;
                block.groups.push(group(types, child, depth + 1)?);
            }
            "data" => block.data.push(data(types, child)?),
            _ => return Err(child.unexpected(element.name(), "only field, group and data can")),
        }
        names.unique(child, "member", child.symbol()?)?;
    }
    block.length_bytes = length(element, block.fields_end)?;
    Ok(block)
}

/// FIX SBE 1.0, Message Structure: fields, then groups, then data.
fn in_order(element: Element<'_>, late: bool, after: &'static str) -> Result<(), SchemaError> {
    match late {
        true => {
            let (name, element_name) = (element.text_or_empty("name"), element.name().to_owned());
            Err(element.fault(Fault::Order { element: element_name, name, after }))
        }
        false => Ok(()),
    }
}

/// FIX SBE 1.0, Message Schema: a stated block length may only be longer than the fields.
fn length(element: Element<'_>, needed: u32) -> Result<u32, SchemaError> {
    match element.number::<u16>("blockLength")?.map(u32::from) {
        Some(given) if given < needed => Err(element.fault_at("blockLength", Fault::BlockLength { given, needed })),
        Some(given) => Ok(given),
        None => Ok(needed),
    }
}

fn group<'a>(types: &mut Types<'a>, element: Element<'a>, depth: u32) -> Result<Group, SchemaError> {
    const ROLE: &str = "a group's dimension";
    let (meta, id) = (element.meta()?, element.required_number("id")?);
    let type_id = types.resolve(element, element.text("dimensionType").unwrap_or("groupSizeEncoding"))?;
    let dimension = Dimension {
        type_id,
        size_bytes: types.composite(element, type_id, ROLE)?.size_bytes,
        block_length: types.slot(element, type_id, "blockLength", ROLE)?,
        count: types.slot(element, type_id, "numInGroup", ROLE)?,
    };
    Ok(Group { meta, id, dimension, block: block(types, element, depth)? })
}

fn data<'a>(types: &mut Types<'a>, element: Element<'a>) -> Result<Data, SchemaError> {
    const ROLE: &str = "variable data";
    let (meta, id) = (element.meta()?, element.required_number("id")?);
    let type_id = types.resolve(element, element.required("type")?)?;
    let length = types.slot(element, type_id, "length", ROLE)?;
    let composite = types.composite(element, type_id, ROLE)?;
    let found = composite.members.iter().find(|member| member.meta.name == "varData");
    let bytes = found.and_then(|member| match types.get(member.type_id) {
        // Coinbase states no length for it, which is 1.
        Type::Encoding(encoding) if encoding.primitive.size_bytes() == 1 && encoding.length <= 1 => {
            Some((member.offset, encoding))
        }
        _ => None,
    });
    let Some((start, encoding)) = bytes else {
        let name = composite.meta.name.to_string();
        let expected = "a composite with a member varData of char, uint8 or int8 and length 0";
        return Err(element.fault(Fault::WrongType { name, role: ROLE, found: "a composite without it", expected }));
    };
    let charset: Option<Charset> = match &encoding.content {
        Content::Text(charset) => Some(charset.clone()),
        _ => None,
    };
    Ok(Data { meta, id, type_id, length, start, charset })
}
