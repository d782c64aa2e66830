//! The command itself, without Kafka and without a bus: what it takes, and what it does when nobody listens.

use std::io::pipe;
use std::process::{Command, Stdio};

fn run(more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oyez-gateway"));
    command.args(["run", "--socket", "/nonexistent/bus.sock", "--topic", "md", "--kafka-topic", "md"]);
    command.args(["--bootstrap", "127.0.0.1:1"]).args(more).stdout(Stdio::null());
    command
}

#[test]
fn closed_log_does_not_kill() {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    // 101 would be a panic.
    assert_eq!(run(&[]).stderr(writer).status().expect("runs").code(), Some(2));
}

#[test]
fn transaction_longer_than_kafka_allows_is_refused() {
    let output = run(&["--transaction-ms-max", "5001"]).output().expect("runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && told.contains("5001 is not in 0..=5000"), "{told}");
}
