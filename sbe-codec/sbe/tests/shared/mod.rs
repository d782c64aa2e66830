//! The folder of schemas and captures beside the checkout. It is not part of the project, so its absence is no fault.

use std::path::{Path, PathBuf};

/// A folder of it; nothing, with a word on stderr, where it is absent.
pub(crate) fn folder(name: &str, test: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")).join(name);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED {test}: ../shared is absent");
    None
}

/// Every file below with this extension, in the order of the names.
#[allow(dead_code, reason = "not every test walks the folder")]
pub(crate) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|entry| entry.expect("the entry can be read").path())
        .flat_map(|path| if path.is_dir() { files(&path, extension) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    paths
}
