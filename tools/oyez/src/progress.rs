//! How far long work has come: a bar on a terminal, now and then a plain line elsewhere; on stderr.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::output::note;

/// How often a plain line is written.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// The progress of one piece of work. Cheap to tell: it looks at the clock, and seldom writes.
pub(crate) struct Progress {
    what: String,
    unit: &'static str,
    bar: Option<ProgressBar>,
    told: Instant,
}

impl Progress {
    /// Of work that is counted in `unit`.
    pub(crate) fn new(what: impl Into<String>, unit: &'static str) -> Progress {
        let what = what.into();
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::no_length().with_message(what.clone()));
        Progress { what, unit, bar, told: Instant::now() }
    }

    /// So much is done, of so much in all; 0 where that is not known.
    pub(crate) fn set(&mut self, done: u64, all: u64) {
        if let Some(bar) = &self.bar {
            if bar.length() != Some(all) {
                bar.set_style(self.style(all));
                bar.set_length(all);
            }
            bar.set_position(done);
        } else if self.told.elapsed() >= LINE_EVERY {
            self.told = Instant::now();
            let of_all = if all == 0 { String::new() } else { format!(" of {}", HumanCount(all)) };
            note(format_args!("{}: {}{of_all} {}", self.what, HumanCount(done), self.unit));
        }
    }

    fn style(&self, all: u64) -> ProgressStyle {
        let template = match (all, self.unit) {
            (0, _) => "{spinner} {msg} {human_pos}",
            (_, "bytes") => "{msg} {wide_bar} {bytes} of {total_bytes}, {eta} left",
            _ => "{msg} {wide_bar} {human_pos} of {human_len}, {eta} left",
        };
        ProgressStyle::with_template(template).expect("the templates above are valid")
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
