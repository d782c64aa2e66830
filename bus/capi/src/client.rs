//! A connection to a broker.

use crate::argument::{SizedStruct, cut, give, hand_out, shared, slice, take_back, text};
use crate::config::{Config, oyez_config};
use crate::error::{Failure, OYEZ_OK, call};
use crate::process::Process;
use oyez::{Bus, TopicInfo};
use std::ffi::c_char;
use std::sync::Arc;

/// A connection to a broker, or a bus within this process. Any threads may use it at the same time, but for closing it.
///
/// One thread of the library's own stands behind a connection; it notices when the broker goes away, and connects again
/// when it is back. It calls nobody back, and no message waits for it. It has the affinity and the scheduling of the
/// thread that opened the client.
pub struct oyez_client {
    _opaque: (),
}

pub(crate) struct Client {
    pub(crate) bus: Bus,
    pub(crate) process: Arc<Process>,
}

impl Client {
    /// # Safety
    /// NULL, or a client that stays open for `'a`.
    pub(crate) unsafe fn of<'a>(client: *const oyez_client) -> Result<&'a Client, Failure> {
        // SAFETY: the contract.
        let client = unsafe { shared(client.cast::<Client>(), "client") }?;
        client.process.check()?;
        Ok(client)
    }
}

/// A topic as it is declared and as it stands. Set `struct_size` before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct oyez_topic_info {
    /// sizeof(oyez_topic_info).
    pub struct_size: u32,
    /// The highest durability that the topic keeps: OYEZ_PUBLISHED where it is not recorded.
    pub durability: i32,
    /// Bytes of a ring.
    pub ring_bytes: u64,
    /// The longest message, SBE message header included: a quarter of a ring.
    pub message_bytes_max: u64,
    /// Of the partition that was asked for, as all that follows of one: the lowest position that the journal has; 0 where there is none.
    pub earliest: u64,
    /// Everything below is written.
    pub written: u64,
    /// Everything below is durable.
    pub durable: u64,
    /// Hours that the journal keeps; 0 where the topic is not recorded.
    pub retention_h: u32,
    /// Process that owns the partition; 0 for none.
    pub owner_pid: u32,
    /// Its user.
    pub owner_uid: u32,
    /// How many partitions the topic has.
    pub partitions: u16,
    /// Id of the schema that its messages are bound to; 65535, SBE's null, without one: then any may be published.
    pub schema_id: u16,
    /// Lowest version of the schema that may be published.
    pub schema_version_min: u16,
    /// Highest version of the schema that may be published.
    pub schema_version_max: u16,
    /// 1 where this process may publish, else 0.
    pub may_publish: i32,
    /// 1 where this process may subscribe, else 0.
    pub may_subscribe: i32,
    /// Name of the schema in the catalog; empty without one.
    pub schema: [c_char; 104],
    /// What the partition's owner calls itself, cut where it is longer.
    pub owner: [c_char; 104],
    /// One word on the partition, such as `idle` or `owned`.
    pub state: [c_char; 36],
}

// SAFETY: as the trait asks: numbers and texts behind a size, without padding.
unsafe impl SizedStruct for oyez_topic_info {
    const NAME: &'static str = "oyez_topic_info";
    const BYTES_MIN: usize = 320;
}

impl From<TopicInfo> for oyez_topic_info {
    fn from(info: TopicInfo) -> oyez_topic_info {
        let (owner, binding) = (info.owner.as_ref(), info.binding.as_ref());
        oyez_topic_info {
            struct_size: size_of::<oyez_topic_info>() as u32,
            durability: info.durability as i32,
            ring_bytes: info.ring_bytes,
            message_bytes_max: info.message_bytes_max() as u64,
            earliest: info.earliest.0,
            written: info.written.0,
            durable: info.durable.0,
            retention_h: info.retention_h,
            owner_pid: owner.map_or(0, |owner| owner.pid),
            owner_uid: owner.map_or(0, |owner| owner.uid),
            partitions: info.partitions,
            schema_id: binding.map_or(u16::MAX, |binding| binding.schema_id),
            schema_version_min: binding.map_or(0, |binding| binding.version_min),
            schema_version_max: binding.map_or(0, |binding| binding.version_max),
            may_publish: info.may_publish.into(),
            may_subscribe: info.may_subscribe.into(),
            schema: fixed(&info.schema),
            owner: fixed(owner.map_or("", |owner| &owner.name)),
            state: fixed(&info.state),
        }
    }
}

/// As much of a text as fits, with NULs behind it.
fn fixed<const N: usize>(text: &str) -> [c_char; N] {
    let mut out = [0; N];
    out.iter_mut().zip(cut(text, N - 1).as_bytes()).for_each(|(to, from)| *to = *from as c_char);
    out
}

/// Connects, for at most `timeout_ms`. The configuration may be freed afterwards. Close it with `oyez_client_close`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_client_open(config: *const oyez_config, client: *mut *mut oyez_client) -> i32 {
    call(|| {
        // SAFETY: the caller promises NULL or a configuration that nobody changes meanwhile.
        let config = unsafe { shared(config.cast::<Config>(), "config") };
        let open = || Ok(Client { bus: config?.open()?, process: Arc::new(Process::this()?) });
        // SAFETY: the caller promises NULL or a place for a handle.
        unsafe { hand_out(client, "client", open) }
    })
}

/// Closes a client and puts NULL in its place; nothing for NULL. Publishers and subscribers go on, and the connection with
/// them: it goes with the last of them. Waits for the library's own thread, at most for `timeout_ms`.
/// In a forked child nothing is freed, and the answer is OYEZ_ERR_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_client_close(client: *mut *mut oyez_client) -> i32 {
    call(|| {
        // SAFETY: the caller promises NULL, or a place that holds NULL or a client that nobody uses any more.
        drop(unsafe { take_back(client, |client: &Client| client.process.check()) }?);
        Ok(OYEZ_OK)
    })
}

/// Fills `info` with what the catalog says of a topic, and how one of its partitions stands. Asks the broker, for at most
/// `timeout_ms`. An unknown topic is OYEZ_REFUSED_UNKNOWN_TOPIC: no topic is ever created by a client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_client_describe(
    client: *const oyez_client,
    topic: *const c_char,
    partition: u16,
    info: *mut oyez_topic_info,
) -> i32 {
    call(|| {
        // SAFETY: the caller promises NULL or a client that stays open meanwhile.
        let client = unsafe { Client::of(client) }?;
        // SAFETY: the caller promises NULL or a text.
        let topic = unsafe { text(topic, "topic") }?;
        let described = client.bus.describe_partition(topic, partition)?;
        // SAFETY: the caller promises NULL or a struct of the size that it begins with.
        unsafe { give(info, described.into()) }?;
        Ok(OYEZ_OK)
    })
}

/// The partition of a key, in a topic of so many `partitions` (`oyez_client_describe` tells): XXH64 with seed 0 of its bytes,
/// modulo `partitions`. The same for every publisher, in every language, for ever. OYEZ_ERR_ARGUMENT where there are none.
/// Allocates nothing, waits for nobody and makes no system call. A publisher by key opens each partition, or those that
/// it shall own, and publishes with the publisher of the key's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_partition_of(key: *const u8, len_bytes: usize, partitions: u16) -> i32 {
    call(|| {
        // SAFETY: the caller promises NULL or as many bytes, which nobody writes meanwhile.
        let key = unsafe { slice(key, len_bytes, "key") }?;
        match partitions {
            0 => Err(Failure::argument("`partitions` is 0; take that of the topic's description")),
            partitions => Ok(oyez::partition_of(key, partitions).into()),
        }
    })
}
