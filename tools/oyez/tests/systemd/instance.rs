//! A systemd of the test's own, with the units as they are shipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Targets that services are ordered by, and no more.
const TARGETS: [&str; 5] = ["sysinit", "basic", "shutdown", "multi-user", "network-online"];
const FOLDERS: [&str; 10] = ["etc/oyez", "units", "usr", "proc", "sys", "dev", "run", "tmp", "var/tmp", "mnt"];
/// How soon a hanging broker is noticed.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(4);
/// What differs from the shipped unit.
const SETTINGS: &str = "[Service]\nStandardOutput=append:/var/log\nStandardError=append:/var/log\nWatchdogSec=4s\n";
const CATALOG: &str = r#"[broker]
name = "test"
data = "/var/lib/oyez"
socket = "/run/oyez/bus.sock"
segment_mib = 4

[[topics]]
name = "md"
ring_mib = 16
publish = ["user:root"]
subscribe = ["*"]
"#;

/// Ends, with all it has started, when it is dropped.
pub(crate) struct Systemd {
    outside: Child,
    root: TempDir,
}

/// The folder of the units.
pub(crate) fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd")
}

/// Waits for something to come true.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Systemd {
    /// Starts it, with the users that are shipped, or says that the test is skipped and why.
    pub(crate) fn start(test: &str) -> Option<Systemd> {
        let lacks = [
            (!rustix::process::geteuid().is_root(), "needs root"),
            (!Path::new("/usr/lib/systemd/systemd").exists(), "there is no systemd"),
        ];
        if let Some((_, lacks)) = lacks.iter().find(|(lacks, _)| *lacks) {
            eprintln!("SKIPPED {test}: {lacks}");
            return None;
        }
        let root = tempfile::Builder::new().prefix("oyez-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        furnish(root.path());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systemd/boot.sh");
        let outside = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh"])
            .args([&script, Path::new("outside"), root.path(), Path::new(env!("CARGO_BIN_EXE_oyez"))])
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare of util-linux");
        let systemd = Systemd { outside, root };
        let target = ["systemctl", "is-active", "basic.target"];
        until("the basic target", || (systemd.pid().is_some() && systemd.run(&target).status.success()).then_some(()));
        systemd.stdout(&["systemd-sysusers"]);
        Some(systemd)
    }

    /// systemd's number out here.
    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(fs::read_to_string(self.path("pid")).ok()?.strip_suffix('\n')?.parse().ok()?)
    }

    /// A command among its processes, to be started.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let pid = self.pid().expect("it has begun").as_raw_nonzero().to_string();
        let mut command = Command::new("nsenter");
        command.args(["--all", "--target", &pid, "--"]).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("nsenter of util-linux")
    }

    /// Runs it and gives what it printed.
    #[track_caller]
    pub(crate) fn stdout(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {output:?}; the broker said: {}", self.log());
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }

    /// A property of the broker's service.
    pub(crate) fn show(&self, property: &str) -> String {
        self.stdout(&["systemctl", "show", "oyez.service", "--value", "--property", property])
    }

    /// What the broker has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("var/log")).unwrap_or_default()
    }

    /// Where a file of its own is out here.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.root.path().join(file)
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // All of its processes go with it, and the script out here then clears away.
        match self.pid() {
            Some(pid) => drop(kill_process(pid, Signal::KILL)),
            None => drop(self.outside.kill()),
        }
        let _ = self.outside.wait();
    }
}

/// What a bare machine has, and what docs/guide/operating.md has the operator install.
fn furnish(root: &Path) {
    for folder in FOLDERS {
        fs::create_dir_all(root.join(folder)).expect("a folder");
    }
    let services = root.join("etc/systemd/system");
    fs::create_dir_all(services.join("oyez.service.d")).expect("a folder");
    fs::copy(units().join("oyez.service"), services.join("oyez.service")).expect("a unit");
    fs::write(services.join("oyez.service.d/test.conf"), SETTINGS).expect("settings");
    for target in TARGETS {
        let text = "[Unit]\nDefaultDependencies=no\n";
        fs::write(root.join(format!("units/{target}.target")), text).expect("a target");
    }
    fs::create_dir_all(root.join("etc/sysusers.d")).expect("a folder");
    fs::copy(units().join("sysusers.conf"), root.join("etc/sysusers.d/oyez.conf")).expect("users");
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").expect("users");
    fs::write(root.join("etc/group"), "root:x:0:\n").expect("groups");
    fs::write(root.join("etc/machine-id"), "").expect("a name");
    fs::write(root.join("etc/oyez/oyez.toml"), CATALOG).expect("a catalog");
}
