//! How the examples print: what happens in a tree, one aligned line an event, between a few lines of prose.
//!
//! Nothing of supervision is in here. Every line comes from the main thread, so the story reads the same each time; only
//! pids and times differ.

#![allow(dead_code)]

use std::{
    fmt::Display,
    future::Future,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};
use supervisors::{Event, EventKind, Events, ExitReason, Pid, Snapshot, Status, System, subscribe_with_history};

/// Longer than any of the examples waits for anything.
const LIMIT: Duration = Duration::from_secs(20);

/// The last line was empty.
static AFTER_GAP: AtomicBool = AtomicBool::new(true);

/// A line as it is.
pub(crate) fn put(text: &str) {
    println!("{text}");
    AFTER_GAP.store(false, Ordering::Relaxed);
}

/// One empty line, and never two.
fn gap() {
    if !AFTER_GAP.swap(true, Ordering::Relaxed) {
        println!();
    }
}

/// The heading.
pub(crate) fn title(text: &str) {
    put(text);
    put(&"=".repeat(text.chars().count()));
}

/// A paragraph.
pub(crate) fn say(text: &str) {
    gap();
    put(text);
    gap();
}

/// A line that is no event: who said what.
pub(crate) fn line(who: &str, what: impl Display) {
    put(&format!("    {who:<20}       {what}"));
}

/// The tree, when all that was started is up.
pub(crate) fn tree(system: &System) {
    gap();
    let is_settled = |snapshot: &Snapshot| !snapshot.nodes().any(|node| node.status == Status::Starting);
    let (mut snapshot, asked) = (system.snapshot(), Instant::now());
    while !is_settled(&snapshot) && asked.elapsed() < LIMIT {
        std::thread::yield_now();
        snapshot = system.snapshot();
    }
    let text = snapshot.to_string().replace("supervisors/examples/", "");
    text.lines().for_each(|line| put(&format!("    {}", line.trim_end())));
    gap();
}

/// What happens in one tree, from its first moment.
pub(crate) struct Story(Events);

impl Story {
    pub(crate) fn of(system: &System) -> Self {
        Self(subscribe_with_history(system.root()))
    }

    /// Tells on until `name` has been started for the `n`th time by its supervisor; 1 is the first.
    pub(crate) async fn until_started(&self, name: &str, n: u64) {
        self.until(|event| last(event) == name && event.kind == EventKind::Started && event.incarnation + 1 == n).await;
    }

    /// Tells on until `name` has ended. Returns why.
    pub(crate) async fn until_ended(&self, name: &str) -> Option<ExitReason> {
        let event = self.until(|event| last(event) == name && matches!(event.kind, EventKind::Exited { .. })).await;
        event.and_then(|event| match event.kind {
            EventKind::Exited { reason } => Some(reason),
            _ => None,
        })
    }

    /// Tells on until `done`; to the end of the tree when that comes first.
    pub(crate) async fn until(&self, done: impl Fn(&Event) -> bool) -> Option<Event> {
        loop {
            let event = within_limit(self.0.recv()).await?;
            show(&event);
            if done(&event) {
                return Some(event);
            }
        }
    }

    /// Tells the rest.
    pub(crate) async fn to_the_end(&self) {
        self.until(|_| false).await;
    }

    /// What happens until `done` is not told.
    pub(crate) async fn skip_until(&self, done: impl Fn(&Event) -> bool) -> Option<Event> {
        loop {
            let event = within_limit(self.0.recv()).await?;
            if done(&event) {
                return Some(event);
            }
        }
    }
}

/// No example hangs: it fails instead.
#[allow(clippy::expect_used)]
pub(crate) async fn within_limit<T>(work: impl Future<Output = T>) -> T {
    async_std::future::timeout(LIMIT, work).await.expect("this is taking too long")
}

fn last(event: &Event) -> &str {
    event.path.rsplit('/').next().unwrap_or_default()
}

fn show(event: &Event) {
    let what = match &event.kind {
        EventKind::Started if event.incarnation > 0 => "started again".to_string(),
        EventKind::Started => "started".to_string(),
        EventKind::Exited { reason } => format!("ended: {}", why(reason)),
        EventKind::Restarting { after } if after.is_zero() => return,
        EventKind::Restarting { after } => format!("waits {} before it is started again", millis(*after)),
        EventKind::Parked { after } => format!("is parked for {}", millis(*after)),
        EventKind::GaveUp { .. } => "GIVES UP: one restart more than it may do".to_string(),
        // The next line of the supervisor above says it better.
        EventKind::Escalated { .. } => return,
    };
    let depth = event.path.matches('/').count();
    let name = format!("{}{}", "  ".repeat(depth), last(event));
    put(&format!("    {name:<20} {:>5} {what}", event.pid.to_string()));
}

/// An exit reason, with the file of a panic instead of its whole path.
pub(crate) fn why(reason: &ExitReason) -> String {
    match reason {
        ExitReason::Panic { message, location } if !location.is_empty() => {
            let file = location.rsplit('/').next().unwrap_or_default();
            let place: Vec<&str> = file.split(':').take(2).collect();
            format!("panic, {message} ({})", place.join(":"))
        }
        ExitReason::Panic { message, .. } => format!("panic, {message}"),
        other => other.to_string(),
    }
}

fn millis(wait: Duration) -> String {
    format!("{:.0} ms", wait.as_secs_f64() * 1000.0)
}

/// Of the process at `path`, such as `top_sup/worker`, as soon as it runs.
pub(crate) fn pid(system: &System, path: &str) -> Pid {
    let asked = Instant::now();
    loop {
        let snapshot = system.snapshot();
        if let Some(pid) = snapshot.find(path).first().and_then(|node| node.pid) {
            return pid;
        }
        assert!(asked.elapsed() < LIMIT, "no {path} in\n{snapshot}");
        std::thread::yield_now();
    }
}
