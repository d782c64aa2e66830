//! `oyez sbe check`: a line for each warning, then what the schema is.

use std::fmt::{Display, Formatter};
use std::path::Path;

use oyez_sbe::{Schema, Strictness, Warning};
use serde::Serialize;

use crate::failure::{Answer, Failure};
use crate::output::Output;

/// What the standard forbids, and where.
#[derive(Serialize)]
struct Warned {
    warning: &'static str,
    file: String,
    line: u32,
    column: u32,
    text: String,
}

/// What a schema that can be read is.
#[derive(Serialize)]
struct Checked {
    schema: String,
    package: String,
    id: u16,
    version: u16,
    messages: usize,
    types: usize,
    warnings: usize,
}

pub(super) fn run(path: &Path, strict: bool, output: &mut Output) -> Result<Answer, Failure> {
    let strictness = if strict { Strictness::Strict } else { Strictness::Lenient };
    let (schema, warnings) = Schema::load_with(path, strictness)?;
    let checked = Checked {
        schema: path.display().to_string(),
        id: schema.id,
        version: schema.version,
        messages: schema.messages.len(),
        types: schema.types.len(),
        warnings: warnings.len(),
        package: schema.package,
    };
    warnings.into_iter().try_for_each(|warning| output.value(&Warned::of(warning)))?;
    output.value(&checked)?;
    Ok(Answer::Yes)
}

impl Warned {
    fn of(warning: Warning) -> Warned {
        let Warning { origin: file, line, column, deviation } = warning;
        Warned { warning: deviation.name(), file, line, column, text: deviation.to_string() }
    }
}

impl Display for Warned {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Warned { warning, file, line, column, text } = self;
        write!(out, "{file}:{line}:{column}: {warning}: {text}")
    }
}

impl Display for Checked {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Checked { schema, package, id, version, messages, types, warnings } = self;
        write!(out, "{schema}: good. Package \"{package}\", id {id}, version {version}; ")?;
        write!(out, "messages {messages}, types {types}, warnings {warnings}")
    }
}
