//! Sealed shared memory and its atomic words.
