//! What can be wrong with JSON that is to become a message.

use std::fmt::Write as _;

use crate::error::{DecodeError, one_line};

/// JSON that is no message of the schema: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {}", one_line(format_args!("{}{fault}", self.prefix())))]
pub struct EncodeError {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The value's place in the message, as `sides[1].price`; empty for the message itself.
    pub path: String,
    /// What is wrong.
    pub fault: Unencodable,
}

/// What is wrong with the JSON of a message; each text ends with the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the text of each says what its values are")]
pub enum Unencodable {
    #[error("this is not JSON: expected {expected}; correct it")]
    Syntax { expected: &'static str },
    #[error("the text has 4 GiB or more; give one message at a time")]
    TooLong,
    #[error("schema {schema} has no message {found}; `_t` names one of {known}")]
    Message { schema: String, found: String, known: String },
    #[error("\"{name}\" is missing or null, and required; give its value")]
    Missing { name: String },
    #[error("{found} is no value of {expected}; correct it")]
    Value { found: String, expected: String },
    #[error(
        "a writer of version {version} and a block of {block_length} bytes has not got it; leave it out, or correct `_header`"
    )]
    Absent { version: u16, block_length: usize },
    #[error("a constant, which is {constant} and nothing else; leave it out")]
    Constant { constant: String },
    #[error("{found} has {bytes} bytes, and there is room for {room}; shorten it")]
    Length { found: String, bytes: usize, room: usize },
    #[error("there is no \"{name}\" here{}; leave it out", self.hint())]
    UnknownKey { name: String, known: Vec<String> },
    #[error("the key \"{name}\" stands here a second time; leave one out")]
    Duplicate { name: String },
    #[error("{member} would be {value}, which does not fit its {primitive}; make the message smaller")]
    Slot { member: &'static str, value: u64, primitive: &'static str },
    #[error("the message would have more than {limit} bytes; make it smaller")]
    Limit { limit: usize },
    #[error("what it says would not be read back: {0}")]
    Unreadable(DecodeError),
}

/// No more of a value than this stands in an error.
const FOUND_CHARACTERS_MAX: usize = 40;

impl EncodeError {
    /// At a byte of the text.
    pub(super) fn at(text: &str, byte: usize, fault: Unencodable) -> EncodeError {
        let before = text.get(..byte).unwrap_or(text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() as u32 + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() as u32 + 1;
        EncodeError { line, column, path: String::new(), fault }
    }

    /// One step deeper: into a member, or an element.
    pub(super) fn step(&mut self, step: Result<&str, usize>) {
        let dot = if self.path.is_empty() { "" } else { "." };
        let written = match step {
            Ok(name) => write!(self.path, "{dot}{name}"),
            Err(index) => write!(self.path, "[{index}]"),
        };
        written.expect("a String takes every write");
    }

    fn prefix(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) }
    }
}

impl Unencodable {
    /// The known key that differs least from an unknown one, in case or by its beginning.
    fn hint(&self) -> String {
        let Unencodable::UnknownKey { name, known, .. } = self else { return String::new() };
        let same = known.iter().find(|key| key.eq_ignore_ascii_case(name));
        let alike = || known.iter().find(|key| key.starts_with(name.as_str()) || name.starts_with(key.as_str()));
        same.or_else(alike).map_or_else(String::new, |key| format!(" (the nearest is \"{key}\")"))
    }
}

/// A text of the input, short enough for an error.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(FOUND_CHARACTERS_MAX) {
        Some((end, _)) => format!("`{}...`", &text[..end]),
        None => format!("`{text}`"),
    }
}
