//! The phases of a session: how fast, and what.

/// A phase of a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// The opening auction: members send orders, the books fill.
    Open,
    /// Most of the day: quotes and orders come and go.
    Quiet,
    /// News: orders and prices at the peak rate.
    Burst,
    /// The closing auction, with many trades.
    Close,
}

/// The kinds of message that a phase mixes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    OrderUpdate,
    MarketUpdate,
    Quote,
    OrderEntry,
    FullTrade,
}

impl Phase {
    /// The phases in the order of a session.
    pub const ALL: [Phase; 4] = [Phase::Open, Phase::Quiet, Phase::Burst, Phase::Close];

    /// Messages a second at which it looks real.
    pub const fn rate_messages_per_s(self) -> u64 {
        match self {
            Phase::Open => 200_000,
            Phase::Quiet => 50_000,
            Phase::Burst => 1_000_000,
            Phase::Close => 300_000,
        }
    }

    /// Its part of a session's messages, of 100.
    pub(crate) const fn percent(self) -> u64 {
        match self {
            Phase::Open => 10,
            Phase::Quiet => 30,
            Phase::Burst => 45,
            Phase::Close => 15,
        }
    }

    /// The value in the schema's enum.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Phase::Open => 1,
            Phase::Quiet => 2,
            Phase::Burst => 3,
            Phase::Close => 4,
        }
    }

    /// The kind of message for a random byte.
    #[inline]
    pub(crate) fn kind(self, byte: u64) -> Kind {
        // How many of 256 messages are order updates, market updates, quotes and order entries; the rest are trades.
        let [order, market, quote, entry] = match self {
            Phase::Open => [140, 26, 20, 65],
            Phase::Quiet => [115, 64, 64, 10],
            Phase::Burst => [154, 90, 7, 3],
            Phase::Close => [128, 77, 13, 13],
        };
        match byte {
            _ if byte < order => Kind::OrderUpdate,
            _ if byte < order + market => Kind::MarketUpdate,
            _ if byte < order + market + quote => Kind::Quote,
            _ if byte < order + market + quote + entry => Kind::OrderEntry,
            _ => Kind::FullTrade,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phases_make_up_a_session() {
        assert_eq!(Phase::ALL.into_iter().map(Phase::percent).sum::<u64>(), 100);
        for phase in Phase::ALL {
            assert_eq!(phase.kind(255), Kind::FullTrade, "{phase:?}");
            assert_eq!(phase.kind(0), Kind::OrderUpdate, "{phase:?}");
        }
    }
}
