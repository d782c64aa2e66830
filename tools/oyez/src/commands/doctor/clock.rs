//! The clock: each message carries its publish time, so each publish reads it.

use std::time::{Duration, Instant, SystemTime};

use super::finding::{Check, Finding, Level};
use super::machine::Machine;

pub(super) const CHECKS: &[Check] = &[("source", source)];

const FOLDER: &str = "sys/devices/system/clocksource/clocksource0";
/// A reading that needs no system call takes less.
const READING_NS_OK: u32 = 100;
const READINGS: u32 = 1_000;
const ROUNDS: u32 = 20;

fn source(machine: &Machine) -> Option<Finding> {
    let source = machine.text(&format!("{FOLDER}/current_clocksource")).unwrap_or_else(|| "unknown".into());
    let others = machine.text(&format!("{FOLDER}/available_clocksource")).unwrap_or_default();
    Some(judge(&source, &others, reading_ns()))
}

/// What reading the wall clock takes; of many rounds the best, since this is about the clock and not about the machine.
fn reading_ns() -> u32 {
    let round = |_| {
        let began = Instant::now();
        (0..READINGS).for_each(|_| _ = std::hint::black_box(SystemTime::now()));
        began.elapsed()
    };
    ((0..ROUNDS).map(round).min().unwrap_or(Duration::ZERO) / READINGS).as_nanos() as u32
}

fn judge(source: &str, others: &str, reading_ns: u32) -> Finding {
    let found = format!("{source}; a reading takes {reading_ns} ns");
    let tsc = source != "tsc" && others.split_whitespace().any(|other| other == "tsc");
    let mend = match tsc {
        true => format!("echo tsc > /{FOLDER}/current_clocksource"),
        false => {
            "boot with tsc=reliable, where the hardware's time stamp counter is steady (see the kernel's log)".into()
        }
    };
    match reading_ns < READING_NS_OK {
        true => Finding::ok(found),
        false => Level::Warning.finding(found, format!("{reading_ns} ns of each publish, in place of 20 to 40"), mend),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_costs_a_system_call_is_a_warning() {
        assert_eq!(judge("tsc", "tsc kvm-clock", 26).level, Level::Ok);
        assert_eq!(judge("kvm-clock", "kvm-clock", 45).level, Level::Ok);
        let slow = |source, others| {
            let finding = judge(source, others, 480);
            assert_eq!(finding.level, Level::Warning);
            finding.mend.expect("a remedy")
        };
        assert!(slow("acpi_pm", "tsc acpi_pm").starts_with("echo tsc > /sys/"));
        assert!(slow("hpet", "hpet acpi_pm").contains("tsc=reliable"));
        assert!(slow("tsc", "tsc hpet").contains("tsc=reliable"));
    }

    #[test]
    fn a_reading_takes_some_time_and_no_millisecond() {
        assert!((1..1_000_000).contains(&reading_ns()));
    }
}
