//! `oyez sbe encode`: JSON lines to messages.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use oyez_sbe::Schema;

use crate::args::{Encoded, SbeEncodeArgs};
use crate::commands::messages::hex;
use crate::failure::{Answer, Failure};
use crate::output::Output;

/// No line may be longer: it is none of `dump`'s, or never ends.
const LINE_BYTES_MAX: usize = oyez_sbe::JSON_BYTES_MAX;

pub(crate) fn run(args: &SbeEncodeArgs, output: &mut Output) -> Result<Answer, Failure> {
    let schema = Schema::load(&args.schema)?;
    let (name, mut input): (String, Box<dyn BufRead>) = match &args.file {
        None => ("stdin".to_owned(), Box::new(std::io::stdin().lock())),
        Some(path) => {
            let name = path.display().to_string();
            let file = File::open(path)
                .map_err(|error| format!("{name}: cannot read: {error}; check the path and its rights"))?;
            (name, Box::new(BufReader::new(file)))
        }
    };
    let (mut line, mut message) = (Vec::new(), Vec::new());
    for number in 0_u32.. {
        line.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        input
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut line)
            .map_err(|error| format!("{name}: cannot read: {error}; check that it is a file"))?;
        if line.is_empty() {
            break;
        }
        if line.len() > LINE_BYTES_MAX {
            let place = format!("{name}: line {}", u64::from(number) + 1);
            return Err(format!("{place}: it has more than {LINE_BYTES_MAX} bytes; write one message a line").into());
        }
        // What is cut short is so at the end of its line, not at the start of the next.
        let json = line.trim_ascii_end();
        if json.is_empty() {
            continue;
        }
        message.clear();
        oyez_sbe::encode_json(&schema, json, &mut message).map_err(|mut error| {
            error.line = error.line.saturating_add(number);
            format!("{name}: {error}")
        })?;
        write(args.encoding, &message, output)?;
    }
    Ok(Answer::Yes)
}

fn write(encoding: Encoded, message: &[u8], output: &mut Output) -> Result<(), Failure> {
    match encoding {
        Encoded::Hex => output.line(hex(message)),
        Encoded::Raw => output.bytes(message),
        Encoded::LengthPrefixed => {
            output.bytes(&(message.len() as u32).to_le_bytes())?;
            output.bytes(message)
        }
    }
}
