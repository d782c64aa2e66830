//! What checks read: the kernel's own files, and the catalog.

use std::collections::BTreeSet;
use std::path::PathBuf;

use oyez_broker::catalog::Catalog;

/// The machine, and what is to run on it.
pub(super) struct Machine {
    /// Where `proc`, `sys` and `dev` are.
    root: PathBuf,
    pub(super) catalog: Option<Catalog>,
}

impl Machine {
    pub(super) fn new(catalog: Option<Catalog>) -> Machine {
        Machine { root: PathBuf::from("/"), catalog }
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The text of a file; nothing where it is not there, or not for this user.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        Some(std::fs::read_to_string(self.path(path)).ok()?.trim().to_owned())
    }

    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    /// What stands behind `name` and a colon in a file of such lines.
    pub(super) fn field(&self, path: &str, name: &str) -> Option<String> {
        let text = self.text(path)?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(value.trim().to_owned())
    }

    /// Bytes of a line of `/proc/meminfo`.
    pub(super) fn memory_bytes(&self, name: &str) -> Option<u64> {
        Some(self.field("proc/meminfo", name)?.strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
    }

    /// A limit of this process: what holds, and how far it may raise that itself. Unlimited is the highest number.
    pub(super) fn limit(&self, name: &str) -> Option<(u64, u64)> {
        let text = self.text("proc/self/limits")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let mut values = line.split_whitespace().map(|value| value.parse().unwrap_or(u64::MAX));
        Some((values.next()?, values.next()?))
    }

    /// The CPUs in a file that lists them, as `0-3,8`; none where there is no such file.
    pub(super) fn cpus(&self, path: &str) -> BTreeSet<usize> {
        parse_cpus(&self.text(path).unwrap_or_default())
    }

    /// The CPUs that this process may use as it is.
    pub(super) fn cpus_allowed(&self) -> BTreeSet<usize> {
        parse_cpus(&self.field("proc/self/status", "Cpus_allowed_list").unwrap_or_default())
    }

    /// The CPUs in question: those of the catalog's cores, else all that may be used.
    pub(super) fn cpus_examined(&self) -> BTreeSet<usize> {
        match &self.catalog {
            Some(catalog) => catalog.cores.iter().copied().collect(),
            None => self.cpus_allowed(),
        }
    }
}

fn parse_cpus(list: &str) -> BTreeSet<usize> {
    let range = |range: &str| {
        let (first, last) = range.trim().split_once('-').unwrap_or((range.trim(), range.trim()));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// `CPU 3`, `CPUs 0-3,8`.
pub(super) fn named(cpus: &BTreeSet<usize>) -> String {
    format!("CPU{} {}", if cpus.len() == 1 { "" } else { "s" }, listed(cpus))
}

/// `0-3,8`, as the kernel reads it too.
pub(super) fn listed(cpus: &BTreeSet<usize>) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let range = |&(first, last): &(usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
impl Machine {
    /// One whose files are these, in `folder`; `catalog` is the text of one, but for what every catalog has.
    pub(super) fn of(folder: &std::path::Path, files: &[(&str, &str)], catalog: Option<&str>) -> Machine {
        for (path, text) in files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        }
        let catalog = catalog.map(|text| {
            let path = folder.join("oyez.toml");
            let text = format!("[broker]\nname = \"t\"\ndata = \"data\"\nsocket = \"s\"\n{text}");
            std::fs::write(&path, text).expect("written");
            Catalog::load(path).expect("a good catalog")
        });
        Machine { root: folder.to_owned(), catalog }
    }
}

/// What a check finds on a machine whose files are these, which has no catalog or one with this text.
#[cfg(test)]
pub(super) fn found(
    check: fn(&Machine) -> Option<super::finding::Finding>,
    files: &[(&str, &str)],
    catalog: Option<&str>,
) -> super::finding::Finding {
    let folder = tempfile::tempdir().expect("a folder");
    check(&Machine::of(folder.path(), files, catalog)).expect("it applies")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_read_and_written_as_the_kernel_does() {
        for list in ["", "0", "0-3", "0,2", "0-1,4-7,9"] {
            assert_eq!(listed(&parse_cpus(list)), list);
        }
        assert_eq!(parse_cpus("3-1,x,-,0-1"), BTreeSet::from([0, 1]));
        assert_eq!((named(&parse_cpus("5")), named(&parse_cpus("5,6"))), ("CPU 5".into(), "CPUs 5-6".into()));
    }

    #[test]
    fn limits_and_fields_are_read_as_proc_writes_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = [
            (
                "proc/self/limits",
                "Limit                     Soft Limit           Hard Limit           Units     \n\
                 Max open files            1024                 524288               files     \n\
                 Max locked memory         unlimited            unlimited            bytes     \n",
            ),
            ("proc/meminfo", "MemTotal:       24684096 kB\nMemAvailable:   23877120 kB\n"),
            ("proc/self/status", "Name:\toyez\nCpus_allowed:\t5\nCpus_allowed_list:\t0,2\n"),
        ];
        let machine = Machine::of(folder.path(), &files, None);
        assert_eq!(machine.limit("Max open files"), Some((1_024, 524_288)));
        assert_eq!(machine.limit("Max locked memory"), Some((u64::MAX, u64::MAX)));
        assert_eq!(machine.limit("Max anything"), None);
        assert_eq!(machine.memory_bytes("MemAvailable"), Some(23_877_120 << 10));
        assert_eq!(machine.cpus_examined(), BTreeSet::from([0, 2]));
    }
}
