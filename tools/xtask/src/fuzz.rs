//! `cargo xtask fuzz`: the targets of `sbe-codec/fuzz`, one after the other, with libFuzzer and AddressSanitizer.
//!
//! What it learns is kept in the build folder, and is where the next run begins, together with the committed corpus.

use crate::child::{self, End};
use crate::failure::{Failure, Result};
use crate::{packages, places};
use std::fs;
use std::process::Command;

/// What cargo-fuzz gives the compiler; the flags are unstable, and the compiler is not.
const RUSTFLAGS: &str = "-Zsanitizer=address -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

const ENV: &[(&str, &str)] = &[
    ("RUSTC_BOOTSTRAP", "1"),
    ("RUSTFLAGS", RUSTFLAGS),
    ("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true"),
    ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true"),
];

/// The target is another than the host's own, so that build scripts are not instrumented.
const RUN: &str = "run --release --target host-tuple -p oyez-sbe-fuzz --features libfuzzer --bin fuzz --";

/// One allocation, all memory, one input: past each the input is a finding.
const LIMITS: &[&str] =
    &["-malloc_limit_mb=64", "-rss_limit_mb=1024", "-timeout=60", "-max_len=16384", "-print_final_stats=1"];

/// For the build, and for what a run may take longer than it was told.
const BEYOND_S: u32 = 1_800;

/// The targets by name.
pub(crate) fn targets() -> Result<Vec<String>> {
    let path = places::root().join(CORPUS);
    let entries = fs::read_dir(&path).map_err(Failure::at(path.display()))?;
    let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

const CORPUS: &str = "sbe-codec/fuzz/corpus";

/// Fuzzes these targets, or all for none, for so long each; true if nothing was found.
pub(crate) fn run(names: &[String], seconds: u32) -> Result<bool> {
    let targets = targets()?;
    if let Some(unknown) = names.iter().find(|name| !targets.contains(name)) {
        return Err(Failure(format!("{unknown}: no such target; `cargo xtask fuzz --list` names them")));
    }
    packages::bring_cpp()?;
    let mut all = true;
    for target in targets.iter().filter(|target| names.is_empty() || names.contains(target)) {
        println!("==== {target}: {seconds} s");
        let end = child::show(fuzzer(target, seconds)?, |_| ())?;
        println!("==== {target}: {}", if end == End::Succeeded { "nothing found" } else { "FOUND, see above" });
        all &= end == End::Succeeded;
    }
    Ok(all)
}

fn fuzzer(target: &str, seconds: u32) -> Result<Command> {
    let learnt = places::target().join("fuzz-corpus").join(target);
    let found = places::target().join("fuzz-findings").join(target);
    for folder in [&learnt, &found] {
        fs::create_dir_all(folder).map_err(Failure::at(folder.display()))?;
    }
    let mut cargo = child::bounded(seconds + BEYOND_S, "cargo");
    cargo
        .current_dir(places::root())
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .envs(ENV.iter().copied())
        .env("OYEZ_FUZZ_TARGET", target);
    cargo.args(RUN.split(' ')).args(LIMITS).arg(format!("-max_total_time={seconds}"));
    cargo.arg(format!("-artifact_prefix={}/", found.display())).arg(learnt).arg(format!("{CORPUS}/{target}"));
    Ok(cargo)
}
