//! What generated SBE codecs need at run time. The code that `oyez-sbe-generate` writes is the only intended user:
//! it turns these few untyped steps into typed ones.
//!
//! ```text
//!  bytes ──► Reader ── block ──► Block: fields at offsets known when the code is compiled
//!                   ── flat ───► Flat: entries of one length, an iterator of Blocks
//!                   ── nested ─► Nested: entries with groups or data of their own
//!                   ── data ───► the bytes
//!  buffer ─► Writer ── array, open, entry, close, data
//! ```
//!
//! A block is checked once, as a whole; the part that every version has is then an array of known length, and an
//! offset beyond its end does not compile. Nothing here allocates or panics on foreign bytes.
#![no_std]
#![forbid(unsafe_code)]

mod block;
mod error;
mod fixed;
mod groups;
mod reader;
mod value;
mod writer;

pub use block::Block;
pub use error::Error;
pub use fixed::Fixed;
pub use groups::{Entries, Flat, Nested};
pub use reader::{End, Header, Home, Inside, Reader, header};
pub use value::{array, count, flat, name, narrow, optional, padded, text, unpadded};
pub use writer::{Open, Start, Writer};
