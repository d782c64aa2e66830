//! The command line.

use crate::systems::System;
use clap::builder::{PossibleValuesParser, RangedU64ValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

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
    /// What publishing costs beside subscribers that sleep.
    Fanout(Fanout),
    /// One message of many frames end to end, and small ones on another topic meanwhile.
    Large(Large),
    /// How late subscribers that sleep are woken, and what the broker does meanwhile.
    Sleepers(Sleepers),
    /// Generated SBE codecs, and JSON by schema.
    Sbe(Sbe),
    /// The second process; started by the others.
    #[command(hide = true)]
    Second {
        /// What to open, as JSON.
        plan: String,
    },
    /// A process of subscribers that sleep; started by `sleepers`.
    #[command(hide = true)]
    Sleep {
        /// What to subscribe to, as JSON.
        plan: String,
    },
    /// A process of subscribers that never poll; started by `fanout`.
    #[command(hide = true)]
    Attached {
        /// What to subscribe to, as JSON.
        plan: String,
    },
    /// The broker; started by the others.
    #[command(hide = true)]
    Broker {
        /// Its catalog.
        catalog: PathBuf,
        /// Without a keeper of its own: it is the keeper's child.
        #[arg(long)]
        child: bool,
    },
}

impl Scenario {
    /// Whether this program must have the peers.
    pub(crate) fn wants_peers(&self) -> bool {
        match self {
            Scenario::Pingpong(Pingpong { peers, .. })
            | Scenario::Stream(Stream { peers, .. })
            | Scenario::Fanout(Fanout { peers, .. }) => !peers.is_empty(),
            _ => false,
        }
    }
}

#[derive(Args)]
pub(crate) struct Pingpong {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) traffic: Traffic,
    /// Whom to measure beside ours.
    #[arg(long, value_delimiter = ',', value_parser = peers(&["aeron", "iceoryx2"]))]
    pub(crate) peers: Vec<System>,
    /// Round trips of each system, size and round.
    #[arg(long, default_value_t = 50_000, value_parser = RangedU64ValueParser::<u64>::new().range(100..))]
    pub(crate) messages: u64,
    /// Messages of each size whose way to `durable` is timed, with --recorded.
    #[arg(long, default_value_t = 500, value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    pub(crate) durable_messages: u64,
}

#[derive(Args)]
pub(crate) struct Stream {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) traffic: Traffic,
    /// Whom to measure beside ours.
    #[arg(long, value_delimiter = ',', value_parser = peers(&["aeron"]))]
    pub(crate) peers: Vec<System>,
    /// Messages of each system, size and round.
    #[arg(long, default_value_t = 1_000_000, value_parser = RangedU64ValueParser::<u64>::new().range(100..))]
    pub(crate) messages: u64,
}

#[derive(Args)]
pub(crate) struct Fanout {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Whom to measure beside ours.
    #[arg(long, value_delimiter = ',', value_parser = peers(&["iceoryx2"]))]
    pub(crate) peers: Vec<System>,
    /// How many subscribers sleep, rising; the first is what the others are compared with.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1, 10, 100, 300])]
    pub(crate) subscribers: Vec<usize>,
    /// Bytes of a message, SBE message header included.
    #[arg(long, default_value_t = 68, value_parser = RangedU64ValueParser::<usize>::new().range(8..=4096))]
    pub(crate) size: usize,
    /// Messages of each system, number of subscribers and round.
    #[arg(long, default_value_t = 100_000, value_parser = RangedU64ValueParser::<u64>::new().range(1000..))]
    pub(crate) messages: u64,
}

#[derive(Args)]
pub(crate) struct Large {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Bytes of a large message, SBE message header included; where the rings are too small for it, they are made larger.
    #[arg(long, default_value_t = 20_000_000, value_parser = RangedU64ValueParser::<usize>::new().range(4097..=256 << 20))]
    pub(crate) size: usize,
    /// Large messages each round.
    #[arg(long, default_value_t = 10, value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    pub(crate) messages: u64,
    /// A large message goes out so often, or as soon as the one before has arrived.
    #[arg(long, default_value_t = 100)]
    pub(crate) every_ms: u64,
    /// Bytes of a small message.
    #[arg(long, default_value_t = 68, value_parser = RangedU64ValueParser::<usize>::new().range(8..=4096))]
    pub(crate) small: usize,
    /// Over a recorded topic, kept at `durable`.
    #[arg(long)]
    pub(crate) recorded: bool,
}

#[derive(Args)]
pub(crate) struct Sleepers {
    #[command(flatten)]
    pub(crate) common: Common,
    /// How many subscribers sleep: one where something is published, all others elsewhere.
    #[arg(long, default_value_t = 1_000, value_parser = RangedU64ValueParser::<usize>::new().range(1..=4_000))]
    pub(crate) subscribers: usize,
    /// Longest sleep of the broker's core, µs.
    #[arg(long, value_delimiter = ',', default_values_t = [50, 1_000, 10_000],
          value_parser = RangedU64ValueParser::<u64>::new().range(50..=100_000))]
    pub(crate) wake_max_us: Vec<u64>,
    /// Messages that wake the one, each round.
    #[arg(long, default_value_t = 200, value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    pub(crate) messages: u64,
    /// How long the broker is watched doing nothing, each round.
    #[arg(long, default_value_t = 1_000, value_parser = RangedU64ValueParser::<u64>::new().range(10..))]
    pub(crate) idle_ms: u64,
}

#[derive(Args)]
pub(crate) struct Sbe {
    /// Whom to measure beside ours.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) peers: Vec<SbePeer>,
    /// Messages of each kind that are read and written each round; of JSON a fiftieth of them.
    #[arg(long, default_value_t = 1_000_000, value_parser = RangedU64ValueParser::<u64>::new().range(100..))]
    pub(crate) messages: u64,
    /// How often each program takes its turn.
    #[arg(long, default_value_t = 11, value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    pub(crate) rounds: u32,
    /// The core to run on; the first that this process may use unless said.
    #[arg(long)]
    pub(crate) core: Option<usize>,
    /// How to print the results.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SbePeer {
    /// The reference implementation: its C++, and its printer in Java. Fetched and compiled for the run.
    SbeCpp,
}

/// What passes between two processes.
#[derive(Args)]
pub(crate) struct Traffic {
    /// Bytes of a message, SBE message header included.
    #[arg(long, value_delimiter = ',', default_values_t = [32, 51, 68, 256],
          value_parser = RangedU64ValueParser::<usize>::new().range(8..=4096))]
    pub(crate) sizes: Vec<usize>,
    /// Also over recorded topics, kept at `durable`.
    #[arg(long)]
    pub(crate) recorded: bool,
}

#[derive(Clone, Args)]
pub(crate) struct Common {
    /// How often each system takes its turn.
    #[arg(long, default_value_t = 11, value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    pub(crate) rounds: u32,
    /// The two cores to run on; the first two that this process may use unless said.
    #[arg(long, num_args = 2)]
    pub(crate) cores: Option<Vec<usize>>,
    /// MiB of each ring, and of the limit's memory; a power of two.
    #[arg(long, default_value_t = 64, value_parser = ring_mib)]
    pub(crate) ring_mib: u64,
    /// Where the broker keeps its journal meanwhile; the folder for temporary files unless said.
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
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

/// Systems of others, by these names.
fn peers(names: &'static [&'static str]) -> impl TypedValueParser<Value = System> {
    PossibleValuesParser::new(names).map(|name| if name == "aeron" { System::Aeron } else { System::Iceoryx2 })
}

fn ring_mib(text: &str) -> Result<u64, String> {
    match text.parse::<u64>() {
        Ok(mib) if mib.is_power_of_two() && (2..=1024).contains(&mib) => Ok(mib),
        _ => Err("a power of two from 2 to 1024 is wanted".to_owned()),
    }
}
