//! System programs that tests need and a bare machine may lack.

use crate::child::{self, End};
use crate::failure::{Failure, Result};
use crate::jars;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Package {
    /// Its name on Debian and Ubuntu.
    name: &'static str,
    program: &'static str,
    why: &'static str,
}

const PACKAGES: &[Package] = &[
    Package { name: "make", program: "make", why: "builds the Kafka client library" },
    Package { name: "default-jdk-headless", program: "java", why: "runs the real Kafka and the reference SBE tool" },
    Package { name: "maven", program: "mvn", why: "fetches the real Kafka and the reference SBE tool" },
    Package { name: "python3-venv", program: "python3", why: "the Kafka client that is not ours" },
    Package { name: "strace", program: "strace", why: "counts a publisher's system calls" },
    CPP_COMPILER,
    Package { name: "systemd", program: "systemd-analyze", why: "checks the services' units, and runs them" },
    Package { name: "e2fsprogs", program: "mkfs.ext4", why: "small file systems to fill up" },
    Package { name: "pkg-config", program: "pkg-config", why: "finds the C library as its users do" },
    Package { name: "cmake", program: "cmake", why: "finds the C library as its users do" },
    Package { name: "valgrind", program: "valgrind", why: "runs programs against the C library" },
    Package { name: "spin", program: "spin", why: "searches the model of owners and take-over" },
    Package { name: "abigail-tools", program: "abidiff", why: "compares the C ABI with the one before" },
];

const CPP_COMPILER: Package =
    Package { name: "g++", program: "g++", why: "builds the reference C++ codecs and libFuzzer" };

const CLANG: Package = Package { name: "clang", program: "clang", why: "reads the headers of the benchmarks' peers" };

impl Package {
    fn is_missing(&self) -> bool {
        match self.program {
            "python3" => python().is_none(),
            // The reference tool's end is run from its source, which needs the compiler.
            "java" => find("javac").is_none(),
            "mvn" => find("mvn").is_none() && !(jars::KAFKA.are_here() && jars::SBE.are_here()),
            program => find(program).is_none(),
        }
    }
}

/// Installs what is missing where that is possible and allowed; returns one line for each thing still missing.
pub(crate) fn bring(install: bool) -> Result<Vec<String>> {
    bring_of(PACKAGES, install)
}

/// Installs a C++ compiler where there is none.
pub(crate) fn bring_cpp() -> Result<()> {
    bring_of(&[CPP_COMPILER], true)?.pop().map_or(Ok(()), |missing| Err(Failure(missing)))
}

/// Installs what the benchmarks' peers take beyond all that; the line of what is still missing.
pub(crate) fn bring_clang() -> Result<Vec<String>> {
    bring_of(&[CLANG], true)
}

fn bring_of(packages: &[Package], install: bool) -> Result<Vec<String>> {
    let missing: Vec<_> = packages.iter().filter(|package| package.is_missing()).collect();
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<_> = missing.iter().map(|package| package.name).collect();
    let command = format!("apt-get install -y --no-install-recommends {}", names.join(" "));
    if install && is_root() && find("apt-get").is_some() {
        for package in &missing {
            println!("installing {}: {}", package.name, package.why);
        }
        apt(&command);
    }
    let absent = missing.iter().filter(|package| package.is_missing());
    Ok(absent
        .map(|package| format!("{}: not installed ({}); run: sudo {command}", package.name, package.why))
        .collect())
}

/// Refuses to go on without a program, and names the remedy.
pub(crate) fn need(program: &str) -> Result<()> {
    match PACKAGES.iter().find(|package| package.program == program && package.is_missing()) {
        Some(Package { name, why, .. }) => {
            Err(Failure(format!("{program}: not installed ({why}); run: sudo apt-get install -y {name}")))
        }
        None => Ok(()),
    }
}

/// A failure shows itself: it prints, and the packages stay missing.
fn apt(install: &str) {
    for command in ["apt-get update -q", install] {
        let mut apt = child::bounded(900, "sh");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(["-c", command]);
        if !matches!(child::show(apt, |_| ()), Ok(End::Succeeded)) {
            println!("`{command}` failed");
        }
    }
}

/// Where a program is: on the path, or among those of the system, which an ordinary user's path leaves out.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    dirs.map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// A Python that can make virtual environments: the system's first, since every user can run that one.
pub(crate) fn python() -> Option<PathBuf> {
    let candidates = [Some(Path::new("/usr/bin/python3").to_path_buf()), find("python3")];
    candidates.into_iter().flatten().find(|python| {
        let check = Command::new(python).args(["-c", "import venv, ensurepip"]).output();
        check.is_ok_and(|output| output.status.success())
    })
}

/// Whether this process may do what root may.
pub(crate) fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    uids.split_whitespace().nth(1) == Some("0")
}
