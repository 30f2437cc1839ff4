//! From arguments to a download that runs.
//!
//! What the person wrote becomes what the library is started with; nothing is followed here, that is `run.rs`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bt_erl::protocol::magnet::PeerName;
use bt_erl::protocol::{Metainfo, selection};
use bt_erl::rt::{net, spawn};
use bt_erl::{Config, Events, FetchOptions, Magnet, Session, Torrent, TorrentOptions};

use super::stop;
use crate::cli::args::{PeerAddress, RunArgs, TorrentSource};
use crate::cli::fault::Fault;
use crate::cli::terminal::{Screen, clean};
use crate::cli::torrent_file;

/// How long a name server may take to find the address of an `-a`.
const RESOLVE_LIMIT: Duration = Duration::from_secs(10);

/// A download that runs.
pub(super) struct Started {
    pub(super) session: Session,
    pub(super) events: Events,
    pub(super) torrent: Torrent,
    pub(super) metainfo: Metainfo,
    /// There is nobody to ask for peers and no peer to call.
    pub(super) alone: bool,
}

/// Everything up to a running download; the torrent file is read first, because most mistakes are there. `begun`: the session, as soon as
/// there is one that has to be ended in order.
pub(super) async fn start(args: &RunArgs, screen: &Screen, begun: &mut Option<Session>) -> Result<Started, Fault> {
    let source = match &args.torrent {
        TorrentSource::File(file) => {
            let file = file.clone();
            let metainfo = spawn::blocking(move || torrent_file::load(&file)).await?;
            wanted_files(args, &metainfo)?;
            Source::Known(Box::new(metainfo))
        }
        TorrentSource::Magnet(magnet) => Source::Named(magnet),
    };
    let asks_trackers = !args.no_tracker && source.has_trackers();
    let peers = resolve(&[&args.peers[..], &source.peers()].concat(), asks_trackers).await?;
    let alone = peers.is_empty() && !asks_trackers;
    let session = begun.insert(Session::start(config(args)).await?).clone();
    let events = session.events();
    let added = async {
        let metainfo = match source {
            Source::Known(metainfo) => *metainfo,
            Source::Named(magnet) => fetch(args, screen, &session, magnet, &peers).await?,
        };
        let options = TorrentOptions { wanted_files: wanted_files(args, &metainfo)?, peers, ..options(args) };
        Ok((session.add(metainfo.clone(), options).await?, metainfo))
    };
    match added.await {
        Ok((torrent, metainfo)) => Ok(Started { session, events, torrent, metainfo, alone }),
        Err(fault) => {
            stop(&session, None).await;
            Err(fault)
        }
    }
}

/// What is to be downloaded.
enum Source<'a> {
    Known(Box<Metainfo>),
    /// By its info hash alone.
    Named(&'a Magnet),
}

impl Source<'_> {
    fn has_trackers(&self) -> bool {
        match self {
            Source::Known(metainfo) => !metainfo.trackers.is_empty(),
            Source::Named(magnet) => !magnet.trackers.is_empty(),
        }
    }

    /// The peers that it names itself.
    fn peers(&self) -> Vec<PeerAddress> {
        match self {
            Source::Known(_) => Vec::new(),
            Source::Named(magnet) => {
                let address = |peer: &PeerName| PeerAddress { host: peer.host.clone(), port: peer.port };
                magnet.peers.iter().map(address).collect()
            }
        }
    }
}

/// The torrent of a magnet link whose peers have been looked up already.
async fn fetch(
    args: &RunArgs,
    screen: &Screen,
    session: &Session,
    magnet: &Magnet,
    peers: &[SocketAddr],
) -> Result<Metainfo, Fault> {
    let name = magnet.name.clone().unwrap_or_else(|| magnet.info_hash.to_string());
    screen.say(&format!("asking peers what {} is", clean(&name)));
    let magnet = Magnet { peers: Vec::new(), ..magnet.clone() };
    let options = FetchOptions { peers: peers.to_vec(), trackers: !args.no_tracker, limit: args.exit_when_stalled };
    Ok(session.fetch(&magnet, options).await?)
}

/// The only torrent may use all that the session may.
fn config(args: &RunArgs) -> Config {
    let usual = Config::default();
    Config {
        ports: args.port.map_or(usual.ports, |port| Some(port..=port)),
        max_peers: args.max_peers.unwrap_or(usual.max_peers),
        memory_bytes: args.memory.unwrap_or(usual.memory_bytes),
        workers: args.workers.unwrap_or(usual.workers),
        upload_limit: args.upload_limit,
        download_limit: args.download_limit,
        state_dir: state_dir(args, |name| std::env::var_os(name)),
        ..usual
    }
}

fn options(args: &RunArgs) -> TorrentOptions {
    let usual = TorrentOptions::new(&args.dir);
    TorrentOptions {
        trackers: !args.no_tracker,
        max_peers: args.max_peers.unwrap_or(usual.max_peers),
        upload_allowance: args.upload_allowance,
        upload_slots: if args.no_upload { Some(0) } else { args.upload_slots },
        preallocate: args.preallocate,
        part_names: args.part_names,
        sequential: args.sequential,
        endgame_from: args.endgame.unwrap_or(usual.endgame_from),
        peer_exchange: !args.no_peer_exchange,
        ..usual
    }
}

/// Positions of the files that are asked for; `None`: all.
fn wanted_files(args: &RunArgs, metainfo: &Metainfo) -> Result<Option<Vec<usize>>, Fault> {
    if args.files.is_empty() && args.only.is_empty() {
        return Ok(None);
    }
    selection::choose(&metainfo.files, &args.files, &args.only).map(Some).map_err(Fault::Selection)
}

/// As the XDG base directory specification has it: a path that is not absolute does not count. `variable` reads the environment.
fn state_dir(args: &RunArgs, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if args.no_resume {
        return None;
    }
    let usual = || folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(Path::new(".local/share"))));
    let found = args.state_dir.clone().or_else(|| Some(usual()?.join("bt-erl")));
    if found.is_none() {
        log::debug!("neither XDG_DATA_HOME nor HOME names a folder: nothing is kept for the next run");
    }
    found
}

/// The addresses of all `-a`. A name that leads nowhere is a warning as long as somebody else can be asked.
async fn resolve(peers: &[PeerAddress], asks_trackers: bool) -> Result<Vec<SocketAddr>, Fault> {
    let looked_up =
        peers.iter().map(|peer| async move { (peer, net::resolve(&peer.host, peer.port, RESOLVE_LIMIT).await) });
    let mut found = Vec::new();
    for (peer, addresses) in futures::future::join_all(looked_up).await {
        match addresses {
            Ok(addresses) => found.extend(addresses),
            Err(error) => log::warn!("peer {peer} is left out: {error}"),
        }
    }
    if found.is_empty() && !peers.is_empty() && !asks_trackers {
        return Err(Fault::NoPeerFound { peers: peers.iter().map(ToString::to_string).collect() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Command, CommandLine};

    fn run(flags: &str) -> RunArgs {
        let line = format!("bt-erl run x.torrent {flags}");
        match CommandLine::try_parse_from(line.split_whitespace()).map(|line| line.command) {
            Ok(Command::Run(args)) => args,
            other => panic!("{line:?} gave {other:?}"),
        }
    }

    #[test]
    fn what_nobody_asked_for_is_as_the_library_has_it() {
        let (config, usual) = (config(&run("--no-resume")), Config::default());
        assert_eq!(format!("{config:?}"), format!("{usual:?}"));
        assert_eq!(format!("{:?}", options(&run(""))), format!("{:?}", TorrentOptions::new(".")));
    }

    #[test]
    fn every_limit_reaches_the_library() {
        let args = run("--upload-limit 2MiB --download-limit 3MiB --max-peers 7 --upload-slots 5 \
            --upload-allowance 64KiB --preallocate --part-names --sequential --endgame 85% --no-peer-exchange -p 0 --no-tracker --state-dir s");
        let (config, options) = (config(&args), options(&args));
        assert_eq!((config.upload_limit, config.download_limit), (Some(2 << 20), Some(3 << 20)));
        assert_eq!((config.max_peers, options.max_peers, config.ports), (7, 7, Some(0..=0)));
        assert_eq!((options.upload_slots, options.upload_allowance), (Some(5), Some(65536)));
        assert_eq!((options.sequential, options.endgame_from, options.peer_exchange), (true, 85, false));
        assert!(options.preallocate && options.part_names);
        assert_eq!((options.trackers, config.state_dir), (false, Some("s".into())));
        assert_eq!(super::options(&run("--no-upload")).upload_slots, Some(0));
    }

    #[test]
    fn state_is_kept_where_the_desktop_wants_it_and_nowhere_without_a_home() {
        let state = |flags: &str, xdg: Option<&str>, home: Option<&str>| {
            let variable = |name: &str| match name {
                "XDG_DATA_HOME" => xdg.map(OsString::from),
                _ => home.map(OsString::from),
            };
            state_dir(&run(flags), variable)
        };
        assert_eq!(state("", Some("/x"), Some("/h")), Some("/x/bt-erl".into()));
        assert_eq!(state("", None, Some("/h")), Some("/h/.local/share/bt-erl".into()));
        assert_eq!(state("", Some("not/absolute"), Some("/h")), Some("/h/.local/share/bt-erl".into()));
        assert_eq!(state("", Some(""), Some("")), None);
        assert_eq!(state("", None, None), None);
        assert_eq!(state("--state-dir here", Some("/x"), Some("/h")), Some("here".into()));
        assert_eq!(state("--no-resume", Some("/x"), Some("/h")), None);
    }
}
