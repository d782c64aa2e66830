//! The steps of the gate. To add one, add one entry to [`STEPS`]; `docs/testing.md` tells what each proves.

/// One step: a cargo command, in words separated by spaces, and what it needs around it.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) cargo: &'static str,
    pub(crate) env: &'static [(&'static str, &'static str)],
    /// Runs tests: at least one must have run.
    pub(crate) tests: bool,
    /// Runs tests that meet the outside: bring the system packages, a real Kafka, the Python client.
    pub(crate) outside: bool,
    pub(crate) confined: Option<Confined>,
    /// Past it the step is ended, and has failed.
    pub(crate) limit_s: u32,
}

/// Takes something away from each test program of the step.
pub(crate) struct Confined {
    /// Each is run through `cargo xtask <this>`.
    pub(crate) through: &'static str,
    /// A test that says so in its reason was skipped for what is taken away, as it must be.
    pub(crate) expected: &'static str,
}

const PLAIN: Step = Step { name: "", cargo: "", env: &[], tests: true, outside: false, confined: None, limit_s: 1_800 };

/// Words are moved one by one, since the sanitizer does not see into the assembly that moves many.
const THREAD_SANITIZER: &str = "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg plain_words";

/// All are built, for without some of them others are built anew, with fewer features of what they share.
const CONFINED: &str = "test --workspace --lib --bins --tests --no-fail-fast -- --show-output";
/// Not run are the tests of the gate itself, which takes the thing away, of the codecs, which meet no kernel, and of the C
/// library, which meets it through the client only.
const PASSED_OVER: &[(&str, &str)] =
    &[("OYEZ_PASSED_OVER", "xtask oyez-capi oyez-sbe oyez-sbe-runtime oyez-sbe-generate oyez-sbe-fuzz oyez-sample")];

pub(crate) const STEPS: &[Step] = &[
    Step { name: "fmt", cargo: "fmt --all --check", tests: false, ..PLAIN },
    Step { name: "clippy", cargo: "clippy --workspace --all-targets -- -D warnings", tests: false, ..PLAIN },
    Step {
        name: "docs",
        cargo: "doc --workspace --no-deps",
        env: &[("RUSTDOCFLAGS", "-D warnings")],
        tests: false,
        ..PLAIN
    },
    Step { name: "controls-fit", cargo: "xtask controls --fit", tests: false, ..PLAIN },
    Step { name: "tests", cargo: "test --workspace --no-fail-fast -- --show-output", outside: true, ..PLAIN },
    Step {
        name: "ordinary-user",
        cargo: CONFINED,
        env: PASSED_OVER,
        outside: true,
        confined: Some(Confined { through: "as-user", expected: "needs root" }),
        ..PLAIN
    },
    Step {
        name: "without-uring",
        cargo: CONFINED,
        env: PASSED_OVER,
        outside: true,
        confined: Some(Confined { through: "without-uring", expected: "io_uring" }),
        ..PLAIN
    },
    Step {
        name: "loom",
        cargo: "test -p oyez-mem -p oyez-ring --release --test loom -- --show-output",
        env: &[("RUSTFLAGS", "--cfg loom")],
        ..PLAIN
    },
    Step {
        name: "thread-sanitizer",
        cargo: "test -p oyez-ring --test threads --target host-tuple -- --show-output",
        env: &[
            ("RUSTC_BOOTSTRAP", "1"),
            ("RUSTFLAGS", THREAD_SANITIZER),
            // Seen from the package's folder, where cargo runs the test.
            ("TSAN_OPTIONS", "suppressions=../../tools/xtask/thread-sanitizer.supp"),
            ("OYEZ_TORTURE_MESSAGES", "1000000"),
        ],
        ..PLAIN
    },
];
