//! What tests find outside the clone: system packages, a real Kafka, a Python with a client that is not ours,
//! the reference implementation of SBE.

use crate::failure::{Failure, Result};
use crate::kafka::Kafka;
use crate::places::Scratch;
use crate::{jars, packages, python};
use std::ffi::OsString;
use std::fs;

/// Kept up for as long as the value lives.
#[derive(Default)]
pub(crate) struct Outside {
    /// How tests are told where it is.
    pub(crate) env: Vec<(&'static str, OsString)>,
    /// One line for each thing that cannot be had; the tests that miss it skip themselves.
    pub(crate) skipped: Vec<String>,
    kafka: Option<Kafka>,
}

impl Outside {
    /// Brings all of it, and system packages only where that is allowed.
    pub(crate) fn bring(scratch: &Scratch, install: bool) -> Result<Outside> {
        let mut outside = Outside { skipped: packages::bring(install)?, ..Outside::default() };
        let dir = scratch.path().join("kafka");
        fs::create_dir(&dir).map_err(Failure::at(dir.display()))?;
        match Kafka::start(&dir) {
            Ok(kafka) => {
                println!("a real Kafka listens on {}", kafka.bootstrap);
                outside.env.push(("OYEZ_KAFKA_BOOTSTRAP", kafka.bootstrap.clone().into()));
                outside.kafka = Some(kafka);
            }
            Err(error) => outside.skipped.push(format!("kafka: {error}")),
        }
        match python::bring() {
            Ok(python) => outside.env.push(("OYEZ_PYTHON", python.into())),
            Err(error) => outside.skipped.push(format!("python: {error}")),
        }
        match jars::SBE.bring() {
            Ok(jars) => outside.env.push(("OYEZ_SBE_REFERENCE", jars.join("*").into())),
            Err(error) => outside.skipped.push(format!("sbe reference: {error}")),
        }
        Ok(outside)
    }
}
