//! Aeron between two processes over `aeron:ipc`: the C client with an exclusive publication for each direction, which
//! claims and fills in place, and one image, polled without rest. The C media driver is a thread of the first process
//! in the form that Aeron's own `ipc-c-media-driver` has (one shared thread, terms filled ahead), on the broker's core.
//! It is not on a message's way; it moves the publisher's limit and cleans terms.

use super::{ANSWER_MAX, Broken, Link};
use crate::failure::Failure;
use crate::machine;
use crate::systems::Run;
use libaeron_driver_sys as media;
use libaeron_sys as client;
use oyez_mem::clock::Clock;
use rustix::thread::{sched_getaffinity, sched_setaffinity};
use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr;
use std::time::{Duration, Instant};

/// Each direction is a stream of its own.
const STREAMS: [i32; 2] = [1001, 1002];

/// One end.
pub(crate) struct Aeron {
    publication: *mut client::aeron_exclusive_publication_t,
    image: *mut client::aeron_image_t,
    clock: Clock,
    // Closed in this order.
    _client: Client,
    _driver: Option<Driver>,
}

/// A connection to the driver. Closing it closes all that was opened on it.
struct Client {
    context: *mut client::aeron_context_t,
    client: *mut client::aeron_t,
}

/// The media driver's thread.
struct Driver {
    context: *mut media::aeron_driver_context_t,
    driver: *mut media::aeron_driver_t,
}

impl Aeron {
    /// Publishes one direction and reads the other; the first process brings the driver.
    ///
    /// # Errors
    /// [`Failure::System`] with Aeron's own words.
    pub(crate) fn open(run: Run, out: usize) -> Result<Aeron, Failure> {
        let folder = CString::new(format!("/dev/shm/oyez-bench-aeron-{}", run.id)).expect("it has no NUL");
        let driver = (out == 0).then(|| Driver::start(&folder, run)).transpose()?;
        let client = Client::connect(&folder)?;
        let channel = CString::new(format!("aeron:ipc?term-length={}", run.ring_bytes)).expect("it has no NUL");
        let publication = client.publish(&channel, STREAMS[out])?;
        let image = client.subscribe(&channel, STREAMS[1 - out])?;
        // SAFETY: the publication is open.
        let connected = || unsafe { client::aeron_exclusive_publication_is_connected(publication) };
        wait("find the other side's subscription", || Ok(connected().then_some(())))?;
        Ok(Aeron { publication, image, clock: Clock::new(), _client: client, _driver: driver })
    }

    /// Claims room, and spins for it where the reader is a window behind.
    #[inline(always)]
    fn claim(&mut self, len_bytes: usize) -> Result<client::aeron_buffer_claim_t, Broken> {
        let mut claim =
            client::aeron_buffer_claim_t { frame_header: ptr::null_mut(), data: ptr::null_mut(), length: 0 };
        let mut deadline = None;
        loop {
            // SAFETY: the publication is open, and used by this thread alone.
            let position =
                unsafe { client::aeron_exclusive_publication_try_claim(self.publication, len_bytes, &raw mut claim) };
            match position {
                0.. => return Ok(claim),
                client::AERON_PUBLICATION_BACK_PRESSURED | client::AERON_PUBLICATION_ADMIN_ACTION => {
                    if *deadline.get_or_insert_with(|| Instant::now() + ANSWER_MAX) < Instant::now() {
                        return Err(Broken::Failed("back-pressured for too long".to_owned()));
                    }
                    std::hint::spin_loop();
                }
                refused => return Err(Broken::Failed(format!("claim: {refused}: {}", message()))),
            }
        }
    }
}

impl Link for Aeron {
    #[inline(always)]
    fn send(&mut self, message: &[u8]) -> Result<u64, Broken> {
        let time_ns = self.clock.now_ns();
        let mut claim = self.claim(message.len())?;
        // SAFETY: so many bytes were claimed, and nobody else reads or writes them before the commit.
        unsafe { ptr::copy_nonoverlapping(message.as_ptr(), claim.data, message.len()) };
        // SAFETY: the claim is not committed yet.
        match unsafe { client::aeron_buffer_claim_commit(&raw mut claim) } {
            0 => Ok(time_ns),
            _ => Err(Broken::Failed(message_of("commit"))),
        }
    }

    #[inline(always)]
    fn poll(&mut self, limit: usize, mut each: impl FnMut(&[u8])) -> Result<usize, Broken> {
        let (handler, state) = handler(&mut each);
        // SAFETY: the image is open, and `state` is what this handler takes and lives as long as the call.
        let brought = unsafe { client::aeron_image_poll(self.image, Some(handler), state, limit) };
        usize::try_from(brought).map_err(|_| Broken::Failed(message_of("poll")))
    }

    fn catch_up(&mut self) -> Result<(), Broken> {
        while self.poll(256, |_| {})? != 0 {}
        Ok(())
    }
}

type Handler = unsafe extern "C" fn(*mut c_void, *const u8, usize, *mut client::aeron_header_t);

/// A closure as Aeron takes it: a function and its state.
#[inline(always)]
fn handler<F: FnMut(&[u8])>(each: &mut F) -> (Handler, *mut c_void) {
    unsafe extern "C" fn deliver<F: FnMut(&[u8])>(
        state: *mut c_void,
        bytes: *const u8,
        len_bytes: usize,
        _: *mut client::aeron_header_t,
    ) {
        // SAFETY: the state that this handler is given with, and nobody else has it meanwhile.
        let each = unsafe { &mut *state.cast::<F>() };
        // SAFETY: a fragment, which nobody writes to before its reader's position has passed it.
        each(unsafe { std::slice::from_raw_parts(bytes, len_bytes) });
    }
    (deliver::<F>, ptr::from_mut(each).cast())
}

impl Client {
    fn connect(folder: &CStr) -> Result<Client, Failure> {
        let mut this = Client { context: ptr::null_mut(), client: ptr::null_mut() };
        // SAFETY: it writes the context.
        check("make a context", unsafe { client::aeron_context_init(&raw mut this.context) })?;
        // SAFETY: the context was made just now; so in the next three. The folder's name is copied.
        check("name its folder", unsafe { client::aeron_context_set_dir(this.context, folder.as_ptr()) })?;
        // SAFETY: as above.
        check("touch memory", unsafe { client::aeron_context_set_pre_touch_mapped_memory(this.context, true) })?;
        // SAFETY: as above. It waits for the driver.
        check("connect to the driver", unsafe { client::aeron_init(&raw mut this.client, this.context) })?;
        // SAFETY: the client was made just now, and is not started yet.
        check("start the client", unsafe { client::aeron_start(this.client) })?;
        Ok(this)
    }

    fn publish(&self, channel: &CStr, stream: i32) -> Result<*mut client::aeron_exclusive_publication_t, Failure> {
        let (mut request, mut publication) = (ptr::null_mut(), ptr::null_mut());
        let channel = channel.as_ptr();
        // SAFETY: the client runs; the channel's name is copied.
        let asked =
            unsafe { client::aeron_async_add_exclusive_publication(&raw mut request, self.client, channel, stream) };
        check("add a publication", asked)?;
        wait("add a publication", || {
            // SAFETY: the request is pending until it was answered with something else than 0.
            let added = unsafe { client::aeron_async_add_exclusive_publication_poll(&raw mut publication, request) };
            check("add a publication", added).map(|()| (added > 0).then_some(publication))
        })
    }

    /// The one image of this stream.
    fn subscribe(&self, channel: &CStr, stream: i32) -> Result<*mut client::aeron_image_t, Failure> {
        let (mut request, mut subscription, none) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        let channel = channel.as_ptr();
        // SAFETY: the client runs; the channel's name is copied; nobody is to be told of images.
        let asked = unsafe {
            client::aeron_async_add_subscription(&raw mut request, self.client, channel, stream, None, none, None, none)
        };
        check("add a subscription", asked)?;
        wait("add a subscription", || {
            // SAFETY: the request is pending until it was answered with something else than 0.
            let added = unsafe { client::aeron_async_add_subscription_poll(&raw mut subscription, request) };
            check("add a subscription", added).map(|()| (added > 0).then_some(()))
        })?;
        wait("find the other side's publication", || {
            // SAFETY: the subscription is open.
            let image = unsafe { client::aeron_subscription_image_at_index(subscription, 0) };
            Ok((!image.is_null()).then_some(image))
        })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: nothing that was opened on it is used any more; null is refused.
        unsafe { client::aeron_close(self.client) };
        // SAFETY: its client is closed; null is refused.
        unsafe { client::aeron_context_close(self.context) };
    }
}

impl Driver {
    /// On the broker's core: where that is a third one it spins there, else it must rest beside a side that spins.
    fn start(folder: &CStr, run: Run) -> Result<Driver, Failure> {
        let shared = media::aeron_threading_mode_enum::AERON_THREADING_MODE_SHARED;
        let idle = if run.spare_is_free { c"spin" } else { c"backoff" };
        let mut this = Driver { context: ptr::null_mut(), driver: ptr::null_mut() };
        // SAFETY: it writes the context.
        check("make a context", unsafe { media::aeron_driver_context_init(&raw mut this.context) })?;
        let context = this.context;
        // SAFETY: the context was made just now, and is not in use yet; so in all that follow. Names are copied.
        check("name its folder", unsafe { media::aeron_driver_context_set_dir(context, folder.as_ptr()) })?;
        // SAFETY: as above.
        check("clean up", unsafe { media::aeron_driver_context_set_dir_delete_on_shutdown(context, true) })?;
        // SAFETY: as above.
        check("share a thread", unsafe { media::aeron_driver_context_set_threading_mode(context, shared) })?;
        // SAFETY: as above.
        check("rest", unsafe { media::aeron_driver_context_set_shared_idle_strategy(context, idle.as_ptr()) })?;
        // SAFETY: as above.
        check("fill terms", unsafe { media::aeron_driver_context_set_term_buffer_sparse_file(context, false) })?;
        // SAFETY: as above.
        check("make a driver", unsafe { media::aeron_driver_init(&raw mut this.driver, context) })?;
        let cores = sched_getaffinity(None).map_err(Failure::refused("read which cores may be used"))?;
        machine::pin(run.spare_core)?;
        // SAFETY: the driver was made just now, and is not started yet. Its thread stays on this thread's core.
        let started = check("start the driver", unsafe { media::aeron_driver_start(this.driver, false) });
        sched_setaffinity(None, &cores).map_err(Failure::refused("leave the driver's core"))?;
        started?;
        Ok(this)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: this process's client is closed; null is refused. It ends its thread.
        unsafe { media::aeron_driver_close(self.driver) };
        // SAFETY: its driver is closed; null is refused.
        unsafe { media::aeron_driver_context_close(self.context) };
    }
}

/// Asks again until there is an answer.
fn wait<T>(step: &str, mut ask: impl FnMut() -> Result<Option<T>, Failure>) -> Result<T, Failure> {
    let deadline = Instant::now() + ANSWER_MAX;
    while Instant::now() < deadline {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(failure(format!("{step}: no answer within {} s", ANSWER_MAX.as_secs())))
}

fn check(step: &str, code: c_int) -> Result<(), Failure> {
    if code >= 0 { Ok(()) } else { Err(failure(message_of(step))) }
}

fn failure(what: String) -> Failure {
    Failure::System { system: "aeron", what }
}

fn message_of(step: &str) -> String {
    format!("{step}: {}", message())
}

/// What Aeron says of the last error of this thread.
#[cold]
fn message() -> String {
    // SAFETY: it may be called at any time.
    let message = unsafe { client::aeron_errmsg() };
    // SAFETY: text that lives as long as the thread, until its next error.
    let message = unsafe { CStr::from_ptr(message) };
    message.to_string_lossy().replace('\n', " | ")
}
