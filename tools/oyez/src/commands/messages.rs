//! Messages for people: decoded by a schema to JSON, or in hexadecimal.

use oyez::{Bus, TopicInfo};
use oyez_sbe::{Schema, Schemas};

use crate::failure::Failure;

/// The topic's schema, in each version that the catalog has; nothing where it has none.
pub(crate) fn schemas(bus: &Bus, topic: &TopicInfo) -> Result<Option<Schemas>, Failure> {
    if topic.binding.is_none() {
        return Ok(None);
    }
    let versions = bus.schemas_xml(&topic.name)?;
    let versions: Result<Vec<_>, _> = versions.iter().map(|xml| Schema::parse(xml, &topic.schema)).collect();
    Ok(Some(Schemas::new(versions?)?))
}

/// Decodes the messages of one topic, each by the schema of the version in its header.
pub(crate) struct Decoder {
    schemas: Option<Schemas>,
    json: Vec<u8>,
}

impl Decoder {
    /// By these schemas; without any, messages are shown in hexadecimal.
    pub(crate) fn new(schemas: Option<Schemas>) -> Decoder {
        Decoder { schemas, json: Vec::new() }
    }

    /// A message as one JSON value: an object by the schema, else its bytes as `{"_hex": …}`, with `_error` where the
    /// schema does not fit.
    pub(crate) fn json(&mut self, message: &[u8]) -> &str {
        self.json.clear();
        let decode = |schemas: &Schemas| oyez_sbe::decode_json(schemas.of_message(message)?, message, &mut self.json);
        let decoded = self.schemas.as_ref().map(decode);
        if !matches!(decoded, Some(Ok(_))) {
            let mut object = serde_json::Map::new();
            if let Some(Err(error)) = decoded {
                object.insert("_error".to_owned(), error.to_string().into());
            }
            object.insert("_hex".to_owned(), hex(message).into());
            self.json = serde_json::Value::from(object).to_string().into_bytes();
        }
        std::str::from_utf8(&self.json).expect("the decoder writes UTF-8")
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a hexadecimal line; blanks between digits are passed over.
///
/// # Errors
/// What is wrong, and the remedy.
pub(crate) fn unhex(line: &str) -> Result<Vec<u8>, Failure> {
    let mut digits = Vec::with_capacity(line.len());
    for character in line.chars().filter(|character| !character.is_whitespace()) {
        let digit =
            character.to_digit(16).ok_or_else(|| format!("`{character}` is no hexadecimal digit; write 0-9, a-f"))?;
        digits.push(digit as u8);
    }
    match digits.as_chunks::<2>() {
        (pairs, []) => Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect()),
        _ => Err(format!("{} hexadecimal digits; two make a byte, add the one that is missing", digits.len()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_goes_both_ways_and_says_what_is_wrong() {
        assert_eq!(unhex("00 fF1a\t").expect("good"), [0, 0xFF, 0x1A]);
        assert_eq!(unhex(&hex(&[1, 2, 0xFE])).expect("good"), [1, 2, 0xFE]);
        assert!(unhex("0g").expect_err("no digit").to_string().contains("`g`"));
        assert!(unhex("012").expect_err("odd").to_string().contains("3 hexadecimal digits"));
    }

    #[test]
    fn without_a_schema_or_with_the_wrong_one_the_bytes_are_shown() {
        assert_eq!(Decoder::new(None).json(&[1, 0xAB]), r#"{"_hex":"01ab"}"#);
        let schema = Schema::parse(oyez_sample::SCHEMA_XML, "sample").expect("the sample's schema");
        let mut decoder = Decoder::new(Some(Schemas::new([schema]).expect("one")));
        let shown = decoder.json(&[1, 2]).to_owned();
        assert!(shown.starts_with(r#"{"_error":""#) && shown.ends_with(r#","_hex":"0102"}"#), "{shown}");
        let mut buffer = [0; oyez_sample::MESSAGE_BYTES_MAX];
        let message = oyez_sample::Session::new(1).next(&mut buffer).to_vec();
        assert!(decoder.json(&message).starts_with(r#"{"_t":""#));
    }
}
