//! What can be wrong with a message, or with the buffer for one.

use core::fmt::{Display, Formatter};

/// Bytes that are no message of the schema, or a message that does not fit. `what` is the name in the schema.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the text of each says what its values are")]
pub enum Error {
    Truncated { what: &'static str, needed: u64, left: usize },
    ShortBlock { what: &'static str, length: usize, needed: usize },
    SchemaId { found: u16, expected: u16 },
    TemplateId { found: u16 },
    HeaderValue { member: &'static str, value: u64 },
    EmptyEntries { what: &'static str, count: u64, limit: usize },
    BufferFull { what: &'static str, needed: usize, left: usize },
    TooMany { what: &'static str, count: usize },
    UnknownValue { what: &'static str, value: i64 },
}

impl Display for Error {
    fn fmt(&self, out: &mut Formatter<'_>) -> core::fmt::Result {
        match *self {
            Error::Truncated { what, needed, left } => write!(
                out,
                "{what} needs {needed} bytes and {left} are left; the message is cut short or is not of this schema"
            ),
            Error::ShortBlock { what, length, needed } => write!(
                out,
                "the block of {what} has {length} bytes, fewer than the {needed} of the fields that every version has; \
                 generate with partial blocks if the writer's schema is older than that"
            ),
            Error::SchemaId { found, expected } => {
                write!(out, "schema id {found}, this code is of {expected}; use the code of that schema")
            }
            Error::TemplateId { found } => {
                write!(out, "template id {found} is not expected here; skip the message or use newer code")
            }
            Error::HeaderValue { member, value } => {
                write!(out, "the header's {member} is {value}, beyond 16 bits; the bytes are no message of this schema")
            }
            Error::EmptyEntries { what, count, limit } => {
                write!(out, "{what} brings {count} entries without bytes, above {limit}; the message is damaged")
            }
            Error::BufferFull { what, needed, left } => {
                write!(out, "{what} needs {needed} bytes and the buffer has {left} left; give a larger one")
            }
            Error::TooMany { what, count } => {
                write!(out, "{what} cannot say {count} in its count; send fewer at once")
            }
            Error::UnknownValue { what, value } => {
                write!(out, "{what} has no value {value} in this schema; use a newer one, or mend the writer")
            }
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn each_text_says_what_and_what_to_do() {
        let what = "group orders";
        let cases = [
            (
                Error::Truncated { what, needed: 8, left: 3 },
                "group orders needs 8 bytes and 3 are left; the message is cut short or is not of this schema",
            ),
            (
                Error::ShortBlock { what, length: 3, needed: 4 },
                "the block of group orders has 3 bytes, fewer than the 4 of the fields that every version has; \
                 generate with partial blocks if the writer's schema is older than that",
            ),
            (Error::SchemaId { found: 1, expected: 2 }, "schema id 1, this code is of 2; use the code of that schema"),
            (Error::TemplateId { found: 9 }, "template id 9 is not expected here; skip the message or use newer code"),
            (
                Error::HeaderValue { member: "version", value: 70_000 },
                "the header's version is 70000, beyond 16 bits; the bytes are no message of this schema",
            ),
            (
                Error::EmptyEntries { what, count: 70_000, limit: 65_535 },
                "group orders brings 70000 entries without bytes, above 65535; the message is damaged",
            ),
            (
                Error::BufferFull { what, needed: 8, left: 3 },
                "group orders needs 8 bytes and the buffer has 3 left; give a larger one",
            ),
            (Error::TooMany { what, count: 256 }, "group orders cannot say 256 in its count; send fewer at once"),
            (
                Error::UnknownValue { what: "enum Side", value: 7 },
                "enum Side has no value 7 in this schema; use a newer one, or mend the writer",
            ),
        ];
        for (error, text) in cases {
            assert_eq!(error.to_string(), text);
        }
    }
}
