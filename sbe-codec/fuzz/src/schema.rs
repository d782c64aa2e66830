//! Schemas: from XML and from images, with all that is made of them.

use oyez_sbe::{ByteOrder, Message, Schema, Slot, Strictness, diff};
use oyez_sbe_generate::{Options, generate};

/// XML; behind a NUL the body of a message of it. What is taken strictly is what is taken without a warning, and the
/// schema survives as an image.
pub(crate) fn xml(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let (xml, body) = input.split_at(end);
    let Ok(xml) = std::str::from_utf8(xml) else { return };
    let lenient = Schema::parse_with(xml, "fuzz.xml", Strictness::Lenient);
    let strict = Schema::parse_with(xml, "fuzz.xml", Strictness::Strict);
    let clean = lenient.as_ref().is_ok_and(|(_, warnings)| warnings.is_empty());
    assert_eq!(clean, strict.is_ok(), "{lenient:?} {strict:?}");
    match lenient {
        Ok((schema, warnings)) => {
            warnings.iter().for_each(crate::one_line);
            assert_eq!(Schema::from_image(&schema.to_image()).as_ref(), Ok(&schema));
            use_all(&schema);
            // Names that begin with `_` may be taken for keys of ours.
            if !xml.contains(['_']) {
                messages(&schema, body.get(1..).unwrap_or_default(), |bytes| crate::message::check(&schema, bytes));
            }
        }
        Err(error) => crate::one_line(&error),
    }
}

/// An image; what is taken is a schema as good as a compiled one, with the image's own bytes for a message.
pub(crate) fn image(input: &[u8]) {
    let Ok(schema) = Schema::from_image(input) else { return };
    assert_eq!(Schema::from_image(&schema.to_image()).as_ref(), Ok(&schema));
    use_all(&schema);
    let mut json = Vec::new();
    messages(&schema, input, |bytes| {
        json.clear();
        let _ = oyez_sbe::decode_json(&schema, bytes, &mut json);
    });
}

/// Everything that takes a schema alone.
fn use_all(schema: &Schema) {
    assert!(!generate(schema, &Options::default()).is_empty());
    let same = diff(schema, schema);
    assert!(same.readers() && same.writers() && same.changes.is_empty(), "{same:?}");
    for message in &schema.messages {
        schema.layout(message);
    }
}

/// A few messages of the schema, with this body and zeros behind it.
fn messages(schema: &Schema, body: &[u8], mut each: impl FnMut(&[u8])) {
    for message in schema.messages.iter().take(4) {
        let mut bytes = header(schema, message);
        bytes.extend_from_slice(body);
        bytes.resize(bytes.len() + message.block.length_bytes as usize + 256, 0);
        each(&bytes);
    }
}

fn header(schema: &Schema, message: &Message) -> Vec<u8> {
    let layout = schema.header();
    let mut bytes = vec![0; layout.size_bytes as usize];
    let mut put = |slot: Slot, value: u32| {
        let end = (slot.offset + slot.primitive.size_bytes()) as usize;
        let out = &mut bytes[slot.offset as usize..end];
        let little = u64::from(value).to_le_bytes();
        out.copy_from_slice(&little[..out.len()]);
        if schema.byte_order == ByteOrder::Big {
            out.reverse();
        }
    };
    put(layout.block_length, message.block.length_bytes);
    put(layout.template_id, message.template_id.into());
    layout.schema_id.into_iter().for_each(|slot| put(slot, schema.id.into()));
    put(layout.version, schema.version.into());
    bytes
}
