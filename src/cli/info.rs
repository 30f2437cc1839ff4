//! `bt-erl info`: what is in a torrent file, for a person or for a program.
//!
//! Reads one file and prints; starts nothing but, for a magnet link, a session that fetches what it names.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use bt_erl::protocol::{File, Metainfo};
use bt_erl::rt::spawn;
use bt_erl::{Config, FetchOptions, Magnet, Session};
use serde::Serialize;

use super::args::{InfoArgs, TorrentSource};
use super::exit::Ending;
use super::fault::Fault;
use super::progress::count;
use super::size::{ByteSize, grouped};
use super::terminal::{Paint, Screen, Talk, clean, shorten};
use super::torrent_file;

/// A mended name may be 255 characters long, twice; people see its beginning, programs all of it.
const MENDED_COLUMNS: usize = 200;

/// `--json`, exactly as documented in `docs/cli.md`.
#[derive(Debug, Serialize)]
struct Info<'a> {
    name: &'a str,
    /// 40 hex digits.
    info_hash: String,
    /// Bytes.
    piece_length: u32,
    pieces: u32,
    /// Bytes, with pad files.
    total: u64,
    private: bool,
    /// Without pad files: they are never on disk.
    files: Vec<InfoFile>,
    trackers: &'a [Vec<String>],
    mended: Vec<String>,
}

#[derive(Debug, Serialize)]
struct InfoFile {
    /// From 1; what `run --only` goes by.
    number: usize,
    /// As it will be below the download folder, with `/` between components.
    path: String,
    length: u64,
}

/// How long the peers of a magnet link have.
const FETCH_LIMIT: Duration = Duration::from_secs(60);

fn load(source: &TorrentSource) -> Result<Metainfo, Fault> {
    match source {
        TorrentSource::File(path) => torrent_file::load(path),
        TorrentSource::Magnet(magnet) => spawn::block_on(fetch(magnet)),
    }
}

async fn fetch(magnet: &Magnet) -> Result<Metainfo, Fault> {
    let session = Session::start(Config::default()).await?;
    let fetched = session.fetch(magnet, FetchOptions { limit: Some(FETCH_LIMIT), ..FetchOptions::default() }).await;
    session.stop().await;
    Ok(fetched?)
}

/// Runs the command.
pub(crate) fn run(args: &InfoArgs) -> Ending {
    let screen = Screen::new(Talk::All);
    let metainfo = match load(&args.torrent) {
        Ok(metainfo) => metainfo,
        Err(fault) => {
            screen.error(fault.sentence());
            return fault.ending();
        }
    };
    let printed = if args.json { print_json(&metainfo) } else { print(&table(&metainfo, Paint::of_stdout())) };
    match printed {
        Ok(()) => Ending::Complete,
        Err(error) => {
            screen.error(format!("cannot write to stdout: {error}"));
            Ending::Failed
        }
    }
}

/// What `--json` prints.
pub(crate) fn print_json(metainfo: &Metainfo) -> io::Result<()> {
    let json = serde_json::to_string(&info(metainfo))?;
    print(&(json + "\n"))
}

/// To stdout.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // `| head` has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

fn info(metainfo: &Metainfo) -> Info<'_> {
    let file = |(number, file): (usize, &File)| InfoFile { number, path: file.path.join("/"), length: file.length };
    let files = metainfo.files.iter().filter(|file| !file.pad);
    Info {
        name: &metainfo.name,
        info_hash: metainfo.info_hash.to_string(),
        piece_length: metainfo.layout.piece_bytes(),
        pieces: metainfo.layout.pieces(),
        total: metainfo.layout.total_bytes(),
        private: metainfo.private,
        files: (1..).zip(files).map(file).collect(),
        trackers: &metainfo.trackers,
        mended: mended(metainfo),
    }
}

/// A sentence each; the last one counts those that are not listed.
fn mended(metainfo: &Metainfo) -> Vec<String> {
    let unlisted = match metainfo.mended_unlisted {
        0 => None,
        more => Some(format!("{} more", grouped(more as u64))),
    };
    metainfo.mended.iter().map(ToString::to_string).chain(unlisted).collect()
}

/// For people: a line per fact, then the trackers and the files.
fn table(metainfo: &Metainfo, paint: Paint) -> String {
    let info = info(metainfo);
    let mut text = String::new();
    let mut row = |label: &str, value: &str| {
        let label = paint.dim(format!("{label:<11}"));
        text.push_str(&format!("{label} {value}\n"));
    };
    row("Name", &paint.bold(clean(info.name)));
    row("Info hash", &info.info_hash);
    row("Size", &exact(info.total));
    let piece_length = ByteSize(u64::from(info.piece_length));
    row("Pieces", &format!("{} of {piece_length}", grouped(info.pieces.into())));
    row("Private", if info.private { "yes" } else { "no" });
    for (label, value) in [("Comment", &metainfo.comment), ("Made by", &metainfo.created_by)] {
        if let Some(value) = value {
            row(label, &clean(value));
        }
    }
    match info.trackers {
        [] => row("Trackers", "none"),
        tiers => {
            for (tier, urls) in tiers.iter().enumerate() {
                for url in urls {
                    row(if tier == 0 { "Tracker" } else { "or" }, &clean(url));
                }
            }
        }
    }
    for mended in &info.mended {
        row("Mended", &paint.yellow(shorten(&clean(mended), MENDED_COLUMNS)));
    }
    row("Files", &files_row(metainfo, &info));
    let widest = info.files.iter().map(|file| ByteSize(file.length).to_string().len()).max().unwrap_or(0);
    let digits = info.files.len().to_string().len();
    for file in &info.files {
        let number = paint.dim(format!("{:>digits$}", file.number));
        let size = ByteSize(file.length).to_string();
        text.push_str(&format!("  {number}  {size:>widest$}  {}\n", clean(&file.path)));
    }
    text
}

fn files_row(metainfo: &Metainfo, info: &Info<'_>) -> String {
    let pads: u64 = metainfo.files.iter().filter(|file| file.pad).map(|file| file.length).sum();
    let files = count(info.files.len() as u64, "file");
    if pads == 0 { files } else { format!("{files}, and {} of padding that is never written", ByteSize(pads)) }
}

/// `300 MiB (314,572,800 bytes)`, or just the bytes when they are few.
fn exact(bytes: u64) -> String {
    if bytes < 1024 { count(bytes, "byte") } else { format!("{} ({})", ByteSize(bytes), count(bytes, "byte")) }
}
