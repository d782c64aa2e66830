//! What the C++ header and the Python package do beyond the C functions.

use crate::prefix::{compile, done, has, here, python};
use std::process::Command;

#[test]
fn functions_batches_and_parts_of_any_number_go_through_the_cpp_header() {
    if !has("functions_batches_and_parts_of_any_number_go_through_the_cpp_header", &["g++"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("owners");
    compile(&here("tests/users/owners.cpp"), &program, &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
    assert_eq!(done(&mut Command::new(program)), "");
}

#[test]
fn python_refuses_what_c_would_take_for_something_else() {
    if !has("python_refuses_what_c_would_take_for_something_else", &["python3"]) {
        return;
    }
    assert_eq!(done(&mut python(&here("tests/users/mistakes.py"))), "");
}
