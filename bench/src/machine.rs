//! The machine: cores, clock, and what must be known of it to read a figure.

use crate::failure::Failure;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;
use std::process::Command;

/// The cores that this process may run on.
fn allowed_cores() -> Result<Vec<usize>, Failure> {
    let allowed = sched_getaffinity(None).map_err(Failure::refused("read which cores may be used"))?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect())
}

/// The two cores to run on.
///
/// # Errors
/// [`Failure::Cores`].
pub(crate) fn two_cores(wanted: Option<&[usize]>) -> Result<[usize; 2], Failure> {
    let found = allowed_cores()?;
    match wanted.unwrap_or(&found) {
        [ping, pong, ..] if ping != pong && found.contains(ping) && found.contains(pong) => Ok([*ping, *pong]),
        _ => Err(Failure::Cores { found }),
    }
}

/// The core to run on, if one is enough: the first that this process may use unless said.
///
/// # Errors
/// [`Failure::Core`].
pub(crate) fn one_core(wanted: Option<usize>) -> Result<usize, Failure> {
    let found = allowed_cores()?;
    match wanted.or(found.first().copied()) {
        Some(core) if found.contains(&core) => Ok(core),
        wanted => Err(Failure::Core { wanted: wanted.unwrap_or_default(), found }),
    }
}

/// A core for the broker: a third one if there is one, else the second.
///
/// # Errors
/// [`Failure::Refused`].
pub(crate) fn spare_core(taken: [usize; 2]) -> Result<usize, Failure> {
    Ok(allowed_cores()?.into_iter().find(|core| !taken.contains(core)).unwrap_or(taken[1]))
}

/// Runs the calling thread, and what it starts from now on, on this core alone.
///
/// # Errors
/// [`Failure::Refused`].
pub(crate) fn pin(core: usize) -> Result<(), Failure> {
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only).map_err(Failure::refused("pin this process to its core"))
}

/// What a kept result must say.
#[derive(Serialize)]
pub(crate) struct Environment {
    cpu: String,
    cores: Vec<usize>,
    kernel: String,
    clock_source: String,
    build: &'static str,
    /// Of the folder that this program lies in, where that is a checkout.
    commit: Option<String>,
    version: &'static str,
    #[serde(flatten)]
    of_scenario: OfScenario,
}

/// What only some scenarios depend on.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum OfScenario {
    /// Memories were passed through.
    Memories {
        /// Of each.
        ring_mib: u64,
        /// Whether the kernel gave huge pages for them.
        huge_pages: bool,
    },
    /// Subscribers slept.
    Sleepers {
        /// Of the bus's ring.
        ring_mib: u64,
        /// Bytes of a message.
        len_bytes: usize,
        /// That they were in.
        processes: usize,
    },
    /// Programs were compiled.
    Compilers {
        /// As they tell their versions.
        compilers: Vec<String>,
    },
}

impl Environment {
    pub(crate) fn new(cores: Vec<usize>, of_scenario: OfScenario) -> Environment {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
        Environment {
            cpu: cpu.unwrap_or("unknown").to_owned(),
            cores,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            clock_source: read("/sys/devices/system/clocksource/clocksource0/current_clocksource").trim().to_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            commit: commit(),
            version: env!("CARGO_PKG_VERSION"),
            of_scenario,
        }
    }
}

fn commit() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let mut git = Command::new("git");
    let said = git.arg("-C").arg(program.parent()?).args(["describe", "--always", "--dirty"]).output().ok()?;
    let commit = String::from_utf8(said.stdout).ok()?;
    said.status.success().then(|| commit.trim().to_owned())
}
