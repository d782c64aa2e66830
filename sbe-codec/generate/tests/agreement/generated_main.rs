//! Messages read and written with generated code, which is behind this text: a line for each, and one in answer.
//!
//! ```text
//! read NUMBER HEX       the values of a message of the schema with this number
//! cut NUMBER HEX        the same, if there are none in what is left of it after a cut at any byte
//! rewrite NUMBER HEX    the message that the values make when they are written
//! ```
//!
//! The form of values is that of `Reference.java`, but for what is absent, which is null as in the generated code.
#![allow(warnings, reason = "what a schema does not need is not used")]

use oyez_sbe_runtime as rt;
use std::fmt::Write as _;
use std::io::{BufRead, Write as _};

type Failure = Box<dyn std::error::Error>;

pub struct Out {
    text: String,
    version: u16,
}

impl Out {
    fn put(&mut self, name: &str, value: impl std::fmt::Display) {
        write!(self.text, " {name}={value}").expect("memory takes all");
    }

    fn constant(&mut self, name: &str, since_version: u16, value: impl Show) {
        match since_version <= self.version {
            true => value.show(name, self),
            false => self.put(name, "null"),
        }
    }

    fn hex(&mut self, name: &str, bytes: &[u8]) {
        self.put(name, format_args!("x{}", hex(bytes)));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

trait Show {
    fn show(&self, name: &str, out: &mut Out);
}

macro_rules! integers {
    ($($kind:ty)*) => {$(
        impl Show for $kind {
            fn show(&self, name: &str, out: &mut Out) {
                out.put(name, self);
            }
        }
    )*};
}

macro_rules! floats {
    ($($kind:ty)*) => {$(
        impl Show for $kind {
            fn show(&self, name: &str, out: &mut Out) {
                if self.is_nan() { out.put(name, "nan") } else { out.put(name, self.to_bits()) }
            }
        }
    )*};
}

macro_rules! arrays {
    ($($kind:ty)*) => {$(
        impl<const N: usize> Show for [$kind; N] {
            fn show(&self, name: &str, out: &mut Out) {
                out.put(name, self.map(|element| element.to_string()).join(","));
            }
        }
    )*};
}

integers!(i8 i16 i32 i64 u8 u16 u32 u64);
floats!(f32 f64);
arrays!(i8 i16 i32 i64 u16 u32 u64);

impl<const N: usize> Show for [u8; N] {
    fn show(&self, name: &str, out: &mut Out) {
        out.hex(name, self);
    }
}

impl<const N: usize> Show for &[u8; N] {
    fn show(&self, name: &str, out: &mut Out) {
        out.hex(name, *self);
    }
}

impl Show for &[u8] {
    fn show(&self, name: &str, out: &mut Out) {
        out.hex(name, self);
    }
}

impl Show for &str {
    fn show(&self, name: &str, out: &mut Out) {
        out.hex(name, self.as_bytes());
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self, name: &str, out: &mut Out) {
        match self {
            Some(value) => value.show(name, out),
            None => out.put(name, "null"),
        }
    }
}

fn answer(line: &str) -> Result<String, Failure> {
    let words: Vec<_> = line.split(' ').collect();
    let number: usize = words[1].parse()?;
    let byte = |at: usize| u8::from_str_radix(&words[2][at..at + 2], 16);
    let bytes = (0..words[2].len()).step_by(2).map(byte).collect::<Result<Vec<_>, _>>()?;
    let (read, rewrite) = SCHEMAS[number];
    if words[0] == "rewrite" {
        // Not zeros, so that what is not written is seen.
        let mut buffer = [0xAA; 65_536];
        let length = rewrite(&bytes, &mut buffer)?;
        return Ok(hex(&buffer[..length]));
    }
    let new = || Out { text: String::new(), version: 0 };
    let is_read = |length: &usize| read(&bytes[..*length], &mut new()).is_ok();
    if words[0] == "cut" && let Some(length) = (0..bytes.len()).find(is_read) {
        return Ok(format!("the first {length} bytes are read"));
    }
    let mut out = new();
    let length = read(&bytes, &mut out)?;
    Ok(format!("length={length}{}", out.text))
}

fn main() {
    let mut answers = std::io::BufWriter::new(std::io::stdout().lock());
    writeln!(answers, "ready").expect("somebody reads");
    for line in std::io::stdin().lock().lines() {
        let answer = answer(&line.expect("it is ASCII")).unwrap_or_else(|error| format!("failed {error}"));
        writeln!(answers, "{answer}").expect("somebody reads");
    }
}
