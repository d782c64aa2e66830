//! What a new version of a schema means for those who still have the old one.
//!
//! A step is compatible *for readers* if readers of the old schema read what writers of the new one write, and *for
//! writers* if readers of the new schema read what writers of the old one write. To read is to find every field that
//! both schemas have, with the value that was written, and the end of the message. The rules are those of FIX SBE 1.0,
//! "Schema Extension Mechanism", for readers that know of a message:
//!
//! * its version, so that what has a greater `sinceVersion` is absent;
//! * the received block lengths, so that bytes behind the known fields are skipped;
//! * its end, so that what follows the last known group or data of the message is skipped. Entries of groups have no
//!   such mark: what is appended to them behind their block is taken for the next entry.
//!
//! Names, ids of fields, descriptions and semantic types are not on the wire. Values that one side does not know, of
//! enums and sets, are for the application to judge, as the standard says: the bytes around them are read all the same.

mod block;
mod types;

use crate::ir::{HeaderLayout, Message, Meta, Schema};
use types::Seen;

/// The difference between two versions of a schema.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diff {
    /// What has changed, in the order of the new schema; what was removed stands where it was.
    pub changes: Vec<Change>,
}

/// One difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Message, group and field, with dots between; or the type, as `enum Side`.
    pub place: String,
    /// What has happened to it.
    pub kind: ChangeKind,
    /// What it was; empty if there was nothing.
    pub old: String,
    /// What it is; empty if there is nothing.
    pub new: String,
    /// Do readers of the old schema read what writers of the new one write?
    pub readers: bool,
    /// Do readers of the new schema read what writers of the old one write?
    pub writers: bool,
    /// Why not; empty if they do.
    pub reason: &'static str,
}

/// What has happened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names say it")]
pub enum ChangeKind {
    Added,
    Removed,
    Moved,
    Reordered,
    Retyped,
    Renamed,
    Renumbered,
    Presence,
    Null,
    Constant,
    Meaning,
    Since,
    Deprecated,
    BlockLength,
    Layout,
    ByteOrder,
    Id,
    Version,
}

impl ChangeKind {
    /// Its name, which does not change between versions.
    pub fn name(self) -> &'static str {
        match self {
            ChangeKind::Added => "added",
            ChangeKind::Removed => "removed",
            ChangeKind::Moved => "moved",
            ChangeKind::Reordered => "reordered",
            ChangeKind::Retyped => "retyped",
            ChangeKind::Renamed => "renamed",
            ChangeKind::Renumbered => "renumbered",
            ChangeKind::Presence => "presence",
            ChangeKind::Null => "null",
            ChangeKind::Constant => "constant",
            ChangeKind::Meaning => "meaning",
            ChangeKind::Since => "since",
            ChangeKind::Deprecated => "deprecated",
            ChangeKind::BlockLength => "block-length",
            ChangeKind::Layout => "layout",
            ChangeKind::ByteOrder => "byte-order",
            ChangeKind::Id => "id",
            ChangeKind::Version => "version",
        }
    }
}

impl Diff {
    /// Do readers of the old schema read what writers of the new one write?
    pub fn readers(&self) -> bool {
        self.changes.iter().all(|change| change.readers)
    }

    /// Do readers of the new schema read what writers of the old one write?
    pub fn writers(&self) -> bool {
        self.changes.iter().all(|change| change.writers)
    }
}

/// Compares two versions of a schema.
pub fn diff(old: &Schema, new: &Schema) -> Diff {
    let mut comparison = Comparison { old, new, seen: Seen::new(), changes: Vec::new() };
    comparison.schema();
    Diff { changes: comparison.changes }
}

/// Whom a change leaves able to read, and why not the others.
#[derive(Clone, Copy)]
enum Effect {
    None,
    /// Readers of the old schema go wrong.
    Readers(&'static str),
    /// Messages of old writers are read wrong.
    Writers(&'static str),
    Both(&'static str),
}

impl Effect {
    /// Of two conditions with their reasons, which each say that somebody reads wrong.
    fn of(readers: Option<&'static str>, writers: Option<&'static str>) -> Effect {
        match (readers, writers) {
            (Some(reason), Some(_)) => Effect::Both(reason),
            (Some(reason), None) => Effect::Readers(reason),
            (None, Some(reason)) => Effect::Writers(reason),
            (None, None) => Effect::None,
        }
    }
}

struct Comparison<'a> {
    old: &'a Schema,
    new: &'a Schema,
    seen: Seen,
    changes: Vec<Change>,
}

impl Comparison<'_> {
    fn change(&mut self, place: &str, kind: ChangeKind, old: impl ToString, new: impl ToString, effect: Effect) {
        let (readers, writers, reason) = match effect {
            Effect::None => (true, true, ""),
            Effect::Readers(reason) => (false, true, reason),
            Effect::Writers(reason) => (true, false, reason),
            Effect::Both(reason) => (false, false, reason),
        };
        let (place, old, new) = (place.to_owned(), old.to_string(), new.to_string());
        self.changes.push(Change { place, kind, old, new, readers, writers, reason });
    }

    /// Tells of a change, if there is one.
    fn compare<T: PartialEq + ToString>(&mut self, place: &str, kind: ChangeKind, old: T, new: T, effect: Effect) {
        if old != new {
            self.change(place, kind, old, new, effect);
        }
    }

    fn schema(&mut self) {
        let (old, new) = (self.old, self.new);
        let place = "schema";
        self.compare(place, ChangeKind::Renamed, &old.package, &new.package, Effect::None);
        self.compare(place, ChangeKind::Id, old.id, new.id, Effect::Both("messages of another schema id are refused"));
        let order = |schema: &Schema| format!("{:?}", schema.byte_order).to_lowercase();
        let turned = Effect::Both("numbers are read from the wrong end");
        self.compare(place, ChangeKind::ByteOrder, order(old), order(new), turned);
        let layout = |header: &HeaderLayout| {
            let HeaderLayout { size_bytes, block_length, template_id, schema_id, version, .. } = header;
            (*size_bytes, *block_length, *template_id, *schema_id, *version)
        };
        if layout(old.header()) != layout(new.header()) {
            let size = |schema: &Schema| format!("{} bytes", schema.header().size_bytes);
            let effect = Effect::Both("the header says which message follows, and cannot change");
            self.change("message header", ChangeKind::Layout, size(old), size(new), effect);
        }
        self.messages();
        self.version();
    }

    fn messages(&mut self) {
        let (old, new) = (self.old, self.new);
        let text = |message: &Message| format!("template {}", message.template_id);
        for message in &old.messages {
            if new.message_by_template(message.template_id).is_none() {
                let effect = Effect::Writers("new readers do not know the template");
                self.change(&message.meta.name, ChangeKind::Removed, text(message), "", effect);
            }
        }
        for message in &new.messages {
            let place = &message.meta.name;
            match old.message_by_template(message.template_id) {
                Some(before) => {
                    self.meta(place, &before.meta, &message.meta);
                    self.block(place, &before.block, &message.block, false);
                }
                None => self.change(place, ChangeKind::Added, "", text(message), Effect::None),
            }
        }
    }

    /// Last, since it depends on whether anything else has changed.
    fn version(&mut self) {
        let (old, new) = (self.old.version, self.new.version);
        let effect = match () {
            () if new < old => Effect::Both("it was lowered, so that present fields are taken for absent"),
            () if new == old && self.changes.iter().any(|change| change.kind.is_on_the_wire()) => {
                Effect::Both("it was not raised, so that old and new messages look alike")
            }
            () if new == old => return,
            () => Effect::None,
        };
        self.change("schema", ChangeKind::Version, old, new, effect);
    }

    /// What a member of a block or composite says of itself.
    fn member(&mut self, place: &str, old: &Meta, new: &Meta) {
        let late = new.since_version > self.old.version;
        let effect = Effect::of(None, late.then_some("old messages have it, and new readers take it for absent"));
        self.compare(place, ChangeKind::Since, old.since_version, new.since_version, effect);
        self.meta(place, old, new);
    }

    /// What every element says of itself, without effect on the wire.
    fn meta(&mut self, place: &str, old: &Meta, new: &Meta) {
        self.compare(place, ChangeKind::Renamed, &old.name, &new.name, Effect::None);
        let deprecated = |meta: &Meta| meta.deprecated.map_or_else(|| "no".to_owned(), |version| version.to_string());
        self.compare(place, ChangeKind::Deprecated, deprecated(old), deprecated(new), Effect::None);
    }
}

impl ChangeKind {
    /// Whether messages look different: what only documents change does not.
    fn is_on_the_wire(self) -> bool {
        !matches!(self, ChangeKind::Renamed | ChangeKind::Renumbered | ChangeKind::Since | ChangeKind::Deprecated)
    }
}
