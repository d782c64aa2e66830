//! Sealed shared memory and its 8-byte atomic words: the only `unsafe` of the data path.
//!
//! A [`Region`] is memory that several processes may share, seen as 8-byte words that are only ever touched as
//! `AtomicU64`; a [`RegionMut`] adds the stores. Ordering comes from the fences in [`sync`], so that a read-only
//! mapping is only ever *loaded* from, relaxed: acquire loads from read-only memory are outside Rust's guarantee.
//!
//! [`memory`] makes, seals, re-opens and checks the memfds that regions map; [`lease`] asks the kernel whether anybody
//! can still write to one. [`clock`] tells when a message goes out. A [`Seat`] is where one thread uses a value that another
//! may take away.
#![deny(unsafe_code)]

pub mod clock;
mod region;
mod seat;
pub mod sync;
#[cfg(not(any(loom, plain_words)))]
mod wide;

#[cfg(not(loom))]
pub mod lease;
#[cfg(not(loom))]
pub mod memory;

pub use region::{Region, RegionMut};
pub use seat::{InUse, Seat, Taker, Turn, seat};
