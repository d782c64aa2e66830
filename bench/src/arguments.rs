//! The command line.

use crate::systems::System;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// What the bus costs, beside the limit of this machine that moves the same bytes in the same run.
#[derive(Parser)]
#[command(name = "oyez-bench", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) scenario: Scenario,
}

#[derive(Subcommand)]
pub(crate) enum Scenario {
    /// Round trips of one message between two spinning processes.
    Pingpong(Pingpong),
    /// One writer at full speed, one reader that keeps up.
    Stream(Stream),
    /// The second process; started by the others.
    #[command(hide = true)]
    Peer {
        /// What to open, as JSON.
        plan: String,
    },
}

#[derive(Args)]
pub(crate) struct Pingpong {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Round trips of each system, size and round.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(100..))]
    pub(crate) messages: u64,
}

#[derive(Args)]
pub(crate) struct Stream {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Messages of each system, size and round.
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(100..))]
    pub(crate) messages: u64,
}

#[derive(Args)]
pub(crate) struct Common {
    /// Bytes of a message, SBE message header included.
    #[arg(long, value_delimiter = ',', default_values_t = [32, 51, 68, 256],
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(8..=4096))]
    pub(crate) sizes: Vec<usize>,
    /// How often each system takes its turn.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// The two cores to run on; the first two that this process may use unless said.
    #[arg(long, value_delimiter = ',', num_args = 2)]
    pub(crate) cores: Option<Vec<usize>>,
    /// What to measure; the limit comes first, always.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [System::Ring])]
    pub(crate) systems: Vec<System>,
    /// MiB of each ring, and of the limit's area; a power of two.
    #[arg(long, default_value_t = 64)]
    pub(crate) ring_mib: u64,
    /// How to print the results.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One object.
    Json,
}
