//! What both messages have in common, and how it is timed.

use oyez_sbe::{Schema, decode_json};
use oyez_sbe_runtime::Error;
use std::hint::black_box;
use std::time::Instant;

use crate::allocations;

/// Number of the first message; the others count up from it in 256 steps.
const NUMBER: u64 = 1_000_000;
/// Where both messages have their number.
const NUMBER_AT: usize = 8;

/// On cache lines of its own, as on the other side: where the stack begins is another place in each run.
#[repr(align(64))]
struct Aligned<T>(T);

/// A message with a number, written from values and read into a sum of them.
pub(crate) trait Message: Sized {
    /// Its schema.
    const SCHEMA: &'static str;
    /// The values.
    fn new(number: u64) -> Self;
    /// Another number.
    fn set_number(&mut self, number: u64);
    /// The sum of all fields; texts and data by length, first and last byte.
    fn decode(bytes: &[u8]) -> Result<u64, Error>;
    /// Writes it, and gives its length in bytes.
    fn encode(&self, buffer: &mut [u8]) -> Result<usize, Error>;
}

/// Of a text: its length, its first and its last byte.
#[inline(always)]
pub(crate) fn text(bytes: &[u8]) -> u64 {
    match bytes {
        [] => 0,
        [first, ..] => bytes.len() as u64 + u64::from(*first) + u64::from(bytes[bytes.len() - 1]),
    }
}

/// The message with the first number.
///
/// # Errors
/// None for the messages here.
pub(crate) fn bytes<M: Message>() -> Result<Vec<u8>, Error> {
    let mut buffer = [0; 512];
    let length = M::new(NUMBER).encode(&mut buffer)?;
    Ok(buffer[..length].to_vec())
}

/// Reads, writes or prints the message `count` times, and tells ns, sum and allocations; of JSON the last text, too.
///
/// # Errors
/// The codec's.
pub(crate) fn run<M: Message>(task: &str, count: u64) -> Result<String, Box<dyn std::error::Error>> {
    let first = bytes::<M>()?;
    let mut buffer = Aligned([0; 512]);
    buffer.0[..first.len()].copy_from_slice(&first);
    match task {
        "decode" => {
            let timed = time(count, |number| {
                buffer.0[NUMBER_AT..][..8].copy_from_slice(&number.to_le_bytes());
                black_box(&mut buffer);
                M::decode(&buffer.0[..first.len()])
            })?;
            Ok(timed.told(&buffer.0[..first.len()]))
        }
        "encode" => {
            let mut message = Aligned(M::new(NUMBER));
            let timed = time(count, |number| {
                message.0.set_number(number);
                let encoded = black_box(&message).0.encode(&mut buffer.0);
                black_box(&mut buffer);
                encoded.map(|length| length as u64)
            })?;
            Ok(timed.told(&buffer.0[..first.len()]))
        }
        _ => {
            let schema = Schema::parse(M::SCHEMA, "schema")?;
            let mut json = Vec::with_capacity(64 << 10);
            let timed = time(count, |number| {
                buffer.0[NUMBER_AT..][..8].copy_from_slice(&number.to_le_bytes());
                json.clear();
                black_box(&mut buffer);
                decode_json(&schema, &buffer.0[..first.len()], &mut json)?;
                Ok::<_, oyez_sbe::DecodeError>(json.len() as u64)
            })?;
            Ok(format!("{} {}", timed.told(&json), String::from_utf8(json)?))
        }
    }
}

struct Timed {
    spent_ns: u128,
    sum: u64,
    allocations: u64,
}

fn time<E>(count: u64, mut once: impl FnMut(u64) -> Result<u64, E>) -> Result<Timed, E> {
    let mut sum = 0_u64;
    let allocated = allocations::count();
    let start = Instant::now();
    for at in 0..count {
        sum = sum.wrapping_add(once(NUMBER + at % 256)?);
    }
    let spent_ns = start.elapsed().as_nanos();
    Ok(Timed { spent_ns, sum, allocations: allocations::count() - allocated })
}

impl Timed {
    /// The sum goes on over the bytes of the last message.
    fn told(&self, bytes: &[u8]) -> String {
        let sum = bytes.iter().fold(self.sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        format!("{} {sum} {}", self.spent_ns, self.allocations)
    }
}
