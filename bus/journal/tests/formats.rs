//! The formats do not move, and a stranger who has only their description reads them.

mod support;

use oyez_journal::{Digest, Folder, JournalId, Options, hex};
use oyez_ring::{Epoch, Kind, Last, Offer, Origin, Sequence};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::faulty::Faulty;
use support::{SEGMENT, Topic, folder, options, segment_path};

/// Two short epochs of a journal whose number is fixed.
fn small() -> tempfile::TempDir {
    let dir = folder();
    let options = Options { id: Some(JournalId(0x0123_4567_89AB_CDEF)), ..options() };
    let mut io = Faulty::new(1);
    let mut topic = Topic::begin(dir.path(), &options);
    topic.publish_many(&mut io, 3);
    let tail = topic.end_epoch(&mut io);
    topic.idle(&mut io);
    drop(topic);
    // What durable position a slot knows depends on the disk; opening writes it as it is.
    let mut topic = Topic::open(dir.path(), &options).0;
    topic.now_ns = tail.time_ns;
    topic.begin_epoch(tail);
    topic.publish_many(&mut io, 2);
    topic.end_epoch(&mut io);
    topic.idle(&mut io);
    drop(topic);
    drop(Topic::open(dir.path(), &options));
    dir
}

/// Lines of 32 bytes with their offset; lines of zeros are left out.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (number, line) in bytes.chunks(32).enumerate().filter(|(_, line)| line.iter().any(|byte| *byte != 0)) {
        let digits: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{:08x}: {digits}", number * 32).unwrap();
    }
    writeln!(text, "{:08x}", bytes.len()).unwrap();
    text
}

#[test]
fn golden_every_file_of_a_journal_is_as_it_always_was() {
    let dir = small();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for name in ["journal", "epochs", "00000000000000000000.segment"] {
        let written = dump(&std::fs::read(dir.path().join(name)).unwrap());
        let path = golden.join(format!("{}.hex", name.trim_start_matches("00000000000000000000.")));
        if std::env::var_os("OYEZ_BLESS").is_some() {
            std::fs::write(&path, &written).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap();
        assert_eq!(written, expected, "{name}; a format is changed on purpose only, with OYEZ_BLESS=1");
    }
}

fn python(dir: &Path) -> Option<Output> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats/read_journal.py");
    Command::new("python3").arg(script).arg(dir).output().ok()
}

#[test]
fn a_reader_written_from_the_description_alone_agrees_and_finds_any_flipped_byte() {
    let dir = folder();
    let mut io = Faulty::new(1);
    io.eagerness = 100;
    let mut topic = Topic::begin(dir.path(), &options());
    for messages in [8_000, 5_000, 12_000] {
        topic.publish_many(&mut io, messages);
        let tail = topic.end_epoch(&mut io);
        topic.begin_epoch(tail);
    }
    for (fragments, opens_block) in [(1, false), (3, true)] {
        topic.publish_many(&mut io, 5);
        topic.all_durable(&mut io);
        let tail = topic.die_within(fragments, opens_block);
        topic.end_epoch_at(&mut io, tail);
        topic.begin_epoch(tail);
    }
    topic.all_durable(&mut io);
    topic.idle(&mut io);
    drop(topic);
    let Some(output) = python(dir.path()) else { return support::skipped("no python3") };
    let verified = Folder::open(dir.path()).unwrap().verify(&mut |_, _| ()).unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(told.trim(), format!("messages 25010 first 0 last 25009 digest {}", hex(&verified.digest)));
    assert!(output.status.success() && output.stderr.is_empty());

    let slots = SEGMENT + 4 * 4096;
    for at in [20, 3 * 65_536 + 1_000, SEGMENT + 17, slots + 63 * 64 + 63] {
        let file = OpenOptions::new().read(true).write(true).open(segment_path(dir.path(), SEGMENT)).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
        let output = python(dir.path()).unwrap();
        assert_eq!(output.status.code(), Some(1), "byte {at}: {}", String::from_utf8_lossy(&output.stdout));
        assert!(String::from_utf8_lossy(&output.stderr).contains("DAMAGED"), "byte {at}");
        file.write_all_at(&byte, at).unwrap();
    }
    assert_eq!(python(&dir.path().join("nowhere")).unwrap().status.code(), Some(2));
}

#[test]
fn messages_of_many_publishers_come_back_with_their_origin_and_their_digest_is_that_of_the_messages_alone() {
    let dir = folder();
    let (mut io, mut digest) = (Faulty::new(1), Digest::new());
    io.eagerness = 100;
    let mut topic = Topic::begin(dir.path(), &options());
    let lengths = [8, 51, 4_096, 4_097, 100_000];
    for number in 1..=500 {
        let (origin, message) = (origin_of(number), vec![number as u8; lengths[number as usize % lengths.len()]]);
        let Offer::Published(published) = topic.ring().writer.offer_from(origin, &message, 5).unwrap() else {
            panic!("a recorder that keeps up")
        };
        digest.add(published.sequence, published.time_ns, &message);
        if number % 50 == 0 {
            let mut lasts = Vec::new();
            Last::encode_all([Last { origin, epoch: Epoch(1) }].into_iter(), &mut lasts);
            assert!(topic.ring().writer.publishers(&lasts, 5));
        }
        topic.all_durable(&mut io);
    }
    topic.idle(&mut io);
    drop(topic);
    let folder = Folder::open(dir.path()).unwrap();
    let (mut reader, mut read) = (folder.reader().unwrap(), 0);
    while let Some(frame) = reader.poll(folder.end().position).unwrap() {
        if frame.kind == Kind::Message {
            read += 1;
            let len_bytes = lengths[read as usize % lengths.len()];
            assert_eq!((frame.sequence, frame.origin), (Sequence(read - 1), Some(origin_of(read))));
            assert_eq!(frame.payload, vec![read as u8; len_bytes]);
        }
    }
    assert_eq!(folder.verify(&mut |_, _| ()).unwrap().digest, digest.value());
    let Some(output) = python(dir.path()) else { return support::skipped("no python3") };
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(told.trim(), format!("messages 500 first 0 last 499 digest {}", hex(&digest.value())));
    assert!(output.status.success() && output.stderr.is_empty());
}

fn origin_of(number: u64) -> Origin {
    Origin::new(1 + number as u16 % 3, number).unwrap()
}
