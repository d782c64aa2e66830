//! Several schemas at once: other ids, and other versions of one id.

use crate::error::DecodeError;
use crate::ir::{HeaderLayout, Schema};

/// Schemas of which a message's header chooses one.
///
/// By its schema id; of that id the exact version, else the nearest newer one, which knows all that the writer did, else
/// the newest there is. Immutable; share it freely between threads.
#[derive(Clone, Debug)]
pub struct Schemas {
    /// Sorted by id, then version; never empty.
    all: Vec<Schema>,
}

/// Schemas that cannot be held together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the text of each says what its values are")]
pub enum SchemasError {
    #[error("no schema is given; give at least one")]
    None,
    #[error("schema id {id} version {version} is given twice ({first} and {second}); leave one out")]
    Duplicate { id: u16, version: u16, first: String, second: String },
    #[error(
        "the message headers of {first} and {second} differ, so that none says which schema it is of; use them apart"
    )]
    Header { first: String, second: String },
}

impl Schemas {
    /// Holds these schemas, in any order.
    ///
    /// # Errors
    /// If there is none, one twice, or headers are laid out differently.
    pub fn new(schemas: impl IntoIterator<Item = Schema>) -> Result<Schemas, SchemasError> {
        let mut all: Vec<_> = schemas.into_iter().collect();
        all.sort_by_key(|schema| (schema.id, schema.version));
        if all.is_empty() {
            return Err(SchemasError::None);
        }
        for pair in all.windows(2) {
            let [first, second] = pair else { continue };
            let names = || (first.package.clone(), second.package.clone());
            if (first.id, first.version) == (second.id, second.version) {
                let (id, version, (first, second)) = (first.id, first.version, names());
                return Err(SchemasError::Duplicate { id, version, first, second });
            }
            let (one, other) = (first.header(), second.header());
            // Without an id on the wire there can be but one.
            if !alike(one, other) || (one.schema_id.is_none() && first.id != second.id) {
                let (first, second) = names();
                return Err(SchemasError::Header { first, second });
            }
        }
        Ok(Schemas { all })
    }

    /// The schema for the message at the start of `bytes`.
    ///
    /// # Errors
    /// If the bytes are no whole header, or no schema has its id.
    pub fn of_message(&self, bytes: &[u8]) -> Result<&Schema, DecodeError> {
        let first = &self.all[0];
        let header = first.header().read(bytes)?;
        self.of_version(header.schema_id.unwrap_or(first.id), header.version)
    }

    /// The schema for a writer of this version.
    ///
    /// # Errors
    /// If no schema has the id.
    pub fn of_version(&self, id: u16, version: u16) -> Result<&Schema, DecodeError> {
        let after = self.all.partition_point(|schema| (schema.id, schema.version) < (id, version));
        let newer = self.all[after..].first().filter(|schema| schema.id == id);
        let older = || self.all[..after].last().filter(|schema| schema.id == id);
        newer.or_else(older).ok_or_else(|| {
            let mut known: Vec<_> = self.all.iter().map(|schema| schema.id.to_string()).collect();
            known.dedup();
            DecodeError::UnknownSchema { found: id, known: known.join(", ") }
        })
    }

    /// All of them, by id and version.
    pub fn iter(&self) -> impl Iterator<Item = &Schema> {
        self.all.iter()
    }
}

/// Are the numbers of both headers at the same places? Where the types stand in each schema does not matter.
fn alike(one: &HeaderLayout, other: &HeaderLayout) -> bool {
    one.clone() == HeaderLayout { type_id: one.type_id, ..other.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(id: u16, version: u16, length: &str) -> Schema {
        let xml = format!(
            r#"<messageSchema package="p{id}.{version}" id="{id}" version="{version}"><types>
                 <composite name="messageHeader">
                   <type name="blockLength" primitiveType="{length}"/><type name="templateId" primitiveType="uint16"/>
                   <type name="schemaId" primitiveType="uint16"/><type name="version" primitiveType="uint16"/>
                 </composite></types>
               <message name="Beat" id="1"/></messageSchema>"#
        );
        Schema::parse(&xml, "test.xml").expect("it is sound")
    }

    #[test]
    fn the_exact_version_is_chosen_else_a_newer_else_the_newest() {
        let given = [(7, 9), (7, 5), (8, 1), (7, 3), (2, 6)].map(|(id, version)| schema(id, version, "uint16"));
        let schemas = Schemas::new(given).expect("they fit together");
        for (version, chosen) in [(0, 3), (3, 3), (4, 5), (5, 5), (6, 9), (9, 9), (10, 9), (u16::MAX, 9)] {
            let [low, high] = u16::to_le_bytes(version);
            let found = schemas.of_message(&[0, 0, 1, 0, 7, 0, low, high]).expect("the id is known");
            assert_eq!((found.id, found.version), (7, chosen), "{version}");
        }
        let text = schemas.of_version(3, 1).expect_err("there is no such id").to_string();
        assert_eq!(text, "no schema given has the id 3 (there is 2, 7, 8); give that schema too");
        assert!(schemas.of_message(&[0; 7]).is_err());
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused() {
        let error = |given: Vec<Schema>| Schemas::new(given).expect_err("it is refused").to_string();
        assert_eq!(error(vec![]), "no schema is given; give at least one");
        assert_eq!(
            error(vec![schema(1, 2, "uint16"), schema(1, 2, "uint16")]),
            "schema id 1 version 2 is given twice (p1.2 and p1.2); leave one out"
        );
        assert!(
            error(vec![schema(1, 2, "uint16"), schema(1, 3, "uint32")]).contains("headers of p1.2 and p1.3 differ")
        );
    }
}
