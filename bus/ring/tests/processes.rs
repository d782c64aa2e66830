//! Two processes over one sealed memory: full speed over a tiny ring, and a writer killed anywhere.
#![cfg(not(loom))]

use oyez_mem::memory::{self, Access};
use oyez_ring::{
    BLOCK, Control, ControlMut, Epoch, EpochStart, Kind, Memory, Offer, Poll, Position, Reader, Region, RegionMut,
    Sequence, Tail, Writer, write_head,
};
use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

const START: EpochStart =
    EpochStart { epoch: Epoch(1), position: Position(0), sequence: Sequence(0), time_ns: 0, previous_end: Position(0) };
const WRITER: &str = "OYEZ_TEST_WRITER";

/// Both memories of an epoch, as a broker would hand them out.
struct Shared {
    data: OwnedFd,
    page: OwnedFd,
    control: ControlMut,
    capacity_bytes: u64,
}

/// Ends with the test, however that ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Shared {
    fn new(capacity_bytes: u64) -> Shared {
        let len_bytes = Memory::len_bytes(capacity_bytes);
        let data = memory::create("ring", len_bytes).unwrap();
        write_head(&RegionMut::map(&data, len_bytes as usize).unwrap(), capacity_bytes, &START, 1);
        let page = memory::create("control", Control::LEN_BYTES as u64).unwrap();
        let writable = RegionMut::map(&page, Control::LEN_BYTES).unwrap();
        let control = ControlMut::open(writable, START.position, Position(u64::MAX));
        Shared { data, page, control, capacity_bytes }
    }

    /// This very test again, as the process that writes `messages` messages.
    fn writer(&self, messages: u64) -> Process {
        let path = |file: &OwnedFd| format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        let task = format!("{} {} {} {messages}", path(&self.data), path(&self.page), self.capacity_bytes);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "the_writing_process", "--nocapture"]).env(WRITER, task);
        Process(command.stdout(std::process::Stdio::null()).spawn().unwrap())
    }

    fn view(&self) -> Memory {
        let given = memory::reopen(&self.data, Access::Read).unwrap();
        let len_bytes = Memory::len_bytes(self.capacity_bytes) as usize;
        Memory::new(Region::map(given, len_bytes).unwrap(), self.capacity_bytes)
    }
}

fn message_bytes(sequence: u64) -> usize {
    8 * (1 + (sequence.wrapping_mul(0x9E37_79B9) >> 7) % 60) as usize
}

/// Not a test of its own: what the other two start.
#[test]
fn the_writing_process() {
    let Ok(task) = std::env::var(WRITER) else { return };
    let task: Vec<_> = task.split(' ').collect();
    let capacity_bytes = task[2].parse().unwrap();
    let open = |path| OpenOptions::new().read(true).write(true).open(path).unwrap();
    let data = RegionMut::map(open(task[0]), Memory::len_bytes(capacity_bytes) as usize).unwrap();
    let control = Control::new(Region::map(File::open(task[1]).unwrap(), Control::LEN_BYTES).unwrap());
    let tail = Tail { position: Position(96), sequence: Sequence(0), time_ns: 1 };
    let mut writer = Writer::new(data, capacity_bytes, control, START.epoch, tail);
    let mut scratch = [0; 480];
    for sequence in 0..task[3].parse().unwrap() {
        let message = &mut scratch[..message_bytes(sequence)];
        for word in message.as_chunks_mut::<8>().0 {
            *word = sequence.to_le_bytes();
        }
        while writer.offer(message, sequence).unwrap() == Offer::BackPressured {
            std::hint::spin_loop();
        }
    }
}

/// Every word of a message is its sequence, so that a torn copy shows.
fn check(frame: oyez_ring::Frame<'_>) {
    assert_eq!(frame.payload.len(), message_bytes(frame.sequence.0), "length of {}", frame.sequence);
    for word in frame.payload.as_chunks::<8>().0 {
        assert_eq!(u64::from_le_bytes(*word), frame.sequence.0, "torn");
    }
}

#[test]
fn a_reader_lapped_all_the_time_by_another_process_gets_nothing_torn() {
    let messages: u64 = std::env::var("OYEZ_TORTURE_MESSAGES").map_or(20_000_000, |n| n.parse().unwrap());
    let shared = Shared::new(2 * BLOCK);
    let view = shared.view();
    let mut writer = shared.writer(messages);
    let (mut delivered, mut laps, mut last) = (0u64, 0u64, None);
    let mut reader = Reader::at(view.clone(), START.epoch, START.position);
    let deadline = Instant::now() + Duration::from_secs(300);
    while last != Some(messages - 1) {
        assert!(Instant::now() < deadline, "{last:?} of {messages}");
        match reader.poll().unwrap() {
            Poll::Frame(frame) if frame.kind == Kind::Message => {
                assert!(last < Some(frame.sequence.0), "order");
                check(frame);
                last = Some(frame.sequence.0);
                delivered += 1;
            }
            Poll::Frame(_) => {}
            Poll::Empty => std::thread::yield_now(),
            Poll::Lapped => {
                laps += 1;
                let newest = Reader::newest_block(&view, START.epoch, START.position);
                reader = Reader::at(view.clone(), START.epoch, newest);
            }
        }
    }
    assert!(writer.0.wait().unwrap().success());
    eprintln!("delivered {delivered} of {messages}, lapped {laps} times");
}

/// A killed writer leaves a ring whose last frame is whole, with nothing behind it.
#[test]
fn a_writer_killed_anywhere_leaves_whole_frames() {
    let kills: u64 = std::env::var("OYEZ_KILLS_WRITER").map_or(30, |n| n.parse().unwrap());
    for kill in 0..kills {
        let shared = Shared::new(1 << 21);
        // Nothing is lapped, so that the scan from the beginning sees every frame; the writer stops at the gate.
        shared.control.set_gate(Position(shared.capacity_bytes));
        let mut reader = Reader::at(shared.view(), START.epoch, START.position);
        let mut writer = shared.writer(u64::MAX);
        let kill_after = 1 + kill * 7_919 % 3_000;
        let deadline = Instant::now() + Duration::from_secs(60);
        let (mut next, mut alive) = (0, true);
        loop {
            match reader.poll().unwrap() {
                Poll::Frame(frame) if frame.kind == Kind::Message => {
                    assert_eq!(frame.sequence.0, next, "dense");
                    check(frame);
                    next += 1;
                    if alive && next >= kill_after {
                        writer.0.kill().unwrap();
                        writer.0.wait().unwrap();
                        alive = false;
                    }
                }
                Poll::Frame(_) => {}
                Poll::Empty if !alive => break,
                Poll::Empty => assert!(Instant::now() < deadline, "the writer published {next}"),
                Poll::Lapped => panic!("lapped behind a gate"),
            }
        }
        assert!(next >= kill_after);
    }
}
