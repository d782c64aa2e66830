//! `oyez journal …`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use oyez::{Position, Sequence};

#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// All journals in a data folder: what each holds
    List {
        /// The folder of the journals, as `data` in the catalog
        data: PathBuf,
    },
    /// Read journals whole and check every block: counts, ranges, digest. Exit code 1 if anything is damaged
    Verify {
        /// The folder of the journals, as `data` in the catalog
        data: PathBuf,
        /// Only this topic
        topic: Option<String>,
    },
    /// Print the frames of one journal
    Dump(DumpArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DumpArgs {
    /// The folder of the journals, as `data` in the catalog
    pub(crate) data: PathBuf,
    /// The topic
    pub(crate) topic: String,
    /// The partition
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub(crate) partition: u16,
    /// Where to begin: earliest, sequence:N, or position:N, which is where a frame begins
    #[arg(long, value_name = "START", default_value = "earliest")]
    pub(crate) from: JournalFrom,
    /// End after so many frames
    #[arg(long, value_name = "NUMBER")]
    pub(crate) frames: Option<u64>,
    /// Decode messages by this SBE schema; give several for several versions. Without one they are printed in hexadecimal
    #[arg(long = "schema", value_name = "FILE")]
    pub(crate) schemas: Vec<PathBuf>,
}

/// Where to begin in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JournalFrom {
    Earliest,
    Sequence(Sequence),
    Position(Position),
}

impl FromStr for JournalFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<JournalFrom, String> {
        let number = |number: &str| number.parse().map_err(|_| format!("`{number}` is no number; write sequence:0"));
        match text.split_once(':') {
            None if text == "earliest" => Ok(JournalFrom::Earliest),
            Some(("sequence", from)) => Ok(JournalFrom::Sequence(Sequence(number(from)?))),
            Some(("position", from)) => Ok(JournalFrom::Position(Position(number(from)?))),
            _ => Err("write earliest, sequence:N or position:N".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood_and_everything_else_refused_with_the_remedy() {
        assert_eq!("earliest".parse(), Ok(JournalFrom::Earliest));
        assert_eq!("sequence:7".parse(), Ok(JournalFrom::Sequence(Sequence(7))));
        assert_eq!("position:65536".parse(), Ok(JournalFrom::Position(Position(65_536))));
        for wrong in ["", "live", "sequence:x", "position:", "time:0"] {
            assert!(wrong.parse::<JournalFrom>().expect_err(wrong).contains("write "));
        }
    }
}
