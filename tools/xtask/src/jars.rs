//! Pinned files from Maven Central: fetched by Maven, checked against their checksums before each use.

use crate::child;
use crate::failure::{Failure, Result};
use crate::{packages, places};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A folder of files that belong together.
pub(crate) struct Jars {
    name: &'static str,
    version: &'static str,
    /// A line for each file: checksum and name, as `sha256sum` prints them.
    pinned: &'static str,
    /// What Maven is asked, but for where to put the files; words separated by spaces.
    goal: &'static str,
}

/// Apache Kafka.
pub(crate) const KAFKA: Jars = Jars {
    name: "kafka",
    version: "4.3.1",
    pinned: include_str!("../kafka/jars.sha256"),
    goal: "dependency-plugin:3.8.1:copy-dependencies -f tools/xtask/kafka/pom.xml -Dkafka.version=4.3.1 \
           -DincludeScope=runtime",
};

/// The reference implementation of SBE.
pub(crate) const SBE: Jars = Jars {
    name: "sbe-all",
    version: "1.38.1",
    pinned: include_str!("../sbe/jars.sha256"),
    goal: "dependency-plugin:3.8.1:copy -Dartifact=uk.co.real-logic:sbe-all:1.38.1",
};

impl Jars {
    /// The folder of the jars, fetched if it is not there yet.
    pub(crate) fn bring(&self) -> Result<PathBuf> {
        let dir = self.dir()?;
        if !dir.exists() {
            self.fetch(&dir)?;
        }
        verify(&dir, self.pinned)?;
        Ok(dir)
    }

    /// Whether they were fetched before.
    pub(crate) fn are_here(&self) -> bool {
        self.dir().is_ok_and(|dir| dir.exists())
    }

    fn dir(&self) -> Result<PathBuf> {
        Ok(places::cache()?.join(format!("{}-{}", self.name, self.version)))
    }

    /// Fetches into a folder beside it and renames: a folder of the final name is complete.
    fn fetch(&self, dir: &Path) -> Result<()> {
        packages::need("mvn")?;
        println!("fetching {} {} into {}", self.name, self.version, dir.display());
        let partial = dir.with_file_name(format!("{}-{}.partial-{}", self.name, self.version, std::process::id()));
        let mut maven = child::bounded(900, "mvn");
        maven.args(["-q", "-B"]).current_dir(places::root());
        maven.args(format!("org.apache.maven.plugins:maven-{}", self.goal).split_whitespace());
        maven.arg(format!("-DoutputDirectory={}", partial.display()));
        let fetched = child::quiet(maven).and_then(|()| verify(&partial, self.pinned));
        if fetched.is_err() {
            let _ = fs::remove_dir_all(&partial);
            return fetched;
        }
        match fs::rename(&partial, dir) {
            // Another run was faster; what it left is verified like any other.
            Err(_) if dir.exists() => fs::remove_dir_all(&partial).map_err(Failure::at(partial.display())),
            renamed => renamed.map_err(Failure::at(dir.display())),
        }
    }
}

/// Checks that the folder holds exactly the pinned files.
fn verify(dir: &Path, pinned: &str) -> Result<()> {
    let remedy = "remove the folder to have it fetched again";
    let mut unknown: BTreeSet<_> = names(dir)?;
    for line in pinned.lines() {
        let (expected, name) =
            line.split_once("  ").ok_or_else(|| Failure(format!("pinned: {line}: no two columns")))?;
        let path = dir.join(name);
        let found = sha256(&path).map_err(|error| Failure(format!("{}: {error}; {remedy}", path.display())))?;
        if found != expected {
            let path = path.display();
            return Err(Failure(format!("{path}: SHA-256 is {found}, pinned is {expected}; {remedy}")));
        }
        unknown.remove(name);
    }
    match unknown.first() {
        None => Ok(()),
        Some(name) => Err(Failure(format!("{}: not a pinned file; {remedy}", dir.join(name).display()))),
    }
}

fn names(dir: &Path) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(dir).map_err(Failure::at(dir.display()))?;
    Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// The checksum in the form that `sha256sum` prints.
pub(crate) fn sha256(path: &Path) -> io::Result<String> {
    Ok(Sha256::digest(fs::read(path)?).iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae  a.jar";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, bytes)| fs::write(dir.path().join(name), bytes).unwrap());
        dir
    }

    fn refusal(files: &[(&str, &str)]) -> String {
        verify(folder(files).path(), ONE).unwrap_err().to_string()
    }

    #[test]
    fn only_the_pinned_bytes_pass() {
        verify(folder(&[("a.jar", "foo")]).path(), ONE).unwrap();
        assert!(refusal(&[("a.jar", "fop")]).contains("a.jar: SHA-256 is"));
        assert!(refusal(&[]).contains("a.jar: No such file"));
        assert!(refusal(&[("a.jar", "foo"), ("b.jar", "")]).contains("b.jar: not a pinned file"));
    }
}
