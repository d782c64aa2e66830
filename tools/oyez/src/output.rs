//! Printing: results to stdout, as text or JSON; notes to stderr. A reader that has gone is no failure.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write};

use serde::Serialize;

use crate::args::Format;
use crate::failure::Failure;

/// Where the terminal does not say how wide it is.
const COLUMNS: usize = 100;

/// What could not be printed.
#[derive(Debug)]
struct Unprinted(io::Error);

impl Display for Unprinted {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "stdout: cannot write: {}; see where the output goes", self.0)
    }
}

impl Error for Unprinted {}

/// Whether this failure only says that nobody reads stdout any more.
pub(crate) fn nobody_reads(failure: &(dyn Error + 'static)) -> bool {
    failure.downcast_ref::<Unprinted>().is_some_and(|unprinted| unprinted.0.kind() == io::ErrorKind::BrokenPipe)
}

/// A line to stderr. Where that cannot be written there is nobody to tell.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "oyez: {text}");
}

/// Stdout, buffered: lines are sure to be out after [`Output::flush`].
pub(crate) struct Output {
    pub(crate) format: Format,
    /// Goes on though nobody reads.
    goes_on: bool,
    /// Where lines are cut, if they are.
    columns: Option<usize>,
    out: BufWriter<StdoutLock<'static>>,
}

impl Output {
    pub(crate) fn new(format: Format) -> Output {
        Output { format, goes_on: false, columns: None, out: BufWriter::with_capacity(64 << 10, io::stdout().lock()) }
    }

    /// For commands whose exit code is the answer: they work on when whoever read has gone.
    pub(crate) fn whoever_reads(&mut self) -> &mut Output {
        self.goes_on = true;
        self
    }

    /// From here on lines are cut where the terminal ends, so that each takes one row; or are not.
    pub(crate) fn cut_lines(&mut self, cut: bool) {
        let told = || rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
        self.columns = cut.then(|| told().checked_sub(1).unwrap_or(COLUMNS));
    }

    /// One line, as it is unless lines are cut.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        let written = match self.columns {
            None => writeln!(self.out, "{text}"),
            Some(columns) => writeln!(self.out, "{}", text.to_string().chars().take(columns).collect::<String>()),
        };
        self.printed(written)
    }

    /// Text without a line's end.
    pub(crate) fn raw(&mut self, text: impl Display) -> Result<(), Failure> {
        let written = write!(self.out, "{text}");
        self.printed(written)
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.out.write_all(bytes);
        self.printed(written)
    }

    /// One value as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(serde_json::to_string(value)?)
    }

    /// A value: as text, or as one line of JSON, as was asked for.
    pub(crate) fn value(&mut self, value: &(impl Serialize + Display)) -> Result<(), Failure> {
        match self.format {
            Format::Text => self.line(value),
            Format::Json => self.json(value),
        }
    }

    /// A table, a line for each row.
    pub(crate) fn table<const N: usize>(&mut self, table: &Table<N>) -> Result<(), Failure> {
        let widths: [usize; N] =
            std::array::from_fn(|at| table.rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0));
        table.rows.iter().try_for_each(|row| {
            let cells = row.iter().zip(widths).enumerate().map(|(at, (cell, width))| match at < table.right {
                true => format!("{cell:>width$}"),
                false => format!("{cell:width$}"),
            });
            self.line(cells.collect::<Vec<_>>().join("  ").trim_end())
        })
    }

    /// Everything printed so far is out.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let flushed = self.out.flush();
        self.printed(flushed)
    }

    fn printed(&self, result: io::Result<()>) -> Result<(), Failure> {
        match result {
            Err(error) if self.goes_on && error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(|error| Unprinted(error).into()),
        }
    }
}

/// Rows of text whose columns are as wide as the widest cell; the first row is the head.
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
    /// How many columns, from the left, hold numbers and stand to the right.
    right: usize,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(head: [&str; N]) -> Table<N> {
        Table { rows: vec![head.map(str::to_owned)], right: 0 }
    }

    pub(crate) fn right(self, right: usize) -> Table<N> {
        Table { right, ..self }
    }

    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }
}
