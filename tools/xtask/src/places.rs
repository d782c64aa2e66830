//! Where things are: the clone, its build folder, the cache outside the clone, scratch space.

use crate::failure::{Failure, Result};
use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The clone's top folder.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("xtask is two folders below the clone's top").to_path_buf()
}

/// Cargo's build folder.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Where downloads are kept between runs and clones.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    Ok(base.ok_or(Failure("cache: neither HOME nor XDG_CACHE_HOME is set; set one".into()))?.join("oyez"))
}

/// A folder for one run's files, open to every user as `/tmp` is, and removed with the value.
///
/// Below `/var/tmp`, because `/tmp` may be a tmpfs, where nothing can be durable.
pub(crate) struct Scratch(PathBuf);

const SCRATCH_PREFIX: &str = "oyez-xtask-";

impl Scratch {
    /// Makes the folder, and removes those of runs that were killed before they could.
    pub(crate) fn new() -> Result<Scratch> {
        let base = Path::new("/var/tmp");
        sweep(base);
        let dir = base.join(format!("{SCRATCH_PREFIX}{}", std::process::id()));
        fs::create_dir(&dir).map_err(Failure::at(dir.display()))?;
        let scratch = Scratch(dir);
        fs::set_permissions(&scratch.0, Permissions::from_mode(0o1777)).map_err(Failure::at(scratch.0.display()))?;
        Ok(scratch)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("xtask: {}: {error}; remove it by hand", self.0.display());
        }
    }
}

/// Best effort: what belongs to another user stays.
fn sweep(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(SCRATCH_PREFIX));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
