//! What the example `million_publishes` asks of the kernel between its markers.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The calls of the publishing thread between the markers.
pub(crate) fn traced(test: &str, arguments: &[&str]) -> Option<Vec<String>> {
    let strace = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let example = example();
    if strace.is_err() || !example.exists() {
        eprintln!("SKIPPED {test}: strace, or {}, is absent", example.display());
        return None;
    }
    let output = Command::new("strace").arg("-f").arg(&example).args(arguments).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("published 1000000"));
    let trace = String::from_utf8(output.stderr).expect("text");
    let begins = |line: &&str| line.contains("getppid(");
    let thread = thread_of(trace.lines().find(begins).expect("a marker"));
    // The connection's own thread may still be on its way to sleep.
    let mut calls = trace.lines().filter(|line| thread_of(line) == thread && !line.contains("getppid resumed"));
    calls.find(begins);
    let between: Vec<String> = calls.by_ref().take_while(|line| !begins(line)).map(str::to_owned).collect();
    assert!(trace.matches("getppid(").count() == 2, "two markers");
    Some(between)
}

/// `[pid N] call(…)` where there is more than one thread.
fn thread_of(line: &str) -> Option<&str> {
    Some(line.strip_prefix("[pid")?.split_once(']')?.0)
}

/// Beside the tests' own folder; cargo builds it with them.
fn example() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    test.ancestors().nth(2).expect("a target folder").join("examples").join("million_publishes")
}
