//! Agreement with the reference implementation: random messages, encoded by one side and decoded by the other.
//!
//! ```text
//!  a message ─ our JSON ─ our schema-driven encoder ──► its decoder
//!  a message ─ our generated decoder and encoder ─────► its decoder
//!  values ──── the Java encoder that it generates ────► our decoders, schema-driven and generated
//! ```
//!
//! Each side writes down the values that it finds, in one form of text (see `Reference.java`), and the texts must be
//! the same. Our generated code runs in a program of its own, which `generated` makes.

mod generated;
mod random;
#[path = "../../../sbe/tests/samples/mod.rs"]
mod samples;
#[path = "../../../sbe/tests/shared/mod.rs"]
mod shared;
mod values;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use oyez_sbe::{Schema, decode_json, encode_json};
use random::{Random, Writer};
use samples::Sample;
use values::{hex, values};

/// Of eight venues, of the standard, and of the reference itself, one of those big-endian; the short ones first. It
/// refuses those of 24X and of MEMX's Memo, where an enum gives its null value a name.
const SCHEMAS: &[&str] = &[
    "real-logic/samples/example-extension-schema.xml",
    "real-logic/test/example-bigendian-test-schema.xml",
    "real-logic/test/group-with-data-schema.xml",
    "real-logic/test/nested-group-schema.xml",
    "fix/sbe-examples/Examples.xml",
    "memx/Memx.Equities.MemoirDepth.Sbe.v1.3.xml",
    "iex-options/Iex.IexOptions.MarketData.Sbe.v1.03.xml",
    "smallx/SmallX.OrderDataFeed.Sbe.v2.2.xml",
    "binance/stream_1_0.xml",
    "coinbase/Coinbase.Derivatives.OrdersApi.Sbe.v1.4.xml",
    "coinbase/Coinbase.Derivatives.MarketDataApi.Sbe.v1.7.xml",
    "euronext-optiq/Euronext.Optiq.OrderEntryGateway.Sbe.v6.64.xml",
    "euronext-optiq/Euronext.Optiq.MarketDataGateway.Sbe.v6.67.xml",
    "b3-umdf/B3.Equities.BinaryUmdf.Sbe.v1.8.xml",
    "b3-umdf/B3.Equities.BinaryUmdf.Sbe.v2.1.xml",
    "cme-other/Cme.BrokerTec.Ust.Sbe.v10.1.xml",
    "cme-mdp3/Cme.Futures.Mdp3.Sbe.v1.9.xml",
    "cme-mdp3/Cme.Futures.Mdp3.Sbe.v1.13.xml",
    "binance/spot_3_4.xml",
];

/// How many of them a short round takes: code of long ones takes long to compile on either side.
const SHORT_ROUND: usize = 8;

#[test]
fn agreement_with_the_reference() {
    let Some(jar) = std::env::var_os("OYEZ_SBE_REFERENCE") else {
        return eprintln!("SKIPPED agreement_with_the_reference: OYEZ_SBE_REFERENCE is not set");
    };
    let Some(root) = shared::folder("schemas", "agreement_with_the_reference") else { return };
    let (names, count) = match std::env::var("OYEZ_AGREEMENT_MESSAGES") {
        Ok(count) => (SCHEMAS, count.parse().expect("a number")),
        Err(_) => (&SCHEMAS[..SHORT_ROUND], 300),
    };
    let load = |name: &&str| Schema::load(root.join(name)).expect("it is sound");
    let schemas: Vec<_> = names.iter().map(load).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let program = generated::build(folder.path(), &schemas);
    let compare = |number: usize| {
        let mut java = Command::new("java");
        java.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]).arg(&jar);
        java.args(["--add-opens", "java.base/jdk.internal.misc=ALL-UNNAMED"]);
        java.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agreement/Reference.java"));
        java.arg(root.join(names[number]));
        let mut sides = Sides { number, schema: &schemas[number], java, program: Command::new(&program) };
        let differences = sides.compare(count);
        println!("{}: {count} messages each way, {} differences", names[number], differences.len());
        differences.iter().take(4).for_each(|difference| println!("{difference}"));
        differences.len()
    };
    // Two of them at a time, since each waits for the other side.
    let differences: usize = std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| scope.spawn(move || (half..names.len()).step_by(2).map(compare).sum::<usize>()));
        halves.into_iter().map(|half| half.join().expect("the comparison ends")).sum()
    });
    assert_eq!(differences, 0);
}

/// Real messages, and no reference: the two decoders of our own.
#[test]
fn generated_code_reads_the_samples_and_none_that_is_cut_short() {
    let Some(root) = shared::folder("", "generated_code_reads_the_samples") else { return };
    let samples = samples::samples(&root);
    let (schemas, samples): (Vec<_>, Vec<_>) =
        samples.into_iter().map(|Sample { files, schema, messages }| (schema, (files, messages))).unzip();
    let folder = tempfile::tempdir().expect("a folder");
    let program = generated::build(folder.path(), &schemas);
    let mut differences = Vec::new();
    for (number, (files, messages)) in samples.iter().enumerate() {
        let expected: Vec<_> =
            messages.iter().map(|message| values(&schemas[number], message).expect("it is whole")).collect();
        let requests = messages.iter().map(|message| format!("cut {number} {}", &hex(message)[1..]));
        let found = ask(&mut Command::new(&program), requests);
        differ(&mut differences, files, &nulls(&expected), &found);
    }
    assert!(
        differences.is_empty(),
        "{} differences, the first ones:\n{}",
        differences.len(),
        differences[..differences.len().min(4)].join("\n")
    );
}

/// Those that are compared for one schema.
struct Sides<'s> {
    number: usize,
    schema: &'s Schema,
    /// The reference.
    java: Command,
    /// Our generated code.
    program: Command,
}

impl Sides<'_> {
    /// What the sides do not agree on.
    fn compare(&mut self, count: usize) -> Vec<String> {
        let (schema, mut random) = (self.schema, Random(self.number as u64));
        let mut messages =
            |writer| -> Vec<_> { (0..count).map(|nth| random::message(&mut random, schema, nth, writer)).collect() };
        let (any, same) = (messages(Writer::Any), messages(Writer::Same));
        let values_of =
            |messages: &[Vec<u8>]| -> Vec<_> { messages.iter().map(|message| self.values(message)).collect() };
        let (any_values, same_values) = (values_of(&any), values_of(&same));
        let mut differences = Vec::new();

        let through_json: Vec<_> = any.iter().map(|message| hex(&self.through_json(message))).collect();
        let found = ask(&mut self.java, through_json.iter().map(|message| format!("decode {}", &message[1..])));
        differ(&mut differences, "schema-driven encoder, its decoder", &any_values, &found);

        let found = self.read(&any);
        differ(&mut differences, "generated decoder", &nulls(&any_values), &found);

        let rewrite = format!("rewrite {} ", self.number);
        let rewritten = ask(&mut self.program, same.iter().map(|message| rewrite.clone() + &hex(message)[1..]));
        let found = ask(&mut self.java, rewritten.iter().map(|message| format!("decode {message}")));
        differ(&mut differences, "generated encoder, its decoder", &same_values, &found);

        let template = |message| schema.header().read(message).expect("it is whole").template_id;
        let words = |values: &str| values.split_once(' ').unwrap_or_default().1.to_owned();
        let requests = same.iter().zip(&same_values);
        let requests = requests.map(|(message, values)| format!("encode {} {}", template(message), words(values)));
        let encoded: Vec<_> = ask(&mut self.java, requests).iter().map(|answer| unhex(answer)).collect();
        let found: Vec<_> = encoded.iter().map(|message| self.values(message)).collect();
        differ(&mut differences, "its encoder, schema-driven decoder", &same_values, &found);
        let found = self.read(&encoded);
        differ(&mut differences, "its encoder, generated decoder", &nulls(&same_values), &found);
        differences
    }

    /// What our schema-driven decoder finds.
    fn values(&self, message: &[u8]) -> String {
        values(self.schema, message).unwrap_or_else(|error| format!("failed {error}"))
    }

    /// What our generated decoder finds.
    fn read(&mut self, messages: &[Vec<u8>]) -> Vec<String> {
        let read = format!("read {} ", self.number);
        ask(&mut self.program, messages.iter().map(|message| read.clone() + &hex(message)[1..]))
    }

    /// The message as our schema-driven encoder writes it.
    fn through_json(&self, message: &[u8]) -> Vec<u8> {
        let (mut json, mut out) = (Vec::new(), Vec::new());
        decode_json(self.schema, message, &mut json).expect("it is whole");
        encode_json(self.schema, &json, &mut out).expect("it is ours");
        out
    }
}

/// An answer for each request: a line for a line. The first answer says that the other side is ready.
fn ask(command: &mut Command, requests: impl Iterator<Item = String> + Send) -> Vec<String> {
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut input = std::io::BufWriter::new(process.stdin.take().expect("it is piped"));
    let output = BufReader::new(process.stdout.take().expect("it is piped"));
    let mut answers: Vec<_> = std::thread::scope(|scope| {
        // One that refused the schema is gone.
        scope.spawn(move || requests.into_iter().try_for_each(|request| writeln!(input, "{request}")));
        output.lines().map(|line| line.expect("it is ASCII")).collect()
    });
    assert!(process.wait().expect("it ends").success(), "{command:?}");
    assert_eq!(answers.first().map(String::as_str), Some("ready"), "{command:?}");
    answers.remove(0);
    answers
}

/// Generated code has `None` for what is null and for what is absent.
fn nulls(values: &[String]) -> Vec<String> {
    values.iter().map(|values| values.replace("=absent", "=null")).collect()
}

/// Tells what is different, with the words around it.
fn differ(differences: &mut Vec<String>, way: &str, expected: &[String], found: &[String]) {
    assert_eq!(expected.len(), found.len(), "{way}");
    for (nth, (expected, found)) in expected.iter().zip(found).enumerate().filter(|(_, (one, other))| one != other) {
        let same = expected.split(' ').zip(found.split(' ')).take_while(|(one, other)| one == other).count();
        let near = |text: &str| text.split(' ').skip(same.saturating_sub(3)).take(7).collect::<Vec<_>>().join(" ");
        differences.push(format!(
            "  {way}, message {nth}:\n    ours … {}\n    found … {}",
            near(expected),
            near(found)
        ));
    }
}

/// The bytes of an answer; those of none are no message.
fn unhex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(byte).collect::<Option<_>>().unwrap_or_default()
}
