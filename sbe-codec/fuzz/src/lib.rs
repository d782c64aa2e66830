//! What must hold of any bytes whatever, one function for each face that foreign bytes meet.
//!
//! The fuzzer (`cargo xtask fuzz`) makes the bytes up; an ordinary test replays those in `corpus/`. A target panics
//! where something does not hold, and returns otherwise. `docs/testing.md` says how to go on from a finding.
#![forbid(unsafe_code)]

mod framing;
#[macro_use]
#[path = "../../generate/tests/values/mod.rs"]
mod values;
mod generated;
mod grown;
mod json;
mod message;
mod schema;

use std::sync::LazyLock;

use oyez_sbe::Schema;

/// A function that takes any bytes.
pub struct Target {
    /// Its name, which is also that of its folder in `corpus/`.
    pub name: &'static str,
    /// Panics if what must hold of the bytes does not.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "schema", run: schema::xml },
    Target { name: "image", run: schema::image },
    Target { name: "message", run: message::any },
    Target { name: "generated", run: generated::any },
    Target { name: "json", run: json::any },
    Target { name: "framing", run: framing::any },
];

/// Schemas that have every kind of member between them, in both byte orders.
static SCHEMAS: LazyLock<[Schema; 4]> = LazyLock::new(|| {
    let every_kind = include_str!("../../sbe/tests/fixtures/every-kind.xml");
    let grown = include_str!("../../generate/tests/schemas/grown.xml");
    let big = grown.replace("littleEndian", "bigEndian");
    [oyez_sample::SCHEMA_XML, every_kind, grown, &big]
        .map(|xml| Schema::parse(xml, "fuzz.xml").expect("our own schemas are sound"))
});

/// What is told of bad input is one line.
fn one_line(error: &impl std::fmt::Display) {
    let text = error.to_string();
    assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
}

/// The first byte chooses one of [`SCHEMAS`] for the bytes behind it.
fn choose(input: &[u8]) -> Option<(&'static Schema, &[u8])> {
    let (choice, rest) = input.split_first()?;
    Some((&SCHEMAS[usize::from(*choice) % SCHEMAS.len()], rest))
}
