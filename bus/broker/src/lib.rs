//! The broker: what `oyez serve` runs.
//!
//! ```text
//!   keeper.rs   parent: keeps descriptors, starts the broker again        store.rs    the broker's way to it
//!   serve.rs    start: catalog, lock, recovery, adoption, threads         catalog.rs  what is declared
//!   control.rs  the slow thread: socket, events, clocks                   request.rs  what clients ask
//!   granting.rs how one becomes an owner, in its turn or by killing       ring.rs     hand-out, step by step
//!   partition/  owner.rs: who may write; standby.rs: who wants to; recording.rs: the way to disk
//!   core.rs     a pinned thread: recorders, I/O                           spare.rs    rings made ahead
//!   plan.rs     two catalogs compared                                     apply.rs    another one taken while it runs
//!   sleepers.rs readers that sleep, and how a core sleeps                 stat.rs     how all stands; metrics.rs, http.rs
//! ```
//!
//! [`serve`] is all there is to call; [`stat::Stat`] is what a client's `stat` tells, [`plan::Plan`] what comes of another catalog; [`catalog::Catalog`] is for whoever reads what is declared.
#![forbid(unsafe_code)]

mod admitting;
mod apply;
pub mod catalog;
mod clients;
mod control;
mod core;
mod declared;
mod event;
mod granting;
mod holders;
mod http;
mod ingress;
mod keeper;
mod log;
mod metrics;
mod partition;
mod partitions;
pub mod plan;
mod renewing;
mod request;
mod ring;
mod serve;
mod sleepers;
mod spare;
pub mod stat;
mod stop;
mod store;

pub use serve::{Role, ServeOptions, StartError, serve};
