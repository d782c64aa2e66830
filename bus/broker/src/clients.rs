//! The Unix socket and who is connected to it: peers known by the kernel's word, counted, and never waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal as Interrupt;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials, sockopt::PeerPidfd};
use oyez_protocol::{Connection, ConnectionError, FailureCode, Message, Packet, Received};
use oyez_ring::Area;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::Signal;

use crate::catalog::{Limits, Peer};
use crate::event::{Event, Helper, PartitionIndex};
use crate::log::{Seldom, log};
use crate::partition::ConnectionId;
use crate::sleepers::{Sleeper, SubscriptionId};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// Connections that wait to be closed, from which on nobody is accepted: each is a descriptor.
const CLOSING_MAX: usize = 1_024;
/// How soon a close is interrupted, at the latest: a socket that came on a connection may be one that lingers for as long as
/// its sender likes, and whoever is behind it would wait for that.
const CLOSE_MAX: Duration = Duration::from_millis(10);
/// What a close is interrupted by.
const INTERRUPT: Interrupt = Interrupt::SIGURG;
/// Accepted before those who are connected have their turn.
const ACCEPTS_PER_TURN: usize = 16;

/// More descriptors are on their way through sockets than this user may have open.
const TOO_MANY_REFERENCES: i32 = Errno::TOOMANYREFS.raw_os_error();

/// One connected client.
#[derive(Debug)]
pub(crate) struct Client {
    connection: Connection,
    pub(crate) peer: Peer,
    pub(crate) name: String,
    /// It has hung up, and nothing of it is left to be received.
    drained: bool,
    /// It has said `Hello`.
    pub(crate) greeted: bool,
    /// Partitions it may read.
    pub(crate) subscribed: BTreeSet<PartitionIndex>,
    /// What it subscribed to and has not closed, each with the area that its reader writes.
    pub(crate) subscriptions: BTreeMap<SubscriptionId, Subscription>,
    /// Requests that wait for an epoch.
    pub(crate) parked: usize,
}

/// One reader of a partition.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) partition: PartitionIndex,
    pub(crate) area: Area,
}

/// How often somebody was refused for what is bounded.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(crate) connections: u64,
    pub(crate) subscriptions: u64,
    pub(crate) memory: u64,
    pub(crate) descriptors: u64,
}

impl Refused {
    fn count(&mut self, code: FailureCode) {
        match code {
            FailureCode::ConnectionLimit => self.connections += 1,
            FailureCode::SubscriptionLimit => self.subscriptions += 1,
            FailureCode::NoMemory => self.memory += 1,
            FailureCode::NoDescriptor => self.descriptors += 1,
            _ => {}
        }
    }
}

/// The listening socket and everybody behind it.
#[derive(Debug)]
pub(crate) struct Clients {
    listener: OwnedFd,
    path: PathBuf,
    pub(crate) limits: Limits,
    clients: BTreeMap<ConnectionId, Client>,
    /// Hung up on, but not read to the end: the descriptors in there are on this user's account until they are.
    unread: Vec<(u32, Connection)>,
    /// Users whose connections are being closed: what came on one may linger, until that is interrupted.
    closing: Vec<u32>,
    closer: Helper,
    /// What was refused for a limit.
    pub(crate) refused: Refused,
    /// Lines that clients can cause.
    pub(crate) seldom: Seldom,
    next: ConnectionId,
    /// Came with what is no message of the connection that is removed next.
    foreign: Vec<OwnedFd>,
    /// Given up when descriptors run out, so that one more can be accepted, told, and refused.
    spare: Option<OwnedFd>,
}

impl Clients {
    /// Listens at `path`, in place of a socket that a dead broker left there.
    pub(crate) fn listen(path: &Path, limits: Limits, closer: Helper) -> std::io::Result<Clients> {
        if Connection::probe(path).is_ok() {
            return Err(Errno::ADDRINUSE.into());
        }
        let _ = std::fs::remove_file(path);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        rustix::net::bind(&listener, &SocketAddrUnix::new(path)?)?;
        // Whoever may enter the folder may connect; what one may do here is the catalog's word.
        rustix::fs::chmod(path, Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH)?;
        rustix::net::listen(&listener, BACKLOG)?;
        // To be interrupted by the signal there has to be a handler of it.
        signal_hook::flag::register(INTERRUPT as i32, Arc::default())?;
        let spare = Some(listener.try_clone()?);
        Ok(Clients {
            listener,
            path: path.to_owned(),
            limits,
            clients: BTreeMap::new(),
            unread: Vec::new(),
            closing: Vec::new(),
            closer,
            refused: Refused::default(),
            seldom: Seldom::default(),
            next: ConnectionId(1),
            foreign: Vec::new(),
            spare,
        })
    }

    /// Accepts some of those who wait.
    pub(crate) fn accept(&mut self) {
        self.spare = self.spare.take().or_else(|| self.listener.try_clone().ok());
        if self.spare.is_none() {
            return;
        }
        for _ in 0..ACCEPTS_PER_TURN.min(CLOSING_MAX.saturating_sub(self.closing.len())) {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match rustix::net::accept_with(&self.listener, flags) {
                Ok(socket) => self.admit(socket),
                // The kernel says so before it looks whether anybody waits.
                Err(Errno::MFILE | Errno::NFILE) => return self.refuse_one(),
                Err(_) => return,
            }
        }
    }

    fn admit(&mut self, socket: OwnedFd) {
        // A peer outside of this PID namespace is process 0.
        let credentials = match getsockopt(&socket, PeerCredentials) {
            Ok(credentials) => credentials,
            Err(errno) => {
                let line = format_args!("a client was hung up on: the kernel does not say who it is: {errno}");
                self.seldom.log(line);
                return self.close(u32::MAX, Connection::new(socket), Vec::new());
            }
        };
        let (pid, uid, gid) = (credentials.pid() as u32, credentials.uid(), credentials.gid());
        let connection = Connection::new(socket);
        if let Err(limit) = self.room_for(uid) {
            self.seldom.log(format_args!("process {pid} refused: {limit} connections"));
            self.refuse(&connection, FailureCode::ConnectionLimit, &limit);
            return self.close(uid, connection, Vec::new());
        }
        let peer = Peer::new(pid, uid, gid);
        let (name, subscribed) = (String::new(), BTreeSet::new());
        let subscriptions = BTreeMap::new();
        let client =
            Client { connection, peer, name, drained: false, greeted: false, subscribed, subscriptions, parked: 0 };
        self.clients.insert(self.next, client);
        self.next.0 += 1;
    }

    /// Whether one more may connect; if not, by which limit. Who has not read what it was sent counts, hung up or not.
    fn room_for(&mut self, uid: u32) -> Result<(), String> {
        let read: Vec<_> = self.unread.extract_if(.., |(_, connection)| is_writable(connection)).collect();
        read.into_iter().for_each(|(uid, connection)| self.close(uid, connection, Vec::new()));
        let users = self.clients.values().map(|client| client.peer.uid);
        let users = users.chain(self.unread.iter().map(|(uid, _)| *uid)).chain(self.closing.iter().copied());
        let (all, of_user) = users.fold((0, 0), |(all, own), user| (all + 1, own + usize::from(user == uid)));
        let Limits { connections_max, connections_per_user_max, .. } = self.limits;
        match () {
            () if all >= connections_max => Err(format!("`connections_max` = {connections_max}")),
            () if of_user >= connections_per_user_max => {
                Err(format!("user {uid}: `connections_per_user_max` = {connections_per_user_max}"))
            }
            () => Ok(()),
        }
    }

    /// With the last descriptor gone, the spare one lets somebody be told so. Until it is back nobody else has it.
    fn refuse_one(&mut self) {
        self.spare = None;
        let Ok(socket) = rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC) else {
            self.spare = self.listener.try_clone().ok();
            return;
        };
        log("out of descriptors: a client was refused; raise the limit (LimitNOFILE=) and restart");
        let uid = getsockopt(&socket, PeerCredentials).map_or(u32::MAX, |credentials| credentials.uid());
        let connection = Connection::new(socket);
        self.refuse(&connection, FailureCode::NoDescriptor, "this connection");
        self.close(uid, connection, Vec::new());
    }

    /// One message of a client, if it has sent one. `Err` tells that the connection is over, and how.
    pub(crate) fn receive(&mut self, id: ConnectionId) -> Result<Option<Received>, ConnectionError> {
        let Some(client) = self.clients.get_mut(&id) else { return Ok(None) };
        let mut foreign = Vec::new();
        let received = client.connection.try_receive_beside(&mut foreign);
        let over = |received: &Result<_, _>| matches!(received, Err(ConnectionError::HungUp));
        // A reset is told before what came earlier; only the end is told again and again.
        client.drained = over(&received) && over(&client.connection.try_receive_beside(&mut foreign));
        if received.is_err() && !foreign.is_empty() {
            self.foreign = foreign;
        }
        received
    }

    /// Sends; false when the client is gone or does not read what it is sent. It is then to be removed.
    pub(crate) fn send(
        &mut self,
        id: ConnectionId,
        correlation: u64,
        message: Message,
        descriptors: &[BorrowedFd<'_>],
    ) -> bool {
        let Some(client) = self.clients.get(&id) else { return false };
        if let Message::Failure { code, .. } = &message {
            self.refused.count(*code);
        }
        let packet = Packet { correlation, message };
        let sent = match descriptors {
            [] => client.connection.send(&packet, descriptors),
            // What is sent and not read is on this user's account with the kernel, and with it everybody's answers.
            _ if !is_writable(&client.connection) => fail(client, correlation, FailureCode::TooManyRequests),
            _ => match client.connection.send(&packet, descriptors) {
                Err(ConnectionError::Io(error)) if error.raw_os_error() == Some(TOO_MANY_REFERENCES) => {
                    self.refused.count(FailureCode::NoDescriptor);
                    fail(client, correlation, FailureCode::NoDescriptor)
                }
                sent => sent,
            },
        };
        match sent {
            Ok(()) | Err(ConnectionError::HungUp) => true,
            Err(error) => {
                let (name, pid) = (&client.name, client.peer.pid);
                self.seldom.log(format_args!("{name} (process {pid}): hung up on: {error}"));
                false
            }
        }
    }

    /// Kills the process that connected, which the kernel keeps the socket's own handle of: never another that took over
    /// its number.
    pub(crate) fn kill(&self, id: ConnectionId) -> std::io::Result<()> {
        let client = self.clients.get(&id).ok_or(Errno::SRCH)?;
        let process = getsockopt(&client.connection, PeerPidfd)?;
        Ok(rustix::process::pidfd_send_signal(process, Signal::KILL)?)
    }

    /// A client, if it is still there.
    pub(crate) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Client> {
        self.clients.get_mut(&id)
    }

    /// The same, to look at.
    pub(crate) fn get(&self, id: ConnectionId) -> Option<&Client> {
        self.clients.get(&id)
    }

    /// Everybody, with what they subscribed to.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Client> {
        self.clients.values()
    }

    /// Everybody who may read this partition.
    pub(crate) fn readers(&self, partition: PartitionIndex) -> impl Iterator<Item = (ConnectionId, &Client)> {
        let readers = self.clients.iter().filter(move |(_, client)| client.subscribed.contains(&partition));
        readers.map(|(id, client)| (*id, client))
    }

    /// A reader has closed its subscription, or cannot be woken.
    pub(crate) fn left(&mut self, sleeper: &Sleeper) {
        if let Some(client) = self.clients.get_mut(&sleeper.connection) {
            client.subscriptions.remove(&sleeper.id);
        }
    }

    /// Hangs up.
    pub(crate) fn remove(&mut self, id: ConnectionId) {
        let Some(Client { connection, peer, drained, .. }) = self.clients.remove(&id) else { return };
        let foreign = std::mem::take(&mut self.foreign);
        // Whoever reads on finds the end behind what is still there.
        let _ = rustix::net::shutdown(&connection, rustix::net::Shutdown::Both);
        match has_read(&connection) {
            false if foreign.is_empty() => self.unread.push((peer.uid, connection)),
            true if foreign.is_empty() && drained => drop(connection),
            _ => self.close(peer.uid, connection, foreign),
        }
    }

    /// Has a connection closed, with the descriptors that came on it and those that nobody has taken out of it yet.
    fn close(&mut self, uid: u32, connection: Connection, foreign: Vec<OwnedFd>) {
        self.closing.push(uid);
        self.closer.ask(move || {
            drop((connection, foreign));
            Event::Closed(uid)
        });
    }

    /// Has nobody wait long for a close: how soon this is to be called again, if at all.
    pub(crate) fn hurry(&self) -> Option<Duration> {
        (!self.closing.is_empty()).then(|| {
            self.closer.interrupt(INTERRUPT);
            CLOSE_MAX
        })
    }

    /// The closer has done so.
    pub(crate) fn closed(&mut self, uid: u32) {
        if let Some(at) = self.closing.iter().position(|closing| *closing == uid) {
            self.closing.swap_remove(at);
        }
    }

    fn refuse(&mut self, connection: &Connection, code: FailureCode, about: &str) {
        self.refused.count(code);
        // It may have hung up already; then nobody wants to know.
        let _ = connection.send(&Packet { correlation: 0, message: Message::failure(code, about) }, &[]);
    }

    /// Everybody, for polling.
    pub(crate) fn sockets(&self) -> impl Iterator<Item = (ConnectionId, BorrowedFd<'_>)> {
        self.clients.iter().map(|(id, client)| (*id, client.connection.as_fd()))
    }

    /// The listening socket, for polling; none while nobody is accepted.
    pub(crate) fn listener(&self) -> Option<BorrowedFd<'_>> {
        (self.spare.is_some() && self.closing.len() < CLOSING_MAX).then(|| self.listener.as_fd())
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn fail(client: &Client, correlation: u64, code: FailureCode) -> Result<(), ConnectionError> {
    let message = Message::failure(code, "answers with descriptors");
    client.connection.send(&Packet { correlation, message }, &[])
}

/// Whether the other side has read all but a quarter of what the buffer holds: tens of answers.
fn is_writable(connection: &Connection) -> bool {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut source = [PollFd::new(connection, PollFlags::OUT)];
    poll(&mut source, Some(&at_once)).is_ok_and(|_| source[0].revents().contains(PollFlags::OUT))
}

/// Whether the other side, told no more, has read all but one answer at most.
fn has_read(connection: &Connection) -> bool {
    // The kernel takes its least, four small packets; a quarter of that may be unread.
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(connection, 0);
    is_writable(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_accepted_while_too_many_wait_to_be_closed() {
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let (events, queue) = crate::event::queue().expect("descriptors");
        let closer = Helper::start("test", events).expect("a thread");
        closer.ask(move || {
            let _ = held.recv();
            Event::Closed(u32::MAX)
        });
        let folder = tempfile::tempdir().expect("a folder");
        let nobody = Limits {
            connections_max: 0,
            connections_per_user_max: 0,
            subscriptions_max: 0,
            areas_max: 0,
            areas_per_user_max: 0,
        };
        let path = folder.path().join("bus.sock");
        let mut clients = Clients::listen(&path, nobody, closer).expect("a socket");
        clients.closing = vec![u32::MAX; CLOSING_MAX - 1];
        let waiting: Vec<_> = (0..3).map(|_| Connection::connect(&path).expect("a listener")).collect();
        clients.accept();
        assert_eq!((clients.closing.len(), clients.listener().is_none()), (CLOSING_MAX, true));
        // A close that can be interrupted is; who is refused then had its answer before.
        assert_eq!(clients.hurry(), Some(CLOSE_MAX));
        drop(hold);
        let began = std::time::Instant::now();
        while clients.listener().is_none() {
            assert!(began.elapsed() < Duration::from_secs(60), "still closing");
            while let Some(Event::Closed(uid)) = queue.take() {
                clients.closed(uid);
            }
        }
        clients.accept();
        assert!(waiting.iter().take(2).all(|connection| matches!(connection.try_receive(), Ok(Some(_)))));
    }
}
