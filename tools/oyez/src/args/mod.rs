//! What can be said on the command line: noun, then verb. Nothing here does anything.

mod demo;
mod journal;
mod partitions;
mod publish;
mod sbe;
mod start;
mod stat;
mod topic;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use demo::{DemoArgs, EchoArgs, LaneArgs, Part, PublisherArgs, SubscriberArgs};
pub(crate) use journal::{DumpArgs, JournalCommand, JournalFrom};
pub(crate) use partitions::Partitions;
pub(crate) use publish::{Encoding, Framing, ImportCommand, PcapArgs, PublishArgs, Source};
pub(crate) use sbe::{Encoded, GenerateArgs, SbeCommand, SbeDumpArgs, SbeEncodeArgs, SbeFraming};
pub(crate) use start::From;
pub(crate) use stat::{HealthArgs, StatArgs, TopArgs};
pub(crate) use topic::{TailArgs, TopicCommand};

/// Oyez: one publisher speaks, every subscriber hears it at once, and nothing said is lost.
///
/// Exit codes: 0 done, 1 a negative answer (something is not as it should be), 2 a failure.
#[derive(Debug, Parser)]
#[command(name = "oyez", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs: one JSON value a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what Oyez does, in a minute, on this machine
    Demo(DemoArgs),
    /// Run the broker
    Serve(ServeArgs),
    /// The topics of a running broker
    #[command(subcommand)]
    Topic(TopicCommand),
    /// Publish messages to a topic
    Publish(PublishArgs),
    /// Print what is published to a topic, decoded by its schema
    Tail(TailArgs),
    /// How the broker, its topics and their readers stand
    Stat(StatArgs),
    /// The same, live: `q` leaves
    Top(TopArgs),
    /// Whether the broker is healthy, in one line; exit code 1 if it is not
    Health(HealthArgs),
    /// The journals in a data folder, with or without a broker
    #[command(subcommand)]
    Journal(JournalCommand),
    /// The catalog, the one file that declares topics
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// What of this machine the bus would suffer from, what that costs, and what mends it
    ///
    /// Leaves everything as it is. Exit code 1 if there is a fault: something that keeps the broker from starting, or from
    /// doing what the catalog declares. Warnings and notes cost time or are worth knowing; with them alone it is 0.
    Doctor(DoctorArgs),
    /// SBE schemas and messages in files
    #[command(subcommand)]
    Sbe(SbeCommand),
    /// Publish what other systems have captured
    #[command(subcommand)]
    Import(ImportCommand),
    /// A part in the demo, which runs itself again for each
    #[command(subcommand, hide = true)]
    DemoPart(Part),
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The catalog: one TOML file that declares everything the broker serves
    #[arg(long, value_name = "FILE")]
    pub(crate) catalog: PathBuf,
    /// Run without the parent process that keeps the rings and starts the broker again when it dies
    #[arg(long)]
    pub(crate) no_keeper: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Examine the machine for this catalog: its cores, rings and data folder; without it, for any
    #[arg(long, value_name = "FILE")]
    pub(crate) catalog: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// Check a catalog and the schemas it names; nothing is changed
    Check {
        /// The catalog
        #[arg(value_name = "FILE")]
        catalog: PathBuf,
        /// Draw what it declares, as a Mermaid flowchart: who publishes, topics, lanes, clusters, who subscribes
        #[arg(long)]
        mermaid: bool,
    },
    /// What would come of a catalog at the running broker; nothing is changed
    ///
    /// Exit code 1 if a running broker would refuse something of it: then it would refuse all of it.
    Plan(CatalogArgs),
    /// Have the running broker take its catalog as it stands in the file now: all of it, or nothing
    ///
    /// Exit code 1 if something of it is refused. The broker reads the file itself, as its own user, and only for that user
    /// and for root; it must be the file that the broker was started with.
    Apply(CatalogArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CatalogArgs {
    /// The catalog
    #[arg(value_name = "FILE")]
    pub(crate) catalog: PathBuf,
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,
}

/// Which broker.
#[derive(Clone, Debug, Args)]
pub(crate) struct BrokerArgs {
    /// The broker's socket, as `socket` in its catalog
    #[arg(
        long,
        value_name = "PATH",
        env = "OYEZ_SOCKET",
        default_value = "/run/oyez/bus.sock",
        hide_env_values = true
    )]
    pub(crate) socket: PathBuf,
}
