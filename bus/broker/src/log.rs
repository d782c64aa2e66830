//! The broker's log: plain lines on stderr, one per event: place, what, remedy.

use std::fmt::Display;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Writes one line, at once and whole.
pub(crate) fn log(event: impl Display) {
    // A log that cannot be written must not stop what it tells of.
    let _ = std::io::stderr().write_all(format!("oyez: {event}\n").as_bytes());
}

/// What clients can bring about as often as they like: a burst of lines, then a few each second.
#[derive(Debug, Default)]
pub(crate) struct Seldom {
    since: Option<Instant>,
    lines: usize,
    left_out: usize,
}

/// Lines a second.
const SELDOM_MAX: usize = 20;

impl Seldom {
    /// Writes the line, or only counts it.
    pub(crate) fn log(&mut self, event: impl Display) {
        if self.since.is_none_or(|since| since.elapsed() >= Duration::from_secs(1)) {
            let left_out = std::mem::take(&mut self.left_out);
            (self.since, self.lines) = (Some(Instant::now()), 0);
            if left_out > 0 {
                log(format_args!("{left_out} lines about what clients did are left out"));
            }
        }
        if self.lines == SELDOM_MAX {
            self.left_out += 1;
            return;
        }
        self.lines += 1;
        log(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_written() {
        let mut seldom = Seldom::default();
        (0..1_000).for_each(|_| seldom.log("a flood"));
        assert!(seldom.left_out > 900, "{seldom:?}");
    }
}
