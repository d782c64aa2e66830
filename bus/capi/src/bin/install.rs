//! Installs the C library: `cargo run --release -p oyez-capi --bin oyez-capi-install -- /usr/local`.
//!
//! Headers, `liboyez.so` with SONAME and symbol versions, `liboyez.a`, and what pkg-config and CMake look for. All of it
//! may be moved to another prefix as a whole. Beside Rust it takes only the C compiler that Rust itself links with.
#![forbid(unsafe_code)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const MAJOR: &str = env!("CARGO_PKG_VERSION_MAJOR");
/// Its number changes with what breaks programs, whatever the version is.
const SONAME: &str = "liboyez.so.0";
/// What the library needs of the system, as `rustc --print native-static-libs` names it, but for what is in libc now.
const PRIVATE: &str = "-lgcc_s -lpthread -lm -ldl -lc";

fn main() -> ExitCode {
    let Some(prefix) = std::env::args_os().nth(1) else {
        eprintln!("oyez-capi-install: no prefix; name the folder to install to, such as /usr/local");
        return ExitCode::from(2);
    };
    match install(Path::new(&prefix)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oyez-capi-install: {error}");
            ExitCode::from(2)
        }
    }
}

fn install(prefix: &Path) -> Result<(), String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let [include, lib] = ["include", "lib"].map(|folder| prefix.join(folder));
    let [pkgconfig, cmake] = ["pkgconfig", "cmake/Oyez"].map(|folder| lib.join(folder));
    for folder in [&include, &pkgconfig, &cmake] {
        fs::create_dir_all(folder).map_err(at(folder))?;
    }
    for header in ["oyez.h", "oyez.hpp"] {
        copy(&here.join("include").join(header), &include.join(header))?;
    }
    let archive = lib.join("liboyez.a");
    copy(&built()?, &archive)?;
    link(&archive, &here.join("package/oyez.map"), &lib)?;
    for (template, folder) in [
        ("oyez.pc", &pkgconfig),
        ("OyezConfig.cmake", &cmake),
        ("OyezConfigVersion.cmake", &cmake),
        ("Oyez-shared.cmake", &cmake),
        ("Oyez-static.cmake", &cmake),
    ] {
        fill(&here.join("package").join(template), &folder.join(template))?;
    }
    println!("installed oyez {VERSION} in {}", prefix.display());
    Ok(())
}

/// Cargo builds the archive with this program, into the same folder.
fn built() -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(at(Path::new("oyez-capi-install")))?;
    let folder = this.parent().unwrap_or(Path::new("."));
    let archive = folder.join("deps/liboyez_capi.a");
    match archive.exists() {
        true => Ok(archive),
        false => Err(format!("{}: absent; run this by `cargo run`, which builds it", archive.display())),
    }
}

/// The shared library is the archive, with SONAME, the symbols of the map and no others.
fn link(archive: &Path, map: &Path, lib: &Path) -> Result<(), String> {
    let file = format!("liboyez.so.{VERSION}");
    let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    compiler.arg("-shared").arg("-o").arg(lib.join(&file)).arg(format!("-Wl,-soname,{SONAME}"));
    compiler.arg(format!("-Wl,--version-script={}", map.display()));
    // A program may close the library while the thread of a connection is still at its end: its code stays.
    compiler.args(["-Wl,--gc-sections", "-Wl,-z,relro,-z,now,-z,defs,-z,nodelete", "-Wl,--whole-archive"]);
    compiler.arg(archive).arg("-Wl,--no-whole-archive").args(PRIVATE.split(' '));
    let output = compiler.output().map_err(at(Path::new("cc")))?;
    if !output.status.success() {
        return Err(format!("{compiler:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    for (link, target) in [(SONAME, file.as_str()), ("liboyez.so", SONAME)] {
        let link = lib.join(link);
        // Of an earlier installation.
        let _ = fs::remove_file(&link);
        symlink(target, &link).map_err(at(&link))?;
    }
    Ok(())
}

fn fill(template: &Path, target: &Path) -> Result<(), String> {
    let text = fs::read_to_string(template).map_err(at(template))?;
    let text = text.replace("@VERSION@", VERSION).replace("@MAJOR@", MAJOR);
    let text = text.replace("@SONAME@", SONAME).replace("@PRIVATE@", PRIVATE);
    fs::write(target, text).map_err(at(target))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to).map(|_| ()).map_err(at(from))
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}; see whether it may be written, and try again")
}
