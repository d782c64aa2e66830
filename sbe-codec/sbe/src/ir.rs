//! The compiled schema: plain data, every offset and length resolved, every reference an index.
//!
//! ```text
//! Schema ── types:    [Type]      all types, also the unnamed ones inside composites; a TypeId is an index
//!        ── messages: [Message] ── Block ── fields: [Field ── TypeId]
//!                                       ── groups: [Group ── Dimension, Block]   nested
//!                                       ── data:   [Data]
//! ```
//!
//! It holds no borrowed text, no pointers and no hash maps, so that it can be kept compiled, compared between versions
//! and turned into source code. Sizes and offsets are in bytes, within the block or composite that contains them.

use rkyv::rancor::Source;
use rkyv::ser::{Allocator, Writer};
use rkyv::validation::ArchiveContext;
use rkyv::{Archive, Deserialize, Serialize};

use crate::error::DecodeError;
pub(crate) use crate::name::Name;
use crate::primitive::{ByteOrder, Charset, Number, Primitive, TimeUnit};

/// What every element of a schema may say about itself.
#[derive(Clone, PartialEq, Eq, Debug, Default, Archive, Serialize, Deserialize)]
pub struct Meta {
    /// Its name: letters, digits and `_`.
    pub name: Name,
    /// Its description, empty if there is none.
    pub description: String,
    /// Its FIX semantic type, empty if there is none.
    pub semantic_type: String,
    /// The schema version that added it; 0 for the first.
    pub since_version: u16,
    /// The schema version that deprecated it. It stays on the wire.
    pub deprecated: Option<u16>,
}

/// A compiled schema. Immutable; share it freely between threads.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Schema {
    /// The name of the schema's name space.
    pub package: String,
    /// The schema's number, as in message headers.
    pub id: u16,
    /// The version of the schema, as in message headers.
    pub version: u16,
    /// The version that people speak of, empty if there is none.
    pub semantic_version: String,
    /// The schema's description, empty if there is none.
    pub description: String,
    /// The byte order of all numbers.
    pub byte_order: ByteOrder,
    /// All types: declared, inside composites, and the primitives that fields name.
    pub types: Vec<Type>,
    /// The messages in the order of the schema.
    pub messages: Vec<Message>,
    pub(crate) header: HeaderLayout,
    /// Template id to index into `messages`, sorted.
    pub(crate) templates: Vec<(u16, u32)>,
}

impl Schema {
    /// The message with this template id.
    #[inline]
    pub fn message_by_template(&self, template_id: u16) -> Option<&Message> {
        let at = self.templates.binary_search_by_key(&template_id, |entry| entry.0).ok()?;
        Some(&self.messages[self.templates[at].1 as usize])
    }

    /// The message of this name.
    pub fn message_by_name(&self, name: &str) -> Option<&Message> {
        self.messages.iter().find(|message| message.meta.name == name)
    }

    /// Where the header's members are.
    pub fn header(&self) -> &HeaderLayout {
        &self.header
    }

    /// The type of this index.
    ///
    /// # Panics
    /// If the index is not of this schema.
    #[inline]
    pub fn type_of(&self, id: TypeId) -> &Type {
        &self.types[id.0 as usize]
    }
}

/// The index of a type in [`Schema::types`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
pub struct TypeId(pub u32);

/// A type.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum Type {
    Encoding(Encoding),
    Enum(Enum),
    Set(Set),
    Composite(Composite),
}

impl Type {
    /// Its name and description.
    pub fn meta(&self) -> &Meta {
        match self {
            Type::Encoding(encoding) => &encoding.meta,
            Type::Enum(symbols) => &symbols.meta,
            Type::Set(set) => &set.meta,
            Type::Composite(composite) => &composite.meta,
        }
    }

    /// Bytes on the wire; 0 for a constant.
    pub fn size_bytes(&self) -> u32 {
        match self {
            Type::Encoding(encoding) if encoding.presence == Presence::Constant => 0,
            Type::Encoding(encoding) => encoding.primitive.size_bytes() * encoding.length,
            Type::Enum(symbols) => symbols.primitive.size_bytes(),
            Type::Set(set) => set.primitive.size_bytes(),
            Type::Composite(composite) => composite.size_bytes,
        }
    }
}

/// May a value be missing?
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Archive, Serialize, Deserialize)]
pub enum Presence {
    /// Always a value.
    #[default]
    Required,
    /// The null value says that there is none.
    Optional,
    /// The value stands in the schema, not on the wire.
    Constant,
}

/// A `<type>`: one primitive, or a fixed array of it.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Encoding {
    /// Name and description.
    pub meta: Meta,
    /// The primitive type of each element.
    pub primitive: Primitive,
    /// How many elements; 1 if it is no array.
    pub length: u32,
    /// Presence, as the type states it; a field may say otherwise.
    pub presence: Presence,
    /// The null value, stated or the primitive's own.
    pub null: Number,
    /// The least value, if stated.
    pub min: Option<Number>,
    /// The greatest value, if stated.
    pub max: Option<Number>,
    /// The value of a constant.
    pub constant: Option<Constant>,
    /// What it means as a value.
    pub content: Content,
    /// The unit, where it is a UTC timestamp.
    pub time_unit: Option<TimeUnit>,
}

/// What an encoding means as a value.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub enum Content {
    /// One number.
    Number,
    /// Text: char, arrays of char, and arrays of bytes with a character set.
    Text(Charset),
    /// An array of uint8 without a character set.
    Bytes,
    /// Any other array.
    Array,
}

/// A value that stands in the schema.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub enum Constant {
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// The index of a value of the enum that is the field's type.
    Symbol(u32),
}

/// An `<enum>`.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Enum {
    /// Name and description.
    pub meta: Meta,
    /// What is on the wire: char or an integer.
    pub primitive: Primitive,
    /// The null value, stated or the primitive's own.
    pub null: Number,
    /// Optional, if the encoding type is.
    pub presence: Presence,
    /// The values in the order of the schema.
    pub values: Vec<ValidValue>,
}

impl Enum {
    /// The value that has this number on the wire.
    #[inline(always)]
    pub fn value_of(&self, number: Number) -> Option<&ValidValue> {
        self.values.iter().find(|value| value.number == number)
    }
}

/// A value of an enum.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct ValidValue {
    /// Name and description.
    pub meta: Meta,
    /// Its number on the wire; of a char enum, the character's code.
    pub number: Number,
}

/// A `<set>`: a bit for each choice.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Set {
    /// Name and description.
    pub meta: Meta,
    /// What is on the wire: an unsigned integer.
    pub primitive: Primitive,
    /// The choices in the order of the schema.
    pub choices: Vec<Choice>,
}

/// A choice of a set.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Choice {
    /// Name and description.
    pub meta: Meta,
    /// Its bit, from 0, the least significant.
    pub bit: u32,
}

/// A `<composite>`.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Composite {
    /// Name and description.
    pub meta: Meta,
    /// Bytes on the wire, gaps included.
    pub size_bytes: u32,
    /// The members in the order of the wire.
    pub members: Vec<Field>,
    /// What the members mean together.
    pub form: Form,
}

/// What the members of a composite mean together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub enum Form {
    /// Nothing in particular.
    Plain,
    /// An integer and an `exponent`, on the wire or constant: mantissa × 10^exponent.
    Decimal,
    /// An integer `time` and a constant `unit`: UTC since 1970.
    Timestamp(TimeUnit),
}

/// A field of a block, or a member of a composite.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Field {
    /// Name and description; the semantic type of the type where the field has none.
    pub meta: Meta,
    /// The field's number; 0 for members of composites, which have none.
    pub id: u16,
    /// Its type.
    pub type_id: TypeId,
    /// Where it begins in its block or composite.
    pub offset: u32,
    /// Bytes on the wire; 0 for a constant.
    pub size_bytes: u32,
    /// Presence: constant if field or type say so, else optional if either does.
    pub presence: Presence,
    /// The value of a constant field, if it is not its type's own.
    pub constant: Option<Constant>,
    /// The unit, where it is a UTC timestamp.
    pub time_unit: Option<TimeUnit>,
}

impl Field {
    /// Where it ends in its block or composite.
    #[inline]
    pub fn end(&self) -> u32 {
        self.offset + self.size_bytes
    }
}

/// The content of a message or of a group's entry.
#[derive(Clone, PartialEq, Eq, Debug, Default, Archive, Serialize, Deserialize)]
#[rkyv(
    serialize_bounds(__S: Writer + Allocator, __S::Error: Source),
    deserialize_bounds(__D::Error: Source),
    bytecheck(bounds(__C: ArchiveContext, __C::Error: Source))
)]
pub struct Block {
    /// The length of the fixed part that a writer of this schema's version sends.
    pub length_bytes: u32,
    /// Where the last field ends; at most `length_bytes`.
    pub fields_end: u32,
    /// The fixed part.
    pub fields: Vec<Field>,
    /// Then the repeating groups.
    #[rkyv(omit_bounds)]
    pub groups: Vec<Group>,
    /// Then the variable data.
    pub data: Vec<Data>,
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Message {
    /// Name and description.
    pub meta: Meta,
    /// Its number in message headers.
    pub template_id: u16,
    /// Its content.
    pub block: Block,
}

/// A repeating group.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Group {
    /// Name and description.
    pub meta: Meta,
    /// The group's number.
    pub id: u16,
    /// The counts before its entries.
    pub dimension: Dimension,
    /// The content of an entry.
    pub block: Block,
}

/// What stands before the entries of a group.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Dimension {
    /// The composite.
    pub type_id: TypeId,
    /// Its bytes on the wire.
    pub size_bytes: u32,
    /// The length of an entry's fixed part.
    pub block_length: Slot,
    /// The number of entries.
    pub count: Slot,
}

/// Variable data.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Data {
    /// Name and description.
    pub meta: Meta,
    /// The field's number.
    pub id: u16,
    /// The composite.
    pub type_id: TypeId,
    /// Where its length stands; the bytes follow at `start`.
    pub length: Slot,
    /// Where the bytes begin, from the start of the composite.
    pub start: u32,
    /// The character set, if it is text.
    pub charset: Option<Charset>,
}

/// Where an unsigned number stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Slot {
    /// Offset from the start of its composite.
    pub offset: u32,
    /// An unsigned integer.
    pub primitive: Primitive,
}

impl Slot {
    /// Where it ends in its composite.
    #[inline]
    pub(crate) fn end(&self) -> u32 {
        self.offset + self.primitive.size_bytes()
    }

    /// Reads it from the bytes of its composite; nothing if there are too few.
    #[inline]
    pub fn read(&self, order: ByteOrder, composite: &[u8]) -> Option<u64> {
        match self.primitive.read(order, composite.get(self.offset as usize..)?)? {
            Number::UInt(number) => Some(number),
            _ => None,
        }
    }

    /// Writes it into the bytes of its composite; nothing if it does not fit, or there are too few.
    pub(crate) fn write(&self, order: ByteOrder, number: u64, composite: &mut [u8]) -> Option<()> {
        let bits = self.primitive.size_bytes() * 8;
        let fits = bits == u64::BITS || number >> bits == 0;
        let bytes = composite.get_mut(self.offset as usize..).filter(|_| fits)?;
        self.primitive.write(order, Number::UInt(number), bytes)
    }
}

/// Where a message header keeps what it says.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct HeaderLayout {
    /// The composite.
    pub type_id: TypeId,
    /// Its bytes on the wire, members beyond the four included.
    pub size_bytes: u32,
    /// The byte order of the schema.
    pub byte_order: ByteOrder,
    /// The length of the message's fixed part.
    pub block_length: Slot,
    /// The message's number.
    pub template_id: Slot,
    /// The schema's number; nothing where the schema makes it a constant, which then says nothing.
    pub schema_id: Option<Slot>,
    /// The version of the schema that the writer had.
    pub version: Slot,
}

/// What a message header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The length of the message's fixed part.
    pub block_length: u16,
    /// The message's number.
    pub template_id: u16,
    /// The schema's number; nothing where it is not on the wire.
    pub schema_id: Option<u16>,
    /// The version of the schema that the writer had.
    pub version: u16,
}

impl HeaderLayout {
    /// Reads the header at the start of a message.
    ///
    /// # Errors
    /// If there are too few bytes, or a member is wider than 16 bits and holds more.
    #[inline(always)]
    pub fn read(&self, message: &[u8]) -> Result<Header, DecodeError> {
        let needed = self.size_bytes as usize;
        let Some(bytes) = message.get(..needed) else {
            let left = message.len();
            return Err(DecodeError::Truncated { what: "the message header".into(), offset: 0, needed, left });
        };
        let read = |slot: &Slot, member| {
            let value = slot.read(self.byte_order, bytes).unwrap_or(u64::MAX);
            u16::try_from(value).map_err(|_| DecodeError::HeaderValue { member, value })
        };
        Ok(Header {
            block_length: read(&self.block_length, "blockLength")?,
            template_id: read(&self.template_id, "templateId")?,
            schema_id: self.schema_id.as_ref().map(|slot| read(slot, "schemaId")).transpose()?,
            version: read(&self.version, "version")?,
        })
    }
}
