//! The library as its users have it: installed, compiled against, and talking to a broker.
#![forbid(unsafe_code)]

mod conformance;
mod errors;
mod guide;
mod house;
mod ingress;
#[path = "../../../client/tests/support/keeper.rs"]
mod keeper;
mod languages;
mod large;
mod package;
mod prefix;
mod samples;
mod scripted;
#[path = "../../../client/tests/support/topic.rs"]
mod topic;
mod topics;
