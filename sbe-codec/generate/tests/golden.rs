//! The generated source itself: golden files, which the other tests compile. `OYEZ_BLESS=1` writes them anew: then what
//! users have generated changes, and so does the changelog.

use std::process::Command;

use oyez_sbe::Schema;
use oyez_sbe_generate::{Options, generate};

const GROWN_XML: &str = include_str!("schemas/grown.xml");

/// Every golden file, and the code that it should hold.
fn golden_files() -> [(&'static str, String); 3] {
    let code = |xml: &str| {
        let schema = Schema::parse(xml, "golden.xml").expect("it is sound");
        generate(&schema, &Options::default())
    };
    let big_endian =
        GROWN_XML.replace("littleEndian", "bigEndian").replace("package=\"grown\"", "package=\"grown.big\"");
    [
        ("oyez_sample.rs", code(oyez_sample::SCHEMA_XML)),
        ("grown.rs", code(GROWN_XML)),
        ("grown_big.rs", code(&big_endian)),
    ]
}

fn path(name: &str) -> String {
    format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_code_is_that_of_the_golden_files() {
    for (name, code) in golden_files() {
        if std::env::var_os("OYEZ_BLESS").is_some() {
            std::fs::write(path(name), &code).expect("the golden file can be written");
        }
        let golden = std::fs::read_to_string(path(name)).expect("the golden file is there");
        let first = code.lines().zip(golden.lines()).position(|(code, golden)| code != golden);
        assert!(code == golden, "{name} differs, first at line index {first:?}");
    }
}

#[test]
fn rustfmt_leaves_the_code_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("the file can be written");
    // rustfmt's defaults, and not this workspace's, whose lines are longer.
    write("rustfmt.toml", "");
    let files = golden_files();
    files.iter().for_each(|(name, code)| write(name, code));
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.current_dir(&folder).args(["--check", "--edition", "2024"]).args(files.iter().map(|(name, _)| name));
    match rustfmt.output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => eprintln!("SKIPPED rustfmt_leaves_the_code_as_it_is: no rustfmt: {error}"),
    }
}
