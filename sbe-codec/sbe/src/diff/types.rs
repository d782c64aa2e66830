//! Types, compared where fields use them; each pair is told of once.

use std::collections::HashSet;

use super::{ChangeKind, Comparison, Effect};
use crate::ir::{Composite, Constant, Encoding, Enum, Field, Meta, Presence, Schema, Set, Type, TypeId};
use crate::layout::number_text;
use crate::primitive::{Number, Primitive};

/// The pairs of old and new types that were compared.
pub(super) type Seen = HashSet<(TypeId, TypeId)>;

const OTHER_MEANING: &str = "the same bytes mean another value";

impl Comparison<'_> {
    pub(super) fn field_type(&mut self, place: &str, old: &Field, new: &Field) {
        let (was, is) = (shape(self.old, old.type_id), shape(self.new, new.type_id));
        if was != is {
            let [before, after] =
                [(self.old, old), (self.new, new)].map(|(schema, field)| spelled(schema, field.type_id));
            return self.change(place, ChangeKind::Retyped, before, after, Effect::Both("the bytes are another type"));
        }
        let text = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
        let [before, after] = [(self.old, old), (self.new, new)].map(|(schema, field)| text(constant(schema, field)));
        if old.presence == new.presence {
            self.compare(place, ChangeKind::Constant, before, after, Effect::Both("each side has its own value"));
            let [before, after] = [self.old.null_text(old), self.new.null_text(new)].map(text);
            self.compare(
                place,
                ChangeKind::Null,
                before,
                after,
                Effect::Both("the null of one is a value of the other"),
            );
        }
        let unit = |field: &Field| field.time_unit.map_or_else(|| "no time".to_owned(), |unit| format!("{unit:?}"));
        self.compare(place, ChangeKind::Meaning, unit(old), unit(new), Effect::Both(OTHER_MEANING));
        if self.seen.insert((old.type_id, new.type_id)) {
            self.same_shape(place, old.type_id, new.type_id);
        }
    }

    fn same_shape(&mut self, place: &str, old: TypeId, new: TypeId) {
        let (before, after) = (self.old.type_of(old), self.new.type_of(new));
        match (before, after) {
            (Type::Enum(old), Type::Enum(new)) => self.enums(old, new),
            (Type::Set(old), Type::Set(new)) => self.sets(old, new),
            (Type::Composite(old), Type::Composite(new)) => self.composites(old, new),
            (Type::Encoding(old), Type::Encoding(new)) => {
                let content = |encoding: &Encoding| format!("{:?}", encoding.content).to_lowercase();
                self.compare(place, ChangeKind::Meaning, content(old), content(new), Effect::Both(OTHER_MEANING));
            }
            // A number that became an enum, or the like: the same bytes under another name.
            _ => {
                self.change(place, ChangeKind::Retyped, self.old.type_text(old), self.new.type_text(new), Effect::None)
            }
        }
    }

    fn enums(&mut self, old: &Enum, new: &Enum) {
        let number = |number: &Number| number_text(*number, new.primitive);
        let old = old.values.iter().map(|value| (&value.meta, value.number)).collect::<Vec<_>>();
        let values = new.values.iter().map(|value| (&value.meta, value.number)).collect::<Vec<_>>();
        self.choices(&format!("enum {}", new.meta.name), &old, &values, number);
    }

    fn sets(&mut self, old: &Set, new: &Set) {
        let old = old.choices.iter().map(|choice| (&choice.meta, choice.bit)).collect::<Vec<_>>();
        let choices = new.choices.iter().map(|choice| (&choice.meta, choice.bit)).collect::<Vec<_>>();
        self.choices(&format!("set {}", new.meta.name), &old, &choices, |bit| format!("bit {bit}"));
    }

    /// The values of an enum or the choices of a set, each with what stands for it on the wire.
    fn choices<V: PartialEq>(
        &mut self,
        place: &str,
        old: &[(&Meta, V)],
        new: &[(&Meta, V)],
        text: impl Fn(&V) -> String,
    ) {
        for (meta, value) in old {
            let kept = new.iter().any(|(other, code)| other.name == meta.name || code == value);
            if !kept {
                self.change(&format!("{place}.{}", meta.name), ChangeKind::Removed, text(value), "", Effect::None);
            }
        }
        for (meta, value) in new {
            let place = format!("{place}.{}", meta.name);
            if let Some((before, code)) = old.iter().find(|(other, _)| other.name == meta.name) {
                let effect = Effect::Both("one value has two meanings");
                if code != value {
                    self.change(&place, ChangeKind::Retyped, text(code), text(value), effect);
                }
                self.meta(&place, before, meta);
            } else if let Some((before, _)) = old.iter().find(|(_, code)| code == value) {
                self.meta(&place, before, meta);
            } else {
                self.change(&place, ChangeKind::Added, "", text(value), Effect::None);
            }
        }
    }

    /// Of the same shape, so that their members are the same in number and place.
    fn composites(&mut self, old: &Composite, new: &Composite) {
        let form = |composite: &Composite| format!("{:?}", composite.form).to_lowercase();
        let place = format!("composite {}", new.meta.name);
        self.compare(&place, ChangeKind::Meaning, form(old), form(new), Effect::Both(OTHER_MEANING));
        for (before, after) in old.members.iter().zip(&new.members) {
            self.field(&format!("{place}.{}", after.meta.name), before, after);
        }
    }
}

/// What a type is on the wire, and nothing else.
#[derive(PartialEq)]
enum Shape {
    Primitive(Primitive, u32),
    /// Each member's offset and shape; no shape of a constant, and the size of all.
    Composite(Vec<(u32, Option<Shape>)>, u32),
}

fn shape(schema: &Schema, id: TypeId) -> Shape {
    match schema.type_of(id) {
        Type::Encoding(encoding) => Shape::Primitive(encoding.primitive, encoding.length),
        Type::Enum(symbols) => Shape::Primitive(symbols.primitive, 1),
        Type::Set(set) => Shape::Primitive(set.primitive, 1),
        Type::Composite(composite) => {
            let shape = |member: &Field| {
                let on_wire = member.presence != Presence::Constant;
                (member.offset, on_wire.then(|| shape(schema, member.type_id)))
            };
            Shape::Composite(composite.members.iter().map(shape).collect(), composite.size_bytes)
        }
    }
}

/// A type, and of a composite its members.
fn spelled(schema: &Schema, id: TypeId) -> String {
    let Type::Composite(composite) = schema.type_of(id) else { return schema.type_text(id) };
    let member = |member: &Field| match member.presence {
        Presence::Constant => format!("{} constant", member.meta.name),
        _ => format!("{} {}", member.meta.name, spelled(schema, member.type_id)),
    };
    let members: Vec<_> = composite.members.iter().map(member).collect();
    format!("composite {} of {} bytes ({})", composite.meta.name, composite.size_bytes, members.join(", "))
}

/// The value of a constant; of a value of an enum its number, since its name is not on the wire.
fn constant(schema: &Schema, field: &Field) -> Option<String> {
    match (&field.constant, schema.type_of(field.type_id)) {
        (Some(Constant::Symbol(index)), Type::Enum(symbols)) => {
            Some(number_text(symbols.values[*index as usize].number, symbols.primitive))
        }
        _ => schema.constant_text(field),
    }
}
