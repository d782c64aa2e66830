//! Running a command with less than root has: as an ordinary user, or without io_uring.

use crate::failure::{Failure, Result};
use crate::{packages, places};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `nobody`: owns nothing, may do nothing. Also its group.
const ORDINARY_USER: &str = "65534";
/// The limit that distributions give an ordinary user.
const MEMLOCK_BYTES: &str = "8388608";
/// `io_uring_setup`, `io_uring_enter`, `io_uring_register`: the same numbers on every architecture.
const IO_URING: [i64; 3] = [425, 426, 427];

/// Shows folders to the ordinary user, at their own paths, though a folder above them is closed to others.
///
/// Arguments: for each, the closed folder and the one to show; then `--` and the command. In a mount namespace of its
/// own, each is taken aside, the closed folder covered by an empty one, and each put back at its path.
const SHOW: &str = r#"
set -e
umask 022
take_aside() {
    n=0
    while [ "$1" != -- ]; do
        n=$((n + 1)); mkdir "$aside/$n"; mount --bind "$2" "$aside/$n"; shift 2
    done
}
if [ "$1" != -- ]; then
    aside=$(mktemp -d)
    mount -t tmpfs none "$aside"
    take_aside "$@"
    n=0
    while [ "$1" != -- ]; do
        [ -e "$1/.covered" ] || { mount -t tmpfs -o mode=755 none "$1"; : >"$1/.covered"; }
        n=$((n + 1)); mkdir -p "$2"; mount --move "$aside/$n" "$2"; shift 2
    done
    umount "$aside"
    rmdir "$aside"
    cd "$PWD" 2>/dev/null || cd /
fi
shift
exec "$@"
"#;

/// Whether the tests of the package that cargo runs here are passed over: `OYEZ_PASSED_OVER` names it.
pub(crate) fn passes_over() -> bool {
    let [packages, package] =
        ["OYEZ_PASSED_OVER", "CARGO_PKG_NAME"].map(|name| std::env::var(name).unwrap_or_default());
    packages.split_whitespace().any(|name| name == package)
}

/// Becomes `command`, run by an ordinary user with 8 MiB of memory to lock. Only returns if that fails.
///
/// Where we are an ordinary user already, only the limit is set.
pub(crate) fn as_user(command: &[OsString]) -> Result<()> {
    let mut confined = Command::new("prlimit");
    confined.arg(format!("--memlock={MEMLOCK_BYTES}:{MEMLOCK_BYTES}"));
    if packages::is_root() {
        confined.args(["unshare", "--mount", "--propagation", "private", "sh", "-c", SHOW, "sh"]);
        confined.args(closed_off()?).arg("--");
        let tmp = places::target().join("tmp");
        let opened = fs::create_dir_all(&tmp).and_then(|()| fs::set_permissions(&tmp, Permissions::from_mode(0o1777)));
        opened.map_err(Failure::at(tmp.display()))?;
        confined.args(["setpriv", "--reuid", ORDINARY_USER, "--regid", ORDINARY_USER, "--clear-groups"]);
        confined.env("HOME", std::env::temp_dir());
    }
    Err(Failure::at("prlimit")(confined.args(command).exec()))
}

/// Becomes `command`, with every io_uring call answered by EPERM, as container runtimes do. Only returns if that fails.
pub(crate) fn without_uring(command: &[OsString]) -> Result<()> {
    let refused = IO_URING.map(|call| (call, Vec::new())).into();
    let arch = std::env::consts::ARCH.try_into().map_err(Failure::at("seccomp"))?;
    let eperm = SeccompAction::Errno(1);
    let filter = SeccompFilter::new(refused, SeccompAction::Allow, eperm, arch).map_err(Failure::at("seccomp"))?;
    let program: BpfProgram = filter.try_into().map_err(Failure::at("seccomp"))?;
    seccompiler::apply_filter(&program).map_err(Failure::at("seccomp"))?;
    let (program, arguments) = command.split_first().ok_or(Failure("without-uring: no command".into()))?;
    Err(Failure::at(program.display())(Command::new(program).args(arguments).exec()))
}

/// The arguments that [`SHOW`] takes, for what a test reads (think of a clone in root's home).
fn closed_off() -> Result<Vec<OsString>> {
    let root = places::root();
    let mut arguments = Vec::new();
    for path in [root.with_file_name("shared"), root, places::target(), places::cache()?] {
        if path.is_dir() && is_closed(&path) {
            let path = path.display();
            return Err(Failure(format!("{path}: closed to ordinary users; run: chmod o+rx {path}")));
        }
        if let Some(closed) = path.exists().then(|| closed_ancestor(&path)).flatten() {
            arguments.extend([closed.into_os_string(), path.into_os_string()]);
        }
    }
    Ok(arguments)
}

/// The outermost folder above `path` that others may not pass.
fn closed_ancestor(path: &Path) -> Option<PathBuf> {
    let mut above: Vec<_> = path.ancestors().skip(1).collect();
    above.reverse();
    above.into_iter().find(|dir| is_closed(dir)).map(Path::to_path_buf)
}

fn is_closed(dir: &Path) -> bool {
    dir.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o001 == 0)
}
