//! The schemas of venues and of other tools' tests: which are read, which are refused, and why.

mod shared;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oyez_sbe::{Fault, Schema};

/// Parts that other files include. They are no schemas themselves.
const PARTS: [&str; 4] = [
    "fix/v2-0-rc3/messages-include.xml",
    "fix/v2-0-rc3/types-include.xml",
    "real-logic/samples/common-types.xml",
    "real-logic/test/sub/sub2/common.xml",
];

/// Negative to the tool that they come from, and read here on purpose.
const ACCEPTED: [(&str, &str); 3] = [
    ("real-logic/test/error-handler-since-version.xml", "B3 and CME put newer fields before older ones"),
    ("real-logic/test/issue567-invalid.xml", "a count of 32 bits is beyond Java's arrays only"),
    (
        "sbepp/sbeppc_errors/sbe_checker_errors/constant_message_header_schemaId_ref.xml",
        "the reference tool's own basic-schema-constant-header-field.xml does it",
    ),
];

#[test]
fn schemas_as_venues_write_them_are_read_and_broken_ones_refused_at_their_line() {
    let Some(root) = shared::folder("schemas", "corpus") else { return };
    let mut counts = BTreeMap::new();
    for path in xml_files(&root) {
        let name = path.strip_prefix(&root).expect("it was found there").to_string_lossy().into_owned();
        let outcome = outcome(&name, &path);
        *counts.entry(outcome).or_insert(0) += 1;
    }
    println!("schemas by outcome: {counts:?}");
    let expected = [("accepted though negative elsewhere", 3), ("part of another", 4), ("read", 117), ("refused", 228)];
    assert_eq!(counts, BTreeMap::from(expected));
}

fn outcome(name: &str, path: &Path) -> &'static str {
    let negative = ["sbeppc_errors/", "error-handler-", "-invalid."].iter().any(|mark| name.contains(mark));
    let accepted = ACCEPTED.iter().any(|(file, _)| *file == name);
    match Schema::load(path) {
        Ok(_) if accepted => "accepted though negative elsewhere",
        Ok(_) if negative => panic!("{name} is broken and was read"),
        Ok(_) => "read",
        Err(error) if PARTS.contains(&name) => {
            assert!(matches!(error.fault, Fault::NotASchema { .. }), "{error}");
            "part of another"
        }
        Err(error) => {
            assert!(negative && !accepted, "{name} is sound and was refused: {error}");
            assert!(error.line > 0 && error.column > 0, "{error}");
            "refused"
        }
    }
}

/// Every file below, in the order of the names.
fn xml_files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|entry| entry.expect("the entry can be read").path())
        .flat_map(|path| if path.is_dir() { xml_files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
        .collect();
    paths.sort();
    paths
}
