//! The codecs of both messages, from their schemas.

use std::path::Path;

fn main() {
    let out = std::env::var_os("OUT_DIR").expect("cargo sets it");
    for (schema, code) in [("car.xml", "car.rs"), ("../../sbe-codec/sample/schema/oyez-sample.xml", "order.rs")] {
        println!("cargo::rerun-if-changed={schema}");
        let schema = oyez_sbe::Schema::load(schema).expect("the schema is sound");
        let code_path = Path::new(&out).join(code);
        let source = oyez_sbe_generate::generate(&schema, &oyez_sbe_generate::Options::default());
        std::fs::write(code_path, source).expect("the folder can be written");
    }
}
