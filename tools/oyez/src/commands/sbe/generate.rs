//! `oyez sbe generate`.

use std::fmt::{Display, Formatter};
use std::fs;
use std::path::Path;

use oyez_sbe::Schema;
use oyez_sbe_generate::{Options, generate};
use serde::Serialize;

use crate::args::GenerateArgs;
use crate::failure::{Answer, Failure};
use crate::output::Output;

/// What was written.
#[derive(Serialize)]
struct Generated {
    out: String,
    package: String,
    version: u16,
    messages: usize,
    lines: usize,
}

pub(super) fn run(args: &GenerateArgs, output: &mut Output) -> Result<Answer, Failure> {
    let schema = Schema::load(&args.schema)?;
    let code = generate(&schema, &Options::default().partial_blocks(args.partial_blocks));
    if args.out == Path::new("-") {
        output.raw(code)?;
        return Ok(Answer::Yes);
    }
    let out = args.out.display().to_string();
    fs::write(&args.out, &code)
        .map_err(|error| format!("{out}: cannot write: {error}; name a file in a folder of yours"))?;
    output.value(&Generated {
        out,
        version: schema.version,
        messages: schema.messages.len(),
        lines: code.lines().count(),
        package: schema.package,
    })?;
    Ok(Answer::Yes)
}

impl Display for Generated {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Generated { out: path, package, version, messages, lines } = self;
        write!(out, "{path}: {messages} messages of {package}, version {version}, in {lines} lines")
    }
}
