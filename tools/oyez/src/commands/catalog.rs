//! `oyez catalog check`.

use std::fmt::{Display, Formatter};
use std::path::Path;

use indicatif::BinaryBytes;
use oyez_broker::catalog::Catalog;
use serde::Serialize;

use crate::failure::{Answer, Failure};
use crate::output::Output;

/// What a good catalog declares, in short.
#[derive(Serialize)]
struct Declared {
    catalog: String,
    broker: String,
    topics: usize,
    partitions: u64,
    lanes: usize,
    memory_bytes: u64,
    disk_bytes: u64,
}

pub(crate) fn check(path: &Path, output: &mut Output) -> Result<Answer, Failure> {
    let catalog = Catalog::load(path)?;
    output.value(&Declared {
        catalog: path.display().to_string(),
        topics: catalog.topics.len(),
        partitions: catalog.topics.iter().map(|topic| u64::from(topic.partitions)).sum(),
        lanes: catalog.topics.iter().map(|topic| topic.lanes.len()).sum(),
        memory_bytes: catalog.memory_bytes,
        disk_bytes: catalog.disk_bytes,
        broker: catalog.name,
    })?;
    Ok(Answer::Yes)
}

impl Display for Declared {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Declared { catalog, broker, topics, partitions, lanes, memory_bytes, disk_bytes } = self;
        let (memory, disk) = (BinaryBytes(*memory_bytes), BinaryBytes(*disk_bytes));
        write!(out, "{catalog}: good. Broker {broker}, topics {topics}, partitions {partitions}, lanes {lanes}; ")?;
        write!(out, "rings take up to {memory} of memory, journals at least {disk} of disk")
    }
}
