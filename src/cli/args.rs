//! The command line: what may be written, and the help that teaches it.
//!
//! Parsed before anything else happens; what leaves this file is already checked, so no later code looks at
//! a text argument again. It starts nothing and touches no file.

mod run;
mod values;

use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

pub(crate) use self::run::RunArgs;
pub(crate) use self::values::{PeerAddress, Ratio, TorrentSource};
use self::values::{PieceLength, Tier, demo_size, piece_length, tier, web_seed};
use super::size::ByteSize;

const ABOUT: &str = "A BitTorrent client whose inside is an Erlang/OTP supervision tree";

const LONG_ABOUT: &str = "\
A BitTorrent client whose inside is an Erlang/OTP supervision tree.

Every connection, torrent, tracker and disk worker is a process of its own. What crashes is restarted by its \
supervisor, and the download goes on.";

const AFTER_HELP: &str = "\
Examples:
  bt-erl demo                             see it work on this machine
  bt-erl info file.torrent                what is in a torrent file
  bt-erl run file.torrent -d ~/Downloads  download it
  bt-erl create album -a http://t.example/announce  make one

Exit codes:
    0  complete
    1  failed
    2  usage
   65  bad torrent file
   69  nothing to download from
  130  interrupted (Ctrl-C)
  143  terminated";

const CREATE_LONG: &str = "\
Make a torrent file from a file or a folder.

Every core hashes. Files come in the order of their paths, hidden ones and what links point to included. The info \
hash is the one that mktorrent makes of the same content, name and piece length.";

const CREATE_EXAMPLES: &str = "\
Examples:
  with one tracker
    bt-erl create album -a http://tracker.example/announce
  for a private tracker, into a certain file
    bt-erl create film.mkv -o film.torrent -a https://t.example/k3y --private";

const DEMO_LONG: &str = "\
See a whole swarm in one process: a tracker, a seed and a leech, all on loopback, in one supervision tree.

The demo makes random content in a fresh temporary folder, downloads it from itself, crashes a peer process \
half way on purpose, shows what the supervisor did about it, compares the content byte for byte, and removes \
what it made. It needs no network beyond loopback, no root and no home folder.";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "bt-erl",
    version,
    about = ABOUT,
    long_about = LONG_ABOUT,
    after_help = AFTER_HELP,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub(crate) struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One variant per command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Download a torrent into a folder
    #[command(long_about = run::LONG, after_help = run::EXAMPLES)]
    Run(RunArgs),
    /// Show what is in a torrent file, or behind a magnet link
    Info(InfoArgs),
    /// See what of a torrent's content is on disk and right
    Check(CheckArgs),
    /// Make a torrent file from a file or a folder
    #[command(long_about = CREATE_LONG, after_help = CREATE_EXAMPLES)]
    Create(CreateArgs),
    /// See it work: a swarm, a crash and a recovery on this machine
    #[command(long_about = DEMO_LONG)]
    Demo(DemoArgs),
}

/// `bt-erl info`.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// The torrent file, or a magnet link in quotes: what it names is fetched from its peers, for a minute at most
    #[arg(value_name = "TORRENT", value_parser = PathBufValueParser::new().try_map(TorrentSource::try_from))]
    pub(crate) torrent: TorrentSource,

    /// One JSON object on stdout, instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bt-erl check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The torrent file
    #[arg(value_name = "FILE.torrent")]
    pub(crate) file: PathBuf,

    /// Folder that the content is in
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,

    /// One JSON object on stdout, instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bt-erl create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The file or folder to share
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,

    /// The torrent file to write; must not exist [default: NAME.torrent in the current folder]
    #[arg(short, long, value_name = "FILE.torrent")]
    pub(crate) out: Option<PathBuf>,

    /// Replace the torrent file when it exists
    #[arg(short, long)]
    pub(crate) force: bool,

    /// A tracker; more of them are asked when the first does not answer. Trackers of one tier are joined by commas
    #[arg(short, long, value_name = "URL", value_parser = tier)]
    pub(crate) announce: Vec<Tier>,

    /// Where the content can be had over HTTP (BEP 19); may be given more than once
    #[arg(short, long, value_name = "URL", value_parser = web_seed)]
    pub(crate) web_seed: Vec<String>,

    /// Peers may come from the trackers only (BEP 27)
    #[arg(long, requires = "announce")]
    pub(crate) private: bool,

    /// Bytes of a piece, as in 256KiB; "auto" makes some 750 to 1,500 pieces
    #[arg(short = 'l', long, value_name = "SIZE", default_value = "auto", value_parser = piece_length)]
    pub(crate) piece_length: PieceLength,

    /// Name of the file or folder for those who download it [default: that of PATH]
    #[arg(short, long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) name: Option<String>,

    /// A comment for people
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,

    /// Leave out when it was made, so that the same content gives the same torrent file
    #[arg(long)]
    pub(crate) no_date: bool,

    /// The same JSON object on stdout as "info --json", instead of a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// `bt-erl demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// How much content to make and download; twice as much is needed in the temporary folder
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = demo_size)]
    pub(crate) size: ByteSize,

    /// How much to log.
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// The flags that every long-running command has.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// Log more on stderr: -v what happens, -vv why, -vvv everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Write a log with the time of every line into this file, whatever is shown on the terminal
    #[arg(long, value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        CommandLine::try_parse_from(line.split(' ')).map(|line| line.command)
    }

    fn run(line: &str) -> RunArgs {
        match parse(line) {
            Ok(Command::Run(args)) => args,
            other => panic!("{line:?} gave {other:?}"),
        }
    }

    #[test]
    fn the_declared_command_line_contradicts_itself_nowhere() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn the_help_fits_a_terminal_of_80_columns() {
        let mut all = CommandLine::command().term_width(80);
        all.build();
        let helps = all.get_subcommands().cloned().chain([all.clone()]).map(|mut command| command.render_long_help());
        for line in helps.map(|help| help.to_string()).collect::<String>().lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn run_has_the_defaults_of_its_help() {
        let args = run("bt-erl run x.torrent");
        assert_eq!(args.dir, PathBuf::from("."));
        assert_eq!(args.port, None);
        assert!(args.peers.is_empty() && !args.no_tracker && !args.json && !args.seeds());
        assert_eq!(args.exit_when_stalled, None);
    }

    #[test]
    fn run_takes_every_flag_of_the_contract() {
        let args = run("bt-erl run x.torrent -d out -a 10.0.0.7:6881 --peer [::1]:7000 -p 0 --no-tracker --json -vv \
             --log-file l --exit-when-stalled 30 --seed");
        assert_eq!(args.dir, PathBuf::from("out"));
        assert_eq!(args.peers.len(), 2);
        assert_eq!(args.port, Some(0));
        assert!(args.no_tracker && args.json && args.seed);
        assert_eq!(args.exit_when_stalled, Some(Duration::from_secs(30)));
        assert_eq!(args.log.verbose, 2);
        assert_eq!(args.log.log_file, Some(PathBuf::from("l")));
        let args = run("bt-erl run x.torrent --files *.mkv --files a/** --only 1,3-5");
        assert_eq!((args.files.len(), args.only.len()), (2, 1));
        let args = run("bt-erl run x.torrent --seed-ratio 1.5 --seed-time 24h");
        assert!(args.seeds() && !args.seed);
        assert_eq!((args.seed_ratio, args.seed_time), (Some(Ratio(1.5)), Some(Duration::from_secs(86_400))));
    }

    #[test]
    fn a_usage_error_is_exit_code_2_and_help_is_0() {
        for line in [
            "bt-erl run",
            "bt-erl run x -q -v",
            "bt-erl run x -a nowhere",
            "bt-erl run x -p 65536",
            "bt-erl run x --exit-when-stalled 0",
            "bt-erl run x --upload-limit 0",
            "bt-erl run x --upload-slots 0",
            "bt-erl run x --no-upload --seed",
            "bt-erl run x --no-upload --seed-ratio 1",
            "bt-erl run x --seed-ratio 0",
            "bt-erl run x --only 0",
            "bt-erl run x --only 5-3",
            "bt-erl run x --only one",
            "bt-erl run x --endgame 101%",
            "bt-erl run x --no-resume --state-dir d",
            "bt-erl run magnet:?xt=urn:btih:00",
            "bt-erl create x -a nowhere",
            "bt-erl create x --private",
            "bt-erl create x -l 100kB",
            "bt-erl demo --size lots",
            "bt-erl fly",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
        assert_eq!(parse("bt-erl run --help").unwrap_err().exit_code(), 0);
        assert_eq!(parse("bt-erl --version").unwrap_err().exit_code(), 0);
    }

    #[test]
    fn every_flag_and_command_is_documented() {
        let page = include_str!("../../docs/cli.md");
        for command in CommandLine::command().get_subcommands() {
            assert!(page.contains(&format!("## bt-erl {}", command.get_name())));
            for argument in command.get_arguments() {
                if let Some(long) = argument.get_long() {
                    assert!(page.contains(&format!("--{long}")), "--{long}");
                }
            }
        }
    }
}
