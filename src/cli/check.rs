//! `bt-erl check`: what of a torrent's content is on disk and right, for a person or for a program.
//!
//! Changes nothing; starts no session.

use std::io;

use bt_erl::rt::spawn;
use bt_erl::{CheckedFile, FileState, check};
use serde::Serialize;

use super::args::CheckArgs;
use super::exit::{Ending, signals};
use super::fault::Fault;
use super::info::print;
use super::progress::count;
use super::run::shown;
use super::size::{ByteSize, grouped};
use super::terminal::{Paint, Screen, Talk, clean};
use super::{hashing, torrent_file};

/// `--json`, exactly as documented in `docs/cli.md`.
#[derive(Debug, Serialize)]
struct Report {
    whole: bool,
    pieces: u32,
    right: u32,
    files: Vec<FileReport>,
}

#[derive(Debug, Serialize)]
struct FileReport {
    path: String,
    length: u64,
    /// `whole`, `too long`, `part name`, `partial`, `missing` or `unreadable`.
    state: &'static str,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Runs the command to its end.
pub(crate) fn run(args: &CheckArgs) -> Ending {
    let screen = Screen::new(if args.json { Talk::NoProgress } else { Talk::All });
    spawn::block_on(look(args, &screen)).unwrap_or_else(|fault| {
        screen.error(fault.sentence());
        fault.ending()
    })
}

async fn look(args: &CheckArgs, screen: &Screen) -> Result<Ending, Fault> {
    let mut signals = signals()?;
    let file = args.file.clone();
    let metainfo = spawn::blocking(move || torrent_file::load(&file)).await?;
    let name = format!("checking {}", clean(&metainfo.name));
    let work = async |progress| check(&metainfo, &args.dir, progress).await;
    let (right, files) = match hashing::watch(screen, &mut signals, &name, work).await {
        Ok(checked) => checked?,
        Err(signal) => return Ok(signal.into()),
    };
    let (right, pieces) = (right.count(), metainfo.layout.pieces());
    let whole = files.iter().all(|file| file.state == FileState::Whole);
    let text = if args.json {
        let files = files.iter().map(|file| FileReport {
            path: file.path.join("/"),
            length: file.length,
            state: word(&file.state),
            reason: match &file.state {
                FileState::Unreadable { error } => Some(error.fault.to_string()),
                _ => None,
            },
        });
        let report = Report { whole, pieces, right, files: files.collect() };
        serde_json::to_string(&report).map(|json| json + "\n").map_err(io::Error::from)
    } else {
        Ok(table(&files, right, pieces, &shown(&args.dir), Paint::of_stdout()))
    };
    match text.and_then(|text| print(&text)) {
        Ok(()) if whole => Ok(Ending::Complete),
        Ok(()) => Ok(Ending::Failed),
        Err(error) => Err(Fault::Stdout { reason: error.to_string() }),
    }
}

fn word(state: &FileState) -> &'static str {
    match state {
        FileState::Whole => "whole",
        FileState::TooLong { .. } => "too long",
        FileState::PartName { .. } => "part name",
        FileState::Partial { .. } => "partial",
        FileState::Missing => "missing",
        FileState::Unreadable { .. } => "unreadable",
    }
}

/// What is not whole, a line each; then one line about all.
fn table(files: &[CheckedFile], right: u32, pieces: u32, dir: &str, paint: Paint) -> String {
    let mut text = String::new();
    for file in files.iter().filter(|file| file.state != FileState::Whole) {
        let what = match &file.state {
            FileState::Partial { right, of } => {
                let percent = u64::from(*right) * 100 / u64::from((*of).max(1));
                format!("{} of {} pieces are right, {percent}%", grouped((*right).into()), grouped((*of).into()))
            }
            FileState::TooLong { found } => {
                let more = ByteSize(found.saturating_sub(file.length));
                format!("right, and {more} longer than it should be")
            }
            FileState::PartName { name } => {
                format!("right, and still called {}; \"bt-erl run\" gives it its name", clean(name))
            }
            FileState::Missing => "missing".to_owned(),
            FileState::Unreadable { error } => error.fault.to_string(),
            FileState::Whole => String::new(),
        };
        text.push_str(&format!("{}: {}\n", clean(&file.path.join("/")), paint.yellow(what)));
    }
    let good = files.iter().filter(|file| file.state == FileState::Whole).count();
    let all = count(pieces.into(), "piece");
    text.push_str(&match good == files.len() {
        true => format!("{}: all {} in {dir}, {all}\n", paint.green("whole"), count(good as u64, "file")),
        false => format!(
            "{}: {} of {} whole in {dir}, {} of {all} right\n",
            paint.bold("not whole"),
            grouped(good as u64),
            count(files.len() as u64, "file"),
            grouped(right.into()),
        ),
    });
    text
}
