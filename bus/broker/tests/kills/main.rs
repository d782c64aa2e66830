//! Killing at random under load, with one oracle: what each publisher knows of itself, in a mapped file that outlives
//! it, against a subscriber and against the journal on disk. The counts are environment variables; `cargo xtask soak`
//! sets the long ones.
#![forbid(unsafe_code)]

mod content;
mod frozen;
mod ledger;
mod processes;
mod publisher;
mod stage;
mod witness;

use content::Mix;
use ledger::Ledger;
use stage::{Stage, Victim};
use std::time::{Duration, Instant};
use witness::Testimony;

fn count(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |count| count.parse().unwrap_or_else(|_| panic!("{name} is a count")))
}

/// The parts that a stage starts: this binary again, with one of these tests.
#[test]
fn the_keeper_process() {
    processes::keeper_process();
}

#[test]
fn the_broker_process() {
    processes::broker_process();
}

#[test]
fn the_publisher_process() {
    stage::publisher_process();
}

#[test]
fn the_subscriber_process() {
    frozen::process();
}

#[test]
fn a_killed_publisher_loses_nothing_and_the_next_goes_on() {
    let kills = count("OYEZ_KILLS_PUBLISHER", 20);
    // Longer than it takes to make a spare ring, or not: two different figures.
    let rest_ms = count("OYEZ_KILLS_REST_MS", 5) as u64;
    let mut stage = Stage::new(64, 100_000, Mix::Small, 2);
    let mut pauses_ms = Vec::new();
    for kill in 0..kills {
        stage.let_run(rest_ms + content::mix(kill as u64) % 20);
        let owner = stage.owner();
        let killed_ns = stage::wall_ns();
        stage.kill_publisher(owner);
        let next = stage.await_epoch_after(owner.epoch);
        pauses_ms.push(next.first_time_ns.saturating_sub(killed_ns) as f64 / 1e6);
    }
    let verdict = stage.verdict();
    eprintln!(
        "publisher killed {kills} times, {} messages: next first commit {}",
        verdict.messages,
        spread(&pauses_ms)
    );
}

#[test]
fn a_standby_takes_over_from_a_killed_owner_and_nothing_is_lost() {
    let kills = count("OYEZ_KILLS_TAKE_OVER", 20);
    take_over("killed", kills, |_, owner| owner.kill());
}

#[test]
fn a_standby_has_a_stopped_owner_killed_and_nothing_is_lost() {
    let kills = count("OYEZ_KILLS_STOPPED", 10);
    take_over("stopped, and killed for the standby,", kills, |stage, owner| stage.take_over_from_stopped(owner));
}

/// Ends the owner so often while it publishes; its standby, which is warm, goes on each time.
fn take_over(how: &str, kills: usize, mut end: impl FnMut(&mut Stage, stage::Owner)) {
    let mut stage = Stage::with_standby(64, 100_000);
    let mut pauses_ms = Vec::new();
    for kill in 0..kills {
        stage.await_warm();
        stage.let_run(5 + content::mix(kill as u64) % 20);
        let owner = stage.owner();
        let ended_ns = stage::wall_ns();
        end(&mut stage, owner);
        let next = stage.await_epoch_after(owner.epoch);
        pauses_ms.push(next.first_time_ns.saturating_sub(ended_ns) as f64 / 1e6);
        stage.replace(owner);
    }
    let verdict = stage.verdict();
    assert_eq!(verdict.epochs, kills + 1, "each owner's end is one epoch's, and no epoch is lost on the way");
    eprintln!(
        "owner {how} {kills} times, {} messages: standby's first commit {}",
        verdict.messages,
        spread(&pauses_ms)
    );
}

/// Busy and idle by its own rhythm; one in twenty dies somewhere on the way, one in ten is stopped there for a while, one in
/// five hundred for longer than anybody waits.
#[test]
fn an_owner_that_renews_its_epoch_loses_nothing() {
    let renewals = count("OYEZ_RENEWALS", 60);
    let mut stage = Stage::with_idling(8, 50_000);
    let operator = stage.operator();
    let (mut renewed, mut ended) = (0, 0);
    for renewal in 0..renewals {
        let random = content::mix(renewal as u64);
        std::thread::sleep(Duration::from_millis(random % 8));
        let owner = stage.owner();
        let somewhere = Duration::from_micros(random / 8 % 4_000);
        let answer = std::thread::scope(|scope| {
            let answer = scope.spawn(|| operator.renew(stage::TOPIC, 0));
            std::thread::sleep(somewhere);
            match renewal {
                _ if renewal % 20 == 7 => owner.kill(),
                _ if renewal % 500 == 53 => {
                    owner.stop();
                    std::thread::sleep(Duration::from_secs(6));
                    owner.go_on();
                }
                _ if renewal % 10 == 3 => {
                    owner.stop();
                    std::thread::sleep(Duration::from_millis(20));
                    owner.go_on();
                }
                _ => {}
            }
            answer.join().unwrap()
        });
        match answer {
            Ok(epoch) => {
                assert!(epoch.0 > owner.epoch, "renewed: {epoch} after {}", owner.epoch);
                renewed += 1;
            }
            Err(error) => {
                assert!(
                    matches!(error, oyez::BusError::Refused { code: oyez::FailureCode::NotRenewed, .. }),
                    "{error}"
                );
                assert!(matches!(renewal % 20, 7 | 13), "{renewal}: {error}");
                ended += 1;
            }
        }
        if renewal % 20 == 7 {
            stage.replace(owner);
            stage.await_successor_of(owner);
        }
    }
    stage.let_run(20);
    let pauses_ms: Vec<_> =
        stage.testimonies().iter().map(|told| told.renewed_ns as f64 / 1e6).filter(|ms| *ms > 0.0).collect();
    let verdict = stage.verdict();
    assert!(renewed + ended == renewals && renewed > renewals / 2, "{renewed} of {renewals}");
    eprintln!(
        "epoch renewed {renewed} times of {renewals}, {} messages, nothing lost: a commit that waits for it {}",
        verdict.messages,
        spread(&pauses_ms)
    );
}

#[test]
fn an_upgraded_broker_loses_nothing_and_publishers_go_on() {
    let upgrades = count("OYEZ_KILLS_UPGRADE", 3);
    let rate = count("OYEZ_KILLS_RATE", 100_000) as u64;
    let rest_ms = count("OYEZ_KILLS_REST_MS", 20) as u64;
    let own = std::env::current_exe().unwrap();
    // Without another, another file of the same build.
    let other = std::env::var_os("OYEZ_KILLS_OTHER_BUILD").map_or(own.clone(), Into::into);
    let mut stage = Stage::new(256, rate, Mix::Small, 1);
    let mut away_ms = Vec::new();
    for upgrade in 0..upgrades {
        stage.let_run(rest_ms + content::mix(upgrade as u64) % 60);
        stage.await_recorded();
        away_ms.push(stage.upgrade(if upgrade % 2 == 0 { &other } else { &own }).as_secs_f64() * 1e3);
    }
    stage.let_run(rest_ms);
    let verdict = stage.verdict();
    let away = soon(&away_ms);
    assert_eq!(verdict.epochs, 1, "an upgrade is no end of an epoch");
    assert_eq!(verdict.back_pressured, 0, "the ring is deep enough for the absence: {away}");
    eprintln!(
        "broker upgraded {upgrades} times at {rate} messages/s, {} messages: away {}, longest gap between commits {:.1} ms",
        verdict.messages,
        away,
        verdict.commit_gap_ns as f64 / 1e6,
    );
}

/// The declared policy, `when_behind = "wait"`: what the recorder has not taken is not overwritten, and publishers wait.
#[test]
fn a_broker_that_is_away_for_longer_than_the_ring_is_deep_holds_publishers_back_and_loses_nothing() {
    let times = count("OYEZ_KILLS_AWAY", 2);
    let mut stage = Stage::new(8, 200_000, Mix::Small, 1);
    let mut away_ms = Vec::new();
    for _ in 0..times {
        stage.let_run(50);
        away_ms.push(stage.keep_away_until_back_pressured().as_secs_f64() * 1e3);
    }
    stage.let_run(50);
    let verdict = stage.verdict();
    assert!(verdict.back_pressured > 0 && verdict.epochs == 1, "{} epochs", verdict.epochs);
    eprintln!(
        "broker away {times} times until the ring was full, {} messages: away {}, back-pressured {} times, nothing lost",
        verdict.messages,
        spread(&away_ms),
        verdict.back_pressured,
    );
}

#[test]
fn a_killed_broker_loses_nothing_and_publishers_go_on() {
    let kills = count("OYEZ_KILLS_BROKER", 10);
    let rate = count("OYEZ_KILLS_RATE", 100_000) as u64;
    let rest_ms = count("OYEZ_KILLS_REST_MS", 20) as u64;
    let mut stage = Stage::new(256, rate, Mix::Small, 1);
    let mut away_ms = Vec::new();
    for kill in 0..kills {
        stage.let_run(rest_ms + content::mix(kill as u64) % 60);
        stage.await_recorded();
        away_ms.push(stage.kill(Victim::Broker).as_secs_f64() * 1e3);
    }
    let verdict = stage.verdict();
    let away = soon(&away_ms);
    assert_eq!(verdict.epochs, 1, "a broker's death is no end of an epoch");
    assert_eq!(verdict.back_pressured, 0, "the ring is deep enough for the absence: {away}");
    eprintln!(
        "broker killed {kills} times at {rate} messages/s, {} messages: away {}, longest gap between commits {:.1} ms, \
         between deliveries {:.1} ms",
        verdict.messages,
        away,
        verdict.commit_gap_ns as f64 / 1e6,
        verdict.delivery_gap.as_secs_f64() * 1e3,
    );
}

#[test]
fn both_killed_at_once_lose_nothing_while_the_keeper_lives() {
    let kills = count("OYEZ_KILLS_BOTH", 5);
    let mut stage = Stage::new(64, 100_000, Mix::Small, 2);
    for kill in 0..kills {
        stage.let_run(20 + content::mix(kill as u64) % 60);
        let owner = stage.owner();
        stage.kill(Victim::Both(owner));
        stage.await_epoch_after(owner.epoch);
    }
    let verdict = stage.verdict();
    eprintln!("publisher and broker killed {kills} times together, {} messages, nothing lost", verdict.messages);
}

/// Most die within a message of several frames: the next owner gives its number again.
#[test]
fn a_publisher_killed_within_a_large_message_leaves_nothing_of_it() {
    let kills = count("OYEZ_KILLS_LARGE", 20);
    let mut stage = Stage::new(64, 1_000, Mix::Large, 2);
    for kill in 0..kills {
        stage.let_run(5 + content::mix(kill as u64) % 20);
        let owner = stage.owner();
        stage.await_large_message(owner);
        // A broker that begins anew meets what the recorder had of the message.
        match kill % 4 {
            3 => drop(stage.kill(Victim::Both(owner))),
            _ => stage.kill_publisher(owner),
        }
        stage.await_epoch_after(owner.epoch);
    }
    let verdict = stage.verdict();
    eprintln!(
        "publisher killed {kills} times amid large messages, {} messages, and {} of which only a part came out",
        verdict.messages, verdict.cut
    );
    assert!(verdict.cut > 0 || kills < 10, "nobody died within a message");
}

/// At full rate, the same run without and with a subscriber that is stopped in it: the publisher does not notice, and the
/// subscriber loses nothing.
#[test]
fn a_stopped_subscriber_costs_nobody_anything_and_loses_nothing() {
    let seconds = count("OYEZ_FROZEN_SECONDS", 3) as u64;
    let rate = count("OYEZ_FROZEN_RATE", 200_000) as u64;
    let [without, with] = [false, true].map(|freezes| {
        let stage = Stage::new(64, rate, Mix::Small, 1);
        let begun = Instant::now();
        let frozen = frozen::Frozen::new(stage.folder());
        stage.let_run(seconds * 1000 / 6);
        if freezes {
            // Lapped for sure: at this rate the ring holds much less than the pause.
            let pause = Duration::from_secs(seconds.div_ceil(6)).max(Duration::from_secs(64_000_000 / 40 / rate));
            let back = frozen.freeze(pause);
            eprintln!("stopped for {pause:?}, back on the ring {:.2} s after", back.as_secs_f64());
        }
        stage.let_run((seconds * 1000).saturating_sub(begun.elapsed().as_millis() as u64));
        frozen.has_all_below(stage.read());
        stage.verdict()
    });
    for (name, verdict) in [("without", &without), ("with", &with)] {
        assert_eq!(verdict.back_pressured, 0, "{name}");
        eprintln!(
            "{rate} messages/s, {name} a stopped subscriber: {} messages, commit gaps p99 {} ns, longest {:.2} ms",
            verdict.messages,
            verdict.commit_p99_ns,
            verdict.commit_gap_ns as f64 / 1e6
        );
    }
}

/// How long the broker was away, which has a bound.
fn soon(away_ms: &[f64]) -> String {
    let bound_ms = count("OYEZ_KILLS_AWAY_MS_P99_MAX", 10_000) as f64;
    let spread = spread(away_ms);
    assert!(quantile(away_ms, 0.99) < bound_ms, "away for longer than {bound_ms} ms: {spread}");
    spread
}

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

fn spread(values: &[f64]) -> String {
    let at = |share| quantile(values, share);
    format!("p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", at(0.5), at(0.99), at(1.0))
}

/// What is left when everything has stopped.
struct Verdict {
    messages: u64,
    /// Messages of which a part came out and no more.
    cut: usize,
    epochs: usize,
    back_pressured: u64,
    commit_gap_ns: u64,
    commit_p99_ns: u64,
    delivery_gap: Duration,
}

impl Verdict {
    fn new(testimonies: &[Testimony], read: &Ledger, journal: &Ledger, cut: usize, delivery_gap: Duration) -> Verdict {
        journal.hold_against(testimonies);
        read.hold_against(testimonies);
        assert_eq!((read.next(), read.digest()), (journal.next(), journal.digest()), "subscriber and journal differ");
        let longest = |of: fn(&Testimony) -> u64| testimonies.iter().map(of).max().unwrap_or(0);
        Verdict {
            messages: journal.next(),
            cut,
            epochs: testimonies.len(),
            back_pressured: testimonies.iter().map(|testimony| testimony.back_pressured).sum(),
            commit_gap_ns: longest(|testimony| testimony.gap_ns),
            commit_p99_ns: longest(|testimony| testimony.gap_p99_ns),
            delivery_gap,
        }
    }
}
