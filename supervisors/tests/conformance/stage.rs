//! The stage a script is played on with this crate: workers that do as they are told, and a record of all that happens.

use crate::{
    script::{Init, Node},
    trace::Happening,
};
use futures::FutureExt;
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};
use supervisors::*;

#[derive(Default)]
struct Notes {
    trace: Vec<Happening>,
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

#[derive(Default)]
pub(crate) struct Stage(Mutex<Notes>);

/// The stage of the script that is being played, for the log.
static NOW: Mutex<Option<Arc<Stage>>> = Mutex::new(None);

/// Writes reports where they belong: before whatever the process that reports does next.
struct Log;

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target() == "sasl"
    }

    fn log(&self, record: &log::Record<'_>) {
        {
            let mut written = WRITTEN.lock().expect("not poisoned");
            written.0.get_or_insert_with(Instant::now);
            written.1 += 1;
        }
        let stage = NOW.lock().expect("not poisoned").clone();
        if let Some(stage) = stage.filter(|_| self.enabled(record.metadata())) {
            stage.report(&record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Fewer than the crate writes in a second.
const IN_ONE_SECOND: usize = 25;

/// Reports since when.
static WRITTEN: Mutex<(Option<Instant>, usize)> = Mutex::new((None, 0));

/// The crate thins out storms of reports, and here every one is wanted: waits for the next second when many were written.
fn spare_the_limiter() {
    let (since, written) = *WRITTEN.lock().expect("not poisoned");
    if let Some(since) = since.filter(|_| written > IN_ONE_SECOND) {
        std::thread::sleep(Duration::from_millis(1100).saturating_sub(since.elapsed()));
        *WRITTEN.lock().expect("not poisoned") = (None, 0);
    }
}

impl Stage {
    pub(crate) fn enter() -> Arc<Self> {
        spare_the_limiter();
        // Only the first of several calls does it.
        log::set_logger(&Log).ok();
        log::set_max_level(log::LevelFilter::Info);
        let stage = Arc::new(Self::default());
        *NOW.lock().expect("not poisoned") = Some(stage.clone());
        stage
    }

    pub(crate) fn leave(&self) -> crate::trace::Trace {
        *NOW.lock().expect("not poisoned") = None;
        crate::trace::Trace(std::mem::take(&mut self.notes().trace))
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().expect("not poisoned")
    }

    pub(crate) fn note(&self, happening: Happening) {
        let mut notes = self.notes();
        notes.pump();
        notes.trace.push(happening);
    }

    /// From now on all that happens in `system` is written down.
    pub(crate) fn watch(&self, system: &System, root: &str) {
        let events = subscribe(system.root());
        let mut notes = self.notes();
        notes.started(system.root(), root);
        notes.events = Some(events);
    }

    pub(crate) fn pump(&self) {
        self.notes().pump();
    }

    pub(crate) fn count(&self) -> usize {
        self.notes().trace.len()
    }

    /// Of the incarnation that lives.
    pub(crate) fn pid(&self, name: &str) -> Option<Pid> {
        let notes = self.notes();
        notes.latest.get(name).copied().filter(|pid| notes.living.contains(pid))
    }

    pub(crate) fn lives(&self, pid: Pid) -> bool {
        self.notes().living.contains(&pid)
    }

    /// Nothing is about to happen: whoever is said to run does, and nobody else.
    pub(crate) fn agrees_with(&self, snapshot: &Snapshot) -> bool {
        let mut notes = self.notes();
        notes.pump();
        let calm = |node: &Node_| matches!(node.status, Status::Running | Status::Stopped);
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

    /// A supervisor's, as planned.
    pub(crate) fn init(&self, node: &Node) {
        assert!(self.next_init(node).is_none(), "boom");
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
                    Some(Init::Hold) => {
                        let (go, gone) = flume::bounded(1);
                        stage.notes().held.insert(node.name.clone(), go);
                        gone.recv_async().await.ok();
                        return Err(ExitReason::error("boom"));
                    }
                    Some(_) => return Err(ExitReason::error("boom")),
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

    fn report(&self, line: &str) {
        let mut notes = self.notes();
        notes.pump();
        let parts: Vec<&str> = line.split("  ").collect();
        let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_string();
        let (of, report) = match parts[..] {
            ["CRASH REPORT", who, why, ..] => {
                (name(who.split(' ').next().unwrap_or_default()), format!("crash {}", kind(why)))
            }
            ["SUPERVISOR REPORT", path, "shutdown", "reached_max_restart_intensity", last] => {
                let id = last.split(' ').nth(1).unwrap_or_default();
                (name(path), format!("shutdown {id} reached_max_restart_intensity"))
            }
            ["SUPERVISOR REPORT", path, context, who, why, ..] => {
                let id = who.split(' ').next().unwrap_or_default();
                (name(path), format!("{context} {id} {}", kind(why)))
            }
            _ => return,
        };
        let nth = notes.latest.get(&of).and_then(|pid| notes.instances.get(pid)).map_or(0, |(_, nth)| *nth);
        notes.trace.push(Happening::Reported((of, nth), report));
    }
}

use supervisors::Node as Node_;

/// As a worker in otp.erl.
async fn live(node: &Node, process: &Process, orders: flume::Receiver<String>) -> Exit {
    let asked = async {
        process.shutdown_requested().await;
        if node.has("deaf") {
            std::future::pending::<()>().await;
        }
        node.value("ends").map_or(Ok(()), to_exit)
    };
    let told = async {
        match orders.recv_async().await.as_deref() {
            Ok("normal") => Ok(()),
            Ok("error") => panic!("boom"),
            Ok(reason) => to_exit(reason),
            Err(_) => std::future::pending().await,
        }
    };
    futures::select_biased! {
        exit = told.fuse() => exit,
        exit = asked.fuse() => exit,
    }
}

fn to_exit(reason: &str) -> Exit {
    Err(to_reason(reason))
}

pub(crate) fn to_reason(reason: &str) -> ExitReason {
    match reason {
        "normal" => ExitReason::Normal,
        "shutdown" => ExitReason::Shutdown,
        "killed" => ExitReason::Killed,
        _ => ExitReason::error("boom"),
    }
}

/// As in otp.erl: every fault is an `error`.
pub(crate) fn reason(reason: &ExitReason) -> String {
    match reason {
        ExitReason::Error(_) | ExitReason::Panic { .. } => "error".into(),
        other => other.to_string(),
    }
}

/// The same, of a reason in a report.
fn kind(text: &str) -> &str {
    match text {
        _ if text.starts_with("error") || text.starts_with("panicked") => "error",
        _ if text.ends_with(": killed") => "killed",
        _ => text,
    }
}

impl Notes {
    fn pump(&mut self) {
        while let Some(event) = self.events.as_ref().and_then(Events::try_recv) {
            match event.kind {
                EventKind::Started => {
                    let name = event.path.rsplit('/').next().unwrap_or_default().to_string();
                    self.started(event.pid, &name);
                }
                EventKind::Exited { reason: why } => {
                    self.living.remove(&event.pid);
                    let instance = self.instances.get(&event.pid).cloned().unwrap_or_default();
                    self.trace.push(Happening::Ended(instance, reason(&why)));
                }
                _ => {}
            }
        }
    }

    fn started(&mut self, pid: Pid, name: &str) {
        let before = self.latest.insert(name.into(), pid).and_then(|pid| self.instances.get(&pid));
        let instance = (name.to_string(), before.map_or(0, |(_, nth)| nth + 1));
        self.instances.insert(pid, instance.clone());
        self.living.insert(pid);
        self.trace.push(Happening::Started(instance));
    }
}
