//! `oyez tail`: messages as the topic's schema shows them, and events of the stream in between.

use oyez::{Event, EventKind, GapCause, Idle, Message};
use serde_json::{Value, json};

use super::connect;
use super::messages::{Decoder, schemas};
use crate::args::{Format, Partitions, TailArgs};
use crate::failure::{Answer, Failure};
use crate::output::{Output, note};

/// Events taken at a time.
const POLL_EVENTS: u64 = 256;

pub(crate) fn run(args: TailArgs, output: &mut Output) -> Result<Answer, Failure> {
    let bus = connect(&args.broker)?;
    let info = bus.describe(&args.topic)?;
    let schemas = schemas(&bus, &info)?;
    if schemas.is_none() {
        note(format_args!("topic {}: it has no schema, so messages are shown in hexadecimal", args.topic));
    }
    let mut decoder = Decoder::new(schemas);
    let (builder, start) = (bus.subscriber(), args.from.0);
    // Of a topic that has but one partition, too, where all were asked for: a script reads the same form for each topic.
    let tells_partition = !matches!(&args.partition, Partitions::Some(partitions) if partitions.len() == 1);
    let builder = match args.partition {
        Partitions::All => builder.all_partitions(&args.topic, start),
        Partitions::Some(partitions) => builder.partitions(&args.topic, partitions, start),
    };
    let mut subscriber = builder.open()?;
    let (mut idle, mut left) = (Idle::default(), args.messages.unwrap_or(u64::MAX));
    while left > 0 {
        let mut printed = Ok(());
        let given = subscriber.poll(left.min(POLL_EVENTS) as usize, |event| {
            left -= u64::from(matches!(event.kind, EventKind::Message(_)));
            if printed.is_ok() {
                printed = print(&event, tells_partition, &mut decoder, output);
            }
        })?;
        printed?;
        if given == 0 {
            output.flush()?;
        }
        idle.rest(given);
    }
    Ok(Answer::Yes)
}

/// In JSON the partition is always told, as text where there are several.
fn print(event: &Event<'_>, tells: bool, decoder: &mut Decoder, output: &mut Output) -> Result<(), Failure> {
    let partition = event.partition;
    let place = if tells { format!("{partition}/") } else { String::new() };
    match (event.kind, output.format) {
        (EventKind::Message(message), Format::Json) => {
            let Message { epoch, sequence, time_ns, .. } = message;
            let origin = message.origin.map_or_else(String::new, |origin| {
                format!(r#","publisher":{},"number":{}"#, origin.publisher(), origin.number())
            });
            let json = decoder.json(message.bytes);
            // The schema's own JSON as it is: parsing it again would only cost.
            output.line(format_args!(
                r#"{{"partition":{partition},"epoch":{epoch},"sequence":{sequence},"time_ns":{time_ns}{origin},"message":{json}}}"#
            ))
        }
        (EventKind::Message(message), Format::Text) => {
            let time = humantime::format_rfc3339_nanos(
                std::time::UNIX_EPOCH + std::time::Duration::from_nanos(message.time_ns),
            );
            output.line(format_args!("{place}{} {time} {}", message.sequence, decoder.json(message.bytes)))
        }
        (kind, Format::Json) => {
            let mut told = json(kind);
            told["partition"] = partition.into();
            output.json(&told)
        }
        (kind, Format::Text) => output.line(format_args!("-- {place}{}", text(kind))),
    }
}

fn json(event: EventKind<'_>) -> Value {
    match event {
        EventKind::Epoch { epoch, sequence, .. } => json!({"event": "Epoch", "epoch": epoch.0, "sequence": sequence.0}),
        EventKind::Lapped { sequence } => json!({"event": "Lapped", "sequence": sequence.0}),
        EventKind::CaughtUp { sequence } => json!({"event": "CaughtUp", "sequence": sequence.0}),
        EventKind::Gap { from, to, cause } => {
            json!({"event": "Gap", "from": from.0, "to": to.0, "cause": cause_word(cause)})
        }
        EventKind::Rewound { from, to } => json!({"event": "Rewound", "from": from.0, "to": to.0}),
        other => json!({"event": format!("{other:?}")}),
    }
}

fn text(event: EventKind<'_>) -> String {
    match event {
        EventKind::Epoch { epoch, sequence, .. } => format!("Epoch {epoch}: a new owner, from sequence {sequence} on"),
        EventKind::Lapped { sequence } => format!("Lapped at sequence {sequence}: the ring has gone past it"),
        EventKind::CaughtUp { sequence } => format!("CaughtUp: sequence {sequence} comes next"),
        EventKind::Gap { from, to, cause } => {
            format!("Gap: sequences {from} up to, not including, {to} are not to be had ({})", cause_word(cause))
        }
        EventKind::Rewound { from, to } => {
            format!("Rewound from sequence {from} to {to}: after a power cut, what lay between never happened")
        }
        other => format!("{other:?}"),
    }
}

fn cause_word(cause: GapCause) -> &'static str {
    match cause {
        GapCause::Lapped => "lapped",
        GapCause::Retention => "retention",
        GapCause::Corrupt => "corrupt",
        GapCause::Lost => "lost",
        _ => "unknown",
    }
}
