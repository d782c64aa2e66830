//! A Unix socket that keeps the bounds of messages, with descriptors beside them.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

use crate::{DESCRIPTORS_MAX, DecodeError, Message, PACKET_BYTES_MAX, Packet};

/// What went wrong between client and broker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// Nobody listens there.
    #[error(
        "cannot connect to {path}: {error}; is the broker running (`oyez serve`), and may this user open its socket?"
    )]
    Connect {
        /// The socket's path.
        path: PathBuf,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// Somebody listens there and accepts nobody: as many wait as may.
    #[error(
        "{path} accepts nobody now: as many wait as may; see whether the broker is stopped or overloaded, and try again"
    )]
    Busy {
        /// The socket's path.
        path: PathBuf,
    },
    /// The other side has hung up.
    #[error("the other side hung up; connect again when the broker is back")]
    HungUp,
    /// The deadline passed; the connection is as it was.
    #[error("no answer before the deadline; the broker is busy or stopped, ask again")]
    TimedOut,
    /// The other side does not take what is sent to it; nothing was sent.
    #[error("the other side does not read what it is sent; try again when it does")]
    WouldBlock,
    /// What came is not a message.
    #[error("the other side sent what is no message: {0}")]
    Decode(#[from] DecodeError),
    /// A message came with too many descriptors, or too few.
    #[error("{message} came with {found} descriptors instead of {expected}; this process may be out of descriptors")]
    Descriptors {
        /// Name of the message.
        message: &'static str,
        /// How many belong to it.
        expected: usize,
        /// How many arrived.
        found: usize,
    },
    /// The packet, or what came with it, is larger than the protocol allows.
    #[error(
        "a packet of more than {PACKET_BYTES_MAX} bytes or {DESCRIPTORS_MAX} descriptors; the other side is broken, or this process is out of descriptors"
    )]
    TooLong,
    /// Another failure of the socket.
    #[error("the socket failed: {0}; connect again")]
    Io(std::io::Error),
}

impl From<Errno> for ConnectionError {
    fn from(errno: Errno) -> ConnectionError {
        match errno {
            Errno::AGAIN => ConnectionError::WouldBlock,
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => ConnectionError::HungUp,
            other => ConnectionError::Io(other.into()),
        }
    }
}

/// A message that arrived, with its descriptors: exactly as many as belong to it.
#[derive(Debug)]
pub struct Received {
    /// What was said.
    pub packet: Packet,
    /// In the order the message names them, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
}

/// One end of a connection. `&self` sends and receives, so one thread may send while another receives.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
}

impl Connection {
    /// Connects to a broker's socket. Never blocks.
    ///
    /// # Errors
    /// Nobody listens there, or this user may not open it; or whoever listens there accepts nobody.
    pub fn connect(path: impl AsRef<Path>) -> Result<Connection, ConnectionError> {
        let path = path.as_ref();
        let attempt = || -> Result<OwnedFd, Errno> {
            let address = SocketAddrUnix::new(path)?;
            let socket = seqpacket()?;
            rustix::net::connect(&socket, &address)?;
            Ok(socket)
        };
        attempt().map(Connection::new).map_err(|errno| match (path.to_owned(), errno) {
            (path, Errno::AGAIN) => ConnectionError::Busy { path },
            (path, errno) => ConnectionError::Connect { path, error: errno.into() },
        })
    }

    /// Two ends joined to each other, for tests and in-process use.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn pair() -> Result<(Connection, Connection), ConnectionError> {
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Connection::new(one), Connection::new(other)))
    }

    /// Takes a connected `SOCK_SEQPACKET` socket.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Connection {
        Connection { socket }
    }

    /// Sends one message with its descriptors. Never blocks, never raises SIGPIPE.
    ///
    /// # Errors
    /// The other side has hung up, or has so much unread that this does not fit (`WouldBlock`; nothing was sent).
    ///
    /// # Panics
    /// The number of descriptors is not [`Message::descriptors`].
    pub fn send(&self, packet: &Packet, descriptors: &[BorrowedFd<'_>]) -> Result<(), ConnectionError> {
        assert_eq!(descriptors.len(), packet.message.descriptors(), "descriptors of {}", packet.message.name());
        let bytes = packet.encode();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            let pushed = control.push(SendAncillaryMessage::ScmRights(descriptors));
            assert!(pushed, "space for {DESCRIPTORS_MAX} descriptors");
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let io = [std::io::IoSlice::new(&bytes)];
        rustix::io::retry_on_intr(|| rustix::net::sendmsg(&self.socket, &io, &mut control, flags))?;
        Ok(())
    }

    /// Takes one message if one is there. Never blocks.
    ///
    /// # Errors
    /// The other side has hung up, or broke the protocol: then drop the connection.
    pub fn try_receive(&self) -> Result<Option<Received>, ConnectionError> {
        self.try_receive_beside(&mut Vec::new())
    }

    /// As [`Connection::try_receive`]; descriptors that belong to no message are added to `foreign`. To close one can
    /// take as long as whoever sent it likes: for those who must not wait.
    ///
    /// # Errors
    /// As [`Connection::try_receive`].
    pub fn try_receive_beside(&self, foreign: &mut Vec<OwnedFd>) -> Result<Option<Received>, ConnectionError> {
        let mut bytes = vec![0; PACKET_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = rustix::io::retry_on_intr(|| {
            rustix::net::recvmsg(&self.socket, &mut [std::io::IoSliceMut::new(&mut bytes)], &mut control, flags)
        });
        let received = match received {
            Err(Errno::AGAIN) => return Ok(None),
            other => other?,
        };
        let mut descriptors = Vec::new();
        for ancillary in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = ancillary {
                descriptors.extend(rights);
            }
        }
        let cut = received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
        match judge(&bytes[..received.bytes], cut, descriptors.len()) {
            Ok(packet) => Ok(Some(Received { packet, descriptors })),
            Err(error) => {
                foreign.append(&mut descriptors);
                Err(error)
            }
        }
    }

    /// Whether somebody listens at `path`; one where as many wait already as may is somebody.
    ///
    /// # Errors
    /// As [`Connection::connect`], but for `Busy`.
    pub fn probe(path: impl AsRef<Path>) -> Result<(), ConnectionError> {
        match Connection::connect(path) {
            Ok(_) | Err(ConnectionError::Busy { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits for one message, at most until `deadline`.
    ///
    /// # Errors
    /// The deadline passed, the other side has hung up, or broke the protocol.
    pub fn receive(&self, deadline: Instant) -> Result<Received, ConnectionError> {
        loop {
            if let Some(received) = self.try_receive()? {
                return Ok(received);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ConnectionError::TimedOut);
            }
            wait_readable(self.as_fd(), left)?;
        }
    }

    /// Sends a request without descriptors and waits for the answer that carries its correlation. Other messages that
    /// arrive meanwhile go to `others`.
    ///
    /// # Errors
    /// As [`Connection::send`] and [`Connection::receive`].
    pub fn request(
        &self,
        correlation: u64,
        message: Message,
        deadline: Instant,
        mut others: impl FnMut(Received),
    ) -> Result<Received, ConnectionError> {
        self.send(&Packet { correlation, message }, &[])?;
        loop {
            let received = self.receive(deadline)?;
            if received.packet.correlation == correlation {
                return Ok(received);
            }
            others(received);
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn judge(bytes: &[u8], cut: bool, found: usize) -> Result<Packet, ConnectionError> {
    if cut {
        return Err(ConnectionError::TooLong);
    }
    if bytes.is_empty() {
        return Err(ConnectionError::HungUp);
    }
    let packet = Packet::decode(bytes)?;
    match packet.message.descriptors() {
        expected if expected == found => Ok(packet),
        expected => Err(ConnectionError::Descriptors { message: packet.message.name(), expected, found }),
    }
}

fn seqpacket() -> Result<OwnedFd, Errno> {
    // To connect would wait for as long as the other side accepts nobody.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

fn wait_readable(socket: BorrowedFd<'_>, at_most: Duration) -> Result<(), ConnectionError> {
    // A duration beyond what the kernel takes is forever in practice: without a timeout then.
    let timeout = Timespec::try_from(at_most).ok();
    match poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::IN)], timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
