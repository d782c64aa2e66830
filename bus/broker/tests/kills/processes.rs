//! Keeper and broker, as parts that a stage starts: the test's own binary again.

use oyez_broker::{Role, ServeOptions, serve};

/// Where their catalog is.
pub(crate) const CATALOG: &str = "OYEZ_TEST_CATALOG";

#[allow(clippy::disallowed_methods, reason = "the exit code is what the stop is judged by")]
pub(crate) fn keeper_process() {
    let Some(catalog) = std::env::var_os(CATALOG) else { return };
    let arguments = ["--exact", "the_broker_process", "--nocapture"].map(Into::into).to_vec();
    let code = serve(&ServeOptions { catalog: catalog.into(), role: Role::Keeper { arguments } });
    std::process::exit(code.into());
}

#[allow(clippy::disallowed_methods, reason = "the exit code is what the keeper judges by")]
pub(crate) fn broker_process() {
    let Some(catalog) = std::env::var_os(CATALOG) else { return };
    let code = serve(&ServeOptions { catalog: catalog.into(), role: Role::Broker });
    std::process::exit(code.into());
}
