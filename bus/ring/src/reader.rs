//! Reading: copy out, then judge. A reader writes nothing, so no writer and no other reader notices it.

use crate::layout::{BLOCK_FRAME, BLOCK_PAYLOAD, BlockOpening, CommitWord, FLAG_IGNORABLE, Kind, message_bytes_max};
use crate::pace::Pace;
use crate::walk::{Join, Walk};
use crate::{BLOCK, Epoch, FRAME_HEADER, Memory, Origin, Position, Sequence};
use oyez_mem::sync;

/// No honest mark comes near it: 146 years at 1 GB/s.
pub(crate) const MARK_MAX: Position = Position(1 << 62);

/// A cursor into one epoch's ring.
pub struct Reader {
    memory: Memory,
    epoch: Epoch,
    position: Position,
    walk: Walk,
    pace: Pace,
    /// The payload of the frame stepped over last.
    copy: Box<[u8]>,
    join: Join,
}

/// What a poll found.
#[derive(Debug)]
pub enum Poll<'a> {
    /// Nothing new.
    Empty,
    /// The next frame.
    Frame(Frame<'a>),
    /// The writer is, or may be, overwriting what stood here: nothing more is to be had at this position.
    Lapped,
}

/// A frame, or a message that is several, copied out and judged.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Where it begins.
    pub position: Position,
    /// Where the next begins.
    pub end: Position,
    /// What it is.
    pub kind: Kind,
    /// `FLAG_…` of [`crate::layout`].
    pub flags: u8,
    /// The message's sequence; for a frame without one, that of the next message.
    pub sequence: Sequence,
    /// Publish time, in ns since 1970 UTC; 0 for padding, which carries none.
    pub time_ns: u64,
    /// Who handed the message in, where its topic has many publishers.
    pub origin: Option<Origin>,
    /// The payload without the origin, in the reader's own memory.
    pub payload: &'a [u8],
}

/// A frame that no honest writer makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid frame at position {position}: {reason:?}; its writer is broken, and the broker ends its epoch there")]
pub struct Invalid {
    /// Where it begins.
    pub position: Position,
    /// What is wrong.
    pub reason: Reason,
}

/// What can be wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Shorter than a commit word, past the block's end, or too short for its kind.
    Length,
    /// A kind that is unknown and not ignorable.
    Kind,
    /// The low 16 bits disagree with the count.
    Sequence,
    /// A block frame elsewhere than at a block's start.
    Block,
    /// A fragment that continues nothing, or something else where a message has to go on; or its fragments leave a block
    /// unfilled, are more than a message may have, or are not what the block between them tells.
    Fragment,
}

impl Reader {
    /// Starts at a block of the epoch; the sequence is learnt there. A block that the writer has marked but not reached
    /// polls as [`Poll::Empty`].
    ///
    /// # Panics
    /// Where `block` is not a block's start.
    pub fn at(memory: Memory, epoch: Epoch, block: Position) -> Reader {
        assert_eq!(block.in_block(), 0, "a reader starts at a block");
        let (copy, bytes_max) = (vec![0; BLOCK as usize].into(), message_bytes_max(memory.capacity_bytes()));
        let (walk, join) = (Walk::new(bytes_max), Join::new(bytes_max));
        Reader { memory, epoch, position: block, walk, pace: Pace::default(), copy, join }
    }

    /// The newest block of an epoch that starts at `start` which the writer has surely opened or soon will: where a
    /// reader starts that wants what comes from now on.
    pub fn newest_block(memory: &Memory, epoch: Epoch, start: Position) -> Position {
        // The mark is the writer's word, and any number: what comes of it is a block's start and far from overflow.
        let mark = memory.mark().min(MARK_MAX);
        let newest = Position(mark.0.saturating_sub(BLOCK)).block().max(start);
        let open = matches!(Reader::at(memory.clone(), epoch, newest).poll_any(), Ok(Poll::Frame(_)));
        if open { newest } else { Position(newest.0.saturating_sub(BLOCK)).max(start) }
    }

    /// Goes to another block of the epoch; the sequence is learnt there.
    ///
    /// # Panics
    /// As [`Reader::at`].
    pub fn seat(&mut self, block: Position) {
        assert_eq!(block.in_block(), 0, "a reader starts at a block");
        self.walk = Walk::new(message_bytes_max(self.memory.capacity_bytes()));
        self.join.forget();
        self.position = block;
    }

    /// Where what comes next begins: of a message of which only a part is there yet, where it began.
    #[inline]
    pub fn position(&self) -> Position {
        self.join.start().unwrap_or(self.position)
    }

    /// Everything below was read: [`Reader::position`], or beyond it a part of the message that begins there.
    #[inline]
    pub fn read_to(&self) -> Position {
        self.position
    }

    /// The message that comes next, or of which a part has; unknown until the first block was entered.
    #[inline]
    pub fn sequence(&self) -> Option<Sequence> {
        self.walk.sequence()
    }

    /// The message that [`Reader::poll`] gives next; unknown also within one that began before the reader did, for that
    /// may never come to its end, and then its number is the next one's.
    #[inline]
    pub fn next_sequence(&self) -> Option<Sequence> {
        self.walk.sequence().filter(|_| self.walk.is_between() || self.join.start().is_some())
    }

    /// The ring.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether a poll would find nothing. It looks and does no more: whoever polls nothing but this never rests.
    #[inline(always)]
    pub fn is_at_tail(&self) -> bool {
        // R1.
        let word = self.memory.load(self.position);
        word == 0 && self.judge(self.position)
    }

    /// The next message, or frame that is neither a block's opening, nor padding, nor of an unknown ignorable kind. A
    /// message that is several frames comes as one [`Kind::Message`]; of one that began before the reader did, nothing.
    ///
    /// # Errors
    /// [`Invalid`]; polling again finds it again.
    #[inline(always)]
    pub fn poll(&mut self) -> Result<Poll<'_>, Invalid> {
        self.poll_below(Position(u64::MAX))
    }

    /// The same of what ends at or below `limit`, where a frame ends: what lies above is not looked at.
    ///
    /// # Errors
    /// As [`Reader::poll`].
    #[inline(always)]
    pub fn poll_below(&mut self, limit: Position) -> Result<Poll<'_>, Invalid> {
        while self.position < limit {
            let mut over = Over::default();
            match self.advance::<true>(&mut over)? {
                Step::Empty => return Ok(Poll::Empty),
                Step::Lapped => return Ok(Poll::Lapped),
                Step::Over(Kind::Block | Kind::Padding) | Step::Skip => {}
                Step::Over(Kind::Fragment) => {
                    let payload = &self.copy[..over.payload_bytes];
                    if let Some(start) = self.join.add(over.position, over.flags, payload) {
                        return Ok(Poll::Frame(self.joined(start, over)));
                    }
                }
                Step::Over(kind) => return Ok(Poll::Frame(self.frame(kind, over))),
            }
        }
        Ok(Poll::Empty)
    }

    /// The next frame of any known kind, each fragment by itself: for the recorder, which takes every byte.
    ///
    /// # Errors
    /// [`Invalid`]; polling again finds it again.
    #[inline]
    pub fn poll_any(&mut self) -> Result<Poll<'_>, Invalid> {
        self.poll_any_below(Position(u64::MAX))
    }

    /// The same of what begins below `limit`: for the core, which has others to look after.
    ///
    /// # Errors
    /// As [`Reader::poll_any`].
    pub fn poll_any_below(&mut self, limit: Position) -> Result<Poll<'_>, Invalid> {
        while self.position < limit {
            let mut over = Over::default();
            match self.advance::<false>(&mut over)? {
                Step::Empty => return Ok(Poll::Empty),
                Step::Lapped => return Ok(Poll::Lapped),
                Step::Skip => {}
                Step::Over(kind) => return Ok(Poll::Frame(self.frame(kind, over))),
            }
        }
        Ok(Poll::Empty)
    }

    #[inline(always)]
    fn frame(&self, kind: Kind, over: Over) -> Frame<'_> {
        let Over { position, flags, sequence, time_ns, payload_bytes } = over;
        let (origin, payload) = Origin::split(flags, &self.copy[..payload_bytes]);
        Frame { position, end: self.position, kind, flags, sequence, time_ns, origin, payload }
    }

    #[cold]
    fn joined(&self, position: Position, over: Over) -> Frame<'_> {
        let Over { sequence, time_ns, .. } = over;
        let (end, kind) = (self.position, Kind::Message);
        let (origin, payload) = (self.join.origin(), self.join.bytes());
        Frame { position, end, kind, flags: 0, sequence, time_ns, origin, payload }
    }

    /// `LONG`: it may rest for long where there is nothing, for it has nothing else to do.
    #[inline(always)]
    fn advance<const LONG: bool>(&mut self, over: &mut Over) -> Result<Step, Invalid> {
        let position = self.position;
        // R1: pairs with W5.
        let word = self.memory.load(position);
        sync::fence_acquire();
        if word == 0 {
            return Ok(self.nothing_new::<LONG>());
        }
        let word = CommitWord::unpack(word);
        if position.in_block() == 0 {
            // R2: judged with the rest of the frame.
            let time_ns = self.memory.load(position.plus(8));
            let step = self.enter_block(word)?;
            let (sequence, payload_bytes) = (self.walk.sequence().unwrap_or_default(), BLOCK_PAYLOAD);
            *over = Over { position, flags: word.flags, sequence, time_ns, payload_bytes };
            return Ok(step);
        }
        // Clamped before it is used, and judged after the copy: until then it may be any lap's.
        let in_block = (BLOCK - position.in_block()) as usize;
        let length = (word.length as usize).clamp(8, in_block);
        let payload_bytes =
            if word.kind == Kind::Padding as u8 { 0 } else { length.saturating_sub(FRAME_HEADER as usize) };
        let mut time_ns = 0;
        if length >= FRAME_HEADER as usize && word.kind != Kind::Padding as u8 {
            // R2: relaxed, word by word.
            time_ns = self.memory.load(position.plus(8));
            // Whole words: a block holds nothing else.
            let padded = payload_bytes.next_multiple_of(8);
            self.memory.copy_out(position.plus(FRAME_HEADER), &mut self.copy[..padded]);
        }
        if !self.judge(position) {
            return Ok(Step::Lapped);
        }
        *over = Over { position, flags: word.flags, sequence: Sequence(0), time_ns, payload_bytes };
        self.accept(word, length, in_block, over)
    }

    /// From here on the frame is what its writer published.
    #[inline(always)]
    fn accept(&mut self, word: CommitWord, length: usize, in_block: usize, over: &mut Over) -> Result<Step, Invalid> {
        let is_plain = length == word.length as usize && length >= FRAME_HEADER as usize;
        if is_plain && let Some(sequence) = self.walk.pass_message(word) {
            over.sequence = sequence;
            self.step_over(length);
            self.pace.frame();
            return Ok(Step::Over(Kind::Message));
        }
        self.accept_other(word, length, in_block, over)
    }

    /// Whatever is not a message of one frame.
    #[cold]
    fn accept_other(
        &mut self,
        word: CommitWord,
        length: usize,
        in_block: usize,
        over: &mut Over,
    ) -> Result<Step, Invalid> {
        let position = self.position;
        let invalid = |reason| Err(Invalid { position, reason });
        if length != word.length as usize {
            return invalid(Reason::Length);
        }
        let Some(kind) = Kind::of(word.kind) else {
            if word.flags & FLAG_IGNORABLE == 0 {
                return invalid(Reason::Kind);
            }
            if !self.walk.is_between() {
                return invalid(Reason::Fragment);
            }
            self.step_over(length);
            return Ok(Step::Skip);
        };
        match kind {
            Kind::Block => return invalid(Reason::Block),
            Kind::Padding if length != in_block => return invalid(Reason::Length),
            Kind::Padding => {}
            _ if length < FRAME_HEADER as usize => return invalid(Reason::Length),
            _ => {}
        }
        match self.walk.pass(kind, word, length.next_multiple_of(8) == in_block) {
            Ok(sequence) => over.sequence = sequence,
            Err(reason) => return invalid(reason),
        }
        self.step_over(length);
        if kind != Kind::Padding {
            // Padding comes with the frame behind it, which is a single one all the same.
            self.pace.frame();
        }
        Ok(Step::Over(kind))
    }

    #[inline(always)]
    fn step_over(&mut self, length: usize) {
        self.position = Position((self.position.0 + length as u64).next_multiple_of(8));
    }

    /// The rule for entering a block: only where the judged block frame carries that very position, the epoch and a
    /// right CRC. Otherwise it is the previous lap's, which the writer has marked but not reached.
    #[cold]
    fn enter_block(&mut self, word: CommitWord) -> Result<Step, Invalid> {
        let position = self.position;
        // R2, and the same judgement.
        self.memory.copy_out(position.plus(FRAME_HEADER), &mut self.copy[..BLOCK_PAYLOAD]);
        if !self.judge(position) {
            return Ok(Step::Lapped);
        }
        let opening = BlockOpening::decode(&self.copy[..BLOCK_PAYLOAD])
            .filter(|_| word.kind == Kind::Block as u8 && u64::from(word.length) == BLOCK_FRAME)
            .filter(|opening| opening.position == position && opening.epoch == self.epoch);
        let Some(opening) = opening else { return Ok(Step::Empty) };
        self.walk.enter(&opening).map_err(|reason| Invalid { position, reason })?;
        self.position = position.plus(BLOCK_FRAME);
        Ok(Step::Over(Kind::Block))
    }

    /// R3 and R4.
    #[inline(always)]
    fn judge(&self, position: Position) -> bool {
        // R3: pairs with the fence of W2.
        sync::fence_acquire();
        self.memory.holds(position)
    }

    /// A word of zero may be a later lap's, too.
    #[inline(always)]
    fn nothing_new<const LONG: bool>(&mut self) -> Step {
        if !self.judge(self.position) {
            return Step::Lapped;
        }
        self.pace.nothing::<LONG>();
        Step::Empty
    }
}

/// The frame stepped over. Beside the step and not in it, for a poll must come down to registers: what is moved through
/// memory in one piece is loaded before its parts have left the store buffer, and that costs more than all the rest.
#[derive(Clone, Copy, Default)]
struct Over {
    position: Position,
    flags: u8,
    sequence: Sequence,
    time_ns: u64,
    payload_bytes: usize,
}

enum Step {
    Empty,
    Lapped,
    Skip,
    Over(Kind),
}
