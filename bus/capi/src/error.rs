//! Codes, what they mean, and the last error of each thread.

use crate::argument::copy_text;
use oyez::cursor::CursorError;
use oyez::{BusError, ConnectionError, FailureCode, PublishError, SubscribeError};
use std::any::Any;
use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Done.
pub const OYEZ_OK: i32 = 0;
/// The library is broken. It goes on, but close the handle; please report the text.
pub const OYEZ_ERR_INTERNAL: i32 = -1;
/// An argument is NULL, no UTF-8, too small a struct, or not one of its constants.
pub const OYEZ_ERR_ARGUMENT: i32 = -2;
/// The library is older than the header.
pub const OYEZ_ERR_ABI: i32 = -3;
/// The handle was opened before a fork, in the parent process.
pub const OYEZ_ERR_FORKED: i32 = -4;
/// A call on a subscriber from within its own handler.
pub const OYEZ_ERR_IN_HANDLER: i32 = -5;
/// An unknown key, or a value that is none for it.
pub const OYEZ_ERR_CONFIG: i32 = -6;
/// Nobody listens there, or the broker is away.
pub const OYEZ_ERR_NOT_CONNECTED: i32 = -7;
/// No answer in time, or a durability was not reached in time.
pub const OYEZ_ERR_TIMEOUT: i32 = -8;
/// The broker speaks otherwise: the two are of different builds.
pub const OYEZ_ERR_PROTOCOL: i32 = -9;
/// The broker handed out memory that cannot be trusted.
pub const OYEZ_ERR_MEMORY: i32 = -10;
/// The kernel refused a step.
pub const OYEZ_ERR_SYSTEM: i32 = -11;
/// The recorder is a whole ring behind; nothing was published.
pub const OYEZ_ERR_BACK_PRESSURED: i32 = -12;
/// The partition has another owner.
pub const OYEZ_ERR_NOT_GRANTED: i32 = -13;
/// A message too short or too long.
pub const OYEZ_ERR_LENGTH: i32 = -14;
/// The catalog does not allow that message here: another schema, version or template.
pub const OYEZ_ERR_MISFIT: i32 = -15;
/// Nothing is claimed: it was committed or aborted before.
pub const OYEZ_ERR_NO_CLAIM: i32 = -16;
/// The topic keeps no such durability.
pub const OYEZ_ERR_NOT_KEPT: i32 = -17;
/// The broker is stopping, and has ended the publisher's epoch.
pub const OYEZ_ERR_CLOSED: i32 = -18;
/// The epoch is no longer the publisher's.
pub const OYEZ_ERR_LOST: i32 = -19;
/// The journal failed, and with it the publisher's epoch: only what is durable is safe.
pub const OYEZ_ERR_JOURNAL_FAILED: i32 = -20;
/// The topic cannot be read any more.
pub const OYEZ_ERR_UNREADABLE: i32 = -21;
/// The start asks for a message that nobody has published.
pub const OYEZ_ERR_AHEAD: i32 = -22;
/// The start names an epoch that never was.
pub const OYEZ_ERR_UNKNOWN_EPOCH: i32 = -23;
/// A frame that no honest publisher makes.
pub const OYEZ_ERR_INVALID_FRAME: i32 = -24;
/// The journal cannot be read there.
pub const OYEZ_ERR_JOURNAL_READ: i32 = -25;

/// The broker says no, as do the codes below: the request was no message of its protocol.
pub const OYEZ_REFUSED_BAD_MESSAGE: i32 = -101;
/// The broker does not speak this version.
pub const OYEZ_REFUSED_VERSION: i32 = -102;
/// The catalog declares no such topic. No topic is ever created by a client.
pub const OYEZ_REFUSED_UNKNOWN_TOPIC: i32 = -103;
/// The topic has fewer partitions.
pub const OYEZ_REFUSED_UNKNOWN_PARTITION: i32 = -104;
/// The catalog does not let this user publish here.
pub const OYEZ_REFUSED_PUBLISH_DENIED: i32 = -105;
/// The catalog does not let this user subscribe here.
pub const OYEZ_REFUSED_SUBSCRIBE_DENIED: i32 = -106;
/// As many connections as the catalog allows.
pub const OYEZ_REFUSED_CONNECTION_LIMIT: i32 = -107;
/// As many subscriptions on one connection as the catalog allows.
pub const OYEZ_REFUSED_SUBSCRIPTION_LIMIT: i32 = -108;
/// The epoch is not this connection's.
pub const OYEZ_REFUSED_NOT_OWNER: i32 = -109;
/// The epoch has ended.
pub const OYEZ_REFUSED_EPOCH_ENDED: i32 = -110;
/// The journal does not hold that position.
pub const OYEZ_REFUSED_NOT_IN_JOURNAL: i32 = -111;
/// The topic has no journal.
pub const OYEZ_REFUSED_NOT_RECORDED: i32 = -112;
/// The topic's journal failed: it takes nothing more.
pub const OYEZ_REFUSED_JOURNAL_FAILED: i32 = -113;
/// The broker is stopping.
pub const OYEZ_REFUSED_CLOSING: i32 = -114;
/// The broker has no memory for a ring.
pub const OYEZ_REFUSED_NO_MEMORY: i32 = -115;
/// The broker has no descriptor left.
pub const OYEZ_REFUSED_NO_DESCRIPTOR: i32 = -116;
/// Something failed at the broker; its log says why.
pub const OYEZ_REFUSED_BROKER: i32 = -117;
/// The topic has no schema.
pub const OYEZ_REFUSED_NO_SCHEMA: i32 = -118;
/// As many unanswered requests as one connection may have.
pub const OYEZ_REFUSED_TOO_MANY_REQUESTS: i32 = -119;
/// The owner is not to be killed, or cannot be.
pub const OYEZ_REFUSED_TAKE_OVER_DENIED: i32 = -120;
/// Nobody would go on in the owner's place.
pub const OYEZ_REFUSED_NO_STANDBY: i32 = -121;
/// The catalog names no such publisher of the topic.
pub const OYEZ_REFUSED_UNKNOWN_ORIGIN: i32 = -122;
/// The topic has many publishers, and none was named; or one at a time, and one was.
pub const OYEZ_REFUSED_OTHER_PUBLISHERS: i32 = -123;
/// Only the broker's own user and root may have an owner renew its epoch; no call of this library asks for that.
pub const OYEZ_REFUSED_RENEW_DENIED: i32 = -124;
/// The owner has not renewed its epoch; as above.
pub const OYEZ_REFUSED_NOT_RENEWED: i32 = -125;

/// What helps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// The same call, later.
    Retry,
    /// Another handle.
    Reopen,
    /// Something has to be changed first.
    Change,
}

use Remedy::{Change, Reopen, Retry};

const CODES: &[(i32, Remedy, &CStr)] = &[
    (OYEZ_OK, Change, c"OK: done"),
    (OYEZ_ERR_INTERNAL, Reopen, c"INTERNAL: the library is broken; close the handle, and report the last error's text"),
    (OYEZ_ERR_ARGUMENT, Change, c"ARGUMENT: an argument is NULL, no UTF-8, too small a struct, or no known constant"),
    (OYEZ_ERR_ABI, Change, c"ABI: the library is older than the header; install a newer one"),
    (OYEZ_ERR_FORKED, Reopen, c"FORKED: opened before a fork; open a client in the child"),
    (OYEZ_ERR_IN_HANDLER, Change, c"IN_HANDLER: called from the subscriber's own handler; call after the poll"),
    (OYEZ_ERR_CONFIG, Change, c"CONFIG: an unknown key, or no value for it; the last error names it"),
    (OYEZ_ERR_NOT_CONNECTED, Retry, c"NOT_CONNECTED: the broker is away; try again when it is back"),
    (OYEZ_ERR_TIMEOUT, Retry, c"TIMEOUT: not in time; try again"),
    (OYEZ_ERR_PROTOCOL, Change, c"PROTOCOL: client and broker are of different builds; upgrade the older one"),
    (OYEZ_ERR_MEMORY, Change, c"MEMORY: the broker handed out memory that cannot be trusted; do not use it"),
    (OYEZ_ERR_SYSTEM, Retry, c"SYSTEM: the kernel refused a step; see this process's limits"),
    (OYEZ_ERR_BACK_PRESSURED, Retry, c"BACK_PRESSURED: nothing was published, the recorder is behind; try again"),
    (OYEZ_ERR_NOT_GRANTED, Retry, c"NOT_GRANTED: the partition has another owner; wait for it"),
    (OYEZ_ERR_LENGTH, Change, c"LENGTH: a message too short or too long; cut it"),
    (OYEZ_ERR_MISFIT, Change, c"MISFIT: not one of the topic's messages; allow it in the catalog"),
    (OYEZ_ERR_NO_CLAIM, Change, c"NO_CLAIM: committed or aborted before; claim first"),
    (OYEZ_ERR_NOT_KEPT, Change, c"NOT_KEPT: the topic keeps no such durability; ask for less, or declare it"),
    (OYEZ_ERR_CLOSED, Reopen, c"CLOSED: the broker is stopping; open a publisher again when it is back"),
    (OYEZ_ERR_LOST, Reopen, c"LOST: the epoch is no longer this publisher's; open a publisher again"),
    (
        OYEZ_ERR_JOURNAL_FAILED,
        Reopen,
        c"JOURNAL_FAILED: only what is durable is safe; open a publisher after the repair",
    ),
    (OYEZ_ERR_UNREADABLE, Reopen, c"UNREADABLE: the topic cannot be read any more; open another subscriber"),
    (OYEZ_ERR_AHEAD, Change, c"AHEAD: the start was never published; seek to the next message or below"),
    (OYEZ_ERR_UNKNOWN_EPOCH, Change, c"UNKNOWN_EPOCH: it belongs to another journal; start at a sequence or a time"),
    (OYEZ_ERR_INVALID_FRAME, Retry, c"INVALID_FRAME: a publisher is broken; poll again when its epoch was ended"),
    (OYEZ_ERR_JOURNAL_READ, Retry, c"JOURNAL_READ: the journal cannot be read there; see its disk, poll again"),
    (OYEZ_REFUSED_BAD_MESSAGE, Change, c"BAD_MESSAGE: no message of the protocol; upgrade client or broker"),
    (OYEZ_REFUSED_VERSION, Change, c"VERSION: the broker does not speak it; upgrade the older of the two"),
    (OYEZ_REFUSED_UNKNOWN_TOPIC, Change, c"UNKNOWN_TOPIC: the catalog has no such topic; declare it"),
    (OYEZ_REFUSED_UNKNOWN_PARTITION, Change, c"UNKNOWN_PARTITION: the topic has fewer; describe it"),
    (OYEZ_REFUSED_PUBLISH_DENIED, Change, c"PUBLISH_DENIED: add the user to `publish` of the topic"),
    (OYEZ_REFUSED_SUBSCRIBE_DENIED, Change, c"SUBSCRIBE_DENIED: add the user to `subscribe` of the topic"),
    (OYEZ_REFUSED_CONNECTION_LIMIT, Change, c"CONNECTION_LIMIT: close some, or raise it in the catalog"),
    (OYEZ_REFUSED_SUBSCRIPTION_LIMIT, Change, c"SUBSCRIPTION_LIMIT: close some, or raise it in the catalog"),
    (OYEZ_REFUSED_NOT_OWNER, Change, c"NOT_OWNER: open a publisher again"),
    (OYEZ_REFUSED_EPOCH_ENDED, Change, c"EPOCH_ENDED: open a publisher again"),
    (OYEZ_REFUSED_NOT_IN_JOURNAL, Change, c"NOT_IN_JOURNAL: ask for a later position"),
    (OYEZ_REFUSED_NOT_RECORDED, Change, c"NOT_RECORDED: set `recorded = true` in the catalog"),
    (OYEZ_REFUSED_JOURNAL_FAILED, Change, c"JOURNAL_FAILED: repair the disk, restart the broker"),
    (OYEZ_REFUSED_CLOSING, Retry, c"CLOSING: the broker is stopping; try again when it is back"),
    (OYEZ_REFUSED_NO_MEMORY, Retry, c"NO_MEMORY: the broker has none for a ring; try again, or raise its limit"),
    (OYEZ_REFUSED_NO_DESCRIPTOR, Retry, c"NO_DESCRIPTOR: the broker has none left; try again, or raise its limit"),
    (OYEZ_REFUSED_BROKER, Change, c"BROKER: something failed at the broker; its log says why"),
    (OYEZ_REFUSED_NO_SCHEMA, Change, c"NO_SCHEMA: name one in the catalog"),
    (OYEZ_REFUSED_TOO_MANY_REQUESTS, Retry, c"TOO_MANY_REQUESTS: wait for the answers first"),
    (OYEZ_REFUSED_TAKE_OVER_DENIED, Change, c"TAKE_OVER_DENIED: see `takeover` of the topic, or end the owner"),
    (OYEZ_REFUSED_NO_STANDBY, Change, c"NO_STANDBY: start one first, and wait until it is warm"),
    (OYEZ_REFUSED_UNKNOWN_ORIGIN, Change, c"UNKNOWN_ORIGIN: add it to `origins` of the topic in the catalog"),
    (
        OYEZ_REFUSED_OTHER_PUBLISHERS,
        Change,
        c"OTHER_PUBLISHERS: name an origin where the topic has many, and none where it has one",
    ),
    (OYEZ_REFUSED_RENEW_DENIED, Change, c"RENEW_DENIED: ask as the broker's own user, or as root"),
    (OYEZ_REFUSED_NOT_RENEWED, Change, c"NOT_RENEWED: see who owns it, which may be stopped or of an older build"),
];

/// A call that failed. In a box, so that what a call returns that did not fail is small.
#[derive(Debug)]
pub(crate) struct Failure(Box<(i32, Cow<'static, str>)>);

impl Failure {
    pub(crate) fn new(code: i32, text: impl Into<Cow<'static, str>>) -> Failure {
        Failure(Box::new((code, text.into())))
    }

    pub(crate) fn argument(what: impl Into<Cow<'static, str>>) -> Failure {
        Failure::new(OYEZ_ERR_ARGUMENT, what)
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> i32 {
        self.0.0
    }

    pub(crate) fn text(&self) -> &str {
        &self.0.1
    }
}

#[cold]
fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    format!("the library is broken: {}; close the handle, and report this", text.unwrap_or("it does not say how"))
}

/// Becomes the thread's last error.
#[cold]
pub(crate) fn keep(code: i32, text: impl Into<Cow<'static, str>>) -> i32 {
    // In a thread that is at its end there is nobody to read it.
    let _ = LAST.try_with(|last| *last.borrow_mut() = (code, text.into()));
    code
}

thread_local! {
    static LAST: RefCell<(i32, Cow<'static, str>)> = const { RefCell::new((OYEZ_OK, Cow::Borrowed(""))) };
}

/// What every function does: its work, and no panic beyond it.
#[inline]
pub(crate) fn call(work: impl FnOnce() -> Result<i32, Failure>) -> i32 {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(answer)) => answer,
        Ok(Err(Failure(failure))) => keep(failure.0, failure.1),
        Err(panic) => keep(OYEZ_ERR_INTERNAL, panic_text(&*panic)),
    }
}

/// One line on what a code means and what helps, beginning with its name and a colon; valid for ever. Any code will do.
#[unsafe(no_mangle)]
pub extern "C" fn oyez_strerror(code: i32) -> *const c_char {
    find(code).map_or(c"UNKNOWN: no code of this library; a newer one may know it", |(_, _, text)| text).as_ptr()
}

/// 1 where the same call may succeed later, with nothing changed here; else 0.
#[unsafe(no_mangle)]
pub extern "C" fn oyez_is_retriable(code: i32) -> i32 {
    find(code).is_some_and(|(_, remedy, _)| *remedy == Retry).into()
}

/// 1 where the handle is of no more use: close it and open another; else 0. A code that is neither retriable nor fatal
/// speaks of this call alone: something has to be changed first.
#[unsafe(no_mangle)]
pub extern "C" fn oyez_is_fatal(code: i32) -> i32 {
    find(code).is_some_and(|(_, remedy, _)| *remedy == Reopen).into()
}

/// What went wrong last in this thread: writes the code to `code`, which may be NULL, and one line of text, naming
/// thing, place and remedy, to `text`, at most `capacity` bytes with the NUL. Returns the bytes of the whole text without
/// the NUL: `capacity` or more means that it was cut. `text` may be NULL where `capacity` is 0. A call that succeeds leaves
/// the last error as it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oyez_last_error(code: *mut i32, text: *mut c_char, capacity: usize) -> i32 {
    let copy = |last: &RefCell<(i32, Cow<'static, str>)>| {
        let last = last.borrow();
        if !code.is_null() {
            // SAFETY: not NULL, and so a place for an i32, as the caller promises.
            unsafe { code.write(last.0) };
        }
        // SAFETY: the caller promises `capacity` bytes at `text`.
        unsafe { copy_text(&last.1, text, capacity) }
    };
    LAST.try_with(copy).unwrap_or(0)
}

fn find(code: i32) -> Option<&'static (i32, Remedy, &'static CStr)> {
    CODES.iter().find(|(known, ..)| *known == code)
}

/// The numbers of the broker's refusals are the protocol's own.
fn refused(code: FailureCode) -> i32 {
    -100 - i32::from(code as u16)
}

impl From<BusError> for Failure {
    fn from(error: BusError) -> Failure {
        let code = match &error {
            BusError::Connection(ConnectionError::TimedOut | ConnectionError::Busy { .. })
            | BusError::Timeout { .. } => OYEZ_ERR_TIMEOUT,
            BusError::Connection(ConnectionError::Decode(_) | ConnectionError::TooLong) | BusError::Answer { .. } => {
                OYEZ_ERR_PROTOCOL
            }
            BusError::Connection(_) | BusError::Away { .. } => OYEZ_ERR_NOT_CONNECTED,
            BusError::Refused { code, .. } => refused(*code),
            BusError::Memory { .. } => OYEZ_ERR_MEMORY,
            BusError::Unreadable { .. } => OYEZ_ERR_UNREADABLE,
            BusError::System { .. } => OYEZ_ERR_SYSTEM,
            BusError::NotDeclared { .. } => OYEZ_REFUSED_UNKNOWN_TOPIC,
            BusError::Declaration { .. } => OYEZ_ERR_CONFIG,
            _ => OYEZ_ERR_INTERNAL,
        };
        Failure::new(code, error.to_string())
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Failure {
        let code = match error {
            PublishError::Bus(error) => return error.into(),
            PublishError::NotGranted { .. } => OYEZ_ERR_NOT_GRANTED,
            PublishError::Length { .. } => OYEZ_ERR_LENGTH,
            PublishError::Misfit { .. } => OYEZ_ERR_MISFIT,
            PublishError::Closing { .. } => OYEZ_ERR_CLOSED,
            PublishError::Lost { .. } => OYEZ_ERR_LOST,
            PublishError::JournalFailed { .. } => OYEZ_ERR_JOURNAL_FAILED,
            PublishError::Timeout { .. } | PublishError::NotAccepted { .. } => OYEZ_ERR_TIMEOUT,
            PublishError::NotKept { .. } => OYEZ_ERR_NOT_KEPT,
            _ => OYEZ_ERR_INTERNAL,
        };
        Failure::new(code, error.to_string())
    }
}

impl From<SubscribeError> for Failure {
    fn from(error: SubscribeError) -> Failure {
        let code = match error {
            SubscribeError::Bus(error) => return error.into(),
            SubscribeError::NoTopic | SubscribeError::OneSequence { .. } => OYEZ_ERR_ARGUMENT,
            SubscribeError::NotKept { .. } => OYEZ_ERR_NOT_KEPT,
            SubscribeError::Timeout { .. } => OYEZ_ERR_TIMEOUT,
            SubscribeError::Cursor { ref source, .. } => match source {
                CursorError::Ahead { .. } => OYEZ_ERR_AHEAD,
                CursorError::UnknownEpoch { .. } => OYEZ_ERR_UNKNOWN_EPOCH,
                CursorError::Invalid(_) => OYEZ_ERR_INVALID_FRAME,
                CursorError::Journal { .. } => OYEZ_ERR_JOURNAL_READ,
                _ => OYEZ_ERR_UNREADABLE,
            },
            _ => OYEZ_ERR_INTERNAL,
        };
        Failure::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oyez::{Durability, Epoch, Misfit, Position, Sequence};
    use std::io;

    /// The constants of a family in the header, with their numbers.
    fn constants(prefix: &str) -> Vec<(&'static str, i32)> {
        let defined = include_str!("../include/oyez.h").lines().filter_map(|line| line.strip_prefix("#define "));
        let family = defined.filter_map(|line| line.split_once(' ')).filter(|(name, _)| name.starts_with(prefix));
        family.map(|(name, number)| (name, number.parse().expect("a number"))).collect()
    }

    /// All that the protocol has; they are dense.
    fn codes() -> impl Iterator<Item = FailureCode> {
        (1..).map_while(|number| FailureCode::try_from(oyez_protocol::schema::FailureCode(number)).ok())
    }

    fn name_of(code: i32) -> &'static str {
        // SAFETY: a text for any code, valid for ever.
        let text = unsafe { CStr::from_ptr(oyez_strerror(code)) };
        text.to_str().expect("UTF-8").split_once(": ").expect("a name, and a text").0
    }

    #[test]
    fn every_code_of_the_header_has_a_text_with_its_own_name() {
        for (prefix, first, last) in [("OYEZ_ERR_", -1, -25), ("OYEZ_REFUSED_", -101, -125)] {
            let codes = constants(prefix);
            let numbers: Vec<i32> = codes.iter().map(|(_, code)| *code).collect();
            assert_eq!(numbers, (last..=first).rev().collect::<Vec<_>>(), "dense, and none given twice");
            for (constant, code) in codes {
                assert_eq!(constant.strip_prefix(prefix), Some(name_of(code)));
            }
        }
        let refusals: Vec<i32> = constants("OYEZ_REFUSED_").iter().map(|(_, code)| *code).collect();
        assert_eq!(refusals, codes().map(refused).collect::<Vec<_>>());
        assert_eq!([name_of(OYEZ_OK), name_of(-26), name_of(i32::MIN)], ["OK", "UNKNOWN", "UNKNOWN"]);
    }

    #[test]
    fn a_code_is_as_retriable_and_as_fatal_as_the_error_it_stands_for() {
        let topic = || "md".to_owned();
        let bus = [
            BusError::Connection(ConnectionError::HungUp),
            BusError::Connection(ConnectionError::TimedOut),
            BusError::Connection(ConnectionError::Busy { path: topic().into() }),
            BusError::Connection(ConnectionError::TooLong),
            BusError::Timeout { request: "Hello", socket: topic(), timeout_ms: 1 },
            BusError::Away { socket: topic() },
            BusError::Answer { request: "Hello", answer: "Topic" },
            BusError::Unreadable { topic: topic(), why: topic() },
            BusError::System { topic: topic(), step: "map its ring", source: io::ErrorKind::OutOfMemory.into() },
            BusError::NotDeclared { topic: topic(), declared: topic() },
            BusError::Declaration { topic: topic(), what: "twice" },
        ];
        let told = |failure: Failure| (oyez_is_retriable(failure.code()) == 1, oyez_is_fatal(failure.code()) == 1);
        let refused = codes().map(|code| BusError::Refused { code, text: topic() });
        for error in bus.into_iter().chain(refused) {
            // What the bus calls fatal is that something must be changed: of another handle only this one speaks.
            let (text, is_fatal) = (error.to_string(), matches!(error, BusError::Unreadable { .. }));
            let expected = (error.is_retriable(), is_fatal);
            assert_eq!(told(error.into()), expected, "{text}");
        }
        let (epoch, position) = (Epoch(1), Position(0));
        let (asked, kept) = (Durability::Durable, Durability::Published);
        let publish = [
            PublishError::NotGranted { topic: topic(), partition: 0, why: topic() },
            PublishError::Misfit { topic: topic(), misfit: Misfit::Schema { found: 1, allowed: 2 } },
            PublishError::Closing { topic: topic(), partition: 0, epoch },
            PublishError::Lost { topic: topic(), partition: 0, epoch, why: topic() },
            PublishError::JournalFailed { topic: topic(), partition: 0, epoch, durable: position },
            PublishError::Timeout {
                topic: topic(),
                partition: 0,
                position,
                durability: asked,
                reached: position,
                timeout_ms: 1,
            },
            PublishError::NotKept { topic: topic(), asked, kept },
        ];
        for error in publish {
            let (text, expected) = (error.to_string(), (error.is_retriable(), error.is_fatal()));
            assert_eq!(told(error.into()), expected, "{text}");
        }
        let stuck = |source| SubscribeError::Cursor { topic: topic(), partition: 0, source };
        let subscribe = [
            SubscribeError::NoTopic,
            SubscribeError::OneSequence { topic: topic(), partitions: 2 },
            SubscribeError::NotKept { topic: topic(), asked, kept },
            SubscribeError::Timeout { topic: topic(), timeout_ms: 1 },
            stuck(CursorError::Ahead { wanted: Sequence(2), next: Sequence(1) }),
            stuck(CursorError::UnknownEpoch { wanted: Epoch(2), newest: epoch }),
            stuck(CursorError::Journal { position, source: "damaged".into() }),
        ];
        for error in subscribe {
            // Another start mends it where nothing else does: the other topics of the handle go on.
            let (text, expected) = (error.to_string(), (error.is_retriable(), false));
            assert_eq!(told(error.into()), expected, "{text}");
        }
    }

    #[test]
    fn a_panic_ends_as_a_code_with_its_text_as_the_last_error() {
        assert_eq!(call(|| panic!("of {} kinds", 2)), OYEZ_ERR_INTERNAL);
        let (mut code, mut text) = (OYEZ_OK, [0; 256]);
        // SAFETY: a place for a code, and as many bytes as are told.
        let len_bytes = unsafe { oyez_last_error(&raw mut code, text.as_mut_ptr(), text.len()) };
        // SAFETY: it ends with NUL.
        let text = unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().expect("UTF-8");
        assert_eq!((code, len_bytes as usize), (OYEZ_ERR_INTERNAL, text.len()));
        assert!(text.contains("of 2 kinds"), "{text}");
    }
}
