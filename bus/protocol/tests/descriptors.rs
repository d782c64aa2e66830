//! Descriptors that nobody asked for. Alone in its process, because it counts the process's open descriptors.

use std::fs::File;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use oyez_protocol::{Connection, ConnectionError, Message, Packet};
use oyez_ring::Position;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

fn packet(message: Message) -> Packet {
    Packet { correlation: 5, message }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

/// Sends bytes and descriptors past the codec.
fn send_raw(to: &Connection, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(descriptors.is_empty() || control.push(SendAncillaryMessage::ScmRights(descriptors)));
    rustix::net::sendmsg(to, &[IoSlice::new(bytes)], &mut control, SendFlags::empty()).expect("sent");
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc").count()
}

#[test]
fn foreign_descriptors_are_refused_and_closed() {
    let (one, other) = Connection::pair().expect("pair");
    let file = File::open("/proc/self/cmdline").expect("file");
    let closing = packet(Message::Closing {}).encode();
    let segment = packet(Message::SegmentOpened { base: Position(9) }).encode();
    send_raw(&one, b"warm-up, so that lazily opened descriptors are open", &[]);
    assert!(matches!(other.receive(soon()), Err(ConnectionError::Decode(_))));

    let before = open_descriptors();
    send_raw(&one, &closing, &[file.as_fd()]);
    let result = other.receive(soon());
    assert!(matches!(result, Err(ConnectionError::Descriptors { expected: 0, found: 1, .. })), "{result:?}");
    send_raw(&one, &segment, &[file.as_fd(), file.as_fd()]);
    let result = other.receive(soon());
    assert!(matches!(result, Err(ConnectionError::Descriptors { expected: 1, found: 2, .. })), "{result:?}");
    // More than there is room for: the kernel drops the rest and says so.
    send_raw(&one, &closing, &[file.as_fd(); 16]);
    let result = other.receive(soon());
    assert!(matches!(result, Err(ConnectionError::TooLong)), "{result:?}");
    send_raw(&one, &segment, &[]);
    let result = other.receive(soon());
    assert!(matches!(result, Err(ConnectionError::Descriptors { expected: 1, found: 0, .. })), "{result:?}");
    assert_eq!(open_descriptors(), before);
}
