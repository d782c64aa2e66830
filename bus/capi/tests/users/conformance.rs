//! One script for all languages: each driver writes what came of each step, and that must be the script itself.

use crate::house::House;
use crate::prefix::{compile, done, has, here, python, under_valgrind};
use oyez::{Bus, Connect};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

#[path = "../../conformance/driver.rs"]
mod driver;

const SCHEMA: &str = include_str!("../../../client/tests/support/schema.xml");

/// A driver's run: its topics' prefix and what it runs as.
fn house(prefixes: &[&str], schema: &Path) -> House {
    std::fs::write(schema, SCHEMA).expect("a schema");
    let mut declared = format!("[schemas.test]\nfile = {schema:?}\n");
    for prefix in prefixes {
        let common = "ring_mib = 2\npublish = [\"self\"]\n";
        writeln!(declared, "[[topics]]\nname = \"{prefix}md\"\npartitions = 2\nschema = \"test\"\ntemplates = [\"One\", \"Two\"]\n{common}")
            .expect("text");
        writeln!(declared, "[[topics]]\nname = \"{prefix}quotes\"\nrecorded = false\n{common}").expect("text");
    }
    House::new(&declared)
}

#[track_caller]
fn conforms(language: &str, written: &str) {
    let script = std::fs::read_to_string(here("conformance/script.txt")).expect("the script");
    for (step, said) in script.lines().zip(written.lines()) {
        assert_eq!(said, step, "{language}: what it wrote, and the script");
    }
    assert_eq!(written.lines().count(), script.lines().count(), "{language}: steps");
}

#[test]
fn every_language_does_as_the_script_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let house = house(&["rust.", "c.", "asan.", "valgrind.", "cpp.", "python."], &folder.path().join("schema.xml"));
    let script = here("conformance/script.txt");
    let bus =
        Bus::connect(Connect::new(house.socket()).timeout(Duration::from_secs(60))).expect("a broker that serves");
    conforms("Rust", &driver::run(bus, "rust.", &std::fs::read_to_string(&script).expect("the script")));

    let run = |command: &mut Command, prefix: &str| done(command.arg(house.socket()).arg(&script).arg(prefix));
    if has("every_language_does_as_the_script_says (C)", &["gcc"]) {
        let [plain, sanitized] = ["plain", "sanitized"].map(|name| folder.path().join(name));
        compile(&here("conformance/driver.c"), &plain, &[]);
        conforms("C", &run(&mut Command::new(&plain), "c."));
        compile(
            &here("conformance/driver.c"),
            &sanitized,
            &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
        );
        conforms("C under AddressSanitizer", &run(&mut Command::new(sanitized), "asan."));
        if has("every_language_does_as_the_script_says (valgrind)", &["valgrind"]) {
            conforms("C under valgrind", &run(&mut under_valgrind(&plain), "valgrind."));
        }
    }
    if has("every_language_does_as_the_script_says (C++)", &["g++"]) {
        let program = folder.path().join("driver");
        compile(&here("conformance/driver.cpp"), &program, &["-fsanitize=address,undefined"]);
        conforms("C++", &run(&mut Command::new(program), "cpp."));
    }
    if has("every_language_does_as_the_script_says (Python)", &["python3"]) {
        conforms("Python", &run(&mut python(&here("conformance/driver.py")), "python."));
    }
}
