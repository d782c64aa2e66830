//! A message of many frames, from its publish until a subscriber has it whole; and small ones on another topic, alone and
//! meanwhile.
//!
//! The large ones go between two threads of this process, which run wherever there is room, and sleep when there is
//! nothing to do; the small ones between the two processes that spin. How many small ones a round has is what fits into
//! the time of its large ones, measured before.

use crate::arguments::{Common, Large};
use crate::failure::Failure;
use crate::house::{LARGE, LARGE_RECORDED};
use crate::memcpy::Memcpy;
use crate::pingpong::{ROUND_TRIP, round_trips};
use crate::report::{Ratio, Report, median, percentiles};
use crate::stage::Stage;
use crate::systems::System;
use crate::traffic::{Arrived, Messages};
use hdrhistogram::Histogram;
use oyez::{EventKind, Idle, Offer, Publisher, Start, Subscriber};
use oyez_mem::clock::now_ns;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Small messages of a round whose time nobody knows yet.
const SMALL_MESSAGES: u64 = 20_000;
/// From the publish until the subscriber has it.
const ONE_WAY: &str = "one_way_ns";
const ARRIVAL_MAX: Duration = Duration::from_secs(20);

pub(crate) fn run(options: &Large) -> Result<Report, Failure> {
    let Large { common, size, messages, every_ms, small, recorded } = options;
    let ring_mib = common.ring_mib.max((4 * *size as u64).next_power_of_two() >> 20);
    let common = &Common { ring_mib, ..common.clone() };
    // Before this thread is pinned: they stay free to run anywhere.
    let mut carrier = Carrier::start();
    let mut stage = Stage::set(common, *recorded, &[])?;
    carrier.open(stage.house.socket(), if *recorded { LARGE_RECORDED } else { LARGE }, *size)?;
    let mut memcpy = Memcpy::new(common.ring_mib << 20)?;
    let mut report = Report::new("large", common.rounds, stage.environment(common));
    let trips = |stage: &mut Stage, count| round_trips(stage, System::Oyez, *small, count);
    let begun = Instant::now();
    trips(&mut stage, SMALL_MESSAGES)?;
    let of_one = begun.elapsed() / SMALL_MESSAGES as u32;
    let small_messages = (Duration::from_millis(messages * every_ms).as_nanos() / of_one.as_nanos().max(1)) as u64;
    let (mut large, mut meanwhile, mut limit, mut alone, mut beside) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..common.rounds {
        limit.push(1e9 / memcpy.rate(*size, *messages, true));
        carrier.begin(*messages, Duration::ZERO);
        large.push(carrier.end()?);
        alone.push(trips(&mut stage, small_messages.max(SMALL_MESSAGES))?);
        carrier.begin(*messages, Duration::from_millis(*every_ms));
        beside.push(trips(&mut stage, small_messages.max(SMALL_MESSAGES))?);
        meanwhile.push(carrier.end()?);
    }
    let at = |rounds: &[Histogram<u64>], percentile| -> Vec<f64> {
        rounds.iter().map(|round| round.value_at_percentile(percentile) as f64).collect()
    };
    let (large_name, small_name, oyez) = (size.to_string(), small.to_string(), System::Oyez.name());
    report.put(System::Memcpy.name(), &large_name, ONE_WAY, median(&mut limit.clone()).round().into());
    report.put(oyez, &large_name, ONE_WAY, percentiles(&large));
    report.put(oyez, &large_name, "one_way_ns_beside_small", percentiles(&meanwhile));
    report.put(oyez, &small_name, ROUND_TRIP, percentiles(&alone));
    report.put(oyez, &small_name, "round_trip_ns_beside_large", percentiles(&beside));
    report.worst("large_p50_vs_memcpy", &Ratio::of(&at(&large, 50.0), &limit), f64::max);
    for (name, percentile) in [("small_p50_beside_large_vs_alone", 50.0), ("small_p99_beside_large_vs_alone", 99.0)] {
        report.worst(name, &Ratio::of(&at(&beside, percentile), &at(&alone, percentile)), f64::max);
    }
    Ok(report)
}

/// Publisher and subscriber of the large messages, each with a thread.
struct Carrier {
    orders: Option<Sender<Order>>,
    told: Receiver<Result<Histogram<u64>, String>>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    Open { socket: PathBuf, topic: &'static str, len_bytes: usize },
    Carry { messages: u64, every: Duration },
}

impl Carrier {
    fn start() -> Carrier {
        let (orders, taken) = channel();
        let (tell, told) = channel();
        let thread = std::thread::spawn(move || {
            let mut ends = None;
            while let Ok(order) = taken.recv() {
                let done = match (order, &mut ends) {
                    (Order::Open { socket, topic, len_bytes }, ends) => {
                        Ends::open(socket, topic, len_bytes).map(|opened| {
                            *ends = Some(opened);
                            Histogram::new(3).expect("three digits are allowed")
                        })
                    }
                    (Order::Carry { messages, every }, Some(ends)) => ends.carry(messages, every),
                    (Order::Carry { .. }, None) => Err("not opened".to_owned()),
                };
                if tell.send(done).is_err() {
                    return;
                }
            }
        });
        Carrier { orders: Some(orders), told, thread: Some(thread) }
    }

    fn open(&mut self, socket: PathBuf, topic: &'static str, len_bytes: usize) -> Result<(), Failure> {
        self.order(Order::Open { socket, topic, len_bytes });
        self.end().map(|_| ())
    }

    fn begin(&mut self, messages: u64, every: Duration) {
        self.order(Order::Carry { messages, every });
    }

    fn order(&mut self, order: Order) {
        // Whoever does not take it is found out in `end`.
        let _ = self.orders.as_ref().map(|orders| orders.send(order));
    }

    fn end(&mut self) -> Result<Histogram<u64>, Failure> {
        let told = self.told.recv().unwrap_or_else(|_| Err("its thread is gone".to_owned()));
        told.map_err(|what| Failure::System { system: "oyez", what })
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // It has said what went wrong.
            let _ = thread.join();
        }
    }
}

/// Both ends of the topic.
struct Ends {
    publisher: Publisher,
    subscriber: Subscriber,
    messages: Messages,
    next: u64,
}

impl Ends {
    fn open(socket: PathBuf, topic: &str, len_bytes: usize) -> Result<Ends, String> {
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let bus = oyez::Bus::connect(oyez::Connect::new(socket).name("oyez-bench")).map_err(|error| told(&error))?;
        let publisher = bus.publisher(topic).wait(ARRIVAL_MAX).open().map_err(|error| told(&error))?;
        let subscriber = bus.subscriber().topic(topic, Start::Live).open().map_err(|error| told(&error))?;
        Ok(Ends { publisher, subscriber, messages: Messages::new(len_bytes), next: 0 })
    }

    /// One after the other, the next no sooner than the last has arrived; what each took.
    fn carry(&mut self, messages: u64, every: Duration) -> Result<Histogram<u64>, String> {
        let Ends { publisher, subscriber, messages: made, next } = self;
        let (first, end) = (*next, *next + messages);
        let mut due = Instant::now();
        let (arrived, taken) = channel();
        let one_way_ns = std::thread::scope(|scope| {
            let reading = scope.spawn(move || read(subscriber, first, end, &arrived));
            for number in first..end {
                publish(publisher, made.message(number))?;
                if taken.recv().is_err() {
                    break;
                }
                due += every;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            reading.join().map_err(|_| "its reader panicked".to_owned())?
        })?;
        *next = end;
        let (sum, one_way_ns) = one_way_ns;
        if sum != made.sum(first, end) {
            return Err("a large message was changed on its way".to_owned());
        }
        Ok(one_way_ns)
    }
}

fn publish(publisher: &mut Publisher, message: &[u8]) -> Result<(), String> {
    let (deadline, mut idle) = (Instant::now() + ARRIVAL_MAX, Idle::back_off());
    while Instant::now() < deadline {
        match publisher.offer(message).map_err(|error| error.to_string())? {
            Offer::Published(_) => return Ok(()),
            Offer::BackPressured => idle.rest(0),
        }
    }
    Err("back-pressured for too long".to_owned())
}

/// Messages `first..end`: the sum of their bytes, and what each took from its publish time on.
fn read(subscriber: &mut Subscriber, first: u64, end: u64, each: &Sender<()>) -> Result<(u64, Histogram<u64>), String> {
    let mut one_way_ns = Histogram::new(3).expect("three digits are allowed");
    let mut arrived = Arrived { next: first, ..Arrived::default() };
    let (deadline, mut idle) = (Instant::now() + ARRIVAL_MAX * (end - first) as u32, Idle::back_off());
    while arrived.next < end {
        let polled = subscriber.poll(1, |event| {
            if let EventKind::Message(message) = event.kind {
                one_way_ns.record(now_ns().saturating_sub(message.time_ns)).expect("grows as needed");
                arrived.take(message.bytes);
                // The publisher hears of it, or is gone.
                let _ = each.send(());
            }
        });
        idle.rest(polled.map_err(|error| error.to_string())?);
        if arrived.out_of_order.is_some() || Instant::now() > deadline {
            return Err(format!("large message {} did not arrive in order, or in time", arrived.next));
        }
    }
    Ok((arrived.sum, one_way_ns))
}
