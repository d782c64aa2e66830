//! All hostile clients at once, beside honest ones: what the broker spends is bounded and given back, and the others have
//! every message. How late these come is told beside a quiet run, and beside one with as many processes that burn time and
//! leave the bus alone: hostile clients cost processors, theirs and the broker's slow threads', and on a machine of two there
//! is no other for the readers. `cargo xtask soak hostile` prints the figures of longer runs.
#![forbid(unsafe_code)]

#[allow(dead_code, reason = "shared with the system tests, which use all of it")]
#[path = "../system/house.rs"]
mod house;
#[allow(dead_code, reason = "as above")]
#[path = "../system/peer.rs"]
mod peer;

mod honest;

use honest::{Honest, Phase};
use house::{House, Process, program};
use std::process::Command;
use std::time::{Duration, Instant};

const WAYS: [&str; 6] = ["bytes", "descriptors", "scribbles", "areas", "limits", "deaf"];
const CONNECTIONS: u64 = 48;
const AREAS: u64 = 64;
/// As many as the broker lets wait to be closed.
const CLOSING: u64 = 1_024;

/// What burns processors where nobody attacks: as many threads as the broker has for what clients ask, and close.
const BURNERS: [&str; 2] = ["burns", "burns"];

/// What a broker spends, at most at a time.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    /// Memory of its own: its rings, areas and program are not in there.
    anonymous_kib: u64,
    descriptors: u64,
}

impl Spent {
    fn now(broker: u32) -> Spent {
        let status = std::fs::read_to_string(format!("/proc/{broker}/status")).expect("it lives");
        let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a kernel that tells");
        let anonymous_kib = anonymous.trim().trim_end_matches(" kB").parse().expect("a number");
        let descriptors = std::fs::read_dir(format!("/proc/{broker}/fd")).expect("it lives").count() as u64;
        Spent { anonymous_kib, descriptors }
    }

    fn most(self, other: Spent) -> Spent {
        Spent {
            anonymous_kib: self.anonymous_kib.max(other.anonymous_kib),
            descriptors: self.descriptors.max(other.descriptors),
        }
    }

    /// The most of anything that is seen for so long.
    fn during(broker: u32, span: Duration) -> Spent {
        let (mut most, until) = (Spent::default(), Instant::now() + span);
        while Instant::now() < until {
            most = most.most(Spent::now(broker));
            std::thread::sleep(Duration::from_millis(5));
        }
        most
    }
}

fn setting(name: &str) -> Option<f64> {
    Some(std::env::var(name).ok()?.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// One for each way. Those who attack get what time of the processors is left: what is asked is what they cost at the bus.
fn start(ways: &[&str], house: &House, policy: &[&str]) -> Vec<Process> {
    let start = |way: &&str| {
        let mut command = Command::new("chrt");
        Process::run(command.args(policy).arg(program()).args(["attack-as", way]).arg(&house.socket))
    };
    let started: Vec<_> = ways.iter().map(start).collect();
    started.iter().for_each(|process| drop(process.line(&["attacks"])));
    started
}

fn end(processes: Vec<Process>) {
    for mut process in processes {
        assert_eq!(process.lines().len(), 1, "one is at its end: {:#?}", process.lines());
        process.kill();
    }
}

#[test]
fn hostile_clients_cost_nobody_else_anything() {
    let span = Duration::from_secs_f64(setting("OYEZ_HOSTILE_SECONDS").unwrap_or(2.0));
    let rounds = setting("OYEZ_HOSTILE_ROUNDS").unwrap_or(1.0) as u32;
    let limits = format!(
        "connections_per_user_max = {CONNECTIONS}\nareas_per_user_max = {AREAS}\nsubscriptions_max = 16\nareas_max = 128\nsegment_mib = 4\n"
    );
    let topics = "[[topics]]\nname = \"md\"\nring_mib = 4\npublish = [\"self\"]\n\
                  [[topics]]\nname = \"scratch\"\nrecorded = false\nring_mib = 2\npublish = [\"self\"]\n\
                  [[topics]]\nname = \"many\"\nring_mib = 2\npublishers = \"many\"\ningress_kib = 128\npublish = [\"self\"]\n\
                  [topics.origins]\nbad = 1\n";
    let house = House::with(&limits, topics);
    let broker = house.peer("looks").broker_pid;
    let honest = Honest::start(&house.socket);
    let (mut quiet, mut hostile) = (Spent::default(), Spent::default());
    let during = |phase| {
        honest.enter(phase);
        let spent = Spent::during(broker, span);
        honest.enter(Phase::Between);
        spent
    };
    for _ in 0..rounds {
        quiet = quiet.most(during(Phase::Quiet));
        let burners = start(&BURNERS, &house, &["--other", "0"]);
        during(Phase::Busy);
        end(burners);
        let attackers = start(&WAYS, &house, &["--idle", "0"]);
        hostile = hostile.most(during(Phase::Hostile));
        end(attackers);
        // What stays is the last ring of `scratch`, a spare of its size, and a segment made ahead.
        peer::until("what they took to be given back", || {
            (Spent::now(broker).descriptors <= quiet.descriptors + 8).then_some(())
        });
    }
    let after = Spent::now(broker);
    let figures = honest.finish();
    eprintln!("hostile: quiet {quiet:?}, most {hostile:?}, after {after:?}\n{figures}");

    // Connections, those that are being closed, an area and ask and bell of each subscription, rings that come and go.
    let bound = quiet.descriptors + CONNECTIONS + CLOSING + 3 * AREAS + 64;
    assert!(hostile.descriptors <= bound, "{} descriptors, {bound} at most", hostile.descriptors);
    assert!(hostile.descriptors > quiet.descriptors + CONNECTIONS / 2, "nobody has attacked");
    assert!(hostile.anonymous_kib <= quiet.anonymous_kib + 64 * 1024, "{hostile:?}");
    assert_eq!(house.keeper.count("the broker died"), 0);
    if let Some(ratio_max) = setting("OYEZ_HOSTILE_P99_RATIO_MAX") {
        assert!(figures.p99_ratio(Phase::Busy) <= ratio_max, "{figures}");
    }
}
