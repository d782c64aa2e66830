//! SBE schemas as venues write them, compiled to one representation, and messages decoded by it.
//!
//! ```text
//!  XML ──► compile ──► Schema (ir) ──► decode::walk ──► a Visitor: JSON, length, or yours
//!                                            ▲
//!  capture ──► framing::pcap ──► framing::cme ┘  one SBE message at a time
//! ```
//!
//! * [`Schema::load`] and [`Schema::parse`] compile a schema; errors name file, line, column and remedy.
//! * [`decode`] walks one message and hands its values to a [`Visitor`], without allocating.
//! * [`decode_json`] writes the canonical JSON form, [`encode_json`] reads it; [`message_length`] only measures.
//! * [`Schemas`] holds several at once, and chooses by what a message's header says.
//! * [`framing`] turns captures into messages.
//!
//! Foreign bytes are checked here and nowhere else: no function of this crate panics on a message, a capture or a
//! schema, whatever it holds, and what a message may ask for (depth, entries, memory) is bounded by its own length.
#![forbid(unsafe_code)]

mod compile;
mod decode;
mod deviation;
mod diff;
mod error;
pub mod framing;
mod image;
mod ir;
mod json;
mod layout;
mod name;
mod primitive;
mod schemas;
mod value;

pub use decode::{Visitor, decode, message_length};
pub use deviation::{Deviation, Strictness, Warning};
pub use diff::{Change, ChangeKind, Diff, diff};
pub use error::{DecodeError, Fault, SchemaError};
pub use image::ImageError;
pub use ir::{
    Block, Choice, Composite, Constant, Content, Data, Dimension, Encoding, Enum, Field, Form, Group, Header,
    HeaderLayout, Message, Meta, Presence, Schema, Set, Slot, Type, TypeId, ValidValue,
};
pub use json::{EncodeError, JSON_BYTES_MAX, Unencodable, decode_json, encode_json};
pub use layout::{Row, RowKind};
pub use name::Name;
pub use primitive::{ByteOrder, Charset, Number, Primitive, TimeUnit};
pub use schemas::{Schemas, SchemasError};
pub use value::{Array, Decimal, Text, Timestamp, Value};
