//! What can be wrong with a schema, and with a message.

use std::fmt::Display;

use crate::deviation::Deviation;

/// A schema that cannot be used: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", self.place(), one_line(fault))]
pub struct SchemaError {
    /// The file, or the name that [`crate::Schema::parse`] was given.
    pub origin: String,
    /// Line, from 1; 0 where the fault is not at a line (a file that cannot be read).
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// What is wrong.
    pub fault: Fault,
}

impl SchemaError {
    fn place(&self) -> String {
        match self.line {
            0 => self.origin.clone(),
            line => format!("{}:{line}:{}", self.origin, self.column),
        }
    }
}

/// What is wrong with a schema; each text ends with the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the text of each says what its values are")]
pub enum Fault {
    #[error("cannot read the file: {reason}; check the path and its rights")]
    Unreadable { reason: String },
    #[error("the text is not UTF-8 from here on; save the file as UTF-8")]
    NotUtf8,
    #[error("not well-formed XML: {reason}; correct it there")]
    Xml { reason: String },
    #[error("the document type has definitions, which are refused, as are entities; remove the <!DOCTYPE>")]
    DocumentType,
    #[error("the root element is <{found}>; an SBE schema begins with <messageSchema>")]
    NotASchema { found: String },
    #[error("cannot include \"{href}\": {reason}; {remedy}")]
    Include { href: String, reason: String, remedy: &'static str },
    #[error("<{element}> has no {attribute}; add {attribute}=\"...\"")]
    Missing { element: String, attribute: &'static str },
    #[error("{attribute}=\"{value}\" is not {expected}; correct it")]
    Attribute { attribute: String, value: String, expected: &'static str },
    #[error("\"{name}\" is not a name; use letters, digits and _, beginning with a letter or _")]
    Name { name: String },
    #[error("<{element}> cannot stand in <{parent}>; {remedy}")]
    Unexpected { element: String, parent: String, remedy: &'static str },
    #[error("{what} {name} is declared a second time (first at line {first_line}); rename or remove one")]
    Duplicate { what: &'static str, name: String, first_line: u32 },
    #[error("no type is named \"{name}\"{}; declare it in <types>", hint(.nearest))]
    UnknownType { name: String, nearest: Option<String> },
    #[error("type \"{name}\" is {found}, where {role} needs {expected}; name another type")]
    WrongType { name: String, role: &'static str, found: &'static str, expected: &'static str },
    #[error(
        "composite \"{composite}\" has no member {member} that is a single unsigned integer on the wire, \
             which {role} needs; add it"
    )]
    Member { composite: String, role: &'static str, member: &'static str },
    #[error("composite \"{name}\" contains itself; break the circle of references")]
    Cycle { name: String },
    #[error("{what} exceed the limit of {limit}; make the schema smaller")]
    Limit { what: &'static str, limit: u32 },
    #[error(
        "\"{name}\" is at offset {offset}, but what stands before it ends at {minimum}; \
             raise the offset or remove it"
    )]
    Offset { name: String, offset: u32, minimum: u32 },
    #[error("blockLength {given} is less than the {needed} bytes of the fields; raise it or remove it")]
    BlockLength { given: u32, needed: u32 },
    #[error("<{element}> \"{name}\" stands after a <{after}>; the order is fields, groups, data")]
    Order { element: String, name: String, after: &'static str },
    #[error("\"{name}\" is constant and has no value; give its text or a valueRef")]
    NoValue { name: String },
    #[error("\"{value}\" is not a value of {primitive}; correct it")]
    Value { value: String, primitive: &'static str },
    #[error("\"{value}\" has {found} characters, more than the length {length}; shorten it or raise the length")]
    TextLength { value: String, found: u32, length: u32 },
    #[error("valueRef \"{reference}\" {reason}; write Enum.Name of a value of a declared enum")]
    ValueRef { reference: String, reason: &'static str },
    #[error("choice \"{name}\" is bit {bit} of a set of {bits} bits; choose 0 to {}", bits - 1)]
    Choice { name: String, bit: u32, bits: u32 },
    #[error("{}: {_0}", .0.name())]
    Deviation(Deviation),
}

/// What is wrong may quote text of the input with line ends in it; what is told is one line.
pub(crate) fn one_line(text: impl Display) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.to_string().chars().map(escaped).collect()
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!(" (the nearest is \"{name}\")"))
}

/// Bytes that are no message of the schema: what, where in the message, and what to do.
///
/// Offsets are in bytes from the start of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the text of each says what its values are")]
pub enum DecodeError {
    #[error(
        "{what} at byte {offset} needs {needed} bytes and {left} are left; the message is cut short or is not of \
             this schema"
    )]
    Truncated { what: String, offset: usize, needed: usize, left: usize },
    #[error("schema id {found}, this schema has {expected}; decode it with the schema of that id")]
    SchemaId { found: u16, expected: u16 },
    #[error("no schema given has the id {found} (there is {known}); give that schema too")]
    UnknownSchema { found: u16, known: String },
    #[error("schema {schema} has no message with template id {template_id}; use the schema's newer version or skip it")]
    UnknownTemplate { schema: String, template_id: u16 },
    #[error("the header's {member} is {value}, beyond 16 bits; the bytes are no message of this schema")]
    HeaderValue { member: &'static str, value: u64 },
    #[error("group {group} at byte {offset} brings the entries without bytes above {limit}; the message is damaged")]
    EmptyEntries { group: String, offset: usize, limit: u32 },
    #[error(
        "the message as JSON is longer than {limit} bytes; decode it by a visitor of your own or by generated code"
    )]
    JsonLength { limit: usize },
}
