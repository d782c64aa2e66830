//! The guide's first messages, as they stand there. Rust's is compiled with the documentation of `oyez`.

use crate::house::House;
use crate::prefix::{compile, done, has, here, python};
use std::process::Command;

#[test]
fn the_first_message_of_the_guide_is_heard_in_c_and_in_python() {
    let test = "the_first_message_of_the_guide_is_heard_in_c_and_in_python";
    let guide = std::fs::read_to_string(here("../../docs/guide/app.md")).expect("the guide");
    let block = |language: &str| {
        let (_, rest) = guide.split_once(&format!("```{language}\n")).expect("a block");
        rest.split("```").next().expect("its end").to_owned()
    };
    let catalog = block("toml");
    let house = House::new(&catalog[catalog.find("[[topics]]").expect("a topic")..]);
    let source = |name: &str, text: String| {
        let file = house.folder().join(name);
        std::fs::write(&file, text).expect("written");
        file
    };
    let heard = "oyez, oyez, oyez\n";
    if has(test, &["gcc"]) {
        let program = house.folder().join("first");
        compile(&source("first.c", block("c")), &program, &[]);
        assert_eq!(done(Command::new(program).current_dir(house.folder())), heard);
    }
    if has(test, &["python3"]) {
        let script = source("first.py", block("python"));
        assert_eq!(done(python(&script).current_dir(house.folder())), heard);
    }
}
