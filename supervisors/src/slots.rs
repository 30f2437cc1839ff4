//! Processes on bastion: the only file that names it.
//!
//! A slot is a bastion child that waits at a gate for a job, runs it, then the next; after some it returns `Err(())`, and bastion's
//! supervisor makes it anew. So memory is bounded by how many ran at once. What bastion does wrong
//! is kept out here: of its strategies only one_for_one with immediate restarts is used, no back-off, callback, kill or
//! stored reference; groups stay small because every slot knows all of its group; the exec closure only clones and moves;
//! no panic reaches bastion; no thread stays pinned to a core; and a slot sends itself a message before it ends, because
//! otherwise bastion leaks it.

use crate::{panics, rt, table::lock};
use bastion::prelude::*;
use futures::{channel::oneshot, future::BoxFuture};
use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Mutex, OnceLock},
    task::Poll,
    time::Duration,
};

/// What a slot runs.
pub(crate) type Job = BoxFuture<'static, ()>;

/// Slots per bastion group: each knows all others, which every new incarnation copies, so memory and time grow with it; a group of
/// one pays for a heartbeat process alone.
const GROUP: usize = 6;

/// Jobs that a slot runs before bastion makes it anew, which costs as much as ten short jobs. Nothing of a job stays in its slot: a job is
/// guarded, and dropped before the next one comes.
const JOBS: usize = 64;

/// bastion's heartbeat does nothing for us, and cannot be turned off.
const HEARTBEAT: Duration = Duration::from_secs(24 * 3600);

#[derive(Default)]
struct Gate {
    /// Slots that wait; the last to come is the first to go, while its memory is still in the cache.
    idle: Vec<oneshot::Sender<Job>>,
    /// Jobs that wait for a slot, longest first.
    waiting: VecDeque<Job>,
    /// Slots that bastion is making, and those that it makes anew.
    coming: usize,
}

static GATE: Mutex<Gate> = Mutex::new(Gate { idle: Vec::new(), waiting: VecDeque::new(), coming: 0 });

/// `None`: bastion did not start.
static ROOT: OnceLock<Option<SupervisorRef>> = OnceLock::new();

/// Starts bastion; later calls do nothing. `false`: it did not start, and no process can run.
pub(crate) fn init() -> bool {
    let root = ROOT.get_or_init(|| {
        use_all_cores();
        rt::note_cores();
        Bastion::init();
        let always = RestartStrategy::default()
            .with_restart_policy(RestartPolicy::Always)
            .with_actor_restart_strategy(ActorRestartStrategy::Immediate);
        let root = Bastion::supervisor(|root| {
            root.with_strategy(SupervisionStrategy::OneForOne).with_restart_strategy(always)
        });
        Bastion::start();
        root.ok()
    });
    root.is_some()
}

/// bastion starts two threads whatever the machine has; this variable is the only way to have more.
fn use_all_cores() {
    const THREADS: &str = "BASTION_BLOCKING_THREADS";
    /// What bastion does without it.
    const DEFAULT: usize = 2;
    let cores = rt::cores();
    if cores == DEFAULT || std::env::var_os(THREADS).is_some() {
        return;
    }
    // Proof: Rust code reads the environment under the lock of `std::env`, which this call takes too; of C code only what a
    // resolver thread reads could race, and this runs once, before bastion or any process of this crate has been started.
    #[allow(unsafe_code)]
    unsafe {
        std::env::set_var(THREADS, cores.to_string());
    }
}

/// Runs `job` in a slot of its own, soon. A panic in it ends the job and nothing else.
pub(crate) fn run(job: Job) {
    if cfg!(unsupervised) {
        // For measuring only: the same executor on the same cores, without bastion's children around it.
        let mut job = job;
        let plain = poll_fn(move |cx| {
            rt::unpin();
            job.as_mut().poll(cx)
        });
        return drop(bastion::executor::spawn(plain));
    }
    let mut gate = lock(&GATE);
    let mut job = job;
    while let Some(slot) = gate.idle.pop() {
        match slot.send(job) {
            Ok(()) => return,
            Err(back) => job = back,
        }
    }
    gate.waiting.push_back(job);
    if gate.waiting.len() > gate.coming {
        gate.coming += GROUP;
        drop(gate);
        grow();
    }
}

fn grow() {
    let Some(root) = ROOT.get().and_then(Option::as_ref) else {
        return;
    };
    let made = root.children(|group| {
        group.with_redundancy(GROUP).with_heartbeat_tick(HEARTBEAT).with_exec(|slot: BastionContext| async move {
            for _ in 0..JOBS {
                run_one().await;
                lock(&GATE).coming += 1;
            }
            slot.current().tell_anonymously(()).ok();
            Err(())
        })
    });
    if made.is_err() {
        log::error!(target: "sasl", "bastion makes no more slots: processes wait for others to end");
        lock(&GATE).coming -= GROUP;
    }
}

async fn run_one() {
    let wait = {
        let mut gate = lock(&GATE);
        gate.coming = gate.coming.saturating_sub(1);
        match gate.waiting.pop_front() {
            Some(job) => Err(job),
            None => {
                let (call, wait) = oneshot::channel();
                gate.idle.push(call);
                Ok(wait)
            }
        }
    };
    let job = match wait {
        Err(job) => Ok(job),
        Ok(wait) => wait.await,
    };
    let Ok(mut job) = job else {
        return;
    };
    poll_fn(|cx| {
        rt::unpin();
        panics::catch(|| job.as_mut().poll(cx)).unwrap_or(Poll::Ready(()))
    })
    .await;
    panics::discard(job);
}
