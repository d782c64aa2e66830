//! The header and the map of symbols say the same as the code.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::Path;

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("a file of this crate")
}

/// The words of a text that begin with `prefix`.
fn words(text: &str, prefix: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with(prefix)).map(str::to_owned).collect()
}

/// The functions that the header declares: what stands before an opening bracket, at no indent.
fn functions(header: &str) -> BTreeSet<String> {
    let lines = header.lines().filter(|line| !line.starts_with([' ', '#', '/', '}']) && !line.starts_with("typedef"));
    let declared = lines.filter_map(|line| Some(line.split_once('(')?.0.rsplit([' ', '*']).next()?.to_owned()));
    declared.filter(|name| name.starts_with("oyez_")).collect()
}

/// `OYEZ_BLESS=1` writes it anew. What programs were compiled with changes then: only additions are allowed.
#[test]
fn the_header_is_golden() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut made = Vec::new();
    cbindgen::generate(here).expect("a header").write(&mut made);
    let made = String::from_utf8(made).expect("UTF-8");
    let path = here.join("include/oyez.h");
    if std::env::var_os("OYEZ_BLESS").is_some() {
        std::fs::write(&path, &made).expect("written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(made == kept, "{} is not what the code says; look at the difference, then OYEZ_BLESS=1", path.display());
}

#[test]
fn every_function_is_exported_and_stands_in_the_table_of_threads() {
    let header = file("include/oyez.h");
    let declared = functions(&header);
    assert!(declared.len() > 30 && declared.contains("oyez_publisher_offer"), "{declared:?}");
    assert_eq!(words(&file("package/oyez.map"), "oyez_"), declared);
    let (_, table) = header.split_once("THREADS.").expect("a table");
    let table = table.split("FORK.").next().expect("its end");
    assert_eq!(words(table, "oyez_"), declared);
    assert_eq!(table.matches("oyez_").count(), declared.len(), "each once");
}
