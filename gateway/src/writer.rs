//! The lane's end at the sink: what comes next, what is open, what is committed. Every message passes `put` here.

use crate::reconcile::Plan;
use crate::sink::{Record, Sink};
use crate::{FeedItem, LaneError, Mark, Message, Notice, Options};
use oyez::HeaderCheck;

/// The open transaction.
pub(crate) struct Transaction {
    opened_ns: u64,
    messages: u64,
    bytes: usize,
    /// Where the last frame put ends.
    end_position: u64,
}

/// The writing half of a lane; its invariant: `next` is one above the last message put, or else committed.
pub(crate) struct Writer<S> {
    pub(crate) sink: S,
    pub(crate) options: Options,
    /// The only sequence that may be put next.
    pub(crate) next: u64,
    /// What a message must be.
    pub(crate) check: HeaderCheck,
    /// The target's last message, until the bus has shown the same.
    pub(crate) verify: Option<Mark>,
    pub(crate) open: Option<Transaction>,
    /// The message put last. Kept so that a mark is computed once a transaction, not once a message.
    last: Record,
    pub(crate) committed: Option<Mark>,
    pub(crate) committed_publish_time_ns: Option<u64>,
    pub(crate) messages: u64,
    pub(crate) transactions: u64,
}

impl<S: Sink> Writer<S> {
    pub(crate) fn new(sink: S, options: Options) -> Writer<S> {
        Writer {
            sink,
            options,
            next: 0,
            check: HeaderCheck::new(None),
            verify: None,
            open: None,
            last: Record { epoch: 0, sequence: 0, publish_time_ns: 0, bytes: Vec::new() },
            committed: None,
            committed_publish_time_ns: None,
            messages: 0,
            transactions: 0,
        }
    }

    pub(crate) fn resume(&mut self, plan: &Plan) {
        self.next = plan.next;
        self.verify = plan.verify;
        self.committed = plan.verify;
        self.last.epoch = plan.verify.map_or(0, |mark| mark.epoch);
    }

    pub(crate) fn take(&mut self, item: FeedItem<'_>, now_ns: u64, notices: &mut Vec<Notice>) -> Result<(), LaneError> {
        match item {
            FeedItem::Message(message, end_position) => match self.verify.take() {
                Some(mark) if message.sequence <= mark.sequence => compare(&message, &mark),
                Some(mark) => {
                    notices.push(Notice::Unverified { sequence: mark.sequence });
                    self.put(&message, end_position, now_ns)
                }
                None => self.put(&message, end_position, now_ns),
            },
            FeedItem::Gap { to, .. } => self.expect(to.max(self.next)),
            FeedItem::Rewound { to, .. } => {
                Err(LaneError::Ahead { committed: self.next.saturating_sub(1), end: Some(to) })
            }
        }
    }

    fn put(&mut self, message: &Message<'_>, end_position: u64, now_ns: u64) -> Result<(), LaneError> {
        self.expect(message.sequence)?;
        if message.epoch < self.last.epoch {
            return Err(other_stream(message, self.last.epoch));
        }
        let sequence = message.sequence;
        self.check.check(message.bytes).map_err(|misfit| LaneError::Misfit { sequence, misfit })?;
        let (len_bytes, limit) = (message.bytes.len(), self.sink.limit());
        if len_bytes > limit.message_bytes_max {
            return Err(LaneError::TooLarge { sequence, len_bytes, limit });
        }
        if self.open.is_none() {
            self.sink.begin()?;
        }
        let open = self.open.get_or_insert(Transaction { opened_ns: now_ns, messages: 0, bytes: 0, end_position });
        self.sink.put(message)?;
        open.messages += 1;
        open.bytes += message.bytes.len();
        open.end_position = end_position;
        self.next += 1;
        self.keep(message);
        Ok(())
    }

    /// The bus goes on at `sequence`: it must be the next one.
    fn expect(&self, sequence: u64) -> Result<(), LaneError> {
        if sequence == self.next {
            Ok(())
        } else if sequence < self.next {
            Err(LaneError::Ahead { committed: self.next - 1, end: Some(sequence) })
        } else if self.committed.is_none() && self.open.is_none() {
            Err(LaneError::OriginGone { origin: self.next, earliest: sequence })
        } else {
            Err(LaneError::Gap { from: self.next, to: sequence })
        }
    }

    fn keep(&mut self, message: &Message<'_>) {
        self.last.epoch = message.epoch;
        self.last.sequence = message.sequence;
        self.last.publish_time_ns = message.publish_time_ns;
        self.last.bytes.clear();
        self.last.bytes.extend_from_slice(message.bytes);
    }

    /// Whether all that is open is durable, given how far the bus is.
    pub(crate) fn is_durable(&self, durable_position: u64) -> bool {
        self.open.as_ref().is_none_or(|open| open.end_position <= durable_position)
    }

    /// Messages that the transaction may still take; at least one.
    pub(crate) fn room_messages(&self) -> usize {
        let open = self.open.as_ref().map_or(0, |open| open.messages);
        self.options.transaction_messages_max.saturating_sub(open).max(1) as usize
    }

    pub(crate) fn is_due(&self, now_ns: u64) -> bool {
        self.open.as_ref().is_some_and(|open| {
            self.age_ns(now_ns) >= self.options.transaction_ms_max.saturating_mul(1_000_000)
                || open.bytes >= self.options.transaction_bytes_max
                || open.messages >= self.options.transaction_messages_max
        })
    }

    /// How long the transaction has been open.
    pub(crate) fn age_ns(&self, now_ns: u64) -> u64 {
        self.open.as_ref().map_or(0, |open| now_ns - open.opened_ns)
    }

    /// Whether nothing is open but there is progress to tell of.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_none() && self.committed.is_some()
    }

    /// Commits what is open, or, where nothing is, the progress alone.
    pub(crate) fn commit(&mut self) -> Result<(), LaneError> {
        let mark = match self.committed {
            Some(mark) if self.open.is_none() => {
                self.sink.begin()?;
                mark
            }
            _ => Mark::of(&self.last.message()),
        };
        self.sink.put_progress(&mark)?;
        self.sink.commit()?;
        self.transactions += 1;
        self.committed = Some(mark);
        if let Some(open) = self.open.take() {
            self.messages += open.messages;
            self.committed_publish_time_ns = Some(self.last.publish_time_ns);
        }
        Ok(())
    }

    pub(crate) fn abort(&mut self) -> Result<(), LaneError> {
        self.open = None;
        Ok(self.sink.abort()?)
    }
}

/// The bus's message under the mark's sequence must be the one that the target holds.
fn compare(message: &Message<'_>, mark: &Mark) -> Result<(), LaneError> {
    if Mark::of(message) == *mark { Ok(()) } else { Err(other_stream(message, mark.epoch)) }
}

fn other_stream(message: &Message<'_>, target_epoch: u32) -> LaneError {
    LaneError::OtherStream { sequence: message.sequence, target_epoch, bus_epoch: message.epoch }
}
