//! What a scenario prints: for people, or as one object.

use crate::arguments::Format;
use crate::fanout::Point;
use crate::machine::Environment;
use crate::systems::System;
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The parts of latency that are told, with the maximum; never a mean.
const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p99", 99.0), ("p99_9", 99.9), ("p99_99", 99.99)];
/// Those of them that are compared round by round: of the others a round has too few.
const COMPARED: usize = 2;

/// What a wake-up may take beyond the longest sleep of the broker's core.
const WAKE_US: u64 = 100;

/// What is measured against what, where both are in a scenario.
const AGAINST: [(System, System); 9] = [
    (System::Oyez, System::Limit),
    (System::Oyez, System::Memcpy),
    (System::Recorded, System::Limit),
    (System::Ring, System::Limit),
    (System::RingUntimed, System::Memcpy),
    (System::Oyez, System::Aeron),
    (System::Oyez, System::Iceoryx2),
    (System::Aeron, System::Limit),
    (System::Iceoryx2, System::Limit),
];

/// The result of one scenario.
#[derive(Serialize)]
pub(crate) struct Report {
    scenario: &'static str,
    rounds: u32,
    /// By system, then by bytes of a message, or by its name.
    results: Map<String, Value>,
    /// Of the size or message that is worst.
    ratios: Map<String, Value>,
    environment: Environment,
}

/// Of each round: how late one sleeper was woken for each message, and all others by one; the part of a core that the broker
/// took meanwhile, and a bare loop.
#[derive(Default)]
pub(crate) struct Woken {
    pub(crate) one_ns: Vec<Vec<u64>>,
    pub(crate) all_ns: Vec<Vec<u64>>,
    pub(crate) broker_share: Vec<f64>,
    pub(crate) bare_share: Vec<f64>,
}

/// How a figure of one system compares with that of another, round by round.
#[derive(Serialize)]
pub(crate) struct Ratio {
    median: f64,
    low: f64,
    high: f64,
}

impl Ratio {
    pub(crate) fn of(system: &[f64], other: &[f64]) -> Ratio {
        let mut ratios: Vec<f64> = system.iter().zip(other).map(|(system, other)| system / other).collect();
        let median = median(&mut ratios);
        let round = |ratio: f64| (ratio * 1e4).round() / 1e4;
        Ratio { median: round(median), low: round(ratios[0]), high: round(ratios[ratios.len() - 1]) }
    }
}

/// Sorts them.
pub(crate) fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len() % 2 == 1 { figures[middle] } else { (figures[middle - 1] + figures[middle]) / 2.0 }
}

impl Report {
    pub(crate) fn new(scenario: &'static str, rounds: u32, environment: Environment) -> Report {
        Report { scenario, rounds, results: Map::new(), ratios: Map::new(), environment }
    }

    /// Latencies of one size: of each system a histogram a round, in ns. Ratios are called by their percentile, behind
    /// `prefix`.
    pub(crate) fn add_latencies(
        &mut self,
        name: &str,
        prefix: &str,
        len_bytes: usize,
        systems: &[(System, Vec<Histogram<u64>>)],
    ) {
        for (system, rounds) in systems {
            self.put(system.name(), &len_bytes.to_string(), name, percentiles(rounds));
        }
        for (figure, percentile) in &PERCENTILES[..COMPARED] {
            let of_round = |round: &Histogram<u64>| round.value_at_percentile(*percentile) as f64;
            let figures = systems.iter().map(|(system, rounds)| (*system, rounds.iter().map(of_round).collect()));
            self.compare(&format!("{prefix}{figure}"), len_bytes, &figures.collect::<Vec<_>>(), f64::max);
        }
    }

    /// Messages a second of one size: of each system a figure a round.
    pub(crate) fn add_rates(&mut self, len_bytes: usize, systems: &[(System, Vec<f64>)]) {
        for (system, rates) in systems {
            let rate = median(&mut rates.clone());
            let size = len_bytes.to_string();
            self.put(system.name(), &size, "messages_per_s", json!(rate.round()));
            self.put(system.name(), &size, "ns_per_message", json!((1e10 / rate).round() / 10.0));
        }
        self.compare("rate", len_bytes, systems, f64::min);
    }

    /// What publishing costs: of each system and number of subscribers a histogram a round, in ns of so many messages.
    /// Each is compared with the fewest subscribers of its system, and with the peer.
    pub(crate) fn add_publishing(&mut self, batch: u64, points: &[(Point, Vec<Histogram<u64>>)]) {
        let p50 = |round: &Histogram<u64>| round.value_at_percentile(50.0) as f64;
        let p50s = |rounds: &[Histogram<u64>]| rounds.iter().map(p50).collect::<Vec<_>>();
        let counts = points.iter().map(|(point, _)| point.subscribers);
        let (Some(fewest), Some(most)) = (counts.clone().min(), counts.max()) else { return };
        for (point, rounds) in points {
            let Point { system, subscribers } = *point;
            self.put(system.name(), &subscribers.to_string(), "publish_ns", of_each(percentiles(rounds), batch));
            let fewer = (fewest.to_string(), Point { subscribers: fewest, ..*point });
            let peer = (System::Iceoryx2.name().to_owned(), Point { system: System::Iceoryx2, ..*point });
            for (name, other) in [fewer, peer] {
                let others =
                    points.iter().find(|(point, _)| *point == other && *point != Point { system, subscribers });
                let Some((_, others)) = others else { continue };
                let ratio = Ratio::of(&p50s(rounds), &p50s(others));
                self.put(system.name(), &subscribers.to_string(), &format!("p50_vs_{name}"), json!(ratio));
                if subscribers == most {
                    self.ratios.insert(named(system, format!("publish_p50_{most}_vs_{name}")), json!(ratio));
                }
            }
        }
    }

    /// How late sleepers were woken, and what the broker and a bare loop spent, where a core sleeps so long.
    pub(crate) fn add_woken(&mut self, wake_max_us: u64, woken: &Woken) {
        let name = format!("{wake_max_us}us");
        let of_round = |latencies_ns: &Vec<u64>| {
            let mut round = Histogram::new(3).expect("three digits are allowed");
            latencies_ns.iter().for_each(|latency| round.record(*latency).expect("grows as needed"));
            round
        };
        let [one, all] = [&woken.one_ns, &woken.all_ns].map(|rounds| rounds.iter().map(of_round).collect::<Vec<_>>());
        self.put("oyez", &name, "wake_ns", percentiles(&one));
        self.put("oyez", &name, "wake_all_ns", percentiles(&all));
        self.put("oyez", &name, "cpu_percent", share(&woken.broker_share));
        self.put("bare_loop", &name, "cpu_percent", share(&woken.bare_share));
        let cpu = Ratio::of(&woken.broker_share, &woken.bare_share);
        self.put("oyez", &name, "cpu_vs_bare_loop", json!(cpu));
        self.worst("cpu_vs_bare_loop", &cpu, f64::max);
        let p99s: Vec<f64> = one.iter().map(|round| round.value_at_percentile(99.0) as f64).collect();
        let promised = Ratio::of(&p99s, &vec![(wake_max_us + WAKE_US) as f64 * 1e3; p99s.len()]);
        self.put("oyez", &name, "wake_p99_vs_promised", json!(promised));
        self.worst("wake_p99_vs_promised", &promised, f64::max);
    }

    /// Tells one figure of a system and a message.
    pub(crate) fn put(&mut self, system: &str, message: &str, name: &str, told: Value) {
        let of_system = self.results.entry(system).or_insert_with(|| json!({}));
        of_system[message][name] = told;
    }

    /// Tells the ratio among the ratios if it is the worst so far.
    pub(crate) fn worst(&mut self, name: &str, ratio: &Ratio, worse: fn(f64, f64) -> f64) {
        let known = self.ratios.get(name).and_then(|known| known["median"].as_f64());
        if known.is_none_or(|known| worse(known, ratio.median) != known) {
            self.ratios.insert(name.to_owned(), json!(ratio));
        }
    }

    /// Tells each ratio beside the size's figures, and among the ratios if it is the worst so far.
    fn compare(&mut self, figure: &str, len_bytes: usize, systems: &[(System, Vec<f64>)], worse: fn(f64, f64) -> f64) {
        let of = |wanted| systems.iter().find(|(system, _)| *system == wanted).map(|(_, figures)| figures);
        for (system, other) in AGAINST {
            let (Some(figures), Some(others)) = (of(system), of(other)) else { continue };
            let ratio = Ratio::of(figures, others);
            let versus = format!("{figure}_vs_{}", other.name());
            self.put(system.name(), &len_bytes.to_string(), &versus, json!(ratio));
            self.worst(&named(system, versus), &ratio, worse);
        }
    }

    pub(crate) fn print(&self, format: Format) {
        match format {
            Format::Json => println!("{}", json!(self)),
            Format::Text => self.print_text(),
        }
    }

    fn print_text(&self) {
        println!("{}, {} interleaved rounds, {}", self.scenario, self.rounds, json!(self.environment));
        for (system, sizes) in &self.results {
            for (message, told) in sizes.as_object().into_iter().flatten() {
                let parts = told.as_object().into_iter().flatten();
                let parts: Vec<_> = parts.map(|(name, value)| format!("{name} {}", plain(value))).collect();
                println!("{system:>12} {message:>5}  {}", parts.join("; "));
            }
        }
        for (name, ratio) in &self.ratios {
            println!("{name}, the worst of them: {}", plain(ratio));
        }
    }
}

/// A ratio's name among all: ours have plain ones.
fn named(system: System, ratio: String) -> String {
    if system == System::Oyez { ratio } else { format!("{}_{ratio}", system.name()) }
}

/// One value, or names and values in a row.
fn plain(value: &Value) -> String {
    match value.as_object() {
        None => value.to_string(),
        Some(parts) => parts.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(" "),
    }
}

/// The median, in hundredths of a percent.
fn share(rounds: &[f64]) -> Value {
    json!((median(&mut rounds.to_vec()) * 1e4).round() / 1e2)
}

/// Times of so many messages as those of each, to a tenth.
fn of_each(mut told: Value, batch: u64) -> Value {
    for (name, value) in told.as_object_mut().into_iter().flatten() {
        if name != "count" {
            *value = json!((value.as_u64().unwrap_or_default() as f64 * 10.0 / batch as f64).round() / 10.0);
        }
    }
    told
}

pub(crate) fn percentiles(rounds: &[Histogram<u64>]) -> Value {
    let mut all = Histogram::<u64>::new(3).expect("three digits are allowed");
    rounds.iter().for_each(|round| all.add(round).expect("grows as needed"));
    let at = |(name, percentile): &(&str, f64)| ((*name).to_owned(), json!(all.value_at_percentile(*percentile)));
    let mut told: Map<_, _> = PERCENTILES.iter().map(at).collect();
    told.insert("max".to_owned(), json!(all.max()));
    told.insert("count".to_owned(), json!(all.len()));
    Value::Object(told)
}
