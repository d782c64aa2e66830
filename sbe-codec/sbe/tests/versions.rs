//! The versions of venues' schemas, each beside the one before: docs/guide/sbe-versions.md.
//!
//! `OYEZ_BLESS=1` writes the page anew.

mod shared;

use std::path::{Path, PathBuf};

use oyez_sbe::{Diff, Schema, diff};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/sbe-versions.md");

const HEAD: &str = "# SBE: versions of venues' schemas, step by step

What `oyez sbe diff` says of each pair of consecutive versions: whether readers of the old schema read what is written by
the new one, whether readers of the new one read what was written by the old one, how many changes there are, and in how
many places which change breaks which side. The rules are in [sbe.md](sbe.md). Written by a test; the schemas are the
venues'.
";

/// A feed's name, and how its files begin.
const FEEDS: [(&str, &str); 4] = [
    ("Euronext Optiq, market data", "euronext-optiq/Euronext.Optiq.MarketDataGateway.Sbe."),
    ("Euronext Optiq, order entry", "euronext-optiq/Euronext.Optiq.OrderEntryGateway.Sbe."),
    ("CME MDP 3", "cme-mdp3/Cme.Futures.Mdp3.Sbe."),
    ("B3 UMDF, equities", "b3-umdf/B3.Equities.BinaryUmdf.Sbe."),
];

#[test]
fn the_page_of_versions_is_golden() {
    let Some(root) = shared::folder("schemas", "versions") else { return };
    let page = FEEDS.iter().map(|(feed, files)| section(feed, &versions(&root, files))).collect::<String>();
    let page = format!("{HEAD}{page}");
    if std::env::var_os("OYEZ_BLESS").is_some() {
        std::fs::write(PAGE, &page).expect("written");
    }
    let expected = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(page == expected, "the page has changed; look at it, then OYEZ_BLESS=1:\n{page}");
}

/// The versions of a feed, by number, with what the venue calls them.
fn versions(root: &Path, files: &str) -> Vec<(String, Schema)> {
    let name = |path: &PathBuf| {
        let name = path.strip_prefix(root).expect("it was found there").to_string_lossy().into_owned();
        Some(name.strip_prefix(files)?.strip_suffix(".xml")?.to_owned())
    };
    let folder = root.join(files).parent().expect("a folder").to_owned();
    let found = shared::files(&folder, "xml").into_iter().filter_map(|path| Some((name(&path)?, path)));
    let mut versions: Vec<_> = found.map(|(name, path)| (name, Schema::load(path).expect("it is sound"))).collect();
    versions.sort_by_key(|(_, schema)| schema.version);
    assert!(versions.len() > 1, "{files} has no versions");
    versions
}

fn section(feed: &str, versions: &[(String, Schema)]) -> String {
    let mut section = format!(
        "\n## {feed}\n\n| from | to | version | readers | writers | changes | what breaks |\n|---|---|---|---|---|---:|---|\n"
    );
    for pair in versions.windows(2) {
        let [(from, old), (to, new)] = pair else { unreachable!("windows of two") };
        let diff = diff(old, new);
        let yes = |compatible| if compatible { "yes" } else { "**no**" };
        section += &format!(
            "| {from} | {to} | {} to {} | {} | {} | {} | {} |\n",
            old.version,
            new.version,
            yes(diff.readers()),
            yes(diff.writers()),
            diff.changes.len(),
            broken(&diff)
        );
    }
    section
}

/// The kinds of changes that break something, in how many places, and whom.
fn broken(diff: &Diff) -> String {
    let mut kinds: Vec<(&str, &str, usize)> = Vec::new();
    for change in diff.changes.iter().filter(|change| !(change.readers && change.writers)) {
        let whom = match (change.readers, change.writers) {
            (false, false) => "both",
            (false, true) => "readers",
            _ => "writers",
        };
        match kinds.iter_mut().find(|(kind, other, _)| (*kind, *other) == (change.kind.name(), whom)) {
            Some((.., count)) => *count += 1,
            None => kinds.push((change.kind.name(), whom, 1)),
        }
    }
    kinds.iter().map(|(kind, whom, count)| format!("{kind} {count} ({whom})")).collect::<Vec<_>>().join(", ")
}
