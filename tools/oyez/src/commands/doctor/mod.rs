//! `oyez doctor`: what of this machine the bus would suffer from, what that costs, and what mends it.
//!
//! ```text
//!   finding.rs   what a check answers            machine.rs   what checks read: the kernel's files, the catalog
//!   cores.rs  memory.rs  io.rs  clock.rs  limits.rs: the rooms, each a table of checks
//! ```
//!
//! A check reads or tries one thing and leaves nothing behind. One that does not apply here has no finding.

mod clock;
mod cores;
mod finding;
mod io;
mod limits;
mod machine;
mod memory;

use std::collections::BTreeSet;

use oyez_broker::catalog::Catalog;
use serde::Serialize;

use crate::args::{DoctorArgs, Format};
use crate::failure::{Answer, Failure};
use crate::output::Output;
use finding::{Check, Finding, Level};
use machine::Machine;

const ROOMS: [(&str, &[Check]); 5] = [
    ("cores", cores::CHECKS),
    ("memory", memory::CHECKS),
    ("io", io::CHECKS),
    ("clock", clock::CHECKS),
    ("limits", limits::CHECKS),
];

/// All findings, as they are printed.
#[derive(Serialize)]
struct Report {
    catalog: Option<String>,
    faults: usize,
    warnings: usize,
    notes: usize,
    findings: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    room: &'static str,
    check: &'static str,
    #[serde(flatten)]
    finding: Finding,
}

/// The CPUs of this machine that are switched on; none where the kernel does not say.
pub(super) fn cpus_there() -> BTreeSet<usize> {
    Machine::new(None).cpus("sys/devices/system/cpu/online")
}

/// Only what keeps the broker from running as declared is a negative answer: a laptop is no reason to fail a script.
pub(crate) fn run(args: &DoctorArgs, output: &mut Output) -> Result<Answer, Failure> {
    let catalog = args.catalog.as_ref().map(Catalog::load).transpose()?;
    let report = examine(&Machine::new(catalog));
    match output.format {
        Format::Json => output.json(&report)?,
        Format::Text => print(&report, output)?,
    }
    Ok(Answer::of(report.faults == 0))
}

fn examine(machine: &Machine) -> Report {
    let rows = |&(room, checks): &(&'static str, &[Check])| {
        checks.iter().filter_map(move |(check, look)| Some(Row { room, check, finding: look(machine)? })).collect()
    };
    let findings: Vec<Row> = ROOMS.iter().flat_map::<Vec<Row>, _>(rows).collect();
    let count = |level| findings.iter().filter(|row| row.finding.level == level).count();
    Report {
        catalog: machine.catalog.as_ref().map(|catalog| catalog.path.display().to_string()),
        faults: count(Level::Fault),
        warnings: count(Level::Warning),
        notes: count(Level::Note),
        findings,
    }
}

fn print(report: &Report, output: &mut Output) -> Result<(), Failure> {
    let mut room = "";
    for Row { room: next, check, finding } in &report.findings {
        if room != *next {
            room = next;
            output.line(room)?;
        }
        output.line(format_args!("  {:7}  {check:13}  {}", finding.level, finding.found))?;
        if let Some(costs) = &finding.costs {
            output.line(format_args!("{:11}  costs        {costs}", ""))?;
        }
        if let Some(mend) = &finding.mend {
            output.line(format_args!("{:11}  mend         {mend}", ""))?;
        }
    }
    let Report { faults, warnings, notes, .. } = report;
    let verdict = match faults {
        0 => "nothing keeps the broker from running as declared",
        _ => "the broker does not run as declared until the faults are mended",
    };
    output.line(format_args!("{faults} faults, {warnings} warnings, {notes} notes: {verdict}"))
}
