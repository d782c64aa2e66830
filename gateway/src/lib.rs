//! Lanes: one topic's way into one Kafka cluster, exactly once.
//!
//! A [`Lane`] moves what a [`Feed`] gives (a topic, in order, never above *durable*) into a [`sink::Sink`] (a target that
//! fences, commits and can be asked for its committed tail). The position of a lane is kept by its target alone, so
//! a lane may be killed anywhere and started anywhere.
//!
//! Invariants, as absences: the engine knows no Kafka (only `sink/kafka.rs` does, behind the feature `kafka`); it
//! reads no clock of its own except in [`Lane::run`]; it never gives a sink a message that is not durable, not dense,
//! not of the stream its target holds or not what the topic's binding allows; and it never goes past a gap.
#![forbid(unsafe_code)]

mod error;
mod feed;
mod lane;
mod reconcile;
pub mod sink;
mod writer;

pub use error::{LaneError, Notice};
pub use feed::{BusFeed, Feed, FeedError, FeedItem, Message};
pub use lane::{Lane, LaneState, Options, Status};
pub use reconcile::Mark;
