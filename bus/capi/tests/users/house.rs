//! A broker under its keeper, in a folder of its own. All of it ends with the test.

use crate::keeper::keeper;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

pub(crate) struct House {
    keeper: Child,
    /// Apart from the data, whose path may be too long for a socket.
    run: tempfile::TempDir,
    _data: tempfile::TempDir,
}

impl House {
    /// With these schemas and topics, in TOML.
    pub(crate) fn new(declared: &str) -> House {
        let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on a disk");
        let run = tempfile::tempdir().expect("a folder");
        let socket = run.path().join("bus.sock");
        let broker = format!("[broker]\nname = \"test\"\ndata = \"data\"\nsocket = {socket:?}\nsegment_mib = 4\n");
        let catalog = data.path().join("oyez.toml");
        std::fs::write(&catalog, broker + declared).expect("a catalog");
        let house = House { keeper: start(&catalog), run, _data: data };
        assert!(socket.exists(), "it is ready");
        house
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder().join("bus.sock")
    }

    /// Where its socket is, as `bus.sock`.
    pub(crate) fn folder(&self) -> &Path {
        self.run.path()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(keeper) = Pid::from_raw(self.keeper.id() as i32) {
            // It may be gone already: then there is nobody to tell.
            let _ = kill_process(keeper, Signal::TERM);
        }
        let _ = self.keeper.wait();
    }
}

/// Waits until it serves; what it says afterwards is read, and lost.
fn start(catalog: &Path) -> Child {
    let mut keeper = keeper(catalog).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("a keeper");
    let mut lines = BufReader::new(keeper.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("ready ")), "it serves");
    std::thread::spawn(move || lines.for_each(drop));
    keeper
}
