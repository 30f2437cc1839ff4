//! `bt-erl run`: one session, one torrent, until it is complete or there is a reason to end.
//!
//! Turns what the library tells (events, figures, the outcome) and what the person tells (signals) into lines and an
//! exit code. It decides nothing about the download itself.

mod ended;
mod happenings;
mod peers;
mod seeding;
mod stall;
mod start;

use std::collections::HashSet;
use std::io::Stdout;
use std::net::SocketAddr;
use std::path::Path;
use std::process::exit;
use std::sync::Arc;
use std::time::Duration;

use bt_erl::protocol::Metainfo;
use bt_erl::rt::signals::{Signal, Signals, survive_file_size_limit};
use bt_erl::rt::{clock, spawn};
use bt_erl::{DiskChange, Event, Events, Outcome, PeerChange, Session, Torrent};
use futures::{FutureExt, StreamExt, pin_mut, select_biased};

pub(crate) use self::ended::{Seeded, Summary};
use self::happenings::Happening;
use self::seeding::Goal;
pub(crate) use self::stall::StallWatch;
use self::start::{Started, start};
use super::args::RunArgs;
use super::exit::{Ending, asked_again, signals};
use super::fault::Fault;
use super::json::{JsonLines, Line};
use super::logging;
use super::progress::{self, Display};
use super::terminal::{Screen, Talk, clean};

/// Between two `progress` lines of `--json`.
const JSON_EVERY: Duration = Duration::from_secs(1);
/// Between two `peers` lines of `--json`.
const JSON_PEERS_EVERY: Duration = Duration::from_secs(10);
/// Addresses that are counted: callers who come and go for months cost nothing more.
const MOST_ADDRESSES: usize = 100_000;
/// `Session::stop` ends in five seconds by itself; this is for the case that it does not.
const STOP_LIMIT: Duration = Duration::from_secs(6);
/// How long the last events may take to come out after the outcome is known.
const LAST_EVENTS_LIMIT: Duration = Duration::from_secs(1);

/// Nobody but us stops this session, so this is the root supervisor's own decision.
const GAVE_UP: &str = "too many processes crashed in too short a time, and the supervision tree gave up; run it again \
    with --log-file and report what the log says";

/// Runs the command to its end.
pub(crate) fn run(args: &RunArgs) -> Ending {
    let talk = match (args.quiet, args.json) {
        (true, _) => Talk::ErrorsOnly,
        (false, true) => Talk::NoProgress,
        (false, false) => Talk::All,
    };
    let screen = Screen::new(talk);
    let mut lines = args.json.then(|| JsonLines::new(std::io::stdout()));
    let ended = logging::start(&args.log, &screen)
        .map_err(Fault::from)
        .and_then(|()| spawn::block_on(download(args, &screen, &mut lines)));
    ended.unwrap_or_else(|fault| {
        let (ending, message) = (fault.ending(), fault.sentence());
        screen.error(&message);
        if let Some(lines) = &mut lines {
            lines.write(&Line::Error { exit: ending.code(), message });
        }
        ending
    })
}

async fn download(args: &RunArgs, screen: &Screen, lines: &mut Option<JsonLines<Stdout>>) -> Result<Ending, Fault> {
    survive_file_size_limit();
    let mut signals = signals()?;
    let mut begun = None;
    let started = {
        let (start, signal) = (start(args, screen, &mut begun).fuse(), signals.next().fuse());
        pin_mut!(start, signal);
        select_biased! {
            signal = signal => Err(signal),
            started = start => Ok(started?),
        }
    };
    let Started { session, events, torrent, metainfo, alone } = match started {
        Ok(started) => started,
        Err(signal) => {
            if let Some(session) = begun {
                stop(&session, Some(signals)).await;
            }
            write(lines, Line::Stopped { exit: signal.exit_code(), bytes_finished: 0 });
            return Ok(signal.into());
        }
    };
    let mut download = Download {
        args,
        screen,
        display: Display::new(screen, &metainfo.name),
        lines,
        stall: args.exit_when_stalled.map(|limit| StallWatch::new(limit, clock::since_start())),
        goal: Goal::of(args),
        next_line: clock::since_start() + JSON_EVERY,
        next_peers: clock::since_start() + JSON_EVERY,
        met: HashSet::new(),
        checked_at: clock::since_start(),
        complete_at: None,
        metainfo,
        torrent,
        events: Arc::new(events),
        heard_the_last: false,
        alone,
        session,
    };
    download.follow(signals).await
}

fn write(lines: &mut Option<JsonLines<Stdout>>, line: Line) {
    if let Some(lines) = lines {
        lines.write(&line);
    }
}

/// What the figures of this moment mean for the run.
enum Verdict {
    GoOn,
    Stalled(Fault),
    SeededEnough,
}

struct Download<'a> {
    args: &'a RunArgs,
    screen: &'a Screen,
    display: Display,
    lines: &'a mut Option<JsonLines<Stdout>>,
    stall: Option<StallWatch>,
    goal: Goal,
    next_line: Duration,
    next_peers: Duration,
    /// Addresses that were connected at any time; at most `MOST_ADDRESSES`.
    met: HashSet<SocketAddr>,
    /// When the download proper began.
    checked_at: Duration,
    /// When it was complete and seeding began.
    complete_at: Option<Duration>,
    metainfo: Metainfo,
    session: Session,
    torrent: Torrent,
    events: Arc<Events>,
    /// `Complete` or `Failed` has been read from `events`.
    heard_the_last: bool,
    /// As in `Started`.
    alone: bool,
}

impl Download<'_> {
    async fn follow(&mut self, signals: Signals) -> Result<Ending, Fault> {
        write(self.lines, self.started());
        let mut happenings = happenings::stream(signals, &self.torrent, &self.events);
        while let Some(happening) = happenings.next().await {
            match happening {
                Happening::Look => match self.look() {
                    Verdict::GoOn => {}
                    Verdict::Stalled(fault) => return self.fail(fault).await,
                    Verdict::SeededEnough => {
                        self.display.clear();
                        if let Some(line) = self.seeded() {
                            self.screen.say(&line);
                        }
                        stop(&self.session, None).await;
                        return Ok(Ending::Complete);
                    }
                },
                Happening::Event(event) => self.event(&event),
                Happening::Question => {
                    for line in peers::table(&self.torrent.peers(), self.screen.width(), self.screen.paint()) {
                        self.screen.print(&line);
                    }
                }
                Happening::Outcome(Outcome::Complete) => {
                    self.last_events().await;
                    self.complete();
                    if !self.args.seeds() {
                        stop(&self.session, None).await;
                        return Ok(Ending::Complete);
                    }
                }
                Happening::Outcome(Outcome::Failed(reason)) => {
                    self.last_events().await;
                    return self.fail(Fault::Download { reason }).await;
                }
                Happening::Outcome(Outcome::Stopped) => {
                    return self.fail(Fault::Download { reason: GAVE_UP.to_owned() }).await;
                }
                Happening::Signal(signal, signals) => return Ok(self.interrupted(signal, signals).await),
            }
        }
        // The ticker never ends.
        Ok(Ending::Failed)
    }

    fn started(&self) -> Line {
        Line::Started {
            name: self.metainfo.name.clone(),
            info_hash: self.metainfo.info_hash.to_string(),
            pieces: self.metainfo.layout.pieces(),
            bytes: self.metainfo.layout.total_bytes(),
            dir: self.args.dir.display().to_string(),
            port: self.session.local_port(),
        }
    }

    fn look(&mut self) -> Verdict {
        let (progress, now) = (self.torrent.progress(), clock::since_start());
        self.display.show(&progress, now);
        if now >= self.next_line {
            self.next_line = now + JSON_EVERY;
            write(self.lines, Line::of_progress(&progress));
        }
        if now >= self.next_peers && self.lines.is_some() {
            self.next_peers = now + JSON_PEERS_EVERY;
            write(self.lines, Line::Peers { peers: self.torrent.peers() });
        }
        match self.complete_at {
            Some(at) if self.goal.is_reached(progress::ratio(&progress), now.saturating_sub(at)) => {
                Verdict::SeededEnough
            }
            Some(_) => Verdict::GoOn,
            None => {
                let stalled = self.stall.as_mut().and_then(|stall| stall.observe(&progress, now));
                stalled.map_or(Verdict::GoOn, Verdict::Stalled)
            }
        }
    }

    fn event(&mut self, event: &Event) {
        if let Some(line) = Line::of_event(event) {
            write(self.lines, line);
        }
        match event {
            Event::Checked { finished, pieces } => {
                self.checked_at = clock::since_start();
                if *finished > 0 && finished < pieces {
                    let pieces = progress::count(u64::from(*pieces), "piece");
                    self.screen.say(&format!("{finished} of {pieces} are here already; going on with the rest"));
                }
                if self.alone && finished < pieces {
                    let port = self.session.local_port().map_or(String::new(), |port| format!(" on port {port}"));
                    log::warn!("no tracker to ask, and no peer given with -a: waiting for peers that call us{port}");
                }
            }
            Event::Peer { address, change: PeerChange::Connected { .. } } => {
                if self.met.len() < MOST_ADDRESSES {
                    self.met.insert(*address);
                }
            }
            Event::Disk { change: DiskChange::Works, message } => self.screen.say(message),
            Event::Complete | Event::Failed { .. } => self.heard_the_last = true,
            Event::Finished { .. }
            | Event::Peer { .. }
            | Event::Tracker { .. }
            | Event::Restart { .. }
            | Event::Disk { .. } => {}
        }
    }

    /// Events that were sent before the outcome but have not been written yet.
    async fn last_events(&mut self) {
        let events = self.events.clone();
        let last = async {
            while !self.heard_the_last
                && let Some(event) = events.recv().await
            {
                self.event(&event);
            }
        };
        let _ = clock::timeout(LAST_EVENTS_LIMIT, last).await;
    }

    fn complete(&mut self) {
        self.display.clear();
        let progress = self.torrent.progress();
        let summary = Summary {
            bytes: progress.bytes_wanted,
            downloaded: progress.downloaded,
            took: clock::since_start().saturating_sub(self.checked_at),
            peers: u32::try_from(self.met.len()).unwrap_or(u32::MAX),
            restarts: progress.restarts,
            uploaded: progress.uploaded,
            wasted: progress.wasted,
        };
        let place = self.args.dir.join(&self.metainfo.name);
        self.screen.say(&ended::summary_line(&summary, &place, self.screen.paint()));
        write(self.lines, Line::of_summary(&summary));
        if self.args.seeds() {
            self.complete_at = Some(clock::since_start());
            self.display = Display::new(self.screen, &self.metainfo.name);
            let port = self.session.local_port().map_or(String::new(), |port| format!(" on port {port}"));
            self.screen.say(&format!("seeding{port} {}", self.goal.in_words()));
        }
    }

    /// What was given, once seeding has ended; `None` when it never began.
    fn seeded(&mut self) -> Option<String> {
        let at = self.complete_at?;
        let (progress, now) = (self.torrent.progress(), clock::since_start());
        let seeded = Seeded {
            uploaded: progress.uploaded,
            took: now.saturating_sub(at),
            ratio: progress::ratio(&progress),
            peers: progress.peers_served,
        };
        write(self.lines, Line::of_seeded(&seeded));
        Some(ended::seeded_line(&seeded, self.screen.paint()))
    }

    async fn fail(&mut self, fault: Fault) -> Result<Ending, Fault> {
        self.display.clear();
        stop(&self.session, None).await;
        Err(fault)
    }

    /// Everything finished so far is on disk and known already; what is left to do is to say goodbye.
    async fn interrupted(&mut self, signal: Signal, signals: Signals) -> Ending {
        let progress = self.torrent.progress();
        self.display.freeze();
        match self.seeded() {
            Some(line) => self.screen.say(&format!("{signal}; {line}")),
            None => self.screen.say(&ended::interrupted_line(signal, &progress)),
        }
        stop(&self.session, Some(signals)).await;
        let bytes_finished = self.torrent.progress().bytes_finished;
        write(self.lines, Line::Stopped { exit: signal.exit_code(), bytes_finished });
        signal.into()
    }
}

/// Stops the session in order. With `signals`, one more of them ends the program on the spot.
async fn stop(session: &Session, signals: Option<Signals>) {
    let impatient = async {
        match signals {
            Some(mut signals) => asked_again(&mut signals).await,
            None => std::future::pending().await,
        }
    };
    let (stopped, impatient) = (clock::timeout(STOP_LIMIT, session.stop()).fuse(), impatient.fuse());
    pin_mut!(stopped, impatient);
    select_biased! {
        signal = impatient => exit(i32::from(signal.exit_code())),
        stopped = stopped => {
            if stopped.is_err() {
                log::warn!("the session did not stop in {} s; ending without it", STOP_LIMIT.as_secs());
            }
        }
    }
}

/// For messages: how to spell a path that came from the command line.
pub(crate) fn shown(path: &Path) -> String {
    clean(&path.display().to_string()).into_owned()
}
