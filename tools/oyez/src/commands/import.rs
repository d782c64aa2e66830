//! `oyez import pcap`.

use std::fmt::{Display, Formatter};

use indicatif::HumanCount;
use oyez_sbe::framing::{b3, pcap};
use serde::Serialize;

use super::connect;
use super::publishing::{Publishing, Summary};
use crate::args::{Framing, PcapArgs};
use crate::failure::{Answer, Failure};
use crate::output::Output;
use crate::progress::Progress;

/// What was imported.
#[derive(Serialize)]
struct Imported {
    capture: String,
    packets: u64,
    /// Frames of the capture that were no whole UDP datagrams.
    skipped: u64,
    #[serde(flatten)]
    published: Summary,
}

pub(crate) fn pcap(args: PcapArgs, output: &mut Output) -> Result<Answer, Failure> {
    let mut payloads = pcap::payloads(&args.capture)?;
    let mut publishing = Publishing::open(&connect(&args.broker)?, &args.topic, args.partition)?;
    let mut progress = Progress::new(format!("importing {}", args.capture.display()), "messages");
    let mut packets = 0;
    while let Some(payload) = payloads.next_payload()? {
        let published = publishing.messages();
        publish_packet(args.framing, payload.bytes, &mut publishing).map_err(|failure| {
            format!(
                "{}: frame {}: {failure} ({published} messages were published before it)",
                args.capture.display(),
                payload.frame
            )
        })?;
        packets += 1;
        progress.set(publishing.messages(), 0);
    }
    drop(progress);
    let capture = args.capture.display().to_string();
    output.value(&Imported { capture, packets, skipped: payloads.skipped(), published: publishing.finish()? })?;
    Ok(Answer::Yes)
}

fn publish_packet(framing: Framing, packet: &[u8], publishing: &mut Publishing) -> Result<(), Failure> {
    match framing {
        Framing::B3 => b3::Packet::parse(packet)?.messages().try_for_each(|message| publishing.publish(message?)),
    }
}

impl Display for Imported {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Imported { capture, packets, skipped, published } = self;
        write!(
            out,
            "{published}\n{capture}: {} packets, {} frames that are none",
            HumanCount(*packets),
            HumanCount(*skipped)
        )
    }
}
