//! The failures that a broker answers with. The numbers are for ever: a retired one stays reserved.

use crate::wire::{DecodeError, Field, Input};

macro_rules! failures {
    ($($(#[$doc:meta])+ $number:literal $name:ident $text:literal)+) => {
        /// Why a request was not granted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum FailureCode {
            $($(#[$doc])+ $name = $number,)+
        }

        impl FailureCode {
            /// Every code there is, in the order of their numbers.
            pub const ALL: &[FailureCode] = &[$(FailureCode::$name),+];

            /// The sentence that belongs to the code: what is wrong and what to do.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(FailureCode::$name => $text,)+ }
            }
        }

        impl Field for FailureCode {
            const BYTES: u16 = 2;
            fn put(&self, out: &mut Vec<u8>) {
                (*self as u16).put(out);
            }
            fn take(input: &mut Input<'_>) -> Result<Self, DecodeError> {
                match u16::take(input)? {
                    $($number => Ok(FailureCode::$name),)+
                    value => Err(DecodeError::Value { field: "FailureCode", value: value.into() }),
                }
            }
        }
    };
}

failures! {
    /// The request was not a message of this protocol, or came out of turn. The broker hangs up after it.
    1 BadMessage "the request is not a message of this protocol; client and broker are of different builds"
    /// The client speaks a version that this broker does not.
    2 Version "this broker does not speak the client's version; upgrade the older of the two"
    /// The catalog declares no such topic.
    3 UnknownTopic "the catalog has no such topic; `oyez topic list` shows those it has"
    /// The topic has fewer partitions.
    4 UnknownPartition "the topic has no such partition; `oyez topic describe` shows how many it has"
    /// The catalog does not let this user publish.
    5 PublishDenied "the catalog does not let this user publish here; add the user to `publish` of the topic"
    /// The catalog does not let this user subscribe.
    6 SubscribeDenied "the catalog does not let this user subscribe here; add the user to `subscribe` of the topic"
    /// The broker, or this user, has as many connections as the catalog allows.
    7 ConnectionLimit "too many connections; close some, or raise `connections_max` in the catalog"
    /// This connection has as many subscriptions as the catalog allows.
    8 SubscriptionLimit "too many subscriptions on one connection; raise `subscriptions_max` in the catalog"
    /// The epoch that the client speaks of is not its own.
    9 NotOwner "this connection does not own that epoch; open a publisher again"
    /// The epoch that the client wants back has ended.
    10 EpochEnded "that epoch has ended; open a publisher again, it goes on in a new epoch"
    /// The position is below what retention kept, or above what is written.
    11 NotInJournal "the journal does not hold that position; ask again for a later one"
    /// The topic has no journal.
    12 NotRecorded "the topic is not recorded; set `recorded = true` in the catalog to read what is past"
    /// The topic's journal failed: it takes nothing more until an operator has looked.
    13 JournalFailed "the topic's journal failed; see the broker's log, repair the disk, restart the broker"
    /// The broker is stopping.
    14 Closing "the broker is stopping; connect again when it is back"
    /// There is no memory for a ring.
    15 NoMemory "the broker has no memory for a ring; lower `ring_mib` or raise the limit that its log names"
    /// The broker has no descriptor left for this.
    16 NoDescriptor "the broker is out of descriptors; raise its limit (`LimitNOFILE=`) and restart it"
    /// Something failed at the broker that the client has no part in.
    17 Broker "the broker could not do it; its log says why"
    /// The topic has no schema.
    18 NoSchema "the topic has no schema; name one in the catalog"
    /// This client has as many unanswered requests as it may have.
    19 TooManyRequests "too many unanswered requests on this connection; wait for the answers first"
}

impl std::fmt::Display for FailureCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_stay() {
        let numbers: Vec<u16> = FailureCode::ALL.iter().map(|&code| code as u16).collect();
        assert_eq!(numbers, (1..=19).collect::<Vec<u16>>());
        assert_eq!(FailureCode::UnknownTopic as u16, 3);
        assert_eq!(FailureCode::Broker as u16, 17);
    }

    #[test]
    fn every_text_says_what_and_what_to_do() {
        for code in FailureCode::ALL {
            assert!(code.text().contains(';'), "{code:?} has no remedy");
            assert_eq!(code.to_string(), code.text());
        }
    }
}
