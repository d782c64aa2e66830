//! The C ABI of the bus, over the Rust API. What a C program may rely on stands in `include/oyez.h`, which is made of
//! the documentation in this crate, so that neither can drift from the other; the rules of the ABI in `docs/capi.md`.
//!
//! - A code, a constant and a field once given out keep their number and their place for ever.
//! - No panic leaves the library, and nothing is printed: what went wrong is the code, and the thread's last error.
//! - Handles are opaque, to C.
//! - Publishing and polling allocate nothing here, and make no system call.

#![allow(non_camel_case_types, reason = "the names of the C header")]
#![allow(clippy::missing_safety_doc, reason = "one contract for all functions, and it opens the header")]

mod argument;
mod batch;
mod client;
mod config;
mod counts;
mod error;
mod event;
mod ingress;
mod process;
mod publisher;
mod reading;
mod subscriber;

pub use client::*;
pub use config::*;
pub use counts::{oyez_publisher_counts, oyez_subscriber_counts};
pub use error::*;
pub use event::*;
pub use ingress::*;
pub use publisher::*;
pub use reading::*;
pub use subscriber::*;

use std::ffi::{CStr, c_char};

// Handles go from thread to thread, and a client is many threads' at a time: casts do not ask, so it is asked here.
const _: () = {
    const fn goes_to_another_thread<T: Send>() {}
    const fn is_many_threads_own<T: Send + Sync>() {}
    goes_to_another_thread::<oyez::Publisher>();
    goes_to_another_thread::<oyez::Ingress>();
    goes_to_another_thread::<oyez::Subscriber>();
    is_many_threads_own::<client::Client>();
};

/// The revision of the ABI that this header describes: one more with each addition. A library serves the headers of its
/// own revision and of all earlier ones with the same SONAME.
pub const OYEZ_ABI_VERSION: u32 = 1;

/// The revision of the ABI that the library has.
#[unsafe(no_mangle)]
pub extern "C" fn oyez_abi_version() -> u32 {
    OYEZ_ABI_VERSION
}

/// Version and commit of the library, such as "0.1.0 (0123456789ab)"; valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn oyez_version_string() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(
        concat!(env!("CARGO_PKG_VERSION"), " (", env!("OYEZ_COMMIT"), ")\0").as_bytes(),
    ) {
        Ok(version) => version,
        Err(_) => panic!("no NUL in a version"),
    };
    VERSION.as_ptr()
}
