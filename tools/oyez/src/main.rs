//! `oyez`: the operator's command, the broker (`oyez serve`) and the demo (`oyez demo`).
//!
//! What can be said is in `args`, what is done in `commands`. Results go to stdout, notes to stderr; the exit code is 0
//! for done, 1 for a negative answer, 2 for a failure, which is told in one line: thing, place, remedy.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod failure;
mod output;
mod progress;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args::Cli { format, command } = args::Cli::parse();
    match commands::run(command, format) {
        Ok(answer) => answer.into(),
        // Whoever read our output has seen enough: `oyez tail md | head`.
        Err(failure) if output::nobody_reads(&*failure) => ExitCode::SUCCESS,
        Err(failure) => {
            output::note(failure::one_line(&*failure));
            ExitCode::from(2)
        }
    }
}
