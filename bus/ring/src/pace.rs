//! When a reader that has read everything looks again.
//!
//! One that looks at the tail of a dense stream takes the line from the writer at each frame, and makes the writer
//! three to ten times slower; so it rests some hundred ns first, and then finds several frames. Where frames come one by
//! one, it looks again at once; two or three in a row are no stream: an answer is there at the first look, too, when whoever
//! asked was held up.
//!
//! One by one is also how a dense stream comes to a reader that already slows its writer down. So a reader that finds few
//! frames at a time now and then rests all the same, and sees whether it finds several then. Each time it does not, it takes
//! twice as many looks until it tries again.
//!
//! A writer that does nothing but write is held up by every look, and several times faster where the next one is some µs
//! away. So where thousands of frames have come at a high rate, a reader tries a few long rests, and keeps to them only
//! as long as the frames come faster than they did: a writer that has its own pace is not made faster, and its messages
//! are not to wait.

use std::time::{Duration, Instant};

/// How long a rest is. None under loom, which explores all orders anyway.
const REST_PAUSES: u32 = if cfg!(loom) { 0 } else { 12 };
/// So many frames in a row, without a rest before them, are a stream.
const SEVERAL: u32 = 4;
/// Runs of fewer before a rest is tried: at first, and at most.
const RUNS: u32 = 64;
const RUNS_MAX: u32 = 1 << 14;
/// How long a long rest is: longer ones bring little more.
const LONG_REST: Duration = Duration::from_micros(20);
/// Frames after which it is seen whether they come densely, and long rests are to be tried: at first, and at most.
const DENSE: u64 = 1 << 12;
const DENSE_MAX: u64 = 1 << 22;
/// Frames come densely that are no further apart.
const DENSE_NS: f64 = 500.0;
/// Long rests that are judged at once.
const TRIAL: u32 = 16;

/// A reader's pace.
pub(crate) struct Pace {
    /// Frames since a poll found nothing.
    run: u32,
    /// Runs of few frames since the last rest.
    runs: u32,
    /// How many of them bring about a rest; `RUNS` to `RUNS_MAX`.
    patience: u32,
    /// Whether it rested before this run.
    has_rested: bool,
    stream: Stream,
}

/// What a rest is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rest {
    None,
    Short,
    Long,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { run: 0, runs: 0, patience: RUNS, has_rested: false, stream: Stream::default() }
    }
}

impl Pace {
    /// A frame was there.
    #[inline(always)]
    pub(crate) fn frame(&mut self) {
        self.run += 1;
    }

    /// Nothing was there: rests, where that is due, and for long only where it may.
    #[inline(always)]
    pub(crate) fn nothing<const LONG: bool>(&mut self) {
        if self.run == 0 {
            return;
        }
        match self.due::<LONG>(Instant::now) {
            Rest::None => {}
            Rest::Short => (0..REST_PAUSES).for_each(|_| std::hint::spin_loop()),
            Rest::Long => {
                let start = Instant::now();
                while start.elapsed() < LONG_REST {
                    std::hint::spin_loop();
                }
            }
        }
    }

    /// The rest that is due after this run of frames.
    #[inline(always)]
    fn due<const LONG: bool>(&mut self, now: impl Fn() -> Instant) -> Rest {
        let frames = std::mem::take(&mut self.run);
        if LONG && self.stream.is_held_up(frames, now) {
            return Rest::Long;
        }
        let several = if self.has_rested { 2 } else { SEVERAL };
        self.runs += 1;
        self.has_rested = true;
        if frames >= several {
            (self.runs, self.patience) = (0, RUNS);
        } else if self.runs >= self.patience {
            (self.runs, self.patience) = (0, (self.patience * 2).min(RUNS_MAX));
        } else {
            self.has_rested = false;
            return Rest::None;
        }
        Rest::Short
    }
}

/// How fast frames come, and whether long rests make them come faster.
struct Stream {
    /// When what follows was begun to be counted.
    start: Option<Instant>,
    frames: u64,
    rests: u32,
    /// How many frames are counted before long rests are tried; `DENSE` to `DENSE_MAX`.
    patience: u64,
    /// Where rests are long: ns between frames when they were short.
    short_ns: Option<f64>,
}

impl Default for Stream {
    fn default() -> Stream {
        Stream { start: None, frames: 0, rests: 0, patience: DENSE, short_ns: None }
    }
}

impl Stream {
    /// Whether the reader holds up the writer, and is to rest long after these frames.
    #[inline(always)]
    fn is_held_up(&mut self, frames: u32, now: impl Fn() -> Instant) -> bool {
        self.frames += u64::from(frames);
        self.rests += 1;
        let counted = match self.short_ns {
            None => self.frames >= self.patience,
            Some(_) => self.rests >= TRIAL || f64::from(frames) * DENSE_NS < LONG_REST.as_nanos() as f64,
        };
        if counted {
            self.judge(now());
        }
        self.short_ns.is_some()
    }

    #[cold]
    fn judge(&mut self, now: Instant) {
        let elapsed = self.start.map_or(Duration::MAX, |start| now.duration_since(start));
        let ns = elapsed.as_nanos() as f64 / self.frames as f64;
        match self.short_ns {
            None => self.short_ns = Some(ns).filter(|ns| *ns < DENSE_NS),
            Some(short_ns) if 1.25 * ns < short_ns => self.patience = DENSE,
            Some(_) => {
                self.short_ns = None;
                self.patience = (2 * self.patience).min(DENSE_MAX);
            }
        }
        (self.start, self.frames, self.rests) = (Some(now), 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rests after so many runs, each of so many frames.
    fn rests(pace: &mut Pace, runs: u32, frames: u32) -> u32 {
        let start = Instant::now();
        let due = |run: &u32| {
            (0..frames).for_each(|_| pace.frame());
            pace.due::<true>(|| start + Duration::from_micros((*run).into()) * frames) != Rest::None
        };
        (0..runs).filter(due).count() as u32
    }

    #[test]
    fn after_several_frames_it_rests_each_time_after_single_ones_ever_more_seldom() {
        let mut pace = Pace::default();
        assert_eq!(rests(&mut pace, 100, SEVERAL), 100);
        assert_eq!(rests(&mut pace, RUNS - 1, 1), 0);
        assert_eq!(rests(&mut pace, 1, 1), 1);
        assert_eq!(rests(&mut pace, 2 * RUNS, 1), 1);
        assert_eq!(rests(&mut pace, 4 * RUNS, 1), 1);
        // Five while it still doubles, which take less than one at the bound; then one each `RUNS_MAX`.
        assert_eq!(rests(&mut pace, 100 * RUNS_MAX, 1), 5 + 99);
        assert_eq!(rests(&mut pace, 1, 9), 1);
        assert_eq!(rests(&mut pace, RUNS, 1), 1, "several frames did not make it curious again");
    }

    #[test]
    fn a_stream_that_it_slows_down_is_found_out_by_a_rest_and_two_in_a_row_are_none() {
        let mut pace = Pace::default();
        assert_eq!(rests(&mut pace, RUNS, 2), 1, "two in a row are no stream");
        assert_eq!(rests(&mut pace, 100, 2), 100, "after a rest they are");
        assert_eq!(rests(&mut pace, RUNS, 1) + rests(&mut pace, 100 * RUNS_MAX, 1), 1 + 7 + 99);
        let answers: u32 = (0..1_000).map(|_| rests(&mut pace, 1, 2) + rests(&mut pace, 99, 1)).sum();
        assert!(answers < 20, "{answers}: an answer that was there at once made it curious again");
    }

    /// Long rests of so many, where a frame takes its writer so many ns while rests are short, and while they are long.
    fn long_rests((pace, now): &mut (Pace, Instant), rests: u64, short_ns: u64, long_ns: u64) -> u64 {
        let (mut long, mut frame_ns, mut rest_ns) = (0, short_ns, short_ns);
        for _ in 0..rests {
            *now += Duration::from_nanos(rest_ns);
            (0..rest_ns / frame_ns).for_each(|_| pace.frame());
            let is_long = pace.due::<true>(|| *now) == Rest::Long;
            long += u64::from(is_long);
            (frame_ns, rest_ns) = if is_long { (long_ns, 20_000) } else { (short_ns, short_ns) };
        }
        long
    }

    #[test]
    fn rests_grow_long_only_where_that_makes_the_writer_faster() {
        let trial = u64::from(TRIAL);
        let new = || (Pace::default(), Instant::now());
        let held_up = &mut new();
        assert_eq!(long_rests(held_up, 2 * DENSE - 1, 200, 50), 0);
        assert_eq!(long_rests(held_up, 10_000, 200, 50), 10_000);
        assert!(long_rests(held_up, DENSE, 200, 200) <= 2 * trial, "it kept to long rests that brought nothing");

        // A writer with a pace of its own: trials, each after twice as many frames.
        assert_eq!(long_rests(&mut new(), 8 * DENSE + 3 * trial, 200, 200), 3 * trial);
        // One that is too slow for a trial.
        assert_eq!(long_rests(&mut new(), 10 * DENSE, 501, 50), 0);
    }
}
