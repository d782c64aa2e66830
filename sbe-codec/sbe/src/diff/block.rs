//! Blocks: fields by their place, groups and data by their order.

use super::{ChangeKind, Comparison, Effect};
use crate::ir::{Block, Data, Dimension, Field, Group, Meta, Presence};

const UNSAID: &str = "it has no sinceVersion above the old version, so that new readers look for it in old messages";

/// A member of a block, by what identifies it.
trait Member {
    fn meta(&self) -> &Meta;
    /// Are they the same though their names differ?
    fn renamed(&self, new: &Self) -> bool;
}

impl Member for Field {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn renamed(&self, new: &Field) -> bool {
        (self.id, self.offset, self.size_bytes) == (new.id, new.offset, new.size_bytes)
    }
}

impl Member for Group {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn renamed(&self, new: &Group) -> bool {
        self.id == new.id
    }
}

impl Member for Data {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn renamed(&self, new: &Data) -> bool {
        self.id == new.id
    }
}

/// For each new member the index of the old one.
fn pair<T: Member>(old: &[T], new: &[T]) -> Vec<Option<usize>> {
    let named = |member: &T| old.iter().position(|other| other.meta().name == member.meta().name);
    let mut pairs: Vec<_> = new.iter().map(named).collect();
    for (at, member) in new.iter().enumerate().filter(|(at, _)| pairs[*at].is_none()).collect::<Vec<_>>() {
        pairs[at] = (0..old.len()).find(|index| old[*index].renamed(member) && !pairs.contains(&Some(*index)));
    }
    pairs
}

/// Whether something known to both follows at `at`, in a sequence where `known` says so of each.
fn followed(known: &[bool], at: usize) -> bool {
    known[at + 1..].contains(&true)
}

impl Comparison<'_> {
    /// `nested` if it is of a group's entry.
    pub(super) fn block(&mut self, place: &str, old: &Block, new: &Block, nested: bool) {
        let bytes = |block: &Block| format!("{} bytes", block.length_bytes);
        let cut = new.length_bytes < old.fields_end;
        let effect = if cut { Effect::Readers("old readers look for more fields") } else { Effect::None };
        self.compare(place, ChangeKind::BlockLength, bytes(old), bytes(new), effect);
        self.fields(place, old, new);
        self.behind(place, old, new, nested);
    }

    fn fields(&mut self, place: &str, old: &Block, new: &Block) {
        let pairs = pair(&old.fields, &new.fields);
        for (at, field) in old.fields.iter().enumerate() {
            if !pairs.contains(&Some(at)) {
                let text = self.field_text(true, field);
                let constant = field.presence == Presence::Constant;
                let effect = if constant { Effect::None } else { Effect::Readers("old readers look for it") };
                self.change(&inside(place, &field.meta), ChangeKind::Removed, text, "", effect);
            }
        }
        for (field, before) in new.fields.iter().zip(pairs) {
            let place = inside(place, &field.meta);
            match before {
                Some(before) => self.field(&place, &old.fields[before], field),
                None => {
                    // Bytes that old readers give a meaning to belong to fields that were removed or moved.
                    let unsaid = field.presence != Presence::Constant && field.meta.since_version <= self.old.version;
                    let text = self.field_text(false, field);
                    self.change(&place, ChangeKind::Added, "", text, Effect::of(None, unsaid.then_some(UNSAID)));
                }
            }
        }
    }

    fn field_text(&self, old: bool, field: &Field) -> String {
        let schema = if old { self.old } else { self.new };
        format!("{} at {}", schema.type_text(field.type_id), field.offset)
    }

    pub(super) fn field(&mut self, place: &str, old: &Field, new: &Field) {
        self.member(place, &old.meta, &new.meta);
        self.compare(place, ChangeKind::Renumbered, format!("id {}", old.id), format!("id {}", new.id), Effect::None);
        let constants = [old, new].map(|field| field.presence == Presence::Constant);
        if constants == [false, false] {
            let offsets = [old, new].map(|field| format!("offset {}", field.offset));
            let [before, after] = offsets;
            self.compare(place, ChangeKind::Moved, before, after, Effect::Both("each side reads other bytes"));
        }
        self.presence(place, old, new);
        self.field_type(place, old, new);
    }

    fn presence(&mut self, place: &str, old: &Field, new: &Field) {
        use Presence::{Constant, Optional, Required};
        let effect = match (old.presence, new.presence) {
            (Required, Optional) => Effect::Readers("old readers take its null for a value"),
            (Optional, Required) => Effect::Writers("new readers take the null of old messages for a value"),
            (Constant, _) | (_, Constant) => Effect::Both("one side has it on the wire and the other has not"),
            _ => Effect::None,
        };
        let [before, after] = [old, new].map(|field| format!("{:?}", field.presence).to_lowercase());
        self.compare(place, ChangeKind::Presence, before, after, effect);
    }

    /// Groups, then data: each begins where the one before it ends, so that their order is their place.
    fn behind(&mut self, place: &str, old: &Block, new: &Block, nested: bool) {
        let (groups, data) = (pair(&old.groups, &new.groups), pair(&old.data, &new.data));
        let shared =
            |count: usize, pairs: &[Option<usize>]| (0..count).map(|at| pairs.contains(&Some(at))).collect::<Vec<_>>();
        let old_known = [shared(old.groups.len(), &groups), shared(old.data.len(), &data)].concat();
        let new_known: Vec<_> = groups.iter().chain(&data).map(Option::is_some).collect();
        let between = |known: &[bool], at| nested || followed(known, at);

        let metas = old.groups.iter().map(|group| &group.meta).chain(old.data.iter().map(|data| &data.meta));
        for (at, meta) in metas.enumerate().filter(|(at, _)| !old_known[*at]) {
            let writers = between(&old_known, at).then_some("new readers take it for what follows");
            let effect = Effect::of(Some("old readers look for it"), writers);
            self.change(&inside(place, meta), ChangeKind::Removed, kind(at, &old.groups), "", effect);
        }
        let metas = new.groups.iter().map(|group| &group.meta).chain(new.data.iter().map(|data| &data.meta));
        for (at, meta) in metas.enumerate().filter(|(at, _)| !new_known[*at]) {
            let readers = between(&new_known, at).then_some("old readers take it for what follows");
            let writers = (meta.since_version <= self.old.version).then_some(UNSAID);
            let effect = Effect::of(readers, writers);
            self.change(&inside(place, meta), ChangeKind::Added, "", kind(at, &new.groups), effect);
        }
        let mut last = None;
        for (group, before) in new.groups.iter().zip(&groups) {
            let Some(before) = *before else { continue };
            let place = inside(place, &group.meta);
            self.order(&place, before, &mut last);
            self.group(&place, &old.groups[before], group);
        }
        last = None;
        for (data, before) in new.data.iter().zip(data) {
            let Some(before) = before else { continue };
            let place = inside(place, &data.meta);
            self.order(&place, before, &mut last);
            self.data(&place, &old.data[before], data);
        }
    }

    fn order(&mut self, place: &str, before: usize, last: &mut Option<usize>) {
        match *last {
            Some(other) if before < other => {
                let effect = Effect::Both("each side takes one for the other");
                self.change(place, ChangeKind::Reordered, before + 1, other + 1, effect);
            }
            _ => *last = Some(before),
        }
    }

    fn group(&mut self, place: &str, old: &Group, new: &Group) {
        self.member(place, &old.meta, &new.meta);
        self.compare(place, ChangeKind::Renumbered, format!("id {}", old.id), format!("id {}", new.id), Effect::None);
        let slots = |dimension: &Dimension| (dimension.size_bytes, dimension.block_length, dimension.count);
        if slots(&old.dimension) != slots(&new.dimension) {
            let text = |dimension: &Dimension| {
                let (length, count) = (dimension.block_length.primitive.name(), dimension.count.primitive.name());
                format!("blockLength {length}, numInGroup {count}")
            };
            let effect = Effect::Both("the dimension is misread");
            self.change(place, ChangeKind::Layout, text(&old.dimension), text(&new.dimension), effect);
        }
        self.block(place, &old.block, &new.block, true);
    }

    fn data(&mut self, place: &str, old: &Data, new: &Data) {
        self.member(place, &old.meta, &new.meta);
        self.compare(place, ChangeKind::Renumbered, format!("id {}", old.id), format!("id {}", new.id), Effect::None);
        if (old.length, old.start) != (new.length, new.start) {
            let text = |data: &Data| format!("length {}", data.length.primitive.name());
            self.change(place, ChangeKind::Layout, text(old), text(new), Effect::Both("the length is misread"));
        }
        let charset =
            |data: &Data| data.charset.as_ref().map_or_else(|| "bytes".to_owned(), |set| format!("text {set:?}"));
        self.compare(
            place,
            ChangeKind::Meaning,
            charset(old),
            charset(new),
            Effect::Both("the bytes mean another text"),
        );
    }
}

/// What stands at `at` where the groups are followed by the data.
fn kind(at: usize, groups: &[Group]) -> &'static str {
    if at < groups.len() { "group" } else { "data" }
}

fn inside(place: &str, meta: &Meta) -> String {
    format!("{place}.{}", meta.name)
}
