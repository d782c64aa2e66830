//! `oyez-bench`: what the bus costs, always beside the limit of the machine that moves the same bytes in the same run.
//!
//! Two spinning processes, each on a core of its own; the second is this program run again (`second.rs`), and so is
//! the broker (`house.rs`). Every scenario runs its systems in interleaved rounds and checks what arrived: each number, and
//! a checksum over all bytes. What each figure means is told in `docs/benchmarks.md`.
#![deny(unsafe_code)]

mod arguments;
mod child;
mod durable;
mod failure;
mod fanout;
mod house;
mod large;
mod link;
mod machine;
mod memcpy;
mod peers;
mod pingpong;
mod report;
mod sbe;
mod second;
mod sleepers;
mod stage;
mod stream;
mod systems;
mod tool;
mod traffic;

use arguments::{Arguments, Scenario};
use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

/// The program.
pub fn main() -> ExitCode {
    match run(Arguments::parse().scenario) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("oyez-bench: {failure}");
            ExitCode::from(2)
        }
    }
}

fn run(scenario: Scenario) -> Result<ExitCode, Failure> {
    if scenario.wants_peers() && !peers::HERE {
        match peers::hand_over()? {}
    }
    match scenario {
        Scenario::Pingpong(options) => pingpong::run(&options)?.print(options.common.format),
        Scenario::Stream(options) => stream::run(&options)?.print(options.common.format),
        Scenario::Fanout(options) => fanout::run(&options)?.print(options.common.format),
        Scenario::Large(options) => large::run(&options)?.print(options.common.format),
        Scenario::Sleepers(options) => sleepers::run(&options)?.print(options.common.format),
        Scenario::Sbe(options) => sbe::run(&options)?.print(options.format),
        Scenario::Second { plan } => second::serve(&plan)?,
        Scenario::Sleep { plan } => sleepers::sleep(&plan)?,
        Scenario::Attached { plan } => fanout::attach(&plan)?,
        Scenario::Broker { catalog, child } => return Ok(house::serve(catalog, child)),
    }
    Ok(ExitCode::SUCCESS)
}
