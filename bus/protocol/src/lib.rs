//! What client and broker say to each other: SBE messages over a Unix socket of type `SOCK_SEQPACKET`, one message per
//! packet, descriptors beside them (`SCM_RIGHTS`).
//!
//! `oyez-protocol.xml` beside this crate is the schema, and [`schema`] the code that is generated from it: names, numbers
//! and documentation are there. [`Message`] is any message as a value of its own, [`Connection`] the socket. The
//! conversation itself, who may say what when, is told in `docs/formats/protocol.md`.
//!
//! When the schema has changed, `OYEZ_BLESS=1 cargo test -p oyez-sbe-generate --test golden` generates [`schema`] anew;
//! it needs nothing of this crate.
//!
//! Nothing here trusts the other side: every length is checked before it is used, and descriptors that were not asked
//! for are closed.

#![forbid(unsafe_code)]

pub mod connection;
mod failure;
pub mod message;
mod generated {
    include!("generated/oyez_protocol.rs");
}

pub use connection::{Connection, ConnectionError, Received};
pub use generated::oyez_protocol as schema;
pub use message::{Binding, DecodeError, Message, Packet};
pub use schema::known::{Durability, FailureCode, Refusal};
pub use schema::{SCHEMA_ID, SCHEMA_VERSION as VERSION};

/// Correlations from here on are the broker's own, of conversations that it begins.
pub const CORRELATION_OF_BROKER: u64 = 1 << 63;
/// Longest packet, in bytes; a longer one is refused by either side.
pub const PACKET_BYTES_MAX: usize = 65_536;
/// Most descriptors in one packet.
pub const DESCRIPTORS_MAX: usize = 3;
/// Longest name or text in a message, in bytes; longer ones are cut when sent and refused when received.
pub const TEXT_BYTES_MAX: usize = 4_096;

/// The schema, for tools that decode by schema.
pub const SCHEMA_XML: &str = include_str!("../oyez-protocol.xml");
