//! `oyez demo`, and the parts it plays by running itself again.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Plain: publish so many messages as fast as the bus takes them, compare all digests, and end
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) messages: Option<u64>,
    /// How many subscribers listen
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=32))]
    pub(crate) subscribers: u16,
    /// Leave the broker and a publisher running, and say what to try next
    #[arg(long)]
    pub(crate) keep: bool,
}

/// A part, played by a process of its own. Each says what happens as lines of JSON on stdout, and ends when its stdin
/// does.
#[derive(Debug, Subcommand)]
pub(crate) enum Part {
    Publisher(PublisherArgs),
    Subscriber(SubscriberArgs),
    Lane(LaneArgs),
    Echo(EchoArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PublisherArgs {
    #[arg(long)]
    pub(crate) socket: PathBuf,
    #[arg(long)]
    pub(crate) topic: String,
    /// Where it notes what it published.
    #[arg(long)]
    pub(crate) ledger: PathBuf,
    /// Most messages, and room in the ledger.
    #[arg(long)]
    pub(crate) messages: u64,
    #[arg(long)]
    pub(crate) rate_messages_per_s: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct SubscriberArgs {
    #[arg(long)]
    pub(crate) socket: PathBuf,
    #[arg(long)]
    pub(crate) topic: String,
    /// Shows some of what it receives.
    #[arg(long)]
    pub(crate) samples: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LaneArgs {
    #[arg(long)]
    pub(crate) socket: PathBuf,
    #[arg(long)]
    pub(crate) topic: String,
    /// The loopback target's file.
    #[arg(long)]
    pub(crate) target: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct EchoArgs {
    #[arg(long)]
    pub(crate) socket: PathBuf,
    /// The shared memory of the limit's ping-pong.
    #[arg(long)]
    pub(crate) memory: PathBuf,
    /// Where it spins.
    #[arg(long)]
    pub(crate) processor: usize,
}
