//! What the compiler promises of a schema, and decoders rely on.

use std::collections::HashSet;

use crate::compile::{BLOCK_BYTES_MAX, DEPTH_MAX, VALUES_MAX, is_symbol};
use crate::ir::{Block, Constant, Content, Encoding, Field, Form, Meta, Presence, Schema, Slot, Type, TypeId};
use crate::primitive::{Number, Primitive};

/// The promise that the schema breaks, if it breaks one.
pub(super) fn fault(schema: &Schema) -> Option<&'static str> {
    let mut check = Check { schema, extents: Vec::new() };
    check.schema().err()
}

type Held = Result<(), &'static str>;

struct Check<'a> {
    schema: &'a Schema,
    /// Depth and values of each type checked so far.
    extents: Vec<(u32, u32)>,
}

fn hold(held: bool, promise: &'static str) -> Held {
    if held { Ok(()) } else { Err(promise) }
}

impl Check<'_> {
    fn schema(&mut self) -> Held {
        let schema = self.schema;
        schema.types.iter().try_for_each(|kind| self.type_of(kind))?;
        let header = schema.header();
        let order = header.byte_order == schema.byte_order;
        hold(order, "the header has the byte order of the schema")?;
        let slots = [Some(header.block_length), Some(header.template_id), header.schema_id, Some(header.version)];
        self.slots(header.type_id, header.size_bytes, slots)?;
        distinct(schema.messages.iter().map(|message| &message.meta))?;
        schema.messages.iter().try_for_each(|message| self.block(&message.block, 0))?;
        let mut templates: Vec<_> =
            (0..).zip(&schema.messages).map(|(at, message)| (message.template_id, at)).collect();
        templates.sort_unstable();
        let unique = templates.windows(2).all(|pair| pair[0].0 != pair[1].0);
        hold(unique && templates == schema.templates, "every template is found by its id")
    }

    fn type_of(&mut self, kind: &Type) -> Held {
        let mut extent = (1, 1);
        named(kind.meta())?;
        match kind {
            Type::Encoding(encoding) => encoded(encoding)?,
            Type::Enum(symbols) => {
                let primitive = symbols.primitive;
                let whole = primitive == Primitive::Char || primitive.is_integer();
                let mut numbers = symbols.values.iter().map(|value| value.number).chain([symbols.null]);
                hold(whole && numbers.all(|number| fits(primitive, number)), "an enum has values of its encoding")?;
                distinct(symbols.values.iter().map(|value| &value.meta))?;
            }
            Type::Set(set) => {
                let bits = set.primitive.size_bytes() * 8;
                let within = set.primitive.is_unsigned() && set.choices.iter().all(|choice| choice.bit < bits);
                hold(within, "a set has bits of its encoding")?;
                distinct(set.choices.iter().map(|choice| &choice.meta))?;
            }
            Type::Composite(composite) => {
                distinct(composite.members.iter().map(|member| &member.meta))?;
                for member in &composite.members {
                    // Members are compiled before what contains them, so that there is no circle.
                    let inner = self.extents.get(member.type_id.0 as usize);
                    let (depth, values) = *inner.ok_or("types stand after those that they consist of")?;
                    extent = (extent.0.max(depth + 1), extent.1 + values);
                    hold(extent.0 <= DEPTH_MAX && extent.1 <= VALUES_MAX, "composites are within their limits")?;
                    self.field(member)?;
                }
                fields(&composite.members, composite.size_bytes)?;
                let pair = composite.form == Form::Plain || composite.members.len() == 2;
                hold(pair, "a decimal and a timestamp have two members")?;
            }
        }
        self.extents.push(extent);
        Ok(())
    }

    fn field(&self, field: &Field) -> Held {
        let kind = self.kind(field.type_id)?;
        let constant = field.presence == Presence::Constant;
        let size_bytes = if constant { 0 } else { kind.size_bytes() };
        hold(field.size_bytes == size_bytes, "a field has the size of its type")?;
        hold(!constant || field.constant.is_some(), "a constant field has a value")?;
        match (&field.constant, kind) {
            (Some(Constant::Symbol(index)), Type::Enum(symbols)) => {
                hold((*index as usize) < symbols.values.len(), "a constant is a value of its enum")
            }
            (Some(Constant::Symbol(_)), _) => Err("a constant is a value of its enum"),
            _ => Ok(()),
        }
    }

    fn block(&self, block: &Block, depth: u32) -> Held {
        hold(depth <= DEPTH_MAX, "groups are within their limits")?;
        let Block { fields: members, groups, data, .. } = block;
        let metas = members.iter().map(|field| &field.meta).chain(groups.iter().map(|group| &group.meta));
        distinct(metas.chain(data.iter().map(|data| &data.meta)))?;
        block.fields.iter().try_for_each(|field| self.field(field))?;
        fields(&block.fields, block.fields_end)?;
        let length = block.length_bytes;
        hold(block.fields_end <= length && length <= BLOCK_BYTES_MAX, "a block holds its fields")?;
        for group in &block.groups {
            let dimension = &group.dimension;
            let slots = [Some(dimension.block_length), Some(dimension.count)];
            self.slots(dimension.type_id, dimension.size_bytes, slots)?;
            self.block(&group.block, depth + 1)?;
        }
        block.data.iter().try_for_each(|data| {
            hold(data.start <= BLOCK_BYTES_MAX, "data begins in its composite")?;
            self.slots(data.type_id, self.kind(data.type_id)?.size_bytes(), [Some(data.length)])
        })
    }

    fn slots<const N: usize>(&self, composite: TypeId, size_bytes: u32, slots: [Option<Slot>; N]) -> Held {
        let kind = self.kind(composite)?;
        let of_composite = matches!(kind, Type::Composite(_)) && kind.size_bytes() == size_bytes;
        hold(of_composite, "header, dimension and data are composites")?;
        let within = |slot: &Slot| {
            let end = slot.offset.checked_add(slot.primitive.size_bytes());
            slot.primitive.is_unsigned() && end.is_some_and(|end| end <= size_bytes)
        };
        hold(slots.iter().flatten().all(within), "header, dimension and data hold their numbers")
    }

    fn kind(&self, id: TypeId) -> Result<&Type, &'static str> {
        self.schema.types.get(id.0 as usize).ok_or("every type that is named is there")
    }
}

/// Names are written as they are, into JSON and into source code.
fn named(meta: &Meta) -> Held {
    hold(is_symbol(&meta.name), "names are of letters, digits and _")
}

/// Members of one block or type.
fn distinct<'a>(mut metas: impl Iterator<Item = &'a Meta>) -> Held {
    let mut seen = HashSet::new();
    metas.try_for_each(|meta| {
        named(meta)?;
        hold(seen.insert(meta.name.as_str()), "members have different names")
    })
}

fn encoded(encoding: &Encoding) -> Held {
    let Encoding { primitive, length, .. } = *encoding;
    hold(length <= BLOCK_BYTES_MAX, "an encoding is within its limits")?;
    let content = match encoding.content {
        Content::Number => length == 1,
        Content::Text(_) => primitive.size_bytes() == 1,
        Content::Bytes => primitive == Primitive::UInt8,
        Content::Array => true,
    };
    hold(content, "an encoding holds what it means")?;
    let constant = match &encoding.constant {
        Some(Constant::Number(number)) => fits(primitive, *number),
        Some(Constant::Text(_)) => primitive == Primitive::Char,
        Some(Constant::Symbol(_)) => false,
        None => true,
    };
    let stated = encoding.constant.is_some() == (encoding.presence == Presence::Constant);
    hold(constant && stated, "a constant has a value of its type, and nothing else has")?;
    let mut bounds = [Some(encoding.null), encoding.min, encoding.max].into_iter().flatten();
    hold(bounds.all(|number| fits(primitive, number)), "null, least and greatest values are of their type")
}

/// Whether the number is one of the primitive's.
fn fits(primitive: Primitive, number: Number) -> bool {
    match number {
        Number::Float(_) => primitive == Primitive::Float,
        Number::Double(_) => primitive == Primitive::Double,
        Number::UInt(_) | Number::Int(_) => {
            number.integer().and_then(|integer| primitive.parse(&integer.to_string())) == Some(number)
        }
    }
}

/// One after the other, up to the end.
fn fields(fields: &[Field], end: u32) -> Held {
    let mut at = 0;
    for field in fields {
        let next = field.offset.checked_add(field.size_bytes).filter(|_| field.offset >= at);
        at = next.ok_or("fields stand one after the other")?;
    }
    hold(at == end && end <= BLOCK_BYTES_MAX, "a block or composite ends with its last field")
}
