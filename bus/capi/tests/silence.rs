//! The C functions on a message's way allocate nothing.

#[path = "../../client/tests/support/counting.rs"]
mod counting;

use counting::allocations;
use oyez_capi::*;
use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};

/// An in-process bus, its publisher and its subscriber.
struct Handles {
    client: *mut oyez_client,
    publisher: *mut oyez_publisher,
    subscriber: *mut oyez_subscriber,
}

fn set(config: *mut oyez_config, key: &CStr, value: &CStr) {
    // SAFETY: a configuration, and two texts.
    assert_eq!(unsafe { oyez_config_set(config, key.as_ptr(), value.as_ptr()) }, OYEZ_OK);
}

impl Handles {
    fn open(batch_bytes: u64) -> Handles {
        let mut config = null_mut();
        // SAFETY: a place for a handle, as in the calls below.
        assert_eq!(unsafe { oyez_config_new(OYEZ_ABI_VERSION, &raw mut config) }, OYEZ_OK);
        set(config, c"in_process", c"md");
        let mut handles = Handles { client: null_mut(), publisher: null_mut(), subscriber: null_mut() };
        // SAFETY: a configuration.
        assert_eq!(unsafe { oyez_client_open(config, &raw mut handles.client) }, OYEZ_OK);
        let topic = oyez_subscription {
            struct_size: size_of::<oyez_subscription>() as u32,
            start: OYEZ_START_EARLIEST,
            topic: c"md".as_ptr(),
            start_at: 0,
            start_epoch: 0,
            partition: 0,
            reserved: 0,
        };
        let struct_size = size_of::<oyez_subscriber_options>() as u32;
        let options = oyez_subscriber_options { struct_size, durability: OYEZ_PUBLISHED, batch_bytes };
        let Handles { client, publisher, subscriber } = &mut handles;
        // SAFETY: a client, one subscription of that size, and options of theirs.
        let opened = unsafe { oyez_subscriber_open(*client, &raw const topic, 1, &raw const options, subscriber) };
        assert_eq!(opened, OYEZ_OK);
        // SAFETY: a client, a text, no options.
        assert_eq!(unsafe { oyez_publisher_open(*client, topic.topic, 0, null(), publisher) }, OYEZ_OK);
        // SAFETY: a place that holds a configuration.
        assert_eq!(unsafe { oyez_config_free(&raw mut config) }, OYEZ_OK);
        handles
    }

    /// Two messages out, by copy and in place.
    fn publish(&self) {
        let message = [7_u8; 64];
        let mut published = oyez_published { struct_size: 32, epoch: 0, sequence: 0, position: 0, time_ns: 0 };
        let offered = (message.as_ptr(), message.len(), &raw mut published);
        // SAFETY: a publisher of this thread, as many bytes, a struct of that size; as in the calls below.
        assert_eq!(unsafe { oyez_publisher_offer(self.publisher, offered.0, offered.1, offered.2) }, OYEZ_OK);
        let mut place = null_mut();
        // SAFETY: as above, and a place for a pointer.
        assert_eq!(unsafe { oyez_publisher_claim(self.publisher, message.len(), &raw mut place) }, OYEZ_OK);
        // SAFETY: the claim has as many bytes.
        unsafe { place.copy_from_nonoverlapping(message.as_ptr(), message.len()) };
        // SAFETY: as above.
        assert_eq!(unsafe { oyez_publisher_commit(self.publisher, &raw mut published) }, OYEZ_OK);
    }
}

impl Handles {
    /// What may be asked at any time, and a claim that comes to nothing.
    #[expect(clippy::multiple_unsafe_ops_per_block, reason = "one promise for all: handles of this thread, and places")]
    fn ask(&self) {
        let Handles { publisher, subscriber, .. } = *self;
        let (mut place, mut number, mut topic) = (null_mut(), 0, 0);
        let part = oyez_part { bytes: [7_u8; 32].as_ptr(), len_bytes: 32 };
        let mut progress = oyez_progress { struct_size: 24, epoch: 0, next_sequence: 0, is_known: 0, reads_ring: 0 };
        // SAFETY: numbers.
        let (mut sent, mut taken): (oyez_publisher_counts, oyez_subscriber_counts) = unsafe { std::mem::zeroed() };
        sent.struct_size = size_of::<oyez_publisher_counts>() as u32;
        taken.struct_size = size_of::<oyez_subscriber_counts>() as u32;
        // SAFETY: handles of this thread, places for what is told, structs of their sizes; as in all of these calls.
        let answers = unsafe {
            [
                oyez_publisher_claim(publisher, 64, &raw mut place),
                oyez_publisher_abort(publisher),
                oyez_publisher_offerv(publisher, &raw const part, 1, null_mut()),
                oyez_publisher_position(publisher, OYEZ_PUBLISHED, &raw mut number),
                oyez_publisher_next_sequence(publisher, &raw mut number),
                oyez_publisher_stats(publisher, &raw mut sent),
                oyez_subscriber_failed(subscriber, &raw mut topic),
                oyez_subscriber_progress(subscriber, 0, &raw mut progress),
                oyez_subscriber_stats(subscriber, &raw mut taken),
            ]
        };
        assert_eq!(answers, [OYEZ_OK; 9]);
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        // SAFETY: each a place that holds a handle, as in the calls below.
        assert_eq!(unsafe { oyez_subscriber_close(&raw mut self.subscriber) }, OYEZ_OK);
        // SAFETY: as above.
        assert_eq!(unsafe { oyez_publisher_close(&raw mut self.publisher) }, OYEZ_OK);
        // SAFETY: as above.
        assert_eq!(unsafe { oyez_client_close(&raw mut self.client) }, OYEZ_OK);
    }
}

unsafe extern "C" fn count(messages: *mut c_void, event: *const oyez_event) {
    // SAFETY: the poll passes the counter on, as in the call below.
    let messages = unsafe { &mut *messages.cast::<u64>() };
    // SAFETY: an event of the poll's.
    *messages += u64::from(unsafe { &*event }.kind == OYEZ_EVENT_MESSAGE);
}

unsafe extern "C" fn count_on(messages: *mut c_void, event: *const oyez_event) -> i32 {
    // SAFETY: as for `count`.
    unsafe { count(messages, event) };
    OYEZ_CONTINUE
}

#[test]
fn a_batch_whose_last_message_crosses_its_limit_allocates_nothing() {
    let (handles, message) = (Handles::open(8_192), [7_u8; 3_000]);
    // SAFETY: an event is numbers, and a pointer that may be NULL.
    let mut events: [oyez_event; 16] = unsafe { std::mem::zeroed() };
    events[0].struct_size = size_of::<oyez_event>() as u32;
    let mut turn = |messages: usize| {
        for _ in 0..messages {
            // SAFETY: a publisher of this thread, as many bytes.
            let offered =
                unsafe { oyez_publisher_offer(handles.publisher, message.as_ptr(), message.len(), null_mut()) };
            assert_eq!(offered, OYEZ_OK);
        }
        // SAFETY: a subscriber of this thread, an array of structs of that size.
        unsafe { oyez_subscriber_next_batch(handles.subscriber, events.as_mut_ptr(), events.len()) }
    };
    for _ in 0..10 {
        turn(1);
    }
    assert_eq!(allocations(|| assert_eq!(turn(3), 3, "one batch")), 0, "9,000 bytes, where 8,192 are asked for");
}

#[test]
fn publishing_and_polling_by_the_c_functions_allocate_nothing() {
    let handles = Handles::open(0);
    let mut messages = 0_u64;
    let context = (&raw mut messages).cast::<c_void>();
    // SAFETY: an event is numbers, and a pointer that may be NULL.
    let mut events: [oyez_event; 16] = unsafe { std::mem::zeroed() };
    events[0].struct_size = size_of::<oyez_event>() as u32;
    let mut turn = || {
        handles.publish();
        handles.ask();
        // SAFETY: a subscriber of this thread, a handler and its context, as in the calls below.
        assert!(unsafe { oyez_subscriber_poll(handles.subscriber, Some(count), context, 1) } >= 0);
        // SAFETY: as above.
        assert!(unsafe { oyez_subscriber_poll_controlled(handles.subscriber, Some(count_on), context, 1) } >= 0);
        // SAFETY: an array of structs of that size.
        unsafe { oyez_subscriber_next_batch(handles.subscriber, events.as_mut_ptr(), events.len()) }
    };
    // The first polls enter the ring, which takes a buffer.
    for _ in 0..10 {
        turn();
    }
    let asked = allocations(|| (0..100_000).for_each(|_| assert!(turn() >= 0)));
    assert_eq!(asked, 0, "allocations in 200,000 messages");
    assert!(messages > 190_000, "{messages}");
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1, "the counter counts");
}
