//! A broker of this run's own: this program once more, in a folder that goes with the run.

use crate::failure::Failure;
use oyez_broker::{Role, ServeOptions};
use rustix::process::{Pid, Signal, kill_process};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

/// The topics of each direction: the first process publishes the first.
pub(crate) const UNRECORDED: [&str; 2] = ["there", "back"];
/// The same, recorded and kept at `durable`.
pub(crate) const RECORDED: [&str; 2] = ["there.recorded", "back.recorded"];

/// For messages of many frames.
pub(crate) const LARGE: &str = "large";
/// The same, recorded and kept at `durable`.
pub(crate) const LARGE_RECORDED: &str = "large.recorded";

/// Each subscriber that sleeps in `fanout` has a connection of its own.
pub(crate) const CONNECTIONS_MAX: usize = 4096;

/// A broker that runs, and its folder; both end with this value.
pub(crate) struct House {
    broker: Child,
    folder: tempfile::TempDir,
}

impl House {
    /// Starts a broker whose core thread runs on `core`, and waits until it serves.
    ///
    /// # Errors
    /// [`Failure::Broker`] with its own words.
    pub(crate) fn open(data: Option<&Path>, core: usize, ring_mib: u64, recorded: bool) -> Result<House, Failure> {
        House::start(data, &declare(core, ring_mib, recorded, ""))
    }

    /// The same, unrecorded, with a core that sleeps so long.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn asleep(data: Option<&Path>, core: usize, ring_mib: u64, wake_max_us: u64) -> Result<House, Failure> {
        House::start(data, &declare(core, ring_mib, false, &format!("wake_max_us = {wake_max_us}\n")))
    }

    fn start(data: Option<&Path>, catalog_text: &str) -> Result<House, Failure> {
        let refused = Failure::refused::<std::io::Error>;
        let mut builder = tempfile::Builder::new();
        builder.prefix("oyez-bench-");
        let folder = data.map_or_else(|| builder.tempdir(), |data| builder.tempdir_in(data));
        let folder = folder.map_err(refused("make a folder for the broker"))?;
        let catalog = folder.path().join("catalog.toml");
        std::fs::write(&catalog, catalog_text).map_err(refused("write its catalog"))?;
        let log = File::create(folder.path().join("log")).map_err(refused("make its log"))?;
        let program = std::env::current_exe().map_err(refused("find this program"))?;
        let mut command = Command::new(program);
        command.arg("broker").arg(&catalog).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut broker = command.spawn().map_err(refused("start the broker"))?;
        let said = broker.stdout.take().expect("stdout is piped");
        let house = House { broker, folder };
        let mut ready = String::new();
        match BufReader::new(said).read_line(&mut ready) {
            Ok(_) if ready.starts_with("ready") => Ok(house),
            _ => Err(house.failure()),
        }
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("bus.sock")
    }

    /// A folder on the journal's file system.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Processor time of the broker so far, all its threads together, ns.
    ///
    /// # Errors
    /// [`Failure::Refused`].
    pub(crate) fn processor_ns(&self) -> Result<u64, Failure> {
        let keeper = PathBuf::from(format!("/proc/{}", self.broker.id()));
        let sum = || -> std::io::Result<u64> {
            // The keeper has one child.
            let child =
                std::fs::read_to_string(keeper.join("task").join(self.broker.id().to_string()).join("children"))?;
            let mut sum_ns = 0;
            for task in std::fs::read_dir(format!("/proc/{}/task", child.trim()))? {
                let told = std::fs::read_to_string(task?.path().join("schedstat"))?;
                sum_ns += told.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or_default();
            }
            Ok(sum_ns)
        };
        sum().map_err(Failure::refused("read what the broker has computed"))
    }

    fn failure(&self) -> Failure {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        Failure::Broker { log: log.lines().last().unwrap_or("it said nothing").to_owned() }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // It stops in order, and in bounded time; without it there is nobody left to tell of an error.
        let _ = kill_process(Pid::from_child(&self.broker), Signal::TERM);
        let _ = self.broker.wait();
    }
}

fn declare(core: usize, ring_mib: u64, recorded: bool, more: &str) -> String {
    let mut catalog = format!(
        "[broker]\nname = \"bench\"\ndata = \"data\"\nsocket = \"bus.sock\"\ncores = [{core}]\nmemory_mib_max = 1048576\n\
         connections_max = {CONNECTIONS_MAX}\nconnections_per_user_max = {CONNECTIONS_MAX}\n\
         subscriptions_max = {CONNECTIONS_MAX}\nareas_per_user_max = {CONNECTIONS_MAX}\n{more}"
    );
    let mut topic = |name, recorded| {
        let _ = write!(
            catalog,
            "\n[[topics]]\nname = \"{name}\"\nring_mib = {ring_mib}\nrecorded = {recorded}\npublish = [\"self\"]\n"
        );
    };
    UNRECORDED.iter().chain([&LARGE]).for_each(|name| topic(name, false));
    if recorded {
        RECORDED.iter().chain([&LARGE_RECORDED]).for_each(|name| topic(name, true));
    }
    catalog
}

/// The broker's process, or its keeper's.
pub(crate) fn serve(catalog: PathBuf, child: bool) -> ExitCode {
    let arguments = ["broker".into(), catalog.clone().into(), "--child".into()].to_vec();
    let role = if child { Role::Broker } else { Role::Keeper { arguments } };
    ExitCode::from(oyez_broker::serve(&ServeOptions { catalog, role }))
}
