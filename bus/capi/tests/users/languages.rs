//! What the C++ header and the Python package do beyond the C functions.

use crate::prefix::{compile, done, has, here, prefix, python};
use std::path::Path;
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

#[test]
fn python_finds_the_library_in_a_folder_and_says_what_to_do_without_one() {
    if !has("python_finds_the_library_in_a_folder_and_says_what_to_do_without_one", &["python3"]) {
        return;
    }
    let import = |library: &Path| {
        let mut python = python(Path::new("-c"));
        python.arg("import oyez").env("OYEZ_LIBRARY", library).output().expect("it runs")
    };
    assert!(import(&prefix().join("lib")).status.success());
    let folder = tempfile::tempdir().expect("a folder");
    let said = String::from_utf8(import(folder.path()).stderr).expect("text");
    let last = said.lines().last().expect("an error");
    assert!(last.starts_with("ImportError: ") && last.contains(&format!("{}", folder.path().display())), "{said}");
    assert!(last.contains("name its liboyez.so.0, or the folder of it, in OYEZ_LIBRARY"), "{said}");
}
