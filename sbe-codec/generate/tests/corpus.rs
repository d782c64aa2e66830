//! The code of every sound schema of the corpus compiles without a warning, and rustfmt has nothing to say.

#[path = "../../sbe/tests/shared/mod.rs"]
mod shared;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use oyez_sbe::Schema;
use oyez_sbe_generate::{Options, generate};

#[test]
fn the_code_of_every_schema_compiles_without_warnings() {
    let Some(root) = shared::folder("schemas", "corpus") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut modules = BTreeSet::new();
    for path in shared::files(&root, "xml") {
        let Ok(schema) = Schema::load(&path) else { continue };
        let name =
            path.strip_prefix(&root).expect("it was found there").with_extension("").to_string_lossy().into_owned();
        let module: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
        let module = format!("schema_{module}");
        // Every second one is generated as for a venue that hides its versions.
        let options = Options::default().partial_blocks(modules.len() % 2 == 1);
        write(folder.path(), &format!("src/{module}.rs"), &generate(&schema, &options));
        modules.insert(module);
    }
    println!("schemas: {}", modules.len());
    assert!(modules.len() >= 117, "{}", modules.len());
    let declared: String = modules.iter().map(|module| format!("/// One.\npub mod {module};\n")).collect();
    write(folder.path(), "src/lib.rs", &format!("//! All.\n#![no_std]\n#![deny(warnings, missing_docs)]\n{declared}"));
    write(folder.path(), "Cargo.toml", &manifest());
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("corpus");
    run(
        Command::new(env!("CARGO"))
            .arg("check")
            .arg("--offline")
            .env("CARGO_TARGET_DIR", target)
            .env("CARGO_INCREMENTAL", "0"),
        folder.path(),
    );
    let rustfmt = Command::new("rustfmt").arg("--version").stdout(Stdio::null()).status();
    match rustfmt.is_ok_and(|status| status.success()) {
        true => run(Command::new("rustfmt").args(["--check", "--edition", "2024", "src/lib.rs"]), folder.path()),
        false => eprintln!("SKIPPED rustfmt of the corpus: there is no rustfmt"),
    }
}

fn manifest() -> String {
    let runtime = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime");
    format!(
        "[package]\nname = \"corpus\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [dependencies]\noyez-sbe-runtime = {{ path = {runtime:?} }}\n\n[workspace]\n"
    )
}

fn run(command: &mut Command, folder: &Path) {
    let output = command.current_dir(folder).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let head: Vec<_> = text.lines().take(120).collect();
    assert!(output.status.success(), "{command:?}:\n{}", head.join("\n"));
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("it has one")).expect("the folder can be made");
    std::fs::write(path, text).expect("the file can be written");
}
