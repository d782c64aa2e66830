//! The units as they are shipped: sound by systemd's own word, and run by a real one.
#![forbid(unsafe_code)]

mod instance;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use instance::{Systemd, WATCHDOG, units, until};
use serde_json::Value;

/// A key that systemd 254 brought; an older one says that it leaves it out.
const SINCE_254: &str = "FileDescriptorStorePreserve";

/// systemd-analyze on the units in a folder, where they name a program that there is.
fn analyze(arguments: &[&str]) -> std::io::Result<Output> {
    let folder = tempfile::tempdir()?;
    for (unit, name) in [("oyez.service", "oyez.service"), ("oyez-gateway@.service", "oyez-gateway@md.service")] {
        let text = fs::read_to_string(units().join(unit))?;
        let program = env!("CARGO_BIN_EXE_oyez");
        let text = text.replace("/usr/local/bin/oyez-gateway ", &format!("{program} "));
        fs::write(folder.path().join(name), text.replace("/usr/local/bin/oyez ", &format!("{program} ")))?;
    }
    Command::new("systemd-analyze").args(arguments).current_dir(folder.path()).output()
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let verify = analyze(&["verify", "--man=no", "./oyez.service", "./oyez-gateway@md.service"]);
    let Ok(verified) = verify else {
        return eprintln!("SKIPPED systemd_finds_nothing_wrong_with_the_units: there is no systemd-analyze");
    };
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    let newer = |line: &&str| line.contains("nknown key") && line.contains(SINCE_254);
    // It looks at the machine's own units too, where they are in the way.
    let ours = |line: &&str| line.contains("oyez");
    assert!(verified.status.success(), "{said}");
    assert_eq!(said.lines().filter(ours).find(|line| !newer(line)), None, "{said}");
}

#[test]
fn the_services_are_exposed_to_little() {
    // Tenths, of 100, by systemd 252; which directive costs how much `systemd-analyze security --offline=true FILE` tells.
    for (unit, exposure_max) in [("oyez.service", "8"), ("oyez-gateway@md.service", "15")] {
        let threshold = format!("--threshold={exposure_max}");
        let Ok(output) = analyze(&["security", "--offline=true", "--no-pager", &threshold, unit]) else {
            return eprintln!("SKIPPED the_services_are_exposed_to_little: there is no systemd-analyze");
        };
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("Overall exposure level"), "{output:?}");
        assert!(output.status.success(), "{said}");
    }
}

#[test]
fn a_broker_is_replaced_beneath_its_publisher_and_loses_nothing() {
    let Some(systemd) = Systemd::start("a_broker_is_replaced_beneath_its_publisher_and_loses_nothing") else { return };
    systemd.stdout(&["systemctl", "start", "oyez.service"]);
    is_confined(&systemd);
    let publish = ["oyez", "publish", "md", "--sample", "1", "--rate-messages-per-s", "2000"];
    let publisher = systemd.command(&publish).spawn().expect("a publisher");
    until("its first messages", || (durable(&systemd) > 0).then_some(()));
    is_given_what_it_needs(&systemd);
    let pid = || systemd.show("MainPID");
    let ways: [(&str, &dyn Fn()); 3] = [
        ("killed", &|| drop(systemd.stdout(&["systemctl", "kill", "--signal=KILL", "oyez.service"]))),
        ("restarted", &|| drop(systemd.stdout(&["systemctl", "restart", "oyez.service"]))),
        // Nothing but the watchdog notices.
        ("hung", &|| drop(systemd.stdout(&["kill", "-STOP", &pid()]))),
    ];
    for (lives, (what, end)) in (1..).zip(ways) {
        end();
        until(&format!("the owner at a broker in place of the one that was {what}"), || {
            (systemd.log().matches("its owner is back").count() == lives).then_some(())
        });
        let before = durable(&systemd);
        until("more messages", || (durable(&systemd) > before).then_some(()));
    }
    assert_eq!(systemd.log().matches("handed over").count(), 1, "a restart is no death: {}", systemd.log());
    assert_eq!(systemd.show("NFileDescriptorStore"), "1");
    // One that turns is not noticed.
    let (lives, began) = (pid(), Instant::now());
    until("the watchdog's time to pass", || (began.elapsed() > WATCHDOG + Duration::from_secs(1)).then_some(()));
    assert_eq!(pid(), lives, "{}", systemd.log());

    systemd.stdout(&["systemctl", "stop", "oyez.service"]);
    assert_eq!((systemd.show("Result"), systemd.show("ExecMainStatus")), ("success".into(), "0".into()));
    assert_eq!(systemd.show("NFileDescriptorStore"), "0");
    let ended = publisher.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    let published = said.rsplit_once(" messages were published").and_then(|(said, _)| said.rsplit_once('('));
    let json = |verb: &str| {
        let text = systemd.stdout(&["oyez", "journal", verb, "/var/lib/oyez", "--format", "json"]);
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    assert_eq!(
        Some(json("verify")["messages"].to_string().as_str()),
        published.map(|(_, messages)| messages),
        "{said}"
    );
    assert_eq!(json("list")[0]["epochs"], 1, "the ring was not the same all the time: {}", systemd.log());
}

/// How far the topic is durable.
fn durable(systemd: &Systemd) -> u64 {
    // Between two brokers nobody answers.
    let described = systemd.run(&["oyez", "topic", "describe", "md", "--format", "json"]);
    let topic: Value = serde_json::from_slice(&described.stdout).unwrap_or_default();
    topic["durable"].as_u64().unwrap_or(0)
}

/// The service has what it needs, and nothing else.
fn is_confined(systemd: &Systemd) {
    let status = systemd.stdout(&["cat", &format!("/proc/{}/status", systemd.show("MainPID"))]);
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
    };
    let uid: u32 = field("Uid").split_whitespace().next().and_then(|uid| uid.parse().ok()).expect("a user");
    assert_ne!(uid, 0);
    assert_eq!((field("NoNewPrivs"), field("CapBnd")), ("1".into(), "0000000000000000".into()));
    let data = fs::metadata(systemd.path("var/lib/oyez")).expect("made by systemd");
    assert_eq!((data.uid(), data.mode() & 0o7777), (uid, 0o700));
    let epochs = fs::metadata(systemd.path("var/lib/oyez/md/0/epochs")).expect("made by the broker");
    assert_eq!((epochs.uid(), epochs.mode() & 0o7777), (uid, 0o600));

    // Whoever is in the group reaches the socket, nobody else.
    let list = |group: &str| {
        let ids = [format!("--regid={group}"), "--reuid=oyez-gateway".into()];
        // The socket is where the command looks by itself.
        systemd.run(&["setpriv", &ids[0], &ids[1], "--clear-groups", "oyez", "topic", "list"])
    };
    assert!(list("oyez").status.success(), "{:?}", list("oyez"));
    assert!(String::from_utf8_lossy(&list("oyez-gateway").stderr).contains("Permission denied"));
}

/// What is refused to the broker in there is what is refused out here: the unit takes nothing away that it needs.
fn is_given_what_it_needs(systemd: &Systemd) {
    let refused =
        Command::new(env!("CARGO_BIN_EXE_oyez")).args(["doctor", "--format", "json"]).output().expect("it runs");
    let refused = String::from_utf8_lossy(&refused.stdout).contains("io_uring is ");
    assert_eq!(systemd.log().contains("plain system calls"), refused, "{}", systemd.log());
    assert!(!systemd.log().contains("cannot be pinned"), "{}", systemd.log());
    // No systemd raises a limit that it may not raise itself.
    let limits = systemd.stdout(&["cat", &format!("/proc/{}/limits", systemd.show("MainPID"))]);
    let locked = limits.lines().any(|line| line.starts_with("Max locked memory         unlimited"));
    assert_eq!(systemd.log().contains("not locked in memory"), !locked, "{}", systemd.log());
}

#[test]
fn a_broker_that_cannot_start_is_told_of_and_tried_until_it_can() {
    let Some(systemd) = Systemd::start("a_broker_that_cannot_start_is_told_of_and_tried_until_it_can") else { return };
    let path = systemd.path("etc/oyez/oyez.toml");
    let catalog = fs::read_to_string(&path).expect("a catalog");
    fs::write(&path, catalog.replace("ring_mib", "ring_mb")).expect("a broken catalog");
    let started = systemd.run(&["systemctl", "start", "oyez.service"]);
    assert!(!started.status.success(), "{started:?}");
    until("two attempts", || (systemd.log().matches("unknown key `ring_mb`").count() >= 2).then_some(()));
    fs::write(&path, catalog).expect("a repaired catalog");
    until("a broker that serves", || (systemd.show("ActiveState") == "active").then_some(()));
}

/// By what docs/guide/operating.md has the operator add.
#[test]
fn a_broker_that_is_let_answers_by_http() {
    let Some(systemd) = Systemd::start("a_broker_that_is_let_answers_by_http") else { return };
    let path = systemd.path("etc/oyez/oyez.toml");
    let catalog = fs::read_to_string(&path).expect("a catalog");
    // Nobody outside is in its network.
    fs::write(&path, catalog.replace("[broker]", "[broker]\nhttp = \"127.0.0.1:9464\"")).expect("a catalog");
    let started = systemd.run(&["systemctl", "start", "oyez.service"]);
    assert!(!started.status.success(), "as shipped it has no network: {started:?}");
    assert!(systemd.log().contains("http"), "{}", systemd.log());
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/operating.md"));
    let guide = guide.expect("the guide");
    let (_, added) = guide.split_once("keeps the broker from all networks").expect("what to add");
    let added = added.split("```").nth(1).expect("a block").lines().filter_map(|line| Some(line.split_once("# ")?.1));
    let settings = added.collect::<Vec<_>>().join("\n");
    fs::write(systemd.path("etc/systemd/system/oyez.service.d/http.conf"), settings).expect("settings");
    systemd.stdout(&["systemctl", "daemon-reload"]);
    until("a broker that serves", || (systemd.show("ActiveState") == "active").then_some(()));
    let asked =
        "exec 3<>/dev/tcp/127.0.0.1/9464; printf 'GET /health HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' >&3; head -n 1 <&3";
    assert_eq!(systemd.stdout(&["bash", "-c", asked]), "HTTP/1.1 200 OK");
}
