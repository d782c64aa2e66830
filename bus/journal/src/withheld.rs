//! Segments that are to have no other life. The sticky bit of their mode tells so, which means nothing else for a file, and is
//! as durable as the file.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::JournalError;

const WITHHELD: u32 = 0o1000;

/// Segments that were told to have no other life.
#[derive(Debug)]
#[must_use = "a power cut may undo it until it is flushed"]
pub struct Withheld(Vec<PathBuf>);

impl Withheld {
    pub(crate) fn mark(paths: Vec<PathBuf>) -> Result<Withheld, JournalError> {
        for path in &paths {
            let marked = std::fs::metadata(path).and_then(|status| {
                let mode = Permissions::from_mode(status.permissions().mode() | WITHHELD);
                std::fs::set_permissions(path, mode)
            });
            unless_gone(marked).map_err(JournalError::io("withhold", path))?;
        }
        Ok(Withheld(paths))
    }

    /// Makes it durable. Needs no partition: that goes on meanwhile.
    ///
    /// # Errors
    /// [`JournalError`]; of some of them it may be durable, and of some not.
    pub fn flush(&self) -> Result<(), JournalError> {
        for path in &self.0 {
            let flushed = File::open(path).and_then(|file| file.sync_all());
            unless_gone(flushed).map_err(JournalError::io("withhold", path))?;
        }
        Ok(())
    }
}

/// What was to be done with a file is: its time has come, and it is not there.
fn unless_gone(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

pub(crate) fn is_marked(status: &Metadata) -> bool {
    status.permissions().mode() & WITHHELD != 0
}
