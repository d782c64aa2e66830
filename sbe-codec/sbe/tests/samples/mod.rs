//! Every message of the samples beside the checkout, with a schema that reads it.

use std::path::Path;

use oyez_sbe::framing::{self, pcap};
use oyez_sbe::{Schema, message_length};

/// Messages of one schema.
pub(crate) struct Sample {
    /// How the names of their files begin, below `../shared`.
    pub(crate) files: &'static str,
    pub(crate) schema: Schema,
    pub(crate) messages: Vec<Vec<u8>>,
}

/// Cuts a packet into messages.
type Cut = for<'p> fn(&Schema, &'p [u8]) -> Vec<&'p [u8]>;

/// The schema, the files, and how many of their messages are of that schema. Older and newer readers are among them, and
/// over TCP CME sends messages of two schemas.
const SAMPLES: [(&str, &str, Cut, usize); 20] = [
    ("b3-umdf/B3.Equities.BinaryUmdf.Sbe.v1.7.xml", "data/b3-umdf/In", b3, 13_399),
    ("b3-umdf/B3.Equities.BinaryUmdf.Sbe.v1.6.xml", "schemas/b3-umdf/wire/BinaryUmdf.v1.5-", b3, 5),
    ("b3-umdf/B3.Equities.BinaryUmdf.Sbe.v1.8.xml", "schemas/b3-umdf/wire/BinaryUmdf.v1.8-", b3, 2),
    ("binance/spot_3_0.xml", "schemas/binance/wire/execution_report_event_1.sbe", whole, 1),
    ("binance/spot_3_2.xml", "schemas/binance/wire/", whole, 3),
    ("binance/spot_3_4.xml", "schemas/binance/wire/execution_report_event_1.sbe", whole, 1),
    ("cme-mdp3/Cme.Futures.Mdp3.Sbe.v1.5.xml", "schemas/cme-mdp3/wire/Mdp3.Sbe.v1.5-", cme, 15),
    ("cme-mdp3/Cme.Futures.Mdp3.Sbe.v1.8.xml", "schemas/cme-mdp3/wire/Mdp3.Sbe.v1.8-", cme, 3),
    ("cme-mdp3/Cme.Futures.Mdp3.Sbe.v1.8.xml", "schemas/cme-mdp3/wire/tfgm-packet-", cme, 6),
    ("cme-mdp3/Cme.Futures.Mdp3.Sbe.v1.9.xml", "schemas/cme-mdp3/wire/Mdp3.Sbe.v1.9-", cme, 15),
    ("cme-mdp3/Cme.Futures.Mdp3.Sbe.v1.12.xml", "schemas/cme-mdp3/wire/Mdp3.Sbe.v1.12-", cme, 3),
    ("cme-other/Cme.Futures.SessionMgmt.Sbe.v0.2.xml", "schemas/cme-mdp3/wire/Mdp3.Sbe.v1.12-", cme, 4),
    ("coinbase/Coinbase.Derivatives.MarketDataApi.Sbe.v1.2.xml", "schemas/coinbase/wire/", coinbase, 13),
    ("fix/v1-0-standard/Examples.xml", "schemas/fix/v1-0-standard/wire/", sofh, 3),
    ("fix/sbe-examples/Examples.xml", "schemas/fix/v1-0-standard/wire/", sofh, 3),
    ("memx/Memx.Equities.MemoirDepth.Sbe.v1.3.xml", "schemas/memx/wire/", memx, 60),
    ("real-logic/samples/example-schema.xml", "schemas/real-logic/samples/wire/", whole, 2),
    ("real-logic/samples/example-extension-schema.xml", "schemas/real-logic/samples/wire/", whole, 2),
    ("b3-umdf/B3.Equities.BinaryUmdf.Sbe.v1.8.xml", "data/b3-umdf/Instrument", b3, 2_515),
    ("b3-umdf/B3.Equities.BinaryUmdf.Sbe.v2.1.xml", "data/b3-umdf/Instrument", b3, 2_515),
];

/// All of them; each is exactly as long as its frame.
pub(crate) fn samples(root: &Path) -> Vec<Sample> {
    let mut paths = super::shared::files(root, "gz");
    paths.retain(|path| path.starts_with(root.join("data/b3-umdf")));
    ["pcap", "sbe", "bin"].iter().for_each(|extension| paths.extend(super::shared::files(root, extension)));
    let is_of = |path: &Path, files: &str| path.to_string_lossy().starts_with(&*root.join(files).to_string_lossy());
    for path in &paths {
        assert!(SAMPLES.iter().any(|(_, files, ..)| is_of(path, files)), "{} is no sample", path.display());
    }
    let load = |(schema, files, cut, count): &(&str, &'static str, Cut, usize)| {
        let schema = Schema::load(root.join("schemas").join(schema)).unwrap_or_else(|error| panic!("{error}"));
        let mut messages = Vec::new();
        for path in paths.iter().filter(|path| is_of(path, files)) {
            each_packet(path, |packet| {
                for message in cut(&schema, packet).into_iter().filter(|message| is_of_schema(&schema, message)) {
                    assert_eq!(message_length(&schema, message), Ok(message.len()), "{}", path.display());
                    messages.push(message.to_vec());
                }
            });
        }
        assert_eq!(messages.len(), *count, "{files}");
        Sample { files, schema, messages }
    };
    SAMPLES.iter().map(load).collect()
}

fn each_packet(path: &Path, mut each: impl FnMut(&[u8])) {
    if path.extension().is_some_and(|extension| extension == "sbe" || extension == "bin") {
        return each(&std::fs::read(path).expect("it can be read"));
    }
    let mut payloads = pcap::payloads(path).expect("it is a capture").with_tcp();
    while let Some(payload) = payloads.next_payload().expect("the capture is whole") {
        each(payload.bytes);
    }
    assert_eq!(payloads.out_of_order(), 0, "{}", path.display());
}

fn is_of_schema(schema: &Schema, message: &[u8]) -> bool {
    schema.header().read(message).expect("it has a header").schema_id.is_none_or(|id| id == schema.id)
}

fn whole<'p>(_: &Schema, packet: &'p [u8]) -> Vec<&'p [u8]> {
    vec![packet]
}

fn sofh<'p>(_: &Schema, packet: &'p [u8]) -> Vec<&'p [u8]> {
    framing::sofh::messages(packet).map(|message| message.expect("the packet is whole")).collect()
}

fn cme<'p>(_: &Schema, packet: &'p [u8]) -> Vec<&'p [u8]> {
    let packet = framing::cme::Packet::parse(packet).expect("it is CME's");
    packet.messages().map(|message| message.expect("the packet is whole")).collect()
}

fn b3<'p>(_: &Schema, packet: &'p [u8]) -> Vec<&'p [u8]> {
    let packet = framing::b3::Packet::parse(packet).expect("it is B3's");
    packet.messages().map(|message| message.expect("the packet is whole")).collect()
}

fn memx<'p>(_: &Schema, packet: &'p [u8]) -> Vec<&'p [u8]> {
    let mut messages = Vec::new();
    let mut rest = packet.get(20..).unwrap_or(&[]);
    while let Some(length) = rest.first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length));
        messages.push(&rest[2..length + 2]);
        rest = &rest[length + 2..];
    }
    messages
}

/// The messages' own first member says how long each is, with up to 7 bytes of padding.
fn coinbase<'p>(schema: &Schema, packet: &'p [u8]) -> Vec<&'p [u8]> {
    let mut messages = Vec::new();
    let mut rest = &packet[24..];
    while let Some(padded) = rest.first_chunk() {
        let padded = usize::from(u16::from_le_bytes(*padded));
        let length = message_length(schema, rest).expect("the packet is whole");
        assert!((length..length + 8).contains(&padded), "{length} of {padded}");
        messages.push(&rest[..length]);
        rest = &rest[padded..];
    }
    messages
}
