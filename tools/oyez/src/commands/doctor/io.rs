//! Files: how they are written, and what the data folder's file system can do.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::BinaryBytes;
use oyez_broker::catalog::Catalog;
use oyez_io::file::{self, Direct, Fill};
use oyez_io::{Buffer, DISK_BLOCK, Kind};
use oyez_mem::lease;
use oyez_mem::memory::{self, Access};
use oyez_protocol::Durability;

use super::finding::{Check, Finding, Level};
use super::machine::Machine;

pub(super) const CHECKS: &[Check] = &[
    ("io_uring", io_uring),
    ("data folder", data_folder),
    ("file system", file_system),
    ("O_DIRECT", direct),
    ("file leases", leases),
    ("flush", flush),
    ("disk space", disk_space),
];

const FLUSHES: usize = 16;
/// A disk that has to turn, or to erase, takes longer than this to flush.
const FLUSH_OK: Duration = Duration::from_millis(1);

fn io_uring(machine: &Machine) -> Option<Finding> {
    let kind = machine.catalog.as_ref().map_or(Kind::Auto, |catalog| catalog.io);
    let tried = oyez_io::open(Kind::Uring).map(drop).map_err(|refusal| refusal.to_string());
    Some(judge_uring(kind, tried))
}

/// A refusal says what is so, and what mends it.
fn judge_uring(kind: Kind, tried: Result<(), String>) -> Finding {
    let Err(refusal) = tried else { return Finding::ok("the kernel gives it") };
    let (found, mend) = refusal.split_once("; ").unwrap_or((&refusal, "see the kernel's log"));
    match kind {
        Kind::Syscalls => Finding::ok(format!("{found}; the catalog does without")),
        Kind::Auto => Level::Warning.finding(
            found,
            "the recorder hands each write and flush to another thread and back: what is durable is so later",
            mend,
        ),
        Kind::Uring => {
            Level::Fault.finding(found, "the broker does not start, for the catalog says io = \"uring\"", mend)
        }
    }
}

fn data_folder(machine: &Machine) -> Option<Finding> {
    let Catalog { data, .. } = machine.catalog.as_ref()?;
    let place = data.display();
    Some(match trial(data) {
        Ok(_) => Finding::ok(format!("{place}: this user may write there")),
        Err(_) if !data.exists() => Level::Note.finding(
            format!("{place} is not there yet"),
            "nothing: the broker makes it where it may; what the file system can do is not tried before",
            format!("install -d -m 700 -o USER {place}, the user whom the broker runs as"),
        ),
        Err(error) => Level::Fault.finding(
            format!("{place}: no file can be made: {error}"),
            "the broker does not start as this user",
            format!("chown USER {place}, or examine as the user whom the broker runs as"),
        ),
    })
}

fn file_system(machine: &Machine) -> Option<Finding> {
    let catalog = machine.catalog.as_ref()?;
    let declared = |durability: &Durability| catalog.topics.iter().any(|topic| topic.durability == *durability);
    let strictest = [Durability::Durable, Durability::Written, Durability::Published].into_iter().find(declared)?;
    let there = catalog.data.ancestors().find(|folder| folder.is_dir())?;
    Some(judge_file_system(&catalog.data, strictest, file::outlives_power(there).ok()?))
}

fn judge_file_system(data: &Path, strictest: Durability, outlives_power: bool) -> Finding {
    let found = format!("{} is memory (tmpfs)", data.display());
    let mend = "name a folder on a disk as `data` in the catalog";
    match strictest {
        _ if outlives_power => Finding::ok("what is written outlives the machine's memory"),
        Durability::Published => Finding::ok(format!("{found}, and nothing is recorded")),
        Durability::Durable => Level::Fault.finding(found, "the broker does not start: nothing is durable there", mend),
        _ => Level::Warning.finding(found, "nothing that is recorded survives the machine's end", mend),
    }
}

fn direct(machine: &Machine) -> Option<Finding> {
    let (_, direct) = trial(&machine.catalog.as_ref()?.data).ok()?;
    Some(judge_direct(direct))
}

fn judge_direct(direct: Direct) -> Finding {
    match direct {
        Direct::Yes => Finding::ok("the journal goes past the page cache"),
        Direct::No => Level::Warning.finding(
            "this file system has no O_DIRECT: the journal goes through the page cache",
            "all that is recorded is copied once more, fills memory, and is flushed in bursts",
            "put `data` on ext4 or XFS",
        ),
    }
}

fn leases(machine: &Machine) -> Option<Finding> {
    let (file, _) = trial(&machine.catalog.as_ref()?.data).ok()?;
    let reader = memory::reopen(&file, Access::Read).ok()?;
    drop(file);
    Some(judge_leases(lease::nobody_writes(reader)))
}

fn judge_leases(lease: io::Result<bool>) -> Finding {
    let refused = match lease {
        Ok(true) => return Finding::ok("the file system gives them"),
        Ok(false) => "refused, although nobody writes".to_owned(),
        Err(error) => error.to_string(),
    };
    Level::Fault.finding(
        format!("the file system gives none: {refused}"),
        "after its first end the broker does not start: it cannot tell whether writes are still on their way",
        "put `data` on a local file system: ext4 or XFS",
    )
}

fn flush(machine: &Machine) -> Option<Finding> {
    let (file, _) = trial(&machine.catalog.as_ref()?.data).ok()?;
    let block = Buffer::new(DISK_BLOCK);
    let flush = |number: usize| {
        let began = Instant::now();
        file.write_all_at(&block, (number * DISK_BLOCK) as u64)?;
        file.sync_data().map(|()| began.elapsed())
    };
    let mut taken = (0..FLUSHES).map(flush).collect::<io::Result<Vec<_>>>().ok()?;
    taken.sort();
    Some(judge_flush(taken[FLUSHES / 2], taken[FLUSHES - 1]))
}

fn judge_flush(median: Duration, longest: Duration) -> Finding {
    let found = format!("a block is written and flushed in {median:.0?}, at most {longest:.0?}");
    match median <= FLUSH_OK {
        true => Finding::ok(found),
        false => Level::Note.finding(
            found,
            format!("a message is durable no sooner than {median:.0?} after it was published"),
            "put `data` on a drive of its own whose cache outlives a power cut; such drives flush in some 20 µs",
        ),
    }
}

fn disk_space(machine: &Machine) -> Option<Finding> {
    let catalog = machine.catalog.as_ref()?;
    let there = catalog.data.ancestors().find(|folder| folder.is_dir())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    let taken_bytes = if there == catalog.data { size_bytes(there) } else { 0 };
    Some(judge_space(disk.f_bavail * disk.f_frsize, catalog.disk_bytes.saturating_sub(taken_bytes)))
}

fn judge_space(free_bytes: u64, wanted_bytes: u64) -> Finding {
    let (free, wanted) = (BinaryBytes(free_bytes), BinaryBytes(wanted_bytes));
    let found = format!("{free} free, the journals take at least {wanted} more");
    match free_bytes >= wanted_bytes {
        true => Finding::ok(found),
        false => Level::Fault.finding(
            found,
            "publishers wait when a segment finds no room",
            "free space, or lower `segment_mib` before there is a journal",
        ),
    }
}

/// What the files in a folder and below take.
fn size_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => size_bytes(&entry.path()),
        about => about.map_or(0, |about| about.len()),
    };
    entries.map(size).sum()
}

/// A file like a segment's, that has no name any more.
fn trial(data: &Path) -> io::Result<(File, Direct)> {
    let path = data.join(format!(".oyez-doctor-{}", std::process::id()));
    let made = file::create(&path, (FLUSHES * DISK_BLOCK) as u64, Fill::Zeroed)?;
    std::fs::remove_file(&path)?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_uring_that_is_refused_matters_as_much_as_the_catalog_says() {
        let refused = || Err("io_uring is not in this kernel (ENOSYS); run one with CONFIG_IO_URING".to_owned());
        assert_eq!(judge_uring(Kind::Uring, Ok(())).level, Level::Ok);
        assert_eq!(judge_uring(Kind::Syscalls, refused()).level, Level::Ok);
        assert_eq!(judge_uring(Kind::Uring, refused()).level, Level::Fault);
        let warning = judge_uring(Kind::Auto, refused());
        assert_eq!((warning.level, warning.mend.as_deref()), (Level::Warning, Some("run one with CONFIG_IO_URING")));
    }

    #[test]
    fn memory_is_no_place_for_what_is_durable() {
        let look = |strictest, outlives_power| judge_file_system(Path::new("/d"), strictest, outlives_power).level;
        assert_eq!(look(Durability::Durable, true), Level::Ok);
        assert_eq!(look(Durability::Durable, false), Level::Fault);
        assert_eq!(look(Durability::Written, false), Level::Warning);
        assert_eq!(look(Durability::Published, false), Level::Ok);
    }

    #[test]
    fn what_the_file_system_lacks_is_judged_by_what_it_costs() {
        assert_eq!((judge_direct(Direct::Yes).level, judge_direct(Direct::No).level), (Level::Ok, Level::Warning));
        assert_eq!(judge_leases(Ok(true)).level, Level::Ok);
        assert_eq!(judge_leases(Ok(false)).level, Level::Fault);
        let none = judge_leases(Err(io::Error::from_raw_os_error(22)));
        assert!(none.level == Level::Fault && none.found.contains("Invalid argument"), "{none:?}");
        let ms = Duration::from_millis;
        assert_eq!((judge_flush(ms(1), ms(9)).level, judge_flush(ms(4), ms(9)).level), (Level::Ok, Level::Note));
        assert_eq!((judge_space(10, 10).level, judge_space(9, 10).level), (Level::Ok, Level::Fault));
    }

    #[test]
    fn a_trial_leaves_nothing_and_a_folder_is_measured_to_its_depth() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, _) = trial(folder.path()).expect("a file");
        assert_eq!(file.metadata().expect("it is there").len(), (FLUSHES * DISK_BLOCK) as u64);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
        std::fs::create_dir_all(folder.path().join("md/0")).expect("made");
        std::fs::write(folder.path().join("md/0/a.segment"), [0; 100]).expect("written");
        std::fs::write(folder.path().join("lock"), [0; 10]).expect("written");
        assert_eq!(size_bytes(folder.path()), 110);
    }
}
