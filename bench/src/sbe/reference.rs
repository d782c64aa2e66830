//! The reference implementation: fetched by Maven, checked against its pinned checksum, and made into programs.

use crate::failure::Failure;
use crate::tool::{self, run};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Checksum and name, as the gate pins them; where the gate keeps it, it is found.
const PINNED: &str = include_str!("../../../tools/xtask/sbe/jars.sha256");
const VERSION: &str = "1.38.1";

/// Its jar, fetched into the cache if it is not there yet.
///
/// # Errors
/// [`Failure::Tool`].
pub(super) fn jar() -> Result<PathBuf, Failure> {
    let step = "bring the reference implementation";
    let refused = |error: std::io::Error| Failure::refused::<std::io::Error>(step)(error);
    let cache = tool::cache(step)?.join(format!("sbe-all-{VERSION}"));
    let name = format!("sbe-all-{VERSION}.jar");
    let jar = cache.join(&name);
    if !jar.exists() {
        let above = cache.parent().unwrap_or(&cache);
        fs::create_dir_all(above).map_err(refused)?;
        let partial = tempfile::tempdir_in(above).map_err(refused)?;
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"]);
        maven.arg(format!("-Dartifact=uk.co.real-logic:sbe-all:{VERSION}"));
        maven.arg(format!("-DoutputDirectory={}", partial.path().display()));
        run(step, &mut maven)?;
        // A folder of the final name is complete.
        fs::rename(partial.keep(), &cache).map_err(refused)?;
    }
    let bytes = fs::read(&jar).map_err(refused)?;
    let found: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if PINNED.trim() == format!("{found}  {name}") {
        return Ok(jar);
    }
    let jar = jar.display();
    let what = format!("{jar}: SHA-256 is {found}, pinned is {PINNED}; remove its folder to have it fetched again");
    Err(Failure::Tool { step, what })
}

fn java(jar: &Path) -> Command {
    let mut java = Command::new("java");
    java.args(["--add-opens", "java.base/jdk.internal.misc=ALL-UNNAMED", "-cp"]).arg(jar);
    java
}

/// The C++ program: as fast as the compiler makes it for this machine, bounds checked.
///
/// # Errors
/// [`Failure::Tool`].
pub(super) fn build(jar: &Path, root: &Path, schemas: &[PathBuf], folder: &Path) -> Result<PathBuf, Failure> {
    let include = folder.join("include");
    for schema in schemas {
        let mut tool = java(jar);
        tool.arg("-Dsbe.target.language=cpp").arg(format!("-Dsbe.output.dir={}", include.display()));
        run("generate C++", tool.arg("uk.co.real_logic.sbe.SbeTool").arg(schema))?;
    }
    let program = folder.join("driver");
    let mut compiler = Command::new("g++");
    compiler.args(["-O3", "-march=native", "-std=c++17", "-I"]).arg(include).arg("-o").arg(&program);
    run("compile the C++ side", compiler.arg(root.join("bench/sbe/driver.cpp")))?;
    Ok(program)
}

/// The printer, in need of its arguments.
pub(super) fn printer(jar: &Path, root: &Path) -> Command {
    let mut printer = java(jar);
    printer.arg(root.join("bench/sbe/Printer.java"));
    printer
}
