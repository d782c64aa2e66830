//! `oyez demo`: the first impression. Plain, or as a story; either way its parts are processes of their own.
//!
//! ```text
//!   stage.rs    a folder, a broker in it; all gone in the end     plain.rs   as fast as it goes, then the verdict
//!   cast.rs     the processes, and what they tell                 hop.rs     one hop beside the machine's limit
//!   report.rs   what they tell                                    story.rs   half a minute of trouble
//!   publisher.rs, subscriber.rs, lane.rs: the parts               table.rs   what it looks like
//!   ledger.rs   what publishers note outside bus and journal      verdict.rs who holds what
//! ```

mod cast;
mod hop;
mod lane;
mod ledger;
mod plain;
mod publisher;
mod report;
mod stage;
mod story;
mod subscriber;
mod table;
mod verdict;

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use indicatif::HumanCount;

use hop::hop_ns;
use report::Report;
use stage::{Stage, TOPIC};
use verdict::Verdict;

use crate::args::{DemoArgs, Format, Part};
use crate::failure::{Answer, Failure, one_line};
use crate::output::Output;

/// What the plain demo publishes unless told.
const MESSAGES: u64 = 1_000_000;
/// What a message takes on disk, in journal and lane together, at most.
const DISK_BYTES_PER_MESSAGE: u64 = 256;
/// What is published after the demo for whoever looks on.
const KEPT_MESSAGES_PER_S: u64 = 1_000;

pub(crate) fn run(args: DemoArgs, format: Format) -> Result<Answer, Failure> {
    let mut output = Output::new(format);
    output.whoever_reads();
    let plain = args.messages.or((format == Format::Json).then_some(MESSAGES));
    let most = plain.unwrap_or(story::RATE_MESSAGES_PER_S * story::LASTS.as_secs());
    let stage = Stage::set(most * DISK_BYTES_PER_MESSAGE)?;
    let verdict = match plain {
        Some(messages) => plain::run(&stage, messages, args.subscribers)?,
        None => told(&stage, args.subscribers, &mut output)?,
    };
    output.value(&verdict)?;
    if args.keep {
        keep(stage, &mut output)?;
    }
    output.flush()?;
    Ok(Answer::of(verdict.agrees()))
}

/// The hop and the story.
fn told(stage: &Stage, subscribers: u16, output: &mut Output) -> Result<Verdict, Failure> {
    output.line(format_args!(
        "One publisher, {subscribers} subscribers, a journal and a lane, each a process of its own, on this machine.\n\n\
         1. One hop: a message of 51 bytes from one process to another, both spinning, for two seconds."
    ))?;
    output.flush()?;
    match hop::measure(stage)? {
        None => output.line("   Left out: it takes two processors, and here is one.")?,
        Some(hop) => {
            let [bus, limit] = [&hop.bus, &hop.limit].map(|way| [0.5, 0.99].map(|quantile| hop_ns(way, quantile)));
            let ratio = bus[0] as f64 / limit[0].max(1) as f64;
            // The two are taken in turn, each a sample of its own.
            let why = if ratio < 1.0 { ": less than 1 is noise, both being as fast as this machine is" } else { "" };
            output.line(format_args!(
                "   through the bus       {:>6} ns   (p99 {} ns, of {} hops)\n   \
                 this machine's limit  {:>6} ns   (p99 {} ns: the same bytes through fresh cache lines, and nothing else)\n   \
                 The bus takes {ratio:.2} times the limit{why}.",
                bus[0], bus[1], HumanCount(2 * hop.bus.len()), limit[0], limit[1]
            ))?;
        }
    }
    let seconds = story::LASTS.as_secs();
    output.line(format_args!("\n2. The story: {seconds} seconds of a trading session, and trouble. Now everybody rests between messages:\n   \
         that costs some hundred microseconds, and leaves room for all on two processors."))?;
    output.flush()?;
    let verdict = story::run(stage, subscribers, output)?;
    output.line("\n3. The verdict: what each of them holds, read back and compared.")?;
    Ok(verdict)
}

/// Leaves the broker running, with a publisher that goes on slowly, and says what to try.
fn keep(stage: Stage, output: &mut Output) -> Result<(), Failure> {
    let log = File::create(stage.dir().join("publisher.log"))?;
    let program = std::env::current_exe()?;
    Command::new(&program)
        .args([
            "publish",
            TOPIC,
            "--sample",
            "1",
            "--rate-messages-per-s",
            &KEPT_MESSAGES_PER_S.to_string(),
            "--socket",
        ])
        .arg(stage.socket())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()?;
    let (oyez, socket, data) = (program.display(), stage.socket(), stage.data());
    let (socket, data, dir, keeper) = (socket.display(), data.display(), stage.dir().display(), stage.keeper());
    let text = format!(
        "\nIt goes on, {KEPT_MESSAGES_PER_S} messages a second. Try next:\n  \
         {oyez} tail {TOPIC} --messages 5 --socket {socket}\n  \
         {oyez} topic describe {TOPIC} --socket {socket}\n  \
         {oyez} journal verify {data} {TOPIC}\n\
         and end it with: kill {keeper} && sleep 2 && rm -rf {dir}"
    );
    stage.leave();
    match output.format {
        Format::Text => output.line(text),
        // The one object stays alone on stdout.
        Format::Json => {
            crate::output::note(text);
            Ok(())
        }
    }
}

/// Plays a part, in a process of its own. Its failure is told to whoever stages the demo, too.
pub(crate) fn play(part: Part) -> Result<Answer, Failure> {
    let played = match part {
        Part::Publisher(args) => publisher::play(&args),
        Part::Subscriber(args) => subscriber::play(&args),
        Part::Lane(args) => lane::play(&args),
        Part::Echo(args) => hop::echo(&args),
    };
    if let Err(failure) = &played {
        report::tell(&Report::Failed { text: one_line(&**failure) })?;
    }
    played.map(|()| Answer::Yes)
}
