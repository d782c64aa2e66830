//! `cargo xtask soak`: the tests whose counts are published, at those counts. To add one, add one entry to [`SOAKS`].

use crate::child::{self, End};
use crate::failure::{Failure, Result};
use crate::places;

/// One test, run alone in release, with its counts in the environment.
pub(crate) struct Soak {
    pub(crate) name: &'static str,
    pub(crate) cargo: &'static str,
    pub(crate) env: &'static [(&'static str, &'static str)],
}

pub(crate) const SOAKS: &[Soak] = &[];

/// A day: a soak is bounded by its counts, this only ends one that hangs.
const LIMIT_S: u32 = 86_400;

/// Runs these, or all for none, with their output shown; true if all passed.
pub(crate) fn run(names: &[String]) -> Result<bool> {
    if let Some(unknown) = names.iter().find(|name| !SOAKS.iter().any(|soak| soak.name == **name)) {
        return Err(Failure(format!("{unknown}: no such soak; `cargo xtask soak --list` names them")));
    }
    let mut all = true;
    for soak in SOAKS.iter().filter(|soak| names.is_empty() || names.iter().any(|name| name == soak.name)) {
        println!("==== {}: cargo {}", soak.name, soak.cargo);
        all &= cargo(soak.cargo, soak.env)?;
    }
    Ok(all)
}

/// Golden tests have `golden` in their names, and with `OYEZ_BLESS` set they write what they would have compared.
pub(crate) fn bless() -> Result<bool> {
    cargo("test --workspace golden", &[("OYEZ_BLESS", "1")])
}

fn cargo(arguments: &str, env: &[(&str, &str)]) -> Result<bool> {
    let mut cargo = child::bounded(LIMIT_S, "cargo");
    cargo.args(arguments.split(' ')).envs(env.iter().copied()).current_dir(places::root());
    Ok(child::show(cargo, |_| ())? == End::Succeeded)
}
