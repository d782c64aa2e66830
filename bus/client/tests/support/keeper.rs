//! A broker under its keeper, each the test's own program, run once more with one of the tests here. The module is `keeper`.

use oyez_broker::{Role, ServeOptions, serve};
use std::path::Path;
use std::process::Command;

const CATALOG: &str = "OYEZ_TEST_CATALOG";

#[test]
fn the_keeper_process() {
    let arguments = ["--exact", "keeper::the_broker_process", "--nocapture"].map(Into::into).to_vec();
    become_broker(Role::Keeper { arguments });
}

#[test]
fn the_broker_process() {
    become_broker(Role::Broker);
}

fn become_broker(role: Role) {
    let Some(catalog) = std::env::var_os(CATALOG) else { return };
    assert_eq!(serve(&ServeOptions { catalog: catalog.into(), role }), 0, "its exit code");
}

/// A keeper of that catalog, to be started.
pub(crate) fn keeper(catalog: &Path) -> Command {
    let mut keeper = Command::new(std::env::current_exe().expect("this test"));
    keeper.args(["--exact", "keeper::the_keeper_process", "--nocapture"]).env(CATALOG, catalog);
    keeper
}
