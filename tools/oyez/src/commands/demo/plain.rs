//! The demo without a story: so many messages as fast as the bus takes them, and the verdict.

use std::time::Duration;

use super::cast::{Cast, Who};
use super::ledger::Ledger;
use super::report::{Heard, Report};
use super::stage::{Stage, TOPIC};
use super::verdict::Verdict;
use crate::failure::Failure;
use crate::progress::Progress;

/// How long the parts may take to start.
const STARTED_MAX: Duration = Duration::from_secs(30);

/// How long so many messages may take everybody: a slow disk writes ten thousand a second.
fn patience(messages: u64) -> Duration {
    Duration::from_secs(60 + messages / 10_000)
}

/// Publishes, waits until everybody has it all, and compares.
pub(super) fn run(stage: &Stage, messages: u64, subscribers: u16) -> Result<Verdict, Failure> {
    let mut cast = Cast::new();
    enter_readers(&mut cast, stage, subscribers)?;
    let ledger = Ledger::new(messages)?;
    enter_publisher(&mut cast, stage, 0, &ledger, messages, None)?;
    let mut progress = Progress::new("publishing", "messages");
    let end = cast.wait_for(stage, "the last message", patience(messages), |_, report| match report {
        Report::Publishing(now) => {
            progress.set(now.next_sequence, messages);
            None
        }
        Report::Published { next_sequence } => Some(next_sequence),
        _ => None,
    })?;
    drop(progress);
    let (heard, target) = collect(&mut cast, stage, subscribers, end)?;
    Verdict::find(stage, &[ledger], end, heard, target)
}

/// Subscribers and lane, all ready.
pub(super) fn enter_readers(cast: &mut Cast, stage: &Stage, subscribers: u16) -> Result<(), Failure> {
    for number in 0..usize::from(subscribers) {
        let mut arguments = vec!["subscriber".into(), "--topic".into(), TOPIC.into()];
        // The first one's messages are shown.
        arguments.extend((number == 0).then(|| "--samples".into()));
        cast.enter(stage, Who::Subscriber(number), arguments)?;
    }
    let target = stage.target().into();
    cast.enter(stage, Who::Lane, vec!["lane".into(), "--topic".into(), TOPIC.into(), "--target".into(), target])?;
    let mut waiting = subscribers + 1;
    cast.wait_for(stage, "the start of subscribers and lane", STARTED_MAX, |_, report| {
        waiting -= u16::from(matches!(report, Report::Ready));
        (waiting == 0).then_some(())
    })
}

/// The publisher of that number; returns at once.
pub(super) fn enter_publisher(
    cast: &mut Cast,
    stage: &Stage,
    number: usize,
    ledger: &Ledger,
    messages: u64,
    rate_messages_per_s: Option<u64>,
) -> Result<(), Failure> {
    let mut arguments =
        vec!["publisher".into(), "--topic".into(), TOPIC.into(), "--ledger".into(), ledger.path().into()];
    arguments.extend(["--messages".into(), messages.to_string().into()]);
    if let Some(rate) = rate_messages_per_s {
        arguments.extend(["--rate-messages-per-s".into(), rate.to_string().into()]);
    }
    cast.enter(stage, Who::Publisher(number), arguments)
}

/// Waits until subscribers and lane have everything below `end`; what each says then.
pub(super) fn collect(
    cast: &mut Cast,
    stage: &Stage,
    subscribers: u16,
    end: u64,
) -> Result<(Vec<Heard>, String), Failure> {
    let mut heard = vec![None; usize::from(subscribers)];
    let mut target = None;
    (0..heard.len()).map(Who::Subscriber).chain([Who::Lane]).try_for_each(|who| cast.tell(who, end))?;
    cast.wait_for(stage, "the last message at every subscriber", patience(end), |who, report| {
        match (who, report) {
            (Who::Subscriber(number), Report::Heard(all)) => heard[number] = Some(all),
            (_, Report::Carried { target: carried }) => target = Some(carried),
            _ => {}
        }
        (target.is_some() && heard.iter().all(Option::is_some)).then_some(())
    })?;
    Ok((heard.into_iter().flatten().collect(), target.unwrap_or_default()))
}
