//! What `bt-erl run` may be told, grouped as its help shows it.
//!
//! Declarations; the values are checked in `values.rs`, and what they mean to the library is `run/options.rs`.

use std::path::PathBuf;
use std::time::Duration;

use bt_erl::protocol::{FileNumbers, Glob};
use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser};

use super::LogArgs;
use super::values::{self, PeerAddress, Ratio, TorrentSource};
use crate::cli::duration;

pub(super) const LONG: &str = "\
Download a torrent into a folder.

What is already in the folder is checked first, so the same command run again goes on where the last one \
ended, and ends at once when everything is there. A finished piece is one that passed its SHA-1 check and is \
on disk; only such pieces are reported, served or counted.

Progress goes to stderr: a bar on a terminal, otherwise a line every few seconds. Ctrl-C ends in at most five \
seconds and loses no finished piece; a second Ctrl-C ends at once.";

pub(super) const EXAMPLES: &str = "\
Examples:
  into the current folder
    bt-erl run file.torrent
  into another one, then give back one and a half times as much, for a day at most
    bt-erl run file.torrent -d /srv/media --seed-ratio 1.5 --seed-time 24h
  only some of its files; bt-erl info shows their names and numbers
    bt-erl run file.torrent --files '*.flac' --only 1,7-9
  without filling the line
    bt-erl run file.torrent --upload-limit 500KiB --download-limit 4MiB
  from one known peer, asking nobody else
    bt-erl run file.torrent --no-tracker -a 10.0.0.7:6881
  give up (exit code 69) when nothing has arrived for five minutes
    bt-erl run file.torrent --exit-when-stalled 5m
  from a magnet link: what it names is fetched from its peers first
    bt-erl run 'magnet:?xt=urn:btih:...&tr=http://t.example/announce'
  for a program: one JSON object per event (docs/cli.md)
    bt-erl run file.torrent --json | jq -c 'select(.event == \"restart\")'";

/// The headings of the help, in their order.
const WHAT: &str = "What to download";
const PEERS: &str = "Peers";
const LIMITS: &str = "Limits";
const END: &str = "When to end";
const OUTPUT: &str = "Output";

/// `bt-erl run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The torrent file, or a magnet link in quotes
    #[arg(value_name = "TORRENT", value_parser = PathBufValueParser::new().try_map(TorrentSource::try_from))]
    pub(crate) torrent: TorrentSource,

    /// Folder to download into; made if it does not exist
    #[arg(short, long, value_name = "DIR", default_value = ".", help_heading = WHAT)]
    pub(crate) dir: PathBuf,

    /// Only the files that are named like this, as in '*.mkv' or 'season 2/**'; may be given more than once
    #[arg(long, value_name = "GLOB", help_heading = WHAT)]
    pub(crate) files: Vec<Glob>,

    /// Only the files with these numbers, as "bt-erl info" prints them: 1,3-5. With --files: those too
    #[arg(long, value_name = "NUMBERS", help_heading = WHAT)]
    pub(crate) only: Vec<FileNumbers>,

    /// Reserve room for all wanted files before the first byte comes, so that a full disk is found out at once
    #[arg(long, help_heading = WHAT)]
    pub(crate) preallocate: bool,

    /// Call a file NAME.part until all of it is there
    #[arg(long, help_heading = WHAT)]
    pub(crate) part_names: bool,

    /// In the order of the content, for who reads the beginning while the rest still comes
    #[arg(long, help_heading = WHAT)]
    pub(crate) sequential: bool,

    /// From so much on, ask two peers for the same block, so that no slow one is waited for in the end
    /// [default: only when every missing block has been asked for]
    #[arg(long, value_name = "PERCENT", value_parser = values::endgame, help_heading = WHAT)]
    pub(crate) endgame: Option<u8>,

    /// Folder for what one run tells the next: finished pieces, totals, good peers
    /// [default: bt-erl in $XDG_DATA_HOME or in ~/.local/share]
    #[arg(long, value_name = "DIR", help_heading = WHAT)]
    pub(crate) state_dir: Option<PathBuf>,

    /// Tell the next run nothing, and use nothing that the last one told
    #[arg(long, conflicts_with = "state_dir", help_heading = WHAT)]
    pub(crate) no_resume: bool,

    /// A peer to call directly, with or without a tracker; may be given more than once
    #[arg(short = 'a', long = "peer", value_name = "HOST:PORT", help_heading = PEERS)]
    pub(crate) peers: Vec<PeerAddress>,

    /// Port to listen on; 0 takes any free one [default: the first free one of 6881 to 6889]
    #[arg(short, long, value_name = "PORT", help_heading = PEERS)]
    pub(crate) port: Option<u16>,

    /// Ask no tracker; only the peers given with -a, and those who call us
    #[arg(long, help_heading = PEERS)]
    pub(crate) no_tracker: bool,

    /// Neither tell peers of other peers nor hear of them (BEP 11)
    #[arg(long, help_heading = PEERS)]
    pub(crate) no_peer_exchange: bool,

    /// Peers connected at once, at most [default: 250]
    #[arg(long, value_name = "N", value_parser = values::max_peers, help_heading = PEERS)]
    pub(crate) max_peers: Option<usize>,

    /// Send no more than so much per second, as in 2MiB
    #[arg(long, value_name = "SIZE", value_parser = values::upload_limit, help_heading = LIMITS)]
    pub(crate) upload_limit: Option<u64>,

    /// Receive no more than so much per second
    #[arg(long, value_name = "SIZE", value_parser = values::download_limit, help_heading = LIMITS)]
    pub(crate) download_limit: Option<u64>,

    /// Peers that are given something at the same time, at most [default: as many as the upload limit bears]
    #[arg(long, value_name = "N", value_parser = values::upload_slots, help_heading = LIMITS)]
    pub(crate) upload_slots: Option<usize>,

    /// Send no more than so much to one peer in ten seconds
    #[arg(long, value_name = "SIZE", value_parser = values::upload_allowance, help_heading = LIMITS)]
    pub(crate) upload_allowance: Option<u64>,

    /// Give nothing to anybody. Peers that give to those who give will be slow
    #[arg(
        long,
        conflicts_with_all = ["upload_limit", "upload_slots", "upload_allowance", "seed", "seed_ratio", "seed_time"],
        help_heading = LIMITS
    )]
    pub(crate) no_upload: bool,

    /// Memory for what is on its way between sockets and disk, from 2MiB on [default: 64MiB]
    #[arg(long, value_name = "SIZE", value_parser = values::memory, help_heading = LIMITS)]
    pub(crate) memory: Option<u64>,

    /// Threads that hash pieces, and as many that read and write files: 1 to 64 [default: one per core, at most 16]
    #[arg(long, value_name = "N", value_parser = values::workers, help_heading = LIMITS)]
    pub(crate) workers: Option<usize>,

    /// Give up with exit code 69 when nothing has arrived for so long (30, 30s, 5m)
    #[arg(long, value_name = "TIME", value_parser = duration::parse, help_heading = END)]
    pub(crate) exit_when_stalled: Option<Duration>,

    /// Go on serving after completion, until Ctrl-C
    #[arg(long, help_heading = END)]
    pub(crate) seed: bool,

    /// Go on serving until so many times the wanted content has been sent, as in 1.5; earlier runs count, too
    #[arg(long, value_name = "RATIO", help_heading = END)]
    pub(crate) seed_ratio: Option<Ratio>,

    /// Go on serving for so long after completion (90m, 24h). With --seed-ratio: until the first of both
    #[arg(long, value_name = "TIME", value_parser = duration::parse, help_heading = END)]
    pub(crate) seed_time: Option<Duration>,

    /// One JSON object per event on stdout, instead of progress on stderr
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) json: bool,

    /// Say nothing but errors
    #[arg(short, long, conflicts_with = "verbose", help_heading = OUTPUT)]
    pub(crate) quiet: bool,

    /// How much to log.
    #[command(flatten, next_help_heading = OUTPUT)]
    pub(crate) log: LogArgs,
}

impl RunArgs {
    /// It goes on after completion.
    pub(crate) fn seeds(&self) -> bool {
        self.seed || self.seed_ratio.is_some() || self.seed_time.is_some()
    }
}
