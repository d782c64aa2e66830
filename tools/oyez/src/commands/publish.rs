//! `oyez publish`.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};

use oyez::{Bus, HeaderCheck, PublishError, TopicInfo, partition_of};
use oyez_sbe::Schemas;

use super::connect;
use super::messages::{schemas, unhex};
use super::publishing::{Pace, Publishing};
use crate::args::{Encoding, PublishArgs, Source};
use crate::failure::{Answer, Failure};
use crate::output::{Output, note};
use crate::progress::Progress;

pub(crate) fn run(args: PublishArgs, output: &mut Output) -> Result<Answer, Failure> {
    let bus = connect(&args.broker)?;
    let info = bus.describe(&args.topic)?;
    let mut input = Input::open(&args.source, info.message_bytes_max())?;
    let partition = args.key.as_ref().map_or(args.partition, |key| partition_of(key.as_bytes(), info.partitions));
    if let Some(key) = &args.key {
        note(format_args!("topic {}: key {key} belongs to partition {partition} of {}", args.topic, info.partitions));
    }
    let check = Check::new(&bus, info, args.headers_only)?;
    let mut publishing = match &args.origin {
        Some(origin) => Publishing::among(&bus, &args.topic, partition, origin)?,
        None if args.standby => Publishing::stand_by(&bus, &args.topic, partition)?,
        None => Publishing::open(&bus, &args.topic, partition)?,
    };
    let mut progress = Progress::new(format!("publishing to {}", args.topic), "messages");
    let (pace, limit) = (Pace::new(args.rate_messages_per_s), args.messages.unwrap_or(u64::MAX));
    let taken = publishing.taken();
    let place = |failure: Failure, input: &Input, count: u64| -> Failure {
        format!("{}: {failure} ({count} messages were {taken} before it)", input.place()).into()
    };
    while publishing.messages() < limit {
        let published = publishing.messages();
        let message = match input.next() {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(failure) => return Err(place(failure, &input, published)),
        };
        pace.wait_for(published);
        let done = check.message(&message).and_then(|()| publishing.publish(&message));
        done.map_err(|failure| place(failure, &input, published))?;
        progress.set(published + 1, args.messages.unwrap_or(0));
    }
    drop(progress);
    output.value(&publishing.finish()?)?;
    Ok(Answer::Yes)
}

/// What a topic takes, checked before it is published: a mistake here would be everybody's.
struct Check {
    topic: String,
    header: HeaderCheck,
    /// None where messages are not to be decoded, or cannot be.
    schemas: Option<Schemas>,
}

impl Check {
    fn new(bus: &Bus, info: TopicInfo, headers_only: bool) -> Result<Check, Failure> {
        let schemas = if headers_only { None } else { schemas(bus, &info)? };
        Ok(Check { topic: info.name, header: HeaderCheck::new(info.binding), schemas })
    }

    fn message(&self, message: &[u8]) -> Result<(), Failure> {
        let Check { topic, header, schemas } = self;
        header.check(message).map_err(|misfit| PublishError::Misfit { topic: topic.clone(), misfit })?;
        let Some(schemas) = schemas else { return Ok(()) };
        let length = schemas.of_message(message).and_then(|schema| oyez_sbe::message_length(schema, message));
        let length = length.map_err(|error| format!("topic {topic}: {error}"))?;
        match message.len() - length {
            0 => Ok(()),
            more => Err(format!("topic {topic}: the message ends at byte {length}, and {more} bytes follow; cut them off, or see whether the encoding is right").into()),
        }
    }
}

/// Where messages come from.
enum Input {
    Hex {
        name: String,
        lines: Box<dyn BufRead>,
        line: u64,
    },
    /// A length prefix that claims more than `bytes_max` is damage, or another format.
    LengthPrefixed {
        name: String,
        bytes: Box<dyn BufRead>,
        message: u64,
        bytes_max: usize,
    },
    Sample {
        session: Box<oyez_sample::Session>,
        message: u64,
    },
}

impl Input {
    fn open(source: &Source, bytes_max: usize) -> Result<Input, Failure> {
        if let Some(seed) = source.sample {
            return Ok(Input::Sample { session: Box::new(oyez_sample::Session::new(seed)), message: 0 });
        }
        let (name, bytes): (String, Box<dyn BufRead>) = match &source.file {
            None => ("stdin".to_owned(), Box::new(std::io::stdin().lock())),
            Some(path) => {
                let file = File::open(path).map_err(|error| {
                    format!("{}: cannot read: {error}; check the path and its rights", path.display())
                })?;
                (path.display().to_string(), Box::new(BufReader::new(file)))
            }
        };
        Ok(match source.encoding {
            Encoding::Hex => Input::Hex { name, lines: bytes, line: 0 },
            Encoding::LengthPrefixed => Input::LengthPrefixed { name, bytes, message: 0, bytes_max },
        })
    }

    /// Where the message given last stands.
    fn place(&self) -> String {
        match self {
            Input::Hex { name, line, .. } => format!("{name}, line {line}"),
            Input::LengthPrefixed { name, message, .. } => format!("{name}, message {message}"),
            Input::Sample { message, .. } => format!("sample, message {message}"),
        }
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Input::Hex { lines, line, .. } => next_line(lines, line),
            Input::LengthPrefixed { bytes, message, bytes_max, .. } => {
                *message += 1;
                next_framed(bytes, *bytes_max)
            }
            Input::Sample { session, message } => {
                *message += 1;
                Ok(Some(session.next(&mut [0; oyez_sample::MESSAGE_BYTES_MAX]).to_vec()))
            }
        }
    }
}

fn next_line(lines: &mut dyn BufRead, line: &mut u64) -> Result<Option<Vec<u8>>, Failure> {
    let mut text = String::new();
    loop {
        text.clear();
        *line += 1;
        if lines.read_line(&mut text).map_err(|error| format!("{error}; is it hexadecimal text?"))? == 0 {
            return Ok(None);
        }
        let text = text.trim();
        if !text.is_empty() && !text.starts_with('#') {
            return unhex(text).map(Some);
        }
    }
}

fn next_framed(bytes: &mut dyn BufRead, bytes_max: usize) -> Result<Option<Vec<u8>>, Failure> {
    if bytes.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let cut = |error: std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => "the input ends inside it; see whether the file is whole".to_owned(),
        _ => error.to_string(),
    };
    let mut length = [0; 4];
    bytes.read_exact(&mut length).map_err(cut)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > bytes_max {
        return Err(format!(
            "its length prefix says {length} bytes, and the topic takes {bytes_max}; is the encoding length-prefixed, \
             little-endian?"
        )
        .into());
    }
    let mut message = vec![0; length];
    bytes.read_exact(&mut message).map_err(cut)?;
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut input: Input) -> Result<Vec<Vec<u8>>, String> {
        let mut messages = Vec::new();
        loop {
            match input.next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => return Ok(messages),
                Err(failure) => return Err(format!("{}: {failure}", input.place())),
            }
        }
    }

    fn hex(text: &'static str) -> Result<Vec<Vec<u8>>, String> {
        all(Input::Hex { name: "in".to_owned(), lines: Box::new(text.as_bytes()), line: 0 })
    }

    fn framed(bytes: &'static [u8]) -> Result<Vec<Vec<u8>>, String> {
        all(Input::LengthPrefixed { name: "in".to_owned(), bytes: Box::new(bytes), message: 0, bytes_max: 1 << 20 })
    }

    #[test]
    fn both_encodings_are_read_and_name_the_place_of_what_is_wrong() {
        assert_eq!(hex("# two\n0102\n\n 03 04 \n"), Ok(vec![vec![1, 2], vec![3, 4]]));
        assert_eq!(framed(&[1, 0, 0, 0, 9, 0, 0, 0, 0]), Ok(vec![vec![9], vec![]]));
        assert!(hex("01\nzz\n").is_err_and(|text| text.starts_with("in, line 2: `z`")));
        for cut in [&[1_u8, 0][..], &[2, 0, 0, 0, 1]] {
            let text = all(Input::LengthPrefixed {
                name: "in".to_owned(),
                bytes: Box::new(std::io::Cursor::new(cut)),
                message: 0,
                bytes_max: 1 << 20,
            });
            assert!(text.is_err_and(|text| text.starts_with("in, message 1: the input ends inside")), "{cut:?}");
        }
        assert!(framed(&[0, 0, 0, 9]).is_err_and(|text| text.contains("length prefix says 150994944")));
    }
}
