//! An object of JSON whose members are taken by name, and of which none may be left.

use super::error::{EncodeError, Unencodable};
use super::tape::{Item, Kind};
use super::value::bad;

/// An object, cheapest where its members are taken in the order of the text.
pub(super) struct Object<'t> {
    pub(super) item: Item<'t>,
    members: Vec<Member<'t>>,
    /// Where the next member is expected.
    next: usize,
    /// Members not taken.
    left: usize,
}

struct Member<'t> {
    key: &'t str,
    item: Item<'t>,
    taken: bool,
}

impl<'t> Object<'t> {
    pub(super) fn of(item: Item<'t>) -> Result<Object<'t>, EncodeError> {
        if item.kind() != Kind::Object {
            return Err(item.fault(bad(item, "an object".to_owned())));
        }
        let members: Vec<_> =
            item.members().map(|(key, item)| Member { key: key.text(), item, taken: false }).collect();
        Ok(Object { item, left: members.len(), members, next: 0 })
    }

    /// The value of this key.
    pub(super) fn take(&mut self, name: &str) -> Option<Item<'t>> {
        self.take_if(|key| key == name)
    }

    /// The value of `_header`, or of `_header_` and the name of a group or data.
    pub(super) fn take_head(&mut self, name: Option<&str>) -> Option<Item<'t>> {
        self.take_if(|key| {
            key.strip_prefix("_header").is_some_and(|rest| match name {
                Some(name) => rest.strip_prefix('_') == Some(name),
                None => rest.is_empty(),
            })
        })
    }

    /// The value of a key that is `_` and a number, and the number.
    pub(super) fn take_offset(&mut self) -> Option<(usize, Item<'t>)> {
        let offset = |key: &str| key.strip_prefix('_')?.parse().ok();
        let item = self.take_if(|key| offset(key).is_some())?;
        Some((offset(self.members[self.next - 1].key)?, item))
    }

    fn take_if(&mut self, wanted: impl Fn(&str) -> bool) -> Option<Item<'t>> {
        if self.left == 0 {
            return None;
        }
        let from_next = (self.next..self.members.len()).chain(0..self.next);
        let at = from_next.into_iter().find(|at| !self.members[*at].taken && wanted(self.members[*at].key))?;
        self.members[at].taken = true;
        self.left -= 1;
        self.next = at + 1;
        Some(self.members[at].item)
    }

    /// Refuses a key that nobody took, with the keys that there are.
    pub(super) fn finish(&self, known: impl Fn() -> Vec<String>) -> Result<(), EncodeError> {
        let Some(stray) = self.members.iter().find(|member| !member.taken) else { return Ok(()) };
        let name = stray.key.to_owned();
        let twice = self.members.iter().any(|member| member.taken && member.key == stray.key);
        Err(stray.item.fault(match twice {
            true => Unencodable::Duplicate { name },
            false => Unencodable::UnknownKey { name, known: known() },
        }))
    }
}
