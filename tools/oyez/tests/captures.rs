//! Captures of a real venue, the whole way on the command line: imported, shown decoded, and byte for byte the
//! capture's own, out of the ring, and out of the journal once the broker was stopped and started again. Their way
//! into Kafka is in the gateway's tests.
#![forbid(unsafe_code)]

use oyez::{Bus, Connect, Digest, EventKind, Idle, Sequence, Start, TopicIndex};
use oyez_sbe::Schema;
use oyez_sbe::framing::{b3, pcap};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const OYEZ: &str = env!("CARGO_BIN_EXE_oyez");
/// Topic, capture, and how many messages it holds.
const CAPTURES: [(&str, &str, usize); 2] =
    [("incremental", "Incremental.pcap.gz", 10_884), ("instruments", "Instrument.pcap.gz", 2_515)];
const SCHEMA: &str = "schemas/b3-umdf/B3.Equities.BinaryUmdf.Sbe.v1.7.xml";
const PATIENCE: Duration = Duration::from_secs(60);

/// A message as a reader has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Heard {
    epoch: u32,
    sequence: u64,
    time_ns: u64,
    bytes: Vec<u8>,
}

#[test]
fn captures_are_the_same_bytes_out_of_ring_and_journal() {
    let shared = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    if !shared.is_dir() {
        return eprintln!("SKIPPED captures_are_the_same_bytes_out_of_ring_and_journal: ../shared is absent");
    }
    let house = House::new(&shared.join(SCHEMA));
    let schema = Schema::load(shared.join(SCHEMA)).expect("it is sound");

    let broker = house.serve();
    let mut live = house.listen(Start::Live);
    for (index, (topic, file, count)) in CAPTURES.into_iter().enumerate() {
        let capture = shared.join("data/b3-umdf").join(file);
        let messages = messages_of(&capture);
        assert_eq!(messages.len(), count, "{file}: messages of the capture");

        let capture = capture.to_str().expect("a path");
        let imported = &house.oyez(&["import", "pcap", capture, "--topic", topic, "--framing", "b3"])[0];
        assert_eq!((&imported["messages"], &imported["durability"]), (&count.into(), &"durable".into()), "{imported}");
        let heard = live.hear(index, count);
        assert_eq!(live.out_of_ring[index], count, "{topic}: messages out of the ring");
        assert_same(&heard, &messages);
        assert_eq!(imported["digest"], digest(&heard).as_str());

        let tail = house.oyez(&["tail", topic, "--from", "earliest", "--messages", &count.to_string()]);
        assert_decoded(&tail, &heard, &schema);
    }
    let before = live.heard.clone();
    drop(live);
    broker.stop();

    let broker = house.serve();
    let mut again = house.listen(Start::Earliest);
    for (index, (topic, _, count)) in CAPTURES.into_iter().enumerate() {
        assert!(again.hear(index, count) == before[index], "{topic}: journal and ring differ");
        assert_eq!(again.out_of_ring[index], 0, "{topic}: messages out of the ring");
    }
    drop(again);
    broker.stop();
}

/// What the capture holds, cut out of its packets.
fn messages_of(capture: &Path) -> Vec<Vec<u8>> {
    let mut payloads = pcap::payloads(capture).expect("it is a capture");
    let mut messages = Vec::new();
    while let Some(payload) = payloads.next_payload().expect("it is whole") {
        let packet = b3::Packet::parse(payload.bytes).expect("it is B3's");
        messages.extend(packet.messages().map(|message| message.expect("the packet is whole").to_vec()));
    }
    messages
}

#[track_caller]
fn assert_same(heard: &[Heard], messages: &[Vec<u8>]) {
    assert_eq!(heard.len(), messages.len());
    for (sequence, (heard, message)) in (0..).zip(heard.iter().zip(messages)) {
        assert_eq!((heard.epoch, heard.sequence), (1, sequence));
        assert_eq!(&heard.bytes, message, "message {sequence} was changed");
    }
}

/// The tail's lines, one a message but for the events in between, are what the schema makes of what was heard.
#[track_caller]
fn assert_decoded(tail: &[Value], heard: &[Heard], schema: &Schema) {
    let shown: Vec<_> = tail.iter().filter(|line| line.get("event").is_none()).collect();
    assert_eq!(shown.len(), heard.len());
    for (shown, heard) in shown.into_iter().zip(heard) {
        let mut json = Vec::new();
        oyez_sbe::decode_json(schema, &heard.bytes, &mut json).expect("the schema fits");
        let message: Value = serde_json::from_slice(&json).expect("it is JSON");
        let Heard { epoch, sequence, time_ns, .. } = heard;
        assert_eq!(
            shown,
            &serde_json::json!({"partition": 0, "epoch": epoch, "sequence": sequence, "time_ns": time_ns, "message": message})
        );
    }
}

fn digest(heard: &[Heard]) -> String {
    let mut digest = Digest::new();
    heard.iter().for_each(|heard| digest.add(Sequence(heard.sequence), heard.time_ns, &heard.bytes));
    oyez_journal::hex(&digest.value())
}

/// A catalog with both topics, and where everything is.
struct House {
    folder: tempfile::TempDir,
}

impl House {
    fn new(schema: &Path) -> House {
        // On a real disk: what is durable is refused on tmpfs, which /tmp may be.
        let dir = std::env::var_os("TMPDIR").unwrap_or("/var/tmp".into());
        let folder = tempfile::Builder::new().prefix("captures").tempdir_in(dir).expect("a folder");
        let mut catalog = format!(
            "[broker]\nname = \"captures\"\ndata = \"data\"\nsocket = \"bus.sock\"\nsegment_mib = 4\n\
             [schemas.b3]\nfile = {schema:?}\n"
        );
        for (topic, ..) in CAPTURES {
            catalog +=
                &format!("[[topics]]\nname = \"{topic}\"\nschema = \"b3\"\nring_mib = 4\npublish = [\"self\"]\n");
        }
        std::fs::write(folder.path().join("catalog.toml"), catalog).expect("a catalog");
        House { folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("bus.sock")
    }

    /// Runs the broker, and waits until it serves.
    fn serve(&self) -> Broker {
        let mut keeper = Command::new(OYEZ)
            .args(["serve", "--catalog"])
            .arg(self.folder.path().join("catalog.toml"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut stdout = BufReader::new(keeper.stdout.take().expect("is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("reads");
        let broker = Broker { keeper, _stdout: stdout };
        assert!(line.starts_with("ready "), "the broker says {line:?}");
        broker
    }

    /// Runs a command to its end, within a minute; its lines.
    fn oyez(&self, arguments: &[&str]) -> Vec<Value> {
        let mut command = Command::new("timeout");
        command.arg(PATIENCE.as_secs().to_string()).arg(OYEZ).args(["--format", "json"]).args(arguments);
        let output = command.arg("--socket").arg(self.socket()).output().expect("runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "oyez {arguments:?} ended with {}: {told}", output.status);
        output.stdout.lines().map(|line| serde_json::from_str(&line.expect("UTF-8")).expect("JSON")).collect()
    }

    fn listen(&self, start: Start) -> Listener {
        let bus = Bus::connect(Connect::new(self.socket())).expect("connects");
        let builder = CAPTURES.iter().fold(bus.subscriber(), |builder, (topic, ..)| builder.topic(topic, start));
        let mut listener = Listener {
            subscriber: builder.open().expect("subscribes"),
            heard: Default::default(),
            out_of_ring: [0; CAPTURES.len()],
            caught_up: 0,
        };
        if start == Start::Live {
            listener.listen(|listener| listener.caught_up == CAPTURES.len());
        }
        listener
    }
}

struct Broker {
    keeper: Child,
    /// Open, so that nothing it says fails.
    _stdout: BufReader<ChildStdout>,
}

impl Broker {
    /// A clean stop.
    fn stop(mut self) {
        assert_eq!(self.terminate(), Some(0));
    }

    fn terminate(&mut self) -> Option<i32> {
        let _ = kill_process(Pid::from_child(&self.keeper), Signal::TERM);
        self.keeper.wait().expect("is a child").code()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.keeper.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.terminate();
        }
    }
}

/// Hears both topics; anything amiss is a panic.
struct Listener {
    subscriber: oyez::Subscriber,
    heard: [Vec<Heard>; CAPTURES.len()],
    /// How many of them came in polls that began or ended in the ring: at an epoch's end it is left.
    out_of_ring: [usize; CAPTURES.len()],
    caught_up: usize,
}

impl Listener {
    /// Everything of one topic so far, once it is so many messages.
    fn hear(&mut self, topic: usize, count: usize) -> Vec<Heard> {
        self.listen(|listener| listener.heard[topic].len() >= count);
        self.heard[topic].clone()
    }

    fn listen(&mut self, enough: impl Fn(&Listener) -> bool) {
        let (deadline, mut idle) = (Instant::now() + PATIENCE, Idle::default());
        while !enough(self) {
            assert!(Instant::now() < deadline, "{:?} messages heard", self.heard.each_ref().map(Vec::len));
            let (in_ring, heard) = (self.in_ring(), self.heard.each_ref().map(Vec::len));
            let given = self.subscriber.poll(256, |event| match event.kind {
                EventKind::Message(message) => self.heard[event.topic.0].push(Heard {
                    epoch: message.epoch.0,
                    sequence: message.sequence.0,
                    time_ns: message.time_ns,
                    bytes: message.bytes.to_vec(),
                }),
                EventKind::CaughtUp { .. } => self.caught_up += 1,
                EventKind::Epoch { .. } => {}
                _ => panic!("{event:?}"),
            });
            idle.rest(given.expect("goes on"));
            for (topic, still_in_ring) in self.in_ring().into_iter().enumerate() {
                if in_ring[topic] || still_in_ring {
                    self.out_of_ring[topic] += self.heard[topic].len() - heard[topic];
                }
            }
        }
    }

    fn in_ring(&self) -> [bool; CAPTURES.len()] {
        std::array::from_fn(|topic| self.subscriber.reads_ring(TopicIndex(topic)))
    }
}
