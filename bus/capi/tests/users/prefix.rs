//! The library, installed once for all tests, and what compiles and runs programs against it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// Where everything of the package is.
pub(crate) fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The prefix it is installed in; those of runs that are over are swept.
pub(crate) fn prefix() -> &'static Path {
    const NAME: &str = "oyez-capi-prefix-";
    static PREFIX: LazyLock<PathBuf> = LazyLock::new(|| {
        let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
        for entry in std::fs::read_dir(all).expect("a folder").flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.strip_prefix(NAME));
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                // Another run may be faster.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let prefix = all.join(format!("{NAME}{}", std::process::id()));
        done(Command::new(env!("CARGO_BIN_EXE_oyez-capi-install")).arg(&prefix));
        prefix
    });
    &PREFIX
}

/// Whether these programs are there; else says that the test is skipped.
pub(crate) fn has(test: &str, programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &&&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    match programs.iter().find(|program| !is_there(program)) {
        Some(missing) => {
            eprintln!("SKIPPED {test}: {missing} is not installed");
            false
        }
        None => true,
    }
}

/// What a program that must end well, and in time, writes to its standard output.
#[track_caller]
pub(crate) fn done(command: &mut Command) -> String {
    let output = bounded(command).stdin(Stdio::null()).output().expect("it runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// The same, ended after a while.
pub(crate) fn bounded(command: &Command) -> Command {
    let mut timed = Command::new("timeout");
    timed.args(["--kill-after=1", "180"]).arg(command.get_program()).args(command.get_args());
    timed.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        timed.current_dir(folder);
    }
    timed
}

/// Compiles one source file in its language's strictest form, and links it with the shared library of the prefix, which
/// the program then finds by itself.
#[track_caller]
pub(crate) fn compile(source: &Path, program: &Path, flags: &[&str]) {
    let lib = prefix().join("lib");
    let mut compiler = match source.extension().and_then(OsStr::to_str) {
        Some("cpp") => language("g++", "-std=c++17"),
        _ => language("gcc", "-std=c99"),
    };
    compiler.args(flags).arg("-I").arg(prefix().join("include")).arg(source).arg("-o").arg(program);
    compiler.arg("-L").arg(&lib).arg("-loyez").arg(format!("-Wl,-rpath,{}", lib.display()));
    done(&mut compiler);
}

fn language(compiler: &str, standard: &str) -> Command {
    let mut command = Command::new(compiler);
    command.args([standard, "-D_POSIX_C_SOURCE=200809L", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1", "-g"]);
    command
}

/// Python with the package, and with the library of the prefix.
pub(crate) fn python(script: &Path) -> Command {
    let mut python = Command::new("python3");
    python.arg(script).env("PYTHONPATH", here("python")).env("PYTHONDONTWRITEBYTECODE", "1");
    python.env("OYEZ_LIBRARY", prefix().join("lib/liboyez.so.0"));
    python
}

/// Under valgrind, which ends with 99 where it finds an error or a leak.
pub(crate) fn under_valgrind(program: &Path) -> Command {
    let kinds = "definite,indirect,possible";
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["-q", "--error-exitcode=99", "--leak-check=full"]).arg(format!("--show-leak-kinds={kinds}"));
    valgrind.arg(format!("--errors-for-leak-kinds={kinds}"));
    valgrind.arg(format!("--suppressions={}", here("tests/users/valgrind.supp").display())).arg(program);
    valgrind
}
