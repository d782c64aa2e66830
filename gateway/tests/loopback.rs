//! The loopback target as a file: what readers see, what a fence removes, what counts as damage.

mod support;

use oyez_gateway::sink::loopback::Loopback;
use oyez_gateway::sink::{Record, Sink, SinkError, Tail};
use std::fs;
use std::path::Path;
use support::{mark, record, records};

fn committed(path: &Path) -> Result<Vec<Record>, SinkError> {
    Loopback::read_committed(path)?.collect()
}

fn put(sink: &mut Loopback, from: u64, to: u64) {
    sink.begin().expect("begins");
    records(from, to).iter().for_each(|record| sink.put(&record.message()).expect("puts"));
    sink.put_progress(&mark(to - 1)).expect("puts progress");
}

#[test]
fn open_and_aborted_transactions_are_invisible() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let mut sink = Loopback::open(&path).expect("opens");
    sink.fence().expect("fences");
    assert_eq!((sink.tail(), sink.progress()), (Ok(Tail::New), Ok(None)));
    // Large enough to have reached the file before the commit.
    put(&mut sink, 0, 10_000);
    assert!(fs::metadata(&path).expect("exists").len() > 256 << 10);
    assert_eq!(committed(&path), Ok(vec![]));
    sink.commit().expect("commits");
    put(&mut sink, 10_000, 20_000);
    sink.abort().expect("aborts");
    assert_eq!(committed(&path), Ok(records(0, 10_000)));
    put(&mut sink, 10_000, 10_005);
    sink.commit().expect("commits");
    put(&mut sink, 10_005, 20_000);
    drop(sink);
    assert_eq!(committed(&path), Ok(records(0, 10_005)));
    let mut sink = Loopback::open(&path).expect("opens");
    sink.fence().expect("fences");
    assert_eq!((sink.tail(), sink.progress()), (Ok(Tail::Last(record(10_004))), Ok(Some(mark(10_004)))));
}

#[test]
fn fenced_instance_is_refused_at_every_write() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let mut old = Loopback::open(&path).expect("opens");
    old.fence().expect("fences");
    put(&mut old, 0, 5);
    let mut new = Loopback::open(&path).expect("opens");
    new.fence().expect("fences");
    assert!(matches!(old.commit(), Err(SinkError::Fenced { action: "commit", .. })));
    assert!(matches!(old.abort(), Err(SinkError::Fenced { action: "abort", .. })));
    put(&mut new, 0, 3);
    new.commit().expect("commits");
    assert_eq!(committed(&path), Ok(records(0, 3)));
}

#[test]
fn cut_entry_is_removed_by_the_next_fence() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let mut sink = Loopback::open(&path).expect("opens");
    sink.fence().expect("fences");
    put(&mut sink, 0, 5);
    sink.commit().expect("commits");
    let whole = fs::read(&path).expect("reads");
    put(&mut sink, 5, 6);
    sink.commit().expect("commits");
    let longer = fs::read(&path).expect("reads");
    for end in whole.len()..longer.len() {
        fs::write(&path, &longer[..end]).expect("writes");
        assert_eq!(committed(&path), Ok(records(0, 5)), "cut at {end}");
        let mut sink = Loopback::open(&path).expect("opens");
        sink.fence().expect("fences");
        put(&mut sink, 5, 8);
        sink.commit().expect("commits");
        assert_eq!(committed(&path), Ok(records(0, 8)), "cut at {end}");
    }
}

#[test]
fn cut_label_is_written_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    Loopback::open(&path).expect("opens").fence().expect("fences");
    let whole = fs::read(&path).expect("reads");
    for end in 0..=whole.len() {
        fs::write(&path, &whole[..end]).expect("writes");
        assert_eq!(committed(&path), Ok(vec![]), "cut at {end}");
        let mut sink = Loopback::open(&path).expect("opens");
        sink.fence().expect("fences");
        put(&mut sink, 0, 3);
        sink.commit().expect("commits");
        assert_eq!(committed(&path), Ok(records(0, 3)), "cut at {end}");
    }
}

#[test]
fn changed_byte_is_damage_not_an_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let mut sink = Loopback::open(&path).expect("opens");
    sink.fence().expect("fences");
    put(&mut sink, 0, 5);
    sink.commit().expect("commits");
    let whole = fs::read(&path).expect("reads");
    for at in [0, 20, 60, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&path, &damaged).expect("writes");
        let error = committed(&path).expect_err("reports the damage").to_string();
        assert!(error.contains("not Kafka") && error.contains("the entry at byte"), "{error}");
        assert!(matches!(Loopback::open(&path).expect("opens").fence(), Err(SinkError::Refused { .. })));
        assert_eq!(fs::read(&path).expect("reads"), damaged, "left as it is");
    }
}

#[test]
fn file_of_somebody_else_is_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    for content in ["a", "a short note", "a note that is a good deal longer than any header or label of ours would be"]
    {
        fs::write(&path, content).expect("writes");
        let error = Loopback::open(&path).expect("opens").fence().expect_err("refuses").to_string();
        assert!(error.contains("cannot be fenced"), "{error}");
        assert_eq!(fs::read(&path).expect("reads"), content.as_bytes());
    }
}

#[test]
fn bytes_are_those_of_the_format_page() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("target");
    let mut sink = Loopback::open(&path).expect("opens");
    sink.fence().expect("fences");
    put(&mut sink, 0, 1);
    sink.commit().expect("commits");
    let file = fs::read(&path).expect("reads");
    assert_eq!(&file[12..55], b"Oyez loopback target, version 1: not Kafka\n");
    let kinds: Vec<u32> = entries(&file).iter().map(|entry| entry.0).collect();
    assert_eq!(kinds, [1, 2, 3, 4, 5, 6]);
    let first = record(0);
    let mut payload = vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    payload.extend(first.publish_time_ns.to_le_bytes());
    payload.extend(&first.bytes);
    assert_eq!(entries(&file)[3].1, payload);
}

fn entries(mut file: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut entries = Vec::new();
    while !file.is_empty() {
        let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes"));
        let end = 12 + word(4) as usize;
        entries.push((word(0), file[12..end].to_vec()));
        file = &file[end..];
    }
    entries
}
