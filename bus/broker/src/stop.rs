//! Being told to stop: SIGTERM and SIGINT set a flag and wake whoever polls, keeper and broker alike.

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};

/// Set by the handlers.
fn flag() -> &'static Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(Arc::default)
}

/// Begins to watch for SIGTERM and SIGINT, in place of dying of them, and for the signals `others`. The stream becomes
/// readable with each of them.
///
/// # Errors
/// The kernel takes no handler, or no descriptor is left.
pub(crate) fn watch(others: &[i32]) -> std::io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    for signal in [SIGTERM, SIGINT] {
        // Before the pipe of the same signal: handlers run in this order, so a waker finds the flag set.
        signal_hook::flag::register(signal, Arc::clone(flag()))?;
    }
    for &signal in [SIGTERM, SIGINT].iter().chain(others) {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    Ok(read)
}

/// Whether a stop was asked for.
pub(crate) fn requested() -> bool {
    flag().load(Ordering::Relaxed)
}
