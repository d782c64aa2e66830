//! The broker: what `oyez serve` runs.
//!
//! ```text
//!   keeper.rs   parent: keeps descriptors, starts the broker again        store.rs    the broker's way to it
//!   serve.rs    start: catalog, lock, recovery, adoption, threads         catalog.rs  what is declared
//!   control.rs  the slow thread: socket, events, clocks                   request.rs  what clients ask
//!   partition/  owner.rs: who may write; recording.rs: the way to disk    ring.rs     hand-out, step by step
//!   core.rs     a pinned thread: recorders, I/O                           spare.rs    rings made ahead
//! ```
//!
//! [`serve`] is all there is to call; [`catalog::Catalog`] is for whoever reads what is declared.
#![forbid(unsafe_code)]

pub mod catalog;
mod clients;
mod control;
mod core;
mod event;
mod holders;
mod keeper;
mod log;
mod partition;
mod request;
mod ring;
mod serve;
mod spare;
mod stop;
mod store;

pub use serve::{Role, ServeOptions, StartError, serve};
