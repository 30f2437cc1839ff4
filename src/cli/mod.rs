//! The command line program: arguments in, what a person sees out.
//!
//! Sits on top of the library and uses only its public API. Each command is one file; everything that a person or a script can
//! rely on (flags, exit codes, JSON lines) is written down in `docs/cli.md` and compared with it by tests. Nothing in here
//! speaks BitTorrent.

mod args;
mod check;
mod create;
mod demo;
mod duration;
mod exit;
mod fault;
mod hashing;
mod info;
mod json;
mod logging;
mod progress;
mod run;
mod size;
mod terminal;
mod torrent_file;

use clap::Parser;

use self::args::{Command, CommandLine};
use self::exit::Ending;

/// Parses the arguments and runs the command that they name.
pub(crate) fn main() -> Ending {
    match CommandLine::try_parse() {
        Ok(line) => match line.command {
            Command::Run(args) => run::run(&args),
            Command::Info(args) => info::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Create(args) => create::run(&args),
            Command::Demo(args) => demo::run(&args),
        },
        Err(error) => {
            // To stderr or, for --help and --version, to stdout; a reader that went away has seen enough.
            let _ = error.print();
            if error.use_stderr() { Ending::Usage } else { Ending::Complete }
        }
    }
}
