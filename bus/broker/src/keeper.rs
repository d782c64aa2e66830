//! The keeper: the broker's parent process. It stores pairs of name and descriptor, so that rings outlive the broker,
//! and starts the broker again when it dies. It speaks exactly what systemd's descriptor store speaks, so that systemd
//! can take its place: datagrams to `NOTIFY_SOCKET` (`FDSTORE=1`, `FDNAME=`, `FDSTOREREMOVE=1`, `BARRIER=1`,
//! `READY=1`), and `LISTEN_FDS`, `LISTEN_FDNAMES` when it starts the broker.
//!
//! It maps nothing and interprets nothing, so that nothing a ring holds can bring it down.
//!
//! SIGHUP has it ask the broker to hand over, and start whatever program stands in this one's place by then. Once that
//! serves, and so has shown what it can do, the keeper becomes that program too (`upgrade.rs`).

mod upgrade;

use std::ffi::OsString;
use std::io::{IoSliceMut, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt as _, FdMapping};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGKILL};

use crate::log::log;
use upgrade::Estate;

/// Most descriptors kept; told to the broker as `FDSTORE`, as systemd does.
const KEPT_MAX: usize = 1_024;
/// Where inherited descriptors begin.
const LISTEN_FDS_START: i32 = 3;
/// Pause before a broker is started again that died early; doubled each time in a row.
const PAUSE: Duration = Duration::from_millis(50);
/// Doublings at most.
const PAUSE_DOUBLINGS_MAX: u32 = 6;
/// A broker that died before it was ready, or was ready for less than this, has died early, unless it was killed by
/// SIGKILL. Of those that were ready so many in a row are replaced at once: what made one die is perhaps gone, what made
/// so many die is not.
const STEADY: Duration = Duration::from_secs(5);
const EARLY_DEATHS: u32 = 4;
/// Exit code of a broker that has made way for another build: its rings are kept, and their owners go on.
pub(crate) const HANDED_OVER: u8 = 3;
/// Exit code of a broker whose panic was not caught, and of one that was killed by a signal.
const DIED: u8 = 101;

struct Keeper {
    program: PathBuf,
    arguments: Vec<OsString>,
    /// The socket, where the broker sends its datagrams, is removed when the keeper goes.
    estate: Estate,
    /// How the present broker has ended: its number may be another's by now.
    exited: Option<ExitStatus>,
    signals: UnixStream,
    /// Since when the present broker has been ready.
    ready: Option<Instant>,
    /// Some broker has been ready: from then on there may be publishers whose rings only the keeper holds.
    was_ready: bool,
    /// Brokers in a row that died early.
    failures: u32,
    stopping: bool,
    /// The broker has made way for another build, and the keeper is to follow.
    upgrading: bool,
}

/// Keeps a broker running until it exits by itself or is told to stop; answers with its exit code. `beside` tells the
/// broker's socket: the keeper's own is made beside it.
///
/// # Errors
/// The socket cannot be made, or the broker cannot be started: one line with place and remedy.
pub(crate) fn keep<E: From<String>>(
    arguments: Vec<OsString>,
    beside: impl FnOnce() -> Result<PathBuf, E>,
) -> Result<u8, E> {
    let signals = crate::stop::watch(&[SIGCHLD])
        .map_err(|error| format!("keeper: cannot watch signals: {error}; raise the limits"))?;
    let program =
        std::env::current_exe().map_err(|error| format!("keeper: no path of its own: {error}; mount /proc"))?;
    let inherited = upgrade::inherit();
    let is_upgraded = inherited.is_some();
    let estate = match inherited {
        Some(estate) => estate.map_err(|error| format!("keeper: nothing to go on with: {error}; start again"))?,
        None => begin(&program, &arguments, &beside()?)?,
    };
    let ready = is_upgraded.then(Instant::now);
    let mut keeper = Keeper {
        program,
        arguments,
        estate,
        exited: None,
        signals,
        ready,
        was_ready: is_upgraded,
        failures: 0,
        stopping: false,
        upgrading: false,
    };
    if is_upgraded {
        log(format_args!("keeper: goes on as another build; {} rings kept", keeper.estate.kept.len()));
    }
    Ok(keeper.run()?)
}

/// What a keeper begins with.
fn begin(program: &Path, arguments: &[OsString], beside: &Path) -> Result<Estate, String> {
    let mut path = beside.as_os_str().to_owned();
    path.push(format!(".keeper-{}", std::process::id()));
    let path = PathBuf::from(path);
    let socket = listen(&path).map_err(|errno| {
        let error = std::io::Error::from(errno);
        format!("{}: cannot make the keeper's socket: {error}; let this user write its folder", path.display())
    })?;
    let child = start(program, arguments, &path, &[])?;
    Ok(Estate { path, socket, child, kept: Vec::new() })
}

fn listen(path: &Path) -> rustix::io::Result<OwnedFd> {
    // Left by a killed keeper that had this process number before us.
    let _ = std::fs::remove_file(path);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    // Nobody else may send: who could, this user and root, could do anything to broker and keeper.
    rustix::fs::chmod(path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    Ok(socket)
}

/// Starts the broker with everything kept, as systemd would.
fn start(program: &Path, arguments: &[OsString], notify: &Path, kept: &[(String, OwnedFd)]) -> Result<Pid, String> {
    let names: Vec<&str> = kept.iter().map(|(name, _)| name.as_str()).collect();
    let failed = |error: &dyn std::fmt::Display| {
        format!("{}: cannot start the broker: {error}; raise the limits of processes and files", program.display())
    };
    let copies: Vec<OwnedFd> =
        kept.iter().map(|(_, fd)| fd.try_clone()).collect::<Result<_, _>>().map_err(|error| failed(&error))?;
    let mappings = (LISTEN_FDS_START..).zip(copies).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .env("NOTIFY_SOCKET", notify)
        .env("FDSTORE", KEPT_MAX.to_string())
        .env("OYEZ_KEEPER", std::process::id().to_string())
        .env("LISTEN_FDS", kept.len().to_string())
        .env("LISTEN_FDNAMES", names.join(":"))
        .env_remove("LISTEN_PID")
        .fd_mappings(mappings.collect())
        .map_err(|error| failed(&error))?
        .spawn()
        .map_err(|error| failed(&error))?;
    Ok(Pid::from_child(&child))
}

impl Keeper {
    fn run(&mut self) -> Result<u8, String> {
        loop {
            self.forward_signals();
            // Looked at before its words are taken: those of one that is gone are all there, and none is the next one's.
            let exited = self.exited();
            while self.take_datagram() {}
            if let Some(status) = exited
                && let Some(code) = self.after(status)?
            {
                return Ok(code);
            }
            if self.upgrading && self.ready.is_some() && !self.stopping {
                self.upgrading = false;
                let error = upgrade::become_program(&self.program, &self.estate);
                log(format_args!("keeper: stays the build that it is: {error}; it keeps the rings all the same"));
            }
            self.wait(None);
        }
    }

    /// How the broker has ended, if it has.
    fn exited(&mut self) -> Option<ExitStatus> {
        if self.exited.is_none() {
            self.exited = match waitpid(Some(self.estate.child), WaitOptions::NOHANG) {
                Ok(status) => status.map(|(_, status)| ExitStatus::from_raw(status.as_raw())),
                // There is none any more, and nobody knows how it ended.
                Err(_) => Some(ExitStatus::from_raw(SIGKILL)),
            };
        }
        self.exited
    }

    fn wait(&self, at_most: Option<Duration>) {
        let mut sources = [
            PollFd::from_borrowed_fd(self.estate.socket.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
        ];
        let timeout = at_most.and_then(|pause| Timespec::try_from(pause).ok());
        // An error is an interrupted call: the loop looks at everything anyway.
        let _ = poll(&mut sources, timeout.as_ref());
    }

    /// Passes a stop on to the broker, or the wish that another build take its place. One byte in the pipe stands for any
    /// of the signals; a child's death brings one too, and then the signal goes to nobody.
    fn forward_signals(&mut self) {
        let mut bytes = [0; 64];
        while matches!((&self.signals).read(&mut bytes), Ok(1..)) {}
        if crate::stop::requested() && !self.stopping {
            self.stopping = true;
            // One that is to take up rings hears of it when it has: it would die of it before, and they with it.
            if self.ready.is_some() || !self.was_ready {
                self.signal_child(Signal::TERM);
            }
        }
        if crate::stop::take_upgrade() && !self.stopping {
            log("keeper: upgrade: the broker is asked to hand over");
            self.signal_child(Signal::HUP);
        }
    }

    fn signal_child(&mut self, signal: Signal) {
        // One that has been waited for has left its number to others.
        if self.exited().is_none() {
            let _ = kill_process(self.estate.child, signal);
        }
    }

    /// What follows a broker's end: an exit code to leave with, or another broker.
    fn after(&mut self, status: ExitStatus) -> Result<Option<u8>, String> {
        let code = status.code().map_or(DIED, |code| code as u8);
        // 0, 1 and 2 are answers: stopped, stopped with an owner left over, cannot start. A broker that could start
        // once and now cannot is tried again, for the rings of live publishers are here and nowhere else.
        let answer = status.code().is_some() && code <= 2 && !(code == 2 && self.was_ready);
        // What a broker that made way has left has to be taken up once more, to be ended in order.
        let stops = self.stopping && code != HANDED_OVER;
        if answer || stops {
            return Ok(Some(code));
        }
        // Of the signal itself dies a broker that has not come so far as to heed it.
        self.upgrading |= code == HANDED_OVER || status.signal() == Some(SIGHUP);
        let (kept, program) = (self.estate.kept.len(), self.program.display());
        match status.signal() {
            Some(signal) => {
                log(format_args!(
                    "keeper: the broker died (killed by signal {signal}); {kept} rings kept, starting it again"
                ));
            }
            None if code == HANDED_OVER => {
                log(format_args!("keeper: the broker handed over; {kept} rings kept, starting {program}"));
            }
            None => {
                log(format_args!("keeper: the broker died (exit code {code}); {kept} rings kept, starting it again"))
            }
        }
        loop {
            self.pause(status);
            if self.stopping && code != HANDED_OVER {
                return Ok(Some(code));
            }
            match start(&self.program, &self.arguments, &self.estate.path, &self.estate.kept) {
                Ok(child) => {
                    (self.estate.child, self.exited) = (child, None);
                    return Ok(None);
                }
                // No descriptors, no processes, a program that is just being replaced: all of it passes.
                Err(error) if self.was_ready => log(format_args!("keeper: {error}; trying again")),
                Err(error) => return Err(error),
            }
        }
    }

    /// A broker that has served is replaced at once; one that cannot get there, or dies of it time after time, is given
    /// time. SIGKILL comes from outside, as a rule: whom it meets has not died of itself.
    fn pause(&mut self, status: ExitStatus) {
        let ready = self.ready.take();
        let not_of_itself = status.signal() == Some(SIGKILL) || status.code() == Some(HANDED_OVER.into());
        if ready.is_some_and(|since| since.elapsed() >= STEADY || not_of_itself) {
            self.failures = 0;
            return;
        }
        let at_once = if ready.is_some() { EARLY_DEATHS } else { 0 };
        let doublings = self.failures.checked_sub(at_once);
        self.failures += 1;
        let Some(doublings) = doublings else { return };
        let until = Instant::now() + PAUSE * 2_u32.pow(doublings.min(PAUSE_DOUBLINGS_MAX));
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|_| !self.stopping) {
            self.wait(Some(left));
            self.forward_signals();
        }
    }

    /// Takes one datagram; false when there is none.
    fn take_datagram(&mut self) -> bool {
        let mut bytes = [0; 4_096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let mut iov = [IoSliceMut::new(&mut bytes)];
        let Ok(received) = rustix::net::recvmsg(&self.estate.socket, &mut iov, &mut control, flags) else {
            return false;
        };
        let mut descriptors = Vec::new();
        for ancillary in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = ancillary {
                descriptors.extend(rights);
            }
        }
        if !received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            self.obey(&String::from_utf8_lossy(&bytes[..received.bytes]), descriptors);
        }
        // A barrier's descriptor is closed on the way out, now that everything sent before it has been obeyed.
        true
    }

    fn obey(&mut self, message: &str, descriptors: Vec<OwnedFd>) {
        let has = |line: &str| message.lines().any(|found| found == line);
        let name = message.lines().find_map(|line| line.strip_prefix("FDNAME=")).unwrap_or("stored");
        if has("READY=1") {
            self.ready = Some(Instant::now());
            self.was_ready = true;
            if self.stopping {
                self.signal_child(Signal::TERM);
            }
        }
        if has("FDSTOREREMOVE=1") {
            self.estate.kept.retain(|(kept, _)| kept != name);
        } else if has("FDSTORE=1") {
            let room = KEPT_MAX - self.estate.kept.len();
            self.estate.kept.extend(descriptors.into_iter().take(room).map(|fd| (name.to_owned(), fd)));
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.estate.path);
    }
}
