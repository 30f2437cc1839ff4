//! What the live tests share: well- and ill-behaved children, and waiting with a limit.
#![allow(dead_code, clippy::expect_used, clippy::panic)]

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use supervisors::*;

/// Longer than anything here takes; reached only by a failure.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Runs `test` here, within [`LONG`].
pub(crate) fn wait<T>(test: impl Future<Output = T>) -> T {
    let limited = async_std::future::timeout(LONG, test);
    async_std::task::block_on(limited).expect("the test took too long")
}

/// Polls `condition` until it holds: for what has no event.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        async_std::task::sleep(Duration::from_millis(1)).await;
    }
}

/// What the echo process can be asked.
pub(crate) enum Ask {
    Who(Reply<(Pid, u64)>),
    Crash(Reply<()>),
    Fail(Reply<()>),
    Finish(Reply<()>),
    Environment(Reply<()>),
}

/// Answers; ends in every way it is asked to.
pub(crate) fn echo(id: &str, mailbox: &Mailbox<Ask>) -> ChildSpec {
    let mailbox = mailbox.clone();
    ChildSpec::worker(id, move |process| {
        let mailbox = mailbox.clone();
        async move {
            process.shows(&mailbox);
            loop {
                match mailbox.recv().await {
                    Ask::Who(reply) => drop(reply.send((process.pid(), process.incarnation()))),
                    Ask::Crash(_) => panic!("asked to crash"),
                    Ask::Fail(_) => return Err(ExitReason::error("asked to fail")),
                    Ask::Finish(_) => return Ok(()),
                    Ask::Environment(_) => return Err(ExitReason::environment("reset")),
                }
            }
        }
    })
}

pub(crate) async fn who(addr: &Addr<Ask>) -> (Pid, u64) {
    addr.call(LONG, Ask::Who).await.expect("an answer")
}

/// Panics at once, for ever.
pub(crate) fn crasher(id: &str) -> ChildSpec {
    ChildSpec::worker(id, |_| async { panic!("at once") })
}

/// Waits for ever.
pub(crate) fn sleeper(id: &str) -> ChildSpec {
    ChildSpec::worker(id, |_| std::future::pending())
}

/// At most 3 restarts in a minute.
pub(crate) fn one_for_one(children: Vec<ChildSpec>) -> SupervisorSpec {
    let flags = Flags::one_for_one().intensity(3, Duration::from_secs(60));
    SupervisorSpec { flags, children }
}

/// At most 3 restarts in a minute.
pub(crate) fn rest_for_one(children: Vec<ChildSpec>) -> SupervisorSpec {
    let flags = Flags::rest_for_one().intensity(3, Duration::from_secs(60));
    SupervisorSpec { flags, children }
}

/// A simple_one_for_one supervisor.
pub(crate) fn empty(id: &str, at: &SupervisorRef) -> ChildSpec {
    ChildSpec::supervisor_at(id, at.clone(), || SupervisorSpec {
        flags: Flags::simple_one_for_one().intensity(3, Duration::from_secs(60)),
        children: Vec::new(),
    })
}

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    pub(crate) fn write(&self, line: impl Into<String>) {
        self.0.lock().expect("not poisoned").push(line.into());
    }

    /// What was written since the last call.
    pub(crate) fn read(&self) -> String {
        std::mem::take(&mut *self.0.lock().expect("not poisoned")).join(" ")
    }

    /// Lines not read yet.
    pub(crate) fn lines(&self) -> usize {
        self.0.lock().expect("not poisoned").len()
    }

    /// Writes `+id` when it is started and `-id` when its body is dropped.
    pub(crate) fn child(&self, id: &str) -> ChildSpec {
        let diary = self.clone();
        let spec = ChildSpec::worker(id, move |process| {
            let entry = Entry::new(&diary, &process);
            async move {
                let _entry = entry;
                process.ready();
                std::future::pending().await
            }
        });
        spec.awaits_init()
    }
}

struct Entry(Diary, String);

impl Entry {
    fn new(diary: &Diary, process: &Process) -> Self {
        let name = process.path().rsplit('/').next().unwrap_or_default();
        diary.write(format!("+{name}"));
        Self(diary.clone(), name.to_string())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.write(format!("-{}", self.1));
    }
}

/// Counts the bodies that exist now.
#[derive(Clone, Default)]
pub(crate) struct Census(Arc<AtomicUsize>);

pub(crate) struct Counted(Census);

impl Census {
    pub(crate) fn enter(&self) -> Counted {
        self.0.fetch_add(1, Ordering::SeqCst);
        Counted(self.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Everything on the way from `system`'s root to the node at `path`.
pub(crate) fn pid_of(system: &System, path: &str) -> Pid {
    let snapshot = system.snapshot();
    let found = snapshot.find(path);
    found.first().and_then(|node| node.pid).unwrap_or_else(|| panic!("no {path} in\n{snapshot}"))
}

/// What is done inside a process that [`Puppet`] stands for. `Some`: its body returns that.
pub(crate) type Deed = Box<dyn FnOnce(&Process) -> Option<Exit> + Send>;

/// A temporary process that does what it is told.
pub(crate) struct Puppet {
    pub(crate) pid: Pid,
    strings: Addr<(Deed, Reply<()>)>,
    downs: Mailbox<ExitReason>,
}

impl Puppet {
    /// Under `at`, which is a dynamic supervisor.
    pub(crate) async fn start(at: &SupervisorRef, id: &str) -> Self {
        Self::start_with(at, id, |spec| spec).await
    }

    pub(crate) async fn start_with(at: &SupervisorRef, id: &str, with: impl FnOnce(ChildSpec) -> ChildSpec) -> Self {
        let (strings, deeds) = mailbox::<(Deed, Reply<()>)>();
        let spec = ChildSpec::worker(id, move |process| {
            let deeds = deeds.clone();
            async move {
                loop {
                    let (deed, reply) = deeds.recv().await;
                    let end = deed(&process);
                    reply.send(());
                    if let Some(end) = end {
                        return end;
                    }
                }
            }
        });
        let spec = spec.restart(Restart::Temporary).shutdown(Shutdown::BrutalKill);
        let pid = at.start_child(with(spec)).await.expect("it starts");
        let (addr, downs) = mailbox();
        monitor(pid, &addr, |down| down.reason);
        Self { pid, strings, downs }
    }

    /// It has done that.
    pub(crate) async fn does(&self, deed: impl FnOnce(&Process) + Send + 'static) {
        let deed = Box::new(move |process: &Process| {
            deed(process);
            None
        });
        self.tell(deed).await.expect("alive");
    }

    /// Its body returns `exit`, and its supervisor knows.
    pub(crate) async fn ends(self, exit: Exit, at: &SupervisorRef) {
        self.tell(Box::new(|_| Some(exit))).await.expect("alive");
        gone(at, self.pid).await;
    }

    /// Its answer to an empty deed; an error when it has ended.
    pub(crate) async fn tell(&self, deed: Deed) -> Result<(), CallError> {
        self.strings.call(LONG, |reply| (deed, reply)).await
    }

    /// Its exit reason, if it ends because of what was sent to it so far.
    pub(crate) async fn fate(&self) -> Option<ExitReason> {
        let (alive, down) = (self.tell(Box::new(|_| None)), self.downs.recv());
        match futures::future::select(std::pin::pin!(alive), std::pin::pin!(down)).await {
            futures::future::Either::Left((Ok(()), _)) => None,
            futures::future::Either::Left((Err(_), down)) => Some(down.await),
            futures::future::Either::Right((reason, _)) => Some(reason),
        }
    }
}

/// The supervisor `at` has heard of the exit of `pid`.
pub(crate) async fn gone(at: &SupervisorRef, pid: Pid) {
    while at.which_children().await.iter().any(|child| child.pid == Some(pid)) {
        async_std::task::yield_now().await;
    }
}
