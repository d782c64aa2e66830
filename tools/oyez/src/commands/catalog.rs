//! `oyez catalog`: what a catalog declares, and what a running broker makes of it.

mod mermaid;

use std::fmt::{Display, Formatter};
use std::path::Path;
use std::time::Duration;

use indicatif::BinaryBytes;
use oyez::BusError;
use oyez_broker::catalog::Catalog;
use oyez_broker::plan::Plan;
use serde::Serialize;

use super::{connect_for, doctor};
use crate::args::{CatalogArgs, Format};
use crate::failure::{Answer, Failure};
use crate::output::{Output, note};

/// How long the broker may take: it compiles schemas, and opens the journals of new topics.
const READ_MAX: Duration = Duration::from_secs(60);

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
    let cpus = doctor::cpus_there();
    for cpu in catalog.cores.iter().filter(|cpu| !cpus.is_empty() && !cpus.contains(cpu)) {
        note(format_args!(
            "{}: broker.cores: no CPU {cpu} on this machine; there the broker would not start",
            path.display()
        ));
    }
    output.value(&Declared {
        catalog: path.display().to_string(),
        topics: catalog.topics.len(),
        partitions: catalog.topics.iter().map(|topic| u64::from(topic.partitions)).sum(),
        lanes: catalog.topics.iter().map(|topic| topic.lanes.len()).sum(),
        memory_bytes: catalog.memory_bytes + catalog.areas_bytes,
        disk_bytes: catalog.disk_bytes,
        broker: catalog.name,
    })?;
    Ok(Answer::Yes)
}

/// The same as a drawing.
pub(crate) fn draw(path: &Path, output: &mut Output) -> Result<Answer, Failure> {
    output.value(&mermaid::Drawing::of(&Catalog::load(path)?))?;
    Ok(Answer::Yes)
}

/// What would come of a catalog at the running broker; with `apply`, what came of it.
pub(crate) fn plan(args: &CatalogArgs, apply: bool, output: &mut Output) -> Result<Answer, Failure> {
    let told = connect_for(&args.broker, READ_MAX)?.plan_catalog(&args.catalog, apply).map_err(unanswered)?;
    let plan: Plan = serde_json::from_str(&told).map_err(|error| {
        format!("the broker tells of its catalog in words unknown here: {error}; upgrade the older one")
    })?;
    if let Some(problem) = plan.problem {
        return Err(problem.into());
    }
    match output.format {
        Format::Json => output.json(&plan)?,
        Format::Text => print(&plan, output)?,
    }
    if apply && !plan.applied {
        note(format_args!(
            "{}: the broker's next start reads this file; put the former one back, unless it is to take that",
            plan.catalog
        ));
    }
    Ok(Answer::of(plan.is_appliable()))
}

/// A broker that has not answered may do so yet.
fn unanswered(error: BusError) -> Failure {
    match error {
        BusError::Timeout { socket, timeout_ms, .. } => format!(
            "the broker at {socket} has not told within {timeout_ms} ms what comes of the catalog, and may take it yet; see its \
             log, then ask with `oyez catalog plan`: no difference means that it was taken"
        )
        .into(),
        error => error.into(),
    }
}

fn print(plan: &Plan, output: &mut Output) -> Result<(), Failure> {
    plan.changes.iter().try_for_each(|change| output.line(change))?;
    let (catalog, count) = (&plan.catalog, plan.changes.len());
    let refused = plan.changes.iter().filter(|change| change.refused.is_some()).count();
    match (count, refused) {
        (0, _) => output.line(format_args!("{catalog}: no difference")),
        (_, 0) if plan.applied => output.line(format_args!("{catalog}: applied, differences {count}")),
        (_, 0) => output.line(format_args!("{catalog}: differences {count}; `oyez catalog apply` makes them, from the file that the broker was started with")),
        _ => output.line(format_args!("{catalog}: differences {count}, refused {refused}: nothing is applied")),
    }
}

impl Display for Declared {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Declared { catalog, broker, topics, partitions, lanes, memory_bytes, disk_bytes } = self;
        let (memory, disk) = (BinaryBytes(*memory_bytes), BinaryBytes(*disk_bytes));
        write!(out, "{catalog}: good. Broker {broker}, topics {topics}, partitions {partitions}, lanes {lanes}; ")?;
        write!(out, "rings and readers' areas take up to {memory} of memory, journals at least {disk} of disk")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_not_answered_is_told_that_the_catalog_may_be_taken_yet() {
        let (request, socket) = ("what would come of a catalog", "/run/oyez/bus.sock".to_owned());
        let told = unanswered(BusError::Timeout { request, socket, timeout_ms: 60_000 }).to_string();
        assert!(told.contains("bus.sock") && told.contains("60000 ms") && told.contains("may take it yet"), "{told}");
        assert!(told.contains("`oyez catalog plan`") && !told.contains("Connect::timeout"), "{told}");
    }
}
