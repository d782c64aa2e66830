//! A subscriber's part: hears everything from the first message on, and keeps the digest of it.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use oyez::{Bus, Connect, Digest, EventKind, Idle, Message, Start};
use oyez_journal::hex;
use oyez_sbe::Schema;

use super::report::{Heard, Hearing, Latency, Met, Orders, Report, Sample, histogram, now_ns, tell};
use crate::args::SubscriberArgs;
use crate::failure::Failure;

const POLL_EVENTS: usize = 256;
const TELL_EVERY: Duration = Duration::from_millis(100);
/// The market update of the sample's schema: the template id in the message header.
const MARKET_UPDATE: [u8; 2] = [1, 0];

pub(super) fn play(args: &SubscriberArgs) -> Result<(), Failure> {
    let mut orders = Orders::listen();
    let bus = Bus::connect(Connect::new(&args.socket).name("demo-subscriber"))?;
    let mut ear = Ear::new(args.samples)?;
    let mut subscriber = bus.subscriber().topic(&args.topic, Start::Earliest).open()?;
    tell(&Report::Ready)?;
    let (mut idle, mut told) = (Idle::default(), Instant::now());
    loop {
        let given = subscriber.poll(POLL_EVENTS, |event| ear.hear(event.kind))?;
        for (event, sequence) in ear.met.drain(..) {
            tell(&Report::Met { event, sequence })?;
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            tell(&Report::Hearing(ear.now()?))?;
        }
        if orders.until()?.is_some_and(|until| ear.next_sequence >= until) {
            return tell(&Report::Heard(ear.heard()));
        }
        idle.rest(given);
    }
}

/// What is kept of what was heard.
struct Ear {
    received: u64,
    next_sequence: u64,
    lapped: u64,
    digest: Digest,
    all: Histogram<u64>,
    lately: Histogram<u64>,
    met: Vec<(Met, u64)>,
    /// Decodes the last market update, where somebody looks at it.
    schema: Option<Schema>,
    sample: Vec<u8>,
    sample_sequence: u64,
}

impl Ear {
    fn new(samples: bool) -> Result<Ear, Failure> {
        let schema = samples.then(|| Schema::parse(oyez_sample::SCHEMA_XML, "sample.xml")).transpose()?;
        Ok(Ear {
            received: 0,
            next_sequence: 0,
            lapped: 0,
            digest: Digest::new(),
            all: histogram(),
            lately: histogram(),
            met: Vec::new(),
            schema,
            sample: Vec::new(),
            sample_sequence: 0,
        })
    }

    #[inline]
    fn hear(&mut self, kind: EventKind<'_>) {
        match kind {
            EventKind::Message(message) => self.message(message),
            EventKind::Epoch { sequence, .. } => self.met.push((Met::Epoch, sequence.0)),
            EventKind::CaughtUp { sequence } => self.met.push((Met::CaughtUp, sequence.0)),
            EventKind::Lapped { sequence } => {
                self.lapped += 1;
                self.met.push((Met::Lapped, sequence.0));
            }
            EventKind::Gap { from, .. } | EventKind::Rewound { from, .. } => self.met.push((Met::Loss, from.0)),
            _ => {}
        }
    }

    #[inline]
    fn message(&mut self, message: Message<'_>) {
        let latency_ns = now_ns().saturating_sub(message.time_ns);
        self.all.saturating_record(latency_ns);
        self.lately.saturating_record(latency_ns);
        self.digest.add(message.sequence, message.time_ns, message.bytes);
        self.received += 1;
        self.next_sequence = message.sequence.0 + 1;
        if self.schema.is_some() && message.bytes.get(2..4) == Some(&MARKET_UPDATE) {
            self.sample.clear();
            self.sample.extend_from_slice(message.bytes);
            self.sample_sequence = message.sequence.0;
        }
    }

    /// How it fares, since this was asked last.
    fn now(&mut self) -> Result<Hearing, Failure> {
        let latency_ns = Latency::of(&self.lately);
        self.lately.reset();
        let sample = match &self.schema {
            Some(schema) if !self.sample.is_empty() => {
                let mut json = Vec::new();
                oyez_sbe::decode_json(schema, &self.sample, &mut json)?;
                self.sample.clear();
                Some(Sample { sequence: self.sample_sequence, message: serde_json::from_slice(&json)? })
            }
            _ => None,
        };
        Ok(Hearing { next_sequence: self.next_sequence, latency_ns, sample })
    }

    fn heard(&self) -> Heard {
        let (digest, latency_ns) = (hex(&self.digest.value()), Latency::of(&self.all));
        Heard { received: self.received, digest, lapped: self.lapped, latency_ns }
    }
}
