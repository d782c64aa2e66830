//! Subscribers that sleep: how late they are woken, and what the broker does meanwhile.
//!
//! A thousand threads sleep in `Subscriber::wait`, in a few processes: one on the topic that is published to now and then,
//! all others on another. Two things are told of each `wake_max_us`, out of the same run:
//! - from publish time to the return of that one's `wait`, the message coming when the broker's core has backed off as far
//!   as it does, at any point of its sleep; and the same of all the others, woken by one message;
//! - the processor time of the whole broker while nothing is published, beside that of a bare loop that sleeps as long each
//!   time, on the same core in the same seconds.

use crate::arguments::Sleepers;
use crate::child::{self, Child};
use crate::failure::Failure;
use crate::house::{House, UNRECORDED};
use crate::machine::{self, Environment, OfScenario};
use crate::report::{Report, Woken};
use oyez::{Bus, Connect, EventKind, Offer, Publisher, Start, Subscriber};
use oyez_mem::clock::now_ns;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Processes that share the subscribers of the quiet topic.
const PROCESSES: usize = 4;
const QUIET: &str = UNRECORDED[0];
const BUSY: &str = UNRECORDED[1];
const MESSAGE: [u8; 68] = [7; 68];
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a core does before it sleeps as long as it may: it spins, yields, and sleeps ever longer.
const BACK_OFF: Duration = Duration::from_millis(3);

pub(crate) fn run(options: &Sleepers) -> Result<Report, Failure> {
    let common = &options.common;
    let cores = machine::two_cores(common.cores.as_deref())?;
    let ring_mib = common.ring_mib;
    let beside = OfScenario::Sleepers { ring_mib, len_bytes: MESSAGE.len(), processes: PROCESSES + 1 };
    let mut report = Report::new("sleepers", common.rounds, Environment::new(cores.to_vec(), beside));
    for &wake_max_us in &options.wake_max_us {
        let house = House::asleep(common.data.as_deref(), cores[1], ring_mib, wake_max_us)?;
        report.add_woken(wake_max_us, &measure(options, &house, Duration::from_micros(wake_max_us), cores)?);
    }
    Ok(report)
}

fn measure(options: &Sleepers, house: &House, period: Duration, cores: [usize; 2]) -> Result<Woken, Failure> {
    let connect = Connect::new(house.socket()).name("oyez-bench").timeout(PATIENCE);
    let bus = Bus::connect(connect).map_err(Failure::bus("connect to the broker"))?;
    let publisher = |topic| bus.publisher(topic).wait(PATIENCE).open().map_err(Failure::bus("publish"));
    let (mut quiet, mut busy) = (publisher(QUIET)?, publisher(BUSY)?);
    let others = options.subscribers.saturating_sub(1);
    let share = |at: usize| others * (at + 1) / PROCESSES - others * at / PROCESSES;
    let mut herd = (0..PROCESSES).map(|at| Herd::start(house, QUIET, share(at))).collect::<Result<Vec<_>, _>>()?;
    let mut one = Herd::start(house, BUSY, 1)?;
    settle(house)?;

    let mut woken = Woken::default();
    for round in 0..options.common.rounds {
        for number in 0..options.messages {
            // Any point of the core's sleep is as likely as another.
            let phase = period * ((number * 7 + u64::from(round)) % 97) as u32 / 97;
            std::thread::sleep(BACK_OFF + 3 * period + phase);
            publish(&mut busy)?;
        }
        woken.one_ns.push(one.woken(options.messages)?);
        std::thread::sleep(BACK_OFF + 3 * period);
        let window = Duration::from_millis(options.idle_ms);
        let (broker_ns, bare_ns) = idle(house, period, window, cores[1])?;
        woken.broker_share.push(broker_ns as f64 / window.as_nanos() as f64);
        woken.bare_share.push(bare_ns as f64 / window.as_nanos() as f64);
        publish(&mut quiet)?;
        let all = herd.iter_mut().map(|herd| herd.woken(1)).collect::<Result<Vec<_>, _>>()?;
        woken.all_ns.push(all.concat());
    }
    Ok(woken)
}

fn publish(publisher: &mut Publisher) -> Result<(), Failure> {
    match publisher.offer(&MESSAGE).map_err(Failure::bus("publish"))? {
        Offer::Published(_) => Ok(()),
        Offer::BackPressured => unreachable!("nothing is recorded"),
    }
}

/// Until the broker has made the rings that it keeps ready.
fn settle(house: &House) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    let window = Duration::from_millis(200);
    loop {
        let before_ns = house.processor_ns()?;
        std::thread::sleep(window);
        let used = Duration::from_nanos(house.processor_ns()? - before_ns);
        if used < window / 3 || Instant::now() > deadline {
            return Ok(());
        }
    }
}

/// Processor time of the broker while nobody wants anything of it, and of a loop on the same core that only sleeps.
fn idle(house: &House, period: Duration, window: Duration, core: usize) -> Result<(u64, u64), Failure> {
    let before_ns = house.processor_ns()?;
    let bare = std::thread::spawn(move || {
        let pinned = machine::pin(core);
        let until = Instant::now() + window;
        while Instant::now() < until {
            std::thread::sleep(period);
        }
        let used = clock_gettime(ClockId::ThreadCPUTime);
        pinned.map(|()| used.tv_sec as u64 * 1_000_000_000 + used.tv_nsec as u64)
    });
    let bare_ns = bare.join().expect("it only sleeps")?;
    Ok((house.processor_ns()? - before_ns, bare_ns))
}

/// Where to subscribe, and how often.
#[derive(Serialize, Deserialize)]
struct Plan {
    socket: PathBuf,
    topic: String,
    subscribers: usize,
}

/// A process of subscribers, as the first one sees it.
struct Herd(Child);

impl Herd {
    fn start(house: &House, topic: &str, subscribers: usize) -> Result<Herd, Failure> {
        let plan = Plan { socket: house.socket(), topic: topic.to_owned(), subscribers };
        let mut herd = Herd(Child::start("sleep", &plan)?);
        herd.woken(0)?;
        Ok(herd)
    }

    /// How late each was for each of the last so many messages, ns.
    fn woken(&mut self, messages: u64) -> Result<Vec<u64>, Failure> {
        let answer: Option<Result<Vec<u64>, String>> = self.0.ask(&messages).and_then(|()| self.0.answer());
        let gone = Failure::Second { system: "oyez", what: "of subscribers is gone" };
        answer.ok_or(gone)?.map_err(|what| Failure::Bus { step: "have subscribers sleep", what })
    }
}

/// What the sleepers of a process have to say.
#[derive(Default)]
struct Told {
    asleep: usize,
    latencies_ns: Vec<u64>,
    failed: Option<String>,
}

/// A process of subscribers, from the inside.
///
/// # Errors
/// [`Failure`].
pub(crate) fn sleep(plan: &str) -> Result<(), Failure> {
    let plan: Plan = child::parse(plan)?;
    let told = Arc::new((Mutex::new(Told::default()), Condvar::new()));
    let connect = Connect::new(&plan.socket).name("oyez-bench-sleeper").timeout(PATIENCE);
    let bus = Bus::connect(connect).map_err(Failure::bus("connect to the broker"))?;
    for _ in 0..plan.subscribers {
        let subscriber = bus.subscriber().topic(&plan.topic, Start::Live).open();
        let subscriber = subscriber.map_err(Failure::bus("subscribe"))?;
        let told = Arc::clone(&told);
        let small = std::thread::Builder::new().stack_size(256 << 10);
        small.spawn(move || doze(subscriber, &told)).map_err(Failure::refused("start a thread"))?;
    }
    for messages in child::questions() {
        let messages: u64 = messages?;
        let wanted = plan.subscribers * messages as usize;
        let is_waited_for = |told: &mut Told| {
            (told.asleep < plan.subscribers || told.latencies_ns.len() < wanted) && told.failed.is_none()
        };
        let held = told.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = told.1.wait_timeout_while(held, PATIENCE, is_waited_for).unwrap_or_else(PoisonError::into_inner);
        let (mut told, timeout) = waited;
        child::say(&match told.failed.take() {
            Some(why) => Err(why),
            None if timeout.timed_out() => Err("not all were woken".to_owned()),
            None => Ok(std::mem::take(&mut told.latencies_ns)),
        });
    }
    Ok(())
}

/// Sleeps, and tells how late it was woken for each message.
fn doze(mut subscriber: Subscriber, told: &(Mutex<Told>, Condvar)) {
    let tell = |change: &mut dyn FnMut(&mut Told)| {
        change(&mut told.0.lock().unwrap_or_else(PoisonError::into_inner));
        told.1.notify_all();
    };
    let mut is_settled = false;
    loop {
        let woken = subscriber.wait(Duration::from_millis(if is_settled { 3_600_000 } else { 20 }));
        let woken_ns = now_ns();
        let polled = woken.and_then(|rang| {
            if !rang && !is_settled {
                is_settled = true;
                tell(&mut |told| told.asleep += 1);
            }
            subscriber.poll(16, |event| {
                if let EventKind::Message(message) = event.kind {
                    tell(&mut |told| told.latencies_ns.push(woken_ns.saturating_sub(message.time_ns)));
                }
            })
        });
        if let Err(error) = polled {
            return tell(&mut |told| told.failed = Some(error.to_string()));
        }
    }
}
