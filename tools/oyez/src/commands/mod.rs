//! What each command does.

mod catalog;
mod demo;
mod doctor;
mod import;
mod journal;
mod messages;
mod publish;
mod publishing;
mod sbe;
mod serve;
mod stat;
mod tail;
mod top;
mod topic;

use std::time::Duration;

use oyez::{Bus, Connect};
use oyez_protocol::Connection;

use crate::args::{BrokerArgs, CatalogCommand, Command, Format, ImportCommand};
use crate::failure::{Answer, Failure};
use crate::output::Output;

/// Does what was said.
pub(crate) fn run(command: Command, format: Format) -> Result<Answer, Failure> {
    // These hold no lock of stdout for as long as they run.
    match command {
        Command::Serve(args) => return Ok(serve::run(args)),
        Command::Demo(args) => return demo::run(args, format),
        Command::DemoPart(part) => return demo::play(part),
        _ => {}
    }
    let mut output = Output::new(format);
    let answer = match command {
        Command::Serve(_) | Command::Demo(_) | Command::DemoPart(_) => unreachable!("done above"),
        Command::Topic(command) => topic::run(command, &mut output),
        Command::Publish(args) => publish::run(args, &mut output),
        Command::Tail(args) => tail::run(args, &mut output),
        Command::Stat(args) => stat::run(&args, &mut output),
        Command::Top(args) => top::run(&args, &mut output),
        Command::Health(args) => stat::health(&args, output.whoever_reads()),
        Command::Journal(command) => journal::run(command, &mut output),
        Command::Catalog(CatalogCommand::Check { catalog, mermaid: false }) => catalog::check(&catalog, &mut output),
        Command::Catalog(CatalogCommand::Check { catalog, mermaid: true }) => catalog::draw(&catalog, &mut output),
        Command::Catalog(CatalogCommand::Plan(args)) => catalog::plan(&args, false, &mut output),
        Command::Catalog(CatalogCommand::Apply(args)) => catalog::plan(&args, true, &mut output),
        Command::Doctor(args) => doctor::run(&args, output.whoever_reads()),
        Command::Sbe(command) => sbe::run(command, &mut output),
        Command::Import(ImportCommand::Pcap(args)) => import::pcap(args, &mut output),
    }?;
    output.flush()?;
    Ok(answer)
}

/// The broker that was named. Whoever types a command wants to know at once that nobody listens, and not after the
/// patience that a client has with a broker that is being started again.
fn connect(broker: &BrokerArgs) -> Result<Bus, Failure> {
    connect_for(broker, Duration::from_secs(5))
}

/// The same, for requests that may take so long.
fn connect_for(broker: &BrokerArgs, timeout: Duration) -> Result<Bus, Failure> {
    Connection::probe(&broker.socket).map_err(|error| format!("{error} (`--socket` or OYEZ_SOCKET names another)"))?;
    Ok(Bus::connect(Connect::new(&broker.socket).name("oyez").timeout(timeout))?)
}
