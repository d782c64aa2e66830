//! `oyez doctor` on this machine: the shape of what it says, what it must call a fault, and that it leaves no trace.
#![forbid(unsafe_code)]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use support::House;

/// The one object that was printed.
fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The finding of a check.
fn finding<'a>(report: &'a Value, check: &str) -> &'a Value {
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("no {check} in {report}"))
}

/// A finding without what differs from machine to machine. What is not as it should be has a price and a remedy.
fn shape(finding: &Value) -> Value {
    let well = finding["level"] == "ok";
    assert!(well || ["note", "warning", "fault"].iter().any(|level| finding["level"] == *level), "{finding}");
    for key in ["costs", "mend"] {
        assert!(if well { finding[key].is_null() } else { finding[key].is_string() }, "{finding}");
    }
    assert!(finding["found"].as_str().is_some_and(|found| !found.is_empty()), "{finding}");
    let keys: Vec<_> = finding.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["room", "check", "level", "found", "costs", "mend"]);
    json!(format!("{}: {}", finding["room"], finding["check"]).replace('"', ""))
}

#[test]
fn the_shape_of_the_report_is_golden() {
    let house = House::new();
    fs::create_dir(house.path().join("data")).expect("a folder");
    let shapes = [&["doctor", "--format", "json"][..], &["doctor", "--catalog", "oyez.toml", "--format", "json"]].map(
        |arguments| {
            let output = house.run(arguments);
            assert!(output.status.success(), "a fault on this machine: {output:?}");
            let report = report(&output);
            let findings = report["findings"].as_array().expect("findings");
            for level in ["fault", "warning", "note"] {
                let count = findings.iter().filter(|finding| finding["level"] == level).count();
                assert_eq!(report[format!("{level}s")], count, "{report}");
            }
            let keys: Vec<_> = report.as_object().expect("an object").keys().cloned().collect();
            json!({ "keys": keys, "findings": findings.iter().map(shape).collect::<Vec<_>>() })
        },
    );
    let shapes = serde_json::to_string_pretty(&shapes).expect("JSON") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/doctor.json");
    if std::env::var_os("OYEZ_BLESS").is_some() {
        fs::write(&path, &shapes).expect("written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(shapes == expected, "{}: look at it, then OYEZ_BLESS=1:\n{shapes}", path.display());
}

#[test]
fn what_the_broker_cannot_do_as_declared_is_a_fault_and_the_answer_no() {
    let house = House::new();
    let catalog = fs::read_to_string(house.path().join("oyez.toml")).expect("the catalog");
    let memory = tempfile::Builder::new().prefix("oyez-").tempdir_in("/dev/shm").expect("a folder in memory");
    let faults = |change: &dyn Fn(&str) -> String, check: &str| {
        fs::write(house.path().join("bad.toml"), change(&catalog)).expect("a catalog");
        let output = house.run(&["doctor", "--catalog", "bad.toml", "--format", "json"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(finding(&report(&output), check)["level"], "fault", "{output:?}");
        let text = house.run(&["doctor", "--catalog", "bad.toml"]);
        let said = String::from_utf8_lossy(&text.stdout);
        assert_eq!(text.status.code(), Some(1), "{said}");
        assert!(said.contains("  fault    ") && said.ends_with("until the faults are mended\n"), "{said}");
    };
    let data = format!("{:?}", memory.path());
    faults(&|catalog| catalog.replace("\"data\"", &data), "file system");
    faults(&|catalog| catalog.replace("\"data\"", "\"/proc/self\""), "data folder");
    faults(&|catalog| catalog.replace("segment_mib", "cores = [0, 1023]\nsegment_mib"), "pinning");
    let huge = "memory_mib_max = 100000000\nsegment_mib";
    faults(
        &|catalog| catalog.replace("ring_mib = 2", "ring_mib = 1024\npartitions = 64").replace("segment_mib", huge),
        "available",
    );
    faults(&|catalog| catalog.replace("segment_mib", "connections_max = 100000000\nsegment_mib"), "open files");
}

#[test]
fn nothing_is_left_behind() {
    let house = House::new();
    let files = |folder: &Path| {
        let mut names: Vec<_> =
            fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        names
    };
    let before = files(house.path());
    let output = house.run(&["doctor", "--catalog", "oyez.toml", "--format", "json"]);
    assert_eq!(finding(&report(&output), "data folder")["level"], "note", "it is not there yet");
    assert_eq!(files(house.path()), before);
    fs::create_dir(house.path().join("data")).expect("a folder");
    let output = house.run(&["doctor", "--catalog", "oyez.toml", "--format", "json"]);
    assert_eq!(finding(&report(&output), "data folder")["level"], "ok", "{output:?}");
    assert_eq!(files(&house.path().join("data")).len(), 0);
}

/// The command with next to no memory to lock, whoever runs it.
fn without_locks(house: &House, arguments: &[&str]) -> Command {
    let mut command = Command::new("prlimit");
    command.arg("--memlock=4096:4096");
    if rustix::process::geteuid().is_root() {
        command.args(["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"]);
    }
    command.arg(env!("CARGO_BIN_EXE_oyez")).args(arguments).current_dir(house.path()).stdin(Stdio::null());
    command
}

#[test]
fn rings_that_cannot_be_locked_are_hinted_at_by_the_broker_and_told_by_the_doctor() {
    let house = House::new();
    let doctor = ["doctor", "--catalog", "oyez.toml", "--format", "json"];
    let output = without_locks(&house, &doctor).output().expect("prlimit of util-linux");
    let locked = report(&output);
    let locked = finding(&locked, "locked");
    assert!(
        locked["level"] != "ok" && locked["found"].as_str().is_some_and(|found| found.contains("4.00 KiB")),
        "{locked}"
    );

    let log = house.path().join("log");
    let mut command = without_locks(&house, &["serve", "--catalog", "oyez.toml"]);
    let broker = house.start(&mut command, fs::File::create(&log).expect("a log"));
    // Each grant takes a ring made ahead, which comes after what is said of it.
    for _ in 0..3 {
        support::stdout(&house.run(&["publish", "md", "--sample", "1", "--messages", "1"]));
    }
    drop(broker);
    let said = fs::read_to_string(&log).expect("a log");
    assert_eq!(said.matches("rings are not locked in memory").count(), 1, "{said}");
}
