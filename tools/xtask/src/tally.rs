//! What a run of tests came to, read from the lines it printed.

use std::ops::AddAssign;

/// Counts over steps and tests.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Tests that their harness counts as passed, those that said SKIPPED among them.
    ended_well: u64,
    said_skipped: u64,
    pub(crate) failed: u64,
    /// One line each: what was skipped, and why.
    pub(crate) skipped: Vec<String>,
}

impl Tally {
    /// Reads one line of a test harness or a test.
    ///
    /// A test that cannot run prints `SKIPPED name: reason` and returns, so its harness counts it as passed: here it
    /// moves from one count to the other. A test that its harness ignores is skipped too: nothing is left out unseen.
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.ended_well += count(result, " passed");
            self.failed += count(result, " failed");
        } else if let Some((name, reason)) = line.strip_prefix("test ").and_then(|test| test.split_once(" ... ignored"))
        {
            self.skipped.push(format!("{name}: ignored{reason}"));
        } else if let Some((_, what)) = line.split_once("SKIPPED ").filter(|(_, what)| what.contains(": ")) {
            self.skipped.push(what.to_owned());
            self.said_skipped += 1;
        }
    }

    /// A step without tests of its own that ended well.
    pub(crate) fn one_passed() -> Tally {
        Tally { ended_well: 1, ..Tally::default() }
    }

    pub(crate) fn passed(&self) -> u64 {
        self.ended_well.saturating_sub(self.said_skipped)
    }

    /// Whether no test was run, and none said that it could not.
    pub(crate) fn is_empty(&self) -> bool {
        self.ended_well + self.failed == 0 && self.skipped.is_empty()
    }

    /// The closing line.
    pub(crate) fn line(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed(), self.failed, self.skipped.len())
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.ended_well += other.ended_well;
        self.said_skipped += other.said_skipped;
        self.failed += other.failed;
        self.skipped.extend(other.skipped);
    }
}

/// The number before `word` in `ok. 3 passed; 0 failed; …`.
fn count(result: &str, word: &str) -> u64 {
    let before = result.split_once(word).map_or("", |(before, _)| before);
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Tally {
        let mut tally = Tally::default();
        lines.lines().for_each(|line| tally.read(line));
        tally
    }

    #[test]
    fn results_add_up() {
        let tally = read(
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        );
        assert_eq!(tally.line(), "4 passed, 2 failed, 0 skipped");
    }

    #[test]
    fn a_skip_is_not_a_pass() {
        let tally = read(
            "---- captures stdout ----\nSKIPPED captures: ../shared is absent\n\
             test slow ... ignored, by hand only\n\
             test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        );
        assert_eq!(tally.skipped, ["captures: ../shared is absent", "slow: ignored, by hand only"]);
        assert_eq!(tally.line(), "1 passed, 0 failed, 2 skipped");
    }

    #[test]
    fn a_skip_is_seen_in_the_middle_of_a_line() {
        assert_eq!(read("test captures ... SKIPPED captures: why").skipped, ["captures: why"]);
    }

    #[test]
    fn lines_that_are_neither_change_nothing() {
        assert!(read("test fresh ... ok\nSKIPPED\nrunning 2 tests").is_empty());
    }
}
