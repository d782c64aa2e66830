//! `oyez sbe …`: schemas and messages as they are in files; no broker is asked.

mod dump;
mod encode;

use crate::args::SbeCommand;
use crate::failure::{Answer, Failure};
use crate::output::Output;

pub(crate) fn run(command: SbeCommand, output: &mut Output) -> Result<Answer, Failure> {
    match command {
        SbeCommand::Dump(args) => dump::run(&args, output),
        SbeCommand::Encode(args) => encode::run(&args, output),
    }
}
