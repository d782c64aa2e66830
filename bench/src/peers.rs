//! The peers: what a user would take instead. They are compiled into a program of their own, this harness with the
//! feature `peers`, and only when a run asks for them: nothing else that is built here builds Aeron or iceoryx2.

use crate::failure::Failure;
use crate::tool;
use std::convert::Infallible;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Whether this is the program that has them.
pub(crate) const HERE: bool = cfg!(feature = "peers");

const STEP: &str = "compile the peers";
/// What compiling them takes, and the package of Debian and Ubuntu that has it.
const COMPILERS: [(&str, &str); 4] = [("cc", "gcc"), ("c++", "g++"), ("make", "make"), ("clang", "clang")];
/// The least version of CMake that Aeron asks for, and the one that is fetched where it is older.
const CMAKE_LEAST: (u32, u32) = (3, 30);
/// With the checksums of its files.
const CMAKE_PINNED: &str = "bench/cmake.txt";
const CMAKE_FETCHED: &str = "cmake-3.31.10";

/// Compiles the program that has the peers, and becomes it, with the same arguments. Comes back only with a failure.
///
/// # Errors
/// [`Failure::Tool`], [`Failure::Refused`].
pub(crate) fn hand_over() -> Result<Infallible, Failure> {
    let program = compile()?;
    let error = Command::new(program).args(std::env::args_os().skip(1)).exec();
    Err(Failure::refused("run the program with the peers")(error))
}

fn compile() -> Result<PathBuf, Failure> {
    let missing = COMPILERS.iter().find(|(program, _)| tool::version(program).is_none());
    if let Some((program, package)) = missing {
        return Err(needed(format!("there is no {program}"), package));
    }
    let target = tool::target()?;
    let program = target.join("release/oyez-bench-peers");
    if !program.exists() {
        eprintln!("oyez-bench: compiling Aeron and iceoryx2, which takes minutes the first time");
    }
    let mut cargo = tool::cargo_build(&target);
    cargo.args(["--package", "oyez-bench", "--features", "peers", "--bin", "oyez-bench-peers"]);
    tool::run(STEP, cargo.env("CMAKE", cmake()?))?;
    Ok(program)
}

fn needed(what: String, package: &str) -> Failure {
    Failure::Tool { step: STEP, what: format!("{what}; run: sudo apt-get install -y {package}") }
}

/// A CMake that is new enough: the system's, or else one in a virtual environment of Python in the cache.
fn cmake() -> Result<PathBuf, Failure> {
    let version = tool::version("cmake").unwrap_or_default();
    if version.strip_prefix("cmake version ").and_then(least) >= Some(CMAKE_LEAST) {
        return Ok("cmake".into());
    }
    let folder = tool::cache(STEP)?.join(CMAKE_FETCHED);
    let ready = folder.join("ready");
    if !ready.exists() {
        let mut python = Command::new("python3");
        let made = tool::run(STEP, python.args(["-m", "venv", "--clear"]).arg(&folder));
        made.map_err(|failure| needed(failure.to_string(), "python3-venv"))?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "-q", "--require-hashes", "--only-binary=:all:", "-r"]);
        tool::run(STEP, pip.arg(tool::root().join(CMAKE_PINNED)))?;
        std::fs::write(&ready, "").map_err(Failure::refused("write that CMake is there"))?;
    }
    Ok(folder.join("bin/cmake"))
}

/// The first two numbers of a version.
fn least(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}
