//! The `bt-erl` program: everything it does is in `cli`, and everything that does is in the library.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main().into()
}
