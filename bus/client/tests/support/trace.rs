//! What the example `million_publishes` asks of the kernel between its markers.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The lines of the trace between the markers.
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
    let mut parts = trace.split_inclusive('\n').map(str::to_owned).collect::<Vec<_>>();
    let marks: Vec<usize> = (0..parts.len()).filter(|line| parts[*line].contains("getppid()")).collect();
    let [begin, end] = marks[..] else { panic!("two markers in {trace}") };
    Some(parts.drain(begin + 1..end).collect())
}

/// Beside the tests' own folder; cargo builds it with them.
fn example() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    test.ancestors().nth(2).expect("a target folder").join("examples").join("million_publishes")
}
