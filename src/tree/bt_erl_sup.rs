//! The root of a session: storage before torrents, torrents before magnet links and the listener.
//!
//! Strategy: rest_for_one, because a torrent without storage can do nothing, and the listener hands connections to torrents.

pub(crate) mod magnets_sup;
pub(crate) mod storage_sup;
pub(crate) mod torrents_sup;

use std::sync::Arc;
use std::time::Duration;

use supervisors::{ChildSpec, Flags, SupervisorSpec};

use crate::process::listener;
use crate::tables::SessionTable;

/// A crash of one of its children costs at most some ten milliseconds. Ten a second, one every 100 ms for as long as it may last, still leave
/// nine tenths of the speed (docs/performance.md). More is no hiccup: then the whole session ends with the reason.
const FLAGS: Flags = Flags::rest_for_one().intensity(120, Duration::from_secs(10));

pub(crate) fn spec(session: &Arc<SessionTable>) -> ChildSpec {
    let (name, at) = (session.config.name.clone(), session.root.clone());
    let session = session.clone();
    ChildSpec::supervisor_at(name, at, move || {
        let mut children = vec![storage_sup::spec(&session), torrents_sup::spec(&session), magnets_sup::spec(&session)];
        if let Some(listener) = &session.listener {
            let (session, listener) = (session.clone(), listener.clone());
            let start = move |process| listener::run(process, session.clone(), listener.clone());
            children.push(ChildSpec::worker("listener", start));
        }
        SupervisorSpec { flags: FLAGS, children }
    })
    .role("bt_erl_sup")
}
