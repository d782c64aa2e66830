//! Whom the broker could kill: whoever the kernel lets it, which is its own user's processes, and with `CAP_KILL` all.

use rustix::thread::{CapabilitySet, capabilities};

use super::{Peer, Right};

/// Whether every owner that these rights admit could be killed by this process; if not, why.
pub(super) fn check(publish: &[Right]) -> Result<(), String> {
    let has_kill = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::KILL));
    let own = rustix::process::geteuid().as_raw();
    let killable = |right: &Right| match right {
        Right::OwnUser => true,
        Right::User(uid) => *uid == own,
        Right::Group(_) | Right::Everybody => false,
    };
    if !has_kill && !publish.iter().all(killable) {
        return Err("`kill`, where other users may publish".to_owned());
    }
    Peer::has_handle().map_err(|error| format!("`kill`, on a kernel that names no peer for sure ({error})"))
}
