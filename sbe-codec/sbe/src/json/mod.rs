//! The canonical JSON form of a message: compact, keys in the order of the schema, every bit kept, so that it reads back
//! as the same bytes. The rules are in `docs/guide/sbe.md`.

mod calendar;
mod error;
mod object;
mod pen;
mod read;
mod tape;
mod value;
mod write;

pub use error::{EncodeError, Unencodable};
pub use read::encode_json;
pub use write::{JSON_BYTES_MAX, decode_json};
