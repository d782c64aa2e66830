//! The generated codec beside the reference implementation's C++, and JSON by schema beside its printer: the same
//! messages, made of the same values, every field read or written. Both sides are compiled here, for this machine.

mod driver;
mod reference;

use crate::arguments::{Sbe, SbePeer};
use crate::failure::Failure;
use crate::machine::{self, Environment, OfScenario};
use crate::report::{Ratio, Report};
use crate::tool::{self, root};
use driver::{Answer, Driver};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// So many messages are read or written while one is printed: that takes so much longer.
const TIMES_JSON: u64 = 50;
/// Times that the printer prints as many as in a round before the first that counts: the virtual machine compiles what
/// is hot.
const WARM_UP: usize = 20;
/// Turns of each program in a round. The fastest counts: it is the one that nobody else's work came into.
const TURNS: u64 = 20;

const MESSAGES: [Message; 2] =
    [Message { name: "car", number: "serialNumber" }, Message { name: "order", number: "feedSequence" }];

#[derive(Clone, Copy)]
struct Message {
    name: &'static str,
    /// The field that is another in each message.
    number: &'static str,
}

/// What is done with a message, whom Rust is held against, and how the comparison is called.
const TASKS: [(&str, Against, &str); 3] = [
    ("decode", Against::Cpp, "decode_vs_cpp"),
    ("encode", Against::Cpp, "encode_vs_cpp"),
    ("json", Against::Printer, "json_vs_printer"),
];

#[derive(Clone, Copy)]
enum Against {
    Cpp,
    /// Told as a factor: how many times as long the printer takes.
    Printer,
}

/// The programs that take turns.
struct Programs {
    rust: Command,
    reference: Option<Reference>,
}

struct Reference {
    cpp: Command,
    /// It runs from the start: a new one would have to warm up.
    printer: Driver,
}

pub(crate) fn run(options: &Sbe) -> Result<Report, Failure> {
    let core = machine::one_core(options.core)?;
    let folder = tempfile::tempdir().map_err(Failure::refused("make a folder for the programs"))?;
    let mut programs = Programs::build(options, folder.path())?;
    machine::pin(core)?;
    let environment = Environment::new(vec![core], OfScenario::Compilers { compilers: driver::versions() });
    let mut report = Report::new("sbe", options.rounds, environment);
    let figures = measure(&mut programs, options)?;
    for (message, of_message) in MESSAGES.iter().zip(&figures) {
        for ((task, against, versus), [rust, other]) in TASKS.iter().zip(of_message) {
            report.put("rust", message.name, &format!("{task}_ns"), median_ns(rust));
            if other.is_empty() {
                continue;
            }
            let (system, ratio, worse): (_, _, fn(f64, f64) -> f64) = match against {
                Against::Cpp => ("cpp", Ratio::of(rust, other), f64::max),
                Against::Printer => ("printer", Ratio::of(other, rust), f64::min),
            };
            report.put(system, message.name, &format!("{task}_ns"), median_ns(other));
            report.put("rust", message.name, versus, json!(ratio));
            report.worst(versus, &ratio, worse);
        }
    }
    Ok(report)
}

fn median_ns(figures: &[f64]) -> Value {
    json!((crate::report::median(&mut figures.to_vec()) * 10.0).round() / 10.0)
}

/// ns per message of each round: by message, by task, of Rust and of what it is held against.
type Figures = [[[Vec<f64>; 2]; TASKS.len()]; MESSAGES.len()];

/// Each round has new processes: where the kernel puts a stack and a heap makes one as much as twice as slow as the
/// next, on either side.
fn measure(programs: &mut Programs, options: &Sbe) -> Result<Figures, Failure> {
    let mut figures = Figures::default();
    let Programs { rust, reference } = programs;
    for _ in 0..options.rounds {
        let mut ours = Driver::start("rust", rust)?;
        let mut cpp = reference.as_mut().map(|reference| Driver::start("cpp", &mut reference.cpp)).transpose()?;
        for (message, of_message) in MESSAGES.iter().zip(&mut figures) {
            for ((task, against, _), [rust, other]) in TASKS.iter().zip(of_message) {
                let (theirs, messages) = match against {
                    Against::Cpp => (cpp.as_mut(), options.messages),
                    Against::Printer => {
                        (reference.as_mut().map(|reference| &mut reference.printer), json_messages(options))
                    }
                };
                let turns = Turns { message: *message, task, count: messages.div_ceil(TURNS) };
                let (fastest, fastest_other) = turns.take(&mut ours, theirs)?;
                rust.push(fastest);
                other.extend(fastest_other);
            }
        }
    }
    Ok(figures)
}

fn json_messages(options: &Sbe) -> u64 {
    options.messages.div_ceil(TIMES_JSON)
}

/// What the programs do in turn.
struct Turns {
    message: Message,
    task: &'static str,
    count: u64,
}

impl Turns {
    /// ns per message of the fastest turn of each.
    fn take(&self, ours: &mut Driver, mut theirs: Option<&mut Driver>) -> Result<(f64, Option<f64>), Failure> {
        let Turns { message, task, count } = *self;
        let (mut fastest, mut fastest_other) = (f64::INFINITY, None);
        for _ in 0..TURNS {
            let answer = ours.ask(message.name, task, count)?;
            check_allocations(task, message, &answer)?;
            fastest = answer.spent_ns.min(fastest);
            if let Some(theirs) = &mut theirs {
                let other = theirs.ask(message.name, task, count)?;
                check_equal(task, message, &answer, &other)?;
                fastest_other = Some(other.spent_ns.min(fastest_other.unwrap_or(f64::INFINITY)));
            }
        }
        Ok((fastest / count as f64, fastest_other.map(|fastest| fastest / count as f64)))
    }
}

fn check_allocations(task: &str, message: Message, ours: &Answer) -> Result<(), Failure> {
    match ours.allocations {
        0 => Ok(()),
        many => Err(wrong(message, format!("{task} allocated {many} times"))),
    }
}

/// Of JSON, whose dialects differ, the field that is another in each message.
fn check_equal(task: &str, message: Message, ours: &Answer, theirs: &Answer) -> Result<(), Failure> {
    let told = |answer: &Answer| match &answer.json {
        None => Some(answer.sum.to_string()),
        Some(json) => serde_json::from_str::<Value>(json).ok().map(|json| match &json[message.number] {
            Value::String(number) => number.clone(),
            number => number.to_string(),
        }),
    };
    let (ours, theirs) = (told(ours), told(theirs));
    if ours.is_some() && ours == theirs {
        return Ok(());
    }
    Err(wrong(message, format!("{task}: the sum is {ours:?}, and {theirs:?} of the reference implementation")))
}

fn wrong(message: Message, what: String) -> Failure {
    Failure::Wrong { system: message.name, what }
}

impl Programs {
    /// Compiles them, and lets the printer warm up.
    fn build(options: &Sbe, folder: &Path) -> Result<Programs, Failure> {
        let mut rust = Command::new(driver::build_rust()?);
        rust.arg(folder);
        // It writes the messages that the printer prints.
        tool::run("write the messages", rust.stdin(Stdio::null()))?;
        let reference = match options.peers.contains(&SbePeer::SbeCpp) {
            true => Some(Reference::build(options, folder)?),
            false => None,
        };
        Ok(Programs { rust, reference })
    }
}

impl Reference {
    fn build(options: &Sbe, folder: &Path) -> Result<Reference, Failure> {
        let jar = reference::jar()?;
        let cpp = reference::build(&jar, &root(), &schemas().map(|(_, schema)| schema), folder)?;
        let mut java = reference::printer(&jar, &root());
        java.arg(folder).args(schemas().into_iter().flat_map(|(message, schema)| [message.into(), schema]));
        // Started before this process is pinned: the printer and its virtual machine may run anywhere.
        let mut printer = Driver::start("printer", &mut java)?;
        for message in MESSAGES.iter().cycle().take(MESSAGES.len() * WARM_UP) {
            printer.ask(message.name, "json", json_messages(options))?;
        }
        Ok(Reference { cpp: Command::new(cpp), printer })
    }
}

/// Of each message, its schema.
fn schemas() -> [(&'static str, PathBuf); MESSAGES.len()] {
    let schemas = ["bench/sbe/car.xml", "sbe-codec/sample/schema/oyez-sample.xml"];
    std::array::from_fn(|at| (MESSAGES[at].name, root().join(schemas[at])))
}
