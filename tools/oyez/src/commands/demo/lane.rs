//! The lane's part: carries the topic into the loopback target, which is a file, and not Kafka.

use std::time::{Duration, Instant};

use oyez::{Bus, Connect};
use oyez_gateway::sink::loopback::Loopback;
use oyez_gateway::{BusFeed, Lane, Options};

use super::report::{Orders, Report, tell};
use crate::args::LaneArgs;
use crate::failure::Failure;

const TELL_EVERY: Duration = Duration::from_millis(100);

pub(super) fn play(args: &LaneArgs) -> Result<(), Failure> {
    let mut orders = Orders::listen();
    let bus = Bus::connect(Connect::new(&args.socket).name("demo-lane"))?;
    let mut lane = Lane::new(BusFeed::new(bus, &args.topic), Loopback::open(&args.target)?, Options::default());
    tell(&Report::Ready)?;
    let mut told = Instant::now();
    let mut goes_on = |next_sequence: u64| -> Result<bool, Failure> {
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            tell(&Report::Carrying { next_sequence })?;
        }
        Ok(orders.until()?.is_none_or(|until| next_sequence < until))
    };
    let mut outcome = Ok(true);
    lane.run(&mut |lane| {
        outcome = goes_on(lane.status().committed_sequence.map_or(0, |last| last + 1));
        matches!(outcome, Ok(true))
    })?;
    outcome?;
    tell(&Report::Carried { target: lane.status().target })
}
