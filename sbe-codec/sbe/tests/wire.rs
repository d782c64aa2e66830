//! Real messages of venues: each decodes to its exact length, and cut anywhere is an error.

mod samples;
mod shared;

use std::collections::BTreeMap;

use oyez_sbe::{DecodeError, Schema, decode_json, encode_json, message_length};
use samples::Sample;
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
fn every_sample_decodes_to_its_exact_length_and_cut_anywhere_is_an_error() {
    let Some(root) = shared::folder("", "samples") else { return };
    for Sample { files, schema, messages } in samples::samples(&root) {
        let mut counts = BTreeMap::new();
        for message in &messages {
            let json = check(&schema, message);
            check_cuts(&schema, message);
            assert!(!json.to_string().contains("_unknown"), "{json}");
            *counts.entry(json["_t"].as_str().expect("it has a name").to_owned()).or_insert(0) += 1;
        }
        if files == "data/b3-umdf/In" {
            let expected = B3.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
            assert_eq!(counts, expected);
        }
    }
}

/// What is known of the captures of B3.
const B3: [(&str, usize); 15] = [
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
