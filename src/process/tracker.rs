//! Announces one torrent to one tracker (BEP 3; HTTP and HTTPS).
//!
//! Parent: `trackers_sup`, one child per announce URL. Restart: permanent. Lost on restart: the announce that was on
//! its way; what the tracker knows of us is in its [`AnnounceMemory`], which outlives the process. A tracker that is
//! down, slow or hostile costs a log line and a later try, never a crash, and no other source of peers waits for it. It
//! connects to no peer: it hands addresses over.

mod memory;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, Fuse, FusedFuture};
use futures::{FutureExt, StreamExt};
use supervisors::{Exit, Mailbox, Process};

pub(crate) use self::memory::AnnounceMemory;
use crate::events::TrackerOutcome;
use crate::protocol::{AnnounceError, AnnounceReply, AnnounceRequest, Event, InfoHash, PeerId};
use crate::rt::http::{self, HttpError, HttpLimits};
use crate::rt::{clock, dice};

const LOG: &str = "bt_erl::tracker";
/// Time for `stopped`, so that the whole program ends within 5 seconds.
const GOODBYE: Duration = Duration::from_secs(2);
/// Peers asked for while pieces are missing.
const MANY_PEERS: u32 = 200;
/// Peers asked for by a seed: the others call it.
const FEW_PEERS: u32 = 50;

/// What a tracker process is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Msg {
    /// From `client`: from now on few peers are connected ([`Subject::needs_peers`]).
    NeedPeers,
    /// From `client`: the last piece is finished.
    Completed,
}

/// What is told to every tracker of a torrent, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Sent to peers in this session.
    pub(crate) uploaded: u64,
    /// Got from peers in this session.
    pub(crate) downloaded: u64,
    /// Still missing.
    pub(crate) left: u64,
}

/// The torrent, as its tracker processes see it.
pub(crate) trait Subject: Send + Sync {
    /// Now.
    fn totals(&self) -> Totals;
    /// Few peers are connected: announce before the interval is over, if the tracker allows.
    fn needs_peers(&self) -> bool;
    /// The torrent ends for good: the tracker is to hear `stopped`. A restart of the process is no such end.
    fn is_ending(&self) -> bool;
    /// A tracker named these; each once, never ourselves on loopback.
    fn found(&self, peers: Vec<SocketAddr>);
    /// For people: how the last announce to `url` went.
    fn tell(&self, url: &str, outcome: TrackerOutcome);
}

/// What a tracker process is started with, each time it starts.
#[derive(Clone)]
pub(crate) struct Announcing {
    /// http or https; see [`check_url`].
    pub(crate) url: String,
    pub(crate) info_hash: InfoHash,
    pub(crate) peer_id: PeerId,
    /// Where we listen; 0 when nobody does.
    pub(crate) port: u16,
    /// The same all session, for all trackers.
    pub(crate) key: u32,
    pub(crate) subject: Arc<dyn Subject>,
    pub(crate) memory: Arc<Mutex<AnnounceMemory>>,
    pub(crate) limits: HttpLimits,
}

/// An announce URL that no process is started for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsupported {
    scheme: String,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} trackers are not supported yet, only http and https", self.scheme)
    }
}

/// Whether a process can be started for `url`. That it can be reached is another matter.
pub(crate) fn check_url(url: &str) -> Result<(), Unsupported> {
    let scheme = url.split_once("://").map_or("such", |(scheme, _)| scheme).to_ascii_lowercase();
    match scheme.as_str() {
        "http" | "https" => Ok(()),
        _ => Err(Unsupported { scheme: scheme.chars().filter(char::is_ascii_alphanumeric).take(16).collect() }),
    }
}

/// The process body.
pub(crate) async fn run(process: Process, mailbox: Mailbox<Msg>, announcing: Announcing) -> Exit {
    process.shows(&mailbox);
    let mut inbox = mailbox.stream();
    let mut tracker = Tracker { announcing };
    let mut announce: Fuse<BoxFuture<'static, Announced>> = Fuse::terminated();
    let shutdown = process.shutdown_requested().fuse();
    futures::pin_mut!(shutdown);
    loop {
        let idle = announce.is_terminated();
        let due = sleep_if(idle, tracker.wait()).fuse();
        futures::pin_mut!(due);
        futures::select_biased! {
            () = shutdown => {
                tracker.say_goodbye(&mut announce).await;
                return Ok(());
            }
            announced = announce => tracker.settle(announced),
            message = inbox.select_next_some() => tracker.handle(message),
            // What was due may have become superfluous.
            () = due => if tracker.wait().is_zero() {
                announce = tracker.announce().boxed().fuse();
            },
        }
    }
}

async fn sleep_if(idle: bool, wait: Duration) {
    match (idle, wait) {
        (false, _) => std::future::pending().await,
        (true, Duration::ZERO) => {}
        (true, wait) => clock::sleep(wait).await,
    }
}

/// An announce that is over.
struct Announced {
    event: Option<Event>,
    result: Result<(AnnounceReply, bool), Fault>,
}

/// Why an announce brought nothing.
#[derive(Debug)]
enum Fault {
    Http(HttpError),
    Answer(AnnounceError),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => error.fmt(f),
            Self::Answer(error) => error.fmt(f),
        }
    }
}

struct Tracker {
    announcing: Announcing,
}

impl Tracker {
    fn handle(&mut self, message: Msg) {
        match message {
            Msg::NeedPeers => {} // it wakes, and the wait is another now
            // A torrent that was complete from the start has downloaded nothing, and no tracker counts it as a
            // download.
            Msg::Completed if self.announcing.subject.totals().downloaded > 0 => self.memory().completed(),
            Msg::Completed => {}
        }
    }

    /// Until the next announce.
    fn wait(&self) -> Duration {
        self.memory().due(self.announcing.subject.needs_peers()).saturating_sub(clock::since_start())
    }

    fn announce(&mut self) -> impl Future<Output = Announced> + Send + use<> {
        let event = self.memory().event();
        let request = self.request(event);
        self.memory().begin(clock::since_start(), request.left);
        let asked = ask(request.url(&self.announcing.url), self.announcing.limits.clone());
        async move { Announced { event, result: asked.await } }
    }

    fn request(&self, event: Option<Event>) -> AnnounceRequest {
        let Announcing { info_hash, peer_id, port, key, subject, .. } = &self.announcing;
        let totals = subject.totals();
        AnnounceRequest {
            info_hash: *info_hash,
            peer_id: *peer_id,
            port: *port,
            uploaded: totals.uploaded,
            downloaded: totals.downloaded,
            left: totals.left,
            event,
            numwant: Some(match (event, totals.left) {
                (Some(Event::Stopped), _) => 0,
                (_, 0) => FEW_PEERS,
                _ => MANY_PEERS,
            }),
            key: Some(*key),
            tracker_id: self.memory().tracker_id().map(<[u8]>::to_vec),
            compact: true,
        }
    }

    fn settle(&mut self, announced: Announced) {
        match announced.result {
            Ok((reply, local)) => self.answered(announced.event, reply, local),
            Err(fault) => self.failed(&fault),
        }
    }

    fn answered(&mut self, event: Option<Event>, mut reply: AnnounceReply, local: bool) {
        let failures = self.memory().failures();
        let wait = self.memory().answered(clock::since_start(), event, &reply);
        reply.peers.retain(|peer| is_worth_calling(*peer, local, self.announcing.port));
        let (name, peers, secs) = (self.name(), reply.peers.len(), wait.as_secs());
        if failures > 0 {
            log::info!(target: LOG, "{name}: answers again; {peers} peers, next announce in {secs} s");
        } else {
            log::debug!(target: LOG, "{name}: {peers} peers, next announce in {secs} s");
        }
        if let Some(warning) = &reply.warning {
            log::warn!(target: LOG, "{name}: the tracker warns: {warning}");
        }
        let outcome = TrackerOutcome::Announced { peers, interval_secs: secs, warning: reply.warning };
        self.announcing.subject.tell(&without_secrets(&self.announcing.url), outcome);
        if !reply.peers.is_empty() {
            self.announcing.subject.found(reply.peers);
        }
    }

    fn failed(&mut self, fault: &Fault) {
        let refused = matches!(fault, Fault::Answer(AnnounceError::Failure { .. }));
        let dice = dice::below(1001) as f64 / 1000.0;
        let wait = self.memory().failed(clock::since_start(), refused, dice);
        let first = self.memory().failures() == 1;
        let level = if first { log::Level::Warn } else { log::Level::Debug };
        let secs = wait.as_secs().max(1);
        log::log!(target: LOG, level, "{}: {fault}; trying again in {secs} s", self.name());
        let outcome = TrackerOutcome::Failed { reason: fault.to_string(), retry_secs: secs };
        self.announcing.subject.tell(&without_secrets(&self.announcing.url), outcome);
    }

    /// `stopped`, to a tracker that has us in its list. An announce that is still on its way goes first, or the tracker
    /// might hear it last and list us again. `stopped` is told, not asked: whatever the answer is, we go.
    async fn say_goodbye(&mut self, announce: &mut Fuse<BoxFuture<'static, Announced>>) {
        if !self.announcing.subject.is_ending() {
            return;
        }
        let begun = clock::now();
        if !announce.is_terminated()
            && let Ok(Announced { event, result }) = clock::timeout(GOODBYE / 2, announce).await
        {
            let Ok((reply, _)) = result else { return };
            self.memory().answered(clock::since_start(), event, &reply);
        }
        if !self.memory().expects_us() {
            return;
        }
        let left = GOODBYE.saturating_sub(begun.elapsed());
        let url = self.request(Some(Event::Stopped)).url(&self.announcing.url);
        let limits = HttpLimits { connect: left, total: left, ..self.announcing.limits.clone() };
        match clock::timeout(left, ask(url, limits)).await {
            Ok(Ok((reply, _))) => {
                self.memory().answered(clock::since_start(), Some(Event::Stopped), &reply);
            }
            Ok(Err(fault)) => log::debug!(target: LOG, "{}: did not hear that we stop: {fault}", self.name()),
            Err(late) => log::debug!(target: LOG, "{}: did not hear that we stop: {late}", self.name()),
        }
    }

    /// A panic elsewhere cannot leave the memory half changed: each change to it is one call.
    fn memory(&self) -> MutexGuard<'_, AnnounceMemory> {
        self.announcing.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self) -> String {
        format!("tracker {}", without_secrets(&self.announcing.url))
    }
}

/// Boxed: what a request needs is much, and mostly none is under way.
fn ask(
    url: Result<String, AnnounceError>,
    limits: HttpLimits,
) -> BoxFuture<'static, Result<(AnnounceReply, bool), Fault>> {
    async move { answer(&url.map_err(Fault::Answer)?, &limits).await }.boxed()
}

async fn answer(url: &str, limits: &HttpLimits) -> Result<(AnnounceReply, bool), Fault> {
    match http::get(url, limits).await {
        Ok(answer) => AnnounceReply::parse(&answer.body).map(|reply| (reply, answer.local)).map_err(Fault::Answer),
        // Some trackers give their reason with an error status.
        Err(HttpError::Status { code, body }) => match AnnounceReply::parse(&body) {
            Err(failure @ AnnounceError::Failure { .. }) => Err(Fault::Answer(failure)),
            _ => Err(Fault::Http(HttpError::Status { code, body })),
        },
        Err(error) => Err(Fault::Http(error)),
    }
}

/// Not ourselves, and not the user's own machine on the word of a public tracker.
fn is_worth_calling(peer: SocketAddr, tracker_is_local: bool, our_port: u16) -> bool {
    let link_local = match peer.ip() {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let loopback = peer.ip().is_loopback();
    (tracker_is_local || !(loopback || link_local)) && !(loopback && peer.port() == our_port)
}

/// The URL without what may be a passkey: its query, its user, and all of its path but a last part that every tracker
/// has.
pub(crate) fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit('@').next().unwrap_or_default();
    let (above, last) = path.rsplit_once('/').unwrap_or(("", path));
    let last = if last.is_empty() || last.starts_with("announce") { last } else { "…" };
    if above.is_empty() { format!("{scheme}://{host}/{last}") } else { format!("{scheme}://{host}/…/{last}") }
}

#[cfg(test)]
mod tests;
