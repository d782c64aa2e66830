//! `cargo xtask test`: every step in order, what they came to, and one closing line.

use crate::child::{self, End};
use crate::failure::{Failure, Result};
use crate::outside::Outside;
use crate::places::{self, Scratch};
use crate::steps::{STEPS, Step};
use crate::tally::Tally;
use std::process::Command;
use std::time::Instant;

/// Which steps, and whether system packages may be installed.
pub(crate) struct Choice {
    pub(crate) only: Vec<String>,
    pub(crate) install: bool,
}

/// Runs the steps; true if all passed and, under `CI=true`, nothing was skipped.
pub(crate) fn run(choice: &Choice) -> Result<bool> {
    let steps = chosen(&choice.only)?;
    let scratch = Scratch::new()?;
    let mut total = Tally::default();
    let outside = match steps.iter().any(|step| step.outside) {
        true => Outside::bring(&scratch, choice.install)?,
        false => Outside::default(),
    };

    let mut failed = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        println!("==== {}/{} {}: cargo {}", index + 1, steps.len(), step.name, step.cargo);
        let begun = Instant::now();
        let (end, tally) = run_step(step, &scratch, &outside)?;
        println!("==== {}: {}, {} s", step.name, tally.line(), begun.elapsed().as_secs());
        if let End::Failed(reason) = end {
            failed.push(format!("{}: {reason}", step.name));
        }
        total += tally;
    }
    total.skipped.extend(outside.skipped);
    Ok(close(total, &failed))
}

/// The steps by these names, in the table's order; all of them for none.
fn chosen(only: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = only.iter().find(|name| !STEPS.iter().any(|step| step.name == **name)) {
        return Err(Failure(format!("{unknown}: no such step; `cargo xtask test --list` names them")));
    }
    Ok(STEPS.iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name)).collect())
}

fn run_step(step: &Step, scratch: &Scratch, outside: &Outside) -> Result<(End, Tally)> {
    let mut tally = Tally::default();
    let end = child::show(command(step, scratch, outside)?, |line| tally.read(line))?;
    if let Some(confined) = &step.confined {
        tally.skipped.retain(|reason| !reason.contains(confined.expected));
    }
    Ok(judge(step, end, tally))
}

/// A step of tests in which none ran proves nothing; one without tests counts as one.
fn judge(step: &Step, end: End, mut tally: Tally) -> (End, Tally) {
    let end = match end {
        End::Succeeded if step.tests && tally.is_empty() => End::Failed("not one test ran".into()),
        End::Succeeded if tally.is_empty() => return (end, Tally::one_passed()),
        end => end,
    };
    if end != End::Succeeded && tally.failed == 0 {
        tally.failed = 1;
    }
    (end, tally)
}

fn command(step: &Step, scratch: &Scratch, outside: &Outside) -> Result<Command> {
    let mut cargo = child::bounded(step.limit_s, "cargo");
    if let Some(confined) = &step.confined {
        let xtask = std::env::current_exe().map_err(Failure::at("xtask"))?;
        cargo.arg("--config").arg(format!("target.'cfg(all())'.runner = [{xtask:?}, {:?}, \"--\"]", confined.through));
    }
    cargo.args(step.cargo.split(' ')).current_dir(places::root()).env("TMPDIR", scratch.path());
    // Cargo would prefer it to the step's own flags.
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").envs(step.env.iter().copied());
    if step.outside {
        cargo.envs(outside.env.iter().cloned());
    }
    Ok(cargo)
}

/// Tells what was skipped and what failed; the last line counts.
fn close(mut total: Tally, failed: &[String]) -> bool {
    for skipped in &total.skipped {
        println!("SKIPPED {skipped}");
    }
    for step in failed {
        println!("FAILED {step}");
    }
    if std::env::var("CI").is_ok_and(|ci| ci == "true") && !total.skipped.is_empty() {
        println!("CI runs everything: what was skipped counts as failed");
        total.failed += total.skipped.drain(..).len() as u64;
    }
    println!("{}", total.line());
    total.failed == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(step: &str, printed: &str) -> (End, String) {
        let mut tally = Tally::default();
        printed.lines().for_each(|line| tally.read(line));
        let step = STEPS.iter().find(|known| known.name == step).unwrap();
        let (end, tally) = judge(step, End::Succeeded, tally);
        (end, tally.line())
    }

    #[test]
    fn a_step_in_which_no_test_ran_has_failed() {
        let none = "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.00s";
        let (end, line) = judged("loom", none);
        assert!(matches!(end, End::Failed(_)) && line == "0 passed, 1 failed, 0 skipped", "{end:?} {line}");
        assert_eq!(judged("fmt", ""), (End::Succeeded, "1 passed, 0 failed, 0 skipped".into()));
    }
}
