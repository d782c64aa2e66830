//! `oyez sbe diff`: what a new version of a schema means for those who have the old one.

use std::path::Path;

use oyez_sbe::{Change, Schema, diff};
use serde::Serialize;

use crate::args::Format;
use crate::failure::{Answer, Failure};
use crate::output::{Output, Table};

/// One difference.
#[derive(Serialize)]
struct Told<'a> {
    place: &'a str,
    change: &'static str,
    old: &'a str,
    new: &'a str,
    readers: bool,
    writers: bool,
    reason: &'static str,
}

/// All of them.
#[derive(Serialize)]
struct Verdict {
    old_version: u16,
    new_version: u16,
    changes: usize,
    readers: bool,
    writers: bool,
    compatible: bool,
}

pub(super) fn run(old: &Path, new: &Path, output: &mut Output) -> Result<Answer, Failure> {
    let (old, new) = (Schema::load(old)?, Schema::load(new)?);
    let diff = diff(&old, &new);
    let told: Vec<_> = diff.changes.iter().map(Told::of).collect();
    let (readers, writers) = (diff.readers(), diff.writers());
    let compatible = readers && writers;
    let (old_version, new_version) = (old.version, new.version);
    let verdict = Verdict { old_version, new_version, changes: told.len(), readers, writers, compatible };
    match output.format {
        Format::Json => {
            told.iter().try_for_each(|told| output.json(told))?;
            output.json(&verdict)?;
        }
        Format::Text => text(&told, &verdict, output)?,
    }
    Ok(Answer::of(compatible))
}

impl<'a> Told<'a> {
    fn of(change: &'a Change) -> Told<'a> {
        let Change { place, kind, old, new, readers, writers, reason } = change;
        Told { place, change: kind.name(), old, new, readers: *readers, writers: *writers, reason }
    }
}

fn text(told: &[Told<'_>], verdict: &Verdict, output: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new(["READERS", "WRITERS", "CHANGE", "PLACE", "OLD", "NEW", "REASON"]);
    for Told { place, change, old, new, readers, writers, reason } in told {
        table.row([yes(*readers), yes(*writers), change, place, old, new, reason].map(str::to_owned));
    }
    output.table(&table)?;
    let Verdict { old_version, new_version, changes, readers, writers, .. } = verdict;
    let (readers, writers) = (yes(*readers), yes(*writers));
    output.line(format_args!(
        "version {old_version} to {new_version}, {changes} changes: compatible for readers {readers}, for writers {writers}"
    ))
}

fn yes(compatible: bool) -> &'static str {
    if compatible { "yes" } else { "no" }
}
