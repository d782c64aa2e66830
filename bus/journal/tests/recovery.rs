//! What a journal is after its end was cut, torn or damaged: torn tails are cut off, corruption is reported and kept.

mod support;

use oyez_io::{Op, file};
use oyez_journal::{Corrupt, Damage, Folder, JournalError, JournalId, Options, Partition, ReadError};
use oyez_ring::{BLOCK, Kind, Position, Sequence, Tail};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use support::faulty::Faulty;
use support::{Message, SEGMENT, Topic, assert_same, folder, on_each, options, read, segment_path};

/// A journal of one segment whose last blocks were written and never confirmed.
struct Unconfirmed {
    dir: tempfile::TempDir,
    published: Vec<Message>,
    durable: Position,
    written: Position,
}

fn unconfirmed(messages: usize) -> Unconfirmed {
    let dir = folder();
    let mut io = Faulty::new(11);
    let mut topic = Topic::begin(dir.path(), &options());
    topic.publish_many(&mut io, 400);
    topic.all_durable(&mut io);
    let durable = topic.recorder.durable();
    topic.now_ns += 200_000_000;
    topic.turn_until(&mut io, "noted", |topic| Folder::open(&topic.dir).unwrap().durable() == durable);
    io.holds = |op| matches!(op, Op::Flush { .. });
    for _ in 0..messages / 40 {
        topic.publish_many(&mut io, 40);
        (0..4).for_each(|_| topic.turn(&mut io));
    }
    let end = topic.ring().writer.tail().position;
    topic.turn_until(&mut io, "written", |topic| topic.recorder.written() == end);
    io.kill();
    let (written, published) = (topic.recorder.written(), topic.outlived().1);
    assert!(written.0 < SEGMENT && !durable.0.is_multiple_of(4096) && written.0 - durable.0 > 3 * BLOCK);
    Unconfirmed { dir, published, durable, written }
}

/// A journal of one segment, all of it durable and its epoch ended.
fn confirmed(messages: usize) -> (tempfile::TempDir, Vec<Message>) {
    let dir = folder();
    let mut io = Faulty::new(5);
    let mut topic = Topic::begin(dir.path(), &options());
    topic.publish_many(&mut io, messages);
    topic.end_epoch(&mut io);
    topic.idle(&mut io);
    assert!(topic.recorder.written().0 < SEGMENT);
    let published = topic.outlived().1;
    drop(Topic::open(dir.path(), &options()));
    (dir, published)
}

fn segment(dir: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(segment_path(dir, 0)).unwrap()
}

/// Changes bytes of a file for as long as `look` takes.
fn changed<T>(file: &File, offset: u64, change: impl Fn(&mut [u8]), len_bytes: usize, look: impl FnOnce() -> T) -> T {
    let mut before = vec![0; len_bytes];
    file.read_exact_at(&mut before, offset).unwrap();
    let mut after = before.clone();
    change(&mut after);
    file.write_all_at(&after, offset).unwrap();
    let seen = look();
    file.write_all_at(&before, offset).unwrap();
    seen
}

fn copy(dir: &Path) -> tempfile::TempDir {
    let copy = folder();
    for name in ["journal", "epochs", "00000000000000000000.segment"] {
        std::fs::copy(dir.join(name), copy.path().join(name)).unwrap();
    }
    copy
}

fn judge_cut(case: &Unconfirmed, at: Position, what: &str) {
    let found = Folder::open(case.dir.path()).unwrap();
    let end = found.end().position;
    assert!(case.durable <= end && end <= at, "{what}: {end} is not between {} and {at}", case.durable);
    assert_eq!(found.torn(), Some(end..case.written), "{what}");
    let kept = case.published.iter().filter(|message| message.end <= end).count();
    assert_same(&read(case.dir.path()), &case.published[..kept], what);
}

#[test]
fn a_tail_that_is_cut_at_any_disk_block_is_cut_off_there_and_reported() {
    let case = unconfirmed(2_000);
    let file = segment(case.dir.path());
    for at in (case.durable.0.next_multiple_of(4096)..case.written.0).step_by(4096) {
        let rest = (case.written.0 - at) as usize;
        let what = format!("cut at {at}");
        changed(&file, at, |bytes| bytes.fill(0), rest, || judge_cut(&case, Position(at), &what));
        if at % (5 * 4096) == 0 {
            let copy = changed(&file, at, |bytes| bytes.fill(0), rest, || copy(case.dir.path()));
            let found = Folder::open(copy.path()).unwrap();
            let (mut topic, recovery) = Topic::open(copy.path(), &options());
            assert_eq!((recovery.tail, recovery.torn.clone()), (found.end(), found.torn()), "{what}");
            assert_eq!(recovery.corrupt, [], "{what}");
            // What was cut is gone for good, and the next epoch goes on there.
            assert_eq!(Folder::open(copy.path()).unwrap().torn(), None, "{what}");
            let mut io = Faulty::new(at);
            topic.published = case.published[..recovery.tail.sequence.0 as usize].to_vec();
            topic.now_ns = recovery.tail.time_ns;
            topic.begin_epoch(recovery.tail);
            topic.publish_many(&mut io, 30);
            topic.end_epoch(&mut io);
            topic.idle(&mut io);
            assert_same(&read(copy.path()), &topic.published, &what);
            assert_eq!(Folder::open(copy.path()).unwrap().verify(&mut |_, _| ()).unwrap().corrupt, [], "{what}");
        }
    }
}

#[test]
fn a_tail_that_is_torn_within_any_sector_ends_before_it() {
    let case = unconfirmed(1_200);
    let file = segment(case.dir.path());
    for at in (case.durable.0..case.written.0).step_by(512) {
        let what = format!("torn at {at}");
        changed(&file, at, |bytes| bytes[0] ^= 0x40, 1, || judge_cut(&case, Position(at), &what));
    }
}

/// Records with a faulty disk until the power goes, and judges what is left.
fn cut(seed: u64, durable_first: u64, then: usize) {
    let dir = folder();
    let mut io = Faulty::new(seed);
    io.eagerness = 100;
    let mut topic = Topic::begin(dir.path(), &options());
    while topic.ring().writer.tail().position.0 < durable_first {
        topic.publish_many(&mut io, 20);
    }
    topic.all_durable(&mut io);
    io.eagerness = [5, 20, 60][seed as usize % 3];
    for _ in 0..then {
        (0..1 + io.below(40)).for_each(|_| topic.turn(&mut io));
        (0..io.below(60)).for_each(|_| _ = topic.publish());
    }
    let durable = topic.control().durable();
    io.cut_power();
    let published = topic.outlived().1;
    let (_, recovery) = Topic::open(dir.path(), &options());
    assert!(recovery.tail.position >= durable, "seed {seed}: {durable} was durable; {recovery:?}");
    assert_eq!(recovery.corrupt, [], "seed {seed}");
    assert_same(&read(dir.path()), &published[..recovery.tail.sequence.0 as usize], "what is left");
    assert_eq!(Folder::open(dir.path()).unwrap().verify(&mut |_, _| ()).unwrap().corrupt, [], "seed {seed}");
}

#[test]
fn a_power_cut_takes_nothing_that_was_durable() {
    (0..24).for_each(|seed| cut(seed, 0, 30));
}

#[test]
fn slots_that_outlive_their_data_do_not_hide_what_was_durable() {
    for rounds in 1..8 {
        let dir = folder();
        let mut io = Faulty::new(rounds);
        let mut topic = Topic::begin(dir.path(), &options());
        topic.publish_many(&mut io, 5);
        topic.all_durable(&mut io);
        io.holds = |op| matches!(op, Op::Flush { .. });
        for _ in 0..rounds {
            topic.publish_many(&mut io, 3);
            let end = topic.ring().writer.tail().position;
            topic.turn_until(&mut io, "written", |topic| topic.recorder.written() == end);
        }
        assert!(topic.recorder.written() < Position(BLOCK), "all in the open block");
        let durable = topic.control().durable();
        io.cut_power_keeping_from(SEGMENT);
        let published = topic.outlived().1;
        let (_, recovery) = Topic::open(dir.path(), &options());
        assert_eq!((recovery.tail.position, recovery.corrupt), (durable, vec![]), "{rounds} rounds");
        assert_same(&read(dir.path()), &published[..5], "what was durable");
    }
}

#[test]
fn a_power_cut_at_a_roll_takes_nothing_that_was_durable() {
    (0..12).for_each(|seed| cut(seed, SEGMENT - 2 * BLOCK, 60));
    let dir = folder();
    let mut io = Faulty::new(0);
    let mut topic = Topic::begin(dir.path(), &options());
    let publish_to = |topic: &mut Topic, io: &mut Faulty, position: u64| {
        while topic.ring().writer.tail().position.0 < position {
            topic.publish_many(io, 1);
        }
        let end = topic.ring().writer.tail().position;
        topic.turn_until(io, "written", |topic| topic.recorder.written() == end);
        end
    };
    publish_to(&mut topic, &mut io, SEGMENT / 2);
    topic.all_durable(&mut io);
    // While a flush is under way, the end of a segment is written and the beginning of the next.
    io.holds = |op| matches!(op, Op::Flush { .. });
    publish_to(&mut topic, &mut io, SEGMENT * 3 / 4);
    let end = publish_to(&mut topic, &mut io, SEGMENT + BLOCK);
    io.holds = |_| false;
    topic.all_durable(&mut io);
    io.cut_power_keeping_from(u64::MAX);
    let published = topic.outlived().1;
    let (_, recovery) = Topic::open(dir.path(), &options());
    assert_eq!((recovery.tail.position, recovery.corrupt), (end, vec![]));
    assert_same(&read(dir.path()), &published, "all of it");
}

#[test]
fn what_is_damaged_below_the_durable_position_is_reported_and_kept() {
    let (dir, published) = confirmed(9_000);
    let file = segment(dir.path());
    let end = published.last().unwrap().end.0;
    for at in (0..end).step_by(7_919) {
        changed(
            &file,
            at,
            |bytes| bytes[0] ^= 1,
            1,
            || {
                let found = Folder::open(dir.path()).unwrap();
                assert_eq!((found.end().position.0, found.torn()), (end, None), "flipped at {at}");
                let verified = found.verify(&mut |_, _| ()).unwrap();
                let (block, to) = (Position(at).block(), Position(at).block().plus(BLOCK).0.min(end));
                let [corrupt] = verified.corrupt[..] else { panic!("flipped at {at}: {:?}", verified.corrupt) };
                assert_eq!((corrupt.from, corrupt.cause), (block, Damage::Data), "flipped at {at}");
                assert!(corrupt.to.0 >= to);
                let spared =
                    published.iter().filter(|message| message.end <= block || block.plus(BLOCK) <= message.start);
                assert_eq!(verified.messages as usize, spared.count(), "the others are still read");
            },
        );
    }
}

#[test]
fn an_epoch_damaged_at_its_end_is_reported_once_and_the_next_one_read() {
    let dir = folder();
    let mut io = Faulty::new(5);
    let mut topic = Topic::begin(dir.path(), &options());
    topic.publish_many(&mut io, 3_000);
    let tail = topic.end_epoch(&mut io);
    topic.begin_epoch(tail);
    topic.publish_many(&mut io, 100);
    topic.end_epoch(&mut io);
    topic.idle(&mut io);
    drop(topic);
    let (end, file) = (tail.position, segment(dir.path()));
    file.write_all_at(&[0xa5; 8], end.0 - 20).unwrap();
    file.sync_all().unwrap();
    let verified = Folder::open(dir.path()).unwrap().verify(&mut |_, _| ()).unwrap();
    assert_eq!(verified.corrupt, [Corrupt { from: end.block(), to: end, cause: Damage::Data }]);
    assert_eq!(verified.last, Some(Sequence(3_099)));
}

#[test]
fn opening_a_journal_that_is_damaged_at_its_end_reports_it_and_leaves_the_file_alone() {
    let (dir, published) = confirmed(3_000);
    let (end, file) = (published.last().unwrap().end, segment(dir.path()));
    let mut byte = [0];
    file.read_exact_at(&mut byte, end.0 - 20).unwrap();
    file.write_all_at(&[byte[0] ^ 0x80], end.0 - 20).unwrap();
    file.sync_all().unwrap();
    drop(file);
    let data = || std::fs::read(segment_path(dir.path(), 0)).unwrap()[..SEGMENT as usize].to_vec();
    let before = data();
    let (_, recovery) = Partition::open(dir.path(), &options()).unwrap();
    assert_eq!(recovery.corrupt, [Corrupt { from: end.block(), to: end, cause: Damage::Data }]);
    assert!(recovery.corrupt[0].to_string().contains("restore that range from a lane"));
    assert_eq!((recovery.tail.position, recovery.torn), (end, None), "nothing is cut off");
    assert!(data() == before, "the file is as it was");
    let mut reader = Folder::open(dir.path()).unwrap().reader().unwrap();
    let error = loop {
        if let Err(error) = reader.poll(end) {
            break error;
        }
    };
    assert!(matches!(error, ReadError::Corrupt(corrupt) if corrupt.from == end.block()), "{error}");
}

#[test]
fn every_bit_of_a_slot_or_header_that_flips_is_found() {
    let (dir, published) = confirmed(2_000);
    let file = segment(dir.path());
    let last = published.last().unwrap().end.block().0 / BLOCK;
    let slots = SEGMENT + 4 * 4096;
    let places = [SEGMENT, SEGMENT + 4096, slots, slots + last * 64, slots + (last + 1) * 64, slots + 63 * 64];
    for (place, at) in places.into_iter().flat_map(|place| (0..64).map(move |at| (place, at))) {
        changed(
            &file,
            place + at,
            |bytes| bytes[0] ^= 1 << (at % 8),
            1,
            || {
                let verified = Folder::open(dir.path()).unwrap().verify(&mut |_, _| ()).unwrap();
                assert_ne!(verified.corrupt, [], "byte {at} of the 64 at {place}");
            },
        );
    }
}

#[test]
fn bytes_of_another_journal_never_verify() {
    let made = |id, messages| {
        let dir = folder();
        let mut io = Faulty::new(id);
        let mut topic = Topic::begin(dir.path(), &Options { id: Some(JournalId(id)), ..options() });
        topic.publish_many(&mut io, messages);
        topic.end_epoch(&mut io);
        topic.idle(&mut io);
        dir
    };
    let (dir, other) = (made(1, 600), made(2, 900));
    // As if the disk had kept another journal's data and slots where ours were written: only the header is ours.
    let mut bytes = std::fs::read(segment_path(other.path(), 0)).unwrap();
    let header = SEGMENT as usize..SEGMENT as usize + 4096;
    bytes[header.clone()].copy_from_slice(&std::fs::read(segment_path(dir.path(), 0)).unwrap()[header]);
    std::fs::write(segment_path(dir.path(), 0), bytes).unwrap();
    let found = Folder::open(dir.path()).unwrap();
    assert_eq!(found.end().position, Position(0), "none of it is taken for ours");
    assert_ne!(found.verify(&mut |_, _| ()).unwrap().corrupt, []);
}

#[test]
fn stale_bytes_of_a_recycled_segment_never_verify() {
    let dir = folder();
    let mut io = Faulty::new(3);
    let mut topic = Topic::begin(dir.path(), &Options { retention_ns: 1, ..options() });
    topic.publish_many(&mut io, 1_000);
    topic.all_durable(&mut io);
    let early = std::fs::read(segment_path(dir.path(), 0)).unwrap();
    while topic.partition.earliest().0 == 0 {
        topic.publish_many(&mut io, 1_000);
    }
    // Into the second block of the segment that took the file over.
    let base = Folder::open(dir.path()).unwrap().segment_bases().unwrap().pop().unwrap();
    while topic.ring().writer.tail().position < base.plus(BLOCK + BLOCK / 2) {
        topic.publish_many(&mut io, 10);
    }
    topic.end_epoch(&mut io);
    topic.idle(&mut io);
    let published = topic.outlived().1;
    let expected = published.last().unwrap().end;
    assert!(expected < base.plus(3 * BLOCK) && Folder::open(dir.path()).unwrap().end().position == expected);
    // The slots of the file's first life come back, whose data are still there: from the fourth block on.
    let file = OpenOptions::new().read(true).write(true).open(segment_path(dir.path(), base.0)).unwrap();
    let old = |block: usize| &early[(SEGMENT + 4 * 4096) as usize + block * 64..][..64];
    let revived = (3..64).filter(|block| old(*block).iter().any(|byte| *byte != 0)).inspect(|block| {
        file.write_all_at(old(*block), SEGMENT + 4 * 4096 + *block as u64 * 64).unwrap();
    });
    assert!(revived.count() > 0 || early.len() > SEGMENT as usize);
    let found = Folder::open(dir.path()).unwrap();
    assert_eq!(found.end().position, expected, "the journal does not go on with its own past");
    let kept = read(dir.path());
    assert_same(&kept, &published[published.len() - kept.len()..], "what is kept");
}

/// A disk whose flushes take longer than the retention, and the broker dies.
#[test]
fn what_was_confirmed_last_may_lie_in_a_segment_that_was_used_again() {
    let dir = folder();
    let mut io = Faulty::new(3);
    let mut topic = Topic::begin(dir.path(), &Options { retention_ns: 1, ..options() });
    topic.publish_many(&mut io, 100);
    topic.all_durable(&mut io);
    io.holds = |op| matches!(op, Op::Flush { .. });
    while topic.partition.earliest() == Position(0) {
        topic.publish_many(&mut io, 1_000);
    }
    let end = topic.ring().writer.tail().position;
    topic.turn_until(&mut io, "written", |topic| topic.recorder.written() == end);
    io.kill();
    drop(topic);
    let (_, recovery) = Topic::open(dir.path(), &options());
    assert_eq!((recovery.tail.position, recovery.torn, recovery.corrupt), (end, None, vec![]));
}

#[test]
fn what_a_rolled_back_epoch_left_is_empty_and_not_corrupt() {
    let case = unconfirmed(2_000);
    let stale = std::fs::read(segment_path(case.dir.path(), 0)).unwrap();
    let file = segment(case.dir.path());
    let rest = (case.written.0 - case.durable.0) as usize;
    // The cut takes what was not confirmed; the next epoch is shorter than what the cut took.
    file.write_all_at(&vec![0; rest], case.durable.0).unwrap();
    drop(file);
    let (mut topic, recovery) = Topic::open(case.dir.path(), &options());
    assert_eq!(recovery.tail.position, case.durable);
    topic.published = case.published[..recovery.tail.sequence.0 as usize].to_vec();
    topic.now_ns = recovery.tail.time_ns;
    topic.begin_epoch(recovery.tail);
    let mut io = Faulty::new(1);
    topic.publish_many(&mut io, 10);
    topic.end_epoch(&mut io);
    topic.idle(&mut io);
    let expected = topic.published.last().unwrap().end;
    let published = topic.outlived().1;
    // And now the disk shows what the first epoch had written above: data, and slots that verify.
    let file = segment(case.dir.path());
    let from = expected.next_block().0;
    file.write_all_at(&stale[from as usize..SEGMENT as usize], from).unwrap();
    let slots = (SEGMENT + 4 * 4096 + from / BLOCK * 64) as usize;
    file.write_all_at(&stale[slots..], slots as u64).unwrap();
    assert!(stale[slots..slots + 64].iter().any(|byte| *byte != 0), "there is something to come back");
    let found = Folder::open(case.dir.path()).unwrap();
    assert_eq!((found.end().position, found.torn()), (expected, None));
    assert_eq!(found.verify(&mut |_, _| ()).unwrap().corrupt, []);
    assert_same(&read(case.dir.path()), &published, "both epochs, and nothing between");
}

#[test]
fn a_segment_that_is_gone_is_corruption_unless_it_was_cleaned() {
    on_each(|io| {
        let dir = folder();
        let mut topic = Topic::begin(dir.path(), &options());
        while topic.recorder.written().0 < 3 * SEGMENT {
            topic.publish_many(io, 1_000);
        }
        // What is gone above the durable end was never promised.
        topic.turn_until(io, "noted", |topic| Folder::open(&topic.dir).unwrap().durable().0 >= 2 * SEGMENT);
        topic.end_epoch(io);
        topic.idle(io);
        let published = topic.outlived().1;
        std::fs::remove_file(segment_path(dir.path(), SEGMENT)).unwrap();
        let verified = Folder::open(dir.path()).unwrap().verify(&mut |_, _| ()).unwrap();
        assert!(verified.corrupt.iter().all(|corrupt| corrupt.cause == Damage::Missing));
        assert_eq!(verified.corrupt.first().unwrap().from, Position(SEGMENT));
        assert_eq!(verified.corrupt.last().unwrap().to, Position(2 * SEGMENT));
        std::fs::remove_file(segment_path(dir.path(), 0)).unwrap();
        let kept = read(dir.path());
        assert_same(&kept, &published[published.len() - kept.len()..], "from the third segment on");
        let folder = Folder::open(dir.path()).unwrap();
        let mut reader = folder.reader().unwrap();
        reader.seek(Position(0));
        let error = reader.poll(folder.end().position).unwrap_err();
        assert!(matches!(error, ReadError::Retention { earliest: Position(e), .. } if e == 2 * SEGMENT), "{error}");
    });
}

#[test]
fn a_segment_that_was_cut_is_reported_and_nothing_is_recorded_over_it() {
    let (dir, _) = confirmed(3_000);
    for len_bytes in [0, 1, 4095, 100_000, SEGMENT - 1, SEGMENT, SEGMENT + 4096, SEGMENT + 4 * 4096 + 64] {
        let copy = copy(dir.path());
        segment(copy.path()).set_len(len_bytes).unwrap();
        let found = Folder::open(copy.path()).unwrap();
        let verified = found.verify(&mut |_, _| ()).unwrap();
        assert_ne!(verified.corrupt, [], "{len_bytes} bytes");
        let error = Partition::open(copy.path(), &options()).unwrap_err();
        assert!(error.to_string().contains("restore"), "{error}");
    }
}

#[test]
fn an_epoch_that_is_recorded_but_not_known_is_refused() {
    let (dir, published) = confirmed(500);
    let last = published.last().unwrap();
    let (mut topic, recovery) = Topic::open(dir.path(), &options());
    assert_eq!(recovery.tail, Tail { position: last.end, sequence: Sequence(500), time_ns: last.time_ns });
    topic.begin_epoch(recovery.tail);
    let mut io = Faulty::new(2);
    topic.publish_many(&mut io, 10);
    topic.end_epoch(&mut io);
    topic.idle(&mut io);
    drop(topic);
    OpenOptions::new().write(true).open(dir.path().join("epochs")).unwrap().set_len(64).unwrap();
    let error = Partition::open(dir.path(), &options()).unwrap_err();
    assert!(matches!(error, JournalError::EpochsDamaged { entry: 1, .. }), "{error}");
}

#[test]
fn an_epoch_without_a_frame_goes_on_where_it_began() {
    let (dir, published) = confirmed(500);
    let (mut partition, recovery) = Partition::open(dir.path(), &options()).unwrap();
    let start = partition.next_epoch(recovery.tail);
    partition.begin_epoch(&start).unwrap();
    drop(partition);
    let (partition, again) = Partition::open(dir.path(), &options()).unwrap();
    assert_eq!(again.tail.position, published.last().unwrap().end.next_block());
    assert_eq!((again.tail.sequence, partition.epochs().iter().count()), (Sequence(500), 2));
    assert_eq!(partition.next_epoch(again.tail).position, start.position, "no block was used");
    assert_same(&read(dir.path()), &published, "the first epoch");
}

#[test]
fn an_unrecorded_partition_goes_on_at_its_reserve() {
    let dir = folder();
    let unrecorded = Options { recorded: false, ..options() };
    let (mut partition, recovery) = Partition::open(dir.path(), &unrecorded).unwrap();
    let start = partition.next_epoch(recovery.tail);
    partition.begin_epoch(&start).unwrap();
    let here = |gib: u64| Tail { position: Position(gib << 30), sequence: Sequence(gib << 20), time_ns: 7 };
    assert!(!partition.renew_reserve(here(100)).unwrap());
    assert!(partition.renew_reserve(here(600)).unwrap());
    assert!(!partition.renew_reserve(here(601)).unwrap());
    assert!(partition.segment(Position(0), 0, &mut |_| ()).unwrap_err().to_string().contains("recorded = true"));
    drop(partition);
    let (partition, recovery) = Partition::open(dir.path(), &unrecorded).unwrap();
    assert!(recovery.tail.position > here(1_024).position && recovery.tail.sequence > here(1_024).sequence);
    let next = partition.next_epoch(recovery.tail);
    assert_eq!((next.epoch.0, next.position), (2, recovery.tail.position));
}

#[test]
fn what_was_being_made_when_the_maker_died_is_removed() {
    let (dir, _) = confirmed(100);
    let leftover = dir.path().join("00000000000099999999.new");
    file::create(&leftover, 4096, file::Fill::Zeroed).unwrap();
    Partition::open(dir.path(), &options()).unwrap();
    assert!(!leftover.exists());
}

#[test]
fn a_segment_that_another_process_writes_is_waited_for_and_then_refused() {
    let (dir, _) = confirmed(100);
    let writer = segment(dir.path());
    let opening = std::thread::scope(|scope| {
        let opening = scope.spawn(|| Partition::open(dir.path(), &options()).map(|_| ()));
        std::thread::yield_now();
        drop(writer);
        opening.join().unwrap()
    });
    opening.unwrap();
    let _writer = segment(dir.path());
    let error = Partition::open(dir.path(), &options()).unwrap_err();
    assert!(matches!(error, JournalError::StillWritten { .. }), "{error}");
}

#[test]
fn a_reader_that_meets_a_new_epoch_says_so_and_goes_on() {
    let (dir, published) = confirmed(300);
    let early = Folder::open(dir.path()).unwrap();
    let (mut topic, recovery) = Topic::open(dir.path(), &options());
    topic.published = published;
    topic.now_ns = recovery.tail.time_ns;
    topic.begin_epoch(recovery.tail);
    let mut io = Faulty::new(2);
    topic.publish_many(&mut io, 300);
    topic.end_epoch(&mut io);
    topic.idle(&mut io);
    let now = Folder::open(dir.path()).unwrap();
    let mut reader = early.reader().unwrap();
    let (mut messages, mut told) = (0, 0);
    loop {
        match reader.poll(now.end().position) {
            Ok(Some(frame)) => messages += usize::from(frame.kind == Kind::Message),
            Ok(None) => break,
            Err(ReadError::NewEpoch { epoch }) => {
                told += epoch.0;
                reader.set_epochs(now.epochs().clone());
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((messages, told), (600, 2));
}

/// The second epoch was granted where the first one had come to, and went with the power; the third begins lower.
#[test]
fn an_epoch_ends_at_the_least_that_any_later_one_tells() {
    let case = unconfirmed(2_000);
    let whole = copy(case.dir.path());
    let (mut partition, recovery) = Partition::open(whole.path(), &options()).unwrap();
    partition.begin_epoch(&partition.next_epoch(recovery.tail)).unwrap();
    drop(partition);
    std::fs::copy(whole.path().join("epochs"), case.dir.path().join("epochs")).unwrap();
    let lost = (case.written.0 - case.durable.0) as usize;
    segment(case.dir.path()).write_all_at(&vec![0; lost], case.durable.0).unwrap();
    let (mut topic, recovery) = Topic::open(case.dir.path(), &options());
    assert_eq!((recovery.tail.position, &recovery.corrupt[..]), (case.durable, &[][..]));
    topic.published = case.published[..recovery.tail.sequence.0 as usize].to_vec();
    topic.now_ns = recovery.tail.time_ns;
    topic.begin_epoch(recovery.tail);
    let mut io = Faulty::new(1);
    io.holds = |op| matches!(op, Op::Flush { .. });
    topic.publish_many(&mut io, 10);
    let end = topic.ring().writer.tail().position;
    topic.turn_until(&mut io, "written", |topic| topic.recorder.written() == end);
    io.kill();
    let published = topic.outlived().1;
    let (_, again) = Partition::open(case.dir.path(), &options()).unwrap();
    assert_eq!((again.tail.position, again.torn, again.corrupt), (end, None, vec![]));
    let found = Folder::open(case.dir.path()).unwrap();
    assert_eq!(found.verify(&mut |_, _| ()).unwrap().corrupt, []);
    assert_same(&read(case.dir.path()), &published, "the first epoch and the third");
}

/// One sector of the index goes bad: the slots of the last blocks, which were durable.
#[test]
fn slots_that_are_damaged_at_the_end_are_reported_before_they_are_cleared() {
    let dir = folder();
    let mut io = Faulty::new(5);
    let mut topic = Topic::begin(dir.path(), &options());
    topic.publish_many(&mut io, 9_000);
    topic.end_epoch(&mut io);
    topic.idle(&mut io);
    let end = topic.outlived().1.last().unwrap().end;
    let (slots, first) = (SEGMENT + 4 * 4096, end.0 / BLOCK / 8 * 8);
    assert!(first > 0 && end.0 / BLOCK < 64);
    let file = segment(dir.path());
    file.write_all_at(&[0xa5; 512], slots + first * 64).unwrap();
    // The places of the open block speak of the last one.
    file.write_all_at(&[0; 3 * 4096], SEGMENT + 4096).unwrap();
    drop(file);
    let (_, recovery) = Partition::open(dir.path(), &options()).unwrap();
    let (from, to) = (Position(first * BLOCK), Position((first + 8) * BLOCK));
    assert_eq!(recovery.tail.position, from);
    assert_eq!(recovery.corrupt, [Corrupt { from, to, cause: Damage::Slot }]);
    let (_, again) = Partition::open(dir.path(), &options()).unwrap();
    assert_eq!((again.tail, again.corrupt), (recovery.tail, vec![]));
}
