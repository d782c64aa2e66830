//! `oyez sbe dump`: captures and files as JSON.

use std::fmt::Display;
use std::fs;
use std::path::Path;

use oyez_sbe::framing::{Framing, pcap};
use oyez_sbe::{Schema, Schemas};

use crate::args::{Format, SbeDumpArgs, SbeFraming};
use crate::failure::{Answer, Failure};
use crate::output::{Output, nobody_reads, note};

/// What a gzipped file begins with.
const GZIP: [u8; 2] = [0x1F, 0x8B];

pub(crate) fn run(args: &SbeDumpArgs, output: &mut Output) -> Result<Answer, Failure> {
    let schemas: Result<Vec<_>, _> = args.schemas.iter().map(Schema::load).collect();
    let framing = match args.framing {
        SbeFraming::Plain => Framing::Plain,
        SbeFraming::Sofh => Framing::Sofh,
        SbeFraming::B3 => Framing::B3,
        SbeFraming::Cme => Framing::Cme,
        SbeFraming::Optiq => Framing::Optiq,
    };
    let schemas = Schemas::new(schemas?)?;
    let mut dump = Dump { schemas, framing, output, json: Vec::new(), unpacked: Vec::new(), messages: 0, padded: 0 };
    dump.file(&args.file)?;
    let file = args.file.display();
    if dump.padded > 0 {
        let padded = dump.padded;
        note(format_args!(
            "{file}: {padded} messages are shorter than their framing says; the bytes behind are left out"
        ));
    }
    if dump.messages == 0 {
        note(format_args!("{file}: no message in it; see whether it is the file meant, and the --framing the venue's"));
    }
    Ok(Answer::Yes)
}

struct Dump<'a> {
    schemas: Schemas,
    framing: Framing,
    output: &'a mut Output,
    json: Vec<u8>,
    unpacked: Vec<u8>,
    messages: u64,
    /// Messages behind which their framing had more bytes.
    padded: u64,
}

impl Dump<'_> {
    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        let name = path.display();
        match pcap::payloads(path) {
            Ok(payloads) => self.capture(path, payloads.with_tcp()),
            Err(pcap::PcapError::NotACapture { .. }) => {
                let bytes = fs::read(path)
                    .map_err(|error| format!("{name}: cannot read: {error}; check the path and its rights"))?;
                if bytes.starts_with(&GZIP) {
                    return Err(format!("{name}: it is gzipped, and no capture; `gunzip` it first").into());
                }
                self.packet(&bytes, None).map_err(|failure| self.at(name, failure))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn capture(&mut self, path: &Path, mut payloads: pcap::Payloads) -> Result<(), Failure> {
        while let Some(payload) = payloads.next_payload()? {
            let place = (payload.frame, payload.time_ns);
            self.packet(payload.bytes, Some(place))
                .map_err(|failure| self.at(format_args!("{}: frame {}", path.display(), place.0), failure))?;
        }
        if payloads.skipped() > 0 {
            let (file, count) = (path.display(), payloads.skipped());
            note(format_args!("{file}: {count} frames bring no bytes of UDP or TCP, and are left out"));
        }
        if payloads.out_of_order() > 0 {
            let (file, count) = (path.display(), payloads.out_of_order());
            note(format_args!("{file}: {count} TCP segments are out of order; sort the capture, or see what is lost"));
        }
        Ok(())
    }

    /// A failure with its place. Where not even the first message is one, the framing may be another.
    fn at(&self, place: impl Display, failure: Failure) -> Failure {
        let framed = match self.framing {
            Framing::Plain if self.messages == 0 => ", or say by --framing how the venue puts messages into packets",
            _ => "",
        };
        if nobody_reads(&*failure) { failure } else { format!("{place}: {failure}{framed}").into() }
    }

    fn packet(&mut self, packet: &[u8], place: Option<(u64, u64)>) -> Result<(), Failure> {
        let Dump { schemas, framing, output, json, unpacked, messages, padded } = self;
        let measure = |bytes: &[u8]| oyez_sbe::message_length(schemas.of_message(bytes)?, bytes);
        framing.cut(packet, unpacked, measure, |message| -> Result<(), Failure> {
            json.clear();
            let length = oyez_sbe::decode_json(schemas.of_message(message)?, message, json)?;
            *messages += 1;
            *padded += u64::from(length < message.len());
            let json = std::str::from_utf8(json).expect("the decoder writes UTF-8");
            match (output.format, place) {
                (Format::Json, Some((frame, time_ns))) => {
                    output.line(format_args!("{{\"frame\":{frame},\"time_ns\":{time_ns},\"message\":{json}}}"))
                }
                (Format::Json, None) => output.line(format_args!("{{\"message\":{json}}}")),
                (Format::Text, _) => output.line(json),
            }
        })
    }
}
