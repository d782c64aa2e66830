//! The demo, plain and small: everybody holds the same, the shape is the one that is documented, nothing is left.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Map, Value};

fn demo(tmp: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oyez")).arg("demo").args(arguments).env("TMPDIR", tmp).output().expect("it runs")
}

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("oyez-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().map(Map::keys).into_iter().flatten().map(String::as_str).collect()
}

/// Processes that were started with something of this folder.
fn processes_of(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().expect("UTF-8");
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let commands = processes.filter_map(|process| std::fs::read_to_string(process.path().join("cmdline")).ok());
    commands.filter(|command| command.contains(dir)).collect()
}

#[test]
fn plain_it_prints_one_object_all_agree_and_nothing_is_left() {
    let tmp = folder();
    let output = demo(tmp.path(), &["--messages", "70000", "--subscribers", "2", "--format", "json"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1, "{output:?}");
    let verdict: Value = serde_json::from_slice(&output.stdout).expect("JSON");

    assert_eq!(keys(&verdict), ["published", "lost", "digest", "subscribers", "journal", "lane"]);
    assert_eq!((&verdict["published"], &verdict["lost"]), (&70_000.into(), &0.into()));
    assert_eq!(verdict["digest"].as_str().map(str::len), Some(64));
    let subscribers = verdict["subscribers"].as_array().expect("an array");
    assert_eq!(subscribers.len(), 2);
    for subscriber in subscribers {
        assert_eq!(keys(subscriber), ["received", "digest", "lapped", "latency_ns"]);
        assert_eq!((&subscriber["received"], &subscriber["digest"]), (&verdict["published"], &verdict["digest"]));
        let latency = &subscriber["latency_ns"];
        assert_eq!(keys(latency), ["p50", "p99", "p99_9", "max"]);
        let rising = ["p50", "p99", "p99_9", "max"].map(|name| latency[name].as_u64().expect("a number"));
        assert!(rising.is_sorted() && rising[0] > 0, "{latency}");
    }
    assert_eq!(keys(&verdict["journal"]), ["messages", "digest", "durable"]);
    assert_eq!(keys(&verdict["lane"]), ["target", "messages", "digest"]);
    for holder in ["journal", "lane"] {
        assert_eq!(
            (&verdict[holder]["messages"], &verdict[holder]["digest"]),
            (&verdict["published"], &verdict["digest"])
        );
    }
    assert_eq!(verdict["journal"]["durable"], true);
    assert!(verdict["lane"]["target"].as_str().is_some_and(|target| target.contains("not Kafka")));
    assert_eq!(std::fs::read_dir(tmp.path()).expect("the folder").count(), 0, "nothing is left");
    assert_eq!(processes_of(tmp.path()), Vec::<String>::new(), "nobody is left");
}

#[test]
fn as_text_it_says_so_in_words() {
    let tmp = folder();
    let output = demo(tmp.path(), &["--messages", "1000", "--subscribers", "1"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("lost 0: everybody holds the same"), "{output:?}");
}

#[test]
fn interrupted_it_leaves_nothing() {
    let tmp = folder();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_oyez"));
    let mut demo = demo.args(["demo", "--messages", "2000000", "--subscribers", "1"]).env("TMPDIR", tmp.path());
    demo = demo.args(["--format", "json"]).stderr(std::process::Stdio::piped());
    let demo = demo.spawn().expect("it runs");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !processes_of(tmp.path()).iter().any(|command| command.contains("publisher")) {
        assert!(std::time::Instant::now() < deadline, "the publisher never came");
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_raw(demo.id() as i32).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is there");
    let output = demo.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.lines().last().is_some_and(|line| line.starts_with("oyez: demo: interrupted")), "{said}");
    assert_eq!(std::fs::read_dir(tmp.path()).expect("the folder").count(), 0, "nothing is left");
    assert_eq!(processes_of(tmp.path()), Vec::<String>::new(), "nobody is left");
}
