//! The groups and data of a block, with the names of all that is made of them.

use oyez_sbe::{Block, Data, Field, Group, Presence};

use crate::names::{Scope, camel, snake};

/// A block with the names of its parts in Rust.
pub(crate) struct Named<'s> {
    pub(crate) block: &'s Block,
    /// Those that are on the wire.
    pub(crate) fields: Vec<(&'s Field, String)>,
    pub(crate) items: Vec<Item<'s>>,
}

/// A group or data: what may be read or written next, once all before it was.
pub(crate) struct Item<'s> {
    pub(crate) kind: Kind<'s>,
    /// The method that gives it.
    pub(crate) method: String,
    /// The decoder behind it; nothing behind the last.
    pub(crate) after: Option<String>,
    /// The encoder behind it; nothing behind the last.
    pub(crate) after_encoder: Option<String>,
}

pub(crate) enum Kind<'s> {
    /// With its module.
    Group(&'s Group, String),
    Data(&'s Data),
}

impl<'s> Named<'s> {
    /// `types` has the names of types and modules that are seen from the block, and gets those of its own.
    pub(crate) fn new(block: &'s Block, types: &mut Scope, reserved: &[&str]) -> Named<'s> {
        let mut methods = Scope::with(reserved);
        let fields = block.fields.iter().filter(|field| field.presence != Presence::Constant);
        let fields = fields.map(|field| (field, methods.unique(snake(&field.meta.name)))).collect();
        let names = block.groups.iter().map(|group| &group.meta.name);
        let last = names.chain(block.data.iter().map(|data| &data.meta.name)).count();
        let mut item = |types: &mut Scope, at: usize, kind: Kind<'s>| {
            let name = match &kind {
                Kind::Group(group, _) => &group.meta.name,
                Kind::Data(data) => &data.meta.name,
            };
            let mut after = |end: &str| (at + 1 < last).then(|| types.unique(format!("After{}{end}", camel(name))));
            let (after, after_encoder) = (after(""), after("Encoder"));
            let method = methods.unique(snake(name));
            Item { kind, method, after, after_encoder }
        };
        let mut items = Vec::new();
        for group in &block.groups {
            let module = types.unique(snake(&group.meta.name));
            items.push(item(types, items.len(), Kind::Group(group, module)));
        }
        for data in &block.data {
            items.push(item(types, items.len(), Kind::Data(data)));
        }
        Named { block, fields, items }
    }
}

/// Have its entries groups or data of their own?
pub(crate) fn is_nested(block: &Block) -> bool {
    !(block.groups.is_empty() && block.data.is_empty())
}
