//! Random messages of a schema, laid out by the schema's own numbers.

use oyez_sbe::{Block, ByteOrder, Content, Encoding, Enum, Field, Message, Number, Presence, Schema, Set, Slot, Type};

/// SplitMix64: the same seed gives the same messages.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.u64() % limit as u64) as usize
    }
}

/// Whose message it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    /// Of the schema's version; values of enums are known or null, bits of sets known: Java writes no others.
    Same,
    /// Of any version, the next one among them; enums and sets have any value.
    Any,
}

/// A message of each template in turn.
pub(super) fn message(random: &mut Random, schema: &Schema, nth: usize, writer: Writer) -> Vec<u8> {
    let message = &schema.messages[nth % schema.messages.len()];
    let version = match writer {
        Writer::Same => schema.version,
        Writer::Any => version(random, schema, message),
    };
    let layout = schema.header();
    let mut out = Layout { random, schema, version, writer, bytes: vec![0; layout.size_bytes as usize] };
    let length = out.length(&message.block, layout.block_length);
    out.slot(0, layout.block_length, length as u64);
    out.slot(0, layout.template_id, message.template_id.into());
    if let Some(slot) = layout.schema_id {
        out.slot(0, slot, schema.id.into());
    }
    out.slot(0, layout.version, version.into());
    out.block(&message.block, length);
    out.bytes
}

/// Mostly the schema's; else one at which the message has grown, the one before, or the next.
fn version(random: &mut Random, schema: &Schema, message: &Message) -> u16 {
    let mut grown = Vec::new();
    since(&message.block, &mut grown);
    let fits = |version: u16| u64::from(version) <= largest(schema.header().version);
    let next = schema.version.checked_add(1).filter(|next| fits(*next)).unwrap_or(schema.version);
    let at = grown.get(random.below(grown.len().max(1))).copied().unwrap_or(schema.version);
    let chosen = [schema.version, schema.version, at, at.saturating_sub(1), next][random.below(5)];
    // Nobody writes a message before there is one, or its types.
    chosen.max(message.meta.since_version).max(youngest_type(schema, &message.block))
}

/// The version that added the youngest of types that are younger than their fields: the reference takes such a field
/// for as young as its type.
fn youngest_type(schema: &Schema, block: &Block) -> u16 {
    let types = block.fields.iter().map(|field| (field, schema.type_of(field.type_id).meta().since_version));
    let younger = types.filter(|(field, since)| *since > field.meta.since_version).map(|(_, since)| since);
    let groups = block.groups.iter().map(|group| youngest_type(schema, &group.block));
    younger.chain(groups).max().unwrap_or(0)
}

fn since(block: &Block, versions: &mut Vec<u16>) {
    versions.extend(block.fields.iter().map(|field| field.meta.since_version).filter(|since| *since > 0));
    versions.extend(block.data.iter().map(|data| data.meta.since_version).filter(|since| *since > 0));
    for group in &block.groups {
        versions.extend(Some(group.meta.since_version).filter(|since| *since > 0));
        since(&group.block, versions);
    }
}

fn largest(slot: Slot) -> u64 {
    u64::MAX >> (64 - slot.primitive.size_bytes() * 8)
}

struct Layout<'r> {
    random: &'r mut Random,
    schema: &'r Schema,
    version: u16,
    writer: Writer,
    bytes: Vec<u8>,
}

impl Layout<'_> {
    /// The block's length as a writer has it: at least up to the last field that its version knows. Behind that it may
    /// have kept room, where fields stand by now, or have more than we know.
    fn length(&mut self, block: &Block, slot: Slot) -> usize {
        let known = block.fields.iter().filter(|field| field.meta.since_version <= self.version);
        let end = known.map(Field::end).max().unwrap_or(0) as usize;
        let whole = block.length_bytes as usize;
        let length = match self.writer {
            Writer::Same => whole,
            Writer::Any => [end, whole, end + self.random.below(whole - end + 12)][self.random.below(3)],
        };
        length.min(usize::try_from(largest(slot)).unwrap_or(usize::MAX))
    }

    fn slot(&mut self, start: usize, slot: Slot, value: u64) {
        self.put(start + slot.offset as usize, slot.primitive.size_bytes() as usize, value);
    }

    fn put(&mut self, at: usize, size: usize, value: u64) {
        let place = &mut self.bytes[at..at + size];
        match self.schema.byte_order {
            ByteOrder::Little => place.copy_from_slice(&value.to_le_bytes()[..size]),
            ByteOrder::Big => place.copy_from_slice(&value.to_be_bytes()[8 - size..]),
        }
    }

    fn room(&mut self, length: usize) -> usize {
        let start = self.bytes.len();
        self.bytes.resize(start + length, 0);
        start
    }

    fn block(&mut self, block: &Block, length: usize) {
        let (start, version) = (self.room(length), self.version);
        // What is of no field that the writer knows is skipped by all.
        self.noise(start, length);
        self.fields(&block.fields, start);
        for group in block.groups.iter().filter(|group| group.meta.since_version <= version) {
            let (length, count) = (self.length(&group.block, group.dimension.block_length), self.random.below(4));
            let start = self.room(group.dimension.size_bytes as usize);
            self.slot(start, group.dimension.block_length, length as u64);
            self.slot(start, group.dimension.count, count as u64);
            (0..count).for_each(|_| self.block(&group.block, length));
        }
        for data in block.data.iter().filter(|data| data.meta.since_version <= version) {
            let (start, length) = (self.room(data.start as usize), self.random.below(21));
            self.slot(start, data.length, length as u64);
            let bytes = self.room(length);
            self.noise(bytes, length);
        }
    }

    fn fields(&mut self, fields: &[Field], start: usize) {
        let (schema, version) = (self.schema, self.version);
        let there = |field: &&Field| field.size_bytes > 0 && field.meta.since_version <= version;
        for field in fields.iter().filter(there) {
            let at = start + field.offset as usize;
            match schema.type_of(field.type_id) {
                Type::Composite(composite) => self.fields(&composite.members, at),
                Type::Enum(symbols) => self.symbol(field, symbols, at),
                Type::Set(set) => self.flags(set, at),
                Type::Encoding(encoding) => self.encoded(encoding, at),
            }
        }
    }

    /// The null value, a text, a small number, or anything.
    fn encoded(&mut self, encoding: &Encoding, at: usize) {
        let (size, length) = (encoding.primitive.size_bytes() as usize, encoding.length as usize);
        let text = matches!(encoding.content, Content::Text(_));
        match self.random.below(4) {
            0 => (0..length).for_each(|nth| self.put(at + nth * size, size, bits(encoding.null))),
            1 if text => {
                for at in at..at + length {
                    self.bytes[at] = b'a' + self.random.below(26) as u8;
                }
            }
            2 if !encoding.primitive.is_float() => {
                let number = self.random.below(100) as u64;
                self.put(at, size, number);
            }
            _ => self.noise(at, size * length),
        }
    }

    fn noise(&mut self, at: usize, size: usize) {
        for at in at..at + size {
            self.bytes[at] = self.random.u64() as u8;
        }
    }

    fn flags(&mut self, set: &Set, at: usize) {
        let known = set.choices.iter().fold(0, |known, choice| known | 1 << choice.bit);
        let bits = self.random.u64() & if self.writer == Writer::Any { u64::MAX } else { known };
        self.put(at, set.primitive.size_bytes() as usize, bits);
    }

    fn symbol(&mut self, field: &Field, symbols: &Enum, at: usize) {
        let size = field.size_bytes as usize;
        match (self.random.below(4), self.writer) {
            (0, _) if field.presence == Presence::Optional => self.put(at, size, bits(symbols.null)),
            (1, Writer::Any) => self.noise(at, size),
            _ if symbols.values.is_empty() => {}
            _ => {
                let value = &symbols.values[self.random.below(symbols.values.len())];
                self.put(at, size, bits(value.number));
            }
        }
    }
}

/// As it stands on the wire, in its low bytes.
fn bits(number: Number) -> u64 {
    match number {
        Number::Int(number) => number as u64,
        Number::UInt(number) => number,
        Number::Float(number) => number.to_bits().into(),
        Number::Double(number) => number.to_bits(),
    }
}
