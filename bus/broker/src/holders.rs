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
    let Ok(file) = File::of(memory) else { return "unknown".into() };
    // The keeper's descriptor and the broker's own are originals, which the kernel's proof does not count.
    let own = [std::process::id(), std::os::unix::process::parent_id()];
    let holding: Vec<String> = pids()
        .filter(|pid| !own.contains(pid) && (file.is_mapped_by(*pid) || file.is_open_in(*pid)))
        .map(|pid| format!("{pid} ({})", fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim()))
        .collect();
    if holding.is_empty() { "a process this user may not look into".into() } else { holding.join(", ") }
}

/// Kills the processes that map this memory for writing, but for those spared; who they were. Slow, as above.
pub(crate) fn kill(memory: impl AsFd, spared: &[u32]) -> Vec<u32> {
    let Ok(file) = File::of(memory) else { return Vec::new() };
    let kill = |pid: &u32| {
        // The handle first: should the process be gone by the next line, its number may be another's, but not the handle.
        let process = pidfd_open(Pid::from_raw(*pid as i32).ok_or(Errno::SRCH)?, PidfdFlags::empty())?;
        if file.is_mapped_by(*pid) { pidfd_send_signal(process, Signal::KILL) } else { Err(Errno::SRCH) }
    };
    pids().filter(|pid| *pid != std::process::id() && !spared.contains(pid) && kill(pid).is_ok()).collect()
}

fn pids() -> impl Iterator<Item = u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What a memory is known by in /proc: an inode's number alone may be another device's, too.
#[derive(Clone, Copy)]
struct File {
    device: u64,
    inode: u64,
}

impl File {
    fn of(memory: impl AsFd) -> Result<File, Errno> {
        rustix::fs::fstat(memory).map(|status| File { device: status.st_dev, inode: status.st_ino })
    }

    /// A line of `maps`: addresses, permissions, offset, device, inode, name.
    fn is_mapped_by(self, pid: u32) -> bool {
        let device = format!("{:02x}:{:02x}", rustix::fs::major(self.device), rustix::fs::minor(self.device));
        let writes = |line: &str| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            fields.next().is_some_and(|permissions| permissions.get(1..2) == Some("w") && permissions.ends_with('s'))
                && fields.nth(1).is_some_and(|found| found == device)
                && fields.next().is_some_and(|found| found.parse() == Ok(self.inode))
                && line.contains("/memfd:")
        };
        fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default().lines().any(writes)
    }

    fn is_open_in(self, pid: u32) -> bool {
        const ACCESS_MODE: u32 = 0o3;
        let writable = |number: &str| {
            let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).unwrap_or_default();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).map(str::trim);
            flags.and_then(|flags| u32::from_str_radix(flags, 8).ok()).is_some_and(|flags| flags & ACCESS_MODE != 0)
        };
        let numbers = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        // By its name first: another's file may be one whose status takes long to come.
        let is_memory =
            |path: PathBuf| fs::read_link(path).is_ok_and(|name| name.to_string_lossy().starts_with("/memfd:"));
        let is_this = |status: fs::Metadata| (status.dev(), status.ino()) == (self.device, self.inode);
        numbers
            .filter(|entry| is_memory(entry.path()))
            .filter(|entry| fs::metadata(entry.path()).is_ok_and(is_this))
            .any(|entry| entry.file_name().to_str().is_some_and(writable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oyez_mem::memory::{Access, create, reopen};
    use oyez_ring::RegionMut;

    #[test]
    fn a_writable_mapping_and_a_writable_descriptor_are_found_and_readers_are_not() {
        let memory = create("oyez-holders", 4_096).expect("memory");
        let file = File::of(&memory).expect("status");
        let elsewhere = File { device: file.device + 1, ..file };
        let own = std::process::id();
        let mapped = RegionMut::map(reopen(&memory, Access::Write).expect("a descriptor"), 4_096).expect("a mapping");
        let reader = reopen(&memory, Access::Read).expect("a descriptor");
        assert!(file.is_mapped_by(own) && !elsewhere.is_mapped_by(own));
        // The original is one, too.
        assert!(file.is_open_in(own) && !elsewhere.is_open_in(own));
        drop((mapped, memory));
        assert!(!file.is_mapped_by(own) && !file.is_open_in(own));
        drop(reader);
    }
}
