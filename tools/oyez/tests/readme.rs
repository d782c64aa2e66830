//! README's catalog and commands, run as they stand there.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Ended with the test.
struct Running(Child);

impl Running {
    /// Waits for a line that holds this.
    fn line_with(&mut self, part: &str) {
        let lines = BufReader::new(self.0.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        assert!(lines.into_iter().any(|line| line.contains(part)), "it ended without a word of `{part}`");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id() as i32) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

#[test]
fn what_readme_says_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = fs::read_to_string(root.join("README.md")).expect("README.md");
    let (_, catalog) = readme.split_once("```toml\n").expect("a catalog");
    let dir = tempfile::Builder::new().prefix("oyez-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    fs::write(dir.path().join("first.toml"), catalog.split("```").next().expect("a block")).expect("a catalog");
    std::os::unix::fs::symlink(root.join("sbe-codec"), dir.path().join("sbe-codec")).expect("a link");

    let run = |verb: &str| {
        let said = readme.lines().filter_map(|line| line.strip_prefix("target/release/oyez "));
        let line = said.into_iter().find(|line| line.starts_with(verb)).expect("a command");
        let mut command = Command::new(env!("CARGO_BIN_EXE_oyez"));
        command.args(line.split(' ')).current_dir(dir.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        Running(command.spawn().expect("it runs"))
    };
    let mut broker = run("serve");
    broker.line_with("ready ");
    let mut tail = run("tail");
    let publish = run("publish");
    tail.line_with("MarketUpdate");
    drop((publish, tail, broker));
}
