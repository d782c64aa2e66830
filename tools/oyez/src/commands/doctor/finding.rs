//! What a check answers.

use std::fmt::{Display, Formatter};

use serde::Serialize;

use super::machine::Machine;

/// A check's name, and what it does; nothing where it does not apply.
pub(super) type Check = (&'static str, fn(&Machine) -> Option<Finding>);

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Costs something in some cases, or only at times.
    Note,
    /// Costs latency or throughput each day, or endangers them.
    Warning,
    /// Keeps the broker from starting, or from doing what the catalog declares.
    Fault,
}

/// What is so, what that costs, and the command or setting that mends it. What is not as it should be has all three.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) found: String,
    pub(super) costs: Option<String>,
    pub(super) mend: Option<String>,
}

impl Finding {
    pub(super) fn ok(found: impl Into<String>) -> Finding {
        Finding { level: Level::Ok, found: found.into(), costs: None, mend: None }
    }
}

impl Level {
    pub(super) fn finding(
        self,
        found: impl Into<String>,
        costs: impl Into<String>,
        mend: impl Into<String>,
    ) -> Finding {
        Finding { level: self, found: found.into(), costs: Some(costs.into()), mend: Some(mend.into()) }
    }
}

impl Display for Level {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        out.pad(match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Fault => "fault",
        })
    }
}
