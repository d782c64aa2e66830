//! A lane killed at any call of its sink, and its sink failing at any call: dense, in order, none twice.

mod support;

use oyez_gateway::sink::SinkError;
use oyez_gateway::sink::loopback::Loopback;
use oyez_gateway::{Lane, LaneError};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use support::{Driver, Fault, Faulty, Shared, Topic, committed, records, small};

/// More than one turn's worth, in several epochs.
const MESSAGES: u64 = 600;

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::Abortable),
        Just(Fault::UnknownDone),
        Just(Fault::UnknownUndone),
        Just(Fault::DeadBefore),
        Just(Fault::DeadAfter),
    ]
}

/// Lives one lane until it is done (`true`) or killed.
fn live(path: &Path, script: &Shared, driver: &mut Driver) -> bool {
    let sink = Faulty::new(Loopback::open(path).expect("opens"), script);
    let mut lane = Lane::new(Topic::durable(MESSAGES), sink, small());
    match driver.until_committed(&mut lane, MESSAGES) {
        Ok(()) => true,
        Err(LaneError::Sink(SinkError::Refused { reason, .. })) if reason == "killed" => false,
        Err(error) => panic!("stopped: {error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_crash_and_any_failure_leave_the_target_dense(
        gaps in prop::collection::vec((1u64..400, fault(), prop::collection::vec(any::<u8>(), 0..40)), 0..12),
    ) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("target");
        let script = Shared::default();
        let mut at = 0;
        let faults: BTreeMap<u64, Fault> = gaps.iter().map(|(gap, fault, _)| { at += gap; (at, *fault) }).collect();
        script.borrow_mut().faults = faults;
        let mut driver = Driver::new();
        let mut torn = gaps.iter().map(|(.., bytes)| bytes);
        let mut length_before = 0;
        while !live(&path, &script, &mut driver) {
            let seen = committed(&path);
            prop_assert_eq!(&seen, &records(0, seen.len() as u64), "before the restart");
            let mut file = OpenOptions::new().append(true).open(&path).expect("opens");
            if file.metadata().expect("exists").len() != length_before {
                // It lived long enough to write. What a kill in the middle of an append leaves: an entry's beginning.
                file.write_all(&[4, 0, 0, 0, 200, 0, 0, 0]).expect("writes");
                file.write_all(torn.next().map_or(&[], Vec::as_slice)).expect("writes");
            }
            length_before = file.metadata().expect("exists").len();
        }
        prop_assert_eq!(committed(&path), records(0, MESSAGES));
    }
}
