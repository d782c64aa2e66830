//! Topics of many publishers, by the C functions and from Python.

use crate::house::House;
use crate::prefix::{compile, done, has, here, python};
use std::process::Command;

const MANY: &str = "[[topics]]\nname = \"many\"\nring_mib = 2\npublishers = \"many\"\npublish = [\"self\"]\n\
                    [topics.origins]\na = 1\nb = 7\n";

#[test]
fn many_hand_in_and_each_is_seen_by_its_number() {
    if !has("many_hand_in_and_each_is_seen_by_its_number", &["gcc"]) {
        return;
    }
    for flags in [&["-fsanitize=address,undefined", "-fno-sanitize-recover=all"][..], &[]] {
        let house = House::new(MANY);
        let program = house.folder().join("ingress");
        compile(&here("tests/users/ingress.c"), &program, flags);
        assert_eq!(done(Command::new(program).arg(house.socket())), "a 1000, b 500\n");
    }
}

#[test]
fn cpp_hands_in_and_sees_who_did() {
    if !has("cpp_hands_in_and_sees_who_did", &["g++"]) {
        return;
    }
    let house = House::new(MANY);
    let program = house.folder().join("ingress");
    compile(&here("tests/users/ingress.cpp"), &program, &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
    assert_eq!(done(Command::new(program).arg(house.socket())), "7 1\n7 2\n7 3\n");
}

#[test]
fn python_hands_in_and_sees_who_did() {
    let name = "python_hands_in_and_sees_who_did";
    if !has(name, &["python3"]) {
        return;
    }
    let house = House::new(MANY);
    let mut python = python(&here("tests/users/ingress.py"));
    assert_eq!(done(python.arg(house.socket())), "3 3 [(7, 1), (7, 2), (7, 3)]\n");
}
