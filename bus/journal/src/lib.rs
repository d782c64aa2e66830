//! Segments, index, recorder, recovery, reading back.
