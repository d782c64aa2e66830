//! The fuzzer: one program for all targets; `OYEZ_FUZZ_TARGET` names one. `cargo xtask fuzz` builds and runs it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use oyez_sbe_fuzz::{TARGETS, Target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("OYEZ_FUZZ_TARGET").expect("OYEZ_FUZZ_TARGET names a target");
    TARGETS.iter().find(|target| target.name == name).expect("OYEZ_FUZZ_TARGET names a target")
});

fuzz_target!(|input: &[u8]| (TARGET.run)(input));
