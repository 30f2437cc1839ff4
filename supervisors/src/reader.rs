//! Who reads a mailbox, so that a call hears when nobody will any more.
//!
//! A mailbox outlives the incarnations of its reader, and so does a call that waits in it: the next one answers. The call fails when the
//! reader has ended and its supervisor will not start it again.

use crate::{
    current,
    machine::State,
    rt,
    table::{self, Entry, lock},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Processes that have read a mailbox.
#[derive(Default)]
pub(crate) struct Readers {
    /// The one that read last.
    last: AtomicU64,
    /// Those that live, and the last one that has ended.
    all: Mutex<Vec<Arc<Entry>>>,
}

enum Outlook {
    /// No process has read yet, and whoever will is not known.
    Unknown,
    Reads(Arc<Entry>),
    /// Between two incarnations, as far as can be told.
    ComesBack,
    Gone,
}

impl Readers {
    /// The process that runs this code reads.
    pub(crate) fn reads(&self) {
        if let Some(pid) = current::current()
            && self.last.load(Ordering::Relaxed) != pid.0
        {
            self.last.store(pid.0, Ordering::Relaxed);
            if let Some(entry) = table::find(pid) {
                let mut all = lock(&self.all);
                if !all.iter().any(|other| other.pid == pid) {
                    all.retain(|other| !other.has_ended());
                    all.push(entry);
                }
            }
        }
    }

    fn outlook(&self) -> Outlook {
        let all = lock(&self.all).clone();
        if all.is_empty() {
            return Outlook::Unknown;
        }
        if let Some(alive) = all.iter().find(|reader| !reader.has_ended()) {
            return Outlook::Reads(alive.clone());
        }
        match all.iter().any(|reader| comes_back(reader)) {
            true => Outlook::ComesBack,
            false => Outlook::Gone,
        }
    }

    /// All readers have ended and none is started again.
    pub(crate) fn are_gone(&self) -> bool {
        matches!(self.outlook(), Outlook::Gone)
    }

    /// Resolves when all readers have ended and none is started again.
    pub(crate) async fn gone(&self) {
        /// Until a supervisor has surely decided; doubles.
        const FIRST_LOOK: Duration = Duration::from_millis(1);
        const CAP: Duration = Duration::from_millis(250);
        let mut wait = FIRST_LOOK;
        loop {
            match self.outlook() {
                Outlook::Unknown => futures::future::pending().await,
                Outlook::Reads(reader) => {
                    reader.ended().await;
                    wait = FIRST_LOOK;
                }
                Outlook::ComesBack => {
                    rt::sleep(wait).await;
                    wait = (wait * 2).min(CAP);
                }
                Outlook::Gone => return,
            }
        }
    }
}

/// Whether the supervisor of `entry`, which has ended, starts it again, or has not decided yet.
fn comes_back(entry: &Entry) -> bool {
    let Some(parent) = &entry.parent else {
        return false;
    };
    if parent.has_ended() {
        return comes_back(parent);
    }
    let Some(crew) = &parent.crew else {
        return false;
    };
    let inside = crew.inside();
    let Some(machine) = &inside.machine else {
        return true;
    };
    machine.is_ending()
        || machine.children().any(|(_, child)| child.rule.id == entry.name && child.state != State::Stopped)
}
