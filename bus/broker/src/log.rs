//! The broker's log: plain lines on stderr, one per event: place, what, remedy.

use std::fmt::Display;
use std::io::Write as _;

/// Writes one line, at once and whole.
pub(crate) fn log(event: impl Display) {
    // A log that cannot be written must not stop what it tells of.
    let _ = std::io::stderr().write_all(format!("oyez: {event}\n").as_bytes());
}
