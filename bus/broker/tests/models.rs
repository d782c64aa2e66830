//! The model of owners and take-over, searched whole by SPIN.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;

/// Steps that a run takes at most; the search says so where that is too few.
const DEPTH: &str = "-m10000";

fn run(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(program).args(arguments).current_dir(folder).output().expect("it runs");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn nobody_writes_an_epoch_that_has_ended_whoever_dies() {
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !is_there("spin") || !is_there("cc") {
        return eprintln!("SKIPPED nobody_writes_an_epoch_that_has_ended_whoever_dies: there is no spin, or no cc");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/takeover.pml");
    run("spin", &["-a", model], folder.path());
    run("cc", &["-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=1024", "-o", "pan", "pan.c"], folder.path());
    let found = run(folder.path().join("pan"), &[DEPTH], folder.path());
    eprintln!("{found}");
    assert!(found.contains("errors: 0") && !found.contains("max search depth too small"), "{found}");
    // What is not reached is not searched: only ends, and a refusal that no honest owner meets.
    let unreached = found.lines().filter(|line| line.contains("takeover.pml:") && !line.contains("-end-"));
    assert!(unreached.count() <= 1, "{found}");
}
