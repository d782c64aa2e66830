//! Types: each is compiled once, when first named, so that their order in the schema does not matter.

use std::collections::HashMap;

use super::element::Element;
use super::{BLOCK_BYTES_MAX, DEPTH_MAX, VALUES_MAX, constant};
use crate::error::{Fault, SchemaError};
use crate::ir::{
    Choice, Composite, Content, Encoding, Enum, Field, Form, Meta, Presence, Set, Slot, Type, TypeId, ValidValue,
};
use crate::primitive::{Charset, Primitive, TimeUnit};

const COMPOSITE_DEPTH: &str = "composites within composites";

/// The types of a schema while it is compiled.
pub(super) struct Types<'a> {
    declared: HashMap<&'a str, Declared<'a>>,
    /// The declared names in the order of the schema, so that faults and indices are the same in every run.
    order: Vec<&'a str>,
    primitives: HashMap<Primitive, TypeId>,
    compiled: Vec<Type>,
    /// Of each compiled type.
    extents: Vec<Extent>,
    depth: u32,
}

/// What walking a type costs. Constants take no bytes, so that the limit of bytes alone would not bound it.
#[derive(Clone, Copy)]
struct Extent {
    values: u32,
    depth: u32,
}

struct Declared<'a> {
    element: Element<'a>,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Waiting,
    Compiling,
    Compiled(TypeId),
}

impl<'a> Types<'a> {
    /// Collects the names.
    pub(super) fn declare(elements: &[Element<'a>]) -> Result<Types<'a>, SchemaError> {
        let mut types = Types {
            declared: HashMap::new(),
            order: Vec::new(),
            primitives: HashMap::new(),
            compiled: Vec::new(),
            extents: Vec::new(),
            depth: 0,
        };
        for element in elements.iter().copied() {
            if !matches!(element.name(), "type" | "enum" | "set" | "composite") {
                return Err(element.unexpected("types", "only type, enum, set and composite can"));
            }
            let name = element.symbol()?;
            let before = types.declared.insert(name, Declared { element, state: State::Waiting });
            if let Some(first) = before {
                return Err(duplicate(element, "type", name, first.element.line()));
            }
            types.order.push(name);
        }
        Ok(types)
    }

    /// The declared types, in the order of the schema.
    pub(super) fn compile_all(&mut self) -> Result<Vec<TypeId>, SchemaError> {
        let names = self.order.clone();
        names.into_iter().map(|name| self.resolve(self.declared[name].element, name)).collect()
    }

    pub(super) fn finish(self) -> Vec<Type> {
        self.compiled
    }

    pub(super) fn get(&self, id: TypeId) -> &Type {
        &self.compiled[id.0 as usize]
    }

    /// The type that `user` names: a declared one, else a primitive, which most venues name directly.
    pub(super) fn resolve(&mut self, user: Element<'a>, name: &str) -> Result<TypeId, SchemaError> {
        let Some((&name, declared)) = self.declared.get_key_value(name) else {
            return match Primitive::named(name) {
                Some(primitive) => Ok(self.primitive(primitive)),
                None => Err(user.fault_at("type", self.unknown(name))),
            };
        };
        let element = declared.element;
        match declared.state {
            State::Compiled(id) => Ok(id),
            State::Compiling => Err(element.fault(Fault::Cycle { name: name.to_owned() })),
            State::Waiting => {
                self.set_state(name, State::Compiling);
                let id = self.compile(element)?;
                self.set_state(name, State::Compiled(id));
                Ok(id)
            }
        }
    }

    pub(super) fn composite(
        &self,
        user: Element<'a>,
        id: TypeId,
        role: &'static str,
    ) -> Result<&Composite, SchemaError> {
        match self.get(id) {
            Type::Composite(composite) => Ok(composite),
            other => Err(wrong_type(user, other, role, "a composite")),
        }
    }

    /// Where the composite `id` has the unsigned number that its role needs.
    pub(super) fn slot(
        &self,
        user: Element<'a>,
        id: TypeId,
        member: &'static str,
        role: &'static str,
    ) -> Result<Slot, SchemaError> {
        let composite = self.composite(user, id, role)?;
        let found = composite.members.iter().find(|field| field.meta.name == member);
        let slot = found.and_then(|field| match self.get(field.type_id) {
            Type::Encoding(encoding) if field.presence != Presence::Constant && encoding.length == 1 => {
                let slot = Slot { offset: field.offset, primitive: encoding.primitive };
                encoding.primitive.is_unsigned().then_some(slot)
            }
            _ => None,
        });
        let fault = || Fault::Member { composite: composite.meta.name.to_string(), role, member };
        slot.ok_or_else(|| user.fault(fault()))
    }

    fn set_state(&mut self, name: &str, state: State) {
        if let Some(declared) = self.declared.get_mut(name) {
            declared.state = state;
        }
    }

    fn add(&mut self, compiled: Type) -> TypeId {
        let members: &[Field] = if let Type::Composite(composite) = &compiled { &composite.members } else { &[] };
        self.extents.push(self.extent(members));
        self.compiled.push(compiled);
        TypeId(self.compiled.len() as u32 - 1)
    }

    fn primitive(&mut self, primitive: Primitive) -> TypeId {
        if let Some(id) = self.primitives.get(&primitive) {
            return *id;
        }
        let id = self.add(Type::Encoding(Encoding {
            meta: Meta { name: primitive.name().into(), ..Meta::default() },
            primitive,
            length: 1,
            presence: Presence::Required,
            null: primitive.null(),
            min: None,
            max: None,
            constant: None,
            content: content(primitive, 1, None),
            time_unit: None,
        }));
        self.primitives.insert(primitive, id);
        id
    }

    fn unknown(&self, name: &str) -> Fault {
        let names = self.order.iter().copied().chain(Primitive::ALL.map(Primitive::name));
        let nearest = names.filter(|other| other.eq_ignore_ascii_case(name)).map(str::to_owned).next();
        Fault::UnknownType { name: name.to_owned(), nearest }
    }

    fn compile(&mut self, element: Element<'a>) -> Result<TypeId, SchemaError> {
        if self.depth == DEPTH_MAX {
            return Err(element.fault(Fault::Limit { what: COMPOSITE_DEPTH, limit: DEPTH_MAX }));
        }
        // Of a declared type it says nothing, but a wrong one says that something is amiss.
        element.number::<u32>("offset")?;
        self.depth += 1;
        let compiled = match element.name() {
            "type" => self.encoding(element).map(Type::Encoding),
            "enum" => self.symbols(element).map(Type::Enum),
            "set" => self.set(element).map(Type::Set),
            _ => self.members(element).map(Type::Composite),
        }?;
        self.depth -= 1;
        Ok(self.add(compiled))
    }

    fn encoding(&mut self, element: Element<'a>) -> Result<Encoding, SchemaError> {
        let meta = element.meta()?;
        let primitive = primitive_of(element, "primitiveType")?;
        let presence = element.presence()?.unwrap_or_default();
        let stated = element.number::<u32>("length")?;
        let length = stated.unwrap_or(1);
        if length > BLOCK_BYTES_MAX {
            return Err(element.bad_attribute("length", "a length of at most 65535"));
        }
        let constant = match presence {
            Presence::Constant => Some(constant::of_type(self, element, primitive, stated)?),
            _ => None,
        };
        let time_unit = time_unit(element, primitive, &meta.semantic_type)?;
        Ok(Encoding {
            primitive,
            length,
            presence,
            null: constant::attribute(element, "nullValue", primitive)?.unwrap_or(primitive.null()),
            min: constant::attribute(element, "minValue", primitive)?,
            max: constant::attribute(element, "maxValue", primitive)?,
            constant,
            content: content(primitive, length, element.text("characterEncoding")),
            time_unit,
            meta,
        })
    }

    fn symbols(&mut self, element: Element<'a>) -> Result<Enum, SchemaError> {
        let meta = element.meta()?;
        let encoding = self.underlying(element, "an enum's encoding")?;
        let primitive = encoding.primitive;
        if !(primitive == Primitive::Char || primitive.is_integer()) {
            return Err(element.bad_attribute("encodingType", "char or an integer"));
        }
        let stated = constant::attribute(element, "nullValue", primitive)?;
        let mut values: Vec<ValidValue> = Vec::new();
        let mut lines = Lines::default();
        for child in only(element, "validValue")? {
            let value = ValidValue { meta: child.meta()?, number: constant::valid_value(child, primitive)? };
            lines.unique(child, "value", &value.meta.name)?;
            values.push(value);
        }
        Ok(Enum { meta, primitive, null: stated.unwrap_or(encoding.null), presence: encoding.presence, values })
    }

    fn set(&mut self, element: Element<'a>) -> Result<Set, SchemaError> {
        let meta = element.meta()?;
        let primitive = self.underlying(element, "a set's encoding")?.primitive;
        if !primitive.is_unsigned() {
            return Err(element.bad_attribute("encodingType", "an unsigned integer"));
        }
        let bits = primitive.size_bytes() * 8;
        let mut choices = Vec::new();
        let mut lines = Lines::default();
        for child in only(element, "choice")? {
            let meta = child.meta()?;
            let text = child.content();
            let bit = text.parse().map_err(|_| child.fault(value_fault(text, "a bit number")))?;
            if bit >= bits {
                return Err(child.fault(Fault::Choice { name: meta.name.to_string(), bit, bits }));
            }
            lines.unique(child, "choice", &meta.name)?;
            choices.push(Choice { meta, bit });
        }
        Ok(Set { meta, primitive, choices })
    }

    /// What an enum or a set is on the wire.
    fn underlying(&mut self, element: Element<'a>, role: &'static str) -> Result<Encoding, SchemaError> {
        let id = self.resolve(element, element.required("encodingType")?)?;
        match self.get(id) {
            Type::Encoding(encoding) if encoding.length == 1 && encoding.presence != Presence::Constant => {
                Ok(encoding.clone())
            }
            other => Err(wrong_type(element, other, role, "a type of a single value")),
        }
    }

    fn members(&mut self, element: Element<'a>) -> Result<Composite, SchemaError> {
        let meta = element.meta()?;
        let mut members: Vec<Field> = Vec::new();
        let mut lines = Lines::default();
        let mut size_bytes = 0;
        for child in element.children() {
            let type_id = match child.name() {
                "ref" => self.resolve(child, child.required("type")?)?,
                "type" | "enum" | "set" | "composite" => self.compile(child)?,
                _ => return Err(child.unexpected("composite", "only type, enum, set, composite and ref can")),
            };
            let field = self.field(child, type_id, 0, &mut size_bytes)?;
            lines.unique(child, "member", &field.meta.name)?;
            members.push(field);
        }
        self.check_extent(element, &members)?;
        let form = self.form(&members);
        Ok(Composite { meta, size_bytes, members, form })
    }

    /// A field or member of the type, placed behind `end`, which moves on.
    pub(super) fn field(
        &mut self,
        element: Element<'a>,
        type_id: TypeId,
        id: u16,
        end: &mut u32,
    ) -> Result<Field, SchemaError> {
        let mut meta = element.meta()?;
        let (own, constant) = match self.get(type_id) {
            Type::Encoding(encoding) => (encoding.presence, encoding.constant.clone()),
            Type::Enum(symbols) => (symbols.presence, None),
            Type::Set(_) | Type::Composite(_) => (Presence::Required, None),
        };
        let stated = element.presence()?.unwrap_or_default();
        // Venues state presence on the type, on the field, or on both, so the stronger word counts.
        let presence = match (own, stated) {
            (Presence::Constant, _) | (_, Presence::Constant) => Presence::Constant,
            (Presence::Optional, _) | (_, Presence::Optional) => Presence::Optional,
            _ => Presence::Required,
        };
        let constant = match presence {
            Presence::Constant if constant.is_none() => Some(constant::of_field(self, element, type_id)?),
            _ => constant,
        };
        let used = self.get(type_id);
        if meta.semantic_type.is_empty() {
            meta.semantic_type = used.meta().semantic_type.clone();
        }
        let time_unit = match used {
            Type::Encoding(encoding) if encoding.length == 1 => {
                time_unit(element, encoding.primitive, &meta.semantic_type)?.or(encoding.time_unit)
            }
            _ => None,
        };
        let size_bytes = if presence == Presence::Constant { 0 } else { used.size_bytes() };
        let offset = match element.number("offset")? {
            // Venues write any offset for what takes no room.
            Some(offset) if offset < *end && size_bytes > 0 => {
                let name = meta.name.to_string();
                return Err(element.fault_at("offset", Fault::Offset { name, offset, minimum: *end }));
            }
            Some(offset) if size_bytes > 0 => offset,
            _ => *end,
        };
        *end = offset.checked_add(size_bytes).filter(|end| *end <= BLOCK_BYTES_MAX).ok_or_else(|| {
            element.fault(Fault::Limit { what: "the bytes of a block or composite", limit: BLOCK_BYTES_MAX })
        })?;
        Ok(Field { meta, id, type_id, offset, size_bytes, presence, constant, time_unit })
    }

    /// SBE 2.0, Message Schema: a field may state the null, least and greatest value in its type's place.
    pub(super) fn restated(&mut self, field: Element<'a>, type_id: TypeId) -> Result<TypeId, SchemaError> {
        if ["nullValue", "minValue", "maxValue"].iter().all(|attribute| field.text(attribute).is_none()) {
            return Ok(type_id);
        }
        let mut restated = self.get(type_id).clone();
        match &mut restated {
            Type::Encoding(Encoding { primitive, null, min, max, .. }) => {
                *null = constant::attribute(field, "nullValue", *primitive)?.unwrap_or(*null);
                *min = constant::attribute(field, "minValue", *primitive)?.or(*min);
                *max = constant::attribute(field, "maxValue", *primitive)?.or(*max);
            }
            Type::Enum(Enum { primitive, null, .. }) => {
                *null = constant::attribute(field, "nullValue", *primitive)?.unwrap_or(*null);
            }
            Type::Set(_) | Type::Composite(_) => {}
        }
        Ok(if restated == *self.get(type_id) { type_id } else { self.add(restated) })
    }

    /// Of a composite with these members.
    fn extent(&self, members: &[Field]) -> Extent {
        let inner = members.iter().map(|member| self.extents[member.type_id.0 as usize]);
        inner.fold(Extent { values: 1, depth: 1 }, |sum, inner| Extent {
            values: sum.values.saturating_add(inner.values),
            depth: sum.depth.max(inner.depth + 1),
        })
    }

    fn check_extent(&self, element: Element<'a>, members: &[Field]) -> Result<(), SchemaError> {
        let extent = self.extent(members);
        match (extent.depth > DEPTH_MAX, extent.values > VALUES_MAX) {
            (true, _) => Err(element.fault(Fault::Limit { what: COMPOSITE_DEPTH, limit: DEPTH_MAX })),
            (_, true) => Err(element.fault(Fault::Limit { what: "the values of a composite", limit: VALUES_MAX })),
            _ => Ok(()),
        }
    }

    fn form(&self, members: &[Field]) -> Form {
        let [first, second] = members else { return Form::Plain };
        let integer = |field: &Field| match self.get(field.type_id) {
            Type::Encoding(encoding) if encoding.length == 1 && encoding.primitive.is_integer() => Some(encoding),
            _ => None,
        };
        let (Some(_), Some(scale)) = (integer(first), integer(second)) else { return Form::Plain };
        if first.presence == Presence::Constant {
            return Form::Plain;
        }
        match second.meta.name.to_ascii_lowercase().as_str() {
            "exponent" if scale.primitive == Primitive::Int8 => Form::Decimal,
            "unit" => match &second.constant {
                Some(crate::ir::Constant::Number(power)) => {
                    power.integer().and_then(TimeUnit::of_power).map_or(Form::Plain, Form::Timestamp)
                }
                _ => Form::Plain,
            },
            _ => Form::Plain,
        }
    }
}

/// Names that must be unique among their kind, and where each was first.
#[derive(Default)]
pub(super) struct Lines(HashMap<String, u32>);

impl Lines {
    pub(super) fn unique(&mut self, element: Element<'_>, what: &'static str, key: &str) -> Result<(), SchemaError> {
        match self.0.insert(key.to_owned(), element.line()) {
            Some(first_line) => Err(duplicate(element, what, key, first_line)),
            None => Ok(()),
        }
    }
}

fn duplicate(element: Element<'_>, what: &'static str, name: &str, first_line: u32) -> SchemaError {
    element.fault(Fault::Duplicate { what, name: format!("\"{name}\""), first_line })
}

fn only<'a>(element: Element<'a>, name: &'static str) -> Result<Vec<Element<'a>>, SchemaError> {
    let children: Vec<_> = element.children().collect();
    match children.iter().find(|child| child.name() != name) {
        Some(other) => Err(other.unexpected(element.name(), "remove it")),
        None => Ok(children),
    }
}

fn primitive_of(element: Element<'_>, attribute: &'static str) -> Result<Primitive, SchemaError> {
    let expected = "a primitive type (char, int8 to int64, uint8 to uint64, float, double)";
    Primitive::named(element.required(attribute)?).ok_or_else(|| element.bad_attribute(attribute, expected))
}

fn content(primitive: Primitive, length: u32, encoding: Option<&str>) -> Content {
    let charset = || Charset::named(encoding.unwrap_or(""));
    match primitive {
        Primitive::Char => Content::Text(charset()),
        Primitive::UInt8 | Primitive::Int8 if encoding.is_some() => Content::Text(charset()),
        _ if length == 1 => Content::Number,
        Primitive::UInt8 => Content::Bytes,
        _ => Content::Array,
    }
}

/// FIX SBE 1.0, Field Encoding: a UTC timestamp, by default in nanoseconds.
fn time_unit(element: Element<'_>, primitive: Primitive, semantic_type: &str) -> Result<Option<TimeUnit>, SchemaError> {
    let stated = element.time_unit()?;
    match primitive {
        Primitive::Int64 | Primitive::UInt64 if semantic_type == "UTCTimestamp" => {
            Ok(stated.or(Some(TimeUnit::Nanosecond)))
        }
        _ => Ok(None),
    }
}

fn value_fault(value: &str, primitive: &'static str) -> Fault {
    Fault::Value { value: value.to_owned(), primitive }
}

fn wrong_type(user: Element<'_>, found: &Type, role: &'static str, expected: &'static str) -> SchemaError {
    let kind = match found {
        Type::Encoding(encoding) if encoding.presence == Presence::Constant => "a constant",
        Type::Encoding(encoding) if encoding.length != 1 => "an array",
        Type::Encoding(_) => "a type",
        Type::Enum(_) => "an enum",
        Type::Set(_) => "a set",
        Type::Composite(_) => "a composite",
    };
    user.fault(Fault::WrongType { name: found.meta().name.to_string(), role, found: kind, expected })
}
