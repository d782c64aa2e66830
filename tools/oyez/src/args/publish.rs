//! `oyez publish` and `oyez import …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::BrokerArgs;

#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    /// The topic
    pub(crate) topic: String,
    /// The partition
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) partition: u16,
    /// Publish to the partition that this key belongs to, instead of naming one
    #[arg(long, value_name = "TEXT", conflicts_with = "partition")]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) source: Source,
    /// Check the headers only; else a message that the topic's schema does not decode to its very end is refused too
    #[arg(long)]
    pub(crate) headers_only: bool,
    /// End after so many messages
    #[arg(long, value_name = "NUMBER")]
    pub(crate) messages: Option<u64>,
    /// Publish so many messages a second; as fast as the bus takes them if left out
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) rate_messages_per_s: Option<u64>,
    /// Wait for the partition for as long as another publisher owns it, and go on when that one is gone
    #[arg(long)]
    pub(crate) standby: bool,
    /// Under this name of the topic's `origins`, where it has many publishers
    #[arg(long, value_name = "NAME", conflicts_with = "standby")]
    pub(crate) origin: Option<String>,
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,
}

/// Where messages come from: SBE messages, header and body.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// Read messages from this file instead of stdin
    #[arg(long, value_name = "FILE", conflicts_with = "sample")]
    pub(crate) file: Option<PathBuf>,
    /// How messages follow each other in the file
    #[arg(long, value_enum, default_value_t = Encoding::Hex, conflicts_with = "sample")]
    pub(crate) encoding: Encoding,
    /// Make up a plausible trading session, always the same for the same seed, without end unless --messages says so
    #[arg(long, value_name = "SEED")]
    pub(crate) sample: Option<u64>,
}

/// How messages follow each other in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encoding {
    /// One message a line, in hexadecimal; empty lines and lines that begin with # are passed over.
    Hex,
    /// Before each message its length in bytes, four bytes, little-endian.
    LengthPrefixed,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Publish the messages of a capture, each as it is: .pcap or .pcap.gz
    Pcap(PcapArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PcapArgs {
    /// The capture
    #[arg(value_name = "FILE")]
    pub(crate) capture: PathBuf,
    /// The topic to publish to
    #[arg(long)]
    pub(crate) topic: String,
    /// The partition
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) partition: u16,
    /// How the venue puts messages into packets
    #[arg(long, value_enum)]
    pub(crate) framing: Framing,
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,
}

/// How a venue puts messages into packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Framing {
    /// B3 binary UMDF: a 16-byte packet header, then messages with their length and encoding type.
    B3,
}
