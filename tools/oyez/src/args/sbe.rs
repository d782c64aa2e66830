//! `oyez sbe …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
    /// Print the messages of a capture or file as JSON, one a line, which `encode`, with the schema that wrote it, makes the same bytes of
    Dump(SbeDumpArgs),
    /// Make messages of JSON, one a line
    Encode(SbeEncodeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SbeDumpArgs {
    /// A capture (.pcap or .pcap.gz; UDP and TCP), or the bytes of one packet or of messages in a row
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The schema; give several for several ids or versions: the exact version decodes, else the nearest newer one, else
    /// the newest
    #[arg(long = "schema", value_name = "FILE", required = true)]
    pub(crate) schemas: Vec<PathBuf>,
    /// How messages follow each other in a packet
    #[arg(long, value_enum, default_value_t = SbeFraming::Plain)]
    pub(crate) framing: SbeFraming,
}

/// How messages follow each other in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SbeFraming {
    /// One behind another, each as long as its schema says.
    Plain,
    /// FIX Simple Open Framing Header: length and encoding type, big-endian, before each message.
    Sofh,
    /// B3 binary UMDF: a 16-byte packet header, then messages with their length and encoding type.
    B3,
    /// CME MDP 3.0: a packet header of 12 bytes, or of 14 over TCP, then messages with their size.
    Cme,
    /// Euronext Optiq market data: a 16-byte packet header, then messages with their length, compressed or not.
    Optiq,
}

#[derive(Debug, Args)]
pub(crate) struct SbeEncodeArgs {
    /// Read JSON from this file instead of stdin
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The schema
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: PathBuf,
    /// How messages are written
    #[arg(long, value_enum, default_value_t = Encoded::Hex)]
    pub(crate) encoding: Encoded,
}

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Encoded {
    /// One message a line, in hexadecimal, as `oyez publish` reads it.
    Hex,
    /// Before each message its length in bytes, four bytes, little-endian, as `oyez publish` reads it.
    LengthPrefixed,
    /// One behind another.
    Raw,
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
