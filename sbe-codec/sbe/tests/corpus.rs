//! The schemas of venues and of other tools' tests: which are read, which are refused, and why.

mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use oyez_sbe::{Fault, Schema, Strictness, Warning};

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
    let mut outcomes = BTreeMap::new();
    let mut warnings: BTreeMap<_, (usize, BTreeSet<String>)> = BTreeMap::new();
    for path in shared::files(&root, "xml") {
        let name = path.strip_prefix(&root).expect("it was found there").to_string_lossy().into_owned();
        let (outcome, found) = outcome(&name, &path);
        *outcomes.entry(outcome).or_insert(0) += 1;
        for warning in found {
            let (count, files) = warnings.entry(warning.deviation.name()).or_default();
            *count += 1;
            files.insert(name.clone());
        }
    }
    println!("schemas by outcome: {outcomes:?}");
    for (name, (count, files)) in warnings {
        println!("warning {name}: {count} in {} schemas", files.len());
    }
    let expected = [
        ("accepted though negative elsewhere", 3),
        ("part of another", 4),
        ("read", 19),
        ("read with warnings", 98),
        ("refused", 228),
    ];
    assert_eq!(outcomes, BTreeMap::from(expected));
}

fn outcome(name: &str, path: &Path) -> (&'static str, Vec<Warning>) {
    let negative = ["sbeppc_errors/", "error-handler-", "-invalid."].iter().any(|mark| name.contains(mark));
    let accepted = ACCEPTED.iter().any(|(file, _)| *file == name);
    match Schema::load_with(path, Strictness::Lenient) {
        Ok((_, warnings)) => {
            let strict = Schema::load_with(path, Strictness::Strict).map_err(|error| error.fault);
            let first = warnings.first().map(|warning| Fault::Deviation(warning.deviation.clone()));
            assert_eq!(strict.err(), first, "{name}: the strict reading refuses the first warning, and nothing else");
            match () {
                () if accepted => ("accepted though negative elsewhere", warnings),
                () if negative => panic!("{name} is broken and was read"),
                () if warnings.is_empty() => ("read", warnings),
                () => ("read with warnings", warnings),
            }
        }
        Err(error) if PARTS.contains(&name) => {
            assert!(matches!(error.fault, Fault::NotASchema { .. }), "{error}");
            ("part of another", Vec::new())
        }
        Err(error) => {
            assert!(negative && !accepted, "{name} is sound and was refused: {error}");
            assert!(error.line > 0 && error.column > 0, "{error}");
            ("refused", Vec::new())
        }
    }
}
