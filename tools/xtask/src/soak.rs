//! `cargo xtask soak`: the tests whose counts are published, at those counts. To add one, add one entry to [`SOAKS`].

use crate::child::{self, End};
use crate::failure::{Failure, Result};
use crate::outside::Outside;
use crate::packages;
use crate::places::{self, Scratch};
use crate::tally::Tally;
use std::process::Command;

/// One test, run alone in release, with its counts in the environment.
pub(crate) struct Soak {
    pub(crate) name: &'static str,
    /// The arguments of `cargo test --release`, separated by spaces.
    pub(crate) test: &'static str,
    pub(crate) env: &'static [(&'static str, &'static str)],
}

pub(crate) const SOAKS: &[Soak] = &[
    Soak { name: "ring-torn", test: "-p oyez-ring torn", env: &[("OYEZ_TORTURE_MESSAGES", "1000000000")] },
    Soak { name: "ring-kills", test: "-p oyez-ring --test processes killed", env: &[("OYEZ_KILLS_WRITER", "10000")] },
    Soak {
        name: "publisher-kills",
        test: "-p oyez-broker --test kills a_killed_publisher",
        env: &[("OYEZ_KILLS_PUBLISHER", "1000")],
    },
    Soak {
        // Time enough for the spare ring between two kills: how soon the next owner commits then.
        name: "publisher-kills-spare",
        test: "-p oyez-broker --test kills a_killed_publisher",
        env: &[("OYEZ_KILLS_PUBLISHER", "200"), ("OYEZ_KILLS_REST_MS", "300")],
    },
    Soak {
        name: "take-over",
        test: "-p oyez-broker --test kills a_standby_takes_over",
        env: &[("OYEZ_KILLS_TAKE_OVER", "1000")],
    },
    Soak {
        name: "take-over-stopped",
        test: "-p oyez-broker --test kills a_standby_has_a_stopped_owner_killed",
        env: &[("OYEZ_KILLS_STOPPED", "300")],
    },
    Soak {
        name: "renew",
        test: "-p oyez-broker --test kills an_owner_that_renews",
        env: &[("OYEZ_RENEWALS", "10000")],
    },
    Soak {
        name: "broker-kills",
        test: "-p oyez-broker --test kills a_killed_broker",
        env: &[
            ("OYEZ_KILLS_BROKER", "500"),
            ("OYEZ_KILLS_RATE", "1000000"),
            ("OYEZ_KILLS_REST_MS", "100"),
            ("OYEZ_KILLS_AWAY_MS_P99_MAX", "1000"),
        ],
    },
    Soak {
        // To another build where `OYEZ_KILLS_OTHER_BUILD` names one: the test's own program of another state of the source.
        name: "broker-upgrades",
        test: "-p oyez-broker --test kills an_upgraded_broker",
        env: &[
            ("OYEZ_KILLS_UPGRADE", "20"),
            ("OYEZ_KILLS_RATE", "1000000"),
            ("OYEZ_KILLS_REST_MS", "500"),
            ("OYEZ_KILLS_AWAY_MS_P99_MAX", "1000"),
        ],
    },
    Soak {
        name: "broker-away",
        test: "-p oyez-broker --test kills a_broker_that_is_away",
        env: &[("OYEZ_KILLS_AWAY", "50")],
    },
    Soak {
        name: "frozen-subscriber",
        test: "-p oyez-broker --test kills a_stopped_subscriber",
        env: &[("OYEZ_FROZEN_SECONDS", "30"), ("OYEZ_FROZEN_RATE", "1000000")],
    },
    Soak {
        name: "large-kills",
        test: "-p oyez-broker --test kills a_publisher_killed_within",
        env: &[("OYEZ_KILLS_LARGE", "100")],
    },
    Soak {
        // Beside as many processes that burn processors, not beside a quiet machine: few have one for every reader.
        name: "hostile",
        test: "-p oyez-broker --test hostile hostile_clients",
        env: &[("OYEZ_HOSTILE_SECONDS", "10"), ("OYEZ_HOSTILE_ROUNDS", "6"), ("OYEZ_HOSTILE_P99_RATIO_MAX", "2")],
    },
    Soak {
        name: "ingress",
        test: "-p oyez-broker --test ingress eight_publishers",
        env: &[("OYEZ_INGRESS_MESSAGES", "10000000")],
    },
    Soak {
        name: "ingress-large",
        test: "-p oyez-broker --test ingress publishers_are_killed_within_large",
        env: &[("OYEZ_INGRESS_LARGE", "60000")],
    },
    Soak { name: "both-kills", test: "-p oyez-broker --test kills both_killed", env: &[("OYEZ_KILLS_BOTH", "50")] },
    Soak {
        name: "gateway-kills",
        test: "-p oyez-gateway --test bus a_killed_gateway",
        env: &[("OYEZ_KILLS_GATEWAY", "50")],
    },
    Soak {
        name: "sbe-agreement",
        test: "-p oyez-sbe-generate --lib agreement",
        env: &[("OYEZ_AGREEMENT_MESSAGES", "10000")],
    },
    // No counts to raise: the gate leaves it out because Aeron and iceoryx2 take minutes to compile.
    Soak { name: "bench-peers", test: "-p oyez-bench --test peers", env: &[] },
];

/// A day: a soak is bounded by its counts, this only ends one that hangs.
const LIMIT_S: u32 = 86_400;

/// Runs these, or all for none, with their output shown as it comes; true if all passed.
pub(crate) fn run(names: &[String]) -> Result<bool> {
    if let Some(unknown) = names.iter().find(|name| !SOAKS.iter().any(|soak| soak.name == **name)) {
        return Err(Failure(format!("{unknown}: no such soak; `cargo xtask soak --list` names them")));
    }
    let scratch = Scratch::new()?;
    let mut outside = Outside::bring(&scratch, true)?;
    outside.skipped.extend(packages::bring_clang()?);
    outside.skipped.iter().for_each(|skipped| println!("SKIPPED {skipped}"));
    let mut all = outside.skipped.is_empty();
    for soak in SOAKS.iter().filter(|soak| names.is_empty() || names.iter().any(|name| name == soak.name)) {
        println!("==== {}: cargo test --release {} with {:?}", soak.name, soak.test, soak.env);
        let mut cargo = cargo(&format!("test --release {} -- --nocapture", soak.test));
        cargo.envs(soak.env.iter().copied()).envs(outside.env.iter().cloned()).env("TMPDIR", scratch.path());
        let mut tally = Tally::default();
        let end = child::show(cargo, |line| tally.read(line))?;
        println!("==== {}: {}", soak.name, tally.line());
        all &= end == End::Succeeded && tally.passed() > 0 && tally.skipped.is_empty();
    }
    Ok(all)
}

/// Golden tests have `golden` in their names, and with `OYEZ_BLESS` set they write what they would have compared.
pub(crate) fn bless() -> Result<bool> {
    let mut cargo = cargo("test --workspace --tests --lib golden");
    cargo.env("OYEZ_BLESS", "1");
    Ok(child::show(cargo, |_| ())? == End::Succeeded)
}

fn cargo(arguments: &str) -> Command {
    let mut cargo = child::bounded(LIMIT_S, "cargo");
    cargo.args(arguments.split(' ')).current_dir(places::root());
    cargo
}
