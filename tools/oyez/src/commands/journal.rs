//! `oyez journal list|verify|dump`: journals as they are on disk; no broker is asked.

mod dump;
mod verify;

use std::fs;
use std::path::{Path, PathBuf};

use indicatif::BinaryBytes;
use oyez_journal::Folder;
use serde::Serialize;

use crate::args::{Format, JournalCommand};
use crate::failure::{Answer, Failure};
use crate::output::Output;

pub(crate) fn run(command: JournalCommand, output: &mut Output) -> Result<Answer, Failure> {
    match command {
        JournalCommand::List { data } => list(&data, output),
        JournalCommand::Verify { data, topic } => verify::run(&data, topic.as_deref(), output.whoever_reads()),
        JournalCommand::Dump(args) => dump::run(args, output),
    }
}

/// One partition's journal: where it is, and whose.
struct Place {
    topic: String,
    partition: u16,
    dir: PathBuf,
}

/// The journals in a data folder, by topic and partition: `<data>/<topic>/<partition>/journal`.
fn journals(data: &Path) -> Result<Vec<Place>, Failure> {
    let mut places = Vec::new();
    for topic in names(data)? {
        let Ok(partitions) = names(&data.join(&topic)) else { continue };
        for partition in partitions.iter().filter_map(|name| name.parse().ok()) {
            let dir = data.join(&topic).join(u16::to_string(&partition));
            if dir.join("journal").exists() {
                places.push(Place { topic: topic.clone(), partition, dir });
            }
        }
    }
    places.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    if places.is_empty() {
        return Err(format!(
            "{}: no journal in this folder; name the folder that the catalog calls `data`",
            data.display()
        )
        .into());
    }
    Ok(places)
}

fn names(dir: &Path) -> Result<Vec<String>, Failure> {
    let place =
        |error| format!("{}: cannot list: {error}; name the folder that the catalog calls `data`", dir.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(place)? {
        names.extend(entry.map_err(place)?.file_name().into_string());
    }
    Ok(names)
}

/// A journal as its index tells it.
#[derive(Serialize)]
struct Listed {
    topic: String,
    partition: u16,
    journal: String,
    epochs: u64,
    segments: u64,
    segment_bytes: u64,
    earliest: u64,
    end: u64,
    durable: u64,
    next_sequence: u64,
}

fn list(data: &Path, output: &mut Output) -> Result<Answer, Failure> {
    let mut listed = Vec::new();
    for Place { topic, partition, dir } in journals(data)? {
        let folder = Folder::open(&dir)?;
        let bases = folder.segment_bases()?;
        let (segments, earliest) = (bases.len() as u64, bases.first().map_or(0, |base| base.0));
        let (journal, epochs) = (folder.id().to_string(), folder.epochs().iter().count() as u64);
        let (segment_bytes, durable, end) = (folder.segment_bytes(), folder.durable().0, folder.end());
        let (end, next_sequence) = (end.position.0, end.sequence.0);
        listed.push(Listed {
            topic,
            partition,
            journal,
            epochs,
            segments,
            segment_bytes,
            earliest,
            end,
            durable,
            next_sequence,
        });
    }
    if output.format == Format::Json {
        output.json(&listed)?;
        return Ok(Answer::Yes);
    }
    let width = listed.iter().map(|journal| journal.topic.len()).max().unwrap_or(0).max("TOPIC".len());
    let heads = ("TOPIC", "PARTITION", "JOURNAL", "EPOCHS", "SEGMENTS", "SIZE", "NEXT SEQUENCE");
    let (topic, partition, journal, epochs, segments, size, next) = heads;
    output.line(format_args!(
        "{topic:width$}  {partition:>9}  {journal:16}  {epochs:>6}  {segments:>8}  {size:>10}  {next:>13}"
    ))?;
    for Listed { topic, partition, journal, epochs, segments, earliest, end, next_sequence, .. } in &listed {
        let size = BinaryBytes(end.saturating_sub(*earliest)).to_string();
        output.line(format_args!(
            "{topic:width$}  {partition:>9}  {journal:16}  {epochs:>6}  {segments:>8}  {size:>10}  {next_sequence:>13}"
        ))?;
    }
    Ok(Answer::Yes)
}
