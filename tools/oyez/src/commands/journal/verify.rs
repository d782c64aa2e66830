//! `oyez journal verify`: every block against its checksum, every message into the digest.

use std::fmt::{Display, Formatter};
use std::path::Path;

use indicatif::HumanCount;
use oyez_journal::{Folder, Verification, hex};
use serde::Serialize;

use super::{Place, journals};
use crate::failure::{Answer, Failure};
use crate::output::Output;
use crate::progress::Progress;

/// What one journal has shown.
#[derive(Serialize)]
struct Verified {
    topic: String,
    partition: u16,
    journal: String,
    messages: u64,
    message_bytes: u64,
    first_sequence: Option<u64>,
    last_sequence: Option<u64>,
    digest: String,
    /// It has segments; those of a topic that is not recorded have none.
    recorded: bool,
    /// Everything read is known to be durable: no later power cut takes it away.
    durable: bool,
    corrupt: Vec<Range>,
    torn: Option<Range>,
}

/// Positions, half-open.
#[derive(Serialize)]
struct Range {
    from: u64,
    to: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
}

pub(super) fn run(data: &Path, topic: Option<&str>, output: &mut Output) -> Result<Answer, Failure> {
    let mut places = journals(data)?;
    if let Some(topic) = topic {
        let names: Vec<_> = places.iter().map(|place| place.topic.clone()).collect();
        places.retain(|place| place.topic == topic);
        if places.is_empty() {
            return Err(
                format!("{}: no journal of topic {topic}; there are {}", data.display(), names.join(", ")).into()
            );
        }
    }
    let mut all_well = true;
    for place in places {
        let verified = Verified::of(place)?;
        all_well &= verified.corrupt.is_empty();
        output.value(&verified)?;
        output.flush()?;
    }
    Ok(Answer::of(all_well))
}

impl Verified {
    fn of(Place { topic, partition, dir }: Place) -> Result<Verified, Failure> {
        let folder = Folder::open(&dir)?;
        let recorded = !folder.segment_bases()?.is_empty();
        let mut progress = Progress::new(format!("verifying {topic}/{partition}"), "bytes");
        let verification = folder.verify(&mut |done, all| progress.set(done, all))?;
        let Verification { messages, message_bytes, first, last, digest, corrupt, torn, .. } = verification;
        let corrupt = corrupt.iter().map(|found| Range {
            from: found.from.0,
            to: found.to.0,
            cause: Some(found.cause.to_string()),
        });
        Ok(Verified {
            topic,
            partition,
            journal: folder.id().to_string(),
            messages,
            message_bytes,
            first_sequence: first.map(|first| first.0),
            last_sequence: last.map(|last| last.0),
            digest: hex(&digest),
            recorded,
            durable: recorded && folder.durable() >= folder.end().position,
            corrupt: corrupt.collect(),
            torn: torn.map(|torn| Range { from: torn.start.0, to: torn.end.0, cause: None }),
        })
    }
}

impl Display for Verified {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Verified { topic, partition, messages, digest, .. } = self;
        if !self.recorded {
            return write!(out, "{topic}/{partition}: nothing is recorded");
        }
        write!(out, "{topic}/{partition}: {} messages", HumanCount(*messages))?;
        if let (Some(first), Some(last)) = (self.first_sequence, self.last_sequence) {
            write!(out, ", sequences {first} to {last}")?;
        }
        write!(
            out,
            ", {}, digest {digest}",
            if self.durable { "all durable" } else { "the end not known to be durable" }
        )?;
        for Range { from, to, cause } in &self.corrupt {
            let cause = cause.as_deref().unwrap_or_default();
            write!(out, "\n  CORRUPT: positions {from} to {to} ({cause}); restore that range from a lane")?;
        }
        if let Some(Range { from, to, .. }) = &self.torn {
            write!(
                out,
                "\n  torn tail: positions {from} to {to}, never durable; the broker cuts it off when it starts"
            )?;
        }
        Ok(())
    }
}
