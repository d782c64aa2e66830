//! The keeper becomes another build of itself without an end: the same process, with its child, its socket and all that it
//! keeps. What is handed over stands in the environment, and in descriptors that stay open for once.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Pid;

/// The path of the socket, the broker's process, and `number=name` for each descriptor kept, separated by colons.
const SOCKET: &str = "OYEZ_KEEPER_SOCKET";
const CHILD: &str = "OYEZ_KEEPER_CHILD";
const KEPT: &str = "OYEZ_KEEPER_KEPT";

/// All that a keeper has.
pub(super) struct Estate {
    pub(super) path: PathBuf,
    pub(super) socket: OwnedFd,
    pub(super) child: Pid,
    pub(super) kept: Vec<(String, OwnedFd)>,
}

/// Becomes `program`, which finds everything by [`inherit`]; comes back only where that fails.
pub(super) fn become_program(program: &Path, estate: &Estate) -> Error {
    let Estate { path, socket, child, kept } = estate;
    let set = |flags| {
        // Refused it is only where a descriptor is none.
        kept.iter().for_each(|(_, fd)| fcntl_setfd(fd, flags).unwrap_or_default());
    };
    // Standard input is the one number that can be taken up without owning it twice.
    let socket = match socket.try_clone() {
        Ok(socket) => Stdio::from(socket),
        Err(error) => return error,
    };
    let names: Vec<String> = kept.iter().map(|(name, fd)| format!("{}={name}", fd.as_raw_fd())).collect();
    // Until the next build watches for them, signals wait: one would end it, and with it everything, or be forgotten.
    let waiting = crate::stop::signals();
    let _ = waiting.thread_block();
    if crate::stop::requested() {
        let _ = waiting.thread_unblock();
        return Error::other("it is told to stop");
    }
    set(FdFlags::empty());
    let failed = Command::new(program)
        .args(std::env::args_os().skip(1))
        .stdin(socket)
        .env(SOCKET, path)
        .env(CHILD, child.as_raw_nonzero().to_string())
        .env(KEPT, names.join(":"))
        .exec();
    set(FdFlags::CLOEXEC);
    let _ = waiting.thread_unblock();
    failed
}

/// What a former build has handed over to this one; `None` in a keeper that was started.
pub(super) fn inherit() -> Option<Result<Estate>> {
    let path = std::env::var_os(SOCKET)?;
    Some(take_up(path))
}

fn take_up(path: OsString) -> Result<Estate> {
    let strange = || Error::other(format!("{CHILD} or {KEPT} in the environment are not a keeper's"));
    let child = std::env::var(CHILD).ok().and_then(|pid| Pid::from_raw(pid.parse().ok()?)).ok_or_else(strange)?;
    let names = std::env::var(KEPT).map_err(|_| strange())?;
    let take = |entry: &str| {
        let (number, name) = entry.split_once('=').ok_or_else(strange)?;
        // Opened anew, and the inherited number closed, which nothing else in this process owns. To read only: a ring that
        // somebody has open for writing is never proven free.
        let file = File::open(format!("/proc/self/fd/{number}"))?;
        nix::unistd::close(number.parse::<i32>().map_err(|_| strange())?)?;
        Ok((name.to_owned(), OwnedFd::from(file)))
    };
    let kept = names.split(':').filter(|entry| !entry.is_empty()).map(take).collect::<Result<_>>()?;
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    Ok(Estate { path: path.into(), socket, child, kept })
}
