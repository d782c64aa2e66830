//! A Python with the Kafka client that is not ours, in a virtual environment in the cache.

use crate::child;
use crate::failure::{Failure, Result};
use crate::{jars, packages, places};
use std::fs;
use std::path::{Path, PathBuf};

/// The interpreter, made ready if it is not there yet. A change of the pinned requirements makes another one.
pub(crate) fn bring() -> Result<PathBuf> {
    let requirements = places::root().join("tools/xtask/kafka/requirements.txt");
    let pinned = jars::sha256(&requirements).map_err(Failure::at(requirements.display()))?;
    let dir = places::cache()?.join(format!("python-{}", &pinned[..12]));
    let ready = dir.join("ready");
    if !ready.exists() {
        make(&dir, &requirements)?;
        fs::write(&ready, "").map_err(Failure::at(ready.display()))?;
    }
    Ok(dir.join("bin/python"))
}

/// pip refuses every file whose checksum is not in the requirements.
fn make(dir: &Path, requirements: &Path) -> Result<()> {
    packages::need("python3")?;
    println!("fetching the Kafka client for Python into {}", dir.display());
    let mut venv = child::bounded(300, packages::python().expect("just found"));
    venv.args(["-m", "venv", "--clear"]).arg(dir);
    child::quiet(venv)?;
    let mut pip = child::bounded(600, dir.join("bin/python"));
    pip.args(["-m", "pip", "install", "-q", "--require-hashes", "--only-binary=:all:", "-r"]).arg(requirements);
    child::quiet(pip)
}
