//! The developer's chores, as `cargo xtask <chore>`. `docs/testing.md` says when to use which.
#![forbid(unsafe_code)]

mod child;
mod confine;
mod controls;
mod failure;
mod fuzz;
mod gate;
mod jars;
mod kafka;
mod outside;
mod packages;
mod places;
mod python;
mod soak;
mod steps;
mod tally;

use clap::Parser;
use failure::{Failure, Result};
use std::ffi::OsString;
use std::process::ExitCode;

/// The developer's chores. Exit code 0: done; 1: a test or control failed; 2: the chore could not be done.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Chore {
    /// The whole gate, as CI runs it
    Test {
        /// Do not install system packages, even where that is possible
        #[arg(long)]
        no_install: bool,
        /// Only these steps
        #[arg(long, num_args = 1.., value_name = "NAME")]
        only: Vec<String>,
        /// Name the steps and do nothing
        #[arg(long)]
        list: bool,
    },
    /// Break the code in known ways, one after the other: each must turn a named test red
    Controls {
        /// Only these controls
        names: Vec<String>,
        /// Name the controls and do nothing
        #[arg(long)]
        list: bool,
        /// Only check that each control still finds its place in the code
        #[arg(long)]
        fit: bool,
    },
    /// Long runs of the tests whose counts are published
    Soak {
        /// Only these
        names: Vec<String>,
        /// Name them and do nothing
        #[arg(long)]
        list: bool,
    },
    /// Search for bytes that break the SBE crates, with libFuzzer and AddressSanitizer
    Fuzz {
        /// Only these targets, the folders of `sbe-codec/fuzz/corpus`
        names: Vec<String>,
        /// How long each is fuzzed
        #[arg(long, default_value_t = 600)]
        seconds: u32,
        /// Name them and do nothing
        #[arg(long)]
        list: bool,
    },
    /// Rewrite the golden files from what the code does now; look at the difference before you commit it
    Bless,
    /// Start a real Kafka on loopback and keep it until Enter is pressed
    Kafka,
    /// Run a command as an ordinary user with 8 MiB of memory to lock
    AsUser {
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Run a command to which the kernel refuses io_uring
    WithoutUring {
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(Chore::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::from(2)
        }
    }
}

/// True: done and good. False: done, and the answer is bad.
fn run(chore: Chore) -> Result<bool> {
    match chore {
        Chore::Test { list: true, .. } => Ok(list(steps::STEPS.iter().map(|step| (step.name, step.cargo)))),
        Chore::Test { no_install, only, .. } => gate::run(&gate::Choice { only, install: !no_install }),
        Chore::Controls { list: true, .. } => {
            Ok(list(controls::read()?.iter().map(|control| (&*control.name, &*control.why))))
        }
        Chore::Controls { fit: true, .. } => controls::fit(),
        Chore::Controls { names, .. } => controls::run(&names),
        Chore::Soak { list: true, .. } => Ok(list(soak::SOAKS.iter().map(|soak| (soak.name, soak.test)))),
        Chore::Soak { names, .. } => soak::run(&names),
        Chore::Fuzz { list: true, .. } => Ok(list(fuzz::targets()?.iter().map(|name| (&**name, "")))),
        Chore::Fuzz { names, seconds, .. } => fuzz::run(&names, seconds),
        Chore::Bless => soak::bless(),
        Chore::Kafka => start_kafka(),
        Chore::AsUser { .. } | Chore::WithoutUring { .. } if confine::passes_over() => Ok(true),
        Chore::AsUser { command } => confine::as_user(&command).map(|()| true),
        Chore::WithoutUring { command } => confine::without_uring(&command).map(|()| true),
    }
}

fn list<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> bool {
    entries.for_each(|(name, what)| println!("{name:<20} {what}"));
    true
}

fn start_kafka() -> Result<bool> {
    let scratch = places::Scratch::new()?;
    let kafka = kafka::Kafka::start(scratch.path())?;
    println!("bootstrap   {}", kafka.bootstrap);
    println!("tools       java -cp '{}/*' org.apache.kafka.tools.TopicCommand …", jars::KAFKA.bring()?.display());
    println!("Press Enter to stop it; its data go with it.");
    std::io::stdin().read_line(&mut String::new()).map_err(Failure::at("stdin"))?;
    Ok(true)
}
