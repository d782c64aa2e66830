//! Every order of a seat's two words: `RUSTFLAGS="--cfg loom" cargo test -p oyez-mem --release --test loom`. The value lies
//! in a cell of loom's, which sees two threads at it. `cargo xtask controls` takes each fence away once and sees red.
#![cfg(loom)]

use loom::thread;
use oyez_mem::{InUse, seat};

/// So many turns of the user, while the taker comes: each turn has the value alone, and the taker sees all of them.
fn taken_from(turns: u64) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(move || {
        let (mut seat, mut taker) = seat(0_u64);
        let user = thread::spawn(move || {
            let mut used = 0;
            for _ in 0..turns {
                if let Some(mut value) = seat.enter() {
                    *value += 1;
                    used += 1;
                }
            }
            // The value is the taker's to drop.
            std::mem::forget(seat);
            used
        });
        let at_once = taker.take();
        let used = user.join().unwrap();
        let taken = at_once.or_else(|InUse| taker.take());
        assert_eq!(taken, Ok(Some(used)), "a turn was not seen");
    });
}

#[test]
fn a_seat_is_used_by_one_or_taken_and_never_both() {
    taken_from(1);
}

#[test]
fn what_was_done_in_all_turns_is_seen() {
    taken_from(2);
}
