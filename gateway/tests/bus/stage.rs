//! A broker with its keeper, the gateway's binary, Kafka, and a Python that reads it.

use crate::kafka_topic::KafkaTopic;
use crate::keeper::keeper;
use oyez::{Bus, Connect};
use oyez_journal::Folder;
use oyez_ring::Kind;
use oyez_ring::layout::EpochOpening;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/xtask/kafka/read_committed.py");

/// What the test finds outside.
pub(crate) struct Tools {
    pub(crate) kafka: KafkaTopic,
    python: OsString,
}

impl Tools {
    /// With a Kafka topic of its own.
    pub(crate) fn find(test: &str) -> Option<Tools> {
        let Some(python) = std::env::var_os("OYEZ_PYTHON") else {
            eprintln!("SKIPPED {test}: OYEZ_PYTHON is not set");
            return None;
        };
        Some(Tools { kafka: KafkaTopic::new(test)?, python })
    }

    /// What a reader that is not ours finds, in its own words: a line for each message.
    pub(crate) fn committed(&self) -> Vec<String> {
        let mut reader = Command::new(&self.python);
        let output = reader.args([READER, &self.kafka.bootstrap, &self.kafka.topic, "--bytes"]).output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout.lines().map(|line| line.expect("UTF-8")).collect()
    }
}

/// A message as the journal has it.
pub(crate) struct Line {
    pub(crate) epoch: u32,
    sequence: u64,
    time_ns: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Line {
    /// As the reader prints it.
    fn printed(&self) -> String {
        let hex: String = self.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} {} {} {} {hex}", self.sequence, self.epoch, self.time_ns, self.bytes.len())
    }
}

/// Sequences from 0 on, dense, none twice, and each message the journal's own.
#[track_caller]
pub(crate) fn assert_same(committed: &[String], journal: &[Line]) {
    for (sequence, (committed, line)) in (0..).zip(committed.iter().zip(journal)) {
        assert_eq!(line.sequence, sequence);
        assert_eq!(committed, &line.printed(), "Kafka's and the journal's message {sequence}");
    }
    assert_eq!(committed.len(), journal.len(), "messages in Kafka and in the journal");
}

pub(crate) struct Stage<'a> {
    folder: tempfile::TempDir,
    keeper: Child,
    /// Open, so that nothing the broker says fails.
    _stdout: BufReader<ChildStdout>,
    kafka: &'a KafkaTopic,
}

impl<'a> Stage<'a> {
    /// A broker with one topic, named as the one in Kafka, and bound to these versions of a schema, if any.
    pub(crate) fn new(tools: &'a Tools, schema: &[&Path]) -> Stage<'a> {
        // On a real disk: what is durable is refused on tmpfs, which /tmp may be.
        let dir = std::env::var_os("TMPDIR").unwrap_or("/var/tmp".into());
        let folder = tempfile::Builder::new().prefix("gateway").tempdir_in(dir).expect("a folder");
        declare(folder.path(), &tools.kafka.topic, schema);
        let mut keeper = keeper(&folder.path().join("catalog.toml")).stdout(Stdio::piped()).spawn().expect("starts");
        let mut stdout = BufReader::new(keeper.stdout.take().expect("is piped"));
        let mut lines = stdout.by_ref().lines().map_while(Result::ok);
        let is_ready = lines.any(|line| line.contains("ready "));
        let stage = Stage { folder, keeper, _stdout: stdout, kafka: &tools.kafka };
        assert!(is_ready, "the broker is ready");
        stage
    }

    /// Binds the topic to these versions, and kills the broker; the keeper starts another, which obeys.
    pub(crate) fn roll(&self, schema: &[&Path]) {
        declare(self.folder.path(), self.topic(), schema);
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.keeper.id())).expect("it runs").flatten();
        let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
        let broker = children.collect::<String>().trim().parse().ok().and_then(Pid::from_raw).expect("one child");
        kill_process(broker, Signal::KILL).expect("kills");
    }

    pub(crate) fn topic(&self) -> &str {
        &self.kafka.topic
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("bus.sock")
    }

    pub(crate) fn bus(&self) -> Bus {
        Bus::connect(Connect::new(self.socket())).expect("connects")
    }

    /// The lane of the topic, in the binary.
    pub(crate) fn gateway(&self) -> Gateway {
        let kafka = self.kafka;
        let mut command = Command::new(env!("CARGO_BIN_EXE_oyez-gateway"));
        command.arg("run").arg("--socket").arg(self.socket()).args(["--topic", &kafka.topic]);
        command.args(["--bootstrap", &kafka.bootstrap, "--kafka-topic", &kafka.topic, "--allow-unreplicated"]);
        Gateway(Some(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts")))
    }

    /// A clean stop; then what the journal holds on disk.
    pub(crate) fn stop(mut self) -> Vec<Line> {
        terminate(&self.keeper);
        assert_eq!(self.keeper.wait().expect("is a child").code(), Some(0));
        let folder = Folder::open(&self.folder.path().join("data").join(self.topic()).join("0")).expect("a journal");
        let end = folder.end().position;
        let mut reader = folder.reader().expect("a reader");
        let (mut epoch, mut lines) = (0, Vec::new());
        while let Some(frame) = reader.poll(end).unwrap_or_else(|error| panic!("{error}")) {
            let (sequence, time_ns) = (frame.sequence.0, frame.time_ns);
            match frame.kind {
                Kind::Epoch => epoch = EpochOpening::decode(frame.payload).expect("is whole").epoch.0,
                Kind::Message => lines.push(Line { epoch, sequence, time_ns, bytes: frame.payload.to_vec() }),
                _ => {}
            }
        }
        lines
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        if self.keeper.try_wait().is_ok_and(|ended| ended.is_none()) {
            terminate(&self.keeper);
            let _ = self.keeper.wait();
        }
    }
}

fn declare(folder: &Path, topic: &str, schema: &[&Path]) {
    let (schemas, schema) = match schema {
        [] => Default::default(),
        files => (format!("[schemas.s]\nfiles = {files:?}\n"), "schema = \"s\"\n"),
    };
    let catalog = format!(
        "[broker]\nname = \"gateway\"\ndata = \"data\"\nsocket = \"bus.sock\"\nsegment_mib = 4\n{schemas}\
         [[topics]]\nname = {topic:?}\nring_mib = 4\npublish = [\"self\"]\n{schema}"
    );
    std::fs::write(folder.join("catalog.toml"), catalog).expect("a catalog");
}

fn terminate(child: &Child) {
    let _ = kill_process(Pid::from_child(child), Signal::TERM);
}

/// Running until it is taken.
pub(crate) struct Gateway(Option<Child>);

impl Gateway {
    /// It must have run until now.
    pub(crate) fn kill(mut self) {
        let mut child = self.0.take().expect("runs");
        child.kill().expect("kills");
        let Output { status, stderr, .. } = child.wait_with_output().expect("is a child");
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{}", String::from_utf8_lossy(&stderr));
    }

    /// A clean stop.
    pub(crate) fn stop(mut self) {
        let child = self.0.take().expect("runs");
        terminate(&child);
        let Output { status, stderr, .. } = child.wait_with_output().expect("is a child");
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    }
}

impl Drop for Gateway {
    /// Nobody has taken it, so the test has failed: what it said may tell why.
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let told = child.wait_with_output().map(|output| output.stderr).unwrap_or_default();
            eprintln!("{}", String::from_utf8_lossy(&told));
        }
    }
}
