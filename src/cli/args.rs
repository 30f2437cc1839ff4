//! The command line: what may be written, and the help that teaches it.
//!
//! Parsed before anything else happens; what leaves this file is already checked, so no later code looks at
//! a text argument again. It starts nothing and touches no file.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use super::duration;
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

const RUN_LONG: &str = "\
Download a torrent into a folder.

What is already in the folder is checked first, so the same command run again goes on where the last one \
ended, and ends at once when everything is there. A finished piece is one that passed its SHA-1 check and is \
on disk; only such pieces are reported, served or counted.

Progress goes to stderr: a bar on a terminal, otherwise a line every few seconds. Ctrl-C ends in at most five \
seconds and loses no finished piece; a second Ctrl-C ends at once.";

const RUN_EXAMPLES: &str = "\
Examples:
  into the current folder
    bt-erl run file.torrent
  into another one, and go on serving it until Ctrl-C
    bt-erl run file.torrent -d /srv/media --seed
  from one known peer, asking nobody else
    bt-erl run file.torrent --no-tracker -a 10.0.0.7:6881
  give up (exit code 69) when nothing has arrived for five minutes
    bt-erl run file.torrent --exit-when-stalled 5m
  for a program: one JSON object per event (docs/cli.md)
    bt-erl run file.torrent --json | jq -c 'select(.event == \"restart\")'";

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
    #[command(long_about = RUN_LONG, after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Show what is in a torrent file
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

/// `bt-erl run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The torrent file
    #[arg(value_name = "FILE.torrent")]
    pub(crate) file: PathBuf,

    /// Folder to download into; made if it does not exist
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,

    /// A peer to call directly, with or without a tracker; may be given more than once
    #[arg(short = 'a', long = "peer", value_name = "HOST:PORT")]
    pub(crate) peers: Vec<PeerAddress>,

    /// Port to listen on; 0 takes any free one [default: the first free one of 6881 to 6889]
    #[arg(short, long, value_name = "PORT")]
    pub(crate) port: Option<u16>,

    /// Ask no tracker; only the peers given with -a, and those who call us
    #[arg(long)]
    pub(crate) no_tracker: bool,

    /// One JSON object per event on stdout, instead of progress on stderr
    #[arg(long)]
    pub(crate) json: bool,

    /// Give up with exit code 69 when nothing has arrived for so long (30, 30s, 5m)
    #[arg(long, value_name = "SECONDS", value_parser = duration::parse)]
    pub(crate) exit_when_stalled: Option<Duration>,

    /// Go on serving after completion, until Ctrl-C
    #[arg(long)]
    pub(crate) seed: bool,

    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// How much to log.
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// `bt-erl info`.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// The torrent file
    #[arg(value_name = "FILE.torrent")]
    pub(crate) file: PathBuf,

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

/// `--announce`: URLs that are asked in no particular order.
pub(crate) type Tier = Vec<String>;

/// `--piece-length`: bytes; `None` is "auto".
pub(crate) type PieceLength = Option<u32>;

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

/// `HOST:PORT`, not resolved yet. HOST is a name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerAddress {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Why a text is no `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PeerAddressError {
    /// No colon, or nothing after it.
    NoPort,
    /// Nothing before the colon.
    NoHost,
    /// The part after the colon is not 1 to 65535.
    BadPort(String),
    /// An IPv6 address without brackets: which colon is the port's?
    BareIpv6,
}

impl fmt::Display for PeerAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HOW: &str = "write HOST:PORT, as in 192.0.2.7:6881 or peer.example:6881";
        match self {
            PeerAddressError::NoPort => write!(f, "the port is missing; {HOW}"),
            PeerAddressError::NoHost => write!(f, "the host is missing; {HOW}"),
            PeerAddressError::BadPort(port) => {
                write!(f, "port {port:?} is not a number from 1 to 65535; {HOW}")
            }
            PeerAddressError::BareIpv6 => {
                write!(f, "an IPv6 address needs brackets, as in [2001:db8::7]:6881")
            }
        }
    }
}

impl std::error::Error for PeerAddressError {}

impl FromStr for PeerAddress {
    type Err = PeerAddressError;

    fn from_str(text: &str) -> Result<Self, PeerAddressError> {
        let (host, port) = text.rsplit_once(':').ok_or(PeerAddressError::NoPort)?;
        if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
            return Err(PeerAddressError::BareIpv6);
        }
        if host.is_empty() || host == "[]" {
            return Err(PeerAddressError::NoHost);
        }
        match port.parse::<u16>() {
            _ if port.is_empty() => Err(PeerAddressError::NoPort),
            Ok(port @ 1..) => Ok(PeerAddress { host: host.to_owned(), port }),
            _ => Err(PeerAddressError::BadPort(port.to_owned())),
        }
    }
}

fn url(text: &str, schemes: &[&str]) -> Result<String, String> {
    let fits =
        |scheme: &&str| text.strip_prefix(*scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    let plain = text.chars().all(|c| c.is_ascii_graphic());
    match schemes.iter().any(fits) && plain {
        true => Ok(text.to_owned()),
        false => Err(format!("not a URL that begins with {}", schemes.join(" or "))),
    }
}

fn tier(text: &str) -> Result<Tier, String> {
    text.split(',').map(|part| url(part, &["http://", "https://", "udp://"])).collect()
}

fn web_seed(text: &str) -> Result<String, String> {
    url(text, &["http://", "https://"])
}

/// From one block to what fits into the memory of those who download it.
fn piece_length(text: &str) -> Result<PieceLength, String> {
    const LEAST: ByteSize = ByteSize(16 << 10);
    const MOST: ByteSize = ByteSize(64 << 20);
    if text == "auto" {
        return Ok(None);
    }
    let size: ByteSize = text.parse().map_err(|error| format!("{error}"))?;
    match u32::try_from(size.0) {
        Ok(bytes) if size >= LEAST && size <= MOST && bytes.is_power_of_two() => Ok(Some(bytes)),
        _ => Err(format!("it has to be a power of two from {LEAST} to {MOST}")),
    }
}

/// `--size` of the demo: less than 8 MiB is over before anybody could crash half way, more than 16 GiB is no demo.
fn demo_size(text: &str) -> Result<ByteSize, String> {
    const LEAST: ByteSize = ByteSize(8 << 20);
    const MOST: ByteSize = ByteSize(16 << 30);
    let size: ByteSize = text.parse().map_err(|error| format!("{error}"))?;
    if size < LEAST || size > MOST {
        return Err(format!("it has to be from {LEAST} to {MOST}"));
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
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
        assert!(args.peers.is_empty() && !args.no_tracker && !args.json && !args.seed);
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
    }

    #[test]
    fn a_usage_error_is_exit_code_2_and_help_is_0() {
        for line in [
            "bt-erl run",
            "bt-erl run x -q -v",
            "bt-erl run x -a nowhere",
            "bt-erl run x -p 65536",
            "bt-erl run x --exit-when-stalled 0",
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
    fn a_peer_address_is_refused_by_name() {
        let parse = |text: &str| text.parse::<PeerAddress>().err();
        assert_eq!(parse("192.0.2.7:6881"), None);
        assert_eq!(parse("[2001:db8::7]:6881"), None);
        assert_eq!(parse("peer.example:1"), None);
        assert_eq!(parse("192.0.2.7"), Some(PeerAddressError::NoPort));
        assert_eq!(parse("192.0.2.7:"), Some(PeerAddressError::NoPort));
        assert_eq!(parse(":6881"), Some(PeerAddressError::NoHost));
        assert_eq!(parse("h:0"), Some(PeerAddressError::BadPort("0".into())));
        assert_eq!(parse("h:x"), Some(PeerAddressError::BadPort("x".into())));
        assert_eq!(parse("2001:db8::7:6881"), Some(PeerAddressError::BareIpv6));
    }

    #[test]
    fn a_demo_has_a_size_that_makes_sense() {
        assert_eq!(demo_size("64MiB"), Ok(ByteSize(64 << 20)));
        assert!(demo_size("1KiB").is_err());
        assert!(demo_size("1TiB").is_err());
        assert!(demo_size("many").is_err());
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
