//! Reading back what no recorder of this build writes: a segment made by hand, after `docs/formats/segment.md`.

use oyez_journal::{Corrupt, Damage, Epochs, JournalId, JournalReader, ReadError, SegmentFile, Segments};
use oyez_ring::layout::{BlockOpening, CommitWord, FLAG_FIRST, FLAG_IGNORABLE, FLAG_LAST};
use oyez_ring::{Epoch, EpochStart, Kind, Position, Sequence};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const SEGMENT: u64 = 4 << 20;
const ID: JournalId = JournalId(7);
const START: EpochStart =
    EpochStart { epoch: Epoch(1), position: Position(0), sequence: Sequence(0), time_ns: 0, previous_end: Position(0) };

/// The only segment there is.
struct Only(File);

impl Segments for Only {
    fn segment(&mut self, _: Position) -> io::Result<Option<SegmentFile>> {
        Ok(Some(SegmentFile { base: Position(0), segment_bytes: SEGMENT, file: self.0.try_clone()? }))
    }

    fn earliest(&mut self) -> io::Result<Position> {
        Ok(Position(0))
    }
}

fn reader(file: File) -> JournalReader<Only> {
    let mut reader = JournalReader::new(ID, Epochs::from(vec![START]), Only(file));
    reader.seek(Position(0));
    reader
}

/// Frames of 32 bytes: number of the kind, flags, low bits of the sequence.
fn block(frames: &[(u8, u8, u16)]) -> Vec<u8> {
    let (position, sequence, epoch) = (Position(0), Sequence(0), Epoch(1));
    let opening = BlockOpening { position, sequence, epoch, under_way_bytes: 0 };
    let mut bytes = Vec::new();
    let mut push = |kind, flags, sequence_low, payload: &[u8]| {
        let word = CommitWord { length: 16 + payload.len() as u32, kind, flags, sequence_low };
        bytes.extend_from_slice(&word.pack().to_le_bytes());
        bytes.extend_from_slice(&1_u64.to_le_bytes());
        bytes.extend_from_slice(payload);
    };
    push(Kind::Block as u8, 0, 0, &opening.encode());
    frames.iter().for_each(|(kind, flags, sequence_low)| push(*kind, *flags, *sequence_low, &[9; 16]));
    bytes
}

fn segment(data: &[u8]) -> File {
    let seed = crc32c::crc32c(&[&ID.0.to_le_bytes()[..], &[0; 8], &1_u32.to_le_bytes()].concat());
    let times = [1_u64.to_le_bytes(), 1_u64.to_le_bytes()].concat();
    let mut slot = [&(data.len() as u64).to_le_bytes()[..], &[0; 16], &times, &[0; 8], &1_u32.to_le_bytes()].concat();
    slot.extend_from_slice(&crc32c::crc32c_append(seed, data).to_le_bytes());
    slot.extend_from_slice(&[0; 4]);
    slot.extend_from_slice(&crc32c::crc32c_append(seed, &slot).to_le_bytes());
    let file = tempfile::tempfile().unwrap();
    file.set_len(SEGMENT + 5 * 4096).unwrap();
    file.write_all_at(data, 0).unwrap();
    file.write_all_at(&slot, SEGMENT + 4 * 4096).unwrap();
    file
}

#[test]
fn a_frame_of_an_unknown_kind_is_skipped_if_it_says_so_and_else_an_error() {
    let data = block(&[(1, 0, 0), (40, FLAG_IGNORABLE, 0), (1, 0, 1), (41, 0, 0), (1, 0, 2)]);
    let mut reader = reader(segment(&data));
    let limit = Position(data.len() as u64);
    for sequence in 0..2 {
        assert_eq!(reader.poll(limit).unwrap().unwrap().sequence, Sequence(sequence));
    }
    for _ in 0..2 {
        let error = reader.poll(limit).unwrap_err();
        assert!(matches!(error, ReadError::UnknownKind { position: Position(144), kind: 41 }), "{error}");
    }
}

/// Of a block: in a journal, as in a ring, only the last fragment may leave its block unfilled.
#[test]
fn a_fragment_that_stands_wrong_is_corrupt() {
    let fragment = Kind::Fragment as u8;
    let [none, whole] = [0, FLAG_FIRST | FLAG_LAST];
    let cases = [
        (vec![(fragment, whole, 0), (1, 0, 1), (fragment, whole, 2)], 3),
        (vec![(1, 0, 0), (fragment, FLAG_LAST, 1)], 1),
        (vec![(1, 0, 0), (fragment, FLAG_FIRST, 1), (fragment, FLAG_LAST, 1)], 1),
        (vec![(fragment, none, 0)], 0),
    ];
    for (frames, good) in cases {
        let data = block(&frames);
        let mut reader = reader(segment(&data));
        let limit = Position(data.len() as u64);
        for sequence in 0..good as u64 {
            let frame = reader.poll(limit).unwrap().unwrap();
            assert_eq!((frame.kind, frame.sequence, frame.payload), (Kind::Message, Sequence(sequence), &[9; 16][..]));
        }
        match reader.poll(limit) {
            Ok(None) => assert_eq!(good, frames.len()),
            Err(ReadError::Corrupt(corrupt)) => {
                assert_eq!((corrupt.from, corrupt.cause), (Position(48 + 32 * good as u64), Damage::Frames));
            }
            other => panic!("{frames:?}: {other:?}"),
        }
    }
}

/// A process's own memory, where nothing is mapped, is as unreadable as a bad sector.
#[test]
fn what_the_device_cannot_read_is_corrupt() {
    let mut reader = reader(File::open("/proc/self/mem").unwrap());
    let error = reader.poll(Position(4096)).unwrap_err();
    let expected = Corrupt { from: Position(0), to: Position(64 << 10), cause: Damage::Slot };
    assert!(matches!(error, ReadError::Corrupt(corrupt) if corrupt == expected), "{error}");
}
