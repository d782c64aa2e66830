//! `cargo xtask controls`: negative controls as mutations of the source, so that the product carries no switches.
//!
//! `controls.toml` names a place in the code, what to put there, and the test that must then fail. The mutation is made
//! in a copy of the tree, which keeps its build folder between runs. A test that was red before proves nothing, nor does
//! code that no longer compiles: both count against the control.

use crate::child::{self, End};
use crate::failure::{Failure, Result};
use crate::places;
use crate::tally::Tally;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One way to break the code, and the test that must see it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Control {
    pub(crate) name: String,
    /// Path below the clone's top.
    file: PathBuf,
    /// Must occur exactly once in the file.
    find: String,
    replace: String,
    /// The arguments of `cargo test`, separated by spaces.
    test: String,
    #[serde(default)]
    env: BTreeMap<String, String>,
    pub(crate) why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Controls {
    #[serde(default)]
    control: Vec<Control>,
}

/// For one build, and for one run of a test.
const LIMIT_S: u32 = 900;

/// Reads `controls.toml`.
pub(crate) fn read() -> Result<Vec<Control>> {
    let path = places::root().join("tools/xtask/controls.toml");
    let text = fs::read_to_string(&path).map_err(Failure::at(path.display()))?;
    let controls: Controls = toml::from_str(&text).map_err(Failure::at(path.display()))?;
    Ok(controls.control)
}

/// Checks that each control still finds its place: true if all do.
pub(crate) fn fit() -> Result<bool> {
    let mut all = true;
    for control in read()? {
        if let Err(failure) = control.mutated(&places::root()) {
            println!("{failure}");
            all = false;
        }
    }
    Ok(all)
}

/// Runs these controls, or all of them for none: true if each turned its test red.
pub(crate) fn run(names: &[String]) -> Result<bool> {
    let mut controls = read()?;
    if let Some(unknown) = names.iter().find(|name| !controls.iter().any(|control| control.name == **name)) {
        return Err(Failure(format!("{unknown}: no such control; `cargo xtask controls --list` names them")));
    }
    controls.retain(|control| names.is_empty() || names.contains(&control.name));
    let tree = Tree { source: places::root(), copy: places::target().join("controls/tree") };
    tree.lay(&tracked(&tree.source)?)?;
    judge_all(&tree, &controls)
}

fn judge_all(tree: &Tree, controls: &[Control]) -> Result<bool> {
    let mut green = BTreeSet::new();
    let mut all = true;
    for control in controls {
        let verdict = match green.contains(&(&control.test, &control.env)) || tree.is_green(control)? {
            true => {
                green.insert((&control.test, &control.env));
                tree.judge(control)?
            }
            false => Verdict::NotGreenBefore,
        };
        println!("{:<24} {:<28} cargo test {}", verdict.text(), control.name, control.test);
        all &= verdict == Verdict::Red;
    }
    Ok(all)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Red,
    StaysGreen,
    NotGreenBefore,
    DoesNotCompile,
    DoesNotFit,
}

impl Verdict {
    fn text(self) -> &'static str {
        match self {
            Verdict::Red => "red",
            Verdict::StaysGreen => "STAYS GREEN",
            Verdict::NotGreenBefore => "NOT GREEN BEFORE",
            Verdict::DoesNotCompile => "DOES NOT COMPILE",
            Verdict::DoesNotFit => "DOES NOT FIT",
        }
    }
}

impl Control {
    /// The file's text, and the same with the control's change.
    fn mutated(&self, root: &Path) -> Result<(String, String)> {
        let path = root.join(&self.file);
        let text = fs::read_to_string(&path).map_err(Failure::at(format!("{}: {}", self.name, path.display())))?;
        match text.matches(&self.find).count() {
            1 => Ok((text.clone(), text.replacen(&self.find, &self.replace, 1))),
            count => {
                let (name, file) = (&self.name, self.file.display());
                Err(Failure(format!(
                    "{name}: `find` occurs {count} times in {file}; change controls.toml to fit the code"
                )))
            }
        }
    }
}

/// The copy in which mutations are made.
struct Tree {
    source: PathBuf,
    copy: PathBuf,
}

impl Tree {
    /// Makes the copy equal to the source. Files that are equal already are left alone, for the sake of their time.
    fn lay(&self, files: &BTreeSet<PathBuf>) -> Result<()> {
        let list = self.copy.with_extension("files");
        let laid = fs::read_to_string(&list).unwrap_or_default();
        for gone in laid.lines().map(Path::new).filter(|path| !files.contains(*path)) {
            let _ = fs::remove_file(self.copy.join(gone));
        }
        for file in files {
            let (from, to) = (self.source.join(file), self.copy.join(file));
            let bytes = fs::read(&from).map_err(Failure::at(from.display()))?;
            if fs::read(&to).ok().as_ref() != Some(&bytes) {
                let dir = to.parent().expect("a file in the copy has a folder");
                fs::create_dir_all(dir).map_err(Failure::at(dir.display()))?;
                fs::write(&to, bytes).map_err(Failure::at(to.display()))?;
            }
        }
        let names: Vec<_> = files.iter().map(|path| path.display().to_string()).collect();
        fs::write(&list, names.join("\n")).map_err(Failure::at(list.display()))
    }

    /// Whether the test passes, and is there at all, before anything is broken. What it printed is shown indented, so that
    /// nobody counts it as a test of the gate.
    fn is_green(&self, control: &Control) -> Result<bool> {
        let mut tally = Tally::default();
        let mut printed = String::new();
        let end = child::run(self.cargo(control, &control.test), |line| {
            tally.read(line);
            printed = format!("{printed}    {line}\n");
        })?;
        let green = end == End::Succeeded && tally.passed() > 0;
        if !green {
            print!("{printed}");
        }
        Ok(green)
    }

    fn judge(&self, control: &Control) -> Result<Verdict> {
        let Ok((text, broken)) = control.mutated(&self.copy) else { return Ok(Verdict::DoesNotFit) };
        let path = self.copy.join(&control.file);
        fs::write(&path, broken).map_err(Failure::at(path.display()))?;
        let verdict = self.judge_broken(control);
        fs::write(&path, text).map_err(Failure::at(path.display()))?;
        verdict
    }

    fn judge_broken(&self, control: &Control) -> Result<Verdict> {
        let (build, _) = control.test.split_once(" -- ").unwrap_or((&control.test, ""));
        let mut printed = String::new();
        let built = child::run(self.cargo(control, &format!("{build} --no-run")), |line| {
            printed = format!("{printed}    {line}\n");
        })?;
        if built != End::Succeeded {
            print!("{printed}");
            return Ok(Verdict::DoesNotCompile);
        }
        Ok(match child::run(self.cargo(control, &control.test), |_| ())? {
            End::Succeeded => Verdict::StaysGreen,
            End::Failed(_) => Verdict::Red,
        })
    }

    fn cargo(&self, control: &Control, arguments: &str) -> Command {
        let mut cargo = child::bounded(LIMIT_S, "cargo");
        cargo.arg("test").args(arguments.split_whitespace()).current_dir(&self.copy);
        cargo.env("CARGO_TARGET_DIR", self.copy.with_file_name("target")).envs(&control.env);
        cargo
    }
}

/// What git knows or would know of the working tree, as it lies there now.
fn tracked(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let output = git.output().map_err(Failure::at("git"))?;
    if !output.status.success() {
        return Err(Failure(format!("git: {}", String::from_utf8_lossy(&output.stderr).trim_end())));
    }
    let names = String::from_utf8(output.stdout).map_err(Failure::at("git ls-files"))?;
    let files = names.split_terminator('\0').map(PathBuf::from);
    Ok(files.filter(|file| root.join(file).is_file()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "pub fn double(n: u32) -> u32 { n + n }\npub fn unused() {}\n\
                        #[test] fn doubles() { assert_eq!(double(3), 6) }\n\
                        #[test] fn red() { panic!() }\n";

    /// A crate of one file, and its copy.
    fn tree(dir: &Path) -> Tree {
        let tree = Tree { source: dir.join("source"), copy: dir.join("copy/tree") };
        fs::create_dir(&tree.source).unwrap();
        let manifest = "[package]\nname = \"fixture\"\nedition = \"2024\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n";
        fs::write(tree.source.join("Cargo.toml"), manifest).unwrap();
        fs::write(tree.source.join("lib.rs"), CODE).unwrap();
        tree.lay(&["Cargo.toml", "lib.rs"].map(PathBuf::from).into()).unwrap();
        tree
    }

    fn control(find: &str, replace: &str, test: &str) -> Control {
        let toml = format!(
            "[[control]]\nname = \"c\"\nfile = \"lib.rs\"\nfind = \"{find}\"\nreplace = \"{replace}\"\n\
             test = \"{test}\"\nwhy = \"w\""
        );
        toml::from_str::<Controls>(&toml).unwrap().control.remove(0)
    }

    #[test]
    fn each_verdict_is_reached_and_the_copy_is_whole_again() {
        let dir = tempfile::tempdir().unwrap();
        let tree = tree(dir.path());
        let verdict = |find, replace| tree.judge(&control(find, replace, "-q --lib doubles")).unwrap();
        assert_eq!(verdict("n + n", "n + 1"), Verdict::Red);
        assert_eq!(verdict("n + n", "n * 2"), Verdict::StaysGreen);
        assert_eq!(verdict("n + n", "n +"), Verdict::DoesNotCompile);
        assert_eq!(verdict("u32", "u64"), Verdict::DoesNotFit);
        assert_eq!(verdict("n - n", ""), Verdict::DoesNotFit);
        assert_eq!(fs::read_to_string(tree.copy.join("lib.rs")).unwrap(), CODE);
    }

    #[test]
    fn only_a_test_that_was_green_before_can_judge() {
        let dir = tempfile::tempdir().unwrap();
        let tree = tree(dir.path());
        let good = [control("n + n", "n + 1", "-q --lib doubles")];
        assert!(judge_all(&tree, &good).unwrap());
        assert!(!judge_all(&tree, &[control("n + n", "n + 1", "-q --lib red")]).unwrap());
        assert!(!judge_all(&tree, &[control("n + n", "n + 1", "-q --lib no_such_test")]).unwrap());
    }

    #[test]
    fn what_is_gone_from_the_source_goes_from_the_copy() {
        let dir = tempfile::tempdir().unwrap();
        let tree = tree(dir.path());
        tree.lay(&["lib.rs"].map(PathBuf::from).into()).unwrap();
        assert!(tree.copy.join("lib.rs").exists() && !tree.copy.join("Cargo.toml").exists());
    }
}
