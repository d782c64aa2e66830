//! The client and a real broker: keeper and broker are processes of their own, killed where the test says so.
#![forbid(unsafe_code)]

mod house;
mod ingress;
#[path = "../support/keeper.rs"]
mod keeper;
mod keyed;
mod large;
mod losses;
mod reading;
mod renewal;
mod sleeping;
mod standby;
#[path = "../support/trace.rs"]
mod trace;
mod writing;
