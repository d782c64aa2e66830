//! Being told to stop, or to make way: SIGTERM and SIGINT set one flag, SIGHUP another, and wake whoever polls, keeper and
//! broker alike.

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Set by the handlers.
#[derive(Default)]
struct Flags {
    stop: Arc<AtomicBool>,
    upgrade: Arc<AtomicBool>,
}

fn flags() -> &'static Flags {
    static FLAGS: OnceLock<Flags> = OnceLock::new();
    FLAGS.get_or_init(Flags::default)
}

/// Begins to watch for SIGTERM, SIGINT and SIGHUP, in place of dying of them, and for the signals `others`. The stream
/// becomes readable with each of them.
///
/// # Errors
/// The kernel takes no handler, or no descriptor is left.
pub(crate) fn watch(others: &[i32]) -> std::io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    for (signal, flag) in [(SIGTERM, &flags().stop), (SIGINT, &flags().stop), (SIGHUP, &flags().upgrade)] {
        // Before the pipe of the same signal: handlers run in this order, so a waker finds the flag set.
        signal_hook::flag::register(signal, Arc::clone(flag))?;
    }
    for &signal in [SIGTERM, SIGINT, SIGHUP].iter().chain(others) {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    // A keeper that became this build had them wait.
    signals().thread_unblock()?;
    Ok(read)
}

/// The signals that tell a process to stop, or to make way.
pub(crate) fn signals() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect()
}

/// Whether a stop was asked for.
pub(crate) fn requested() -> bool {
    flags().stop.load(Ordering::Relaxed)
}

/// Whether it was asked since the last call that another build take this one's place.
pub(crate) fn take_upgrade() -> bool {
    flags().upgrade.swap(false, Ordering::Relaxed)
}
