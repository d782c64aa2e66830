//! `oyez sbe generate`: to a file, to stdout, and refused.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn generate(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oyez"));
    command.current_dir(folder).args(["sbe", "generate"]).args(args).output().expect("it runs")
}

#[test]
fn the_code_goes_to_a_file_or_to_stdout() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("sample.xml"), oyez_sample::SCHEMA_XML).expect("a file");
    let schema = oyez_sbe::Schema::parse(oyez_sample::SCHEMA_XML, "sample.xml").expect("it is sound");
    let options = oyez_sbe_generate::Options::default();

    let written = generate(folder.path(), &["sample.xml", "--out", "sample.rs"]);
    let said = String::from_utf8_lossy(&written.stdout);
    assert!(said.starts_with("sample.rs: 6 messages of oyez.sample, version 0, in "), "{written:?}");
    let code = fs::read_to_string(folder.path().join("sample.rs")).expect("it is there");
    assert_eq!(code, oyez_sbe_generate::generate(&schema, &options));

    let printed = generate(folder.path(), &["sample.xml", "--out", "-", "--partial-blocks"]);
    let partial = oyez_sbe_generate::generate(&schema, &options.partial_blocks(true));
    assert!(printed.status.success() && printed.stdout == partial.as_bytes() && partial != code);

    let refused = generate(folder.path(), &["sample.xml", "--out", "absent/sample.rs"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!((refused.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.starts_with("oyez: absent/sample.rs: cannot write: ") && said.contains("; name a file"), "{said}");
}
