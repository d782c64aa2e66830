//! The broker's side of the descriptor store, be it the keeper or systemd: what is put there outlives the broker.

use std::fs::File;
use std::io::{Error, IoSlice, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketType};

/// How long the store may take to acknowledge.
const ACKNOWLEDGE_MAX: Duration = Duration::from_secs(5);
/// Where inherited descriptors begin.
const LISTEN_FDS_START: u32 = 3;

/// A way to the store.
#[derive(Debug)]
pub(crate) struct Store {
    socket: OwnedFd,
    patience: Duration,
    /// How many descriptors it takes; it says nothing when it drops one, so the broker counts.
    room: usize,
    stored: usize,
    /// The service manager ends a broker that it does not hear of for so long; the keeper does not.
    watched: bool,
}

impl Store {
    /// Opens the store that the environment names, and what it kept from the broker's former life.
    pub(crate) fn from_environment() -> Result<(Store, Vec<(String, OwnedFd)>)> {
        let address = std::env::var("NOTIFY_SOCKET").map_err(|_| Error::other("NOTIFY_SOCKET is not set"))?;
        let room = variable("FDSTORE")?.unwrap_or(0) as usize;
        if room == 0 {
            return Err(Error::other("the service manager stores no descriptors (FileDescriptorStoreMax=)"));
        }
        let watched = std::env::var_os("WATCHDOG_USEC").is_some();
        let kept = inherited()?;
        Ok((Store { socket: connect(&address)?, patience: ACKNOWLEDGE_MAX, room, stored: kept.len(), watched }, kept))
    }

    /// Stores a descriptor under a name and returns when the store has it: from then on it outlives this process.
    pub(crate) fn put(&mut self, name: &str, descriptor: BorrowedFd<'_>) -> Result<()> {
        if self.stored >= self.room {
            let text = format!("the descriptor store is full ({}); raise FileDescriptorStoreMax=", self.room);
            return Err(Error::other(text));
        }
        self.send(&format!("FDSTORE=1\nFDNAME={name}"), &[descriptor])?;
        self.stored += 1;
        let acknowledged = self.barrier();
        if acknowledged.is_err() {
            // It may have it, or get it later: then the next ring of that name would be its second one.
            let _ = self.remove(name);
        }
        acknowledged
    }

    /// Has the store let go of what has this name.
    pub(crate) fn remove(&mut self, name: &str) -> Result<()> {
        self.stored = self.stored.saturating_sub(1);
        self.send(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), &[])
    }

    /// Tells that the broker serves.
    pub(crate) fn ready(&self) -> Result<()> {
        self.send("READY=1", &[])
    }

    /// Tells that the control thread turns, where somebody wants to know.
    pub(crate) fn alive(&self) -> Result<()> {
        if self.watched { self.send("WATCHDOG=1", &[]) } else { Ok(()) }
    }

    /// Tells that the broker stops.
    pub(crate) fn stopping(&self) -> Result<()> {
        self.send("STOPPING=1", &[])
    }

    /// Returns when everything sent before has been obeyed: the store then closes its end of a pipe.
    fn barrier(&self) -> Result<()> {
        let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        self.send("BARRIER=1", &[theirs.as_fd()])?;
        drop(theirs);
        self.answered(&ours, PollFlags::empty())
    }

    fn send(&self, message: &str, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            let pushed = control.push(SendAncillaryMessage::ScmRights(descriptors));
            assert!(pushed, "one descriptor a message");
        }
        let io = [IoSlice::new(message.as_bytes())];
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        loop {
            match rustix::net::sendmsg(&self.socket, &io, &mut control, flags) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.answered(&self.socket, PollFlags::OUT)?,
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Waits for the store, so long and no longer.
    fn answered(&self, source: &OwnedFd, flags: PollFlags) -> Result<()> {
        let timeout = Timespec::try_from(self.patience).map_err(Error::other)?;
        let mut sources = [PollFd::from_borrowed_fd(source.as_fd(), flags)];
        match rustix::io::retry_on_intr(|| poll(&mut sources, Some(&timeout)))? {
            0 => Err(Error::other("the descriptor store does not acknowledge; it is stopped or overloaded")),
            _ => Ok(()),
        }
    }
}

fn connect(address: &str) -> Result<OwnedFd> {
    let address = match address.strip_prefix('@') {
        Some(name) => SocketAddrUnix::new_abstract_name(name.as_bytes())?,
        None => SocketAddrUnix::new(Path::new(address))?,
    };
    let flags = rustix::net::SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket)
}

fn variable(name: &str) -> Result<Option<u32>> {
    match std::env::var(name) {
        Ok(text) => text.parse().map(Some).map_err(|_| Error::other(format!("{name}={text} is no number"))),
        Err(_) => Ok(None),
    }
}

/// The descriptors that the store hands to a broker it starts, with their names. Each is opened anew, for writing so that
/// missing seals can be added, and the inherited number is closed: nothing else in this process owns it, and a ring that
/// nobody needs any more must not be kept by it.
fn inherited() -> Result<Vec<(String, OwnedFd)>> {
    if variable("LISTEN_PID")?.is_some_and(|pid| pid != std::process::id()) {
        return Ok(Vec::new());
    }
    let count = variable("LISTEN_FDS")?.unwrap_or(0);
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let take = |(number, name): (u32, &str)| {
        let file = File::options().read(true).write(true).open(format!("/proc/self/fd/{number}"))?;
        nix::unistd::close(number as RawFd)?;
        Ok((name.to_owned(), OwnedFd::from(file)))
    };
    (LISTEN_FDS_START..LISTEN_FDS_START + count).zip(names.split(':')).map(take).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn what_is_not_acknowledged_is_taken_back_and_a_store_that_sleeps_holds_nobody_up_for_long() {
        let (ours, theirs) = UnixDatagram::pair().expect("sockets");
        theirs.set_read_timeout(Some(Duration::from_secs(10))).expect("a span");
        let mut store =
            Store { socket: ours.into(), patience: Duration::from_millis(50), room: 1_000, stored: 0, watched: false };
        let null = File::open("/dev/null").expect("a file");
        let refused = store.put("ring.a", null.as_fd()).expect_err("nobody acknowledged");
        assert!(refused.to_string().contains("does not acknowledge"), "{refused}");
        let said: Vec<String> = (0..3)
            .map(|_| {
                let mut bytes = [0; 64];
                let length = theirs.recv(&mut bytes).expect("said");
                String::from_utf8_lossy(&bytes[..length]).into_owned()
            })
            .collect();
        assert_eq!(said, ["FDSTORE=1\nFDNAME=ring.a", "BARRIER=1", "FDSTOREREMOVE=1\nFDNAME=ring.a"]);
        assert_eq!(store.stored, 0);
        // Until its queue is full, and then not for ever.
        while store.ready().is_ok() {}
    }
}
