//! `oyez journal dump`: the frames of one journal, one a line.

use oyez_journal::Folder;
use oyez_ring::{Epoch, Frame, Kind};
use oyez_sbe::{Schema, Schemas};
use serde_json::json;

use super::{Place, journals};
use crate::args::{DumpArgs, Format, JournalFrom};
use crate::commands::messages::{Decoder, hex};
use crate::failure::{Answer, Failure};
use crate::output::Output;

pub(super) fn run(args: DumpArgs, output: &mut Output) -> Result<Answer, Failure> {
    let places = journals(&args.data)?;
    let place = places.into_iter().find(|place| place.topic == args.topic && place.partition == args.partition);
    let Some(Place { dir, .. }) = place else {
        let (data, topic, partition) = (args.data.display(), &args.topic, args.partition);
        return Err(format!("{data}: no journal of topic {topic}, partition {partition}; `oyez journal list {data}` shows those there are").into());
    };
    let schemas = args.schemas.iter().map(Schema::load).collect::<Result<Vec<_>, _>>()?;
    let mut decoder = Decoder::new((!schemas.is_empty()).then(|| Schemas::new(schemas)).transpose()?);
    let folder = Folder::open(&dir)?;
    let end = folder.end().position;
    let mut reader = folder.reader()?;
    let in_journal = |error| format!("{}: {error}", dir.display());
    match args.from {
        JournalFrom::Earliest => {}
        JournalFrom::Sequence(sequence) => reader.seek_sequence(sequence, end).map_err(in_journal)?,
        JournalFrom::Position(position) => reader.seek(position),
    }
    for _ in 0..args.frames.unwrap_or(u64::MAX) {
        let Some(frame) = reader.poll(end).map_err(in_journal)? else { break };
        let epoch = folder.epochs().of(frame.position).map_or(Epoch(0), |start| start.epoch);
        print(&frame, epoch, &mut decoder, output)?;
    }
    Ok(Answer::Yes)
}

fn print(frame: &Frame<'_>, epoch: Epoch, decoder: &mut Decoder, output: &mut Output) -> Result<(), Failure> {
    let Frame { position, kind, sequence, time_ns, origin, payload, .. } = frame;
    let (kind, payload_bytes) = (format!("{kind:?}"), payload.len());
    let shown = if frame.kind == Kind::Message {
        decoder.json(payload).to_owned()
    } else {
        json!({"_hex": hex(payload)}).to_string()
    };
    let of = |text: fn(u16, u64) -> String| origin.map_or_else(String::new, |of| text(of.publisher(), of.number()));
    output.line(match output.format {
        Format::Text => {
            let origin = of(|publisher, number| format!(" publisher {publisher} number {number}"));
            format!("{position} {kind} epoch {epoch} sequence {sequence} time_ns {time_ns}{origin} {shown}")
        }
        Format::Json => {
            let origin = of(|publisher, number| format!(r#","publisher":{publisher},"number":{number}"#));
            format!(
                r#"{{"position":{position},"kind":"{kind}","epoch":{epoch},"sequence":{sequence},"time_ns":{time_ns}{origin},"payload_bytes":{payload_bytes},"payload":{shown}}}"#
            )
        }
    })
}
