//! What one of many publishers believes when it comes back, without a broker.

use super::*;
use crate::BusError;
use oyez_ring::{BLOCK, ControlMut, EpochStart, RegionMut, Tail, write_head};
use std::sync::Mutex;

const CAPACITY: u64 = 4 * BLOCK;

/// Whoever is given one news after the other.
struct Told(Arc<Mutex<Option<News>>>);

impl Ownership for Told {
    fn news(&mut self) -> Option<News> {
        self.0.lock().expect("nobody panics").take()
    }

    fn release(&mut self, _: Tail, _: bool) -> Result<(), BusError> {
        Ok(())
    }
}

/// A session that begins behind `number`, which stands in `number_epoch`, while the partition is in `epoch`.
fn session(number: u64, number_epoch: u32, epoch: u32) -> (Session, ControlMut) {
    let position = Position(0);
    let region = RegionMut::heap(Memory::len_bytes(CAPACITY) as usize);
    let sequence = Sequence(number + 1);
    let start = EpochStart { epoch: INGRESS_EPOCH, position, sequence, time_ns: 0, previous_end: position };
    let tail = write_head(&region, CAPACITY, &start, 0);
    let page = || ControlMut::open(RegionMut::heap(Control::LEN_BYTES), position, Position(CAPACITY));
    let (control, partition) = (page(), page().reader());
    control.accept(oyez_ring::Accepted { number, position, sequence }, Position(CAPACITY));
    let session = Session {
        writer: Writer::new(region, CAPACITY, control.reader(), INGRESS_EPOCH, tail),
        message_bytes_max: 1 << 14,
        accepted: Accepted { number, epoch: Epoch(epoch), sequence, position },
        number_epoch: Epoch(number_epoch),
        start: position,
        partition,
        durability: Durability::Durable,
        check: HeaderCheck::new(None),
    };
    (session, control)
}

/// One that has handed in 5 messages in epoch 3, of which `accepted` were told to be, and then is given `next`.
fn back(accepted: u64, state: State, next: Session) -> (Ingress, Result<Accepted, PublishError>) {
    let (first, control) = session(0, 0, 3);
    let (news, signal) = (Arc::new(Mutex::new(None)), Arc::new(AtomicU64::new(0)));
    let mut ingress = Ingress::new("orders", 0, "a", first, Arc::clone(&signal), Box::new(Told(Arc::clone(&news))));
    for number in 1..=5 {
        assert_eq!(ingress.offer(&[1; 1 << 13]).expect("a session"), HandIn::HandedIn(number));
    }
    let gate = Position(CAPACITY);
    let told = oyez_ring::Accepted { number: accepted, ..oyez_ring::Accepted::default() };
    control.accept(told, gate);
    control.set_state(state);
    *news.lock().expect("nobody panics") = Some(News::Session(Box::new(next)));
    signal.fetch_add(1, Ordering::Release);
    let told = ingress.accepted();
    (ingress, told)
}

#[test]
fn whoever_comes_back_believes_no_number_of_anothers() {
    // What its session was told, how it ended; what the next is told: number, its epoch, the present one.
    let own = [
        (2, State::Running, (2, 3, 4), "nothing more was taken when the broker died"),
        (2, State::Running, (4, 3, 4), "more was taken than was told"),
        (2, State::Running, (4, 3, 9), "the broker died again while nobody looked"),
        (2, State::Ended, (2, 3, 3), "only the connection was lost"),
        (2, State::Running, (1, 2, 4), "the keeper died too, and with it what was not written"),
        (0, State::Running, (0, 0, 4), "nothing was ever taken"),
    ];
    for (accepted, state, (number, number_epoch, epoch), what) in own {
        let (ingress, told) = back(accepted, state, session(number, number_epoch, epoch).0);
        assert_eq!(told.expect(what).number, number, "{what}");
        assert_eq!(ingress.session.writer.tail().sequence, Sequence(6), "{what}: the rest is sent again");
    }
    let anothers = [
        (2, State::Running, (6, 3, 4), "more than was handed in"),
        (2, State::Running, (4, 4, 4), "in the broker's next life"),
        (2, State::Running, (2, 4, 5), "after a loss, with the very same number"),
        (2, State::Ended, (3, 3, 3), "after its connection was lost, in the same life"),
        (2, State::Ended, (3, 3, 4), "as before, and then the broker died"),
    ];
    for (accepted, state, (number, number_epoch, epoch), what) in anothers {
        let (mut ingress, told) = back(accepted, state, session(number, number_epoch, epoch).0);
        let lost = told.expect_err(what);
        assert!(matches!(lost, PublishError::Lost { .. }) && lost.to_string().contains("another process"), "{lost}");
        assert!(matches!(ingress.offer(&[1; 64]), Err(PublishError::Lost { .. })), "{what}: for good");
    }
}

#[test]
fn what_no_longer_fits_is_lost_and_says_so() {
    let (mut next, _) = session(2, 3, 4);
    next.message_bytes_max = (1 << 13) - 1;
    let (mut ingress, told) = back(2, State::Running, next);
    let lost = told.expect_err("it does not fit").to_string();
    assert!(lost.contains("message 3 ") && lost.contains("of its 8192 bytes only 8191 are taken now"), "{lost}");
    assert!(matches!(ingress.offer(&[1; 64]), Err(PublishError::Lost { .. })), "for good");
}
