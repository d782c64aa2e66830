//! Real messages of venues: each decodes to its exact length, and cut anywhere is an error.

mod shared;

use std::collections::BTreeMap;
use std::path::Path;

use oyez_sbe::framing::Framing;
use oyez_sbe::framing::{self, b3, pcap};
use oyez_sbe::{DecodeError, Schema, Schemas, decode_json, encode_json, message_length};
use serde_json::{Value, json};

/// The message as JSON, after every check that holds for any whole message.
fn check(schema: &Schema, message: &[u8]) -> Value {
    let mut json = b"before".to_vec();
    let length = decode_json(schema, message, &mut json).unwrap_or_else(|error| panic!("{error}: {message:02x?}"));
    assert_eq!(length, message.len());
    assert_eq!(message_length(schema, message), Ok(length));
    let mut again = Vec::new();
    let encoded = encode_json(schema, &json[b"before".len()..], &mut again);
    let shown = || String::from_utf8_lossy(&json).into_owned();
    assert_eq!(encoded.unwrap_or_else(|error| panic!("{error}: {}", shown())), length);
    assert_eq!(again, message, "{}", shown());
    serde_json::from_slice(&json[b"before".len()..]).expect("it is JSON")
}

/// Cut at every byte, a message is an error, and nothing of it stays in the output.
fn check_cuts(schema: &Schema, message: &[u8]) {
    for length in 0..message.len() {
        let mut json = b"before".to_vec();
        let error = decode_json(schema, &message[..length], &mut json).expect_err("it is cut short");
        assert!(matches!(error, DecodeError::Truncated { .. }), "{error}");
        assert_eq!(json, b"before");
        assert_eq!(message_length(schema, &message[..length]), Err(error));
    }
}

#[test]
fn every_message_of_the_b3_captures_decodes_to_its_exact_length() {
    let (Some(data), Some(schemas)) = (shared::folder("data/b3-umdf", "b3"), shared::folder("schemas/b3-umdf", "b3"))
    else {
        return;
    };
    let schema = Schema::load(schemas.join("B3.Equities.BinaryUmdf.Sbe.v1.7.xml")).expect("it is sound");
    let mut counts = BTreeMap::new();
    for file in ["Instrument.pcap.gz", "Incremental.pcap.gz"] {
        let mut payloads = pcap::payloads(data.join(file)).expect("it is a capture");
        while let Some(payload) = payloads.next_payload().expect("the capture is whole") {
            for message in b3::Packet::parse(payload.bytes).expect("it is B3's").messages() {
                let message = message.expect("the packet is whole");
                let json = check(&schema, message);
                check_cuts(&schema, message);
                assert!(!json.to_string().contains("_unknown"), "{json}");
                *counts.entry(json["_t"].as_str().expect("it has a name").to_owned()).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(counts.values().sum::<i32>(), 13_399, "each became the same bytes again");
    let expected = [
        ("AuctionImbalance_19", 9),
        ("DeleteOrder_MBO_51", 1_979),
        ("ExecutionStatistics_56", 268),
        ("ExecutionSummary_55", 267),
        ("HighPrice_24", 2),
        ("MassDeleteOrders_MBO_52", 23),
        ("News_5", 3),
        ("Order_MBO_50", 3_088),
        ("PriceBand_22", 152),
        ("SecurityDefinition_12", 2_515),
        ("SecurityGroupPhase_10", 66),
        ("SecurityStatus_3", 4),
        ("Sequence_2", 4_629),
        ("TheoreticalOpeningPrice_16", 17),
        ("Trade_53", 377),
    ];
    assert_eq!(counts, expected.into_iter().map(|(name, count)| (name.to_owned(), count)).collect());
}

/// Cuts a venue's packet into messages.
type Cut = fn(&[u8]) -> Vec<&[u8]>;

fn cme(packet: &[u8]) -> Vec<&[u8]> {
    let packet = framing::cme::Packet::parse(packet).expect("it is CME's");
    packet.messages().map(|message| message.expect("the packet is whole")).collect()
}

fn memx(packet: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    let mut rest = packet.get(20..).unwrap_or(&[]);
    while let Some(length) = rest.first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length));
        messages.push(&rest[2..length + 2]);
        rest = &rest[length + 2..];
    }
    messages
}

fn b3_messages(packet: &[u8]) -> Vec<&[u8]> {
    let packet = b3::Packet::parse(packet).expect("it is B3's");
    packet.messages().map(|message| message.expect("the packet is whole")).collect()
}

/// The messages' own first member says how long each is, with up to 7 bytes of padding.
fn coinbase(packet: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    let mut rest = &packet[24..];
    while let Some(length) = rest.first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length));
        messages.push(&rest[..length]);
        rest = &rest[length..];
    }
    messages
}

/// Every capture of `folder`/wire whose name begins with `prefix`, with the schema of its version.
fn check_captures(folder: &Path, prefix: &str, schemas: &[&str], cut: Cut, padding_max: usize) -> usize {
    let load = |name: &&str| Schema::load(folder.join(name)).unwrap_or_else(|error| panic!("{error}"));
    let schemas = Schemas::new(schemas.iter().map(load)).unwrap_or_else(|error| panic!("{error}"));
    let mut count = 0;
    for entry in std::fs::read_dir(folder.join("wire")).expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
        if !name.starts_with(prefix) || !name.ends_with(".pcap") {
            continue;
        }
        let mut payloads = pcap::payloads(&path).expect("it is a capture").with_tcp();
        while let Some(payload) = payloads.next_payload().expect("the capture is whole") {
            for message in cut(payload.bytes) {
                let schema = schemas.of_message(message).unwrap_or_else(|error| panic!("{name}: {error}"));
                let length = message_length(schema, message).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(message.len() - length <= padding_max, "{name}: {length} of {}", message.len());
                check(schema, &message[..length]);
                check_cuts(schema, &message[..length]);
                count += 1;
            }
        }
        assert_eq!(payloads.out_of_order(), 0, "{name}");
    }
    count
}

#[test]
fn captures_of_four_venues_decode_exactly_and_cut_anywhere_are_errors() {
    let Some(root) = shared::folder("schemas", "captures") else { return };
    let check_cme = |version: &str, count| {
        let prefix = format!("Mdp3.Sbe.{version}-");
        let schema = format!("Cme.Futures.Mdp3.Sbe.{version}.xml");
        // Those of v1.12 are of TCP, with a session protocol of another schema id.
        let session = "../cme-other/Cme.Futures.SessionMgmt.Sbe.v0.2.xml";
        let schemas = [schema.as_str(), session];
        assert_eq!(check_captures(&root.join("cme-mdp3"), &prefix, &schemas, cme, 0), count, "CME {version}");
    };
    check_cme("v1.5", 15);
    check_cme("v1.8", 3);
    check_cme("v1.9", 15);
    check_cme("v1.12", 7);
    let b3 = |prefix, version, count| {
        let schema = format!("B3.Equities.BinaryUmdf.Sbe.{version}.xml");
        assert_eq!(check_captures(&root.join("b3-umdf"), prefix, &[&schema], b3_messages, 0), count, "B3 {version}");
    };
    b3("BinaryUmdf.v1.5", "v1.6", 5);
    b3("BinaryUmdf.v1.8", "v1.8", 2);
    let schema = "Memx.Equities.MemoirDepth.Sbe.v1.3.xml";
    assert_eq!(check_captures(&root.join("memx"), "Equities", &[schema], memx, 0), 60, "MEMX");
    let schema = "Coinbase.Derivatives.MarketDataApi.Sbe.v1.2.xml";
    assert_eq!(check_captures(&root.join("coinbase"), "MarketDataApi", &[schema], coinbase, 7), 13, "Coinbase");
}

#[test]
fn single_messages_decode_exactly_and_cut_anywhere_are_errors() {
    let Some(root) = shared::folder("schemas", "single messages") else { return };
    let cases = [
        (
            "real-logic/samples/example-schema.xml",
            "real-logic/samples/wire/car_example_baseline_data.sbe",
            Framing::Plain,
        ),
        (
            "real-logic/samples/example-extension-schema.xml",
            "real-logic/samples/wire/car_example_extension_data.sbe",
            Framing::Plain,
        ),
        ("fix/v1-0-standard/Examples.xml", "fix/v1-0-standard/wire/new-order-single.bin", Framing::Sofh),
        ("fix/v1-0-standard/Examples.xml", "fix/v1-0-standard/wire/execution-report.bin", Framing::Sofh),
        ("fix/sbe-examples/Examples.xml", "fix/v1-0-standard/wire/business-message-reject.bin", Framing::Sofh),
        ("binance/spot_3_2.xml", "binance/wire/execution_report_event_1.sbe", Framing::Plain),
        ("binance/spot_3_0.xml", "binance/wire/execution_report_event_1.sbe", Framing::Plain),
        ("binance/spot_3_4.xml", "binance/wire/execution_report_event_1.sbe", Framing::Plain),
        ("binance/spot_3_2.xml", "binance/wire/outbound_account_position_event_1.sbe", Framing::Plain),
        ("binance/spot_3_2.xml", "binance/wire/web_socket_response_1.sbe", Framing::Plain),
    ];
    for (schema, file, framing) in cases {
        let schema = Schema::load(root.join(schema)).expect("it is sound");
        let bytes = std::fs::read(root.join(file)).expect("it can be read");
        let message = match framing {
            Framing::Sofh => framing::sofh::messages(&bytes).next().expect("there is one").expect("it is whole"),
            _ => &bytes,
        };
        check(&schema, message);
        check_cuts(&schema, message);
    }
    let schema = Schema::load(root.join("cme-mdp3/Cme.Futures.Mdp3.Sbe.v1.8.xml")).expect("it is sound");
    for number in 0..5 {
        let packet = std::fs::read(root.join(format!("cme-mdp3/wire/tfgm-packet-{number}.bin"))).expect("it is there");
        for message in cme(&packet) {
            check(&schema, message);
            check_cuts(&schema, message);
        }
    }
}

/// The values that the reference tool's documentation gives for its car.
#[test]
fn the_car_has_the_known_values() {
    let Some(root) = shared::folder("schemas/real-logic/samples", "car") else { return };
    let bytes = std::fs::read(root.join("wire/car_example_baseline_data.sbe")).expect("it can be read");
    let expected = json!({
        "_t": "Car", "serialNumber": "1234", "modelYear": 2013, "available": "T", "code": "A",
        "someNumbers": [1, 2, 3, 4], "vehicleCode": "abcdef", "extras": ["sportsPack", "cruiseControl"],
        "discountedModel": "C",
        "engine": {
            "capacity": 2000, "numCylinders": 4, "maxRpm": 9000, "manufacturerCode": "123", "fuel": "Petrol",
            "efficiency": 35, "boosterEnabled": "T", "booster": { "BoostType": "NITROUS", "horsePower": 200 },
        },
        "fuelFigures": [
            { "speed": 30, "mpg": 35.9, "usageDescription": "Urban Cycle" },
            { "speed": 55, "mpg": 49.0, "usageDescription": "Combined Cycle" },
            { "speed": 75, "mpg": 40.0, "usageDescription": "Highway Cycle" },
        ],
        "performanceFigures": [
            { "octaneRating": 95, "acceleration": [
                { "mph": 30, "seconds": 4.0 }, { "mph": 60, "seconds": 7.5 }, { "mph": 100, "seconds": 12.2 } ] },
            { "octaneRating": 99, "acceleration": [
                { "mph": 30, "seconds": 3.8 }, { "mph": 60, "seconds": 7.1 }, { "mph": 100, "seconds": 11.8 } ] },
        ],
        "manufacturer": "Honda", "model": "Civic VTi", "activationCode": "abcdef",
    });
    let baseline = Schema::load(root.join("example-schema.xml")).expect("it is sound");
    assert_eq!(check(&baseline, &bytes), expected);

    // A reader of version 1: what that version added is absent, since the message is of version 0.
    let extension = Schema::load(root.join("example-extension-schema.xml")).expect("it is sound");
    let json = check(&extension, &bytes);
    assert_eq!((&json["uuid"], &json["cupHolderCount"]), (&Value::Null, &Value::Null));
    assert_eq!(json["model"], "Civic VTi");
}
