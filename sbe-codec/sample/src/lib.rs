//! A venue that never was: a schema of our own, in shapes and sizes like those of a large equities venue, and a
//! generator of its messages. For demos, tests and benchmarks that must not depend on anybody's data.
//!
//! | message | bytes | |
//! |---|---|---|
//! | MarketUpdate | 51 | best limits and last trades |
//! | OrderUpdate | 68 | single orders |
//! | Quote | 62 | a market maker's two sides |
//! | OrderEntry | 72 to 84 | with variable data |
//! | FullTrade | 462, with two legs 502 | with all that regulation asks for |
//! | Health | 25 | now and then |
//!
//! ```
//! let mut session = oyez_sample::Session::new(1);
//! let mut buffer = [0; oyez_sample::MESSAGE_BYTES_MAX];
//! let message = session.next(&mut buffer);
//! assert!(message.len() <= oyez_sample::MESSAGE_BYTES_MAX);
//! ```
#![forbid(unsafe_code)]

mod book;
mod encode;
mod phase;
mod random;
mod session;

pub use phase::Phase;
pub use session::Session;

/// The schema of the messages.
pub const SCHEMA_XML: &str = include_str!("../schema/oyez-sample.xml");

/// The schema's number in message headers.
pub const SCHEMA_ID: u16 = encode::SCHEMA_ID;

/// No message is longer.
pub const MESSAGE_BYTES_MAX: usize = 512;
