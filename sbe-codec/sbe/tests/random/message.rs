//! A random message of a schema: the bytes of any writer, older or newer, careful or not.

use oyez_sbe::{Block, ByteOrder, Number, Presence, Schema, Slot, Type};

use super::Choices;
use super::schema::VERSION;

pub(crate) fn message(choices: &mut Choices, schema: &Schema) -> Vec<u8> {
    let message = &schema.messages[choices.below(schema.messages.len())];
    let layout = schema.header();
    let version = choices.one_of(&[VERSION, VERSION, 0, 1, 2, VERSION + 1]);
    let mut writer = Writer { choices, schema, version, bytes: Vec::new() };
    let length = writer.length(&message.block, 64);
    let start = writer.scatter(layout.size_bytes as usize);
    writer.slot(start, &layout.block_length, length as u64);
    writer.slot(start, &layout.template_id, message.template_id.into());
    if let Some(slot) = &layout.schema_id {
        writer.slot(start, slot, schema.id.into());
    }
    writer.slot(start, &layout.version, version.into());
    writer.block(&message.block, length);
    writer.bytes
}

struct Writer<'c> {
    choices: &'c mut Choices,
    schema: &'c Schema,
    version: u16,
    bytes: Vec<u8>,
}

impl Writer<'_> {
    /// A block length: the schema's, or another that fits the slot.
    fn length(&mut self, block: &Block, bits: u32) -> usize {
        let length = block.length_bytes as usize;
        let length = match self.choices.below(6) {
            4 => length.saturating_sub(self.choices.below(12)),
            5 => length + self.choices.below(12),
            _ => length,
        };
        if bits == 8 { length.min(255) } else { length }
    }

    fn slot(&mut self, start: usize, slot: &Slot, value: u64) {
        self.put(start + slot.offset as usize, slot.primitive.size_bytes() as usize, value);
    }

    fn put(&mut self, at: usize, size: usize, value: u64) {
        let mut bytes = value.to_le_bytes();
        let place = &mut self.bytes[at..at + size];
        place.copy_from_slice(&bytes[..size]);
        if self.schema.byte_order == ByteOrder::Big {
            bytes[..size].reverse();
            place.copy_from_slice(&bytes[..size]);
        }
    }

    /// So many bytes, mostly zero, and where they begin.
    fn scatter(&mut self, length: usize) -> usize {
        let start = self.bytes.len();
        self.bytes.resize(start + length, 0);
        for _ in 0..if length > 0 && self.choices.once_in(3) { self.choices.below(4) } else { 0 } {
            let at = start + (usize::from(self.choices.byte()) << 8 | usize::from(self.choices.byte())) % length;
            self.bytes[at] = self.choices.byte();
        }
        start
    }

    fn block(&mut self, block: &Block, length: usize) {
        let (start, version) = (self.scatter(length), self.version);
        for field in block.fields.iter().filter(|field| field.size_bytes > 0 && field.end() as usize <= length) {
            let place = start + field.offset as usize..start + field.end() as usize;
            match self.choices.below(6) {
                0 => {}
                1 => self.bytes[place].fill(0xFF),
                2 => place.for_each(|at| self.bytes[at] = self.choices.byte()),
                3 => place.for_each(|at| self.bytes[at] = b'a' + self.choices.byte() % 26),
                _ => self.null(field.type_id, field.presence, place.start),
            }
        }
        for group in block.groups.iter().filter(|group| group.meta.since_version <= version) {
            let length = self.length(&group.block, group.dimension.block_length.primitive.size_bytes() * 8);
            let count = self.choices.below(3);
            let start = self.scatter(group.dimension.size_bytes as usize);
            self.slot(start, &group.dimension.block_length, length as u64);
            self.slot(start, &group.dimension.count, count as u64);
            (0..count).for_each(|_| self.block(&group.block, length));
        }
        for data in block.data.iter().filter(|data| data.meta.since_version <= version) {
            let length = self.choices.below(6);
            let start = self.scatter(data.start as usize);
            self.slot(start, &data.length, length as u64);
            let text = self.choices.once_in(2);
            for _ in 0..length {
                let byte = self.choices.byte();
                self.bytes.push(if text { b' ' + byte % 95 } else { byte });
            }
        }
    }

    /// The null value, or for want of one a small number.
    fn null(&mut self, type_id: oyez_sbe::TypeId, presence: Presence, start: usize) {
        let (null, size, length) = match self.schema.type_of(type_id) {
            Type::Encoding(encoding) => {
                (encoding.null, encoding.primitive.size_bytes() as usize, encoding.length as usize)
            }
            Type::Enum(symbols) => (symbols.null, symbols.primitive.size_bytes() as usize, 1),
            Type::Set(set) => (Number::UInt(5), set.primitive.size_bytes() as usize, 1),
            Type::Composite(composite) => {
                for member in composite.members.iter().filter(|member| member.size_bytes > 0) {
                    self.null(member.type_id, member.presence, start + member.offset as usize);
                }
                return;
            }
        };
        let bits = match null {
            _ if presence == Presence::Required => 1,
            Number::Int(number) => number as u64,
            Number::UInt(number) => number,
            Number::Float(number) => number.to_bits().into(),
            Number::Double(number) => number.to_bits(),
        };
        for index in 0..length {
            self.put(start + index * size, size, bits);
        }
    }
}
