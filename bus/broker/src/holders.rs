//! Who keeps a memory writable: for the log, when the kernel refuses to prove a ring free, and for a take-over from an
//! owner that the broker does not see.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The processes that map this memory for writing, or have it open so, as far as this user may look: "123 (name)".
/// Slow, for it walks through all of /proc: not for the control thread.
pub(crate) fn of(memory: impl AsFd) -> String {
    let Ok(inode) = rustix::fs::fstat(memory).map(|status| status.st_ino) else { return "unknown".into() };
    // The keeper's descriptor and the broker's own are originals, which the kernel's proof does not count.
    let own = [std::process::id(), std::os::unix::process::parent_id()];
    let holding: Vec<String> = pids()
        .filter(|pid| !own.contains(pid) && (maps(*pid, inode) || opens(*pid, inode)))
        .map(|pid| format!("{pid} ({})", fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim()))
        .collect();
    if holding.is_empty() { "a process this user may not look into".into() } else { holding.join(", ") }
}

/// Kills the processes that map this memory for writing, but for those spared; who they were. Slow, as above.
pub(crate) fn kill(memory: impl AsFd, spared: &[u32]) -> Vec<u32> {
    let Ok(inode) = rustix::fs::fstat(memory).map(|status| status.st_ino) else { return Vec::new() };
    let kill = |pid: &u32| {
        // The handle first: should the process be gone by the next line, its number may be another's, but not the handle.
        let process = pidfd_open(Pid::from_raw(*pid as i32).ok_or(Errno::SRCH)?, PidfdFlags::empty())?;
        if maps(*pid, inode) { pidfd_send_signal(process, Signal::KILL) } else { Err(Errno::SRCH) }
    };
    pids().filter(|pid| *pid != std::process::id() && !spared.contains(pid) && kill(pid).is_ok()).collect()
}

fn pids() -> impl Iterator<Item = u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A line of `maps`: addresses, permissions, offset, device, inode, name.
fn maps(pid: u32, inode: u64) -> bool {
    let writes = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        fields.next().is_some_and(|permissions| permissions.get(1..2) == Some("w") && permissions.ends_with('s'))
            && fields.nth(2).is_some_and(|found| found.parse() == Ok(inode))
            && line.contains("/memfd:")
    };
    fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default().lines().any(writes)
}

fn opens(pid: u32, inode: u64) -> bool {
    const ACCESS_MODE: u32 = 0o3;
    let writable = |number: &str| {
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).map(str::trim);
        flags.and_then(|flags| u32::from_str_radix(flags, 8).ok()).is_some_and(|flags| flags & ACCESS_MODE != 0)
    };
    let numbers = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    // By its name first: another's file may be one whose status takes long to come.
    let is_memory = |path: PathBuf| fs::read_link(path).is_ok_and(|name| name.to_string_lossy().starts_with("/memfd:"));
    numbers
        .filter(|entry| is_memory(entry.path()))
        .filter(|entry| fs::metadata(entry.path()).is_ok_and(|status| status.ino() == inode))
        .any(|entry| entry.file_name().to_str().is_some_and(writable))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oyez_mem::memory::{Access, create, reopen};
    use oyez_ring::RegionMut;

    #[test]
    fn a_writable_mapping_and_a_writable_descriptor_are_found_and_readers_are_not() {
        let memory = create("oyez-holders", 4_096).expect("memory");
        let inode = rustix::fs::fstat(&memory).expect("status").st_ino;
        let own = std::process::id();
        let mapped = RegionMut::map(reopen(&memory, Access::Write).expect("a descriptor"), 4_096).expect("a mapping");
        let reader = reopen(&memory, Access::Read).expect("a descriptor");
        assert!(maps(own, inode));
        // The original is one, too.
        assert!(opens(own, inode));
        drop((mapped, memory));
        assert!(!maps(own, inode) && !opens(own, inode));
        drop(reader);
    }
}
