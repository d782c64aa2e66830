//! Schemas as images: what goes in comes out, and nothing else is taken for a schema.

mod shared;

use std::path::Path;

use oyez_sbe::{ImageError, Schema, decode_json};
use proptest::prelude::*;

const EVERY_KIND: &str = include_str!("fixtures/every-kind.xml");

fn every_kind() -> Schema {
    Schema::parse(EVERY_KIND, "every-kind.xml").expect("it is sound")
}

#[test]
fn every_schema_survives_unchanged() {
    let Some(root) = shared::folder("schemas", "image") else { return };
    let schemas = shared::files(&root, "xml").into_iter().filter_map(|path| Schema::load(path).ok());
    let mut count = 0;
    for schema in schemas {
        let image = schema.to_image();
        assert_eq!(Schema::from_image(&image).as_ref(), Ok(&schema));
        // Not aligned, as in the middle of a file.
        assert_eq!(Schema::from_image(&[&[0], &image[..]].concat()[1..]).as_ref(), Ok(&schema));
        count += 1;
    }
    assert!(count >= 117, "{count} schemas");
}

/// `OYEZ_BLESS=1` writes it anew: then `image::VERSION` has to be raised, if it has been released.
#[test]
fn the_image_is_golden() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/every-kind.image");
    let image = every_kind().to_image();
    if std::env::var_os("OYEZ_BLESS").is_some() {
        std::fs::write(&path, &image).expect("written");
    }
    let golden = std::fs::read(&path).expect("the golden image");
    assert_eq!(Schema::from_image(&golden).as_ref(), Ok(&every_kind()));
    assert!(golden == image, "the image has changed: raise image::VERSION, then OYEZ_BLESS=1");
}

#[test]
fn what_is_no_image_is_refused() {
    let told = |bytes: &[u8]| Schema::from_image(bytes).expect_err("it is no image").to_string();
    let image = every_kind().to_image();
    let no_image = "the bytes are no image of a schema, which begins with \"oyez-sbe\"; name another file";
    assert_eq!(told(b""), no_image);
    assert_eq!(told(EVERY_KIND.as_bytes()), no_image);
    let mut newer = image.clone();
    newer[8] += 1;
    assert_eq!(told(&newer), "the image has version 2, this build reads 1; compile the schema anew from its XML");
    let shortened = told(&image[..image.len() - 1]);
    assert!(
        shortened.starts_with("the image is damaged: ")
            && shortened.ends_with("; compile the schema anew from its XML")
    );
    for length in 0..image.len() {
        assert!(Schema::from_image(&image[..length]).is_err(), "{length} of {} bytes", image.len());
    }
}

/// The image of a schema with so many groups within one another.
fn image_of_groups(depth: usize) -> Vec<u8> {
    let make = move || {
        let mut schema = every_kind();
        let groups = &mut schema.messages[1].block.groups;
        let mut innermost = groups.remove(0);
        innermost.block.groups.clear();
        let mut outer = innermost.clone();
        for _ in 1..depth {
            let block = oyez_sbe::Block { groups: vec![outer], ..innermost.block.clone() };
            outer = oyez_sbe::Group { block, ..innermost.clone() };
        }
        groups.push(outer);
        schema.to_image()
    };
    // To make it and to forget it takes a stack that no reader has.
    let thread = std::thread::Builder::new().stack_size(1 << 30).spawn(make);
    thread.expect("a thread").join().expect("an image")
}

#[test]
fn an_image_may_not_ask_for_more_stack_than_a_compiled_schema() {
    assert!(Schema::from_image(&image_of_groups(16)).is_ok());
    for depth in [17, 30, 100_000] {
        let error = Schema::from_image(&image_of_groups(depth)).expect_err("it is too deep");
        assert!(matches!(error, ImageError::Damaged { .. }), "{error}");
    }
}

#[test]
fn a_schema_that_no_compiler_makes_is_refused() {
    let broken = |change: fn(&mut Schema)| {
        let mut schema = every_kind();
        change(&mut schema);
        match Schema::from_image(&schema.to_image()) {
            Err(ImageError::Damaged { reason }) => reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        broken(|schema| schema.messages[0].block.fields[0].type_id.0 = 9_999),
        "every type that is named is there"
    );
    assert_eq!(broken(|schema| schema.messages[0].block.fields[0].size_bytes += 1), "a field has the size of its type");
    assert_eq!(
        broken(|schema| schema.messages[0].block.fields[1].meta.name = "i8".into()),
        "members have different names"
    );
    assert_eq!(broken(|schema| schema.messages[0].template_id += 1_000), "every template is found by its id");
    assert_eq!(broken(|schema| schema.messages[0].block.length_bytes = 0), "a block holds its fields");
    assert_eq!(
        broken(|schema| schema.messages[0].meta.name = "Scalars\"".into()),
        "names are of letters, digits and _"
    );
    assert_eq!(broken(|schema| schema.types.reverse()), "types stand after those that they consist of");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 2_000 }))]
    /// Whatever has become of the bytes, what is taken for a schema can be used.
    #[test]
    fn damage_is_found_or_harmless(at in 16_usize..20_000, to: u8, body in prop::collection::vec(0_u8..4, 0..300)) {
        let mut image = every_kind().to_image();
        let at = 16 + at % (image.len() - 16);
        image[at] = to;
        if let Ok(schema) = Schema::from_image(&image) {
            for message in &schema.messages {
                let header = [message.block.length_bytes as u16, message.template_id, schema.id, schema.version];
                let header: Vec<u8> = header.into_iter().flat_map(u16::to_le_bytes).collect();
                let _ = decode_json(&schema, &[&header[..], &body].concat(), &mut Vec::new());
                schema.layout(message);
            }
        }
    }
}
