//! The owner of a partition.

use crate::argument::{SizedStruct, give, hand_out, is_zero, put, shared, slice, struct_size, take, take_back, text};
use crate::client::{Client, oyez_client};
use crate::counts::{PublisherCounts, add, oyez_publisher_counts};
use crate::error::{Failure, OYEZ_ERR_BACK_PRESSURED, OYEZ_ERR_NO_CLAIM, OYEZ_OK, call, keep};
use crate::event::durability_of;
use crate::process::Process;
use oyez::{Offer, Position, PublishError, Published};
use std::cell::UnsafeCell;
use std::ffi::c_char;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

/// The owner of one partition, which alone writes it. One thread's at a time.
///
/// Publishing makes no system call, takes no lock and allocates nothing (but see `oyez_publisher_claim`), and its cost does
/// not depend on the number of subscribers. A publisher goes on while the broker is away, as far as the ring is deep.
pub struct oyez_publisher {
    _opaque: (),
}

struct Publisher {
    /// Its thread's alone.
    inside: UnsafeCell<Inside>,
    process: Arc<Process>,
    counts: PublisherCounts,
}

struct Inside {
    publisher: oyez::Publisher,
    /// The claim that is out: memory of the publisher's, which it does not touch until the next claim. Reached by this pointer
    /// only, of which the caller's is a copy.
    claimed: Option<NonNull<[u8]>>,
}

/// How to open a publisher. Set `struct_size` and whatever shall not be 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct oyez_publisher_options {
    /// sizeof(oyez_publisher_options).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// How long to wait while the partition has another owner, or the broker is away; 0: not at all. Those who wait come in
    /// the order of arrival; the first, with its ring mapped already, where the catalog says `standbys`.
    pub wait_ns: u64,
}

/// A message that is out. Set `struct_size` before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct oyez_published {
    /// sizeof(oyez_published).
    pub struct_size: u32,
    /// The epoch it was published in. (epoch, sequence) names it for ever.
    pub epoch: u32,
    /// Its number in the partition.
    pub sequence: u64,
    /// The end of its last frame: once a durability has reached this, the message has.
    pub position: u64,
    /// Its publish time, ns since 1970 UTC.
    pub time_ns: u64,
}

/// A part of a message, as `struct iovec` has it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct oyez_part {
    /// Its bytes.
    pub bytes: *const u8,
    /// How many.
    pub len_bytes: usize,
}

// SAFETY: as the trait asks: numbers behind a size.
unsafe impl SizedStruct for oyez_publisher_options {
    const NAME: &'static str = "oyez_publisher_options";
    const BYTES_MIN: usize = 16;
}
// SAFETY: as above.
unsafe impl SizedStruct for oyez_published {
    const NAME: &'static str = "oyez_published";
    const BYTES_MIN: usize = 32;
}

/// How long to wait, as options say that may be NULL.
///
/// # Safety
/// NULL, or a struct of the size that it begins with.
pub(crate) unsafe fn wait_of(options: *const oyez_publisher_options) -> Result<Duration, Failure> {
    if options.is_null() {
        return Ok(Duration::ZERO);
    }
    // SAFETY: the contract.
    let oyez_publisher_options { reserved, wait_ns, .. } = unsafe { take(options) }?;
    is_zero(reserved, oyez_publisher_options::NAME)?;
    Ok(Duration::from_nanos(wait_ns))
}

impl Publisher {
    /// # Safety
    /// NULL, or a publisher that stays open for `'a`.
    #[inline]
    unsafe fn of<'a>(publisher: *const oyez_publisher) -> Result<&'a Publisher, Failure> {
        // SAFETY: the contract; what one thread alone may use is in a cell.
        let publisher = unsafe { shared(publisher.cast::<Publisher>(), "publisher") }?;
        publisher.process.check()?;
        Ok(publisher)
    }

    /// # Safety
    /// NULL, or a publisher that only this thread uses during `'a`, but for its counts.
    #[inline]
    unsafe fn own<'a>(publisher: *mut oyez_publisher) -> Result<(&'a mut Inside, &'a PublisherCounts), Failure> {
        // SAFETY: the contract.
        let publisher = unsafe { Publisher::of(publisher) }?;
        // SAFETY: this thread's alone, by the contract, and every function borrows it once.
        let inside = unsafe { &mut *publisher.inside.get() };
        Ok((inside, &publisher.counts))
    }
}

/// Publishes, counts what became of it, and tells `out` where that is not NULL.
///
/// # Safety
/// `out` is NULL, or a struct of the size that it begins with.
#[inline]
unsafe fn publish(
    counts: &PublisherCounts,
    len_bytes: usize,
    out: *mut oyez_published,
    work: impl FnOnce() -> Result<Offer, PublishError>,
) -> Result<i32, Failure> {
    if !out.is_null() {
        // SAFETY: the contract. Before it is too late: a message that is out is out.
        unsafe { struct_size(out) }?;
    }
    let published = match work() {
        Ok(Offer::Published(published)) => published,
        Ok(Offer::BackPressured) => {
            add(&counts.back_pressured, 1);
            // No failure, which would allocate: it is the one that is met in a loop.
            return Ok(keep(OYEZ_ERR_BACK_PRESSURED, "nothing was published, the recorder is behind; try again"));
        }
        Err(error) => {
            add(&counts.refused, 1);
            return Err(error.into());
        }
    };
    add(&counts.messages, 1);
    add(&counts.message_bytes, len_bytes as u64);
    if !out.is_null() {
        let Published { epoch, sequence, position, time_ns, .. } = published;
        let (epoch, sequence, position) = (epoch.0, sequence.0, position.0);
        // SAFETY: the contract.
        unsafe { give(out, oyez_published { struct_size: 0, epoch, sequence, position, time_ns }) }?;
    }
    Ok(OYEZ_OK)
}

/// Becomes the owner of a partition. `options` may be NULL. OYEZ_ERR_NOT_GRANTED says that it has another owner; the last
/// error names it. Asks the broker, for at most `timeout_ms` and what `options` allow. Close it with
/// `oyez_publisher_close`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_publisher_open(
    client: *const oyez_client,
    topic: *const c_char,
    partition: u16,
    options: *const oyez_publisher_options,
    publisher: *mut *mut oyez_publisher,
) -> i32 {
    call(|| {
        let open = || {
            // SAFETY: the caller promises NULL or a client that stays open meanwhile.
            let client = unsafe { Client::of(client) }?;
            // SAFETY: the caller promises NULL or a text.
            let topic = unsafe { text(topic, "topic") }?;
            // SAFETY: the caller promises NULL or a struct of the size that it begins with.
            let wait = unsafe { wait_of(options) }?;
            let builder = client.bus.publisher(topic).partition(partition);
            let publisher = builder.wait(wait).open()?;
            let inside = UnsafeCell::new(Inside { publisher, claimed: None });
            Ok(Publisher { inside, process: Arc::clone(&client.process), counts: PublisherCounts::default() })
        };
        // SAFETY: the caller promises NULL or a place for a handle.
        unsafe { hand_out(publisher, "publisher", open) }
    })
}

/// Closes a publisher and puts NULL in its place; nothing for NULL. Ends its epoch, and waits until the broker has said so,
/// at most for `timeout_ms`: after an error the epoch ends all the same, as soon as it can. A claim is aborted.
/// In a forked child nothing is freed, and the answer is OYEZ_ERR_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_publisher_close(publisher: *mut *mut oyez_publisher) -> i32 {
    call(|| {
        // SAFETY: the caller promises NULL, or a place that holds NULL or a publisher that nobody uses any more.
        let taken = unsafe { take_back(publisher, |publisher: &Publisher| publisher.process.check()) }?;
        if let Some(publisher) = taken {
            publisher.inside.into_inner().publisher.release()?;
        }
        Ok(OYEZ_OK)
    })
}

/// Puts into `bytes` the publisher's own memory for a message of `len_bytes`, aligned to 8, to be filled in place and then
/// committed. The memory is valid until the claim is committed or aborted, or the publisher closed; it holds what was
/// written there last. After an error `bytes` is NULL. Another claim replaces the first. An abandoned claim costs nothing and leaves nothing. The first claim
/// above 4,096 bytes, and each that is longer than all before, allocates once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_publisher_claim(
    publisher: *mut oyez_publisher,
    len_bytes: usize,
    bytes: *mut *mut u8,
) -> i32 {
    call(|| {
        // SAFETY: the caller promises NULL or a publisher of this thread, as in the functions below.
        let (inside, _) = unsafe { Publisher::own(publisher) }?;
        // SAFETY: the caller promises NULL or a place for a pointer. Before the memory of an earlier claim may go.
        unsafe { put(bytes, std::ptr::null_mut(), "bytes") }?;
        let claim = NonNull::from(&mut *inside.publisher.claim(len_bytes)?);
        // Of the system's allocator, which aligns what it gives to 16.
        debug_assert!(claim.cast::<u64>().is_aligned());
        inside.claimed = Some(claim);
        // SAFETY: as above.
        unsafe { put(bytes, claim.cast().as_ptr(), "bytes") }?;
        Ok(OYEZ_OK)
    })
}

/// Publishes what was claimed. `published` may be NULL. After OYEZ_OK the claim is used up, and another commit is
/// OYEZ_ERR_NO_CLAIM; after an error it is still there, to be mended and committed again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_publisher_commit(publisher: *mut oyez_publisher, published: *mut oyez_published) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_publisher_claim`.
        let (inside, counts) = unsafe { Publisher::own(publisher) }?;
        let claimed = inside.claimed.ok_or_else(no_claim)?;
        // SAFETY: there until the next claim, and the caller promises that nobody writes it meanwhile.
        let message = unsafe { claimed.as_ref() };
        // SAFETY: the caller promises NULL or a struct of the size that it begins with.
        let done = unsafe { publish(counts, message.len(), published, || inside.publisher.offer(message)) }?;
        if done == OYEZ_OK {
            inside.claimed = None;
        }
        Ok(done)
    })
}

/// Gives a claim up: nothing is published.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_publisher_abort(publisher: *mut oyez_publisher) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_publisher_claim`.
        let (inside, _) = unsafe { Publisher::own(publisher) }?;
        inside.claimed.take().map(|_| OYEZ_OK).ok_or_else(no_claim)
    })
}

/// Publishes a copy of a message: SBE message header and body, whole or not at all. `published` may be NULL.
/// OYEZ_ERR_BACK_PRESSURED: nothing was published, try again. OYEZ_ERR_LENGTH and OYEZ_ERR_MISFIT: this message is refused, the next may go out. A fatal
/// code: the epoch is over, close the publisher.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_publisher_offer(
    publisher: *mut oyez_publisher,
    message: *const u8,
    len_bytes: usize,
    published: *mut oyez_published,
) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_publisher_claim`.
        let (inside, counts) = unsafe { Publisher::own(publisher) }?;
        // SAFETY: the caller promises NULL or as many bytes, which nobody writes meanwhile.
        let message = unsafe { slice(message, len_bytes, "message") }?;
        // SAFETY: the caller promises NULL or a struct of the size that it begins with.
        unsafe { publish(counts, len_bytes, published, || inside.publisher.offer(message)) }
    })
}

/// As `oyez_publisher_offer`, of `count` parts one behind the other. A claim is aborted, and no part may lie in its memory.
/// Allocates as a claim does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_publisher_offerv(
    publisher: *mut oyez_publisher,
    parts: *const oyez_part,
    count: usize,
    published: *mut oyez_published,
) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_publisher_claim`.
        let (inside, counts) = unsafe { Publisher::own(publisher) }?;
        // SAFETY: the caller promises NULL or as many parts.
        let parts = unsafe { slice(parts, count, "parts") }?;
        let len_bytes = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len_bytes));
        inside.claimed = None;
        let mut claim = inside.publisher.claim(len_bytes).inspect_err(|_| add(&counts.refused, 1))?;
        let mut rest = &mut claim[..];
        for part in parts {
            let (place, behind) = rest.split_at_mut(part.len_bytes);
            // SAFETY: the caller promises NULL or as many bytes, which nobody writes meanwhile.
            place.copy_from_slice(unsafe { slice(part.bytes, part.len_bytes, "parts") }?);
            rest = behind;
        }
        // SAFETY: the caller promises NULL or a struct of the size that it begins with.
        unsafe { publish(counts, len_bytes, published, || claim.commit()) }
    })
}

/// Puts into `position` up to where the partition has come so far as `durability`: one of OYEZ_PUBLISHED, OYEZ_WRITTEN,
/// OYEZ_DURABLE. Asks nobody. A topic that keeps less is OYEZ_ERR_NOT_KEPT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_publisher_position(
    publisher: *mut oyez_publisher,
    durability: i32,
    position: *mut u64,
) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_publisher_claim`.
        let (inside, _) = unsafe { Publisher::own(publisher) }?;
        let reached = inside.publisher.position(durability_of(durability)?)?;
        // SAFETY: the caller promises NULL or a place for a number.
        unsafe { put(position, reached.0, "position") }?;
        Ok(OYEZ_OK)
    })
}

/// Waits until everything below `position`, such as that of an `oyez_published`, has come so far as `durability`. Sleeps,
/// ever longer, up to a millisecond at a time. OYEZ_ERR_TIMEOUT: not within `timeout_ns`; it may yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_publisher_wait(
    publisher: *mut oyez_publisher,
    position: u64,
    durability: i32,
    timeout_ns: u64,
) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_publisher_claim`.
        let (inside, _) = unsafe { Publisher::own(publisher) }?;
        let durability = durability_of(durability)?;
        inside.publisher.wait(Position(position), durability, Duration::from_nanos(timeout_ns))?;
        Ok(OYEZ_OK)
    })
}

/// Puts into `sequence` the number that the next message gets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_publisher_next_sequence(publisher: *mut oyez_publisher, sequence: *mut u64) -> i32 {
    call(|| {
        // SAFETY: as in `oyez_publisher_claim`.
        let (inside, _) = unsafe { Publisher::own(publisher) }?;
        // SAFETY: the caller promises NULL or a place for a number.
        unsafe { put(sequence, inside.publisher.next_sequence().0, "sequence") }?;
        Ok(OYEZ_OK)
    })
}

/// Fills `counts`. Any thread may call it, also while the publisher's own publishes; a handful of loads.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_publisher_stats(
    publisher: *const oyez_publisher,
    counts: *mut oyez_publisher_counts,
) -> i32 {
    call(|| {
        // SAFETY: the caller promises NULL or a publisher that stays open meanwhile.
        let now = &unsafe { Publisher::of(publisher) }?.counts;
        // SAFETY: the caller promises NULL or a struct of the size that it begins with.
        unsafe { give(counts, now.told()) }?;
        Ok(OYEZ_OK)
    })
}

#[cold]
fn no_claim() -> Failure {
    Failure::new(OYEZ_ERR_NO_CLAIM, "nothing is claimed: it was committed or aborted before; claim first")
}
