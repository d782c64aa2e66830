//! `oyez topic …` and `oyez tail`.

use clap::{Args, Subcommand};

use super::{BrokerArgs, From, Partitions};

#[derive(Debug, Subcommand)]
pub(crate) enum TopicCommand {
    /// All topics, one a line
    List {
        #[command(flatten)]
        broker: BrokerArgs,
    },
    /// One topic: how it is declared, and how it stands
    Describe {
        /// The topic
        topic: String,
        #[command(flatten)]
        broker: BrokerArgs,
    },
    /// Have the owner go on in a new epoch; for the broker's own user and root. Exit code 1 if it does not
    Renew {
        /// The topic
        topic: String,
        /// The partition
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        partition: u16,
        #[command(flatten)]
        broker: BrokerArgs,
    },
    /// Have the owner killed, so that the standby goes on; for an owner that hangs. Exit code 1 if it was gone already
    TakeOver {
        /// The topic
        topic: String,
        /// The partition
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        partition: u16,
        #[command(flatten)]
        broker: BrokerArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// The topic
    pub(crate) topic: String,
    /// The partition, several with commas between them, or all; then each line begins with PARTITION/
    #[arg(long, value_name = "NUMBER,…|all", default_value = "0")]
    pub(crate) partition: Partitions,
    /// Where to begin: live, earliest, sequence:N, or time:T, where T is RFC 3339 (2026-01-31T08:00:00Z), nanoseconds
    /// since 1970, or how long ago (90s, 5m)
    #[arg(long, value_name = "START", default_value = "live")]
    pub(crate) from: From,
    /// End after so many messages
    #[arg(long, value_name = "NUMBER")]
    pub(crate) messages: Option<u64>,
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,
}
