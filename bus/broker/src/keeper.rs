//! The keeper: the broker's parent process. It stores pairs of name and descriptor, so that rings outlive the broker,
//! and starts the broker again when it dies. It speaks exactly what systemd's descriptor store speaks, so that systemd
//! can take its place: datagrams to `NOTIFY_SOCKET` (`FDSTORE=1`, `FDNAME=`, `FDSTOREREMOVE=1`, `BARRIER=1`,
//! `READY=1`), and `LISTEN_FDS`, `LISTEN_FDNAMES` when it starts the broker.
//!
//! It maps nothing and interprets nothing, so that nothing a ring holds can bring it down.

use std::ffi::OsString;
use std::io::{IoSliceMut, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt as _, FdMapping};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGCHLD, SIGKILL};

use crate::log::log;

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
/// Exit code of a broker whose panic was not caught, and of one that was killed by a signal.
const DIED: u8 = 101;

struct Keeper {
    program: PathBuf,
    arguments: Vec<OsString>,
    /// Where the broker sends its datagrams; removed when the keeper goes.
    path: PathBuf,
    socket: OwnedFd,
    signals: UnixStream,
    kept: Vec<(String, OwnedFd)>,
    child: Child,
    /// Since when the present broker has been ready.
    ready: Option<Instant>,
    /// Some broker has been ready: from then on there may be publishers whose rings only the keeper holds.
    was_ready: bool,
    /// Brokers in a row that died early.
    failures: u32,
    stopping: bool,
}

/// Keeps a broker running until it exits by itself or is told to stop; answers with its exit code. `beside` is the
/// broker's socket: the keeper's own is made beside it.
///
/// # Errors
/// The socket cannot be made, or the broker cannot be started: one line with place and remedy.
pub(crate) fn keep(arguments: Vec<OsString>, beside: &Path) -> Result<u8, String> {
    let own_pid = std::process::id();
    let mut path = beside.as_os_str().to_owned();
    path.push(format!(".keeper-{own_pid}"));
    let path = PathBuf::from(path);
    let place = |error: std::io::Error| {
        format!("{}: cannot make the keeper's socket: {error}; let this user write its folder", path.display())
    };
    let socket = listen(&path).map_err(|errno| place(errno.into()))?;
    let signals = crate::stop::watch(&[SIGCHLD])
        .map_err(|error| format!("keeper: cannot watch signals: {error}; raise the limits"))?;
    let program =
        std::env::current_exe().map_err(|error| format!("keeper: no path of its own: {error}; mount /proc"))?;
    let child = start(&program, &arguments, &path, &[])?;
    let mut keeper = Keeper {
        program,
        arguments,
        path,
        socket,
        signals,
        kept: Vec::new(),
        child,
        ready: None,
        was_ready: false,
        failures: 0,
        stopping: false,
    };
    keeper.run()
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
fn start(program: &Path, arguments: &[OsString], notify: &Path, kept: &[(String, OwnedFd)]) -> Result<Child, String> {
    let names: Vec<&str> = kept.iter().map(|(name, _)| name.as_str()).collect();
    let failed = |error: &dyn std::fmt::Display| {
        format!("{}: cannot start the broker: {error}; raise the limits of processes and files", program.display())
    };
    let copies: Vec<OwnedFd> =
        kept.iter().map(|(_, fd)| fd.try_clone()).collect::<Result<_, _>>().map_err(|error| failed(&error))?;
    let mappings = (LISTEN_FDS_START..).zip(copies).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
    Command::new(program)
        .args(arguments)
        .env("NOTIFY_SOCKET", notify)
        .env("FDSTORE", KEPT_MAX.to_string())
        .env("OYEZ_KEEPER", std::process::id().to_string())
        .env("LISTEN_FDS", kept.len().to_string())
        .env("LISTEN_FDNAMES", names.join(":"))
        .env_remove("LISTEN_PID")
        .fd_mappings(mappings.collect())
        .map_err(|error| failed(&error))?
        .spawn()
        .map_err(|error| failed(&error))
}

impl Keeper {
    fn run(&mut self) -> Result<u8, String> {
        loop {
            self.wait(None);
            self.forward_stop();
            // Before the child is looked at: what a dying broker sent must be taken before the next one starts.
            while self.take_datagram() {}
            let exited = self.child.try_wait().map_err(|error| format!("keeper: cannot wait: {error}; start again"))?;
            if let Some(status) = exited
                && let Some(code) = self.after(status)?
            {
                return Ok(code);
            }
        }
    }

    fn wait(&self, at_most: Option<Duration>) {
        let mut sources = [
            PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
        ];
        let timeout = at_most.and_then(|pause| Timespec::try_from(pause).ok());
        // An error is an interrupted call: the loop looks at everything anyway.
        let _ = poll(&mut sources, timeout.as_ref());
    }

    /// Passes a stop on to the broker. One byte in the pipe stands for any of the three signals; a child's death brings
    /// one too, and then the signal goes to nobody.
    fn forward_stop(&mut self) {
        let mut bytes = [0; 64];
        while matches!((&self.signals).read(&mut bytes), Ok(1..)) {}
        if crate::stop::requested() && !self.stopping {
            self.stopping = true;
            // One that has been waited for has left its number to others.
            let alive = matches!(self.child.try_wait(), Ok(None));
            if let Some(pid) = Pid::from_raw(self.child.id() as i32).filter(|_| alive) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
    }

    /// What follows a broker's end: an exit code to leave with, or another broker.
    fn after(&mut self, status: ExitStatus) -> Result<Option<u8>, String> {
        let code = status.code().map_or(DIED, |code| code as u8);
        // 0, 1 and 2 are answers: stopped, stopped with an owner left over, cannot start. A broker that could start
        // once and now cannot is tried again, for the rings of live publishers are here and nowhere else.
        let answer = status.code().is_some() && code <= 2 && !(code == 2 && self.was_ready);
        if answer || self.stopping {
            return Ok(Some(code));
        }
        let cause = match status.signal() {
            Some(signal) => format!("killed by signal {signal}"),
            None => format!("exit code {code}"),
        };
        log(format_args!("keeper: the broker died ({cause}); {} rings kept, starting it again", self.kept.len()));
        loop {
            self.pause(status);
            if self.stopping {
                return Ok(Some(code));
            }
            match start(&self.program, &self.arguments, &self.path, &self.kept) {
                Ok(child) => {
                    self.child = child;
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
        if ready.is_some_and(|since| since.elapsed() >= STEADY || status.signal() == Some(SIGKILL)) {
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
            self.forward_stop();
        }
    }

    /// Takes one datagram; false when there is none.
    fn take_datagram(&mut self) -> bool {
        let mut bytes = [0; 4_096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let mut iov = [IoSliceMut::new(&mut bytes)];
        let Ok(received) = rustix::net::recvmsg(&self.socket, &mut iov, &mut control, flags) else { return false };
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
        }
        if has("FDSTOREREMOVE=1") {
            self.kept.retain(|(kept, _)| kept != name);
        } else if has("FDSTORE=1") {
            let room = KEPT_MAX - self.kept.len();
            self.kept.extend(descriptors.into_iter().take(room).map(|fd| (name.to_owned(), fd)));
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
