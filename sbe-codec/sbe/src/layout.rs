//! What stands where: the compiled schema as a person reads it.

use crate::ir::{Block, Constant, Data, Encoding, Enum, Field, Group, Message, Meta, Presence, Schema, Type, TypeId};
use crate::primitive::{Number, Primitive};

/// One line of a message's layout: a field, a composite's member, a group or variable data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// How deep it stands: 0 in the message's block, 1 in a group's entry or composite there.
    pub depth: u32,
    /// What it is.
    pub kind: RowKind,
    /// Name, description and versions.
    pub meta: Meta,
    /// Its number; 0 for members of composites.
    pub id: u16,
    /// Bytes from the start of the block that contains it; nothing behind the block, where it varies.
    pub offset: Option<u32>,
    /// Bytes on the wire: of a group its dimension, of data its length, which are there though they be empty.
    pub size_bytes: u32,
    /// Its type, as [`Schema::type_text`] writes it; of a group, the bytes of an entry's block.
    pub type_text: String,
    /// May it be missing?
    pub presence: Presence,
    /// The value that says that it is missing.
    pub null: Option<String>,
    /// Its value, if it is constant.
    pub constant: Option<String>,
}

/// What a [`Row`] tells of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum RowKind {
    Field,
    Member,
    Group,
    Data,
}

impl Schema {
    /// The layout of a message, in the order of the wire.
    pub fn layout(&self, message: &Message) -> Vec<Row> {
        let mut rows = Vec::new();
        self.block_rows(&message.block, 0, &mut rows);
        rows
    }

    /// The bytes of the message with every group and all data empty, its header included: none is shorter.
    pub fn least_bytes(&self, message: &Message) -> u32 {
        let block = &message.block;
        let groups: u32 = block.groups.iter().map(|group| group.dimension.size_bytes).sum();
        let data: u32 = block.data.iter().map(|data| data.start).sum();
        self.header().size_bytes + block.length_bytes + groups + data
    }

    /// A type in short: `uint32`, `char[12]`, `enum Side uint8`, `set Flags uint16`, `composite Price`.
    pub fn type_text(&self, id: TypeId) -> String {
        match self.type_of(id) {
            Type::Encoding(Encoding { primitive, length: 1, .. }) => primitive.name().to_owned(),
            Type::Encoding(encoding) => format!("{}[{}]", encoding.primitive.name(), encoding.length),
            Type::Enum(symbols) => format!("enum {} {}", symbols.meta.name, symbols.primitive.name()),
            Type::Set(set) => format!("set {} {}", set.meta.name, set.primitive.name()),
            Type::Composite(composite) => format!("composite {}", composite.meta.name),
        }
    }

    /// The value that says that the field is missing, if one does.
    pub(crate) fn null_text(&self, field: &Field) -> Option<String> {
        let (null, primitive) = match self.type_of(field.type_id) {
            Type::Encoding(Encoding { null, primitive, .. }) | Type::Enum(Enum { null, primitive, .. }) => {
                (*null, *primitive)
            }
            Type::Set(_) | Type::Composite(_) => return None,
        };
        (field.presence == Presence::Optional).then(|| number_text(null, primitive))
    }

    /// The value of a constant field, if it is one.
    pub(crate) fn constant_text(&self, field: &Field) -> Option<String> {
        let primitive = match self.type_of(field.type_id) {
            Type::Encoding(encoding) => encoding.primitive,
            Type::Enum(symbols) => symbols.primitive,
            Type::Set(_) | Type::Composite(_) => return None,
        };
        match (field.constant.as_ref()?, self.type_of(field.type_id)) {
            (Constant::Number(number), _) => Some(number_text(*number, primitive)),
            (Constant::Text(text), _) => Some(text.clone()),
            (Constant::Symbol(index), Type::Enum(symbols)) => {
                Some(symbols.values[*index as usize].meta.name.to_string())
            }
            (Constant::Symbol(_), _) => None,
        }
    }

    fn block_rows(&self, block: &Block, depth: u32, rows: &mut Vec<Row>) {
        block.fields.iter().for_each(|field| self.field_rows(field, 0, depth, RowKind::Field, rows));
        for Group { meta, id, dimension, block } in &block.groups {
            let type_text = format!("entries of {} bytes", block.length_bytes);
            rows.push(Row { kind: RowKind::Group, type_text, ..behind(meta, *id, dimension.size_bytes, depth) });
            self.block_rows(block, depth + 1, rows);
        }
        for Data { meta, id, type_id, start, .. } in &block.data {
            let type_text = self.type_text(*type_id);
            rows.push(Row { kind: RowKind::Data, type_text, ..behind(meta, *id, *start, depth) });
        }
    }

    fn field_rows(&self, field: &Field, base: u32, depth: u32, kind: RowKind, rows: &mut Vec<Row>) {
        let offset = base + field.offset;
        rows.push(Row {
            depth,
            kind,
            meta: field.meta.clone(),
            id: field.id,
            offset: Some(offset),
            size_bytes: field.size_bytes,
            type_text: self.type_text(field.type_id),
            presence: field.presence,
            null: self.null_text(field),
            constant: self.constant_text(field),
        });
        if let Type::Composite(composite) = self.type_of(field.type_id) {
            composite
                .members
                .iter()
                .for_each(|member| self.field_rows(member, offset, depth + 1, RowKind::Member, rows));
        }
    }
}

/// What stands behind a block.
fn behind(meta: &Meta, id: u16, size_bytes: u32, depth: u32) -> Row {
    Row {
        depth,
        kind: RowKind::Data,
        meta: meta.clone(),
        id,
        offset: None,
        size_bytes,
        type_text: String::new(),
        presence: Presence::Required,
        null: None,
        constant: None,
    }
}

/// A number as a schema writes it; of a char, the character where it can be shown.
pub(crate) fn number_text(number: Number, primitive: Primitive) -> String {
    match number {
        Number::UInt(code) if primitive == Primitive::Char => match u8::try_from(code) {
            Ok(byte) if byte.is_ascii_graphic() => format!("'{}'", char::from(byte)),
            _ => code.to_string(),
        },
        Number::Int(number) => number.to_string(),
        Number::UInt(number) => number.to_string(),
        Number::Float(number) => number.to_string(),
        Number::Double(number) => number.to_string(),
    }
}
