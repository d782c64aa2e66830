//! The broker as it runs: real processes, killed at bad moments, and what must hold then.

#![forbid(unsafe_code)]

mod house;
mod peer;

mod adoption;
mod catalog;
mod clients;
mod declared;
mod hostile;
mod many;
mod owners;
mod readers;
mod renewal;
mod sleepers;
mod standby;
mod start;
mod stored;
