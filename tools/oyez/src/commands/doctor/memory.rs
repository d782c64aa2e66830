//! Memory: whether the rings have room, stay there, and lie in huge pages.

use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::BinaryBytes;
use oyez_mem::Region;
use oyez_mem::memory::{self, Access, MemoryError};
use oyez_protocol::Connection;

use super::finding::{Check, Finding, Level};
use super::machine::Machine;

pub(super) const CHECKS: &[Check] = &[("available", available), ("locked", locked), ("huge pages", huge_pages)];

/// What is judged by where no catalog says: one ring of the default size.
const RING_BYTES: u64 = 64 << 20;
/// `CAP_IPC_LOCK`: no limit on locked memory.
const IPC_LOCK: u64 = 1 << 14;
const PAGE_BYTES: usize = 4 << 10;
const HUGE_BYTES: usize = 2 << 20;

fn wanted_bytes(machine: &Machine) -> u64 {
    machine.catalog.as_ref().map_or(RING_BYTES, |catalog| catalog.memory_bytes)
}

fn available(machine: &Machine) -> Option<Finding> {
    let catalog = machine.catalog.as_ref()?;
    if Connection::probe(&catalog.socket).is_ok() {
        return Some(Finding::ok("a broker listens at the catalog's socket: its rings are taken already"));
    }
    let (wanted, free) = (catalog.memory_bytes, machine.memory_bytes("MemAvailable")?);
    let room = room_bytes(machine).unwrap_or(u64::MAX);
    let found = format!("{} free, the rings take up to {}", BinaryBytes(free.min(room)), BinaryBytes(wanted));
    Some(if wanted > free {
        Level::Fault.finding(
            found,
            "publishers whose ring finds no room are refused",
            "free memory, or lower `ring_mib` in the catalog",
        )
    } else if wanted > room {
        Level::Fault.finding(
            format!("{found}: a control group's limit"),
            "the kernel kills a process of the group, as a rule the broker, when a ring is made",
            "raise MemoryMax= or docker run --memory, or lower `ring_mib` in the catalog",
        )
    } else {
        Finding::ok(found)
    })
}

/// What the limits of the control groups above this process leave.
fn room_bytes(machine: &Machine) -> Option<u64> {
    let groups = machine.text("proc/self/cgroup")?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let room = |group: &Path| {
        let number = |file| machine.number(&format!("sys/fs/cgroup/{}/{file}", group.display()));
        Some(number("memory.max")?.saturating_sub(number("memory.current")?))
    };
    Path::new(own).ancestors().filter_map(room).min()
}

fn locked(machine: &Machine) -> Option<Finding> {
    let (limit, _) = machine.limit("Max locked memory")?;
    let rights = machine.field("proc/self/status", "CapEff");
    let unlimited = rights.is_some_and(|set| u64::from_str_radix(&set, 16).unwrap_or(0) & IPC_LOCK != 0);
    let wanted = wanted_bytes(machine);
    if unlimited || limit >= wanted {
        return Some(Finding::ok(format!("{} of rings may be locked", BinaryBytes(wanted))));
    }
    let swap = machine.memory_bytes("SwapTotal").unwrap_or(0);
    let swappiness = machine.text("proc/sys/vm/swappiness").unwrap_or_default();
    let found = format!("only {} may be locked, rings take {}", BinaryBytes(limit), BinaryBytes(wanted));
    let mend = "LimitMEMLOCK=infinity in the unit; in a shell, as root: prlimit --memlock=unlimited --pid $$";
    Some(match swap {
        0 => Level::Note.finding(
            format!("{found}; there is no swap"),
            "nothing today; with swap, pages of rings go to the disk when memory is short",
            mend,
        ),
        _ => Level::Warning.finding(
            format!("{found}; swap {}, swappiness {swappiness}", BinaryBytes(swap)),
            "when memory is short, pages of rings go to the disk: a publish or a poll then waits for it, a millisecond or so",
            format!("{mend}; or swapoff -a"),
        ),
    })
}

fn huge_pages(machine: &Machine) -> Option<Finding> {
    let policy = machine.text("sys/kernel/mm/transparent_hugepage/shmem_enabled").unwrap_or_default();
    let policy = policy.split(['[', ']']).nth(1).unwrap_or("unknown").to_owned();
    Some(judge_huge(&policy, try_huge().map_err(|error| error.to_string())))
}

/// Whether a memory like a ring's could be collapsed, and what the first touch of a small page cost before.
fn try_huge() -> Result<(bool, Duration), MemoryError> {
    let ring = memory::create("oyez-doctor", HUGE_BYTES as u64)?;
    let region = Region::map(memory::reopen(&ring, Access::Read)?, HUGE_BYTES)
        .map_err(|error| MemoryError::from_map("oyez-doctor", &error))?;
    let began = Instant::now();
    (0..HUGE_BYTES).step_by(PAGE_BYTES).for_each(|offset| _ = std::hint::black_box(region.load(offset)));
    let touch = began.elapsed() / (HUGE_BYTES / PAGE_BYTES) as u32;
    let (_, huge) = memory::prepare(&region);
    Ok((huge, touch))
}

fn judge_huge(policy: &str, tried: Result<(bool, Duration), String>) -> Finding {
    match tried {
        Ok((true, _)) => {
            Finding::ok(format!("rings get them (by collapsing; the policy for shared memory is {policy})"))
        }
        Ok((false, touch)) => Level::Warning.finding(
            format!("rings do not get them (the policy for shared memory is {policy})"),
            format!(
                "each 4 KiB of a ring that is touched first costs about {touch:?}, and the ring as many TLB entries"
            ),
            "echo 1 > /proc/sys/vm/compact_memory; if that does not help, a kernel with CONFIG_TRANSPARENT_HUGEPAGE",
        ),
        Err(error) => Level::Fault.finding(
            format!("not even {} can be had: {error}", BinaryBytes(HUGE_BYTES as u64)),
            "no ring can be made",
            "free memory; allow memfd_create where a profile forbids it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::machine::found;

    const CATALOG: &str = "[[topics]]\nname = \"md\"\nring_mib = 64\n";

    #[test]
    fn rings_must_fit_into_the_machine_and_into_every_control_group() {
        let look = |kib: u32, top: &str, own: &str| {
            let meminfo = format!("MemAvailable: {kib} kB\n");
            let files = [
                ("proc/meminfo", &*meminfo),
                ("proc/self/cgroup", "3:cpu:/x\n0::/a/b\n"),
                ("sys/fs/cgroup/a/memory.max", top),
                ("sys/fs/cgroup/a/memory.current", "100000000"),
                ("sys/fs/cgroup/a/b/memory.max", own),
                ("sys/fs/cgroup/a/b/memory.current", "0"),
            ];
            found(available, &files, Some(CATALOG))
        };
        // Two rings and the spare, each 64 MiB and its header.
        assert_eq!(look(196_800, "max", "max").level, Level::Ok);
        assert_eq!(look(196_600, "max", "max").level, Level::Fault);
        assert_eq!(look(4_000_000, "max", "250000000").level, Level::Ok);
        let group = look(4_000_000, "250000000", "max");
        assert!(group.level == Level::Fault && group.found.contains("control group"), "{group:?}");
    }

    #[test]
    fn rings_should_be_lockable_and_must_where_there_is_swap() {
        let look = |limit: &str, rights: &str, swap: u32| {
            let limits = format!("Max locked memory         {limit}              {limit}              bytes\n");
            let (meminfo, status) = (format!("SwapTotal: {swap} kB\n"), format!("CapEff:\t{rights}\n"));
            let files = [
                ("proc/self/limits", &*limits),
                ("proc/meminfo", &*meminfo),
                ("proc/self/status", &*status),
                ("proc/sys/vm/swappiness", "60"),
            ];
            found(locked, &files, Some(CATALOG))
        };
        assert_eq!(look("unlimited", "0", 0).level, Level::Ok);
        assert_eq!(look("201523200", "0", 0).level, Level::Ok);
        assert_eq!(look("201523199", "0", 0).level, Level::Note);
        assert_eq!(look("8388608", "000001ffffffffff", 1).level, Level::Ok);
        let swapped = look("8388608", "0000000000003fff", 2 << 20);
        assert!(
            swapped.level == Level::Warning && swapped.found.contains("swap 2.00 GiB, swappiness 60"),
            "{swapped:?}"
        );
    }

    #[test]
    fn small_pages_are_a_warning_with_what_they_cost() {
        assert_eq!(judge_huge("never", Ok((true, Duration::ZERO))).level, Level::Ok);
        let small = judge_huge("never", Ok((false, Duration::from_nanos(250))));
        assert!(
            small.level == Level::Warning && small.costs.as_ref().is_some_and(|costs| costs.contains("250ns")),
            "{small:?}"
        );
        assert_eq!(judge_huge("never", Err("no".into())).level, Level::Fault);
        let policy =
            ("sys/kernel/mm/transparent_hugepage/shmem_enabled", "always within_size advise [never] deny force");
        assert!(found(huge_pages, &[policy], None).found.contains("never"));
    }
}
