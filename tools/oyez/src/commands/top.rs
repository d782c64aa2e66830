//! `oyez top`: the same as `oyez stat`, again and again, with how fast it goes.

use std::io::{IsTerminal as _, stdin, stdout};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use oyez_broker::stat::Stat;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::{connect, stat};
use crate::args::{Format, TopArgs};
use crate::failure::{Answer, Failure};
use crate::output::Output;

/// Another screen, without a cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the top; and to the end of everything there.
const HOME: &str = "\x1b[H\x1b[J";

pub(crate) fn run(args: &TopArgs, output: &mut Output) -> Result<Answer, Failure> {
    let bus = connect(&args.broker)?;
    let interval = Duration::from_millis(args.interval_ms);
    let is_live = !args.once && output.format == Format::Text && stdout().is_terminal();
    let keys = Keys::listen(is_live)?;
    let mut before: Option<Stat> = None;
    if is_live {
        output.raw(ENTER)?;
    }
    let shown = loop {
        let next = Instant::now() + interval;
        let looked = stat::look(&bus, args.topic.as_deref());
        if is_live {
            // The window may have changed.
            output.cut_lines(true);
            output.raw(HOME)?;
        }
        match (looked, &before) {
            // A broker that is being replaced comes back.
            (Err(failure), Some(_)) if is_live => output.line(crate::failure::one_line(&*failure))?,
            (Err(failure), _) => break Err(failure),
            (Ok(now), None) if args.once => before = Some(now),
            (Ok(now), _) => {
                show(&now, before.as_ref(), output)?;
                if args.once {
                    break Ok(Answer::Yes);
                }
                before = Some(now);
            }
        }
        if is_live {
            output.line("")?;
            output.line("q to leave")?;
        }
        output.flush()?;
        if keys.quit_before(next)? {
            break Ok(Answer::Yes);
        }
    };
    if is_live {
        output.raw(LEAVE)?;
    }
    output.flush()?;
    shown
}

fn show(now: &Stat, before: Option<&Stat>, output: &mut Output) -> Result<(), Failure> {
    match output.format {
        Format::Json => output.json(now),
        Format::Text => stat::print(now, before, output),
    }
}

/// What may end it: a key, where there is a keyboard, or a signal. The keyboard is as it was when this is dropped.
struct Keys {
    former: Option<Termios>,
    signalled: Arc<AtomicBool>,
}

impl Keys {
    fn listen(is_live: bool) -> Result<Keys, Failure> {
        let signalled = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&signalled))?;
        }
        let former = if is_live && stdin().is_terminal() { tcgetattr(stdin()).ok() } else { None };
        if let Some(former) = &former {
            let mut raw = former.clone();
            raw.make_raw();
            // What is printed is still lines.
            raw.output_modes = former.output_modes;
            tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        }
        Ok(Keys { former, signalled })
    }

    /// Waits until then; whether somebody wants it to end.
    fn quit_before(&self, next: Instant) -> Result<bool, Failure> {
        loop {
            let left = next.saturating_duration_since(Instant::now());
            if self.signalled.load(Ordering::Relaxed) || left.is_zero() {
                return Ok(self.signalled.load(Ordering::Relaxed));
            }
            let timeout = Timespec::try_from(left.min(Duration::from_millis(100)))?;
            let keyboard = stdin();
            let mut sources = [PollFd::from_borrowed_fd(keyboard.as_fd(), PollFlags::IN)];
            let sources = if self.former.is_some() { &mut sources[..] } else { &mut [] };
            if matches!(poll(sources, Some(&timeout)), Ok(1..)) {
                let mut key = [0];
                let read = rustix::io::read(&keyboard, &mut key)?;
                // Control-C and control-D too: this keyboard makes no signals.
                if read == 0 || matches!(key[0], b'q' | b'Q' | 3 | 4) {
                    return Ok(true);
                }
            }
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(former) = &self.former {
            let _ = tcsetattr(stdin(), OptionalActions::Now, former);
        }
    }
}
