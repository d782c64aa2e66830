//! Numbers that must not be mixed.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }

        impl From<$inner> for $name {
            fn from(number: $inner) -> $name {
                $name(number)
            }
        }

        impl From<$name> for $inner {
            fn from(number: $name) -> $inner {
                number.0
            }
        }
    };
}

number! {
    /// A byte address in a partition since the beginning; a multiple of 8; never resets.
    Position(u64)
}

number! {
    /// The number of a message in its partition: 0, 1, 2, … dense; never resets.
    Sequence(u64)
}

number! {
    /// One owner's reign over a partition: 1, 2, 3, …
    Epoch(u32)
}

impl Position {
    /// The start of the block that holds this position.
    pub const fn block(self) -> Position {
        Position(self.0 & !(crate::BLOCK - 1))
    }

    /// The first block start at or above this position.
    pub const fn next_block(self) -> Position {
        Position(self.0.next_multiple_of(crate::BLOCK))
    }

    /// Bytes from the start of the block.
    pub const fn in_block(self) -> u64 {
        self.0 & (crate::BLOCK - 1)
    }

    /// The position `bytes` further on.
    pub const fn plus(self, bytes: u64) -> Position {
        Position(self.0 + bytes)
    }
}
