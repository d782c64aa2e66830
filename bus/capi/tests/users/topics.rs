//! A subscriber of many topics, one of which cannot be read on.

use crate::prefix::{compile, done, has, here};
use std::process::Command;

#[test]
fn a_topic_that_cannot_be_read_on_is_told_by_its_index_however_busy_the_others_are() {
    if !has("a_topic_that_cannot_be_read_on_is_told_by_its_index_however_busy_the_others_are", &["gcc"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("topics");
    compile(&here("tests/users/topics.c"), &program, &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
    assert_eq!(done(&mut Command::new(program)), "poll\npoll_controlled\nnext_batch\nseek\n");
}
