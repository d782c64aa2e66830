//! The generated source itself: golden files, which the other tests compile. `OYEZ_BLESS=1` writes them anew: then what
//! users have generated changes, and so does the changelog.

use std::path::Path;
use std::process::Command;

use oyez_sbe::Schema;
use oyez_sbe_generate::{Options, generate};

const GROWN_XML: &str = include_str!("schemas/grown.xml");
const PROTOCOL_XML: &str = include_str!("../../../bus/protocol/oyez-protocol.xml");

/// Every golden file, seen from this crate's folder, and the code that it should hold. The last one is compiled into
/// client and broker; it is written from here, and not from a test of their own, since they may not compile without it.
fn golden_files() -> [(&'static str, String); 4] {
    let code = |xml: &str| {
        let schema = Schema::parse(xml, "golden.xml").expect("it is sound");
        generate(&schema, &Options::default())
    };
    let big_endian =
        GROWN_XML.replace("littleEndian", "bigEndian").replace("package=\"grown\"", "package=\"grown.big\"");
    [
        ("tests/golden/oyez_sample.rs", code(oyez_sample::SCHEMA_XML)),
        ("tests/golden/grown.rs", code(GROWN_XML)),
        ("tests/golden/grown_big.rs", code(&big_endian)),
        ("../../bus/protocol/src/generated/oyez_protocol.rs", code(PROTOCOL_XML)),
    ]
}

#[test]
fn the_code_is_that_of_the_golden_files() {
    for (name, code) in golden_files() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        if std::env::var_os("OYEZ_BLESS").is_some() {
            std::fs::write(&path, &code).expect("the golden file can be written");
        }
        let golden = std::fs::read_to_string(&path).expect("the golden file is there");
        let first = code.lines().zip(golden.lines()).position(|(code, golden)| code != golden);
        assert!(code == golden, "{name} differs, first at line index {first:?}; OYEZ_BLESS=1 writes it anew");
    }
}

#[test]
fn rustfmt_leaves_the_code_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    // rustfmt's defaults, and not this workspace's, whose lines are longer.
    std::fs::write(folder.path().join("rustfmt.toml"), "").expect("the file can be written");
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--check", "--edition", "2024"]);
    for (name, code) in golden_files() {
        let path = folder.path().join(Path::new(name).file_name().expect("it has a name"));
        std::fs::write(&path, code).expect("the file can be written");
        rustfmt.arg(path);
    }
    match rustfmt.output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => eprintln!("SKIPPED rustfmt_leaves_the_code_as_it_is: no rustfmt: {error}"),
    }
}
