//! The recorder and its journal, read back: on each implementation of the I/O, and on a faulty one.

mod support;

use oyez_io::{Bytes, Op};
use oyez_journal::{BrokenCause, Digest, Folder, Options, Partition, RecorderState, find_end};
use oyez_ring::layout::CommitWord;
use oyez_ring::{BLOCK, Kind, Memory, Position, Sequence, Tail};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use support::faulty::Faulty;
use support::{CAPACITY, SEGMENT, Topic, assert_same, folder, on_each, options, read, segment_path};

fn digest(messages: &[support::Message]) -> [u8; 32] {
    let mut digest = Digest::new();
    messages.iter().for_each(|message| digest.add(message.sequence, message.time_ns, &message.bytes));
    digest.value()
}

#[test]
fn what_is_published_is_read_back_over_epochs_and_segments() {
    on_each(|io| {
        let dir = folder();
        let mut topic = Topic::begin(dir.path(), &options());
        for _ in 0..3 {
            topic.publish_many(io, 20_000);
            let tail = topic.end_epoch(io);
            assert_eq!(topic.recorder.durable(), tail.position);
            topic.begin_epoch(tail);
        }
        topic.publish_many(io, 500);
        topic.all_durable(io);
        topic.idle(io);
        assert!(topic.recorder.written().0 > 3 * SEGMENT, "several segments");
        assert_same(&read(dir.path()), &topic.published, "while it is recorded");
        let verified = Folder::open(dir.path()).unwrap().verify(&mut |_, _| ()).unwrap();
        assert_eq!(verified.corrupt, []);
        assert_eq!(verified.messages, topic.published.len() as u64);
        assert_eq!(verified.digest, digest(&topic.published));
        let published = std::mem::take(&mut topic.published);
        drop(topic);

        let (reopened, recovery) = Topic::open(dir.path(), &options());
        let last = published.last().unwrap();
        assert_eq!((recovery.tail.position, recovery.tail.time_ns), (last.end, last.time_ns));
        assert_eq!(recovery.tail.sequence.0, published.len() as u64);
        assert_eq!((recovery.torn, recovery.corrupt), (None, vec![]));
        assert_eq!(reopened.partition.epochs().iter().count(), 4);
        assert_same(&read(dir.path()), &published, "after it was opened again");
    });
}

#[test]
fn a_reader_finds_sequences_times_and_positions() {
    on_each(|io| {
        let dir = folder();
        let mut topic = Topic::begin(dir.path(), &options());
        topic.publish_many(io, 12_000);
        let tail = topic.end_epoch(io);
        topic.begin_epoch(tail);
        topic.publish_many(io, 12_000);
        topic.all_durable(io);
        topic.idle(io);
        let folder = Folder::open(dir.path()).unwrap();
        let (mut reader, limit) = (folder.reader().unwrap(), folder.end().position);
        let next = |reader: &mut oyez_journal::JournalReader<Folder>| loop {
            match reader.poll(limit).unwrap() {
                Some(frame) if frame.kind == Kind::Message => break Some(frame.sequence),
                Some(_) => {}
                None => break None,
            }
        };
        let is_looked_for = |at: usize, message: &support::Message| at.is_multiple_of(97) || message.bytes.len() > 4096;
        for (at, message) in topic.published.iter().enumerate().filter(|(at, message)| is_looked_for(*at, message)) {
            reader.seek_sequence(message.sequence, limit).unwrap();
            assert_eq!(next(&mut reader), Some(message.sequence));
            reader.seek_time(message.time_ns, limit).unwrap();
            assert_eq!(next(&mut reader), Some(message.sequence));
            reader.seek_time(message.time_ns - 1, limit).unwrap();
            assert_eq!(next(&mut reader), Some(message.sequence));
            reader.seek(message.end);
            assert_eq!(next(&mut reader), topic.published.get(at + 1).map(|message| message.sequence));
            reader.seek(Position(message.end.0 - 8));
            assert!(reader.poll(limit).is_err(), "no frame begins within another");
        }
        reader.seek_sequence(Sequence(24_000), limit).unwrap();
        assert_eq!((next(&mut reader), reader.position()), (None, limit));
        reader.seek_time(u64::MAX, limit).unwrap();
        assert_eq!(next(&mut reader), None);
        // Never beyond the limit, even where more is recorded.
        let message = &topic.published[7_000];
        reader.seek_sequence(message.sequence, limit).unwrap();
        assert!(reader.poll(Position(message.end.0 - 8)).unwrap().is_none());
        assert_eq!(reader.poll(message.end).unwrap().unwrap().sequence, message.sequence);
        assert!(reader.poll(message.end).unwrap().is_none());
    });
}

#[test]
fn behind_the_end_and_in_padding_there_is_nothing_but_zeros() {
    on_each(|io| {
        let dir = folder();
        let mut topic = Topic::begin(dir.path(), &options());
        // Several laps, so that what the ring holds behind the tail is an earlier lap's.
        while topic.recorder.written().0 < 3 * CAPACITY {
            topic.publish_many(io, 100);
        }
        topic.publish_many(io, 7);
        topic.all_durable(io);
        topic.idle(io);
        let end = topic.recorder.written().0 as usize;
        let bytes = std::fs::read(segment_path(dir.path(), 0)).unwrap();
        assert!(!end.is_multiple_of(4096), "the test wants a partial disk block");
        assert!(bytes[end..end.next_multiple_of(4096)].iter().all(|byte| *byte == 0), "behind the end");
        let mut padded = 0;
        for (number, block) in bytes[..end].chunks_exact(BLOCK as usize).enumerate() {
            let mut at = 0;
            while at < block.len() {
                let word = CommitWord::unpack(u64::from_le_bytes(*block[at..].first_chunk().unwrap()));
                let next = (at + word.length as usize).next_multiple_of(8);
                if word.kind == Kind::Padding as u8 {
                    assert!(block[at + 8..next].iter().all(|byte| *byte == 0), "padding of block {number}");
                    padded += usize::from(next > at + 8);
                }
                at = next;
            }
        }
        assert!(padded > 10, "padding was looked at");
    });
}

#[test]
fn a_ring_that_outlived_its_broker_is_recorded_on_without_a_seam() {
    on_each(|io| {
        let dir = folder();
        let mut topic = Topic::begin(dir.path(), &options());
        for life in 0..5 {
            topic.publish_many(io, 3_000 + life);
            topic.idle(io);
            let (ring, published, now_ns) = topic.outlived();
            let (next, recovery) = Topic::open(dir.path(), &options());
            topic = next;
            topic.now_ns = now_ns;
            topic.adopt(ring.unwrap(), published, recovery.tail);
        }
        topic.all_durable(io);
        topic.idle(io);
        assert_same(&read(dir.path()), &topic.published, "after five lives");
        assert_eq!(Folder::open(dir.path()).unwrap().verify(&mut |_, _| ()).unwrap().corrupt, []);
    });
}

#[test]
fn the_gate_opens_only_after_the_slots_are_written() {
    let is_slot = |op: &Op| matches!(op, Op::Write { offset, .. } if *offset >= SEGMENT);
    let dir = folder();
    let mut io = Faulty::new(1);
    io.holds = is_slot;
    let mut topic = Topic::begin(dir.path(), &options());
    while topic.publish() {}
    (0..500).for_each(|_| topic.turn(&mut io));
    assert_eq!(topic.recorder.written(), Position(0));
    assert_eq!(topic.control().gate(), Position(CAPACITY), "no slot, no room");
    assert!(!topic.publish());
    io.holds = |_| false;
    topic.turn_until(&mut io, "the gate opens", |topic| topic.control().gate() > Position(CAPACITY));
    assert!(topic.control().gate().0 <= topic.control().written().block().0 + CAPACITY);
    assert!(topic.publish());
    io.kill();
}

#[test]
fn whatever_order_the_disk_works_in_nothing_is_mixed_up() {
    for seed in 0..6 {
        let dir = folder();
        let mut io = Faulty::new(seed);
        io.eagerness = 5 + 15 * (seed % 4);
        let mut topic = Topic::begin(dir.path(), &options());
        for count in [1, 2, 3, 50, 4_000, 1, 1, 700] {
            topic.publish_many(&mut io, count);
            topic.turn(&mut io);
            let (written, gate) = (topic.control().written(), topic.control().gate());
            assert!(gate.0 <= written.block().0 + CAPACITY, "seed {seed}");
        }
        topic.end_epoch(&mut io);
        topic.idle(&mut io);
        assert_same(&read(dir.path()), &topic.published, &format!("seed {seed}"));
    }
}

#[test]
fn a_failed_flush_is_final() {
    for fails_at in [1, 2, 7] {
        let dir = folder();
        let mut io = Faulty::new(fails_at);
        io.fail_flush_at = Some(fails_at);
        let mut topic = Topic::begin(dir.path(), &options());
        for _ in 0..100 {
            topic.publish();
            topic.turn(&mut io);
        }
        let failed = |topic: &Topic| matches!(topic.recorder.state(), RecorderState::Failed { what: "flush", .. });
        topic.turn_until(&mut io, "failed", failed);
        let (durable, flushes) = (topic.control().durable(), io.flushes);
        while topic.publish() {}
        (0..500).for_each(|_| topic.turn(&mut io));
        assert_eq!(topic.control().durable(), durable, "durable stands still");
        assert_eq!(io.flushes, flushes, "and nobody tries again");
        // The lost bytes were not durable; what was is still there.
        topic.idle(&mut io);
        let published = topic.outlived().1;
        drop(io);
        let (_, recovery) = Topic::open(dir.path(), &options());
        assert!(recovery.tail.position >= durable, "{durable}: {recovery:?}");
        assert_eq!(recovery.corrupt, [], "{fails_at}: {durable}: {recovery:?}");
        assert_same(&read(dir.path()), &published[..recovery.tail.sequence.0 as usize], "what was kept");
    }
}

#[test]
fn what_is_confirmed_is_noted_when_nothing_more_comes() {
    on_each(|io| {
        let dir = folder();
        let mut topic = Topic::begin(dir.path(), &options());
        topic.publish_many(io, 10);
        topic.all_durable(io);
        let end = topic.recorder.durable();
        assert!(Folder::open(dir.path()).unwrap().durable() < end, "the slot was written before its flush");
        topic.now_ns += 200_000_000;
        topic.turn_until(io, "noted", |topic| Folder::open(&topic.dir).unwrap().durable() == end);
        topic.idle(io);
    });
}

#[test]
fn without_a_segment_publishers_wait_and_nothing_fails() {
    on_each(|io| {
        let dir = folder();
        let mut topic = Topic::begin(dir.path(), &options());
        topic.makes_segments = false;
        while topic.publish() {
            topic.turn(io);
        }
        assert!(matches!(topic.recorder.state(), RecorderState::Recording));
        assert_eq!(topic.recorder.wants_segment(), Some(Position(0)));
        topic.makes_segments = true;
        topic.publish_many(io, 5_000);
        topic.end_epoch(io);
        topic.idle(io);
        assert_same(&read(dir.path()), &topic.published, "recorded after all");
    });
}

#[test]
fn a_full_disk_is_an_error_with_a_remedy_and_recording_resumes_by_itself() {
    let dir = folder();
    let mut mount = std::process::Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=10m", "tmpfs"]).arg(dir.path());
    if !mount.output().is_ok_and(|output| output.status.success()) {
        return support::skipped("needs root, to mount a small disk");
    }
    let unmount = Unmount(dir.path().to_owned());
    let written = Options { durable: false, ..options() };
    on_each(|io| {
        let ballast = dir.path().join("ballast");
        let partition = dir.path().join("partition");
        let mut topic = Topic::begin(&partition, &written);
        std::fs::write(&ballast, vec![0; 8 << 20]).unwrap();
        let error = topic.partition.segment(Position(0), 0, &mut |_| ()).unwrap_err();
        assert!(error.is_no_space(), "{error}");
        assert!(error.to_string().contains("recording resumes by itself"), "{error}");
        topic.makes_segments = false;
        while topic.publish() {
            topic.turn(io);
        }
        assert!(matches!(topic.recorder.state(), RecorderState::Recording));
        std::fs::remove_file(&ballast).unwrap();
        topic.makes_segments = true;
        topic.publish_many(io, 100);
        topic.end_epoch(io);
        assert_eq!(topic.recorder.durable(), Position(0), "on tmpfs nothing is durable");
        topic.idle(io);
        assert_same(&read(&partition), &topic.published, "after the disk was full");
        let published = topic.published.len() as u64;
        drop(topic);
        assert_eq!(Topic::open(&partition, &written).1.tail.sequence.0, published);
        let refused = Partition::open(&partition, &options()).unwrap_err();
        assert!(refused.to_string().contains("tmpfs"), "{refused}");
        std::fs::remove_dir_all(&partition).unwrap();
    });
    drop(unmount);
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        // A mount that stays is seen by whoever removes the folder.
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn an_epoch_of_a_writer_that_breaks_the_rules_ends_at_its_last_good_frame() {
    type Misdeed = fn(&mut Topic);
    fn frame(topic: &mut Topic, word: CommitWord, time_ns: u64) {
        let ring = topic.ring();
        let tail = ring.writer.tail();
        let at = (tail.position.0 % CAPACITY) as usize;
        ring.memory.store(at + 8, time_ns);
        let sequence_low = tail.sequence.0 as u16;
        ring.memory.store_release(at, CommitWord { sequence_low, ..word }.pack());
    }
    fn mark(topic: &mut Topic, value: u64) {
        topic.ring().memory.store(CAPACITY as usize, value);
    }
    const MESSAGE: CommitWord = CommitWord { length: 24, kind: 1, flags: 0, sequence_low: 0 };
    const FRAGMENT: CommitWord = CommitWord { length: 24, kind: 2, flags: 0, sequence_low: 0 };
    let misdeeds: [(Misdeed, &str); 9] = [
        (|topic| frame(topic, FRAGMENT, topic_now(topic)), "invalid frame: Fragment"),
        (|topic| frame(topic, CommitWord { flags: 1, ..FRAGMENT }, topic_now(topic)), "invalid frame: Fragment"),
        (|topic| frame(topic, CommitWord { length: 3, ..MESSAGE }, topic_now(topic)), "invalid frame: Length"),
        (|topic| frame(topic, CommitWord { kind: 99, ..MESSAGE }, topic_now(topic)), "invalid frame: Kind"),
        (|topic| frame(topic, MESSAGE, topic_now(topic) - 1_000_000), "time went back"),
        (|topic| frame(topic, MESSAGE, topic_now(topic) + 5_000_000_000), "ahead of the clock"),
        (|topic| mark(topic, 0), "mark went back"),
        (|topic| mark(topic, 1 << 40), "mark passed the gate"),
        (|topic| mark(topic, topic.control().gate().0 + 8), "mark passed the gate"),
    ];
    fn topic_now(topic: &Topic) -> u64 {
        topic.published.last().unwrap().time_ns
    }
    on_each(|io| {
        for (misdeed, text) in misdeeds {
            let dir = folder();
            let mut topic = Topic::begin(dir.path(), &options());
            topic.publish_many(io, 300);
            topic.all_durable(io);
            topic.publish_many(io, 20);
            let good = topic.ring().writer.tail();
            topic.turn_until(io, "read", |topic| topic.recorder.tail().unwrap().position == good.position);
            misdeed(&mut topic);
            let (end, broken) = end_of(&topic, good, topic.now_ns);
            assert_eq!((end, broken.is_some()), (good, true), "{text}");
            topic.turn_until(io, text, |topic| matches!(topic.recorder.state(), RecorderState::Broken { .. }));
            let RecorderState::Broken { at, cause } = topic.recorder.state() else { unreachable!("just seen") };
            assert!(cause.to_string().contains(text), "{cause} for {text}");
            assert_eq!(*at, good);
            topic.recorder.end_epoch(good.position);
            topic.turn_until(io, "done", |topic| matches!(topic.recorder.state(), RecorderState::EpochDone { .. }));
            topic.begin_epoch(good);
            topic.publish_many(io, 100);
            topic.end_epoch(io);
            topic.idle(io);
            assert_same(&read(dir.path()), &topic.published, text);
        }
    });
}

/// What the broker finds.
fn end_of(topic: &Topic, from: Tail, now_ns: u64) -> (Tail, Option<BrokenCause>) {
    let ring = topic.ring.as_ref().unwrap();
    find_end(Memory::new(ring.memory.reader(), CAPACITY), ring.start, from, ring.control.gate(), now_ns)
}

/// Whether the journal has nothing of the message yet, or all that came out of it; whether the ring is still there.
#[test]
fn of_a_message_that_its_owner_died_in_nothing_is_left_but_its_number_for_the_next() {
    on_each(|io| {
        for (case, (fragments, opens_block)) in [(1, false), (1, true), (2, false), (4, true)].into_iter().enumerate() {
            let dir = folder();
            let mut topic = Topic::begin(dir.path(), &options());
            for loses_ring in [false, true] {
                topic.publish_many(io, 290 + case);
                topic.all_durable(io);
                let from = topic.recorder.tail().unwrap();
                let tail = topic.die_within(fragments, opens_block);
                assert_eq!(end_of(&topic, from, topic.now_ns), (tail, None));
                topic.turn_until(io, "recorded", |topic| topic.recorder.durable() == tail.position);
                assert_same(&read(dir.path()), &topic.published, "nothing of it is read");
                if loses_ring {
                    topic.idle(io);
                    let (_, published, now_ns) = topic.outlived();
                    let (next, recovery) = Topic::open(dir.path(), &options());
                    assert_eq!((recovery.tail, recovery.torn, recovery.corrupt), (tail, None, vec![]));
                    topic = next;
                    (topic.published, topic.now_ns) = (published, now_ns);
                } else {
                    topic.end_epoch_at(io, tail);
                }
                topic.begin_epoch(tail);
            }
            topic.publish_many(io, 100);
            topic.end_epoch(io);
            topic.idle(io);
            assert_same(&read(dir.path()), &topic.published, "its number is the next one's");
            let verified = Folder::open(dir.path()).unwrap().verify(&mut |_, _| ()).unwrap();
            assert_eq!((verified.corrupt, verified.digest), (vec![], digest(&topic.published)));
        }
    });
}

#[test]
fn the_recorder_ends_where_the_end_was_found_whatever_it_would_have_said_itself() {
    on_each(|io| {
        let dir = folder();
        let mut topic = Topic::begin(dir.path(), &options());
        topic.publish_many(io, 3_000);
        topic.turn(io);
        let from = topic.recorder.tail().unwrap();
        let early_ns = topic.now_ns;
        // Too early by the recorder's clock, in time by that of whoever looks for the end.
        topic.now_ns += 2_000_000_000;
        assert!(topic.publish());
        topic.now_ns = early_ns;
        topic.turn_until(io, "ahead", |topic| matches!(topic.recorder.state(), RecorderState::Broken { .. }));
        let owner = topic.ring().writer.tail();
        assert_eq!(end_of(&topic, from, early_ns + 1_500_000_000), (owner, None));
        topic.recorder.end_epoch(owner.position);
        topic.turn_until(io, "done", |topic| matches!(topic.recorder.state(), RecorderState::EpochDone { .. }));
        assert_eq!(topic.recorder.written(), owner.position);
        topic.idle(io);
        assert_same(&read(dir.path()), &topic.published, "with what was ahead");
    });
}

#[test]
fn a_ring_that_does_not_continue_the_journal_is_broken_where_the_journal_ends() {
    on_each(|io| {
        let dir = folder();
        let mut topic = Topic::begin(dir.path(), &options());
        topic.publish_many(io, 100);
        topic.all_durable(io);
        topic.idle(io);
        let (ring, published, now_ns) = topic.outlived();
        let ring = ring.unwrap();
        // Its owner scribbles over what was recorded, while no broker is there.
        (64..4096).step_by(8).for_each(|at| ring.memory.store(at, 0x0101_0101));
        let (mut next, recovery) = Topic::open(dir.path(), &options());
        next.now_ns = now_ns;
        next.adopt(ring, published, recovery.tail);
        next.turn_until(io, "broken", |topic| matches!(topic.recorder.state(), RecorderState::Broken { .. }));
        let RecorderState::Broken { at, cause } = next.recorder.state() else { unreachable!("just seen") };
        assert_eq!(*at, recovery.tail);
        assert!(!matches!(cause, BrokenCause::TimeAhead), "{cause}");
        next.recorder.end_epoch(recovery.tail.position);
        next.turn_until(io, "done", |topic| matches!(topic.recorder.state(), RecorderState::EpochDone { .. }));
        next.begin_epoch(recovery.tail);
        next.publish_many(io, 100);
        next.end_epoch(io);
        next.idle(io);
        assert_same(&read(dir.path()), &next.published, "both epochs");
    });
}

#[test]
fn segments_below_the_retention_are_recycled_and_their_readers_are_told_so() {
    on_each(|io| {
        let dir = folder();
        let mut topic = Topic::begin(dir.path(), &Options { retention_ns: 1, ..options() });
        topic.publish_many(io, 2_000);
        topic.all_durable(io);
        let early = Folder::open(dir.path()).unwrap();
        let mut reader = early.reader().unwrap();
        reader.poll(early.end().position).unwrap();
        while topic.recorder.written().0 < 9 * SEGMENT {
            topic.publish_many(io, 1_000);
        }
        topic.all_durable(io);
        topic.idle(io);
        let earliest = topic.control().earliest();
        assert!(earliest.0 >= SEGMENT && earliest == topic.partition.earliest());
        let files = std::fs::read_dir(dir.path()).unwrap().count();
        assert!(files <= 8, "{files} files: segments are used again");
        // A reader that had the file open meets its new life, and learns why.
        let met = loop {
            match reader.poll(early.end().position) {
                Ok(Some(_)) => {}
                other => break other.map(|_| ()),
            }
        };
        assert!(matches!(met, Err(oyez_journal::ReadError::Retention { .. })), "{met:?}");
        let kept = read(dir.path());
        assert_eq!(kept.last(), topic.published.last());
        let first = topic.published.iter().position(|message| message.sequence == kept[0].sequence).unwrap();
        assert_same(&kept, &topic.published[first..], "what is kept");
        let verified = Folder::open(dir.path()).unwrap().verify(&mut |_, _| ()).unwrap();
        assert_eq!(verified.corrupt, []);
    });
}

/// Publishes until so many segments are written, and leaves nothing to be done.
fn record_to(topic: &mut Topic, io: &mut Faulty, segments: u64) {
    while topic.recorder.written().0 < segments * SEGMENT {
        topic.publish_many(io, 1_000);
    }
    topic.all_durable(io);
    topic.idle(io);
}

#[test]
fn a_shorter_retention_gives_back_what_the_longer_one_had_taken() {
    let dir = folder();
    let mut io = Faulty::new(6);
    let mut topic = Topic::begin(dir.path(), &options());
    let mut record_to = |topic: &mut Topic, segments| {
        record_to(topic, &mut io, segments);
        std::fs::read_dir(dir.path()).unwrap().count()
    };
    let long = record_to(&mut topic, 12);
    topic.partition.set_retention(1);
    let (less, least) = (record_to(&mut topic, 16), record_to(&mut topic, 30));
    assert!(long >= 14 && less <= long - 3 && (5..=8).contains(&least), "{long}, {less}, {least} files");
    assert!(topic.control().earliest() == topic.partition.earliest());
    assert_eq!(Folder::open(dir.path()).unwrap().verify(&mut |_, _| ()).unwrap().corrupt, []);
}

#[test]
fn what_cannot_be_removed_keeps_nobody_from_recording_and_is_removed_later() {
    let dir = folder();
    let mut topic = Topic::begin(dir.path(), &options());
    record_to(&mut topic, &mut Faulty::new(7), 8);
    topic.partition.set_retention(1);
    let path = |at: u64| segment_path(dir.path(), at * SEGMENT);
    let next = (0..).find(|at| !path(*at).exists()).unwrap();
    let mut make = |at: u64, before: &dyn Fn()| {
        let job = topic.partition.segment_job(Position(at * SEGMENT), u64::MAX / 2, &mut |_| ()).unwrap();
        before();
        job.run().unwrap();
        topic.partition.segment_made(&job);
    };
    // The first is used again, and takes the second along.
    make(next, &|| {
        std::fs::remove_file(path(1)).unwrap();
        std::fs::create_dir(path(1)).unwrap();
    });
    assert!(!path(0).exists() && path(1).is_dir());
    std::fs::remove_dir(path(1)).unwrap();
    std::fs::write(path(1), []).unwrap();
    make(next + 1, &|| ());
    assert!(!path(1).exists());
}

#[test]
fn what_somebody_without_a_right_may_have_open_is_deleted_and_not_used_again() {
    use std::os::unix::fs::MetadataExt as _;
    let dir = folder();
    let mut io = Faulty::new(5);
    let mut topic = Topic::begin(dir.path(), &options());
    record_to(&mut topic, &mut io, 3);
    let open: Vec<_> = (0..3).map(|at| std::fs::File::open(segment_path(dir.path(), at * SEGMENT)).unwrap()).collect();
    topic.partition.withhold_segments().unwrap().flush().unwrap();
    topic.partition.set_retention(1);
    record_to(&mut topic, &mut io, 12);
    let inodes: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().ino()).collect();
    for (at, file) in open.iter().enumerate() {
        let status = file.metadata().unwrap();
        assert!(status.nlink() == 0 && !inodes.contains(&status.ino()), "segment {at} has another life");
    }
    assert!(topic.control().earliest().0 >= 3 * SEGMENT);
    assert!(inodes.len() <= 9, "{} files: what came later is used again", inodes.len());
    assert_eq!(Folder::open(dir.path()).unwrap().verify(&mut |_, _| ()).unwrap().corrupt, []);
}

#[test]
fn an_owner_is_not_broken_because_the_core_stood_still_within_its_turn() {
    on_each(|io| {
        let dir = folder();
        let mut topic = Topic::begin(dir.path(), &options());
        topic.publish_many(io, 10);
        topic.all_durable(io);
        // The core has read the clock, and is stopped for longer than a time may be ahead; its owner is not.
        let read_ns = topic.now_ns;
        topic.now_ns += 1_500_000_000;
        topic.publish_many(io, 3);
        topic.recorder.do_work(io, read_ns);
        assert!(matches!(topic.recorder.state(), RecorderState::Recording), "{:?}", topic.recorder.state());
        topic.all_durable(io);
        topic.idle(io);
        assert_same(&read(dir.path()), &topic.published, "all of it");
    });
}

#[test]
fn a_segment_whose_index_says_nothing_is_kept_as_long_as_the_one_after_it() {
    let dir = folder();
    let mut io = Faulty::new(3);
    let mut topic = Topic::begin(dir.path(), &options());
    while topic.recorder.written().0 < 3 * SEGMENT {
        topic.publish_many(&mut io, 1_000);
    }
    topic.all_durable(&mut io);
    topic.idle(&mut io);
    let index = OpenOptions::new().write(true).open(segment_path(dir.path(), 0)).unwrap();
    index.write_all_at(&[0xa5; 5 * 4096], SEGMENT).unwrap();
    let (now_ns, after_ns) = (topic.now_ns, options().retention_ns + 1);
    let mut earliest = Vec::new();
    topic.partition.segment(Position(4 * SEGMENT), now_ns, &mut |position| earliest.push(position)).unwrap();
    assert_eq!(earliest, [], "within the retention");
    topic.partition.segment(Position(5 * SEGMENT), now_ns + after_ns, &mut |told| earliest.push(told)).unwrap();
    // Two at a time.
    assert_eq!(earliest, [Position(SEGMENT), Position(2 * SEGMENT)]);
}

#[test]
fn writes_come_from_the_ring_s_own_memory_but_for_the_last_disk_block() {
    fn seen(op: &Op) -> bool {
        if let Op::Write { bytes, offset, .. } = op {
            match bytes {
                Bytes::Memory { len_bytes, .. } => {
                    assert!(len_bytes.is_multiple_of(4096) && offset.is_multiple_of(4096))
                }
                Bytes::Buffer { len_bytes, .. } => assert_eq!(*len_bytes, 4096),
            }
        }
        false
    }
    let dir = folder();
    let mut io = Faulty::new(7);
    io.holds = seen;
    let mut topic = Topic::begin(dir.path(), &options());
    topic.publish_many(&mut io, 3_000);
    topic.end_epoch(&mut io);
    topic.idle(&mut io);
}
