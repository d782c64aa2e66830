//! The story: half a minute in which a subscriber freezes, the publisher is killed, and the broker is killed, told as
//! it happens.

use std::time::{Duration, Instant};

use indicatif::HumanCount;
use rustix::process::Signal;

use super::cast::{Cast, Who};
use super::ledger::Ledger;
use super::plain::{collect, enter_publisher, enter_readers};
use super::report::{Met, Publishing, Report};
use super::stage::Stage;
use super::table::{Now, Table};
use super::verdict::{Verdict, time};
use crate::failure::Failure;
use crate::output::Output;

/// What one processor of a small machine publishes and three subscribers hear without effort; and enough to go once
/// around the ring while a subscriber is frozen.
pub(super) const RATE_MESSAGES_PER_S: u64 = 200_000;
pub(super) const LASTS: Duration = Duration::from_secs(30);
/// Longer than that no publisher lives, whatever holds the story up.
const PUBLISHER_LASTS_MAX: Duration = Duration::from_secs(40);
/// Messages behind the publisher that are no backlog, but on their way: a twentieth of a second.
const ON_THEIR_WAY: u64 = RATE_MESSAGES_PER_S / 20;
/// How long after the broker's return it is told how that went.
const AFTER_RETURN: Duration = Duration::from_secs(1);

/// What is done, and when, in seconds of the story.
const ACTS: [(u64, Act); 5] =
    [(4, Act::Freeze), (9, Act::Thaw), (15, Act::KillPublisher), (21, Act::KillBroker), (LASTS.as_secs(), Act::End)];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Freeze,
    Thaw,
    KillPublisher,
    KillBroker,
    End,
}

/// What must be known to tell what an act brought about.
#[derive(Clone, Copy)]
struct Since {
    at: Instant,
    next_sequence: u64,
    back_pressured: u64,
}

struct Story<'s, 'o> {
    stage: &'s Stage,
    cast: Cast,
    table: Table<'o>,
    now: Now,
    /// Of the publishers that there will be; the memory is made before, not while somebody waits for a publisher.
    ledgers: Vec<Ledger>,
    publisher: usize,
    /// Of the act that came last.
    since: Since,
    /// The longest time between two messages since then, and before the first act.
    pause_ns_max: u64,
    calm_pause_ns_max: u64,
    /// The subscriber that is frozen.
    frozen: usize,
    /// It goes on, but has a backlog.
    has_backlog: bool,
    /// Subscribers that have not yet come to the new epoch.
    in_old_epoch: usize,
    /// What is to be told of the new epoch once they have.
    granted: Option<String>,
    broker_came: Option<Instant>,
    /// The message before which the story ends.
    end: Option<u64>,
}

/// Tells the story, and finds the verdict.
pub(super) fn run(stage: &Stage, subscribers: u16, output: &mut Output) -> Result<Verdict, Failure> {
    let mut cast = Cast::new();
    enter_readers(&mut cast, stage, subscribers)?;
    let mut story = Story::new(stage, cast, usize::from(subscribers), output)?;
    story.enter_publisher()?;
    for (second, act) in ACTS {
        while story.since_start() < Duration::from_secs(second) {
            story.go_on()?;
        }
        story.act(act)?;
    }
    let end = loop {
        match story.end {
            Some(end) => break end,
            None => story.go_on()?,
        }
    };
    let Story { mut cast, ledgers, .. } = story;
    let (heard, target) = collect(&mut cast, stage, subscribers, end)?;
    Verdict::find(stage, &ledgers, end, heard, target)
}

impl<'s, 'o> Story<'s, 'o> {
    fn new(stage: &'s Stage, cast: Cast, subscribers: usize, output: &'o mut Output) -> Result<Story<'s, 'o>, Failure> {
        let ledger = || Ledger::new(PUBLISHER_LASTS_MAX.as_secs() * RATE_MESSAGES_PER_S);
        Ok(Story {
            stage,
            cast,
            table: Table::new(output),
            now: Now::of(subscribers),
            ledgers: vec![ledger()?, ledger()?],
            publisher: 0,
            since: Since { at: Instant::now(), next_sequence: 0, back_pressured: 0 },
            pause_ns_max: 0,
            calm_pause_ns_max: 0,
            frozen: subscribers - 1,
            has_backlog: false,
            in_old_epoch: 0,
            granted: None,
            broker_came: None,
            end: None,
        })
    }

    fn since_start(&self) -> Duration {
        self.table.since_start()
    }

    fn say(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.table.say(text.as_ref(), &self.now)
    }

    fn enter_publisher(&mut self) -> Result<(), Failure> {
        let messages = PUBLISHER_LASTS_MAX.as_secs() * RATE_MESSAGES_PER_S;
        let ledger = &self.ledgers[self.publisher];
        enter_publisher(&mut self.cast, self.stage, self.publisher, ledger, messages, Some(RATE_MESSAGES_PER_S))
    }

    fn act(&mut self, act: Act) -> Result<(), Failure> {
        let frozen = Who::Subscriber(self.frozen);
        let number = self.frozen + 1;
        if act == Act::Freeze {
            self.calm_pause_ns_max = self.pause_ns_max;
        }
        if act != Act::Thaw {
            let Publishing { next_sequence, back_pressured, .. } = self.now.publisher;
            self.since = Since { at: Instant::now(), next_sequence, back_pressured };
            self.pause_ns_max = 0;
        }
        match act {
            Act::Freeze => {
                self.cast.signal(frozen, Signal::STOP)?;
                self.now.subscribers[self.frozen].state = "frozen";
                self.say(format!("Subscriber {number} is frozen for five seconds (SIGSTOP). Nobody waits for it."))
            }
            Act::Thaw => {
                self.cast.signal(frozen, Signal::CONT)?;
                self.since.at = Instant::now();
                self.now.subscribers[self.frozen].state = "catching up";
                self.has_backlog = true;
                let behind = HumanCount(self.now.behind(self.frozen));
                self.say(format!("Subscriber {number} goes on, {behind} messages behind."))
            }
            Act::KillPublisher => {
                let publisher = Who::Publisher(self.publisher);
                self.cast.signal(publisher, Signal::KILL)?;
                self.in_old_epoch = self.now.subscribers.len();
                self.publisher += 1;
                self.enter_publisher()?;
                self.say("The publisher is killed (kill -9) while it publishes, and another is started.")
            }
            Act::KillBroker => {
                self.stage.kill_broker()?;
                self.say("The broker is killed (kill -9). The rings stay: publisher and subscribers go on without it.")
            }
            Act::End => {
                let publisher = Who::Publisher(self.publisher);
                self.cast.tell(publisher, 0)?;
                self.say("The publisher ends. Everybody takes what is left.")
            }
        }
    }

    /// Takes what has come, and shows it.
    fn go_on(&mut self) -> Result<(), Failure> {
        self.stage.check_interrupted()?;
        if let Some((who, report)) = self.cast.next(Duration::from_millis(20))? {
            self.hear(who, report)?;
        }
        if let Some(came) = self.stage.broker_came() {
            self.broker_came = Some(came);
            let ms = (came - self.since.at).as_millis();
            self.say(format!("The keeper has started a new broker: {ms} ms. It took the rings over as they were."))?;
        }
        if self.broker_came.is_some_and(|came| came.elapsed() >= AFTER_RETURN) {
            self.broker_came = None;
            let published = HumanCount(self.now.publisher.next_sequence.saturating_sub(self.since.next_sequence));
            let undisturbed = self.undisturbed();
            self.say(format!("The publisher went on: {published} messages since the kill, {undisturbed}."))?;
        }
        self.table.show(&self.now)
    }

    fn hear(&mut self, who: Who, report: Report) -> Result<(), Failure> {
        match (who, report) {
            (Who::Subscriber(number), Report::Hearing(hearing)) => {
                self.now.hearing(number, hearing);
                if number == self.frozen && self.has_backlog && self.now.behind(number) < ON_THEIR_WAY {
                    self.backlog_is_gone()?;
                }
            }
            (Who::Subscriber(number), Report::Met { event, sequence }) => self.met(number, event, sequence)?,
            (Who::Lane, Report::Carrying { next_sequence }) => self.now.lane_next_sequence = next_sequence,
            (who, report) if who == Who::Publisher(self.publisher) => match report {
                Report::Publishing(now) => {
                    self.pause_ns_max = self.pause_ns_max.max(now.pause_ns_max);
                    self.now.publishing(now);
                }
                Report::Granted { epoch, sequence } if self.publisher > 0 => {
                    let (ms, sequence) = (self.since.at.elapsed().as_millis(), HumanCount(sequence));
                    self.granted = Some(format!(
                        "It owns the topic {ms} ms after the kill: epoch {epoch}, from message {sequence} on."
                    ));
                    self.epoch_begun()?;
                }
                Report::Published { next_sequence } => self.end = Some(next_sequence),
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn met(&mut self, number: usize, event: Met, sequence: u64) -> Result<(), Failure> {
        let (who, sequence) = (number + 1, HumanCount(sequence));
        match event {
            Met::Lapped if number == self.frozen && self.has_backlog => self.say(format!(
                "Lapped: the ring has gone past subscriber {who}. It reads the journal, from message {sequence} on."
            )),
            Met::CaughtUp if number == self.frozen && self.has_backlog => {
                let ms = self.since.at.elapsed().as_millis();
                self.say(format!("CaughtUp: {ms} ms later it reads the ring again, from message {sequence} on."))
            }
            Met::Epoch if self.in_old_epoch > 0 => {
                self.in_old_epoch -= 1;
                self.epoch_begun()
            }
            Met::Loss => Err(format!("demo: subscriber {who} lost messages at {sequence}; please report it").into()),
            _ => Ok(()),
        }
    }

    fn backlog_is_gone(&mut self) -> Result<(), Failure> {
        self.has_backlog = false;
        self.now.subscribers[self.frozen].state = "";
        let (ms, undisturbed) = (self.since.at.elapsed().as_millis(), self.undisturbed());
        self.say(format!("After {ms} ms it is level with the others, and has missed nothing."))?;
        self.say(format!("Meanwhile the publisher was {undisturbed}."))
    }

    /// Tells of the new epoch, once its publisher and all subscribers have come to it.
    fn epoch_begun(&mut self) -> Result<(), Failure> {
        match self.granted.take_if(|_| self.in_old_epoch == 0) {
            None => Ok(()),
            Some(granted) => {
                self.say(granted)?;
                self.say("Epoch: each subscriber first read the dead publisher's messages to the last, then went on with these.")
            }
        }
    }

    /// What the publisher noticed since the last act.
    fn undisturbed(&self) -> String {
        let held_back = self.now.publisher.back_pressured.saturating_sub(self.since.back_pressured);
        let (pause, calm) = (time(self.pause_ns_max), time(self.calm_pause_ns_max));
        format!("held back {held_back} times; its longest pause was {pause} (before all this: {calm})")
    }
}
