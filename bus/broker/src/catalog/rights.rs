//! Who may publish and subscribe: the names in the catalog resolved to numbers once, at load, and compared with what
//! the kernel says of a peer.

use std::fs;

/// One entry of a `publish` or `subscribe` list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// The user that the broker runs as.
    OwnUser,
    /// A user.
    User(u32),
    /// Whoever has the group, as the primary one of the process or by `/etc/group`.
    Group(u32),
    /// Everybody who can open the socket.
    Everybody,
}

/// Who is at the other end of a Unix socket, as the kernel saw it when it connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Process.
    pub pid: u32,
    /// User.
    pub uid: u32,
    /// The process's primary group, and those that `/etc/group` gives its user.
    pub groups: Vec<u32>,
}

impl Right {
    /// Reads `self`, `*`, `user:NAME`, `user:NUMBER`, `group:NAME` or `group:NUMBER`.
    ///
    /// # Errors
    /// Says what is wrong: another form, or no such user or group on this machine.
    pub(super) fn parse(text: &str) -> Result<Right, String> {
        match (text, text.split_once(':')) {
            ("self", _) => Ok(Right::OwnUser),
            ("*", _) => Ok(Right::Everybody),
            (_, Some(("user", name))) => number("/etc/passwd", name).map(Right::User),
            (_, Some(("group", name))) => number("/etc/group", name).map(Right::Group),
            _ => Err(format!("`{text}` is none of self, *, user:NAME, group:NAME")),
        }
    }

    /// Whether this entry admits the peer.
    #[must_use]
    pub fn admits(self, peer: &Peer) -> bool {
        match self {
            Right::OwnUser => peer.uid == rustix::process::geteuid().as_raw(),
            Right::User(uid) => peer.uid == uid,
            Right::Group(gid) => peer.groups.contains(&gid),
            Right::Everybody => true,
        }
    }
}

/// As it may stand in the catalog, with numbers for names.
impl std::fmt::Display for Right {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Right::OwnUser => out.write_str("self"),
            Right::User(uid) => write!(out, "user:{uid}"),
            Right::Group(gid) => write!(out, "group:{gid}"),
            Right::Everybody => out.write_str("*"),
        }
    }
}

impl Peer {
    /// From what the kernel says of the socket. Groups beyond the primary one are looked up by user, not by process:
    /// a process number can be taken over by another process, a user cannot.
    #[must_use]
    pub fn new(pid: u32, uid: u32, gid: u32) -> Peer {
        let name = entries("/etc/passwd").into_iter().find(|entry| entry.number == uid).map(|entry| entry.name);
        let named = |entry: &Entry| name.as_ref().is_some_and(|name| entry.members.contains(name));
        let groups = entries("/etc/group").into_iter().filter(named).map(|entry| entry.number);
        Peer { pid, uid, groups: std::iter::once(gid).chain(groups).collect() }
    }

    /// Whether it may do what only the broker's own user and root may.
    pub(crate) fn is_operator(&self) -> bool {
        self.uid == 0 || Right::OwnUser.admits(self)
    }

    /// Whether the kernel gives a handle of the process behind a socket, as Linux does from 6.5 on.
    pub(super) fn has_handle() -> std::io::Result<()> {
        let (socket, _other) = std::os::unix::net::UnixStream::pair()?;
        nix::sys::socket::getsockopt(&socket, nix::sys::socket::sockopt::PeerPidfd)?;
        Ok(())
    }
}

struct Entry {
    name: String,
    number: u32,
    members: Vec<String>,
}

/// The lines of `/etc/passwd` or `/etc/group`: name, password, number, and in the latter the members.
fn entries(file: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?);
        let members = fields.next().unwrap_or_default().split(',').map(str::to_owned).collect();
        Some(Entry { name, number, members })
    };
    fs::read_to_string(file).unwrap_or_default().lines().filter_map(entry).collect()
}

fn number(file: &str, name: &str) -> Result<u32, String> {
    let named = || entries(file).into_iter().find(|entry| entry.name == name).map(|entry| entry.number);
    name.parse().ok().or_else(named).ok_or_else(|| format!("no `{name}` in {file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uid: u32, groups: &[u32]) -> Peer {
        Peer { pid: 1, uid, groups: groups.to_vec() }
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(Right::parse("self"), Ok(Right::OwnUser));
        assert_eq!(Right::parse("*"), Ok(Right::Everybody));
        assert_eq!(Right::parse("user:root"), Ok(Right::User(0)));
        assert_eq!(Right::parse("user:1234"), Ok(Right::User(1234)));
        assert_eq!(Right::parse("group:root"), Ok(Right::Group(0)));
        assert!(Right::parse("user:nobody-of-that-name").unwrap_err().contains("/etc/passwd"));
        for form in ["self", "*", "user:1234", "group:0"] {
            assert_eq!(Right::parse(form).expect("a right").to_string(), form);
        }
        assert!(Right::parse("everyone").unwrap_err().contains("none of self"));
    }

    #[test]
    fn each_admits_whom_it_names() {
        let own = rustix::process::geteuid().as_raw();
        assert!(Right::OwnUser.admits(&peer(own, &[])));
        assert!(!Right::OwnUser.admits(&peer(own + 1, &[own])));
        assert!(Right::User(7).admits(&peer(7, &[])));
        assert!(!Right::User(7).admits(&peer(8, &[7])));
        assert!(Right::Group(7).admits(&peer(8, &[1, 7])));
        assert!(!Right::Group(7).admits(&peer(7, &[1])));
        assert!(Right::Everybody.admits(&peer(9, &[])));
        assert!(
            peer(own, &[]).is_operator() && peer(0, &[]).is_operator() && !peer(own.max(1) + 1, &[0]).is_operator()
        );
    }

    #[test]
    fn a_peer_has_its_primary_group() {
        assert!(Peer::new(1, 0, 4_242).groups.contains(&4_242));
    }
}
