//! What happens in the demo between the leech's start and its completion, and what is told about it.
//!
//! Reacts to events, never to time: loopback is too fast for that. The rules of the download are the library's; this
//! only chooses the moment of the crash.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_erl::rt::clock;
use bt_erl::{Event, Metainfo, PeerChange, Session, Torrent, TorrentOptions, TrackerOutcome};
use futures::stream::{self, BoxStream, SelectAll, StreamExt};
use supervisors::{EventKind, ExitReason, Node, Pid, Status};

use super::report::{self, Crash};
use super::story::Story;
use super::swarm::Swarm;
use super::view;
use crate::cli::duration::short;
use crate::cli::fault::Fault;
use crate::cli::progress::{Display, count};
use crate::cli::run::{StallWatch, Summary};

/// Nothing on loopback takes so long.
const STALL_LIMIT: Duration = Duration::from_secs(20);
/// How long the last act may go on after the download is complete.
const LAST_ACT: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A bar that is gone before it is seen only flickers.
const BAR_AFTER: Duration = Duration::from_secs(2);

/// The text of the injected panic.
pub(crate) const BUG: &str = "a bug, put in on purpose by the demo";

enum Happening {
    Look,
    Session(Event),
    Tree(supervisors::Event),
}

/// How far the story is.
enum Act {
    /// The leech looks for somebody to download from.
    Alone,
    /// Connected, waiting for half of the pieces.
    FirstHalf,
    /// The panic is on its way to `victim`.
    Doomed { victim: Node, before: BTreeSet<Pid> },
    /// It has crashed; its supervisor has not started it again yet.
    Down { crash: Crash, before: BTreeSet<Pid> },
    /// Started again, not connected yet.
    Back { crashed: Instant },
    /// Connected again, nothing has arrived yet.
    Connected {
        crashed: Instant,
        /// Bytes that had come until then, so that pieces which were on their way to the disk are not taken for news.
        downloaded: u64,
    },
    /// Nothing more to show.
    Over,
}

pub(crate) struct Plot<'a> {
    story: &'a Story,
    swarm: &'a Swarm,
    display: &'a mut Display,
    torrent: Torrent,
    begin: Instant,
    act: Act,
    finished: u32,
    complete: Option<Instant>,
    stall: StallWatch,
    peers: BTreeSet<std::net::SocketAddr>,
}

impl<'a> Plot<'a> {
    /// Gives the leech its torrent, and tells what comes of it until it is complete.
    pub(crate) async fn play(
        story: &'a Story,
        swarm: &'a Swarm,
        display: &'a mut Display,
        metainfo: &Metainfo,
        options: TorrentOptions,
    ) -> Result<Summary, Fault> {
        let mut happenings = happenings(&swarm.leech, swarm.system.root());
        let begin = clock::now();
        story.at(Duration::ZERO, "the leech starts with nothing and asks the tracker");
        let torrent = swarm.leech.add(metainfo.clone(), options).await?;
        let mut plot = Plot {
            story,
            swarm,
            display,
            torrent,
            begin,
            act: Act::Alone,
            finished: 0,
            complete: None,
            stall: StallWatch::new(STALL_LIMIT, clock::since_start()),
            peers: BTreeSet::new(),
        };
        while let Some(happening) = happenings.next().await {
            match happening {
                Happening::Look => plot.look()?,
                Happening::Session(event) => plot.session(&event)?,
                Happening::Tree(event) => plot.tree(&event),
            }
            if plot.is_over() {
                break;
            }
        }
        Ok(plot.summary())
    }

    fn since_begin(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.begin)
    }

    fn tell(&self, text: &str) {
        self.story.at(self.since_begin(clock::now()), text);
    }

    fn look(&mut self) -> Result<(), Fault> {
        let (progress, now) = (self.torrent.progress(), clock::since_start());
        if self.begin.elapsed() > BAR_AFTER && self.complete.is_none() {
            self.display.show(&progress, now);
        }
        match self.stall.observe(&progress, now) {
            Some(fault) => Err(Fault::Demo {
                reason: format!("the demo does not go on: {fault}; please report it, with --log-file"),
            }),
            None => Ok(()),
        }
    }

    fn is_over(&self) -> bool {
        let complete = self.complete.is_some_and(|at| at.elapsed() > LAST_ACT);
        complete || (self.complete.is_some() && matches!(self.act, Act::Over))
    }

    fn session(&mut self, event: &Event) -> Result<(), Fault> {
        match event {
            Event::Tracker { outcome: TrackerOutcome::Announced { peers, .. }, .. }
                if matches!(self.act, Act::Alone) =>
            {
                self.tell(&format!("the tracker answers and names {}", count(*peers as u64, "peer")));
            }
            Event::Peer { address, change: PeerChange::Connected { .. } } => {
                self.peers.insert(*address);
                self.connected(&address.to_string());
            }
            Event::Finished { .. } => self.piece_finished(),
            Event::Complete => {
                self.complete = Some(clock::now());
                match self.act {
                    // So fast that half was everything: the crash comes now.
                    Act::Alone | Act::FirstHalf => self.crash(),
                    Act::Back { .. } | Act::Connected { .. } => self.act = Act::Over,
                    Act::Doomed { .. } | Act::Down { .. } | Act::Over => {}
                }
            }
            Event::Failed { message } | Event::Disk { message, .. } => {
                return Err(Fault::Demo { reason: message.clone() });
            }
            _ => {}
        }
        Ok(())
    }

    fn connected(&mut self, address: &str) {
        match self.act {
            Act::Alone => {
                self.tell(&format!("connected to the seed, {address}; this is the process tree now:"));
                let snapshot = self.swarm.system.snapshot();
                self.story.block(view::whole(&snapshot.root, self.story.paint()));
                self.story.explain("a _sup is a supervisor: it starts what hangs below it, restarts what crashes");
                self.act = Act::FirstHalf;
            }
            Act::Back { crashed } => {
                let downloaded = self.torrent.progress().downloaded;
                self.act = Act::Connected { crashed, downloaded };
            }
            _ => {}
        }
    }

    fn piece_finished(&mut self) {
        self.finished += 1;
        let progress = self.torrent.progress();
        let pieces = progress.pieces;
        match self.act {
            Act::FirstHalf if self.finished * 2 >= pieces => {
                self.tell(&format!("half of the {pieces} pieces are checked and on disk"));
                self.crash();
            }
            Act::Connected { crashed, downloaded } if progress.downloaded > downloaded => {
                let gap = short(crashed.elapsed());
                self.tell(&format!("data flows again, {gap} after the crash"));
                self.act = Act::Over;
            }
            _ => {}
        }
    }

    /// Makes one of the leech's peer processes panic at its next step.
    fn crash(&mut self) {
        let tree = self.swarm.system.snapshot();
        let running = |node: &&Node| node.role == "peer" && node.status == Status::Running;
        let leech = self.swarm.leech.pid();
        let leech = tree.nodes().find(|node| node.pid == leech && leech.is_some());
        let Some((victim, pid)) = leech.and_then(|leech| {
            let victim = nodes(leech).into_iter().find(running)?;
            Some((victim.clone(), victim.pid?))
        }) else {
            self.too_late(clock::now());
            return;
        };
        self.tell(&format!("now a bug, on purpose: {} panics", victim.name));
        let before = view::pids(&tree.root);
        self.act = Act::Doomed { victim, before };
        supervisors::inject_panic(pid, BUG);
    }

    /// Peers say goodbye when both sides have everything.
    fn too_late(&mut self, at: Instant) {
        let text = "everything was here before the bug could strike; try again with a larger --size";
        self.story.at(self.since_begin(at), text);
        self.act = Act::Over;
    }

    fn tree(&mut self, event: &supervisors::Event) {
        match (&event.kind, std::mem::replace(&mut self.act, Act::Over)) {
            (EventKind::Exited { reason: ExitReason::Panic { message, location } }, Act::Doomed { victim, before })
                if victim.pid == Some(event.pid) =>
            {
                let crash = Crash { victim, at: event.at, message: message.clone(), location: location.clone() };
                self.act = Act::Down { crash, before };
            }
            (EventKind::Exited { .. }, Act::Doomed { victim, .. }) if victim.pid == Some(event.pid) => {
                self.too_late(event.at);
            }
            (EventKind::Started, Act::Down { crash, before }) if *event.path == *crash.victim.path => {
                self.restarted(event, &crash, &before);
                self.act = match self.complete {
                    None => Act::Back { crashed: crash.at },
                    Some(_) => Act::Over,
                };
            }
            (_, act) => self.act = act,
        }
    }

    fn restarted(&self, event: &supervisors::Event, crash: &Crash, before: &BTreeSet<Pid>) {
        let tree = self.swarm.system.snapshot();
        self.story.block(report::lines(crash, event, &tree, self.story.paint()));
        let at = self.since_begin(event.at);
        self.story.at(at, &format!("its supervisor has started it again as {}:", event.pid));
        let path = &crash.victim.path;
        self.story.block(view::branch(&tree.root, path, before, self.story.paint()));
        self.story.explain("what it had asked for is asked for again; finished pieces were never in danger");
    }

    fn summary(&self) -> Summary {
        let progress = self.torrent.progress();
        Summary {
            bytes: progress.bytes_total,
            downloaded: progress.downloaded,
            took: self.since_begin(self.complete.unwrap_or_else(clock::now)),
            peers: u32::try_from(self.peers.len()).unwrap_or(u32::MAX),
            restarts: self.swarm.system.snapshot().restarts(),
            uploaded: progress.uploaded,
            wasted: progress.wasted,
        }
    }
}

fn nodes(root: &Node) -> Vec<&Node> {
    let below = root.children.iter().flat_map(nodes);
    std::iter::once(root).chain(below).collect()
}

fn happenings(leech: &Session, root: Pid) -> SelectAll<BoxStream<'static, Happening>> {
    let events = stream::unfold(Arc::new(leech.events()), |events| async move {
        let event = events.recv().await?;
        Some((Happening::Session(event), events))
    });
    let tree = stream::unfold(Arc::new(supervisors::subscribe(root)), |events| async move {
        let event = events.recv().await?;
        Some((Happening::Tree(event), events))
    });
    let looks = stream::unfold(clock::Ticker::new(LOOK_EVERY), |mut ticker| async move {
        ticker.tick().await;
        Some((Happening::Look, ticker))
    });
    stream::select_all([events.boxed(), tree.boxed(), looks.boxed()])
}
