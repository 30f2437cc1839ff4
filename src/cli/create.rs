//! `bt-erl create`: a torrent file from content on disk.
//!
//! Shows how far the library's `create` is and writes what it made, whole or not at all. It hashes nothing itself.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bt_erl::protocol::{Draft, Metainfo};
use bt_erl::rt::files::{DiskError, DiskFault, Folder};
use bt_erl::rt::{clock, spawn, wall};
use bt_erl::{CreateError, create};

use super::args::CreateArgs;
use super::exit::{Ending, signals};
use super::fault::Fault;
use super::progress::count;
use super::run::shown;
use super::size::{ByteSize, rate};
use super::terminal::{Screen, Talk};
use super::{hashing, info};

const CREATED_BY: &str = concat!("bt-erl ", env!("CARGO_PKG_VERSION"));

/// Runs the command to its end.
pub(crate) fn run(args: &CreateArgs) -> Ending {
    let screen = Screen::new(if args.json { Talk::NoProgress } else { Talk::All });
    spawn::block_on(make(args, &screen)).unwrap_or_else(|fault| {
        screen.error(fault.sentence());
        fault.ending()
    })
}

async fn make(args: &CreateArgs, screen: &Screen) -> Result<Ending, Fault> {
    let mut signals = signals()?;
    let out = Out::of(args)?;
    let (name, begin) = (format!("hashing {}", shown(&args.path)), clock::now());
    let work = async |progress| create(&args.path, draft(args), progress).await;
    let made = match hashing::watch(screen, &mut signals, &name, work).await {
        Ok(made) => made.map_err(not_there)?,
        Err(signal) => return Ok(signal.into()),
    };
    let took = begin.elapsed();
    let metainfo = Metainfo::parse(&made).map_err(|reason| Fault::BadTorrent { path: args.path.clone(), reason })?;
    let file = out.path.clone();
    spawn::blocking(move || out.write(&made)).await?;
    if args.json {
        return Ok(info::print_json(&metainfo).map_or(Ending::Failed, |()| Ending::Complete));
    }
    let (bytes, pieces) = (metainfo.layout.total_bytes(), count(metainfo.layout.pieces().into(), "piece"));
    let each = ByteSize(metainfo.layout.piece_bytes().into());
    let files = count(metainfo.files.len() as u64, "file");
    let speed = rate((bytes as f64 / took.as_secs_f64().max(0.001)) as u64);
    let (file, size, hash) = (shown(&file), ByteSize(bytes), metainfo.info_hash);
    let line = format!("{file}: {files}, {size} in {pieces} of {each}, hashed at {speed}, info hash {hash}\n");
    // The torrent file is there; who does not hear of it is no reason to fail.
    let _ = io::stdout().write_all(line.as_bytes());
    if metainfo.trackers.is_empty() {
        screen.say("no tracker is named in it: whoever downloads it has to know a peer");
    }
    Ok(Ending::Complete)
}

fn not_there(error: CreateError) -> Fault {
    match error {
        CreateError::Disk(DiskError { fault: DiskFault::Missing, path, .. }) => Fault::NoSuchFile { path },
        error => error.into(),
    }
}

fn draft(args: &CreateArgs) -> Draft {
    let seconds = wall::unix_time().as_secs();
    Draft {
        name: args.name.clone().unwrap_or_default(),
        files: Vec::new(),
        piece_bytes: args.piece_length.unwrap_or(0),
        trackers: args.announce.clone(),
        web_seeds: args.web_seed.clone(),
        private: args.private,
        comment: args.comment.clone(),
        created_by: Some(CREATED_BY.to_owned()),
        creation_date: if args.no_date { None } else { i64::try_from(seconds).ok() },
    }
}

/// Where the torrent file goes; known to be possible before an hour of hashing.
struct Out {
    folder: Arc<Folder>,
    name: String,
    path: PathBuf,
}

impl Out {
    fn of(args: &CreateArgs) -> Result<Self, Fault> {
        let path = match &args.out {
            Some(path) => path.clone(),
            None => {
                let whole = std::path::absolute(&args.path).unwrap_or_else(|_| args.path.clone());
                let name = whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                format!("{}.torrent", args.name.as_ref().unwrap_or(&name)).into()
            }
        };
        let fail = |fault| Fault::Disk(DiskError { doing: "write", path: path.clone(), fault });
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| fail(DiskFault::BadName))?.to_owned();
        let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = Folder::open(above)?;
        let components = [name.clone()];
        if folder.file_length(&components)?.is_some() && !args.force {
            return Err(Fault::Exists { path });
        }
        folder.check_writable(&components)?;
        Ok(Self { folder, name, path })
    }

    fn write(&self, bytes: &[u8]) -> Result<(), DiskError> {
        self.folder.replace_whole(std::slice::from_ref(&self.name), bytes)
    }
}
