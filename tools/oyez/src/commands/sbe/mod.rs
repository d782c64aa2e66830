//! `oyez sbe …`: schemas and messages as they are in files; no broker is asked.

mod check;
mod describe;
mod diff;
mod dump;
mod encode;
mod generate;

use crate::args::SbeCommand;
use crate::failure::{Answer, Failure};
use crate::output::Output;

pub(crate) fn run(command: SbeCommand, output: &mut Output) -> Result<Answer, Failure> {
    match command {
        SbeCommand::Check { schema, strict } => check::run(&schema, strict, output),
        SbeCommand::Describe { schema, message } => describe::run(&schema, message.as_deref(), output),
        SbeCommand::Generate(args) => generate::run(&args, output),
        SbeCommand::Diff { old, new } => diff::run(&old, &new, output.whoever_reads()),
        SbeCommand::Dump(args) => dump::run(&args, output),
        SbeCommand::Encode(args) => encode::run(&args, output),
    }
}
