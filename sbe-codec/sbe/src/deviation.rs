//! What the standard forbids and venues do all the same: it has one meaning, so it can be read.

use std::fmt::{Display, Formatter};

use crate::error::{Fault, SchemaError, one_line};

/// What becomes of a [`Deviation`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Strictness {
    /// Each is a [`Warning`].
    #[default]
    Lenient,
    /// The first is an error.
    Strict,
}

/// A deviation from the standard, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The file, or the name that the schema was given.
    pub origin: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What it is.
    pub deviation: Deviation,
}

impl Display for Warning {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Warning { origin, line, column, deviation } = self;
        write!(out, "{origin}:{line}:{column}: {}: {}", deviation.name(), one_line(deviation))
    }
}

impl Warning {
    /// As the fault that it is to the strict.
    pub(crate) fn into_fault(self) -> SchemaError {
        let Warning { origin, line, column, deviation } = self;
        SchemaError { origin, line, column, fault: Fault::Deviation(deviation) }
    }
}

/// What a schema does against FIX SBE 1.0; what 2.0 allows in its place is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the text of each says what its values are")]
pub enum Deviation {
    #[error("the root's name space is \"{found}\"; write xmlns:sbe=\"http://fixprotocol.io/2016/sbe\"")]
    NameSpace { found: String },
    #[error("<{element}> has no {attribute}; add {attribute}=\"...\"")]
    MissingAttribute { element: String, attribute: &'static str },
    #[error("<{element}> has no attribute {attribute} in the standard; remove it, or give it a name space of its own")]
    UnknownAttribute { element: String, attribute: String },
    #[error("<types> stands after a message; move it before the messages")]
    TypesAfterMessages,
    #[error("<{element}> has no {content}; add one or remove it")]
    Empty { element: String, content: &'static str },
    #[error("the name has {length} characters; use at most 64")]
    LongName { length: usize },
    #[error("{attribute} {found} is above the schema's version {version}; raise the schema's version or correct it")]
    VersionAboveSchema { attribute: &'static str, found: u16, version: u16 },
    #[error("it is since version {found} and stands after what is since {before}; what is newer is appended")]
    NewerBeforeOlder { found: u16, before: u16 },
    #[error("type \"{name}\" is a primitive that no <type> declares; declare it in <types>")]
    UndeclaredPrimitive { name: String },
    #[error("presence is {field} here and {in_type} in type \"{name}\"; state it once")]
    PresenceMismatch { name: String, field: String, in_type: String },
    #[error("semanticType is \"{field}\" here and \"{in_type}\" in type \"{name}\"; state it once")]
    SemanticTypeMismatch { name: String, field: String, in_type: String },
    #[error("a set is optional and has no null value; remove the presence")]
    OptionalSet,
    #[error("nullValue is given where presence is not optional; add presence=\"optional\" or remove it")]
    NullOfRequired,
    #[error("an enum is encoded as {primitive}; use char or an unsigned integer")]
    EnumEncoding { primitive: &'static str },
    #[error("the value is blank; give it another character")]
    BlankValue,
    #[error("{value} is already \"{first}\"; give each its own")]
    DuplicateValue { value: String, first: String },
    #[error("id {id} is already \"{first}\" in this block; give each its own")]
    DuplicateId { id: u16, first: String },
    #[error("id {id} is \"{first}\" at line {first_line}; one id has one name in the whole schema")]
    IdOfAnother { id: u16, first: String, first_line: u32 },
    #[error("offset {offset} of a constant is before {end}, where it stands; remove the offset")]
    ConstantOffset { offset: u32, end: u32 },
    #[error(
        "the header does not begin, on the wire, with blockLength, templateId, schemaId and version; put them first"
    )]
    HeaderOrder,
    #[error("varData has no length=\"0\", which says that its length varies; add it")]
    VarDataLength,
    #[error("the length of variable data is {primitive}; use uint8 or uint16")]
    DataLengthEncoding { primitive: &'static str },
}

impl Deviation {
    /// Its name, which does not change between versions.
    pub fn name(&self) -> &'static str {
        match self {
            Deviation::NameSpace { .. } => "name-space",
            Deviation::MissingAttribute { .. } => "missing-attribute",
            Deviation::UnknownAttribute { .. } => "unknown-attribute",
            Deviation::TypesAfterMessages => "types-after-messages",
            Deviation::Empty { .. } => "empty-element",
            Deviation::LongName { .. } => "long-name",
            Deviation::VersionAboveSchema { .. } => "version-above-schema",
            Deviation::NewerBeforeOlder { .. } => "newer-before-older",
            Deviation::UndeclaredPrimitive { .. } => "undeclared-primitive",
            Deviation::PresenceMismatch { .. } => "presence-mismatch",
            Deviation::SemanticTypeMismatch { .. } => "semantic-type-mismatch",
            Deviation::OptionalSet => "optional-set",
            Deviation::NullOfRequired => "null-of-required",
            Deviation::EnumEncoding { .. } => "enum-encoding",
            Deviation::BlankValue => "blank-value",
            Deviation::DuplicateValue { .. } => "duplicate-value",
            Deviation::DuplicateId { .. } => "duplicate-id",
            Deviation::IdOfAnother { .. } => "id-of-another",
            Deviation::ConstantOffset { .. } => "constant-offset",
            Deviation::HeaderOrder => "header-order",
            Deviation::VarDataLength => "var-data-length",
            Deviation::DataLengthEncoding { .. } => "data-length-encoding",
        }
    }
}
