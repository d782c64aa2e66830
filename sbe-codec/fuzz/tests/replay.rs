//! The committed corpora, among them every input that once was a finding.

use std::fs;
use std::path::Path;

use oyez_sbe_fuzz::TARGETS;

fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut inputs: Vec<_> =
        fs::read_dir(folder).expect("a corpus").map(|entry| entry.expect("a file").path()).collect();
    assert!(!inputs.is_empty());
    inputs.sort();
    for input in inputs {
        // Shown if the test fails: the last one is to blame.
        println!("{}", input.display());
        (target.run)(&fs::read(&input).expect("it can be read"));
    }
}

macro_rules! replays {
    ($($name:ident)*) => {
        $(#[test] fn $name() { replay(stringify!($name)) })*

        #[test]
        fn every_target_is_replayed() {
            assert!(TARGETS.iter().map(|target| target.name).eq([$(stringify!($name)),*]));
        }
    };
}

replays!(schema image message generated json framing);
