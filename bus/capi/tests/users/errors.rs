//! Every code is provoked once, by a program in C; OYEZ_ERR_INTERNAL, which no program can provoke, in the library's own
//! tests.

use crate::prefix::{compile, done, has, here};
use crate::scripted;
use std::collections::BTreeSet;
use std::process::Command;

#[test]
fn every_code_is_provoked_and_told_in_one_line() {
    if !has("every_code_is_provoked_and_told_in_one_line", &["gcc"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (program, socket) = (folder.path().join("errors"), folder.path().join("bus.sock"));
    scripted::serve(&socket);
    let _busy = scripted::busy(&folder.path().join("bus.sock.busy"));
    let run = |flags: &[&str]| {
        compile(&here("tests/users/errors.c"), &program, flags);
        done(Command::new(&program).arg(&socket).current_dir(folder.path()))
    };
    run(&["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
    let told = run(&[]);
    let seen: BTreeSet<i32> =
        told.lines().map(|line| line.split(' ').next().expect("a code").parse().expect("one")).collect();

    let header = std::fs::read_to_string(here("include/oyez.h")).expect("the header");
    let constants = header.lines().filter_map(|line| line.strip_prefix("#define ")?.split_once(' '));
    let codes = constants.filter(|(name, _)| name.starts_with("OYEZ_ERR_") || name.starts_with("OYEZ_REFUSED_"));
    let mut all: BTreeSet<i32> = codes.map(|(_, number)| number.parse().expect("a number")).collect();
    assert!(all.remove(&-1) && all.len() > 40, "{all:?}");
    assert_eq!(seen, all, "{told}");
}
