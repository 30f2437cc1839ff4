//! The demo's tree: a tracker, a seed and a leech under one supervisor.
//!
//! Only what is started and how it ends; what happens meanwhile is `plot.rs`.

use std::sync::Arc;
use std::time::Duration;

use bt_erl::rt::clock;
use bt_erl::tracker_server::{Settings, TrackerServer};
use bt_erl::{BindTo, Config, Session};
use supervisors::{Flags, SupervisorSpec, System};

use crate::cli::fault::Fault;

/// Three children, none of which is expected to fail: more than two restarts in five seconds is a bug to be seen.
const FLAGS: Flags = Flags::one_for_one().intensity(2, Duration::from_secs(5));
/// Everything is on loopback and nothing has to be kept, so nobody needs long to end.
const STOP_LIMIT: Duration = Duration::from_millis(4500);

/// A tree that runs.
pub(crate) struct Swarm {
    /// The whole tree.
    pub(crate) system: System,
    /// Has the content.
    pub(crate) seed: Session,
    /// Wants it.
    pub(crate) leech: Session,
}

/// The tracker has to have its port before there is a torrent that can name it.
pub(crate) fn tracker() -> Result<Arc<TrackerServer>, Fault> {
    TrackerServer::bind(BindTo::Loopback, 0..=0, Settings::default())
        .map_err(|error| Fault::Demo { reason: format!("cannot open a port on loopback: {error}") })
}

impl Swarm {
    /// Starts all three.
    pub(crate) fn start(tracker: &Arc<TrackerServer>) -> Result<Self, Fault> {
        let session = |name: &str| {
            Session::spec(Config {
                name: name.to_owned(),
                bind: BindTo::Loopback,
                ports: Some(0..=0),
                ..Config::default()
            })
        };
        let (seed, seed_spec) = session("seed")?;
        let (leech, leech_spec) = session("leech")?;
        let children = vec![tracker.child_spec(), seed_spec, leech_spec];
        let root = supervisors::ChildSpec::supervisor("demo_sup", move || SupervisorSpec {
            flags: FLAGS,
            children: children.clone(),
        });
        Ok(Swarm { system: supervisors::start(root), seed, leech })
    }

    /// Ends the tree, youngest child first, and lets go of the files.
    pub(crate) async fn stop(self) {
        self.system.stop(STOP_LIMIT).await;
        // A session inside a larger tree is ended by that tree; this closes its files.
        let close = futures::future::join(self.leech.stop(), self.seed.stop());
        let _ = clock::timeout(STOP_LIMIT, close).await;
    }
}
