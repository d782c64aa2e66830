//! `oyez-gateway`: runs one lane into Kafka until it is told to stop.

use clap::{Args, Parser, Subcommand};
use oyez::{Bus, Connect};
use oyez_gateway::sink::SinkError;
use oyez_gateway::sink::kafka::{Kafka, Target};
use oyez_gateway::{BusFeed, Lane, LaneError, Options};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Kafka ends a transaction after 10 s, and what is in it must be durable and delivered by then.
const TRANSACTION_MS_MAX: u64 = 5_000;

/// Lanes of the bus into Kafka, exactly once.
///
/// Exit codes: 0 stopped on request, 1 the lane found a reason to stop (a gap, a target that is ahead or another
/// stream's, another gateway), 2 it could not be run.
#[derive(Parser)]
#[command(name = "oyez-gateway", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Carries one topic into one Kafka topic until SIGTERM or SIGINT.
    Run(Run),
}

#[derive(Args)]
struct Run {
    /// The broker's socket.
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// The topic to carry. It must be durable.
    #[arg(long)]
    topic: String,
    /// Kafka brokers, separated by commas.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: String,
    /// The Kafka topic. It must exist, with one partition.
    #[arg(long, value_name = "NAME")]
    kafka_topic: String,
    /// The first sequence of a lane that has no past [default: 0]
    #[arg(long, value_name = "SEQUENCE")]
    origin: Option<u64>,
    /// Longest time a transaction stays open.
    #[arg(long, value_name = "MS", default_value_t = Options::default().transaction_ms_max,
        value_parser = clap::value_parser!(u64).range(..=TRANSACTION_MS_MAX))]
    transaction_ms_max: u64,
    /// Accept a Kafka topic that the loss of one broker can lose, with a warning: for test clusters.
    #[arg(long)]
    allow_unreplicated: bool,
}

fn main() -> ExitCode {
    let Command::Run(run) = Cli::parse().command;
    let lane = format!("{} into {}", run.topic, run.kafka_topic);
    match carry(run, &lane) {
        Ok(summary) => {
            let _ = writeln!(io::stdout(), "{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            log(&lane, &*error);
            error.downcast_ref().map_or(ExitCode::from(2), exit_code)
        }
    }
}

/// Runs the lane; what it has to say meanwhile goes to stderr, a line each.
fn carry(run: Run, name: &str) -> Result<String, Box<dyn std::error::Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let bus = Bus::connect(Connect::new(&run.socket).name(&format!("gateway {name}")))?;
    let target =
        Target { bootstrap: run.bootstrap, kafka_topic: run.kafka_topic, allow_unreplicated: run.allow_unreplicated };
    let options = Options { origin: run.origin, transaction_ms_max: run.transaction_ms_max, ..Options::default() };
    let mut lane = Lane::new(BusFeed::new(bus, &run.topic), Kafka::new(target)?, options);
    let ended = lane.run(&mut |lane| {
        lane.take_notices().iter().for_each(|notice| log(name, notice));
        !stop.load(Ordering::Relaxed)
    });
    lane.take_notices().iter().for_each(|notice| log(name, notice));
    ended?;
    let status = lane.status();
    let last = status.committed_sequence.map_or("none".into(), |sequence| sequence.to_string());
    Ok(format!("{} messages in {} transactions, last sequence {last}", status.messages, status.transactions))
}

/// A lane goes on when nobody reads what it says.
fn log(lane: &str, line: &dyn Display) {
    let _ = writeln!(io::stderr(), "oyez-gateway: lane {lane}: {line}");
}

fn exit_code(error: &LaneError) -> ExitCode {
    match error {
        LaneError::Feed(_)
        | LaneError::Sink(SinkError::Refused { .. } | SinkError::Unknown { .. })
        | LaneError::KeepsFailing { .. } => ExitCode::from(2),
        _ => ExitCode::from(1),
    }
}
