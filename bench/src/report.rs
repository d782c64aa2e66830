//! What a scenario prints: for people, or as one object.

use crate::arguments::Format;
use crate::machine::Environment;
use crate::systems::System;
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The parts of latency that are told, never a mean.
const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p99", 99.0), ("p99_9", 99.9), ("p99_99", 99.99)];

/// The result of one scenario.
#[derive(Serialize)]
pub(crate) struct Report {
    scenario: &'static str,
    rounds: u32,
    /// By system, then by size.
    results: Map<String, Value>,
    /// Of the size that is worst.
    ratios: Map<String, Value>,
    environment: Environment,
}

/// How one figure of a system compares, round by round.
#[derive(Clone, Copy, Serialize)]
struct Ratio {
    median: f64,
    low: f64,
    high: f64,
}

impl Ratio {
    fn of(system: &[f64], limit: &[f64]) -> Ratio {
        let mut ratios: Vec<f64> = system.iter().zip(limit).map(|(system, limit)| system / limit).collect();
        ratios.sort_by(f64::total_cmp);
        let round = |ratio: f64| (ratio * 1e4).round() / 1e4;
        let (low, high) = (ratios[0], ratios[ratios.len() - 1]);
        Ratio { median: round(median(&ratios)), low: round(low), high: round(high) }
    }
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

impl Report {
    pub(crate) fn new(scenario: &'static str, rounds: u32, environment: Environment) -> Report {
        Report { scenario, rounds, results: Map::new(), ratios: Map::new(), environment }
    }

    /// Latencies of one size: a histogram a round. The limit stands first.
    pub(crate) fn add_latencies(&mut self, len_bytes: usize, systems: &[(System, Vec<Histogram<u64>>)]) {
        for (system, rounds) in systems {
            self.put(*system, len_bytes, latency(rounds));
        }
        for (name, percentile) in &PERCENTILES[..2] {
            let figures = |rounds: &[Histogram<u64>]| -> Vec<f64> {
                rounds.iter().map(|round| round.value_at_percentile(*percentile) as f64).collect()
            };
            let limit = figures(&systems[0].1);
            for (system, rounds) in &systems[1..] {
                self.compare(name, *system, len_bytes, Ratio::of(&figures(rounds), &limit), f64::max);
            }
        }
    }

    /// Messages a second of one size, a figure a round. The limit stands first.
    pub(crate) fn add_rates(&mut self, len_bytes: usize, systems: &[(System, Vec<f64>)]) {
        for (system, rates) in systems {
            let mut sorted = rates.clone();
            sorted.sort_by(f64::total_cmp);
            let rate = median(&sorted);
            let told = json!({ "messages_per_s": rate.round(), "ns_per_message": (1e10 / rate).round() / 10.0 });
            self.put(*system, len_bytes, told);
        }
        for (system, rates) in &systems[1..] {
            self.compare("rate", *system, len_bytes, Ratio::of(rates, &systems[0].1), f64::min);
        }
    }

    fn put(&mut self, system: System, len_bytes: usize, told: Value) {
        let of_system = self.results.entry(system.name()).or_insert_with(|| json!({}));
        of_system[len_bytes.to_string()] = told;
    }

    /// Tells the ratio beside the size's figures, and among the ratios if it is the worst so far.
    fn compare(&mut self, figure: &str, system: System, len_bytes: usize, ratio: Ratio, worse: fn(f64, f64) -> f64) {
        let name = match system {
            System::Limit => return,
            System::Ring => format!("ring_{figure}_vs_limit"),
        };
        self.results[system.name()][len_bytes.to_string()][format!("{figure}_vs_limit")] = json!(ratio);
        let known = self.ratios.get(&name).and_then(|known| known["median"].as_f64());
        if known.is_none_or(|known| worse(known, ratio.median) != known) {
            self.ratios.insert(name, json!(ratio));
        }
    }

    pub(crate) fn print(&self, format: Format) {
        match format {
            Format::Json => println!("{}", json!(self)),
            Format::Text => self.print_text(),
        }
    }

    fn print_text(&self) {
        for (system, sizes) in &self.results {
            for (len_bytes, told) in sizes.as_object().into_iter().flatten() {
                println!("{:9} {system:8} {len_bytes:>5} B  {told}", self.scenario);
            }
        }
        for (name, ratio) in &self.ratios {
            println!("{name}, the worst size: {ratio}");
        }
    }
}

fn latency(rounds: &[Histogram<u64>]) -> Value {
    let mut all = Histogram::<u64>::new(3).expect("three digits are allowed");
    rounds.iter().for_each(|round| all.add(round).expect("grows as needed"));
    let mut told: Map<_, _> =
        PERCENTILES.iter().map(|(name, at)| ((*name).to_owned(), json!(all.value_at_percentile(*at)))).collect();
    told.insert("max".to_owned(), json!(all.max()));
    json!({ "round_trips": all.len(), "round_trip_ns": told })
}
