//! Plain system calls, where io_uring is refused: two threads take operations from one queue, so that neither a write
//! nor a flush ever blocks the core, and a flush does not hold up the writes behind it.

use crate::{Completion, IN_FLIGHT_MAX, Io, Op};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

const THREADS: usize = 2;

pub(crate) struct Syscalls {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    in_flight: usize,
    /// Completions on their way out: swapped with the shared ones, so that no lock is held while they are handed over.
    finished: VecDeque<Completion>,
}

struct Shared {
    queues: Mutex<Queues>,
    more: Condvar,
}

struct Queues {
    submitted: VecDeque<(Op, u64)>,
    finished: VecDeque<Completion>,
    closing: bool,
}

impl Syscalls {
    pub(crate) fn open() -> io::Result<Syscalls> {
        let queues = Queues {
            submitted: VecDeque::with_capacity(IN_FLIGHT_MAX),
            finished: VecDeque::with_capacity(IN_FLIGHT_MAX),
            closing: false,
        };
        let shared = Arc::new(Shared { queues: Mutex::new(queues), more: Condvar::new() });
        let finished = VecDeque::with_capacity(IN_FLIGHT_MAX);
        let mut syscalls = Syscalls { shared, threads: Vec::new(), in_flight: 0, finished };
        for number in 0..THREADS {
            let shared = Arc::clone(&syscalls.shared);
            let named = std::thread::Builder::new().name(format!("oyez-io-{number}"));
            syscalls.threads.push(named.spawn(move || shared.work())?);
        }
        Ok(syscalls)
    }
}

impl Io for Syscalls {
    fn now_ns(&self) -> u64 {
        crate::now_ns()
    }

    fn submit(&mut self, op: Op, token: u64) -> Result<(), Op> {
        if self.in_flight == IN_FLIGHT_MAX {
            return Err(op);
        }
        self.in_flight += 1;
        self.shared.lock().submitted.push_back((op, token));
        self.shared.more.notify_one();
        Ok(())
    }

    fn complete(&mut self, each: &mut dyn FnMut(Completion)) -> io::Result<usize> {
        if self.in_flight == 0 {
            return Ok(0);
        }
        std::mem::swap(&mut self.shared.lock().finished, &mut self.finished);
        let count = self.finished.len();
        self.in_flight -= count;
        self.finished.drain(..).for_each(each);
        Ok(count)
    }
}

impl Drop for Syscalls {
    /// Ends the threads, after what was submitted is done.
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.more.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to end.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queues> {
        // Nothing panics under the lock; a poisoned one is still whole.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some((op, token)) = self.next() {
            let result = op.run();
            self.lock().finished.push_back(Completion { token, result, buffer: op.into_buffer() });
        }
    }

    fn next(&self) -> Option<(Op, u64)> {
        let mut queues = self.lock();
        loop {
            if let Some(next) = queues.submitted.pop_front() {
                return Some(next);
            }
            if queues.closing {
                return None;
            }
            queues = self.more.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Op {
    fn run(&self) -> io::Result<()> {
        match self {
            Op::Flush { file } => file.sync_data(),
            Op::Write { file, bytes, offset } => write_all(file, bytes.address(), bytes.len_bytes(), *offset),
        }
    }
}

fn write_all(file: &File, address: *const u8, len_bytes: usize, offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < len_bytes {
        match write(file, address.wrapping_add(done), len_bytes - done, offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => done += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[allow(unsafe_code, reason = "the ring's memory is no slice: the kernel is given its address")]
fn write(file: &File, address: *const u8, len_bytes: usize, offset: u64) -> io::Result<usize> {
    // SAFETY: the kernel only reads, and checks the address itself; a buffer is owned by the running operation.
    let answer = unsafe { libc::pwrite(file.as_raw_fd(), address.cast(), len_bytes, offset as libc::off_t) };
    usize::try_from(answer).map_err(|_| io::Error::last_os_error())
}
