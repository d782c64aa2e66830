//! How a command ends.

use std::error::Error;
use std::process::ExitCode;

/// Any error, of ours or of a crate below: its text is one line with thing, place and remedy.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// What a command that did its work found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Done; all is well.
    Yes,
    /// Done; something is not as it should be, and the output says what.
    No,
    /// The exit code of somebody who decides it: the broker.
    Code(u8),
}

impl Answer {
    /// The answer to whether all is well.
    pub(crate) fn of(well: bool) -> Answer {
        if well { Answer::Yes } else { Answer::No }
    }
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> ExitCode {
        match answer {
            Answer::Yes => ExitCode::SUCCESS,
            Answer::No => ExitCode::from(1),
            Answer::Code(code) => ExitCode::from(code),
        }
    }
}

/// The text of an error, whatever a crate below put into it, on one line.
pub(crate) fn one_line(error: &dyn Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
