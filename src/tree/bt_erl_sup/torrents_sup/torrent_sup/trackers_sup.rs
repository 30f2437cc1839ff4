//! One tracker process per announce URL.
//!
//! Strategy: one_for_one; a tracker that fails concerns nobody but itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use supervisors::{ChildSpec, Flags, Shutdown, SupervisorSpec};

use crate::events::TrackerOutcome;
use crate::process::tracker::{self, AnnounceMemory, Announcing};
use crate::protocol::InfoHash;
use crate::rt::dice;
use crate::rt::http::HttpLimits;
use crate::tables::{Mail, SessionTable};

/// A tracker that does not answer is no crash, so each of these is a bug; a crash costs an announce, and ten a second are not felt by the
/// download. When it gives up, peers have to come again.
const FLAGS: Flags = Flags::one_for_one().intensity(120, Duration::from_secs(10));
/// Trackers hear `stopped` before the process ends.
const GOODBYE: Shutdown = Shutdown::Timeout(Duration::from_millis(2300));
/// Trackers used of one torrent; a torrent file may name any number.
const MAX_TRACKERS: usize = 50;

/// One announce URL, with what outlives its process.
pub(crate) struct Announcer {
    url: String,
    /// For people: the URL without passkeys, and no two alike.
    name: String,
    mail: Mail<tracker::Msg>,
    memory: Arc<Mutex<AnnounceMemory>>,
}

impl Announcer {
    /// Sends to the tracker process, whatever its incarnation.
    pub(crate) fn cast(&self, message: tracker::Msg) {
        if tracker::check_url(&self.url).is_ok() {
            self.mail.cast(message);
        }
    }
}

/// What is announced: a torrent, or a magnet link before it is one.
pub(crate) trait Announced: tracker::Subject + 'static {
    fn session(&self) -> &SessionTable;
    fn info_hash(&self) -> InfoHash;
    fn trackers(&self) -> &[Announcer];
}

/// The announce URLs, each once.
pub(crate) fn announcers<'a>(urls: impl IntoIterator<Item = &'a String>) -> Vec<Announcer> {
    let mut seen = std::collections::BTreeSet::new();
    let urls = urls.into_iter().filter(|url| seen.insert(url.as_str()));
    let mut announcers: Vec<Announcer> = Vec::new();
    for url in urls.take(MAX_TRACKERS) {
        let mut name = tracker::without_secrets(url);
        let alike = announcers.iter().filter(|other| other.name.starts_with(&name)).count();
        if alike > 0 {
            name = format!("{name} ({})", alike + 1);
        }
        announcers.push(Announcer { url: url.clone(), name, mail: Mail::new(), memory: Arc::default() });
    }
    announcers
}

pub(crate) fn spec<T: Announced>(announced: &Arc<T>) -> ChildSpec {
    let key = dice::seed() as u32;
    let announced = announced.clone();
    ChildSpec::supervisor("trackers_sup", move || {
        let children = announced.trackers().iter().filter_map(|announcer| child(&announced, announcer, key)).collect();
        SupervisorSpec { flags: FLAGS, children }
    })
}

fn child<T: Announced>(announced: &Arc<T>, announcer: &Announcer, key: u32) -> Option<ChildSpec> {
    if let Err(unsupported) = tracker::check_url(&announcer.url) {
        announced.tell(&announcer.name, TrackerOutcome::Unsupported { reason: unsupported.to_string() });
        log::info!("{}: {unsupported}", announcer.name);
        return None;
    }
    let announcing = Announcing {
        url: announcer.url.clone(),
        info_hash: announced.info_hash(),
        peer_id: announced.session().peer_id,
        port: announced.session().port(),
        key,
        subject: announced.clone(),
        memory: announcer.memory.clone(),
        limits: HttpLimits::default(),
    };
    let mailbox = announcer.mail.mailbox.clone();
    let start = move |process| tracker::run(process, mailbox.clone(), announcing.clone());
    Some(ChildSpec::worker(format!("tracker {}", announcer.name), start).role("tracker").trap_exit().shutdown(GOODBYE))
}
