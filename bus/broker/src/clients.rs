//! The Unix socket and who is connected to it: peers known by the kernel's word, counted, and never waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use oyez_protocol::{Connection, ConnectionError, FailureCode, Message, Packet, Received};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::catalog::{Limits, Peer};
use crate::event::PartitionIndex;
use crate::log::log;
use crate::partition::ConnectionId;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// One connected client.
#[derive(Debug)]
pub(crate) struct Client {
    connection: Connection,
    pub(crate) peer: Peer,
    pub(crate) name: String,
    /// It has said `Hello`.
    pub(crate) greeted: bool,
    /// Partitions it may read.
    pub(crate) subscribed: BTreeSet<PartitionIndex>,
    /// Requests that wait for an epoch.
    pub(crate) parked: usize,
}

/// The listening socket and everybody behind it.
#[derive(Debug)]
pub(crate) struct Clients {
    listener: OwnedFd,
    path: PathBuf,
    limits: Limits,
    clients: BTreeMap<ConnectionId, Client>,
    next: ConnectionId,
    /// Given up when descriptors run out, so that one more can be accepted, told, and refused.
    spare: Option<File>,
}

impl Clients {
    /// Listens at `path`, in place of a socket that a dead broker left there.
    pub(crate) fn listen(path: &Path, limits: Limits) -> std::io::Result<Clients> {
        if Connection::connect(path).is_ok() {
            return Err(Errno::ADDRINUSE.into());
        }
        let _ = std::fs::remove_file(path);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        rustix::net::bind(&listener, &SocketAddrUnix::new(path)?)?;
        // Whoever may enter the folder may connect; what one may do here is the catalog's word.
        rustix::fs::chmod(path, Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH)?;
        rustix::net::listen(&listener, BACKLOG)?;
        let spare = File::open("/dev/null").ok();
        Ok(Clients { listener, path: path.to_owned(), limits, clients: BTreeMap::new(), next: ConnectionId(1), spare })
    }

    /// Accepts whoever waits.
    pub(crate) fn accept(&mut self) {
        loop {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match rustix::net::accept_with(&self.listener, flags) {
                Ok(socket) => self.admit(socket),
                // The kernel says so before it looks whether anybody waits.
                Err(Errno::MFILE | Errno::NFILE) if self.refuse_one() => {}
                Err(_) => return,
            }
        }
    }

    fn admit(&mut self, socket: OwnedFd) {
        // A peer outside of this PID namespace is process 0.
        let credentials = match getsockopt(&socket, PeerCredentials) {
            Ok(credentials) => credentials,
            Err(errno) => {
                return log(format_args!("a client was hung up on: the kernel does not say who it is: {errno}"));
            }
        };
        let (uid, gid) = (credentials.uid(), credentials.gid());
        let peer = Peer::new(credentials.pid() as u32, uid, gid);
        let connection = Connection::new(socket);
        let of_user = self.clients.values().filter(|client| client.peer.uid == uid).count();
        if self.clients.len() >= self.limits.connections_max || of_user >= self.limits.connections_per_user_max {
            log(format_args!("process {}, user {uid}: refused: too many connections", peer.pid));
            refuse(&connection, FailureCode::ConnectionLimit, &format!("user {uid}"));
            return;
        }
        let (greeted, subscribed, parked) = (false, BTreeSet::new(), 0);
        let client = Client { connection, peer, name: String::new(), greeted, subscribed, parked };
        self.clients.insert(self.next, client);
        self.next.0 += 1;
    }

    /// With the last descriptor gone, the spare one lets somebody be told so. False: nobody waits.
    fn refuse_one(&mut self) -> bool {
        self.spare = None;
        let refused = rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC).map(|socket| {
            log("out of descriptors: a client was refused; raise the limit (LimitNOFILE=) and restart");
            refuse(&Connection::new(socket), FailureCode::NoDescriptor, "this connection");
        });
        self.spare = File::open("/dev/null").ok();
        refused.is_ok()
    }

    /// One message of a client, if it has sent one. `Err` tells that the connection is over, and how.
    pub(crate) fn receive(&self, id: ConnectionId) -> Result<Option<Received>, ConnectionError> {
        self.clients.get(&id).map_or(Ok(None), |client| client.connection.try_receive())
    }

    /// Sends; false when the client is gone or does not read what it is sent. It is then to be removed.
    pub(crate) fn send(
        &self,
        id: ConnectionId,
        correlation: u64,
        message: Message,
        descriptors: &[BorrowedFd<'_>],
    ) -> bool {
        let Some(client) = self.clients.get(&id) else { return false };
        let packet = Packet { correlation, message };
        match client.connection.send(&packet, descriptors) {
            Ok(()) | Err(ConnectionError::HungUp) => true,
            Err(error) => {
                log(format_args!("{} (process {}): hung up on: {error}", client.name, client.peer.pid));
                false
            }
        }
    }

    /// A client, if it is still there.
    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Client> {
        self.clients.get_mut(&id)
    }

    /// Hangs up.
    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Client> {
        self.clients.remove(&id)
    }

    /// Everybody, for polling.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = (ConnectionId, BorrowedFd<'_>)> {
        self.clients.iter().map(|(id, client)| (*id, client.connection.as_fd()))
    }

    /// The listening socket, for polling.
    pub(crate) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn refuse(connection: &Connection, code: FailureCode, about: &str) {
    // It may have hung up already; then nobody wants to know.
    let _ = connection.send(&Packet { correlation: 0, message: Message::failure(code, about) }, &[]);
}
