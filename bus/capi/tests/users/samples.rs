//! The samples do what they say, in every language, with each other.

use crate::house::House;
use crate::prefix::{bounded, compile, done, has, here, python};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How a sample is started.
type Start<'a> = &'a dyn Fn(&str) -> Command;

/// The C and C++ samples, compiled into a folder.
fn compiled<'a>(extension: &'a str, folder: &'a Path) -> impl Fn(&str) -> Command + 'a {
    move |name| {
        let program = folder.join(format!("{extension}-{name}"));
        if !program.exists() {
            compile(&here(&format!("samples/{extension}/{name}.{extension}")), &program, &[]);
        }
        Command::new(program)
    }
}

/// Beside the tests' own folder; cargo builds it with them.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    test.ancestors().nth(2).expect("a target folder").join("examples").join(name)
}

fn declared(topics: &[String]) -> String {
    let topic = |name: &String| format!("[[topics]]\nname = \"{name}\"\nring_mib = 2\npublish = [\"self\"]\n");
    topics.iter().map(topic).collect()
}

/// Publishes, subscribes, catches up twice, plays ping-pong.
fn plays(language: &str, start: Start, house: &House) {
    let topic = |what: &str| format!("{language}.{what}");
    let sample = |name: &str, arguments: &[&str]| {
        let mut command = start(name);
        command.arg(house.socket()).args(arguments);
        command
    };
    let (md, place) = (topic("md"), house.folder().join(language));
    let place = place.to_str().expect("UTF-8");

    let mut subscribe = bounded(&sample("subscribe", &[&md, "3"])).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(subscribe.stdout.take().expect("piped")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "subscribed"), "{language}");
    assert_eq!(done(&mut sample("publish", &[&md, "3"])), "published up to message 2, durable\n", "{language}");
    assert_eq!(lines.collect::<Vec<_>>(), ["message 0: 0", "message 1: 1", "message 2: 2"], "{language}");
    assert!(subscribe.wait().expect("it ends").success(), "{language}");

    assert_eq!(done(&mut sample("catch_up", &[&md, place])), "took 3 messages, next is 3\n", "{language}");
    done(&mut sample("publish", &[&md, "2"]));
    assert_eq!(done(&mut sample("catch_up", &[&md, place])), "took 2 messages, next is 5\n", "{language}");
    assert_eq!(done(&mut sample("catch_up", &[&md, place])), "took 0 messages, next is 5\n", "{language}");

    let (there, back) = (topic("there"), topic("back"));
    let mut pong = bounded(&sample("ping_pong", &[&there, &back, "50", "pong"])).spawn().expect("it runs");
    let told = done(&mut sample("ping_pong", &[&there, &back, "50", "ping"]));
    assert!(told.starts_with("median round trip of 50: ") && told.ends_with(" ns\n"), "{language}: {told}");
    assert!(pong.wait().expect("it ends").success(), "{language}");
}

#[test]
fn the_samples_of_every_language_work() {
    let test = "the_samples_of_every_language_work";
    let languages = ["c", "cpp", "python", "rust"];
    let topics: Vec<String> = languages
        .iter()
        .flat_map(|language| ["md", "there", "back"].map(|topic| format!("{language}.{topic}")))
        .collect();
    let house = House::new(&declared(&topics));
    let folder = tempfile::tempdir().expect("a folder");
    if has(test, &["gcc"]) {
        plays("c", &compiled("c", folder.path()), &house);
    }
    if has(test, &["g++"]) {
        plays("cpp", &compiled("cpp", folder.path()), &house);
    }
    if has(test, &["python3"]) {
        plays("python", &|name| python(&here(&format!("samples/python/{name}.py"))), &house);
    }
    match ["publish", "subscribe", "catch_up", "ping_pong"].map(example).iter().find(|example| !example.exists()) {
        None => plays("rust", &|name| Command::new(example(name)), &house),
        Some(absent) => eprintln!("SKIPPED {test}: {} is absent; build the package's examples", absent.display()),
    }
}

#[test]
fn codecs_of_the_reference_implementation_encode_and_decode_in_place() {
    let test = "codecs_of_the_reference_implementation_encode_and_decode_in_place";
    let Some(reference) = std::env::var_os("OYEZ_SBE_REFERENCE") else {
        return eprintln!("SKIPPED {test}: OYEZ_SBE_REFERENCE is not set");
    };
    if !has(test, &["g++", "java"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let schema = here("../../sbe-codec/sample/schema/oyez-sample.xml");
    let mut tool = Command::new("java");
    tool.args(["--add-opens", "java.base/jdk.internal.misc=ALL-UNNAMED", "-Dsbe.target.language=cpp"]);
    tool.arg(format!("-Dsbe.output.dir={}", folder.path().display())).arg("-cp").arg(reference);
    done(tool.arg("uk.co.real_logic.sbe.SbeTool").arg(&schema));
    let program = folder.path().join("market_updates");
    let codecs = format!("-isystem{}", folder.path().display());
    compile(&here("samples/cpp/market_updates.cpp"), &program, &[&codecs]);
    let schemas = format!("[schemas.sample]\nfile = {schema:?}\n");
    let house = House::new(&(schemas + &declared(&["md".to_owned()]) + "schema = \"sample\"\n"));
    let told = done(Command::new(program).arg(house.socket()).arg("md"));
    assert_eq!(told.lines().count(), 3, "{told}");
    assert!(told.starts_with("update 0: BestBid 100 at 123400 BestOffer 50 at 123500\nupdate 1: "), "{told}");
}
