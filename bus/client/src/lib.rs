//! The Rust API of the bus: publishers and subscribers of topics in shared memory, and in the journal behind it.
//!
//! ```
//! use oyez::{Bus, EventKind, Start, Topic};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = Bus::in_process(&[Topic::new("greetings")])?; // or Bus::connect(Connect::new("/run/oyez/bus.sock"))?
//! let mut subscriber = bus.subscriber().topic("greetings", Start::Live).open()?;
//! let _ = bus.publisher("greetings").open()?.offer(b"header and body")?;
//! subscriber.poll(16, |event| {
//!     if let EventKind::Message(message) = event.kind {
//!         println!("{}: {:?}", message.sequence, message.bytes);
//!     }
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! **Order.** The events of one topic come in order: every message exactly once, or an event that says with exact bounds
//! what is missing. Between topics there is no order.
//!
//! **Journal and live are one stream.** A subscription that starts earlier is a replay; a slow subscriber is handed to
//! the journal and back, and loses nothing. See [`cursor`].
//!
//! **Nobody waits for a reader.** A publisher does the same work with none as with hundreds.
//!
//! **Messages of any length up to a quarter of the topic's ring** are published and delivered whole. Up to 4 KiB they cost
//! what a frame costs, and nothing is allocated for them.
//!
//! **The broker may go away.** Publishers and subscribers go on; what needs it (starts, older segments, durability)
//! goes on when it is back.
#![forbid(unsafe_code)]

mod binding;
mod bus;
mod connection;
pub mod cursor;
mod error;
mod event;
mod idle;
mod in_process;
mod ingress;
mod journal;
mod keyed;
mod partition;
mod publisher;
mod sleep;
mod standby;
mod subscriber;
mod topic;

pub use binding::{Binding, HeaderCheck, Misfit};
pub use bus::{Bus, Connect, IngressBuilder, PublisherBuilder};
pub use error::{BusError, PublishError, SubscribeError};
pub use event::{Durability, Event, EventKind, GapCause, Message, Start, TopicIndex};
pub use idle::Idle;
pub use in_process::Topic;
pub use ingress::{Accepted, HandIn, Ingress};
pub use keyed::{KeyedPublisher, KeyedPublisherBuilder, partition_of};
pub use oyez_journal::Digest;
pub use oyez_protocol::{ConnectionError, FailureCode};
pub use oyez_ring::{BLOCK, Epoch, MESSAGE_BYTES_MIN, ONE_FRAME_BYTES_MAX, Origin, Position, Sequence};
pub use publisher::{Claim, Offer, Published, Publisher};
pub use standby::Standby;
pub use subscriber::{Lag, Subscriber, SubscriberBuilder};
pub use topic::{Owner, TopicInfo};

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/app.md")]
struct Guide;
