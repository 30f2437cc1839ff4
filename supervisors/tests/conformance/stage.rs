//! The stage a script is played on with this crate: workers that do as they are told, and a record of all that happens.

use crate::{
    script::{Init, Node},
    trace::{Happening, Trace},
};
use futures::FutureExt;
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};
use supervisors::{Node as Seen, *};

/// What was heard since the last step, and when: the number of the last event, and events before reports.
type Heard = ((u64, bool), Happening);

#[derive(Default)]
struct Notes {
    trace: Vec<Happening>,
    heard: Vec<Heard>,
    events: Option<Events>,
    instances: HashMap<Pid, (String, u32)>,
    latest: HashMap<String, Pid>,
    living: BTreeSet<Pid>,
    /// By name: what its next inits do. Absent: what its words say.
    plans: HashMap<String, VecDeque<Init>>,
    /// By name: an init that waits.
    held: HashMap<String, flume::Sender<()>>,
    orders: HashMap<Pid, flume::Sender<String>>,
}

pub(crate) struct Stage {
    reports: Reports,
    notes: Mutex<Notes>,
}

impl Stage {
    /// One at a time: it hears the reports of every tree.
    pub(crate) fn enter() -> Arc<Self> {
        Arc::new(Self { reports: reports(), notes: Mutex::default() })
    }

    pub(crate) fn leave(&self) -> Trace {
        let mut notes = self.pumped();
        notes.write_down();
        Trace(std::mem::take(&mut notes.trace))
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("not poisoned")
    }

    /// Reports first: what came before one that has been heard is then heard too.
    fn pumped(&self) -> MutexGuard<'_, Notes> {
        let mut notes = self.notes();
        let reports: Vec<Report> = std::iter::from_fn(|| self.reports.try_recv()).collect();
        while let Some(event) = notes.events.as_ref().and_then(Events::try_recv) {
            notes.on_event(&event);
        }
        reports.iter().for_each(|report| notes.on_report(report));
        notes
    }

    /// After all that was heard so far.
    pub(crate) fn note(&self, happening: Happening) {
        let mut notes = self.pumped();
        notes.write_down();
        notes.trace.push(happening);
    }

    /// From its beginning, all that happens in `system` is written down.
    pub(crate) fn watch(&self, system: &System) {
        self.notes().events = Some(subscribe_with_history(system.root()));
    }

    pub(crate) fn pump(&self) {
        drop(self.pumped());
    }

    pub(crate) fn count(&self) -> usize {
        let notes = self.notes();
        notes.trace.len() + notes.heard.len()
    }

    /// Of the incarnation that lives.
    pub(crate) fn pid(&self, name: &str) -> Option<Pid> {
        self.last_pid(name).filter(|pid| self.lives(*pid))
    }

    /// Of the last incarnation.
    pub(crate) fn last_pid(&self, name: &str) -> Option<Pid> {
        self.notes().latest.get(name).copied()
    }

    pub(crate) fn lives(&self, pid: Pid) -> bool {
        self.notes().living.contains(&pid)
    }

    /// Nothing is about to happen: whoever is said to run does, and nobody else.
    pub(crate) fn agrees_with(&self, snapshot: &Snapshot) -> bool {
        let notes = self.pumped();
        let calm = |node: &Seen| matches!(node.status, Status::Running | Status::Stopped);
        let running: BTreeSet<Pid> = snapshot.nodes().filter_map(|node| node.pid).collect();
        snapshot.nodes().all(calm) && running == notes.living
    }

    pub(crate) fn plan(&self, name: &str, what: Init, times: usize) {
        self.notes().plans.insert(name.into(), vec![what; times].into());
    }

    pub(crate) fn is_held(&self, name: &str) -> bool {
        self.notes().held.contains_key(name)
    }

    pub(crate) fn release(&self, name: &str) {
        drop(self.notes().held.remove(name));
    }

    pub(crate) fn order(&self, pid: Pid, reason: &str) {
        let order = self.notes().orders.get(&pid).cloned();
        // A supervisor takes no orders.
        order.expect("a worker").send(reason.into()).ok();
    }

    fn next_init(&self, node: &Node) -> Option<Init> {
        let first = |key, what| vec![what; node.value(key).map_or(0, |n| n.parse().expect("a number"))];
        let mut notes = self.notes();
        let words = || first("fail", Init::Fail).into_iter().chain(first("ignore", Init::Ignore)).collect();
        notes.plans.entry(node.name.clone()).or_insert_with(words).pop_front()
    }

    /// A supervisor's, as planned. `false`: it ignores.
    pub(crate) fn init(&self, node: &Node) -> bool {
        match self.next_init(node) {
            None => true,
            Some(Init::Ignore) => false,
            Some(_) => panic!("boom"),
        }
    }

    /// A child that behaves as `node` says.
    pub(crate) fn worker(self: &Arc<Self>, node: &Node) -> ChildSpec {
        let traps = node.has("traps") || node.has("deaf") || node.value("ends").is_some();
        let (stage, own) = (self.clone(), node.clone());
        let spec = ChildSpec::worker(node.name.clone(), move |process| {
            let (stage, node) = (stage.clone(), own.clone());
            async move {
                match stage.next_init(&node) {
                    None => {}
                    // Without having been ready.
                    Some(Init::Ignore) => return Ok(()),
                    Some(Init::Hold) => {
                        let (go, gone) = flume::bounded(1);
                        stage.notes().held.insert(node.name.clone(), go);
                        gone.recv_async().await.ok();
                        return Err(ExitReason::error("boom"));
                    }
                    Some(Init::Fail) => return Err(ExitReason::error("boom")),
                }
                let (order, orders) = flume::unbounded();
                stage.notes().orders.insert(process.pid(), order);
                process.ready();
                live(&node, &process, orders).await
            }
        });
        let spec = spec.awaits_init();
        if traps { spec.trap_exit() } else { spec }
    }
}

/// As a worker in otp.erl.
async fn live(node: &Node, process: &Process, orders: flume::Receiver<String>) -> Exit {
    let asked = async {
        process.shutdown_requested().await;
        if node.has("deaf") {
            std::future::pending::<()>().await;
        }
        node.value("ends").map_or(Ok(()), |reason| Err(to_reason(reason)))
    };
    let told = async {
        match orders.recv_async().await.as_deref() {
            Ok("normal") => Ok(()),
            Ok("error") => panic!("boom"),
            Ok(reason) => Err(to_reason(reason)),
            Err(_) => std::future::pending().await,
        }
    };
    futures::select_biased! {
        exit = told.fuse() => exit,
        exit = asked.fuse() => exit,
    }
}

pub(crate) fn to_reason(reason: &str) -> ExitReason {
    match reason.split_once(':') {
        Some((_, what)) => ExitReason::ShutdownWith(what.into()),
        None if reason == "normal" => ExitReason::Normal,
        None if reason == "shutdown" => ExitReason::Shutdown,
        None if reason == "killed" => ExitReason::Killed,
        None => ExitReason::error("boom"),
    }
}

/// As in otp.erl: every fault is an `error`.
pub(crate) fn reason(why: &ExitReason) -> String {
    match why {
        ExitReason::Error(text) if text.starts_with("bad child spec") => "bad_spec".into(),
        ExitReason::Error(_) | ExitReason::Panic { .. } => "error".into(),
        ExitReason::ShutdownWith(what) => format!("shutdown:{what}"),
        ExitReason::FailedToStartChild { id, reason: why } => {
            format!("shutdown:failed_to_start_child:{id}:{}", reason(why))
        }
        other => other.to_string(),
    }
}

impl Notes {
    fn on_event(&mut self, event: &Event) {
        let happening = match &event.kind {
            EventKind::Started => {
                let name = event.path.rsplit('/').next().unwrap_or_default();
                Happening::Started(self.started(event.pid, name))
            }
            EventKind::Exited { reason: why } => {
                self.living.remove(&event.pid);
                Happening::Ended(self.instances.get(&event.pid).cloned().unwrap_or_default(), reason(why))
            }
            _ => return,
        };
        self.heard.push(((event.seq, false), happening));
    }

    fn started(&mut self, pid: Pid, name: &str) -> (String, u32) {
        let before = self.latest.insert(name.into(), pid).and_then(|pid| self.instances.get(&pid));
        let instance = (name.to_string(), before.map_or(0, |(_, nth)| nth + 1));
        self.instances.insert(pid, instance.clone());
        self.living.insert(pid);
        instance
    }

    fn on_report(&mut self, report: &Report) {
        let Some(offender) = &report.offender else {
            return;
        };
        let child = offender.pid.and_then(|pid| self.instances.get(&pid)).cloned();
        let supervisor = report.supervisor.as_ref().and_then(|who| self.instances.get(&who.pid)).cloned();
        let id = child.as_ref().map_or(&offender.id, |(name, _)| name);
        let why = report.exit.as_ref().map(reason).unwrap_or_default();
        let (of, text) = match (report.kind, report.error_context) {
            (ReportKind::CrashReport, _) => (child, format!("crash {why}")),
            (ReportKind::Progress, _) => (supervisor, format!("progress {id}")),
            (ReportKind::SupervisorReport, Some(context)) => (
                supervisor,
                match context {
                    ErrorContext::ChildTerminated => format!("child_terminated {id} {why}"),
                    ErrorContext::StartError => format!("start_error {id} {why}"),
                    ErrorContext::ShutdownError => format!("shutdown_error {id} {why}"),
                    ErrorContext::Shutdown => format!("shutdown {id} reached_max_restart_intensity"),
                    ErrorContext::Abandoned => format!("abandoned {id}"),
                    ErrorContext::Restarting | ErrorContext::Parked => return,
                },
            ),
            _ => return,
        };
        self.heard.extend(of.map(|of| ((report.seq, true), Happening::Reported(of, text))));
    }

    fn write_down(&mut self) {
        self.heard.sort_by_key(|(when, _)| *when);
        self.trace.extend(self.heard.drain(..).map(|(_, happening)| happening));
    }
}
