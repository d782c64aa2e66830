//! What a publisher hears, without a broker.

use super::*;
use oyez_ring::{BLOCK, ControlMut, EpochStart, Memory, RegionMut, write_head};

struct Nobody;

struct Losing;

impl Ownership for Losing {
    fn news(&mut self) -> Option<News> {
        Some(News::Lost("taken over".to_owned()))
    }

    fn release(&mut self, _: Tail, _: bool) -> Result<(), BusError> {
        Ok(())
    }
}

impl Ownership for Nobody {
    fn news(&mut self) -> Option<News> {
        None
    }

    fn release(&mut self, _: Tail, _: bool) -> Result<(), BusError> {
        Ok(())
    }
}

fn owned(ownership: Box<dyn Ownership>, signal: u64) -> (Publisher, ControlMut) {
    let (epoch, none, capacity) = (Epoch(1), Position(0), 2 * BLOCK);
    let start = EpochStart { epoch, position: none, sequence: Sequence(0), time_ns: 0, previous_end: none };
    let memory = RegionMut::heap(Memory::len_bytes(capacity) as usize);
    let tail = write_head(&memory, capacity, &start, 1);
    let control = ControlMut::open(RegionMut::heap(Control::LEN_BYTES), none, Position(capacity));
    let publisher = Publisher::new(Granted {
        topic: "md".into(),
        partition: 0,
        reign: Reign::new(
            epoch,
            Durability::Durable,
            HeaderCheck::new(None),
            Writer::new(memory, capacity, control.reader(), epoch, tail),
            |writer| oyez_mem::seat(writer).0,
        ),
        signal: Arc::new(AtomicU64::new(signal)),
        ownership,
    });
    (publisher, control)
}

#[test]
fn nobody_waits_for_what_an_ended_epoch_will_never_have() {
    let (mut publisher, control) = owned(Box::new(Nobody), 0);
    let mut publish = || publisher.offer(&[1; 64]).expect("an owner").published().expect("there is room");
    let (first, second) = (publish().position, publish().position);
    control.set_end(first);
    control.set_durable(first);
    let mut wait = |position| publisher.wait(position, Durability::Durable, Duration::from_secs(60));
    wait(first).expect("it has come so far");
    assert!(matches!(wait(second), Err(PublishError::Lost { .. })));
}

#[test]
fn what_was_told_before_the_publisher_was_there_is_heard() {
    let (mut publisher, _control) = owned(Box::new(Losing), 1);
    assert!(matches!(publisher.offer(&[1; 64]), Err(PublishError::Lost { .. })));
}
