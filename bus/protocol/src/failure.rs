//! The sentences of the failures that a broker answers with.

use crate::FailureCode::{self, *};

impl FailureCode {
    /// The sentence that belongs to the code: what is wrong and what to do.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            BadMessage => "the request is not a message of this protocol; client and broker are of different builds",
            Version => "this broker does not speak the client's version; upgrade the older of the two",
            UnknownTopic => "the catalog has no such topic; `oyez topic list` shows those it has",
            UnknownPartition => "the topic has no such partition; `oyez topic describe` shows how many it has",
            PublishDenied => "the catalog does not let this user publish here; add the user to `publish` of the topic",
            SubscribeDenied => {
                "the catalog does not let this user subscribe here; add the user to `subscribe` of the topic"
            }
            ConnectionLimit => "too many connections; close some, or raise `connections_max` in the catalog",
            SubscriptionLimit => {
                "too many subscriptions; close some, or raise `subscriptions_max`, `areas_per_user_max` or `areas_max` in the catalog"
            }
            NotOwner => "this connection does not own that epoch; open a publisher again",
            EpochEnded => "that epoch has ended; open a publisher again, it goes on in a new epoch",
            NotInJournal => "the journal does not hold that position; ask again for a later one",
            NotRecorded => "the topic is not recorded; set `recorded = true` in the catalog to read what is past",
            JournalFailed => "the topic's journal failed; see the broker's log, repair the disk, restart the broker",
            Closing => "the broker is stopping; connect again when it is back",
            NoMemory => "the broker has no memory for a ring; lower `ring_mib` or raise the limit that its log names",
            NoDescriptor => "the broker is out of descriptors; raise its limit (`LimitNOFILE=`) and restart it",
            Broker => "the broker could not do it; its log says why",
            NoSchema => "the topic has no schema; name one in the catalog",
            TooManyRequests => "too many unanswered requests on this connection; wait for the answers first",
            TakeOverDenied => {
                "the owner is not to be killed, or cannot be; see `takeover` of the topic in the catalog, or end the owner"
            }
            NoStandby => "nobody would go on in the owner's place; start a standby first, and wait until it is warm",
            UnknownOrigin => {
                "the broker's catalog has no such publisher of the topic; add it to `origins`, with a number of its own, and restart the broker, which takes no change of them while it runs"
            }
            OtherPublishers => {
                "a topic of many publishers is published to under an origin, one of one publisher without; see `publishers` of the topic in the catalog"
            }
            RenewDenied => "only the broker's own user and root may have an owner renew its epoch; ask as one of them",
            NotRenewed => "not renewed; see who owns it, which may be stopped or of an older build, and ask again",
        }
    }
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
    fn numbers_are_dense_and_every_text_says_what_and_what_to_do() {
        let known = |number| FailureCode::try_from(crate::schema::FailureCode(number));
        for number in 1..=25 {
            let code = known(number).expect("a code");
            assert!(code.text().contains(';'), "{code:?} has no remedy");
            // The page is where users find the numbers; they are for ever.
            let line = format!("| {number} | `{code:?}` | {} |", code.text());
            assert!(include_str!("../../../docs/formats/protocol.md").contains(&line), "{line}");
        }
        assert!(known(0).is_err() && known(26).is_err());
    }
}
