//! Messages of 20 MB by the C functions.

use crate::house::House;
use crate::prefix::{compile, done, has, here};
use std::process::Command;

#[test]
fn a_message_of_20_mb_goes_every_way() {
    if !has("a_message_of_20_mb_goes_every_way", &["gcc"]) {
        return;
    }
    let house = House::new("[[topics]]\nname = \"long\"\nring_mib = 128\npublish = [\"self\"]\n");
    let program = house.folder().join("large");
    compile(&here("tests/users/large.c"), &program, &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
    assert_eq!(done(Command::new(program).arg(house.socket())), format!("longest {}\n", 32 << 20));
}
