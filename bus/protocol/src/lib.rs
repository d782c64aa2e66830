//! What client and broker say to each other: SBE messages over a Unix socket of type `SOCK_SEQPACKET`, one message per
//! packet, descriptors beside them (`SCM_RIGHTS`).
//!
//! `oyez-protocol.xml` beside this crate is the schema; [`message`] is its hand-written codec, [`wire`] the few rules of
//! SBE it needs, [`Connection`] the socket, [`FailureCode`] the numbers that stay for ever. The conversation itself, who
//! may say what when, is told in `docs/formats/protocol.md`.
//!
//! Nothing here trusts the other side: every length is checked before it is used, and descriptors that were not asked
//! for are closed.

#![forbid(unsafe_code)]

pub mod connection;
pub mod failure;
pub mod message;
pub mod wire;

pub use connection::{Connection, ConnectionError, Received};
pub use failure::FailureCode;
pub use message::{Binding, Durability, Message, Packet, Refusal};
pub use wire::DecodeError;

/// The schema id in the header of every message.
pub const SCHEMA_ID: u16 = 100;
/// The version of the schema and of the conversation that this build speaks.
pub const VERSION: u16 = 0;
/// Longest packet, in bytes; a longer one is refused by either side.
pub const PACKET_BYTES_MAX: usize = 65_536;
/// Most descriptors in one packet.
pub const DESCRIPTORS_MAX: usize = 2;
/// Longest name or text in a message, in bytes; longer ones are cut when sent and refused when received.
pub const TEXT_BYTES_MAX: usize = 4_096;

/// The schema, for tools that decode by schema.
pub const SCHEMA_XML: &str = include_str!("../oyez-protocol.xml");
