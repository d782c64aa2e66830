//! The wall clock, for each message that goes out.
//!
//! Asking the system costs about as much as all the rest of publishing. So the processor's counter tells the time, for at
//! most a millisecond from an answer of the system, and only where the system keeps its own time by that counter. A step of
//! the system's clock is so followed within that millisecond.

use std::time::SystemTime;

/// How long the counter may tell the time by itself, and between which answers at least its rate is measured, in ns.
const REACH_NS: u64 = 1_000_000;
/// Where asking took more ticks, something came between: the answer cannot be set against the counter.
const ASKED_TICKS_MAX: u64 = 1 << 10;

/// The wall clock, ns since 1970 UTC. Before 1970 it is 1970.
#[inline]
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// The same clock, for one thread that reads it again and again.
pub struct Clock {
    counts: bool,
    known: Known,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

impl Clock {
    /// Reads one small file, which tells whether the system keeps time by the counter.
    pub fn new() -> Clock {
        Clock { counts: keeps_time(), known: Known::default() }
    }

    /// [`now_ns`], give or take half a microsecond; it may go back by so much. Not in order with the loads and stores around it.
    #[inline]
    pub fn now_ns(&mut self) -> u64 {
        if !self.counts {
            return now_ns();
        }
        let ticks = ticks();
        self.known.time_ns(ticks).unwrap_or_else(|| self.ask(ticks))
    }

    #[cold]
    fn ask(&mut self, before: u64) -> u64 {
        let time_ns = now_ns();
        self.known.learn(before, time_ns, ticks());
        time_ns
    }
}

/// Whether the system keeps time by the counter: then it goes on at one rate, on all cores alike.
fn keeps_time() -> bool {
    const SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    cfg!(target_arch = "x86_64") && std::fs::read_to_string(SOURCE).is_ok_and(|source| source.trim_end() == "tsc")
}

/// How often the processor's counter has counted; 0 where none is known of.
#[inline(always)]
fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code, reason = "a register")]
    // SAFETY: every x86-64 processor has it, and reading it changes nothing.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}

/// What is known of counter and clock.
#[derive(Default)]
struct Known {
    /// When both were looked at.
    ticks: u64,
    time_ns: u64,
    /// ns of 2³² ticks.
    rate: u64,
    /// So many ticks from then on the rate holds; 0 until it was measured twice alike.
    reach_ticks: u64,
}

impl Known {
    #[inline]
    fn time_ns(&self, ticks: u64) -> Option<u64> {
        let passed = ticks.wrapping_sub(self.ticks);
        // Below 2³² ns, so that nothing overflows.
        (passed < self.reach_ticks).then(|| self.time_ns + ((passed * self.rate) >> 32))
    }

    /// The system has said `time_ns` between these two.
    fn learn(&mut self, before: u64, time_ns: u64, after: u64) {
        if after.wrapping_sub(before) > ASKED_TICKS_MAX {
            return self.reach_ticks = 0;
        }
        let (passed, passed_ns) = (before.wrapping_sub(self.ticks), time_ns.wrapping_sub(self.time_ns));
        if passed == 0 || (self.rate > 0 && passed_ns < REACH_NS) {
            return;
        }
        let rate = u64::try_from((u128::from(passed_ns) << 32) / u128::from(passed)).unwrap_or(0);
        // Clock and counter go alike but for a few parts in ten thousand, unless one of them was set.
        let is_alike = rate.abs_diff(self.rate) < self.rate >> 11;
        self.reach_ticks = if is_alike { (REACH_NS << 32) / rate.max(1) } else { 0 };
        (self.ticks, self.time_ns, self.rate) = (before, time_ns, rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    /// A system whose counter counts 2.5 to the ns, and whose clock somebody sets.
    struct System {
        now_ns: u64,
        ahead_ns: u64,
        known: Known,
    }

    impl System {
        /// Begins after an hour.
        fn new() -> System {
            System { now_ns: 3_600 * SECOND_NS, ahead_ns: 1_000_000 * SECOND_NS, known: Known::default() }
        }

        fn ticks(&self) -> u64 {
            self.now_ns * 5 / 2
        }

        /// Whether the counter told the time after so many ns; it was right then.
        fn told(&mut self, after_ns: u64) -> bool {
            self.now_ns += after_ns;
            let (ticks, time_ns) = (self.ticks(), self.now_ns + self.ahead_ns);
            match self.known.time_ns(ticks) {
                Some(told_ns) => {
                    assert!(told_ns.abs_diff(time_ns) < 10, "{told_ns}, not {time_ns}");
                    true
                }
                None => {
                    self.known.learn(ticks, time_ns, ticks + 50);
                    false
                }
            }
        }

        /// How many of ten ms of them the counter told.
        fn told_of_10_000(&mut self) -> usize {
            (0..10_000).filter(|_| self.told(1_000)).count()
        }
    }

    #[test]
    fn the_counter_tells_the_time_once_its_rate_was_measured_twice_and_for_a_millisecond() {
        let mut system = System::new();
        let told: Vec<bool> = (0..4_000).map(|_| system.told(1_000)).collect();
        assert_eq!(told.iter().position(|told| *told), Some(2_001));
        assert_eq!(told[2_001..].iter().filter(|told| !**told).count(), 1);
        assert!(!system.told(REACH_NS + 1_000), "too long ago");
        assert!(system.told(REACH_NS - 1_000));
    }

    #[test]
    fn a_clock_that_was_set_is_followed_and_its_step_is_no_rate() {
        for step_ns in [3_600 * SECOND_NS, 0_u64.wrapping_sub(3_600 * SECOND_NS), 5_000] {
            let mut system = System::new();
            system.told_of_10_000();
            system.ahead_ns = system.ahead_ns.wrapping_add(step_ns);
            assert!(!system.told(2 * REACH_NS), "the system is asked");
            let told = system.told_of_10_000();
            assert!(told > 6_900, "and the counter is believed again: {told}");
        }
    }

    #[test]
    fn an_answer_that_took_long_is_set_against_nothing() {
        let mut system = System::new();
        system.told_of_10_000();
        system.now_ns += 2 * REACH_NS;
        let before = system.ticks();
        system.now_ns += 10_000;
        system.known.learn(before, system.now_ns + system.ahead_ns, system.ticks());
        assert!(!system.told(1_000), "the next one asks again");
        assert!(system.told(1_000));
    }

    /// Where there is a counter, it is the one that this machine has.
    #[test]
    fn it_is_the_systems_clock() {
        let mut clock = Clock::new();
        let began = now_ns();
        while now_ns() < began + 50 * REACH_NS {
            let (before, told, after) = (now_ns(), clock.now_ns(), now_ns());
            assert!(before <= told + 10_000 && told <= after + 10_000, "{before} {told} {after}");
        }
    }
}
