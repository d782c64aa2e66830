//! Schemas of the catalog, in one version or several, and how a topic is bound to one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oyez_sbe::{ByteOrder, HeaderLayout, Primitive, Schema, Schemas, Slot};

use super::text::{CatalogText, SchemaText, TopicText, did_you_mean};
use super::{CatalogError, Check, one_line};

/// A schema as a topic is bound to it.
#[derive(Debug, Clone)]
pub struct TopicSchema {
    /// Its name in the catalog.
    pub name: String,
    /// Its id in message headers.
    pub id: u16,
    /// Its files, one for each version, the oldest first.
    pub files: Vec<PathBuf>,
    /// Compiled.
    pub versions: Arc<Schemas>,
    /// Lowest version that may be published.
    pub version_min: u16,
    /// Highest version that may be published: never above the newest file's.
    pub version_max: u16,
    /// Ids of the templates that may be published, ascending; never empty.
    pub templates: Vec<u16>,
}

impl Check<'_> {
    /// All schemas, each bound to what it is unless a topic says otherwise.
    pub(super) fn schemas(&self, text: &CatalogText) -> Result<BTreeMap<String, TopicSchema>, CatalogError> {
        text.schemas.iter().map(|(name, text)| Ok((name.clone(), self.schema(name, text)?))).collect()
    }

    fn schema(&self, name: &str, text: &SchemaText) -> Result<TopicSchema, CatalogError> {
        let (place, files) = match (&text.file, text.files.as_slice()) {
            (Some(file), []) => (format!("schemas.{name}.file"), std::slice::from_ref(file)),
            (None, files @ [_, ..]) => (format!("schemas.{name}.files"), files),
            (file, _) => {
                let problem = if file.is_some() { "`file` beside `files`" } else { "no file" };
                let remedy = "take `file` for one version, or `files` for several";
                return self.wrong(&format!("schemas.{name}"), problem, remedy);
            }
        };
        let load = |file: &PathBuf| Ok((self.version(&place, &self.absolute(file))?, self.absolute(file)));
        let mut versions = files.iter().map(load).collect::<Result<Vec<_>, CatalogError>>()?;
        versions.sort_by_key(|(schema, _)| schema.version);
        let (oldest, first) = &versions[0];
        if let Some((other, file)) = versions.iter().find(|(schema, _)| schema.id != oldest.id) {
            let (first, file) = (first.display(), file.display());
            let problem = format!("{first} has the schema id {}, {file} has {}", oldest.id, other.id);
            return self.wrong(&place, problem, "a name stands for one id: give the other a name of its own");
        }
        let (schemas, files): (Vec<_>, Vec<_>) = versions.into_iter().unzip();
        let (id, version_max) = (schemas[0].id, schemas[schemas.len() - 1].version);
        let versions = match Schemas::new(schemas) {
            Ok(versions) => Arc::new(versions),
            Err(error) => return self.wrong(&place, one_line(&error), "correct the list"),
        };
        let templates = ids(versions.iter().flat_map(|schema| &schema.messages));
        if templates.is_empty() {
            return self.wrong(&place, "a schema without messages", "name another file");
        }
        Ok(TopicSchema { name: name.to_owned(), id, files, versions, version_min: 0, version_max, templates })
    }

    /// One version, whose messages' headers can be checked without knowing the schema.
    fn version(&self, place: &str, file: &Path) -> Result<Schema, CatalogError> {
        if file.metadata().is_ok_and(|status| !status.is_file()) {
            // A pipe's other end might have one wait for ever.
            return self.wrong(place, format!("{} is no regular file", file.display()), "name another file");
        }
        let schema = match Schema::load(file) {
            Ok(schema) => schema,
            Err(error) => return self.wrong(place, one_line(&error), "correct the schema, or name another file"),
        };
        if !begins_as_the_bus_reads_it(schema.header()) || schema.id == u16::MAX {
            let problem = format!("{}: its message header is not that of the bus", file.display());
            let remedy = "blockLength, templateId, schemaId, version come first, as little-endian uint16, and the id is \
                          below 65535; topics of other messages are declared without a schema";
            return self.wrong(place, problem, remedy);
        }
        Ok(schema)
    }

    /// What a topic says of its schema, held against the files.
    pub(super) fn bind(
        &self,
        topic: &str,
        text: &TopicText,
        schemas: &BTreeMap<String, TopicSchema>,
    ) -> Result<Option<TopicSchema>, CatalogError> {
        let place = |key: &str| format!("topics.{topic}.{key}");
        let Some(name) = &text.schema else {
            let given = [
                ("templates", !text.templates.is_empty()),
                ("version_min", text.version_min.is_some()),
                ("version_max", text.version_max.is_some()),
            ];
            return match given.iter().find(|(_, given)| *given) {
                None => Ok(None),
                Some((key, _)) => {
                    self.wrong(&place(key), format!("{key} without a schema"), "name the topic's `schema` too")
                }
            };
        };
        let Some(found) = schemas.get(name) else {
            let remedy = did_you_mean(name, schemas.keys().map(String::as_str));
            return self.wrong(&place("schema"), format!("no schema `{name}`"), remedy);
        };
        let (min, max) = (text.version_min.unwrap_or(0), text.version_max.unwrap_or(found.version_max));
        if max > found.version_max {
            let problem = format!("version {max}, and the newest that schema `{name}` has is {}", found.version_max);
            return self.wrong(
                &place("version_max"),
                problem,
                format!("add its file to `schemas.{name}`, or lower it"),
            );
        }
        if min > max {
            let problem = format!("versions from {min} on, and the highest is {max}");
            return self.wrong(&place("version_min"), problem, format!("take {max} or less"));
        }
        let templates = self.templates(&place("templates"), text, found, (min, max))?;
        Ok(Some(TopicSchema { version_min: min, version_max: max, templates, ..found.clone() }))
    }

    /// Ids of the templates that a topic names; of all templates where it names none.
    ///
    /// A name must be one of a version that may be published. Its ids are those of older versions too: what was
    /// published before the lowest version was raised is carried on by lanes.
    fn templates(
        &self,
        place: &str,
        text: &TopicText,
        found: &TopicSchema,
        (min, max): (u16, u16),
    ) -> Result<Vec<u16>, CatalogError> {
        let reads = |version| found.versions.of_version(found.id, version).map_or(version, |schema| schema.version);
        let messages = |from| {
            let versions = found.versions.iter().filter(move |schema| (from..=reads(max)).contains(&schema.version));
            versions.flat_map(|schema| &schema.messages)
        };
        let names: BTreeSet<&str> = messages(reads(min)).map(|message| message.meta.name.as_str()).collect();
        if let Some(wanted) = text.templates.iter().find(|wanted| !names.contains(wanted.as_str())) {
            let problem = format!("schema `{}` has no message `{wanted}` in versions {min} to {max}", found.name);
            return self.wrong(place, problem, did_you_mean(wanted, names));
        }
        let is_wanted = |name: &str| text.templates.is_empty() || text.templates.iter().any(|wanted| wanted == name);
        let ids = ids(messages(0).filter(|message| is_wanted(&message.meta.name)));
        // Publishers and lanes look at the number alone.
        let other = messages(0).find(|other| !is_wanted(&other.meta.name) && ids.contains(&other.template_id));
        if let Some(other) = other {
            let problem = format!("number {} is that of `{}` in another version", other.template_id, other.meta.name);
            return self.wrong(place, problem, "name that message too, or narrow the versions");
        }
        Ok(ids)
    }
}

fn ids<'a>(messages: impl Iterator<Item = &'a oyez_sbe::Message>) -> Vec<u16> {
    messages.map(|message| message.template_id).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Publishers and lanes find what they check at these places, in every topic; what stands behind is the schema's own.
fn begins_as_the_bus_reads_it(header: &HeaderLayout) -> bool {
    let is_at = |slot: &Slot, offset| (slot.offset, slot.primitive) == (offset, Primitive::UInt16);
    header.byte_order == ByteOrder::Little
        && is_at(&header.block_length, 0)
        && is_at(&header.template_id, 2)
        && header.schema_id.as_ref().is_some_and(|slot| is_at(slot, 4))
        && is_at(&header.version, 6)
}
