//! `oyez sbe …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum SbeCommand {
    /// Check a schema: what has no meaning is an error, what the standard forbids and venues do is a warning
    Check {
        /// The schema
        #[arg(value_name = "FILE")]
        schema: PathBuf,
        /// Refuse what the standard forbids
        #[arg(long)]
        strict: bool,
    },
    /// Show what stands where: all messages, or the layout of one; as JSON the layouts in any case
    Describe {
        /// The schema
        #[arg(value_name = "FILE")]
        schema: PathBuf,
        /// The message, by its name or template id
        message: Option<String>,
    },
    /// Compare two versions of a schema, field by field; exit code 1 if somebody has to change with it
    ///
    /// READERS: those who have the old schema read what is written by the new one. WRITERS: what is written by the old
    /// schema is read by those who have the new one.
    Diff {
        /// The old version
        #[arg(value_name = "OLD")]
        old: PathBuf,
        /// The new version
        #[arg(value_name = "NEW")]
        new: PathBuf,
    },
    /// Write the Rust code of a schema's messages; it needs the crate oyez-sbe-runtime and nothing else
    Generate(GenerateArgs),
}

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// The schema
    #[arg(value_name = "FILE")]
    pub(crate) schema: PathBuf,
    /// Where the code goes; - is stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Let every field be absent: for venues that add required fields and do not say since which version
    #[arg(long)]
    pub(crate) partial_blocks: bool,
}
