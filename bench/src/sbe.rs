//! The generated codec beside the reference implementation's C++, and JSON by schema beside its printer: the same
//! messages, made of the same values, every field read or written. Both sides are compiled here, for this machine.

mod driver;
mod reference;

use crate::arguments::{Sbe, SbePeer};
use crate::failure::Failure;
use crate::machine::{self, Environment, OfScenario};
use crate::report::{Ratio, Report};
use driver::{Answer, Driver};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// So many messages are read or written while one is printed: that takes so much longer.
const TIMES_JSON: u64 = 50;
/// Rounds of the printer before the first that counts: the virtual machine compiles what is hot.
const WARM_UP: usize = 5;

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
struct Drivers {
    rust: Driver,
    reference: Option<Reference>,
}

struct Reference {
    cpp: Driver,
    printer: Driver,
}

pub(crate) fn run(options: &Sbe) -> Result<Report, Failure> {
    let core = machine::one_core(options.core)?;
    let folder = tempfile::tempdir().map_err(Failure::refused("make a folder for the programs"))?;
    let mut drivers = Drivers::start(options, core, folder.path())?;
    let environment = Environment::new(vec![core], OfScenario::Compilers { compilers: driver::versions() });
    let mut report = Report::new("sbe", options.rounds, environment);
    let figures = measure(&mut drivers, options)?;
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

fn measure(drivers: &mut Drivers, options: &Sbe) -> Result<Figures, Failure> {
    let mut figures = Figures::default();
    for _ in 0..options.rounds {
        for (message, of_message) in MESSAGES.iter().zip(&mut figures) {
            for ((task, against, _), [rust, other]) in TASKS.iter().zip(of_message) {
                let count = match against {
                    Against::Cpp => options.messages,
                    Against::Printer => options.messages.div_ceil(TIMES_JSON),
                };
                let ours = drivers.rust.ask(message.name, task, count)?;
                check_allocations(task, message, &ours)?;
                rust.push(ours.spent_ns / count as f64);
                if let Some(reference) = &mut drivers.reference {
                    let theirs = reference.of(*against).ask(message.name, task, count)?;
                    check_equal(task, message, &ours, &theirs)?;
                    other.push(theirs.spent_ns / count as f64);
                }
            }
        }
    }
    Ok(figures)
}

fn check_allocations(task: &str, message: &Message, ours: &Answer) -> Result<(), Failure> {
    match ours.allocations {
        0 => Ok(()),
        many => Err(wrong(message, format!("{task} allocated {many} times"))),
    }
}

/// Of JSON, whose dialects differ, the field that is another in each message.
fn check_equal(task: &str, message: &Message, ours: &Answer, theirs: &Answer) -> Result<(), Failure> {
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

fn wrong(message: &Message, what: String) -> Failure {
    Failure::Wrong { system: message.name, what }
}

impl Drivers {
    /// Builds and starts them; all but the virtual machine, which has threads of its own, on one core.
    fn start(options: &Sbe, core: usize, folder: &Path) -> Result<Drivers, Failure> {
        let rust = driver::build_rust(&root())?;
        let mut write = Command::new(&rust);
        driver::run("write the messages", write.arg(folder).stdin(Stdio::null()))?;
        let reference = match options.peers.contains(&SbePeer::SbeCpp) {
            true => Some(Reference::start(options, core, folder)?),
            false => None,
        };
        machine::pin(core)?;
        Ok(Drivers { rust: Driver::start("rust", Command::new(rust).arg(folder))?, reference })
    }
}

impl Reference {
    fn start(options: &Sbe, core: usize, folder: &Path) -> Result<Reference, Failure> {
        let jar = reference::jar()?;
        let program = reference::build(&jar, &root(), &schemas().map(|(_, schema)| schema), folder)?;
        let mut java = reference::printer(&jar, &root());
        java.arg(folder).args(schemas().into_iter().flat_map(|(message, schema)| [message.into(), schema]));
        let mut printer = Driver::start("printer", &mut java)?;
        for message in MESSAGES.iter().cycle().take(MESSAGES.len() * WARM_UP) {
            printer.ask(message.name, "json", options.messages.div_ceil(TIMES_JSON))?;
        }
        machine::pin(core)?;
        Ok(Reference { cpp: Driver::start("cpp", &mut Command::new(program))?, printer })
    }

    fn of(&mut self, against: Against) -> &mut Driver {
        match against {
            Against::Cpp => &mut self.cpp,
            Against::Printer => &mut self.printer,
        }
    }
}

/// The clone's top folder, which has the sources of what is compiled here.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it lies in the clone").to_path_buf()
}

/// Of each message, its schema.
fn schemas() -> [(&'static str, PathBuf); MESSAGES.len()] {
    let schemas = ["bench/sbe/car.xml", "sbe-codec/sample/schema/oyez-sample.xml"];
    std::array::from_fn(|at| (MESSAGES[at].name, root().join(schemas[at])))
}
