//! Walking one message by its schema.
//!
//! ```text
//! header │ block: fields at offsets, then what a newer writer added │ groups │ data
//!                                   group: dimension, entries: (block │ groups │ data) × count
//!                                   data:  length, bytes
//! ```
//!
//! The received block lengths decide where things are, the schema's only what they mean, so that older and newer
//! writers are read alike (FIX SBE 1.0, Schema Extension Mechanism): a field is there if the writer's version had it
//! and the block holds it, and what follows the last known field of a block is skipped.

use crate::error::{DecodeError, one_line};
use crate::ir::{Block, Composite, Constant, Content, Data, Dimension, Encoding, Field, Form, Group, Header};
use crate::ir::{HeaderLayout, Message, Meta, Presence, Schema, Slot, Type, TypeId};
use crate::primitive::{ByteOrder, Charset, Number, Primitive};
use crate::value::{Array, Decimal, Text, Timestamp, Value};

/// Entries without a single byte that one message may bring: such a group could claim four billion for nothing.
const EMPTY_ENTRIES_MAX: u32 = 65_535;

/// Takes the values of a message, in the order of the schema. Every method may be left out.
///
/// A group or data that the writer's version did not have comes as nothing (`None`), and has no entries.
pub trait Visitor {
    /// Are fields wanted? Without them only groups and data are walked.
    const FIELDS: bool = true;
    /// Are the bytes wanted that no value says? Without them [`Visitor::head`] and [`Visitor::unsaid`] are not called.
    const EXACT: bool = false;

    /// A message begins.
    fn message(&mut self, _message: &Message, _header: &Header) {}
    /// It ends.
    fn message_end(&mut self) {}
    /// A field, or a member of a composite, constants included.
    fn value(&mut self, _field: &Field, _value: Value<'_>) {}
    /// A composite that is no single value begins; its members follow.
    fn composite(&mut self, _field: &Field, _composite: &Composite) {}
    /// It ends.
    fn composite_end(&mut self) {}
    /// A group begins. There are bytes for `count` entries, or they are empty and few.
    fn group(&mut self, _group: &Group, _count: Option<u32>) {}
    /// An entry begins. An error ends the walk, which gives it: as long as a message is, so many entries may it bring.
    ///
    /// # Errors
    /// The visitor's own.
    fn entry(&mut self) -> Result<(), DecodeError> {
        Ok(())
    }
    /// It ends.
    fn entry_end(&mut self) {}
    /// A group ends; not called for one that the writer did not have.
    fn group_end(&mut self) {}
    /// What stands before a message, a group's entries or data (of that name) is not what a writer of the schema's
    /// version with nothing further to say puts there. Its members follow, without those that the walk obeys.
    fn head(&mut self, _name: Option<&str>) {}
    /// It ends.
    fn head_end(&mut self) {}
    /// Bytes at this offset of the block, composite or head that the values do not say, and that are not all zero.
    fn unsaid(&mut self, _offset: u32, _bytes: &[u8]) {}
    /// Variable data.
    fn data(&mut self, _data: &Data, _bytes: Option<&[u8]>) {}
}

/// Hands the values of the message at the start of `bytes` to the visitor, and gives the message's length in bytes.
///
/// Allocates nothing. On an error the visitor has seen what came before it.
///
/// # Errors
/// If the bytes are no whole message of this schema, or the visitor ends the walk.
pub fn decode<V: Visitor>(schema: &Schema, bytes: &[u8], visitor: &mut V) -> Result<usize, DecodeError> {
    let header = schema.header().read(bytes)?;
    if let Some(found) = header.schema_id.filter(|found| *found != schema.id) {
        return Err(DecodeError::SchemaId { found, expected: schema.id });
    }
    let template_id = header.template_id;
    let message = schema
        .message_by_template(template_id)
        .ok_or_else(|| DecodeError::UnknownTemplate { schema: one_line(&schema.package), template_id })?;
    let mut walk = Walk {
        schema,
        order: schema.byte_order,
        bytes,
        at: schema.header().size_bytes as usize,
        version: header.version,
        empty_entries: 0,
        visitor,
    };
    walk.visitor.message(message, &header);
    if V::EXACT {
        walk.message_head(message, &header);
    }
    walk.block(&message.block, &message.meta.name, header.block_length.into())?;
    walk.visitor.message_end();
    Ok(walk.at)
}

/// The length in bytes of the message at the start of `bytes`, header included.
///
/// # Errors
/// If the bytes are no whole message of this schema.
pub fn message_length(schema: &Schema, bytes: &[u8]) -> Result<usize, DecodeError> {
    struct Length;
    impl Visitor for Length {
        const FIELDS: bool = false;
    }
    decode(schema, bytes, &mut Length)
}

struct Walk<'m, V> {
    schema: &'m Schema,
    order: ByteOrder,
    bytes: &'m [u8],
    /// Where the walk is; never beyond the end of `bytes`.
    at: usize,
    /// The writer's version.
    version: u16,
    empty_entries: u32,
    visitor: &'m mut V,
}

impl<'m, V: Visitor> Walk<'m, V> {
    /// One block of `length` bytes, and the groups and data behind it.
    fn block(&mut self, block: &'m Block, name: &str, length: usize) -> Result<(), DecodeError> {
        let bytes = self.take(length, || format!("the block of {name}"))?;
        if V::FIELDS {
            self.fields(&block.fields, bytes);
        }
        for group in &block.groups {
            self.group(group)?;
        }
        block.data.iter().try_for_each(|data| self.data(data))
    }

    /// The fields of a block, or the members of a composite, and what stands between them.
    #[inline]
    fn fields(&mut self, fields: &'m [Field], container: &'m [u8]) {
        let mut end = 0;
        for field in fields {
            let present = self.field(field, container);
            if V::EXACT && present && field.size_bytes > 0 {
                self.gap(container, end, field.offset, 0);
                end = field.end();
            }
        }
        if V::EXACT {
            self.gap(container, end, container.len() as u32, 0);
        }
    }

    /// Bytes of a container that lies `shift` bytes after the one that is being told.
    #[inline]
    fn gap(&mut self, container: &[u8], start: u32, end: u32, shift: u32) {
        if start < end {
            let bytes = &container[start as usize..end as usize];
            if bytes.iter().any(|byte| *byte != 0) {
                self.visitor.unsaid(shift + start, bytes);
            }
        }
    }

    /// A field in the bytes of its block, or a member in those of its composite; gives whether it is there.
    ///
    /// Here and below, the visitor is called with values whose kind the compiler knows, so that it need not ask again.
    #[inline(always)]
    fn field(&mut self, field: &'m Field, container: &'m [u8]) -> bool {
        let Some(bytes) = self.bytes_of(field, container) else {
            self.null(field);
            return false;
        };
        if field.presence == Presence::Constant {
            self.visitor.value(field, constant_of(self.schema, field));
            return true;
        }
        match self.schema.type_of(field.type_id) {
            Type::Encoding(encoding) => self.encoded(field, encoding, bytes),
            Type::Enum(symbols) => match symbols.primitive.read(self.order, bytes) {
                Some(number) => match symbols.value_of(number) {
                    None if field.presence == Presence::Optional && number == symbols.null => self.null(field),
                    known => self.visitor.value(field, Value::Enum(symbols, number, known)),
                },
                None => self.null(field),
            },
            Type::Set(set) => match set.primitive.read(self.order, bytes) {
                Some(Number::UInt(bits)) => self.visitor.value(field, Value::Set(set, bits)),
                _ => self.null(field),
            },
            Type::Composite(composite) => self.composite(field, composite, bytes),
        }
        true
    }

    fn null(&mut self, field: &Field) {
        self.visitor.value(field, Value::Null);
    }

    #[inline(always)]
    fn encoded(&mut self, field: &'m Field, encoding: &'m Encoding, bytes: &'m [u8]) {
        let primitive = encoding.primitive;
        if encoding.content != Content::Number || field.time_unit.is_some() || primitive.is_float() {
            return self.other(field, encoding, bytes);
        }
        match primitive.read(self.order, bytes) {
            Some(number) if field.presence != Presence::Optional || number != encoding.null => {
                self.visitor.value(field, Value::number(primitive, number));
            }
            _ => self.null(field),
        }
    }

    #[inline(never)]
    fn other(&mut self, field: &'m Field, encoding: &'m Encoding, bytes: &'m [u8]) {
        let Encoding { primitive, null, .. } = *encoding;
        let optional = field.presence == Presence::Optional;
        match &encoding.content {
            Content::Number => {
                let Some(number) = primitive.read(self.order, bytes) else { return self.null(field) };
                match (field.time_unit, number.integer()) {
                    _ if optional && number == null => self.null(field),
                    (Some(unit), Some(count)) => self.visitor.value(field, Value::Timestamp(Timestamp { count, unit })),
                    _ => self.visitor.value(field, Value::number(primitive, number)),
                }
                if V::EXACT && (number == null || number == primitive.null()) {
                    self.floats(primitive, optional.then_some(null), field.offset, bytes);
                }
            }
            Content::Text(_) if optional && bytes.iter().all(|byte| *byte == null.low_byte()) => self.null(field),
            Content::Text(charset) => self.visitor.value(field, Value::Text(Text { bytes, charset, padded: true })),
            Content::Bytes => self.visitor.value(field, Value::Bytes(bytes)),
            Content::Array => {
                let null = optional.then_some(null);
                self.visitor.value(field, Value::Array(Array { bytes, primitive, order: self.order, null }));
                if V::EXACT {
                    self.floats(primitive, null, field.offset, bytes);
                }
            }
        }
    }

    #[inline(never)]
    fn composite(&mut self, field: &'m Field, composite: &'m Composite, bytes: &'m [u8]) {
        let Some(value) = self.single(composite, bytes) else {
            self.visitor.composite(field, composite);
            self.fields(&composite.members, bytes);
            return self.visitor.composite_end();
        };
        self.visitor.value(field, value);
        // Where the first member is all of it, as in decimals and times with a constant, there is no gap.
        let whole =
            |first: &Field| first.size_bytes == composite.size_bytes && first.meta.since_version <= self.version;
        if V::EXACT && !composite.members.first().is_some_and(whole) {
            self.gaps(&composite.members, bytes, field.offset);
        }
    }

    /// What a single-valued composite, which lies at `shift`, has between its members.
    fn gaps(&mut self, members: &'m [Field], bytes: &'m [u8], shift: u32) {
        let mut end = 0;
        for member in members {
            if member.size_bytes > 0 && self.bytes_of(member, bytes).is_some() {
                self.gap(bytes, end, member.offset, shift);
                end = member.end();
            }
        }
        self.gap(bytes, end, bytes.len() as u32, shift);
    }

    /// There are many NaN, and two zeros that may be the null: any that is not the one that its word is written as.
    fn floats(&mut self, primitive: Primitive, null: Option<Number>, offset: u32, bytes: &[u8]) {
        if !primitive.is_float() {
            return;
        }
        let size = primitive.size_bytes() as usize;
        for (element, offset) in bytes.chunks_exact(size).zip((offset..).step_by(size)) {
            let Some(number) = primitive.read(self.order, element) else { continue };
            let usual = match null.filter(|null| *null == number) {
                Some(null) => null,
                None if number == primitive.null() => primitive.null(),
                None => continue,
            };
            let mut expected = [0; 8];
            primitive.write(self.order, usual, &mut expected);
            if expected[..size] != *element {
                self.visitor.unsaid(offset, element);
            }
        }
    }

    fn message_head(&mut self, message: &'m Message, header: &Header) {
        let HeaderLayout { type_id, size_bytes, block_length, template_id, schema_id, version, .. } =
            *self.schema.header();
        let same =
            header.version == self.schema.version && u32::from(header.block_length) == message.block.length_bytes;
        let implied = [template_id, schema_id.unwrap_or(template_id)];
        let implied = &implied[..1 + usize::from(schema_id.is_some())];
        self.head(None, type_id, &self.bytes[..size_bytes as usize], same, implied, &[block_length, version]);
    }

    /// What stands before a message, entries or data, unless its `told` members are the same as the schema's and there
    /// is nothing beyond them and the `implied` ones.
    #[inline(always)]
    fn head(
        &mut self,
        name: Option<&str>,
        type_id: TypeId,
        bytes: &'m [u8],
        same: bool,
        implied: &[Slot],
        told: &[Slot],
    ) {
        let within = |slot: &Slot, at: usize| (slot.offset..slot.end()).contains(&(at as u32));
        let known = |at| implied.iter().chain(told).any(|slot| within(slot, at));
        let known_bytes: u32 = implied.iter().chain(told).map(|slot| slot.primitive.size_bytes()).sum();
        let zeros = || bytes.iter().enumerate().all(|(at, byte)| *byte == 0 || known(at));
        if !same || (known_bytes as usize != bytes.len() && !zeros()) {
            self.tell_head(name, type_id, bytes, implied);
        }
    }

    /// All of it is there, whatever the writer's version.
    #[inline(never)]
    fn tell_head(&mut self, name: Option<&str>, type_id: TypeId, bytes: &'m [u8], implied: &[Slot]) {
        let Type::Composite(composite) = self.schema.type_of(type_id) else { return };
        self.visitor.head(name);
        let version = std::mem::replace(&mut self.version, u16::MAX);
        let mut end = 0;
        for member in composite.members.iter().filter(|member| member.size_bytes > 0) {
            if member.end() as usize > bytes.len() {
                break;
            }
            if !implied.iter().any(|slot| slot.offset == member.offset) {
                self.field(member, bytes);
            }
            self.gap(bytes, end, member.offset, 0);
            end = member.end();
        }
        self.gap(bytes, end, bytes.len() as u32, 0);
        self.version = version;
        self.visitor.head_end();
    }

    /// The bytes of a field; nothing if the writer's version did not have it.
    ///
    /// The version alone does not tell: venues add fields without a sinceVersion. So the received block has a say.
    #[inline]
    fn bytes_of(&self, field: &Field, container: &'m [u8]) -> Option<&'m [u8]> {
        match field.meta.since_version <= self.version {
            true if field.presence == Presence::Constant => Some(&[]),
            true => container.get(field.offset as usize..field.end() as usize),
            false => None,
        }
    }

    /// The single value that a composite is, if it is one.
    #[inline(always)]
    fn single(&self, composite: &'m Composite, bytes: &'m [u8]) -> Option<Value<'m>> {
        let [first, second] = composite.members.as_slice() else { return None };
        let number = |member| self.number(member, bytes);
        match composite.form {
            Form::Plain => None,
            Form::Timestamp(unit) => Some(match number(first) {
                Some(count) => Value::Timestamp(Timestamp { count, unit }),
                None => Value::Null,
            }),
            Form::Decimal => match (number(first), number(second)) {
                (Some(mantissa), Some(exponent)) => {
                    Some(Value::Decimal(Decimal { mantissa, exponent: i8::try_from(exponent).ok()? }))
                }
                // An exponent on the wire says something even then.
                _ if second.presence == Presence::Constant => Some(Value::Null),
                _ => None,
            },
        }
    }

    /// The integer that a member is; nothing if it is null or absent.
    fn number(&self, member: &'m Field, bytes: &'m [u8]) -> Option<i128> {
        let Type::Encoding(encoding) = self.schema.type_of(member.type_id) else { return None };
        if let Some(Constant::Number(number)) = &member.constant {
            // Were it newer than the writer, the mantissa would still be there.
            return number.integer();
        }
        let number = encoding.primitive.read(self.order, self.bytes_of(member, bytes)?)?;
        let null = member.presence == Presence::Optional && number == encoding.null;
        if null { None } else { number.integer() }
    }

    fn group(&mut self, group: &'m Group) -> Result<(), DecodeError> {
        if group.meta.since_version > self.version {
            self.visitor.group(group, None);
            return Ok(());
        }
        let offset = self.at;
        let name = &group.meta.name;
        let dimension = self.take(group.dimension.size_bytes as usize, || format!("the dimension of group {name}"))?;
        let read = |slot: &Slot| slot.read(self.order, dimension).unwrap_or(u64::MAX);
        let (length, count) = (read(&group.dimension.block_length), read(&group.dimension.count));
        let count = self.check_count(group, offset, length, count)?;
        if V::EXACT {
            let Dimension { type_id, block_length, count, .. } = group.dimension;
            let same = length == u64::from(group.block.length_bytes);
            self.head(Some(name), type_id, dimension, same, &[count], &[block_length]);
        }
        self.visitor.group(group, Some(count));
        for _ in 0..count {
            self.visitor.entry()?;
            self.block(&group.block, name, length as usize)?;
            self.visitor.entry_end();
        }
        self.visitor.group_end();
        Ok(())
    }

    /// Refuses a count for which there are no bytes, before anybody acts on it.
    fn check_count(&mut self, group: &Group, offset: usize, length: u64, count: u64) -> Result<u32, DecodeError> {
        let needed = length.saturating_mul(count);
        let left = self.bytes.len() - self.at;
        if needed > left as u64 {
            let what = format!("{count} entries of {length} bytes in group {}", group.meta.name);
            return Err(DecodeError::Truncated { what, offset: self.at, needed: needed as usize, left });
        }
        // Without a fixed part an entry may still hold groups and data, if the writer's version has them; each takes
        // bytes, and is found to be missing.
        let absent = |meta: &Meta| meta.since_version > self.version;
        let (mut groups, mut data) = (group.block.groups.iter(), group.block.data.iter());
        if length == 0 && groups.all(|group| absent(&group.meta)) && data.all(|data| absent(&data.meta)) {
            let sum = count.saturating_add(self.empty_entries.into());
            self.empty_entries = u32::try_from(sum).unwrap_or(u32::MAX);
            if self.empty_entries > EMPTY_ENTRIES_MAX {
                let (group, limit) = (group.meta.name.to_string(), EMPTY_ENTRIES_MAX);
                return Err(DecodeError::EmptyEntries { group, offset, limit });
            }
        }
        let what = || format!("{count} entries in group {}", group.meta.name);
        u32::try_from(count).map_err(|_| DecodeError::Truncated { what: what(), offset, needed: usize::MAX, left })
    }

    fn data(&mut self, data: &'m Data) -> Result<(), DecodeError> {
        if data.meta.since_version > self.version {
            self.visitor.data(data, None);
            return Ok(());
        }
        let what = || format!("data {}", data.meta.name);
        let composite = self.take(data.start as usize, what)?;
        let length = data.length.read(self.order, composite).unwrap_or(u64::MAX);
        let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX), what)?;
        if V::EXACT {
            self.head(Some(&data.meta.name), data.type_id, composite, true, &[data.length], &[]);
        }
        self.visitor.data(data, Some(bytes));
        Ok(())
    }

    /// The next `length` bytes.
    #[inline]
    fn take(&mut self, length: usize, what: impl FnOnce() -> String) -> Result<&'m [u8], DecodeError> {
        match self.bytes[self.at..].get(..length) {
            Some(bytes) => {
                self.at += length;
                Ok(bytes)
            }
            None => {
                let left = self.bytes.len() - self.at;
                Err(DecodeError::Truncated { what: what(), offset: self.at, needed: length, left })
            }
        }
    }
}

/// The value of a constant field.
pub(crate) fn constant_of<'a>(schema: &'a Schema, field: &'a Field) -> Value<'a> {
    match (schema.type_of(field.type_id), &field.constant) {
        (Type::Enum(symbols), Some(Constant::Symbol(index))) => {
            let value = &symbols.values[*index as usize];
            Value::Enum(symbols, value.number, Some(value))
        }
        (Type::Encoding(encoding), Some(constant)) => constant_value(constant, encoding),
        _ => Value::Null,
    }
}

fn constant_value<'a>(constant: &'a Constant, encoding: &'a Encoding) -> Value<'a> {
    match (constant, &encoding.content) {
        (Constant::Number(number), _) => Value::number(encoding.primitive, *number),
        (Constant::Text(text), _) => {
            Value::Text(Text { bytes: text.as_bytes(), charset: &Charset::Utf8, padded: false })
        }
        // Only fields whose type is an enum have one.
        (Constant::Symbol(_), _) => Value::Null,
    }
}
