//! One of many publishers of a topic.

use crate::argument::{SizedStruct, give, hand_out, put, shared, slice, take_back, text};
use crate::client::{Client, oyez_client};
use crate::error::{Failure, OYEZ_ERR_BACK_PRESSURED, OYEZ_OK, call, keep};
use crate::event::durability_of;
use crate::process::Process;
use crate::publisher::{oyez_publisher_options, wait_of};
use oyez::{Accepted, HandIn};
use std::cell::UnsafeCell;
use std::ffi::c_char;
use std::sync::Arc;
use std::time::Duration;

/// One of many publishers of a topic, under a name that the catalog gives a number. One thread's at a time.
///
/// What it hands in goes through a ring of its own to the broker, which puts it in order with what the others hand in.
/// After the broker's death whatever call comes next sends again what was not accepted: nothing is lost or there twice.
pub struct oyez_ingress {
    _opaque: (),
}

struct Ingress {
    /// Its thread's alone.
    inside: UnsafeCell<oyez::Ingress>,
    process: Arc<Process>,
}

/// How far the broker has taken what was handed in under a name. Set `struct_size` before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct oyez_accepted {
    /// sizeof(oyez_accepted).
    pub struct_size: u32,
    /// The epoch that the message was published in; of one taken before the broker's present life, that of the present one.
    pub epoch: u32,
    /// The publisher's own number of the last message taken, 0 before the first: all up to it are published.
    pub number: u64,
    /// Its number in the partition; of one taken before this handle was opened, or the broker back, one above it.
    pub sequence: u64,
    /// Where it ends: once a durability has reached this, it has. Of one taken before, as above, a position above it.
    pub position: u64,
}

// SAFETY: as the trait asks: numbers behind a size.
unsafe impl SizedStruct for oyez_accepted {
    const NAME: &'static str = "oyez_accepted";
    const BYTES_MIN: usize = 32;
}

impl Ingress {
    /// # Safety
    /// NULL, or an ingress that only this thread uses during `'a`.
    unsafe fn own<'a>(ingress: *mut oyez_ingress) -> Result<&'a mut oyez::Ingress, Failure> {
        // SAFETY: the contract; what one thread alone may use is in a cell.
        let ingress = unsafe { shared(ingress.cast_const().cast::<Ingress>(), "ingress") }?;
        ingress.process.check()?;
        // SAFETY: this thread's alone, by the contract, and every function borrows it once.
        Ok(unsafe { &mut *ingress.inside.get() })
    }
}

/// # Safety
/// NULL, or a struct of the size that it begins with.
unsafe fn tell(accepted: Accepted, out: *mut oyez_accepted) -> Result<(), Failure> {
    let Accepted { number, epoch, sequence, position } = accepted;
    let (epoch, sequence, position) = (epoch.0, sequence.0, position.0);
    // SAFETY: the contract.
    unsafe { give(out, oyez_accepted { struct_size: 0, epoch, number, sequence, position }) }
}

/// Hands in to a partition under the name `origin` from here on. `options` may be NULL. OYEZ_ERR_NOT_GRANTED says that the
/// name has another session; the last error names whose. Asks the broker, for at most `timeout_ms` and what `options` allow.
/// `oyez_ingress_accepted` then tells what to go on behind. Close it with `oyez_ingress_close`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_ingress_open(
    client: *const oyez_client,
    topic: *const c_char,
    partition: u16,
    origin: *const c_char,
    options: *const oyez_publisher_options,
    ingress: *mut *mut oyez_ingress,
) -> i32 {
    call(|| {
        let open = || {
            // SAFETY: the caller promises NULL or a client that stays open meanwhile.
            let client = unsafe { Client::of(client) }?;
            // SAFETY: the caller promises NULL or a text.
            let topic = unsafe { text(topic, "topic") }?;
            // SAFETY: as above.
            let origin = unsafe { text(origin, "origin") }?;
            // SAFETY: the caller promises NULL or a struct of the size that it begins with.
            let wait = unsafe { wait_of(options) }?;
            let builder = client.bus.publisher(topic).partition(partition).wait(wait);
            let inside = UnsafeCell::new(builder.origin(origin).open()?);
            Ok(Ingress { inside, process: Arc::clone(&client.process) })
        };
        // SAFETY: the caller promises NULL or a place for a handle.
        unsafe { hand_out(ingress, "ingress", open) }
    })
}

/// Closes an ingress and puts NULL in its place; nothing for NULL. Gives the name back, and waits until the broker has said
/// so, at most for `timeout_ms`. OYEZ_ERR_TIMEOUT where not everything is accepted that was handed in: it is left to the
/// broker, and lost where that dies now; `oyez_ingress_wait` first. In a forked child nothing is freed, and the answer is
/// OYEZ_ERR_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_ingress_close(ingress: *mut *mut oyez_ingress) -> i32 {
    call(|| {
        // SAFETY: the caller promises NULL, or a place that holds NULL or an ingress that nobody uses any more.
        let taken = unsafe { take_back(ingress, |ingress: &Ingress| ingress.process.check()) }?;
        if let Some(ingress) = taken {
            ingress.inside.into_inner().close(Duration::ZERO)?;
        }
        Ok(OYEZ_OK)
    })
}

/// Hands in a copy of a message: SBE message header and body, whole or not at all. Puts the publisher's own number of it
/// into `number`, which may be NULL. OYEZ_ERR_BACK_PRESSURED: as much is on its way as the ring takes, nothing was handed
/// in, try again. OYEZ_ERR_LENGTH and OYEZ_ERR_MISFIT: this message is refused, the next may go in. A fatal code: nothing
/// is taken any more, close the ingress.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_ingress_offer(
    ingress: *mut oyez_ingress,
    message: *const u8,
    len_bytes: usize,
    number: *mut u64,
) -> i32 {
    call(|| {
        // SAFETY: the caller promises NULL or an ingress of this thread, as in the functions below.
        let ingress = unsafe { Ingress::own(ingress) }?;
        // SAFETY: the caller promises NULL or as many bytes, which nobody writes meanwhile.
        let message = unsafe { slice(message, len_bytes, "message") }?;
        match ingress.offer(message)? {
            // No failure, which would allocate: it is the one that is met in a loop.
            HandIn::BackPressured => {
                Ok(keep(OYEZ_ERR_BACK_PRESSURED, "nothing was handed in, the broker has not taken what was; try again"))
            }
            HandIn::HandedIn(_) if number.is_null() => Ok(OYEZ_OK),
            HandIn::HandedIn(given) => {
                // SAFETY: the caller promises a place for a number.
                unsafe { put(number, given, "number") }?;
                Ok(OYEZ_OK)
            }
        }
    })
}

/// Fills `accepted`: how far the broker has taken what was handed in, by this handle or before it. Asks nobody.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_ingress_accepted(ingress: *mut oyez_ingress, accepted: *mut oyez_accepted) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_ingress_offer`.
        let told = unsafe { Ingress::own(ingress) }?.accepted()?;
        // SAFETY: the caller promises NULL or a struct of the size that it begins with.
        unsafe { tell(told, accepted) }?;
        Ok(OYEZ_OK)
    })
}

/// Waits until the message of this number is accepted, and has come so far as `durability`. Fills `accepted`, which may be
/// NULL, with how far the broker had taken everything when it had accepted that one. Sleeps, ever longer, up to a
/// millisecond at a time. OYEZ_ERR_TIMEOUT: not within `timeout_ns`; it may yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_ingress_wait(
    ingress: *mut oyez_ingress,
    number: u64,
    durability: i32,
    timeout_ns: u64,
    accepted: *mut oyez_accepted,
) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_ingress_offer`.
        let ingress = unsafe { Ingress::own(ingress) }?;
        let told = ingress.wait(number, durability_of(durability)?, Duration::from_nanos(timeout_ns))?;
        if !accepted.is_null() {
            // SAFETY: the caller promises a struct of the size that it begins with.
            unsafe { tell(told, accepted) }?;
        }
        Ok(OYEZ_OK)
    })
}
