//! The CPUs: which may be used, who else is on them, how they sleep and how fast they run.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use oyez_broker::catalog::Idle;
use rustix::io::Errno;
use rustix::thread::{CpuSet, sched_setaffinity};

use super::finding::{Check, Finding, Level};
use super::machine::{Machine, listed, named};

pub(super) const CHECKS: &[Check] = &[
    ("cpus", cpus),
    ("pinning", pinning),
    ("siblings", siblings),
    ("isolation", isolation),
    ("interruptions", interruptions),
    ("sleep states", sleep_states),
    ("frequency", frequency),
];

/// How long each CPU is watched, and how many at most.
const WATCH: Duration = Duration::from_millis(100);
const WATCHED_CPUS_MAX: usize = 8;
/// Shorter gaps than this are nobody's concern: the broker counts longer turns of a core as stalls.
const GAP_NOTED: Duration = Duration::from_micros(50);
/// A CPU that wakes in this time or less wakes about as fast as one that was never asleep.
const WAKE_US_OK: u64 = 10;

fn cpus(machine: &Machine) -> Option<Finding> {
    let allowed = machine.cpus_allowed();
    let left = &allowed - &machine.cpus_examined();
    let spins = machine.catalog.as_ref().is_some_and(|catalog| catalog.idle == Idle::Spin);
    Some(if allowed.len() == 1 {
        Level::Warning.finding(
            format!("{} is all that this process may use", named(&allowed)),
            "publisher, broker and subscriber take turns on it, each for some milliseconds",
            "give it more: taskset, AllowedCPUs=, or docker run --cpuset-cpus",
        )
    } else if spins && left.is_empty() {
        Level::Warning.finding(
            format!("{} may be used, and the broker's cores spin on all of them", named(&allowed)),
            "publishers and subscribers take turns with a thread that never rests",
            "leave CPUs out of `cores`, or set idle = \"back-off\" in the catalog",
        )
    } else {
        Finding::ok(format!("{} may be used", named(&allowed)))
    })
}

/// Tried, not read: an isolated CPU is not among those a process begins with, and may be used all the same.
fn pinning(machine: &Machine) -> Option<Finding> {
    machine.catalog.as_ref()?;
    let cores = machine.cpus_examined();
    let refused = cores.iter().copied().filter(|&cpu| pinned_to(cpu, || ()).is_err()).collect();
    Some(judge_pinning(&cores, &refused))
}

fn judge_pinning(cores: &BTreeSet<usize>, refused: &BTreeSet<usize>) -> Finding {
    if refused.is_empty() {
        return Finding::ok(format!("cores can be pinned to {}", named(cores)));
    }
    Level::Fault.finding(
        format!("no thread can be pinned to {}", named(refused)),
        "cores that are declared there run anywhere, beside anything",
        "name other CPUs in `cores`, or allow these: AllowedCPUs=, or docker run --cpuset-cpus",
    )
}

fn siblings(machine: &Machine) -> Option<Finding> {
    machine.catalog.as_ref()?;
    let mut shared = BTreeSet::new();
    for cpu in machine.cpus_examined() {
        let path = format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        shared.extend(machine.cpus(&path).into_iter().filter(|&sibling| sibling != cpu));
    }
    if shared.is_empty() {
        return Some(Finding::ok("no core of the catalog shares its CPU's units with another"));
    }
    let off = shared.iter().map(|cpu| format!("echo 0 > /sys/devices/system/cpu/cpu{cpu}/online"));
    Some(Level::Warning.finding(
        format!("{} are the other halves of the CPUs that the cores run on", named(&shared)),
        "while one half works the other runs at half to two thirds of its speed",
        off.collect::<Vec<_>>().join("; "),
    ))
}

fn isolation(machine: &Machine) -> Option<Finding> {
    let isolated =
        &machine.cpus("sys/devices/system/cpu/isolated") | &machine.cpus("sys/fs/cgroup/cpuset.cpus.isolated");
    let tickless = machine.cpus("sys/devices/system/cpu/nohz_full");
    let Some(catalog) = &machine.catalog else {
        return Some(match isolated.is_empty() {
            true => shared(Level::Note, "no CPU is", "N-M"),
            false => Finding::ok(format!("{} kept free of other work", named(&isolated))),
        });
    };
    let cores = machine.cpus_examined();
    let others = &cores - &isolated;
    let level = if catalog.idle == Idle::Spin { Level::Warning } else { Level::Note };
    Some(if !others.is_empty() {
        shared(level, &format!("{}, of `cores`, not", named(&others)), &listed(&cores))
    } else if !cores.is_subset(&tickless) {
        Level::Note.finding(
            format!("{} kept free of other work, but for the kernel's tick", named(&cores)),
            "some microseconds, 100 to 1000 times a second",
            format!("boot with nohz_full={0} rcu_nocbs={0}", listed(&cores)),
        )
    } else {
        Finding::ok(format!("{} kept free of other work and of the tick", named(&cores)))
    })
}

fn shared(level: Level, who: &str, cpus: &str) -> Finding {
    level.finding(
        format!("{who} kept free of other work"),
        "what the scheduler puts there runs for up to some milliseconds, and messages wait",
        format!("boot with isolcpus=managed_irq,domain,{cpus} nohz_full={cpus} rcu_nocbs={cpus}"),
    )
}

fn interruptions(machine: &Machine) -> Option<Finding> {
    let cpus = machine.cpus_examined().into_iter().take(WATCHED_CPUS_MAX);
    let gaps = cpus.filter_map(|cpu| Some((cpu, pinned_to(cpu, longest_gap).ok()?)));
    let (cpu, gap) = gaps.max_by_key(|(_, gap)| *gap)?;
    Some(judge_gap(cpu, gap))
}

fn judge_gap(cpu: usize, gap: Duration) -> Finding {
    let found = format!("a thread that spins was away for {gap:.0?} at most, on CPU {cpu}, within {WATCH:?}");
    match gap <= GAP_NOTED {
        true => Finding::ok(found),
        false => Level::Note.finding(
            found,
            "a message that comes then waits as long; it depends on what else runs now",
            "isolate the CPUs (see isolation), move interrupts (/proc/irq/*/smp_affinity_list), end what competes",
        ),
    }
}

fn longest_gap() -> Duration {
    let began = Instant::now();
    let (mut last, mut longest) = (began, Duration::ZERO);
    while last - began < WATCH {
        let now = Instant::now();
        longest = longest.max(now - last);
        last = now;
    }
    longest
}

/// Does this on a thread of its own, which nothing moves off the CPU.
fn pinned_to<T: Send + 'static>(cpu: usize, work: fn() -> T) -> io::Result<T> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut only = CpuSet::new();
    only.set(cpu);
    let worker = std::thread::Builder::new().spawn(move || sched_setaffinity(None, &only).map(|()| work()))?;
    Ok(worker.join().unwrap_or(Err(Errno::INVAL))?)
}

fn sleep_states(machine: &Machine) -> Option<Finding> {
    let allowed_us = std::fs::read(machine.path("dev/cpu_dma_latency")).ok();
    let allowed_us = allowed_us.and_then(|bytes| bytes.first_chunk().copied()).map(i32::from_le_bytes);
    let wakes = machine.cpus_examined().into_iter().filter_map(|cpu| deepest(machine, cpu, allowed_us));
    let Some((wake_us, name)) = wakes.max() else {
        return Some(Finding::ok("this kernel puts no CPU to sleep by itself (a virtual machine, as a rule)"));
    };
    let found = format!("a CPU that sleeps wakes within {wake_us} µs (state {name})");
    let spins = machine.catalog.as_ref().is_some_and(|catalog| catalog.idle == Idle::Spin);
    Some(match wake_us <= WAKE_US_OK {
        true => Finding::ok(found),
        false => (if spins { Level::Note } else { Level::Warning }).finding(
            found,
            format!("whoever does not spin hears of a message up to {wake_us} µs late"),
            "tuned-adm profile latency-performance, or cpupower idle-set -D 10",
        ),
    })
}

/// The state that takes longest to leave of those that are on, and that a request for latency allows.
fn deepest(machine: &Machine, cpu: usize, allowed_us: Option<i32>) -> Option<(u64, String)> {
    let folder = format!("sys/devices/system/cpu/cpu{cpu}/cpuidle");
    let states = std::fs::read_dir(machine.path(&folder)).ok()?.flatten();
    let state = |name: String| {
        let file = |file| format!("{folder}/{name}/{file}");
        let (latency_us, off) = (machine.number(&file("latency"))?, machine.number(&file("disable")) == Some(1));
        let allowed = allowed_us.is_none_or(|allowed_us| latency_us as i64 <= i64::from(allowed_us));
        (allowed && !off).then_some((latency_us, machine.text(&file("name"))?))
    };
    states.filter_map(|entry| state(entry.file_name().into_string().ok()?)).max()
}

fn frequency(machine: &Machine) -> Option<Finding> {
    let file = |cpu: usize, file: &str| format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/{file}");
    let governors: Vec<(usize, String)> = machine
        .cpus_examined()
        .into_iter()
        .filter_map(|cpu| Some((cpu, machine.text(&file(cpu, "scaling_governor"))?)))
        .collect();
    if governors.is_empty() {
        return Some(Finding::ok("nothing here changes the CPUs' frequency (a virtual machine, as a rule)"));
    }
    let Some((cpu, governor)) = governors.iter().find(|(_, governor)| governor != "performance") else {
        return Some(Finding::ok("the governor is performance"));
    };
    let ghz = |name| machine.number(&file(*cpu, name)).map_or("?".into(), |khz| format!("{:.1}", khz as f64 / 1e6));
    let (least, most) = (ghz("cpuinfo_min_freq"), ghz("cpuinfo_max_freq"));
    Some(Level::Warning.finding(
        format!("the governor of CPU {cpu} is {governor}"),
        format!(
            "a CPU that was idle begins at down to {least} of its {most} GHz, and is faster only milliseconds later"
        ),
        "cpupower frequency-set -g performance",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::machine::found;

    #[test]
    fn one_cpu_is_too_few_and_so_are_those_that_all_spin() {
        let look = |list: &str, catalog| {
            let status = format!("Name:\tx\nCpus_allowed_list:\t{list}\n");
            found(cpus, &[("proc/self/status", &status)], catalog).level
        };
        assert_eq!((look("3", None), look("0-1", None)), (Level::Warning, Level::Ok));
        let spinning = Some("cores = [0, 1]\nidle = \"spin\"");
        assert_eq!((look("0-1", spinning), look("0-2", spinning)), (Level::Warning, Level::Ok));
        assert_eq!(look("0-1", Some("cores = [0, 1]")), Level::Ok);
    }

    #[test]
    fn a_core_that_cannot_be_pinned_is_a_fault() {
        let cores = BTreeSet::from([0, 1_000_000]);
        assert!(pinned_to(1_000_000, || ()).is_err());
        assert_eq!(judge_pinning(&cores, &BTreeSet::new()).level, Level::Ok);
        let fault = judge_pinning(&cores, &BTreeSet::from([1_000_000]));
        assert!(fault.level == Level::Fault && fault.found.contains("CPU 1000000"), "{fault:?}");
    }

    #[test]
    fn the_other_half_of_a_cpu_is_named() {
        let look = |list| {
            let file = ("sys/devices/system/cpu/cpu2/topology/thread_siblings_list", list);
            found(siblings, &[file], Some("cores = [2]"))
        };
        assert_eq!(look("2").level, Level::Ok);
        let shared = look("2,34");
        assert!(shared.level == Level::Warning && shared.found.contains("CPU 34"), "{shared:?}");
        assert!(shared.mend.expect("a remedy").contains("cpu34/online"));
    }

    #[test]
    fn cores_should_be_isolated_and_spinning_ones_must() {
        let look = |isolated, tickless, catalog| {
            let files = [("sys/devices/system/cpu/isolated", isolated), ("sys/devices/system/cpu/nohz_full", tickless)];
            found(isolation, &files, catalog)
        };
        assert_eq!((look("", "(null)", None).level, look("4-7", "", None).level), (Level::Note, Level::Ok));
        let cores = Some("cores = [4, 5]");
        assert_eq!((look("", "", cores).level, look("4-7", "4", cores).level), (Level::Note, Level::Note));
        assert_eq!(look("4-7", "4-7", cores).level, Level::Ok);
        let spinning = look("4", "", Some("cores = [4, 5]\nidle = \"spin\""));
        assert!(spinning.level == Level::Warning && spinning.found.starts_with("CPU 5, "), "{spinning:?}");
        assert!(spinning.mend.expect("a remedy").contains("isolcpus=managed_irq,domain,4-5 "));
        let by_cgroup = [("sys/fs/cgroup/cpuset.cpus.isolated", "4-5"), ("sys/devices/system/cpu/nohz_full", "4-5")];
        assert_eq!(found(isolation, &by_cgroup, cores).level, Level::Ok);
    }

    #[test]
    fn a_long_gap_is_noted() {
        assert_eq!(judge_gap(1, Duration::from_micros(50)).level, Level::Ok);
        let long = judge_gap(1, Duration::from_micros(1_234));
        assert!(long.level == Level::Note && long.found.contains("CPU 1"), "{long:?}");
        assert!(longest_gap() > Duration::ZERO);
    }

    #[test]
    fn the_deepest_sleep_that_is_on_and_allowed_counts() {
        let look = |off, more: &[(&str, &str)], catalog| {
            let states = [
                ("sys/devices/system/cpu/cpu0/cpuidle/state0/name", "POLL"),
                ("sys/devices/system/cpu/cpu0/cpuidle/state0/latency", "0"),
                ("sys/devices/system/cpu/cpu0/cpuidle/state1/name", "C1"),
                ("sys/devices/system/cpu/cpu0/cpuidle/state1/latency", "2"),
                ("sys/devices/system/cpu/cpu0/cpuidle/state2/name", "C6"),
                ("sys/devices/system/cpu/cpu0/cpuidle/state2/latency", "133"),
                ("sys/devices/system/cpu/cpu0/cpuidle/state2/disable", off),
                ("proc/self/status", "Cpus_allowed_list:\t0\n"),
            ];
            found(sleep_states, &[&states, more].concat(), catalog)
        };
        let deep = look("0", &[], None);
        assert!(deep.level == Level::Warning && deep.found.contains("133 µs (state C6)"), "{deep:?}");
        assert_eq!(look("0", &[], Some("idle = \"spin\"")).level, Level::Note);
        let off = look("1", &[], None);
        assert!(off.level == Level::Ok && off.found.contains("2 µs (state C1)"), "{off:?}");
        assert_eq!(look("0", &[("dev/cpu_dma_latency", "\x0a\0\0\0")], None).level, Level::Ok);
        assert_eq!(look("0", &[("dev/cpu_dma_latency", "\0\0\0\x77")], None).level, Level::Warning);
        assert_eq!(found(sleep_states, &[], None).level, Level::Ok);
    }

    #[test]
    fn a_governor_that_saves_power_is_named_with_what_it_costs() {
        let look = |governor| {
            let files = [
                ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", governor),
                ("sys/devices/system/cpu/cpu1/cpufreq/cpuinfo_min_freq", "800000"),
                ("sys/devices/system/cpu/cpu1/cpufreq/cpuinfo_max_freq", "3800000"),
            ];
            found(frequency, &files, Some("cores = [1]"))
        };
        assert_eq!(look("performance").level, Level::Ok);
        let saving = look("powersave");
        assert!(saving.level == Level::Warning && saving.found.contains("CPU 1 is powersave"), "{saving:?}");
        assert!(saving.costs.expect("a price").contains("0.8 of its 3.8 GHz"));
        assert_eq!(found(frequency, &[], Some("cores = [1]")).level, Level::Ok);
    }
}
