//! One partition with everything around it, driven turn by turn, and what was published as the truth to compare with.
#![allow(dead_code, reason = "each test takes its part")]

pub(crate) mod faulty;

use oyez_io::{Io, Kind};
use oyez_journal::{Folder, Options, Partition, Recorder, RecorderState, Recovery};
use oyez_mem::memory;
use oyez_ring::{
    ControlMut, EpochStart, Memory, Offer, Poll, Position, Reader, RegionMut, Sequence, Tail, Writer, write_head,
};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) const CAPACITY: u64 = 1 << 20;
pub(crate) const SEGMENT: u64 = 4 << 20;

/// A message as it was published, or as it was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) sequence: Sequence,
    pub(crate) time_ns: u64,
    pub(crate) start: Position,
    pub(crate) end: Position,
    pub(crate) bytes: Vec<u8>,
}

/// A ring and its owner.
pub(crate) struct Ring {
    pub(crate) memory: RegionMut,
    pub(crate) control: ControlMut,
    pub(crate) writer: Writer,
    pub(crate) start: EpochStart,
}

pub(crate) struct Topic {
    pub(crate) dir: PathBuf,
    pub(crate) partition: Partition,
    pub(crate) recorder: Recorder,
    pub(crate) ring: Option<Ring>,
    pub(crate) published: Vec<Message>,
    pub(crate) now_ns: u64,
    /// Whether wanted segments are made.
    pub(crate) makes_segments: bool,
}

pub(crate) fn options() -> Options {
    Options { segment_bytes: SEGMENT, ..Options::default() }
}

/// A folder on a real disk: where TMPDIR says, else beside what was built.
pub(crate) fn folder() -> tempfile::TempDir {
    let dir = std::env::var_os("TMPDIR").unwrap_or(env!("CARGO_TARGET_TMPDIR").into());
    tempfile::tempdir_in(dir).unwrap()
}

/// Says that the running test, or a part of it, was left out.
pub(crate) fn skipped(reason: &str) {
    eprintln!("SKIPPED {}: {reason}", std::thread::current().name().unwrap_or("a test"));
}

/// Runs a test on each implementation of the I/O that can be had here.
pub(crate) fn on_each(test: impl Fn(&mut dyn Io)) {
    for kind in [Kind::Uring, Kind::Syscalls] {
        match oyez_io::open(kind) {
            Ok((mut io, _)) => test(&mut *io),
            Err(refusal) => skipped(&format!("on {kind:?}: {refusal}")),
        }
    }
}

/// The bytes of message `sequence`: length and content follow from it. One in five hundred is several frames.
pub(crate) fn bytes_of(sequence: u64) -> Vec<u8> {
    let mix = (sequence + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let len_bytes = match mix >> 60 {
        0 if mix >> 55 == 0 => 4_097 + (mix >> 8) % 160_000,
        0 => 8 + (mix >> 8) % 4089,
        _ => 8 + (mix >> 8) % 120,
    };
    (0..len_bytes).map(|at| (mix.rotate_left(at as u32 % 64) as u8) ^ at as u8).collect()
}

impl Topic {
    pub(crate) fn open(dir: &Path, options: &Options) -> (Topic, Recovery) {
        let (partition, recovery) = Partition::open(dir, options).unwrap();
        let recorder = Recorder::new(&partition, &recovery, 3);
        let topic = Topic {
            dir: dir.into(),
            partition,
            recorder,
            ring: None,
            published: Vec::new(),
            now_ns: recovery.tail.time_ns.max(1_700_000_000_000_000_000),
            makes_segments: true,
        };
        (topic, recovery)
    }

    /// Opens a folder and begins an epoch at the recovered end.
    pub(crate) fn begin(dir: &Path, options: &Options) -> Topic {
        let (mut topic, recovery) = Topic::open(dir, options);
        topic.begin_epoch(recovery.tail);
        topic
    }

    pub(crate) fn begin_epoch(&mut self, tail: Tail) {
        let start = self.partition.next_epoch(tail);
        self.partition.begin_epoch(&start).unwrap();
        let len_bytes = Memory::len_bytes(CAPACITY);
        let file = memory::create("journal-test", len_bytes).unwrap();
        let memory = RegionMut::map(file, len_bytes as usize).unwrap();
        let tail = write_head(&memory, CAPACITY, &start, self.now_ns);
        let control = control_page(&start);
        let writer = Writer::new(memory.clone(), CAPACITY, control.reader(), start.epoch, tail);
        let recorded = Tail { position: start.position, sequence: start.sequence, time_ns: start.time_ns };
        self.attach(Ring { memory, control, writer, start }, recorded);
    }

    /// Takes over a ring that outlived its broker.
    pub(crate) fn adopt(&mut self, mut ring: Ring, published: Vec<Message>, recorded: Tail) {
        ring.control = control_page(&ring.start);
        ring.writer.set_control(ring.control.reader());
        self.published = published;
        self.attach(ring, recorded);
    }

    fn attach(&mut self, ring: Ring, recorded: Tail) {
        let memory = Memory::new(ring.memory.reader(), CAPACITY);
        self.recorder.attach(memory, ring.control.clone(), &ring.start, recorded);
        self.ring = Some(ring);
    }

    pub(crate) fn ring(&mut self) -> &mut Ring {
        self.ring.as_mut().expect("an epoch was begun")
    }

    pub(crate) fn control(&self) -> &ControlMut {
        &self.ring.as_ref().expect("an epoch was begun").control
    }

    /// Publishes the next message; `false` when back-pressured.
    pub(crate) fn publish(&mut self) -> bool {
        self.now_ns += 50;
        let now_ns = self.now_ns;
        let writer = &mut self.ring.as_mut().expect("an epoch was begun").writer;
        let (before, bytes) = (writer.tail(), bytes_of(writer.tail().sequence.0));
        match writer.offer(&bytes, now_ns).unwrap() {
            Offer::BackPressured => false,
            Offer::Published(published) => {
                let (sequence, time_ns, end) = (published.sequence, published.time_ns, published.position);
                let start = start_of(before.position, bytes.len() as u64);
                self.published.push(Message { sequence, time_ns, start, end, bytes });
                true
            }
        }
    }

    /// The owner dies within a message, of which `fragments` came out, and perhaps the opening of the block behind them;
    /// where they end. There must be room for all of it.
    pub(crate) fn die_within(&mut self, fragments: usize, opens_block: bool) -> Tail {
        let now_ns = self.now_ns;
        let Ring { memory, writer, start, .. } = self.ring();
        let (before, message) = (writer.tail(), vec![7; CAPACITY as usize / 4]);
        let Offer::Published(published) = writer.offer(&message, now_ns).unwrap() else { panic!("no room to die in") };
        let block = before.position.block();
        let mut reader = Reader::at(Memory::new(memory.reader(), CAPACITY), start.epoch, block);
        let mut ends = Vec::new();
        while let Poll::Frame(frame) = reader.poll_any().unwrap() {
            ends.extend((frame.position >= before.position).then_some((frame.kind, frame.end)));
        }
        let nth =
            ends.iter().enumerate().filter(|(_, (kind, _))| *kind == oyez_ring::Kind::Fragment).nth(fragments - 1);
        let (_, end) = ends[nth.expect("so many fragments").0 + usize::from(opens_block)];
        (end.0..published.position.0).step_by(8).for_each(|at| memory.store((at % CAPACITY) as usize, 0));
        Tail { position: end, sequence: before.sequence, time_ns: published.time_ns }
    }

    /// Publishes `count` messages, recording as it goes.
    pub(crate) fn publish_many(&mut self, io: &mut dyn Io, count: usize) {
        for _ in 0..count {
            while !self.publish() {
                self.turn(io);
            }
        }
    }

    pub(crate) fn turn(&mut self, io: &mut dyn Io) {
        io.complete(&mut |completion| self.recorder.complete(completion)).unwrap();
        self.now_ns += 1_000;
        if self.makes_segments
            && let Some(position) = self.recorder.wants_segment()
        {
            let control = &self.ring.as_ref().expect("an epoch was begun").control;
            let segment = self.partition.segment(position, self.now_ns, &mut |earliest| control.set_earliest(earliest));
            self.recorder.give(segment.unwrap());
        }
        if self.recorder.do_work(io, self.now_ns) == 0 {
            std::thread::yield_now();
        }
        while self.recorder.take_spent().is_some() {}
    }

    pub(crate) fn turn_until(&mut self, io: &mut dyn Io, what: &str, done: impl Fn(&Topic) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !done(self) {
            assert!(Instant::now() < deadline, "{what}: not in a minute; {:?}", self.recorder.state());
            self.turn(io);
        }
    }

    pub(crate) fn all_durable(&mut self, io: &mut dyn Io) {
        let end = self.ring().writer.tail().position;
        self.turn_until(io, "all durable", |topic| topic.recorder.durable() >= end);
    }

    /// Ends the epoch at the owner's tail, waits until it is done, and says where the next goes on.
    pub(crate) fn end_epoch(&mut self, io: &mut dyn Io) -> Tail {
        let tail = self.ring().writer.tail();
        self.end_epoch_at(io, tail)
    }

    pub(crate) fn end_epoch_at(&mut self, io: &mut dyn Io, tail: Tail) -> Tail {
        self.recorder.end_epoch(tail.position);
        self.turn_until(io, "epoch done", |topic| matches!(topic.recorder.state(), RecorderState::EpochDone { .. }));
        tail
    }

    /// The broker is gone; what it does not own stays: ring, truth, time.
    pub(crate) fn outlived(self) -> (Option<Ring>, Vec<Message>, u64) {
        (self.ring, self.published, self.now_ns)
    }

    /// Waits until the kernel is at nothing any more, so that it may be dropped.
    pub(crate) fn idle(&mut self, io: &mut dyn Io) {
        while self.recorder.in_flight() > 0 {
            io.complete(&mut |completion| self.recorder.complete(completion)).unwrap();
        }
    }
}

/// Where the first frame begins of a message that was published behind `tail`: there, or behind the next block's opening.
fn start_of(tail: Position, len_bytes: u64) -> Position {
    let room = tail.next_block().0 - tail.0;
    let fits = if len_bytes > 4096 { room > 16 } else { room >= 16 + len_bytes.next_multiple_of(8) };
    if fits { tail } else { tail.next_block().plus(48) }
}

fn control_page(start: &EpochStart) -> ControlMut {
    ControlMut::open(RegionMut::heap(4096), start.position, start.position)
}

/// Every message of a folder.
pub(crate) fn read(dir: &Path) -> Vec<Message> {
    let folder = Folder::open(dir).unwrap();
    let mut reader = folder.reader().unwrap();
    let mut messages = Vec::new();
    while let Some(frame) = reader.poll(folder.end().position).unwrap() {
        if frame.kind == oyez_ring::Kind::Message {
            let (sequence, time_ns, start, end) = (frame.sequence, frame.time_ns, frame.position, frame.end);
            messages.push(Message { sequence, time_ns, start, end, bytes: frame.payload.to_vec() });
        }
    }
    messages
}

/// Fails where two runs of messages differ, with the first difference and not with megabytes.
pub(crate) fn assert_same(read: &[Message], published: &[Message], what: &str) {
    for (read, published) in read.iter().zip(published) {
        assert_eq!(read, published, "{what}");
    }
    assert_eq!(read.len(), published.len(), "{what}: messages");
}

/// The only segment with data, for tests that publish less than one.
pub(crate) fn segment_path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.segment"))
}
