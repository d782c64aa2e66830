//! The folder of schemas and captures beside the checkout. It is not part of the project, so its absence is no fault.

use std::path::PathBuf;

/// A folder of it; nothing, with a word on stderr, where it is absent.
pub(crate) fn folder(name: &str, test: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")).join(name);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED {test}: ../shared is absent");
    None
}
