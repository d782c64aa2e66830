//! What the kernel and the limits of this process allow.

use std::collections::BTreeSet;

use oyez_broker::catalog::{Catalog, Topic};

use super::finding::{Check, Finding, Level};
use super::machine::Machine;

pub(super) const CHECKS: &[Check] =
    &[("kernel", kernel), ("leases", leases), ("open files", open_files), ("seccomp", seccomp)];

/// The oldest kernel that everything here is known of.
const KERNEL: (u32, u32) = (6, 1);
/// Descriptors of a broker beside those that grow with the catalog.
const FILES_FIXED: u64 = 32;
/// An `epochs` file, three segments, and two rings of two descriptors each.
const FILES_PER_PARTITION: u64 = 8;
const FILES_PER_STANDBY: u64 = 2;
/// What wakes a reader, and what it asks by: its area is mapped and closed.
const FILES_PER_SUBSCRIPTION: u64 = 2;

fn kernel(machine: &Machine) -> Option<Finding> {
    let release = machine.text("proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let (major, minor) = KERNEL;
    Some(match version >= KERNEL {
        true => Finding::ok(release),
        false => Level::Fault.finding(
            format!("{release}, and {major}.{minor} or newer is needed"),
            "huge pages for rings, at least, are not to be had; nothing is tested there",
            "boot a newer kernel",
        ),
    })
}

fn leases(_: &Machine) -> Option<Finding> {
    Some(judge_leases(oyez_mem::lease::probe().map_err(|error| error.to_string())))
}

fn judge_leases(probed: Result<(), String>) -> Finding {
    match probed {
        Ok(()) => Finding::ok("the kernel proves by them that a publisher is gone"),
        Err(error) => Level::Fault.finding(
            error,
            "the broker does not start: nothing else proves that a publisher can write no more",
            "mount /proc, and allow fcntl(F_SETLEASE) where a profile forbids it",
        ),
    }
}

fn open_files(machine: &Machine) -> Option<Finding> {
    // The broker raises what holds to what may hold.
    let (_, limit) = machine.limit("Max open files")?;
    let Some(catalog) = &machine.catalog else { return Some(Finding::ok(format!("up to {limit}"))) };
    let wanted = wanted_files(catalog);
    let found =
        format!("up to {limit}; the catalog takes {wanted} when all its connections and subscriptions are there");
    Some(match limit >= wanted {
        true => Finding::ok(found),
        false => Level::Fault.finding(
            found,
            "clients are refused, and publishers get no ring, when they run out",
            "LimitNOFILE=65536 in the unit; in a shell, as root: prlimit --nofile=65536 --pid $$",
        ),
    })
}

fn wanted_files(catalog: &Catalog) -> u64 {
    let of_topic =
        |topic: &Topic| u64::from(topic.partitions) * (FILES_PER_PARTITION + FILES_PER_STANDBY * topic.standbys as u64);
    let partitions: u64 = catalog.topics.iter().map(of_topic).sum();
    let spares = catalog.topics.iter().map(|topic| topic.capacity_bytes).collect::<BTreeSet<_>>().len();
    let others = catalog.cores.len() + spares + catalog.limits.connections_max;
    let subscriptions = FILES_PER_SUBSCRIPTION.saturating_mul(catalog.limits.areas_max as u64);
    subscriptions.saturating_add(FILES_FIXED + partitions + others as u64)
}

fn seccomp(machine: &Machine) -> Option<Finding> {
    Some(match machine.field("proc/self/status", "Seccomp")?.as_str() {
        "0" => Finding::ok("no filter"),
        _ => Level::Note.finding(
            "a filter is on (a container's profile, a unit's SystemCallFilter=)",
            "nothing, unless another finding says that something is refused",
            "allow what is refused: docker run --security-opt seccomp=FILE, SystemCallFilter=",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::machine::found;

    #[test]
    fn a_kernel_before_6_1_is_a_fault() {
        let look = |release| found(kernel, &[("proc/sys/kernel/osrelease", release)], None).level;
        for release in ["6.1.0-40-amd64", "6.12", "7.0.0", "10.0-rc1"] {
            assert_eq!(look(release), Level::Ok, "{release}");
        }
        for release in ["6.0.19", "5.14.0-427.el9.x86_64", "rubbish"] {
            assert_eq!(look(release), Level::Fault, "{release}");
        }
    }

    #[test]
    fn a_kernel_without_leases_is_a_fault() {
        assert_eq!(judge_leases(Ok(())).level, Level::Ok);
        let refused = judge_leases(Err("a read lease was granted".into()));
        assert!(refused.level == Level::Fault && refused.found.contains("granted"), "{refused:?}");
    }

    #[test]
    fn descriptors_must_do_for_partitions_and_connections() {
        let catalog =
            "connections_max = 100\nareas_max = 30\n[[topics]]\nname = \"md\"\npartitions = 10\nstandbys = 1\n";
        let look = |hard: u32| {
            let limits = format!("Max open files            64                   {hard}                 files\n");
            found(open_files, &[("proc/self/limits", &limits)], Some(catalog)).level
        };
        // 32, ten partitions with a standby each, one core, one spare, a hundred connections, thirty subscriptions.
        assert_eq!((look(293), look(294)), (Level::Fault, Level::Ok));
    }

    #[test]
    fn a_filter_is_noted() {
        let look = |mode: &str| found(seccomp, &[("proc/self/status", &format!("Seccomp:\t{mode}\n"))], None).level;
        assert_eq!((look("0"), look("2")), (Level::Ok, Level::Note));
    }
}
