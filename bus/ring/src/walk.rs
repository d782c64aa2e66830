//! Walking over frames, those of a ring and those of a journal: what counts messages, and what puts a message together
//! that is several frames.
//!
//! A message above [`crate::ONE_FRAME_BYTES_MAX`] is a run of fragments of one sequence, with nothing but the openings of
//! blocks between them. Each but the last fills its block, and each block says how much of the message stands before it:
//! so a walk that begins at a block knows as much as one that has come from further back. (It has only the opening itself
//! to go by: a block may be entered before its frame's commit word and time are there, see the crate's page.)

use crate::layout::{BlockOpening, CommitWord, FLAG_FIRST, FLAG_LAST, FLAG_ORIGIN, Kind, ORIGIN_BYTES, origin_bytes};
use crate::{FRAME_HEADER, Origin, Position, Reason, Sequence};

/// How far a walk has come.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    sequence: Sequence,
    /// Bytes of the message of which a part has come; 0 between two messages, [`OUTSIDE`] before the first block.
    under_way_bytes: u64,
    /// Of a message and its origin.
    bytes_max: u64,
}

const OUTSIDE: u64 = u64::MAX;

impl Walk {
    /// A walk that begins with a block, over messages of at most `message_bytes_max`.
    pub fn new(message_bytes_max: usize) -> Walk {
        // Whether a message that is under way has an origin, a walk that begins within it does not know.
        let bytes_max = (message_bytes_max + ORIGIN_BYTES) as u64;
        Walk { sequence: Sequence(0), under_way_bytes: OUTSIDE, bytes_max }
    }

    /// The message that comes next, or of which a part has; unknown before the first block.
    #[inline(always)]
    pub fn sequence(&self) -> Option<Sequence> {
        (self.under_way_bytes != OUTSIDE).then_some(self.sequence)
    }

    /// Whether a message may begin here.
    #[inline(always)]
    pub fn is_between(&self) -> bool {
        self.under_way_bytes == 0
    }

    /// Into a block.
    ///
    /// # Errors
    /// It does not continue what came before.
    pub fn enter(&mut self, opening: &BlockOpening) -> Result<(), Reason> {
        let under_way_bytes = u64::from(opening.under_way_bytes);
        match self.under_way_bytes {
            OUTSIDE => (self.sequence, self.under_way_bytes) = (opening.sequence, under_way_bytes),
            _ if self.sequence != opening.sequence => return Err(Reason::Sequence),
            bytes if bytes != under_way_bytes => return Err(Reason::Fragment),
            _ => {}
        }
        Ok(())
    }

    /// Over a message that is one frame, where one may begin: what nearly every frame is. `None`, and nothing is passed: see
    /// [`Walk::pass`].
    #[inline(always)]
    pub(crate) fn pass_message(&mut self, word: CommitWord) -> Option<Sequence> {
        let sequence = self.sequence;
        if !self.is_between() || word.kind != Kind::Message as u8 || word.sequence_low != sequence.0 as u16 {
            return None;
        }
        if !holds_origin(word) {
            return None;
        }
        self.sequence.0 += 1;
        Some(sequence)
    }

    /// Over a frame of a known kind other than a block's opening; its sequence. `fills_block`: it ends with its block.
    ///
    /// # Errors
    /// No honest writer writes it here.
    pub fn pass(&mut self, kind: Kind, word: CommitWord, fills_block: bool) -> Result<Sequence, Reason> {
        let Some(sequence) = self.sequence() else { return Err(Reason::Block) };
        if word.sequence_low != sequence.0 as u16 {
            return Err(Reason::Sequence);
        }
        self.under_way_bytes = match kind {
            Kind::Message | Kind::Fragment if !holds_origin(word) => return Err(Reason::Length),
            Kind::Fragment => self.under_way_behind(word, fills_block).ok_or(Reason::Fragment)?,
            _ if !self.is_between() => return Err(Reason::Fragment),
            _ => 0,
        };
        self.sequence.0 += u64::from(kind.ends_message(word.flags));
        Ok(sequence)
    }

    /// How much of its message is under way behind a fragment; `None` where that fragment cannot be.
    fn under_way_behind(&self, word: CommitWord, fills_block: bool) -> Option<u64> {
        let part_bytes = u64::from(word.length).checked_sub(FRAME_HEADER).filter(|bytes| *bytes != 0)?;
        let bytes = self.under_way_bytes + part_bytes;
        let (is_first, is_last) = (word.flags & FLAG_FIRST != 0, word.flags & FLAG_LAST != 0);
        let begins = is_first == self.is_between() && (is_first || word.flags & FLAG_ORIGIN == 0);
        let follows = begins && (is_last || fills_block) && bytes <= self.bytes_max;
        follows.then_some(if is_last { 0 } else { bytes })
    }
}

/// Whether a frame of a message has room for the origin that its flags tell of.
#[inline(always)]
const fn holds_origin(word: CommitWord) -> bool {
    word.length as u64 >= FRAME_HEADER + origin_bytes(word.flags) as u64
}

/// Puts a message together. Its memory is taken when a message comes that is longer than all before, at most as much as
/// a message may have, and kept.
#[derive(Clone, Debug)]
pub struct Join {
    bytes: Vec<u8>,
    start: Option<Position>,
    origin: Option<Origin>,
    message_bytes_max: usize,
}

impl Join {
    /// For messages of at most `message_bytes_max`.
    pub fn new(message_bytes_max: usize) -> Join {
        Join { bytes: Vec::new(), start: None, origin: None, message_bytes_max }
    }

    /// The same, with the memory of the longest: adding allocates nothing.
    pub fn with_memory(message_bytes_max: usize) -> Join {
        Join { bytes: Vec::with_capacity(message_bytes_max), ..Join::new(message_bytes_max) }
    }

    /// Where the message begins of which a part is here.
    #[inline]
    pub fn start(&self) -> Option<Position> {
        self.start
    }

    /// Forgets that part: the rest of it will not come.
    pub fn forget(&mut self) {
        self.start = None;
    }

    /// Adds a fragment that a walk has passed; once it is the last, where the message begins. Of a message whose first
    /// fragment was not given here nothing is kept, and so it is never whole.
    #[cold]
    pub fn add(&mut self, position: Position, flags: u8, payload: &[u8]) -> Option<Position> {
        let (origin, payload) = Origin::split(flags, payload);
        if flags & FLAG_FIRST != 0 {
            self.bytes.clear();
            self.origin = origin;
            self.start = Some(position);
        }
        let start = self.start?;
        self.make_room(payload.len());
        self.bytes.extend_from_slice(payload);
        (flags & FLAG_LAST != 0).then(|| {
            self.start = None;
            start
        })
    }

    /// The bytes of the message that was whole last.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Who handed it in, where it says so.
    pub fn origin(&self) -> Option<Origin> {
        self.origin
    }

    /// Doubles, as vectors do, but never beyond what a message may have.
    fn make_room(&mut self, more_bytes: usize) {
        let (needed, capacity) = (self.bytes.len() + more_bytes, self.bytes.capacity());
        if needed > capacity {
            let target = needed.max((2 * capacity).min(self.message_bytes_max));
            self.bytes.reserve_exact(target - self.bytes.len());
        }
    }
}
