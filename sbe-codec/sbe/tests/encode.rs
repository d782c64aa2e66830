//! JSON as people write it: what is taken, and how what is wrong is told.

use oyez_sbe::{Schema, decode_json, encode_json};

fn schema() -> Schema {
    Schema::parse(include_str!("fixtures/every-kind.xml"), "every-kind.xml").expect("it is sound")
}

/// The JSON as it comes back, which is canonical.
#[track_caller]
fn canonical(json: &str) -> String {
    let (mut message, mut again) = (Vec::new(), Vec::new());
    encode_json(&schema(), json.as_bytes(), &mut message).unwrap_or_else(|error| panic!("{error}: {json}"));
    decode_json(&schema(), &message, &mut again).expect("what was encoded is decoded");
    String::from_utf8(again).expect("JSON is UTF-8")
}

#[track_caller]
fn refused(json: &str) -> String {
    let mut message = b"before".to_vec();
    let error = encode_json(&schema(), json.as_bytes(), &mut message).expect_err("it is no message");
    assert_eq!(message, b"before");
    error.to_string()
}

#[test]
fn keys_stand_in_any_order_and_what_is_null_may_be_left_out() {
    assert_eq!(
        canonical(
            "{ \"blob\": \"AQ==\",\n \"outer\": [ { \"note\": \"\\u00e9\\n\", \"a\": 7 } ], \"_t\": \"Nested\" }"
        ),
        r#"{"_t":"Nested","outer":[{"a":7,"inner":[],"note":"é\u000a"}],"blob":"AQ=="}"#
    );
    assert_eq!(canonical(r#"{"_t":"Nested"}"#), r#"{"_t":"Nested","outer":[],"blob":""}"#);
    assert_eq!(canonical(r#"{"_t":"Nested","outer":null,"blob":null}"#), r#"{"_t":"Nested","outer":[],"blob":""}"#);
}

#[test]
fn values_are_taken_as_people_write_them() {
    let odd = |amount: &str, time: &str| {
        let json = format!(
            r#"{{"_t":"Odd","float":1e0,"text":"x","side":"Buy","amount":{amount},"time":{time},"latin":"\u00e9"}}"#
        );
        canonical(&json).split_once("\"amount\":").expect("it is there").1.to_owned()
    };
    let rest = r#","latin":"é"}"#;
    assert_eq!(odd("12.50", "5"), format!(r#""12.50","time":"1970-01-01T00:00:00.005000000Z"{rest}"#));
    assert_eq!(
        odd("\"-7e3\"", "\"2026-02-28T23:59:59.5Z\""),
        format!(r#""-7e3","time":"2026-02-28T23:59:59.500000000Z"{rest}"#)
    );
    assert_eq!(odd("\"0\"", "\"-5\""), format!(r#""0","time":"1969-12-31T23:59:59.995000000Z"{rest}"#));
}

/// A decimal of a schema's scale is brought to it, if no digit is lost.
#[test]
fn decimals_are_brought_to_the_scale_of_the_schema() {
    let xml = include_str!("fixtures/every-kind.xml")
        .replace("presence=\"optional\"/>\n      <type name=\"exponent\"", "/>\n      <type name=\"exponent\"");
    let xml = xml.replace("<message name=\"Empty\"", "<message name=\"Priced\" id=\"6\"><field name=\"price\" id=\"1\" type=\"price\"/></message><message name=\"Empty\"");
    let schema = Schema::parse(&xml, "priced.xml").expect("it is sound");
    let price = |price: &str| {
        let (mut message, mut again) = (Vec::new(), Vec::new());
        encode_json(&schema, format!(r#"{{"_t":"Priced","price":{price}}}"#).as_bytes(), &mut message)?;
        decode_json(&schema, &message, &mut again).expect("what was encoded is decoded");
        Ok::<_, oyez_sbe::EncodeError>(String::from_utf8(again).expect("JSON is UTF-8"))
    };
    for same in ["12.5", "\"12.5000\"", "\"125e-1\"", "12.500000"] {
        assert_eq!(price(same).expect("it is exact"), r#"{"_t":"Priced","price":"12.5000"}"#, "{same}");
    }
    for lost in ["\"0.00001\"", "1e30", "\"1e9999999999\"", "\"\"", "\".5\"", "\"1.2.3\"", "null", "\"1e-2147483648\""]
    {
        assert!(price(lost).is_err(), "{lost}");
    }
}

#[test]
fn what_is_wrong_is_told_with_place_and_remedy() {
    assert_eq!(
        refused("{\"_t\":\"Nested\",\n \"outer\":[{\"a\":1},{\"a\":-1}]}"),
        "line 2, column 24: outer[1].a: `-1` is no value of uint16; correct it"
    );
    assert_eq!(refused("{\"_t\""), "line 1, column 6: this is not JSON: expected `:`; correct it");
    assert_eq!(refused("[]"), "line 1, column 1: an array is no value of an object; correct it");
    assert_eq!(refused("{}"), "line 1, column 1: \"_t\" is missing or null, and required; give its value");
    assert_eq!(
        refused(r#"{"_t":"Neted"}"#),
        "line 1, column 7: _t: schema every.kind has no message `Neted`; `_t` names one of Scalars, Nested, Grown, Odd, Empty"
    );
    assert_eq!(
        refused(r#"{"_t":"Nested","outer":[{}]}"#),
        "line 1, column 25: outer[0]: \"a\" is missing or null, and required; give its value"
    );
    assert_eq!(
        refused(r#"{"_t":"Nested","outer":[{"a":null}]}"#),
        "line 1, column 30: outer[0].a: \"a\" is missing or null, and required; give its value"
    );
    // What the rest of the JSON says is not for a header to say.
    for header in
        [r#""_header":{"templateId":3}"#, r#""_header":{"schemaId":3}"#, r#""_header_outer":{"numInGroup":3}"#]
    {
        assert!(refused(&format!(r#"{{"_t":"Nested",{header}}}"#)).contains("there is no "), "{header}");
    }
    assert_eq!(
        refused(r#"{"_t":"Nested","Outer":[]}"#),
        "line 1, column 24: Outer: there is no \"Outer\" here (the nearest is \"outer\"); leave it out"
    );
    assert_eq!(
        refused(r#"{"_t":"Nested","outer":[],"outer":[]}"#),
        "line 1, column 35: outer: the key \"outer\" stands here a second time; leave one out"
    );
    assert_eq!(
        refused(r#"{"_t":"Scalars","kind":"Limit"}"#).split_once(": ").expect("a place").1,
        "\"bytes\" is missing or null, and required; give its value"
    );
    assert_eq!(
        refused(r#"{"_t":"Grown","_header":{"version":0,"blockLength":4},"first":1,"late":2}"#),
        "line 1, column 72: late: a writer of version 0 and a block of 4 bytes has not got it; leave it out, or correct `_header`"
    );
    assert_eq!(
        refused(r#"{"_t":"Nested","blob":"AQ="}"#),
        "line 1, column 23: blob: `AQ=` is no value of base64, with its padding; correct it"
    );
    assert_eq!(
        refused(r#"{"_t":"Nested","_0":"AA=="}"#),
        "line 1, column 21: _0: `AA==` has 1 bytes, and there is room for 0; shorten it"
    );
    let long = format!(r#"{{"_t":"Nested","outer":[{{"a":1,"note":"{}"}}]}}"#, "x".repeat(256));
    assert!(
        refused(&long)
            .ends_with("the length of the data would be 256, which does not fit its uint8; make the message smaller")
    );
    let many = format!(r#"{{"_t":"Empty","empty":[{}{{}}]}}"#, "{},".repeat(65_535));
    assert!(refused(&many).contains("would not be read back: group empty"), "{}", refused(&many));
    assert_eq!(
        refused("{\"_t\":\"\u{e9}\", \u{e9}}"),
        "line 1, column 12: this is not JSON: expected a key in quotes; correct it"
    );
}

#[test]
fn constants_are_checked_and_texts_must_fit() {
    let odd = |text: &str, side: &str, latin: &str| {
        refused(&format!(
            r#"{{"_t":"Odd","float":1,"text":{text},"side":{side},"amount":"1","time":0,"latin":{latin}}}"#
        ))
    };
    assert!(
        odd("\"12345\"", "\"Buy\"", "\"\"").ends_with("text: `12345` has 5 bytes, and there is room for 4; shorten it")
    );
    assert!(odd("\"\"", "\"Bay\"", "\"\"").ends_with("side: `Bay` is no value of enum OddSide; correct it"));
    assert!(odd("\"\"", "\"Buy\"", "\"\u{20ac}\"").ends_with("is no value of ISO-8859-1; correct it"));
    let venue = include_str!("fixtures/every-kind.xml")
        .replace("<message name=\"Empty\"", "<message name=\"Where\" id=\"6\"><field name=\"venue\" id=\"1\" type=\"venue\"/></message><message name=\"Empty\"");
    let schema = Schema::parse(&venue, "venue.xml").expect("it is sound");
    assert!(encode_json(&schema, br#"{"_t":"Where","venue":"OYEZ"}"#, &mut Vec::new()).is_ok());
    let error = encode_json(&schema, br#"{"_t":"Where","venue":"ELSE"}"#, &mut Vec::new()).expect_err("it is not");
    assert!(error.to_string().ends_with("venue: a constant, which is \"OYEZ\" and nothing else; leave it out"));
}

/// A pair of braces may ask for 64 KiB, so that the sum is bounded.
#[test]
fn few_bytes_of_json_make_no_gigabytes() {
    let entries = format!("{}{{\"a\":1}}", "{\"a\":1},".repeat(254));
    let json = format!(r#"{{"_t":"Nested","_header_outer":{{"blockLength":65535}},"outer":[{entries}]}}"#);
    let mut message = Vec::new();
    assert!(encode_json(&schema(), json.as_bytes(), &mut message).is_ok(), "16 MiB are within the bound");
    let xml = include_str!("fixtures/every-kind.xml").replace(
        "<type name=\"numInGroup\" primitiveType=\"uint8\"/>",
        "<type name=\"numInGroup\" primitiveType=\"uint16\"/>",
    );
    let schema = Schema::parse(&xml, "many.xml").expect("it is sound");
    let json = json.replace("[{\"a\":1},", &format!("[{}", "{\"a\":1},".repeat(20_000)));
    let mut message = Vec::new();
    let error = encode_json(&schema, json.as_bytes(), &mut message).expect_err("it would be 1.3 GB").to_string();
    assert!(error.contains("more than 1") && error.ends_with("make it smaller"), "{error}");
    assert!(message.capacity() < 64 << 20, "{}", message.capacity());
}
