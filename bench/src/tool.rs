//! Programs that a run needs beside itself: they are looked for, fetched or compiled when it begins.

use crate::failure::Failure;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The clone's top folder, which has the sources of what is compiled for a run.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it lies in the clone").to_path_buf()
}

/// Where cargo put this program, and others beside it.
///
/// # Errors
/// [`Failure::Refused`].
pub(crate) fn target() -> Result<PathBuf, Failure> {
    let program = env::current_exe().map_err(Failure::refused("find this program"))?;
    Ok(program.ancestors().nth(2).unwrap_or(&program).to_path_buf())
}

/// A release build of the clone into this folder, in need of the package's name.
pub(crate) fn cargo_build(target: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--release", "--locked", "--manifest-path"]).arg(root().join("Cargo.toml"));
    cargo.arg("--target-dir").arg(target);
    cargo
}

/// Where this project keeps what it fetched.
///
/// # Errors
/// [`Failure::Tool`].
pub(crate) fn cache(step: &'static str) -> Result<PathBuf, Failure> {
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    let what = "neither HOME nor XDG_CACHE_HOME is set; set one".to_owned();
    Ok(base.ok_or(Failure::Tool { step, what })?.join("oyez"))
}

/// Runs a program to its end.
///
/// # Errors
/// [`Failure::Tool`] with the end of what it said.
pub(crate) fn run(step: &'static str, command: &mut Command) -> Result<(), Failure> {
    let output = command.output().map_err(|error| failed(step, command, &error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<_> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let what = lines[lines.len().saturating_sub(3)..].join(" | ");
    Err(Failure::Tool { step, what: format!("{}: {what}", command.get_program().display()) })
}

/// The failure of a program that did not even start.
pub(crate) fn failed(step: &'static str, command: &Command, error: &std::io::Error) -> Failure {
    let what = format!("{}: {error}; install it, or leave out --peers", command.get_program().display());
    Failure::Tool { step, what }
}

/// The first line of what a program says of its version.
pub(crate) fn version(program: impl AsRef<std::ffi::OsStr>) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}
