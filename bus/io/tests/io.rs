//! Both implementations do the same things: each test runs on each.

use oyez_io::{Buffer, Bytes, Completion, DISK_BLOCK, IN_FLIGHT_MAX, Io, Kind, Op, file};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn on_each(test: impl Fn(&mut dyn Io, &Path)) {
    for kind in [Kind::Uring, Kind::Syscalls] {
        match oyez_io::open(kind) {
            Ok((mut io, _)) => test(&mut *io, tempfile::tempdir().unwrap().path()),
            Err(refusal) => skipped(&format!("on {kind:?}: {refusal}")),
        }
    }
}

fn skipped(reason: &str) {
    eprintln!("SKIPPED {}: {reason}", std::thread::current().name().unwrap_or("a test"));
}

/// Completions, once there are `count`.
fn wait(io: &mut dyn Io, count: usize) -> Vec<Completion> {
    let (mut all, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(60));
    while all.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} completions in a minute", all.len());
        if io.complete(&mut |completion| all.push(completion)).unwrap() == 0 {
            std::thread::yield_now();
        }
    }
    all
}

fn segment(dir: &Path, len_bytes: u64) -> Arc<File> {
    Arc::new(file::create(&dir.join("file"), len_bytes, file::Fill::Zeroed).unwrap().0)
}

fn content(dir: &Path) -> Vec<u8> {
    std::fs::read(dir.join("file")).unwrap()
}

#[test]
fn what_was_written_from_buffers_and_from_memory_is_in_the_file() {
    on_each(|io, dir| {
        let file = segment(dir, 64 * DISK_BLOCK as u64);
        let mut memory = Buffer::new(2 * DISK_BLOCK);
        memory.fill(7);
        for at in 0..20_u64 {
            let mut buffer = Buffer::new(2 * DISK_BLOCK);
            buffer.fill(at as u8 + 10);
            let bytes = match at {
                3 => Bytes::Memory { address: memory.as_ptr().addr(), len_bytes: memory.len() },
                _ => Bytes::Buffer { buffer, len_bytes: DISK_BLOCK },
            };
            io.submit(Op::Write { file: Arc::clone(&file), bytes, offset: 3 * at * DISK_BLOCK as u64 }, at).unwrap();
        }
        let mut done = wait(io, 20);
        done.sort_by_key(|completion| completion.token);
        for (at, completion) in done.iter().enumerate() {
            assert_eq!(completion.token, at as u64);
            assert!(completion.result.is_ok(), "{:?}", completion.result);
            assert_eq!(completion.buffer.is_some(), at != 3, "a buffer comes back");
        }
        io.submit(Op::Flush { file: Arc::clone(&file) }, 99).unwrap();
        let flushed = wait(io, 1);
        assert_eq!((flushed[0].token, flushed[0].result.is_ok()), (99, true));
        for (at, block) in content(dir).chunks(DISK_BLOCK).enumerate() {
            let expected = match (at / 3, at % 3) {
                (3, 0 | 1) => 7,
                (number @ 0..20, 0) => number as u8 + 10,
                _ => 0,
            };
            assert!(block.iter().all(|byte| *byte == expected), "disk block {at} is not {expected}");
        }
    });
}

#[test]
fn an_error_is_that_operation_s_own() {
    on_each(|io, dir| {
        let file = segment(dir, 8 * DISK_BLOCK as u64);
        let read_only = Arc::new(File::open(dir.join("file")).unwrap());
        let write = |file: &Arc<File>, bytes| Op::Write { file: Arc::clone(file), bytes, offset: 0 };
        io.submit(write(&read_only, Bytes::Buffer { buffer: Buffer::new(DISK_BLOCK), len_bytes: DISK_BLOCK }), 1)
            .unwrap();
        io.submit(write(&file, Bytes::Memory { address: 4096, len_bytes: DISK_BLOCK }), 2).unwrap();
        io.submit(write(&file, Bytes::Buffer { buffer: Buffer::new(DISK_BLOCK), len_bytes: DISK_BLOCK }), 3).unwrap();
        let mut done = wait(io, 3);
        done.sort_by_key(|completion| completion.token);
        let codes: Vec<_> = done.iter().map(|c| c.result.as_ref().err().and_then(|e| e.raw_os_error())).collect();
        assert_eq!(codes, [Some(libc::EBADF), Some(libc::EFAULT), None]);
    });
}

#[test]
fn a_full_queue_gives_the_operation_back_and_takes_it_later() {
    on_each(|io, dir| {
        let file = segment(dir, DISK_BLOCK as u64);
        let flush = || Op::Flush { file: Arc::clone(&file) };
        for token in 0..IN_FLIGHT_MAX {
            io.submit(flush(), token as u64).unwrap();
        }
        assert!(matches!(io.submit(flush(), 0), Err(Op::Flush { .. })));
        let some = wait(io, 1).len();
        io.submit(flush(), 7).unwrap();
        wait(io, IN_FLIGHT_MAX + 1 - some);
        assert_eq!(io.complete(&mut |_| ()).unwrap(), 0);
    });
}

#[test]
fn dropping_with_operations_under_way_waits_for_them() {
    for kind in [Kind::Uring, Kind::Syscalls] {
        let Ok((mut io, _)) = oyez_io::open(kind) else { continue }; // said by the others
        let dir = tempfile::tempdir().unwrap();
        let file = segment(dir.path(), 64 * DISK_BLOCK as u64);
        for at in 0..64 {
            let mut buffer = Buffer::new(DISK_BLOCK);
            buffer.fill(at as u8 + 1);
            let bytes = Bytes::Buffer { buffer, len_bytes: DISK_BLOCK };
            io.submit(Op::Write { file: Arc::clone(&file), bytes, offset: at * DISK_BLOCK as u64 }, at).unwrap();
        }
        drop(io);
        let content = content(dir.path());
        assert!(content.chunks(DISK_BLOCK).enumerate().all(|(at, block)| block.iter().all(|b| *b == at as u8 + 1)));
    }
}

#[test]
fn the_clock_is_the_wall_clock() {
    on_each(|io, _| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        assert!(io.now_ns().abs_diff(since.as_nanos() as u64) < 60_000_000_000);
    });
}

#[test]
fn where_a_filter_forbids_io_uring_plain_system_calls_do_and_the_reason_is_said() {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    // A filter binds the thread that installs it, and this thread is the test's own.
    for (errno, expected) in [(libc::EPERM, "seccomp"), (libc::ENOSYS, "ENOSYS")] {
        let rules = [(libc::SYS_io_uring_setup, vec![])].into_iter().collect();
        let answer = SeccompAction::Errno(errno as u32);
        let arch = std::env::consts::ARCH.try_into().unwrap();
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, arch).unwrap();
        let program: BpfProgram = filter.try_into().unwrap();
        let text = std::thread::spawn(move || {
            seccompiler::apply_filter(&program).unwrap();
            assert!(oyez_io::open(Kind::Uring).is_err());
            let (mut io, refusal) = oyez_io::open(Kind::Auto).unwrap();
            let dir = tempfile::tempdir().unwrap();
            io.submit(Op::Flush { file: segment(dir.path(), DISK_BLOCK as u64) }, 1).unwrap();
            assert!(wait(&mut *io, 1)[0].result.is_ok());
            refusal.unwrap().to_string()
        });
        let text = text.join().unwrap();
        // A sysctl that forbids it as well answers first.
        assert!(text.contains(expected) || text.contains("sysctl"), "{text}");
    }
}

#[test]
fn files_are_made_read_and_renamed_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    for fill in [file::Fill::Zeroed, file::Fill::Allocated] {
        let (made, _) = file::create(&path, 3 << 20, fill).unwrap();
        assert_eq!(made.metadata().unwrap().len(), 3 << 20);
        assert!(content(dir.path()).iter().all(|byte| *byte == 0));
        assert_eq!(file::create(&path, 4096, fill).unwrap_err().kind(), ErrorKind::AlreadyExists);
        std::fs::remove_file(&path).unwrap();
    }
    file::replace(&path, b"one").unwrap();
    file::replace(&path, b"another").unwrap();
    assert_eq!(content(dir.path()), b"another");
    file::rename(&path, &dir.path().join("elsewhere")).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_direct_read_serves_any_range_and_zeros_past_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (made, _) = file::create(&dir.path().join("file"), 2 * DISK_BLOCK as u64, file::Fill::Zeroed).unwrap();
    let mut bytes = Buffer::new(2 * DISK_BLOCK);
    bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at / 7) as u8);
    made.write_all_at(&bytes, 0).unwrap();
    let mut buffer = Buffer::new(4 * DISK_BLOCK);
    assert_eq!(file::read_at(&made, 4090, 100, &mut buffer).unwrap(), &bytes[4090..4190]);
    assert_eq!(file::read_at(&made, 8000, 1000, &mut buffer).unwrap(), [&bytes[8000..], &[0; 808]].concat());
}

#[test]
fn a_full_disk_is_an_error_that_leaves_nothing_behind() {
    let Ok(shm) = tempfile::tempdir_in("/dev/shm") else { return skipped("no /dev/shm") };
    assert!(!file::outlives_power(shm.path()).unwrap());
    let path = shm.path().join("file");
    // No tmpfs is an exbibyte.
    assert!(file::create(&path, 1 << 60, file::Fill::Allocated).is_err());
    assert!(!path.exists());
}
