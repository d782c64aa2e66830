//! JSON to SBE, by the schema: the mirror of `decode.rs`.

use super::error::{EncodeError, Unencodable, shown};
use super::object::Object;
use super::tape::{Item, Kind, Tape};
use super::value::{self, bad, put};
use super::write::value_json;
use crate::decode::{constant_of, message_length};
use crate::ir::{Block, Composite, Data, Field, Form, Group, Message, Presence, Schema, Slot, Type, TypeId};
use crate::primitive::{ByteOrder, Number};

/// The most bytes of a message that are not said by the JSON: a block of 65,535 bytes needs but a pair of braces.
const UNSAID_BYTES_MAX: usize = 16 << 20;

type Written = Result<(), EncodeError>;

/// Appends the message that the JSON is to `out`, and gives its length in bytes.
///
/// Keys may stand in any order. What is missing or `null` is null; a group or data is then empty, and a required field an
/// error. Of [`crate::decode_json`]'s own JSON the bytes are those it was made of.
///
/// The message has at most 16 MiB more than the JSON, and what is used on the way is a small multiple of the JSON's length.
/// On an error `out` is as it was.
///
/// # Errors
/// If it is not JSON, or no message of the schema: line, column, place in the message, and remedy.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let xml = r#"<messageSchema package="example" id="7" version="0"><types>
/// #   <composite name="messageHeader">
/// #     <type name="blockLength" primitiveType="uint16"/><type name="templateId" primitiveType="uint16"/>
/// #     <type name="schemaId" primitiveType="uint16"/><type name="version" primitiveType="uint16"/>
/// #   </composite>
/// # </types><message name="Beat" id="1"><field name="number" id="1" type="uint64"/></message></messageSchema>"#;
/// let schema = oyez_sbe::Schema::parse(xml, "example.xml")?;
/// let mut message = Vec::new();
/// oyez_sbe::encode_json(&schema, br#"{"_t":"Beat","number":"42"}"#, &mut message)?;
/// assert_eq!(message, [8, 0, 1, 0, 7, 0, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0]);
///
/// let error = oyez_sbe::encode_json(&schema, br#"{"_t":"Beat","number":-1}"#, &mut message).unwrap_err();
/// assert_eq!(error.to_string(), "line 1, column 23: number: `-1` is no value of uint64; correct it");
/// # Ok(())
/// # }
/// ```
pub fn encode_json(schema: &Schema, json: &[u8], out: &mut Vec<u8>) -> Result<usize, EncodeError> {
    let tape = Tape::parse(json)?;
    let before = out.len();
    let bytes_max = json.len() + UNSAID_BYTES_MAX;
    let mut encoder = Encoder { schema, order: schema.byte_order, version: schema.version, before, bytes_max, out };
    let root = tape.root();
    let written = encoder.message(root).and_then(|()| {
        // What a reader refuses, such as a million entries without bytes, no writer should send.
        let read = message_length(schema, &encoder.out[before..]);
        read.map_err(|error| root.fault(Unencodable::Unreadable(error)))
    });
    written.inspect_err(|_| out.truncate(before))
}

struct Encoder<'a> {
    schema: &'a Schema,
    order: ByteOrder,
    /// The version in the header.
    version: u16,
    /// Where the message begins in `out`.
    before: usize,
    /// The most bytes that the message may have.
    bytes_max: usize,
    out: &'a mut Vec<u8>,
}

/// A part of `out`.
type Range = std::ops::Range<usize>;

impl Encoder<'_> {
    fn message(&mut self, root: Item<'_>) -> Written {
        let mut object = Object::of(root)?;
        let (schema, start) = (self.schema, self.out.len());
        let message = message_named(schema, object.take("_t"), root)?;
        let layout = schema.header();
        let head = self.reserve(root, layout.size_bytes as usize)?;
        let told = [
            (layout.block_length, "blockLength", message.block.length_bytes.into()),
            (layout.version, "version", schema.version.into()),
        ];
        let implied = [layout.template_id, layout.schema_id.unwrap_or(layout.template_id)];
        self.head(&mut object, None, layout.type_id, &head, &told, &implied)?;
        self.slot(root, &head, &layout.template_id, "templateId", message.template_id.into())?;
        if let Some(slot) = &layout.schema_id {
            self.slot(root, &head, slot, "schemaId", schema.id.into())?;
        }
        let header = layout.read(&self.out[start..]).map_err(|error| root.fault(Unencodable::Unreadable(error)))?;
        self.version = header.version;
        self.block(&mut object, &message.block, header.block_length.into())
    }

    /// A block of `length` bytes, and the groups and data behind it.
    fn block(&mut self, object: &mut Object<'_>, block: &Block, length: usize) -> Written {
        let bytes = self.reserve(object.item, length)?;
        self.fields(object, &block.fields, &bytes)?;
        for group in &block.groups {
            self.group(object, group)?;
        }
        for data in &block.data {
            self.data(object, data)?;
        }
        self.unsaid(object, &bytes, || block_keys(block))
    }

    fn fields(&mut self, object: &mut Object<'_>, fields: &[Field], container: &Range) -> Written {
        for field in fields {
            let given = object.take(&field.meta.name);
            let item = given.filter(|item| item.kind() != Kind::Null);
            self.field(field, item, given.unwrap_or(object.item), container)?;
        }
        Ok(())
    }

    /// A field, or a member of a composite; `parent` is the null in its place, or the object that should have it.
    fn field(&mut self, field: &Field, item: Option<Item<'_>>, parent: Item<'_>, container: &Range) -> Written {
        let constant = field.presence == Presence::Constant;
        if field.meta.since_version > self.version || (!constant && field.end() as usize > container.len()) {
            let fault = Unencodable::Absent { version: self.version, block_length: container.len() };
            return item.map_or(Ok(()), |item| Err(item.fault(fault)));
        }
        if constant {
            return item.map_or(Ok(()), |item| self.check_constant(field, item));
        }
        let place = container.start + field.offset as usize..container.start + field.end() as usize;
        let missing = || parent.fault(Unencodable::Missing { name: field.meta.name.to_string() });
        let (order, schema) = (self.order, self.schema);
        match schema.type_of(field.type_id) {
            Type::Encoding(encoding) => {
                let written = value::encoded(order, field, encoding, item, &mut self.out[place]);
                written.unwrap_or_else(|| Err(missing()))?;
            }
            Type::Enum(symbols) => {
                let optional = field.presence == Presence::Optional;
                let number = match item {
                    None if optional => symbols.null,
                    None => return Err(missing()),
                    Some(item) => value::symbol(symbols, item)?,
                };
                put(order, symbols.primitive, number, &mut self.out[place]);
            }
            Type::Set(set) => {
                let bits = value::bits(set, item.ok_or_else(missing)?)?;
                put(order, set.primitive, Number::UInt(bits), &mut self.out[place]);
            }
            Type::Composite(composite) => match item.filter(|item| item.kind() == Kind::Object) {
                Some(item) => {
                    let mut object = Object::of(item)?;
                    self.fields(&mut object, &composite.members, &place)?;
                    self.unsaid(&mut object, &place, || names(&composite.members))?;
                }
                None => self.single(composite, item, &place).unwrap_or_else(|| Err(missing()))?,
            },
        }
        Ok(())
    }

    /// A composite that is a single value; nothing if it is none, or has no null.
    fn single(&mut self, composite: &Composite, item: Option<Item<'_>>, place: &Range) -> Option<Written> {
        let [first, second] = composite.members.as_slice() else {
            return item.map(|item| Err(item.fault(bad(item, format!("composite {}", composite.meta.name)))));
        };
        let exponent = match &second.constant {
            Some(crate::ir::Constant::Number(number)) => number.integer(),
            _ => None,
        };
        let Type::Encoding(encoding) = self.schema.type_of(first.type_id) else { return None };
        let Some(item) = item else {
            let null = match composite.form {
                Form::Plain => return None,
                Form::Decimal if exponent.is_none() => return None,
                _ if first.meta.since_version > self.version => return Some(Ok(())),
                _ if first.presence == Presence::Optional => encoding.null,
                _ => return None,
            };
            self.member(first, null, place);
            return Some(Ok(()));
        };
        let fault = || item.fault(bad(item, format!("composite {}", composite.meta.name)));
        let absent = |member: &Field| member.size_bytes > 0 && member.meta.since_version > self.version;
        if absent(first) || absent(second) {
            return Some(Err(fault()));
        }
        Some(match composite.form {
            Form::Plain => Err(fault()),
            Form::Timestamp(unit) => {
                value::time(item, unit, encoding.primitive).map(|count| self.member(first, count, place))
            }
            Form::Decimal => self.decimal(first, second, exponent, item, place).ok_or_else(fault),
        })
    }

    /// A decimal, whose scale is kept where the exponent is on the wire.
    fn decimal(
        &mut self,
        first: &Field,
        second: &Field,
        constant: Option<i128>,
        item: Item<'_>,
        place: &Range,
    ) -> Option<()> {
        let (mantissa, exponent) = value::decimal(item)?;
        let target = constant.map_or(Some(exponent), |constant| i32::try_from(constant).ok())?;
        let Type::Encoding(encoding) = self.schema.type_of(first.type_id) else { return None };
        let mantissa = value::fitting(encoding.primitive, value::rescaled(mantissa, exponent, target)?)?;
        let exponent = i8::try_from(target).ok()?;
        self.member(first, mantissa, place);
        if constant.is_none() {
            self.member(second, Number::Int(exponent.into()), place);
        }
        Some(())
    }

    /// Writes a member of the composite that is at `place`.
    fn member(&mut self, member: &Field, number: Number, place: &Range) {
        if let Type::Encoding(encoding) = self.schema.type_of(member.type_id) {
            put(self.order, encoding.primitive, number, &mut self.out[place.start + member.offset as usize..place.end]);
        }
    }

    fn check_constant(&self, field: &Field, item: Item<'_>) -> Written {
        let expected = value_json(constant_of(self.schema, field));
        let constant = String::from_utf8_lossy(&expected);
        match constant.trim_matches('"') == item.text() {
            true => Ok(()),
            false => Err(item.fault(Unencodable::Constant { constant: constant.into_owned() })),
        }
    }

    fn group(&mut self, object: &mut Object<'_>, group: &Group) -> Written {
        let name = &group.meta.name;
        let item = object.take(name).filter(|item| item.kind() != Kind::Null);
        if group.meta.since_version > self.version {
            return self.absent(item);
        }
        let (parent, dimension) = (object.item, &group.dimension);
        let head = self.reserve(parent, dimension.size_bytes as usize)?;
        let told = [(dimension.block_length, "blockLength", group.block.length_bytes.into())];
        self.head(object, Some(name), dimension.type_id, &head, &told, &[dimension.count])?;
        let count = item.map_or(0, |item| item.children().count());
        self.slot(item.unwrap_or(parent), &head, &dimension.count, "numInGroup", count as u64)?;
        let Some(item) = item else { return Ok(()) };
        if item.kind() != Kind::Array {
            return Err(item.fault(bad(item, format!("group {name}, an array of objects"))));
        }
        let length = dimension.block_length.read(self.order, &self.out[head]).unwrap_or(u64::MAX);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        item.children().try_for_each(|entry| self.block(&mut Object::of(entry)?, &group.block, length))
    }

    fn data(&mut self, object: &mut Object<'_>, data: &Data) -> Written {
        let item = object.take(&data.meta.name).filter(|item| item.kind() != Kind::Null);
        if data.meta.since_version > self.version {
            return self.absent(item);
        }
        let parent = object.item;
        let head = self.reserve(parent, data.start as usize)?;
        self.head(object, Some(&data.meta.name), data.type_id, &head, &[], &[data.length])?;
        let bytes = item.map_or(Ok(Vec::new()), |item| value::text(item, data.charset.as_ref()))?;
        self.slot(item.unwrap_or(parent), &head, &data.length, "the length of the data", bytes.len() as u64)?;
        self.out.extend_from_slice(&bytes);
        Ok(())
    }

    fn absent(&self, item: Option<Item<'_>>) -> Written {
        let fault = Unencodable::Absent { version: self.version, block_length: 0 };
        item.map_or(Ok(()), |item| Err(item.fault(fault)))
    }

    /// What stands before a message, entries or data: what `_header`, or `_header_` and the name, says, else the `told` numbers.
    /// The `implied` ones, which the rest of the JSON says, are not for it to say.
    fn head(
        &mut self,
        object: &mut Object<'_>,
        name: Option<&str>,
        type_id: TypeId,
        bytes: &Range,
        told: &[(Slot, &'static str, u64)],
        implied: &[Slot],
    ) -> Written {
        let Type::Composite(composite) = self.schema.type_of(type_id) else { return Ok(()) };
        let mut head = object.take_head(name).map(Object::of).transpose()?;
        // All of it is there, whatever the version.
        let version = std::mem::replace(&mut self.version, u16::MAX);
        let is_implied = |member: &Field| implied.iter().any(|slot| slot.offset == member.offset);
        for member in composite.members.iter().filter(|member| member.size_bytes > 0 && !is_implied(member)) {
            match head.as_mut().and_then(|head| head.take(&member.meta.name)) {
                Some(item) => {
                    let value = Some(item).filter(|item| item.kind() != Kind::Null);
                    self.field(member, value, item, bytes)?;
                }
                None => {
                    if let Some((slot, name, value)) = told.iter().find(|(slot, ..)| slot.offset == member.offset) {
                        self.slot(object.item, bytes, slot, name, *value)?;
                    }
                }
            }
        }
        self.version = version;
        head.map_or(Ok(()), |mut head| self.unsaid(&mut head, bytes, || names(&composite.members)))
    }

    /// The bytes that no value says, which keys of `_` and their offset give. Then no key may be left.
    fn unsaid(&mut self, object: &mut Object<'_>, container: &Range, known: impl Fn() -> Vec<String>) -> Written {
        while let Some((offset, item)) = object.take_offset() {
            let bytes = value::base64(item.text()).filter(|_| item.kind() == Kind::String);
            let bytes = bytes.ok_or_else(|| item.fault(bad(item, "base64, with its padding".to_owned())))?;
            let room = container.len().saturating_sub(offset);
            if bytes.len() > room {
                let found = shown(item.text());
                return Err(item.fault(Unencodable::Length { found, bytes: bytes.len(), room }));
            }
            self.out[container.start + offset..][..bytes.len()].copy_from_slice(&bytes);
        }
        object.finish(known)
    }

    /// So many bytes of zero at the end of `out`.
    fn reserve(&mut self, item: Item<'_>, length: usize) -> Result<Range, EncodeError> {
        let start = self.out.len();
        match start.checked_add(length).filter(|end| *end - self.before <= self.bytes_max) {
            Some(end) => {
                self.out.resize(end, 0);
                Ok(start..end)
            }
            None => Err(item.fault(Unencodable::Limit { limit: self.bytes_max })),
        }
    }

    fn slot(&mut self, item: Item<'_>, head: &Range, slot: &Slot, member: &'static str, value: u64) -> Written {
        let fault = || item.fault(Unencodable::Slot { member, value, primitive: slot.primitive.name() });
        slot.write(self.order, value, &mut self.out[head.clone()]).ok_or_else(fault)
    }
}

fn message_named<'s>(schema: &'s Schema, name: Option<Item<'_>>, root: Item<'_>) -> Result<&'s Message, EncodeError> {
    let name = name.ok_or_else(|| root.fault(Unencodable::Missing { name: "_t".to_owned() }))?;
    schema.message_by_name(name.text()).filter(|_| name.kind() == Kind::String).ok_or_else(|| {
        let names = schema.messages.iter().map(|message| message.meta.name.as_str());
        let known = names.take(8).collect::<Vec<_>>().join(", ");
        let known = if schema.messages.len() > 8 { format!("{known}, ...") } else { known };
        name.fault(Unencodable::Message { schema: schema.package.clone(), found: shown(name.text()), known })
    })
}

fn names(fields: &[Field]) -> Vec<String> {
    fields.iter().map(|field| field.meta.name.to_string()).collect()
}

fn block_keys(block: &Block) -> Vec<String> {
    let groups = block.groups.iter().map(|group| group.meta.name.to_string());
    let data = block.data.iter().map(|data| data.meta.name.to_string());
    names(&block.fields).into_iter().chain(groups).chain(data).collect()
}
