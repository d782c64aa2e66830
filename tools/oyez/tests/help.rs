//! The help of every command, as it was looked at. `OYEZ_BLESS=1` writes it anew.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;

const COMMANDS: [&str; 28] = [
    "",
    "demo",
    "serve",
    "topic",
    "topic list",
    "topic describe",
    "topic renew",
    "topic take-over",
    "publish",
    "tail",
    "journal",
    "journal list",
    "journal verify",
    "journal dump",
    "catalog",
    "catalog check",
    "catalog plan",
    "catalog apply",
    "doctor",
    "sbe",
    "sbe check",
    "sbe describe",
    "sbe diff",
    "sbe dump",
    "sbe encode",
    "sbe generate",
    "import",
    "import pcap",
];

#[test]
fn the_help_is_golden() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/help");
    for command in COMMANDS {
        let output = Command::new(env!("CARGO_BIN_EXE_oyez")).args(command.split_whitespace()).arg("--help").output();
        let help = String::from_utf8(output.expect("it runs").stdout).expect("UTF-8");
        let path = golden.join(format!("{}.txt", format!("oyez {command}").trim().replace(' ', "-")));
        if std::env::var_os("OYEZ_BLESS").is_some() {
            std::fs::write(&path, &help).expect("written");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(help == expected, "{}: the help has changed; look at it, then OYEZ_BLESS=1:\n{help}", path.display());
        assert!(!help.contains("demo-part"), "the parts of the demo are nobody's to call:\n{help}");
    }
}
