//! io_uring: operations go out and come back in batches, without a thread.

use crate::{Bytes, Completion, IN_FLIGHT_MAX, Io, Op};
use io_uring::{IoUring, SubmissionQueue, opcode, squeue, types};
use std::io;
use std::os::fd::AsRawFd;

pub(crate) struct Uring {
    ring: IoUring,
    /// Operations the kernel may be working on, by the number it knows them under.
    running: Vec<Option<Running>>,
    free: Vec<usize>,
    /// Entries pushed that the kernel has not taken yet.
    queued: usize,
}

struct Running {
    op: Op,
    token: u64,
    written_bytes: usize,
}

impl Uring {
    pub(crate) fn open() -> io::Result<Uring> {
        let ring = IoUring::builder().dontfork().build(IN_FLIGHT_MAX as u32)?;
        Ok(Uring {
            ring,
            running: (0..IN_FLIGHT_MAX).map(|_| None).collect(),
            free: (0..IN_FLIGHT_MAX).collect(),
            queued: 0,
        })
    }

    /// Gives the kernel what is queued, and waits for `want` completions.
    fn enter(&mut self, want: usize) -> io::Result<()> {
        match self.ring.submit_and_wait(want) {
            Ok(taken) => self.queued -= taken,
            // Busy or interrupted: the rest goes with the next call.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Io for Uring {
    fn now_ns(&self) -> u64 {
        crate::now_ns()
    }

    fn submit(&mut self, op: Op, token: u64) -> Result<(), Op> {
        let Some(number) = self.free.pop() else { return Err(op) };
        let running = self.running[number].insert(Running { op, token, written_bytes: 0 });
        push(&mut self.ring.submission(), running, number);
        self.queued += 1;
        Ok(())
    }

    fn complete(&mut self, each: &mut dyn FnMut(Completion)) -> io::Result<usize> {
        if self.queued > 0 {
            self.enter(0)?;
        }
        let mut count = 0;
        let (_, mut submissions, completions) = self.ring.split();
        for answer in completions {
            let number = answer.user_data() as usize;
            let Some(mut running) = self.running[number].take() else { continue };
            if let Some(result) = running.judge(answer.result()) {
                self.free.push(number);
                each(Completion { token: running.token, result, buffer: running.op.into_buffer() });
                count += 1;
            } else {
                push(&mut submissions, self.running[number].insert(running), number);
                self.queued += 1;
            }
        }
        Ok(count)
    }
}

impl Running {
    /// What the kernel's answer means; `None`: a part was written, and the rest is still to do.
    fn judge(&mut self, answer: i32) -> Option<io::Result<()>> {
        if answer < 0 {
            return Some(Err(io::Error::from_raw_os_error(-answer)));
        }
        let Op::Write { bytes, .. } = &self.op else { return Some(Ok(())) };
        self.written_bytes += answer as usize;
        match self.written_bytes == bytes.len_bytes() {
            true => Some(Ok(())),
            false if answer == 0 => Some(Err(io::ErrorKind::WriteZero.into())),
            false => None,
        }
    }

    fn entry(&self, number: usize) -> squeue::Entry {
        match &self.op {
            Op::Write { file, bytes, offset } => {
                let rest_bytes = bytes.len_bytes() - self.written_bytes;
                let address = bytes.address().wrapping_add(self.written_bytes);
                opcode::Write::new(types::Fd(file.as_raw_fd()), address, rest_bytes as u32)
                    .offset(offset + self.written_bytes as u64)
                    .build()
            }
            Op::Flush { file } => {
                opcode::Fsync::new(types::Fd(file.as_raw_fd())).flags(types::FsyncFlags::DATASYNC).build()
            }
        }
        .user_data(number as u64)
    }
}

#[allow(unsafe_code, reason = "the kernel is given addresses")]
fn push(submissions: &mut SubmissionQueue<'_>, running: &Running, number: usize) {
    let entry = running.entry(number);
    // SAFETY: the file and a buffer are owned by `running`, which stays in its place until the kernel has answered
    // (`Drop` waits for that); other memory is only read, by the kernel, which checks the address.
    let pushed = unsafe { submissions.push(&entry) };
    assert!(pushed.is_ok(), "no more operations are under way than the queue has places");
}

impl Drop for Uring {
    /// Waits for what the kernel is still reading.
    fn drop(&mut self) {
        while self.free.len() < IN_FLIGHT_MAX {
            if self.enter(1).is_err() || self.complete(&mut |_| ()).is_err() {
                // The kernel no longer says when it is done: what it may still read is never freed.
                return std::mem::take(&mut self.running).into_iter().for_each(std::mem::forget);
            }
        }
    }
}

const _: () = assert!(std::mem::size_of::<Bytes>() <= 64, "an operation is moved, not boxed");
