//! Why io_uring cannot be had, in words an operator can act on.

use std::fmt;
use std::io;

/// Why an [`Io`](crate::Io) is not io_uring. Its text names the remedy.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// `kernel.io_uring_disabled` forbids it: 1 to all but a group, 2 to everybody.
    Sysctl {
        /// The setting's value.
        value: u8,
    },
    /// A seccomp filter around this process answers `EPERM`: a container's profile, or a unit's `SystemCallFilter`.
    Seccomp,
    /// The kernel was built without it (or a filter pretends so): `ENOSYS`.
    Absent,
    /// Anything else, such as memory that may not be locked.
    Other(io::Error),
    /// Plain system calls need two threads, which the system would not start.
    Threads(io::Error),
}

impl Refusal {
    /// Tells the reasons apart by the error of `io_uring_setup` and the system's own settings.
    pub(crate) fn of(error: &io::Error) -> Refusal {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Refusal::judge(error, &read("/proc/sys/kernel/io_uring_disabled"), &read("/proc/thread-self/status"))
    }

    fn judge(error: &io::Error, sysctl: &str, status: &str) -> Refusal {
        let disabled: u8 = sysctl.trim().parse().unwrap_or(0);
        let filtered = status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"));
        match error.raw_os_error() {
            Some(libc::EPERM) if disabled > 0 => Refusal::Sysctl { value: disabled },
            Some(libc::EPERM | libc::EACCES) if filtered => Refusal::Seccomp,
            Some(libc::ENOSYS) => Refusal::Absent,
            Some(errno) => Refusal::Other(io::Error::from_raw_os_error(errno)),
            None => Refusal::Other(error.kind().into()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Sysctl { value } => write!(
                out,
                "io_uring is forbidden by sysctl kernel.io_uring_disabled = {value}; set it to 0 (or to 1 and add this \
                 user's group as kernel.io_uring_group)"
            ),
            Refusal::Seccomp => out.write_str(
                "io_uring is forbidden by a seccomp filter (EPERM); allow io_uring_setup, io_uring_enter and \
                 io_uring_register in the container's profile or the unit's SystemCallFilter",
            ),
            Refusal::Absent => out.write_str(
                "io_uring is not in this kernel (ENOSYS); run one with CONFIG_IO_URING, or a profile that does not hide it",
            ),
            Refusal::Other(error) => write!(out, "io_uring is refused: {error}; raise LimitMEMLOCK and LimitNOFILE"),
            Refusal::Threads(error) => write!(out, "no thread for file I/O: {error}; raise LimitNPROC or TasksMax"),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(errno: i32, sysctl: &str, status: &str) -> String {
        Refusal::judge(&io::Error::from_raw_os_error(errno), sysctl, status).to_string()
    }

    #[test]
    fn each_reason_is_told_from_the_others_and_names_its_remedy() {
        assert!(text(libc::EPERM, "2\n", "Seccomp:\t2\n").contains("kernel.io_uring_disabled = 2"));
        assert!(text(libc::EPERM, "0\n", "Name:\tx\nSeccomp:\t2\n").contains("SystemCallFilter"));
        assert!(text(libc::ENOSYS, "", "Seccomp:\t0\n").contains("CONFIG_IO_URING"));
        assert!(text(libc::ENOMEM, "0\n", "Seccomp:\t0\n").contains("LimitMEMLOCK"));
        assert!(Refusal::Threads(io::ErrorKind::OutOfMemory.into()).to_string().contains("TasksMax"));
    }
}
