//! `oyez serve`: the broker itself, from its own crate.

use oyez_broker::{Role, ServeOptions, serve};

use crate::args::ServeArgs;
use crate::failure::Answer;

/// Tells its own failures, since it outlives many of them.
pub(crate) fn run(args: ServeArgs) -> Answer {
    let role = if args.no_keeper {
        Role::Broker
    } else {
        let again = ["serve".into(), "--no-keeper".into(), "--catalog".into(), args.catalog.clone().into()];
        Role::Keeper { arguments: again.to_vec() }
    };
    Answer::Code(serve(&ServeOptions { catalog: args.catalog, role }))
}
