//! What a topic was declared as when it was served last, or was about to be, kept beside its partitions: what no later catalog may say
//! otherwise, whether a broker ran meanwhile or not, and who may have its segments open. `docs/formats/journal.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use oyez_io::file;
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Topic};
use crate::plan::{broken, lasting};
use crate::serve::StartError;

/// What is kept of a topic.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Declared {
    /// The keys that another catalog cannot change, as a plan tells them.
    pub(crate) lasting: BTreeMap<String, String>,
    /// Who may have segments open that are there now: the rights to subscribe, as they may stand in a catalog.
    subscribe: BTreeSet<String>,
}

impl Declared {
    fn of(topic: &Topic) -> Declared {
        Declared { lasting: lasting(topic), subscribe: topic.subscribe.iter().map(ToString::to_string).collect() }
    }

    /// What was kept; nothing of a topic that was never served, or only by brokers that kept nothing.
    pub(crate) fn read(data: &Path, topic: &str) -> Result<Declared, StartError> {
        let path = path(data, topic);
        match std::fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Declared::default()),
            Err(error) => Err(StartError::Place { path, problem: "cannot read what the topic was declared as", error }),
            Ok(text) => serde_json::from_slice(&text).map_err(|error| StartError::Undeclared { path, error }),
        }
    }

    /// Whether all topics may be what the catalog declares: it is taken whole or not at all.
    pub(crate) fn check(catalog: &Catalog) -> Result<(), StartError> {
        for topic in &catalog.topics {
            if let Some(change) = broken(&Declared::read(&catalog.data, &topic.name)?, topic).into_iter().next() {
                return Err(StartError::Declared { catalog: catalog.path.clone(), change: Box::new(change) });
            }
        }
        Ok(())
    }

    /// Whether somebody may have segments open who may not subscribe any more.
    pub(crate) fn is_narrowed_by(&self, topic: &Topic) -> bool {
        !self.subscribe.is_subset(&Declared::of(topic).subscribe)
    }

    /// Keeps what a topic is declared as from now on, durably: nobody else has segments of it open that will be used again.
    pub(crate) fn keep(data: &Path, topic: &Topic) -> Result<(), StartError> {
        Declared::of(topic).replace(data, &topic.name)
    }

    /// Keeps who may subscribe from now on beside who could until now, before anybody does.
    pub(crate) fn widen(data: &Path, topic: &Topic) -> Result<(), StartError> {
        let (former, mut declared) = (Declared::read(data, &topic.name)?, Declared::of(topic));
        declared.subscribe.extend(former.subscribe);
        declared.replace(data, &topic.name)
    }

    fn replace(&self, data: &Path, topic: &str) -> Result<(), StartError> {
        if Declared::read(data, topic)? == *self {
            return Ok(());
        }
        let path = path(data, topic);
        let replaced = serde_json::to_vec_pretty(self).map_err(Into::into).and_then(|text| file::replace(&path, &text));
        replaced.map_err(|error| StartError::Place {
            path,
            problem: "cannot keep what the topic is declared as",
            error,
        })
    }
}

fn path(data: &Path, topic: &str) -> PathBuf {
    data.join(topic).join("declared")
}
