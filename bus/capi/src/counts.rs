//! What publishers and subscribers did: counted by their own thread, read by any.

use crate::argument::SizedStruct;
use crate::event::{OYEZ_EVENT_GAP, OYEZ_EVENT_LAPPED, OYEZ_EVENT_MESSAGE, OYEZ_EVENT_REWOUND, oyez_event};
use std::sync::atomic::{AtomicU64, Ordering};

/// What a publisher did since it was opened. Set `struct_size` before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct oyez_publisher_counts {
    /// sizeof(oyez_publisher_counts).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Messages that went out.
    pub messages: u64,
    /// Their bytes, without frame headers.
    pub message_bytes: u64,
    /// How often nothing was published for OYEZ_ERR_BACK_PRESSURED.
    pub back_pressured: u64,
    /// How often nothing was published for another reason.
    pub refused: u64,
}

/// What a subscriber took since it was opened. Set `struct_size` before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct oyez_subscriber_counts {
    /// sizeof(oyez_subscriber_counts).
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Messages.
    pub messages: u64,
    /// Their bytes.
    pub message_bytes: u64,
    /// Events OYEZ_EVENT_GAP.
    pub gaps: u64,
    /// Messages missing in them.
    pub missing: u64,
    /// Events OYEZ_EVENT_LAPPED.
    pub lapped: u64,
    /// Events OYEZ_EVENT_REWOUND.
    pub rewound: u64,
}

// SAFETY: as the trait asks: numbers behind a size.
unsafe impl SizedStruct for oyez_publisher_counts {
    const NAME: &'static str = "oyez_publisher_counts";
    const BYTES_MIN: usize = 40;
}
// SAFETY: as above.
unsafe impl SizedStruct for oyez_subscriber_counts {
    const NAME: &'static str = "oyez_subscriber_counts";
    const BYTES_MIN: usize = 56;
}

#[derive(Default)]
pub(crate) struct PublisherCounts {
    pub(crate) messages: AtomicU64,
    pub(crate) message_bytes: AtomicU64,
    pub(crate) back_pressured: AtomicU64,
    pub(crate) refused: AtomicU64,
}

#[derive(Default)]
pub(crate) struct SubscriberCounts {
    pub(crate) messages: AtomicU64,
    pub(crate) message_bytes: AtomicU64,
    gaps: AtomicU64,
    missing: AtomicU64,
    lapped: AtomicU64,
    rewound: AtomicU64,
}

impl PublisherCounts {
    pub(crate) fn told(&self) -> oyez_publisher_counts {
        oyez_publisher_counts {
            struct_size: 0,
            reserved: 0,
            messages: read(&self.messages),
            message_bytes: read(&self.message_bytes),
            back_pressured: read(&self.back_pressured),
            refused: read(&self.refused),
        }
    }
}

impl SubscriberCounts {
    /// What was taken from the bus.
    #[inline]
    pub(crate) fn take(&self, event: &oyez_event) {
        match event.kind {
            OYEZ_EVENT_MESSAGE => {
                add(&self.messages, 1);
                add(&self.message_bytes, event.len_bytes as u64);
            }
            OYEZ_EVENT_GAP => {
                add(&self.gaps, 1);
                add(&self.missing, event.to_sequence - event.sequence);
            }
            OYEZ_EVENT_LAPPED => add(&self.lapped, 1),
            OYEZ_EVENT_REWOUND => add(&self.rewound, 1),
            _ => {}
        }
    }

    pub(crate) fn told(&self) -> oyez_subscriber_counts {
        oyez_subscriber_counts {
            struct_size: 0,
            reserved: 0,
            messages: read(&self.messages),
            message_bytes: read(&self.message_bytes),
            gaps: read(&self.gaps),
            missing: read(&self.missing),
            lapped: read(&self.lapped),
            rewound: read(&self.rewound),
        }
    }
}

/// One writer: no other thread adds.
#[inline]
pub(crate) fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}
