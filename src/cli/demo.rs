//! `bt-erl demo`: a tracker, a seed and a leech in one tree, a crash in the middle, and what becomes of it.
//!
//! Owns what the demo makes (a folder, a tree) and takes it away again however the demo ends. The story is told in
//! `demo/plot.rs`.

mod content;
mod plot;
mod report;
mod story;
mod swarm;
mod view;

use std::process::exit;
use std::time::Duration;

use bt_erl::rt::files::DiskError;
use bt_erl::rt::scratch::Scratch;
use bt_erl::rt::signals::Signals;
use bt_erl::rt::{clock, spawn};
use bt_erl::{Event, Events, Metainfo, TorrentOptions, TrackerOutcome};
use futures::{FutureExt, pin_mut, select_biased};

use self::plot::Plot;
use self::story::Story;
use self::swarm::Swarm;
use super::args::DemoArgs;
use super::exit::{Ending, asked_again, signals};
use super::fault::Fault;
use super::progress::{Display, count};
use super::run::Summary;
use super::size::{ByteSize, grouped, rate};
use super::terminal::{Paint, Screen, Talk};
use super::{logging, run};

/// For the seed to check its content and tell the tracker, apart from the time that hashing takes.
const SEED_LIMIT: Duration = Duration::from_secs(15);
/// Hashing is never slower than this, in bytes per second.
const SLOWEST_HASHING: u64 = 20 << 20;

/// What has to be taken away at the end.
#[derive(Default)]
struct Stage {
    scratch: Option<Scratch>,
    swarm: Option<Swarm>,
}

/// Runs the command to its end.
pub(crate) fn run(args: &DemoArgs) -> Ending {
    let screen = Screen::new(Talk::All);
    let ended = logging::start_for_demo(&args.log, &screen)
        .map_err(Fault::from)
        .and_then(|()| spawn::block_on(demo(args, &screen)));
    ended.unwrap_or_else(|fault| {
        screen.error(fault.sentence());
        fault.ending()
    })
}

async fn demo(args: &DemoArgs, screen: &Screen) -> Result<Ending, Fault> {
    let mut signals = signals()?;
    let mut stage = Stage::default();
    let ended = {
        let (story, narrator) = story::new(screen);
        let play = play(args, screen, &mut stage, story);
        let told = futures::future::join(play, narrator.tell()).fuse();
        let signal = signals.next().fuse();
        pin_mut!(told, signal);
        select_biased! {
            signal = signal => {
                screen.freeze();
                Err(signal)
            }
            (played, ()) = told => Ok(played),
        }
    };
    let path = stage.scratch.as_ref().map(|scratch| run::shown(scratch.path()));
    let cleared = clear(stage, signals).await;
    match ended {
        Err(signal) => {
            let removed = path.map_or(String::new(), |path| format!("; {path} is removed"));
            screen.say(&format!("{signal}{removed}"));
            cleared.map(|()| signal.into())
        }
        Ok(played) => {
            // The first fault is the one that explains.
            played.and(cleared)?;
            story::epilogue(screen, &epilogue(&path.unwrap_or_default()));
            Ok(Ending::Complete)
        }
    }
}

fn epilogue(removed: &str) -> Vec<String> {
    let paint = Paint::of_stdout();
    vec![
        format!("removed {removed}"),
        format!("next: {}   download something", paint.bold("bt-erl run FILE.torrent")),
        format!("      {}       how the tree works, and why", paint.bold("docs/supervision.md")),
    ]
}

/// Stops the tree and removes the folder. Who asks for the end once more does not wait for the tree, but the folder is
/// removed all the same.
async fn clear(stage: Stage, mut signals: Signals) -> Result<(), Fault> {
    let hurry = {
        let stop = async {
            if let Some(swarm) = stage.swarm {
                swarm.stop().await;
            }
        };
        let (stop, again) = (stop.fuse(), asked_again(&mut signals).fuse());
        pin_mut!(stop, again);
        select_biased! {
            () = stop => None,
            signal = again => Some(signal),
        }
    };
    let removed = match stage.scratch {
        Some(scratch) => spawn::blocking(move || scratch.remove()).await,
        None => Ok(()),
    };
    match hurry {
        Some(signal) => exit(i32::from(signal.exit_code())),
        None => removed.map_err(Fault::from),
    }
}

/// The whole play. Whatever it makes is in `stage` before it can fail.
async fn play(args: &DemoArgs, screen: &Screen, stage: &mut Stage, story: Story) -> Result<(), Fault> {
    let (size, paint) = (args.size, story.paint());
    let title = paint.bold("bt-erl demo");
    story.line(&format!("{title}: tracker, seed and leech in one process, in one supervision tree"));
    story.line("");
    let scratch = stage.scratch.insert(Scratch::new("bt-erl-demo-").map_err(no_scratch)?);
    let folder = scratch.path().to_owned();
    let tracker = swarm::tracker()?;
    story.line(&format!("making {size} of random content in {}", run::shown(&folder)));
    let torrent = {
        let mut bar = Display::of_bytes(screen, "making the content", size.0);
        content::make(&folder.join("seed"), size.0, &tracker.url(), |made| bar.bytes(made)).await?
    };
    let metainfo = Metainfo::parse(&torrent).map_err(|error| Fault::Demo { reason: error.to_string() })?;

    let swarm = stage.swarm.insert(Swarm::start(&tracker)?);
    story.line("starting the tree; the seed checks its content and tells the tracker");
    let events = swarm.seed.events();
    swarm.seed.add(metainfo.clone(), TorrentOptions::new(folder.join("seed"))).await?;
    let limit = SEED_LIMIT + Duration::from_secs(size.0 / SLOWEST_HASHING);
    match clock::timeout(limit, seeding(&events)).await {
        Ok(seeding) => seeding?,
        Err(_) => {
            let reason = "the seed did not reach the tracker; please report it, with --log-file".to_owned();
            return Err(Fault::Demo { reason });
        }
    }
    story.line("");
    let summary = {
        let mut display = Display::new(screen, &metainfo.name);
        let options = TorrentOptions::new(folder.join("leech"));
        Plot::play(&story, swarm, &mut display, &metainfo, options).await?
    };
    finish(&story, &summary, &folder).await?;
    story.line("");
    Ok(())
}

fn no_scratch(error: DiskError) -> Fault {
    let reason = format!("{error}; TMPDIR says in which folder the demo makes its own");
    Fault::Demo { reason }
}

/// Until the seed has found its content whole and the tracker knows it.
async fn seeding(events: &Events) -> Result<(), Fault> {
    let (mut complete, mut announced) = (false, false);
    while let Some(event) = events.recv().await {
        match event {
            Event::Complete => complete = true,
            Event::Tracker { outcome: TrackerOutcome::Announced { .. }, .. } => announced = true,
            Event::Tracker { outcome: TrackerOutcome::Failed { reason, .. }, .. }
            | Event::Failed { message: reason }
            | Event::Disk { message: reason, .. } => return Err(Fault::Demo { reason }),
            _ => {}
        }
        if complete && announced {
            return Ok(());
        }
    }
    Err(Fault::Demo { reason: "the seed's session ended; please report it, with --log-file".to_owned() })
}

async fn finish(story: &Story, summary: &Summary, folder: &std::path::Path) -> Result<(), Fault> {
    let paint = story.paint();
    story.at(
        summary.took,
        &format!(
            "{} {} at {}, {}, {} wasted",
            paint.green("complete:"),
            ByteSize(summary.bytes),
            rate(summary.rate()),
            count(summary.restarts, "restart"),
            ByteSize(summary.wasted.total())
        ),
    );
    let begin = clock::now();
    let (seed, leech) = (folder.join("seed"), folder.join("leech"));
    let difference = content::first_difference(&seed, &leech, summary.bytes).await?;
    if let Some(at) = difference {
        return Err(Fault::Demo {
            reason: format!("byte {at} of the copy is not that of the original; please report this"),
        });
    }
    story.at(
        summary.took + begin.elapsed(),
        &format!("{} all {} bytes of both files are the same", paint.green("compared:"), grouped(summary.bytes)),
    );
    Ok(())
}
