//! One value that one thread uses again and again, without a read-modify-write and without a lock, and that another thread
//! may take away for good, whether the first is busy or asleep.
//!
//! ```text
//! User, each turn:                        Taker, until it has the value:
//!   U1  inside.store(1, Relaxed)            T1  stop.store(1, Relaxed)
//!   U2  fence                               T2  barrier
//!   U3  stop.load(Relaxed): U5 if 1         T3  inside.load(Acquire): the value is ours if 0, else look again later
//!   U4  use the value
//!   U5  inside.store(0, Release)
//! ```
//!
//! Apart: of two sequentially consistent fences one comes first. If U2 does, T3 sees U1 or what is later in that word's
//!   order, so a T3 that reads 0 reads U5 or later of that turn. If T2 does, U3 sees T1, and the value is not touched in that
//!   turn or in any later one. T3 synchronises with U5, so whoever takes sees all that was done with the value.
//! Cheap: T2 is `membarrier`, which has each thread of the process pass a full fence at some instant within the call. For
//!   U2 it is enough then that the compiler keeps the order. Under loom, and where the kernel refuses the call, both are
//!   sequentially consistent fences: that is what the single order is for. The user does not tell the taker when it leaves:
//!   that would take a second fence, and a look, of each turn, so that a taker need not look twice once in a while.
//! Checked by: tests/loom.rs, and `cargo xtask controls`, which takes each fence away.

use crate::sync::{self, AtomicU64, Ordering, UnsafeCell};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// How often a taker looks for the end of a turn: longer than most turns are.
const LOOKS: usize = if cfg!(loom) { 1 } else { 1 << 10 };

/// The user's end: uses the value for as long as nobody has taken it. One thread's at a time.
pub struct Seat<T> {
    shared: Arc<Shared<T>>,
    /// Whether the kernel orders our words for the taker.
    is_ordered: bool,
}

/// The other end: asks for the value, and takes it.
pub struct Taker<T> {
    shared: Arc<Shared<T>>,
    is_ordered: bool,
    /// T1 and T2 are done.
    has_asked: bool,
}

/// Words of different writers are on lines of their own.
struct Shared<T> {
    inside: Line,
    stop: Line,
    value: UnsafeCell<Option<T>>,
}

#[repr(align(128))]
struct Line(AtomicU64);

#[allow(unsafe_code, reason = "the argument above is what makes it sound")]
// SAFETY: the value is touched by one thread at a time (*Apart*), and it may be sent; all else are atomics.
unsafe impl<T: Send> Sync for Shared<T> {}

/// Puts a value where it is used until it is taken.
pub fn seat<T>(value: T) -> (Seat<T>, Taker<T>) {
    seat_with(value, kernel::orders())
}

fn seat_with<T>(value: T, is_ordered: bool) -> (Seat<T>, Taker<T>) {
    let line = || Line(AtomicU64::new(0));
    let shared = Arc::new(Shared { inside: line(), stop: line(), value: UnsafeCell::new(Some(value)) });
    (Seat { shared: Arc::clone(&shared), is_ordered }, Taker { shared, is_ordered, has_asked: false })
}

/// The user has the value to itself. Where this is forgotten, the value is in use for good.
pub struct Turn<'a, T>(&'a Shared<T>, PhantomData<&'a mut T>);

impl<T> Seat<T> {
    /// Begins a turn; `None` once the value is asked for.
    #[inline(always)]
    pub fn enter(&mut self) -> Option<Turn<'_, T>> {
        let Shared { inside, stop, .. } = &*self.shared;
        inside.0.store(1, Ordering::Relaxed); // U1
        self.fence(); // U2: pairs with T2
        let is_ours = stop.0.load(Ordering::Relaxed) == 0; // U3
        // Dropped, it leaves.
        let turn = Turn(&self.shared, PhantomData);
        is_ours.then_some(turn)
    }

    #[inline(always)]
    fn fence(&self) {
        if self.is_ordered { sync::fence_compiler() } else { sync::fence_all() }
    }
}

impl<T> Drop for Seat<T> {
    /// Drops the value, where nobody has taken it.
    #[allow(unsafe_code, reason = "the user's last touch")]
    fn drop(&mut self) {
        if let Some(Turn(shared, _)) = &self.enter() {
            // SAFETY: this turn has the value to itself: *Apart*.
            drop(shared.value.with_mut(|value| unsafe { &mut *value }.take()));
        }
    }
}

impl<T> Deref for Turn<'_, T> {
    type Target = T;

    #[inline(always)]
    #[allow(unsafe_code, reason = "one of the two places where the user touches the value")]
    fn deref(&self) -> &T {
        // SAFETY: this turn has the value to itself: *Apart*.
        let value = self.0.value.with(|value| unsafe { &*value });
        // SAFETY: the value goes with a taker, who stopped all turns before, or with the seat.
        unsafe { value.as_ref().unwrap_unchecked() }
    }
}

impl<T> DerefMut for Turn<'_, T> {
    #[inline(always)]
    #[allow(unsafe_code, reason = "the other")]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        let value = self.0.value.with_mut(|value| unsafe { &mut *value });
        // SAFETY: as above.
        unsafe { value.as_mut().unwrap_unchecked() }
    }
}

impl<T> Drop for Turn<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.inside.0.store(0, Ordering::Release); // U5: pairs with T3
    }
}

/// The value is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InUse;

impl<T> Taker<T> {
    /// Takes the value; `None` where the user has dropped it, or it was taken before. From the first call on the user has
    /// no new turn with it.
    ///
    /// # Errors
    /// [`InUse`], for as long as the user's last turn lasts: look again. A kernel that refuses what it allowed at the
    /// beginning is asked again, too.
    #[allow(unsafe_code, reason = "the one place where the taker touches the value")]
    pub fn take(&mut self) -> Result<Option<T>, InUse> {
        let Shared { inside, stop, value } = &*self.shared;
        if !self.has_asked {
            stop.0.store(1, Ordering::Relaxed); // T1
            self.has_asked = self.barrier(); // T2: pairs with U2
        }
        // T3: pairs with U5.
        let is_out = || inside.0.load(Ordering::Acquire) == 0;
        if !self.has_asked || !(0..LOOKS).any(|_| is_out()) {
            return Err(InUse);
        }
        // SAFETY: no turn has the value now, nor will have it: *Apart*.
        Ok(value.with_mut(|value| unsafe { &mut *value }.take()))
    }

    fn barrier(&self) -> bool {
        if self.is_ordered {
            return kernel::barrier();
        }
        sync::fence_all();
        true
    }
}

#[cfg(not(loom))]
mod kernel {
    use rustix::thread::{MembarrierCommand, membarrier};
    use std::sync::OnceLock;

    /// Whether the kernel will order the words of this process for a taker. Asked once.
    pub(super) fn orders() -> bool {
        static ORDERS: OnceLock<bool> = OnceLock::new();
        *ORDERS.get_or_init(|| membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok())
    }

    /// Has each thread of this process pass a full fence.
    pub(super) fn barrier() -> bool {
        membarrier(MembarrierCommand::PrivateExpedited).is_ok()
    }
}

#[cfg(loom)]
mod kernel {
    pub(super) fn orders() -> bool {
        false
    }

    pub(super) fn barrier() -> bool {
        unreachable!("a model has fences alone")
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_use_is_taken_and_not_used_again() {
        for is_ordered in [true, false] {
            let (mut seat, mut taker) = seat_with(7, is_ordered && kernel::orders());
            assert_eq!(seat.enter().as_deref(), Some(&7));
            assert_eq!(taker.take(), Ok(Some(7)));
            assert_eq!((seat.enter().is_none(), taker.take()), (true, Ok(None)));
        }
    }

    #[test]
    fn what_is_in_use_is_left_and_then_taken() {
        let (mut seat, mut taker) = seat(7);
        let mut turn = seat.enter().expect("nobody asked for it");
        assert_eq!(taker.take(), Err(InUse));
        *turn += 1;
        drop(turn);
        assert_eq!((seat.enter().is_none(), taker.take()), (true, Ok(Some(8))));
    }

    #[test]
    fn what_was_dropped_is_not_there_to_be_taken() {
        let (mut seat, mut taker) = seat(Arc::new(7));
        let value = seat.enter().map(|value| Arc::downgrade(&value)).expect("nobody asked for it");
        drop(seat);
        assert_eq!((value.strong_count(), taker.take()), (0, Ok(None)));
    }

    /// Takers come at any instant, on either kind of fence: what was done with the value is never done by two.
    #[test]
    fn a_value_in_constant_use_is_taken_whole() {
        for round in 0..2_000_u64 {
            let (mut seat, mut taker) = seat_with([0_u64; 32], round % 2 == 0 && kernel::orders());
            let user = std::thread::spawn(move || {
                let mut turns = 0;
                while let Some(mut words) = seat.enter() {
                    words.iter_mut().for_each(|word| *word += 1);
                    turns += 1;
                }
                turns
            });
            (0..round % 512).for_each(|_| std::hint::spin_loop());
            let words = std::iter::repeat_with(|| taker.take()).find_map(Result::ok).flatten().expect("it is there");
            assert_eq!(words, [user.join().expect("no panic"); 32]);
        }
    }
}
