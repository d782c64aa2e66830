//! `oyez stat`, `oyez top` and `oyez health`.

use clap::Args;

use super::BrokerArgs;

#[derive(Debug, Args)]
pub(crate) struct StatArgs {
    /// Only this topic
    pub(crate) topic: Option<String>,
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Only this topic
    pub(crate) topic: Option<String>,
    /// How often it looks, ms
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub(crate) interval_ms: u64,
    /// Look twice, print once, and end; for pipes
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,
}
