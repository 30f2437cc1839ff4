//! A monkey: every so often it ends a random process. `spend.rs` is its second trick: spending budgets.
//!
//! Parent: whatever supervisor it is put under. Restart: permanent without another word. Lost on restart: nothing; its count of
//! kills and its log outlive it.

use super::{
    census::{Census, Family, Kid},
    dice::Dice,
    log::{Action, Log, Ring},
    plan::seed,
    syntax::SyntaxError,
    way::Way,
};
use crate::{
    link::{exit, kill},
    monitor::inject_panic,
    pid::Pid,
    process::Process,
    reason::ExitReason,
    rt,
    spec::{ChildSpec, Restart},
    table::lock,
};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

#[derive(Clone)]
struct Habits {
    seed: u64,
    under: String,
    every: Duration,
    jitter: f64,
    supervisors: bool,
    keeps_budgets: bool,
    /// Empty: panic.
    ways: Vec<(Way, u32)>,
    /// What to do again, instead of choosing.
    script: Option<HashMap<u64, (String, Way)>>,
}

type Sink = Box<dyn Fn(&Action) + Send + Sync>;

pub(super) struct Memory {
    pub(super) kills: u64,
    ring: Ring,
    /// Kills by supervisor, until that has seen them.
    pending: Vec<(Pid, Pid)>,
    sink: Option<Sink>,
}

/// Ends random processes under a path glob: never a protected one, one whose end would take a protected one with it by the
/// strategy of its supervisor, or the root; supervisors only when asked. Clones share their count of kills and their log.
///
/// ```
/// # use std::time::Duration;
/// # use supervisors::{ExitReason, Flags, SupervisorSpec, faults::{Monkey, Way}};
/// let monkey = Monkey::new().seed(42).under("top_sup/sessions_sup/**").every(Duration::from_secs(5)).jitter(0.3);
/// let monkey = monkey.way(Way::Panic, 8).way(Way::Exit(ExitReason::Shutdown), 1).way(Way::Kill, 1);
/// let children = vec![monkey.child("monkey")];
/// # let _ = SupervisorSpec { flags: Flags::one_for_one(), children };
/// ```
#[derive(Clone)]
pub struct Monkey {
    habits: Habits,
    pub(super) memory: Arc<Mutex<Memory>>,
}

impl Default for Monkey {
    fn default() -> Self {
        Self::new()
    }
}

impl Monkey {
    /// Anywhere in its tree, every 5 s give or take 30 %, by a panic.
    pub fn new() -> Self {
        let habits = Habits {
            seed: seed(),
            under: "**".to_string(),
            every: Duration::from_secs(5),
            jitter: 0.3,
            supervisors: false,
            keeps_budgets: false,
            ways: Vec::new(),
            script: None,
        };
        let memory = Memory { kills: 0, ring: Ring::new(10_000), pending: Vec::new(), sink: None };
        Self { habits, memory: Arc::new(Mutex::new(memory)) }
    }

    /// Does again, in order, what monkeys did in `log`. A victim that does not run is waited for. `Err`: a way in it cannot
    /// be read.
    pub fn replay(log: &Log) -> Result<Self, SyntaxError> {
        let mut script = HashMap::new();
        for action in &log.actions {
            if let Action::Monkey { kill, path, way } = action {
                script.insert(*kill, (path.clone(), way.parse()?));
            }
        }
        let mut monkey = Self::new();
        monkey.habits.script = Some(script);
        Ok(monkey)
    }

    /// The same seed chooses the same victim and way at the n-th kill, whenever the same processes may be chosen; most often
    /// also when others have come or gone. Without it: [`seed`].
    pub fn seed(mut self, seed: u64) -> Self {
        self.habits.seed = seed;
        self
    }

    /// Only processes whose path fits: `*` stands for any part of one name, `**` for any number of names.
    pub fn under(mut self, path_glob: &str) -> Self {
        self.habits.under = path_glob.to_string();
        self
    }

    /// Between two kills, on average.
    pub fn every(mut self, mean: Duration) -> Self {
        self.habits.every = mean;
        self
    }

    /// `0.0..=1.0`: the part of the time between two kills that it is longer or shorter at most.
    pub fn jitter(mut self, part: f64) -> Self {
        self.habits.jitter = part.clamp(0.0, 1.0);
        self
    }

    /// Supervisors too.
    pub fn supervisors(mut self) -> Self {
        self.habits.supervisors = true;
        self
    }

    /// No kill that would be one restart too many for a supervisor, as long as nothing else fails.
    pub fn keeps_budgets(mut self) -> Self {
        self.habits.keeps_budgets = true;
        self
    }

    /// One of the ways in which it kills, chosen in proportion to `weight`.
    pub fn way(mut self, way: Way, weight: u32) -> Self {
        self.habits.ways.push((way, weight));
        self
    }

    /// Of the log, at most so many actions; 10,000 without it.
    pub fn keeps(self, actions: usize) -> Self {
        lock(&self.memory).ring = Ring::new(actions);
        self
    }

    /// `sink` gets each action, before it is done. It must not block.
    pub fn log_to(self, sink: impl Fn(&Action) + Send + Sync + 'static) -> Self {
        lock(&self.memory).sink = Some(Box::new(sink));
        self
    }

    /// What was done so far.
    pub fn log(&self) -> Log {
        lock(&self.memory).ring.log()
    }

    /// A protected child that goes on for ever, in the tree where it is put.
    pub fn child(&self, id: impl Into<String>) -> ChildSpec {
        let monkey = self.clone();
        let live = move |process: Process| {
            let monkey = monkey.clone();
            async move {
                let mut root = &process.entry;
                while let Some(parent) = &root.parent {
                    root = parent;
                }
                loop {
                    rt::sleep(monkey.pause()).await;
                    monkey.step(root.pid);
                }
            }
        };
        ChildSpec::worker(id, live).role("monkey").protected()
    }

    /// One kill in the tree of `root`, without waiting for it to be done. `None`: there is nobody to be killed now.
    pub fn step(&self, root: Pid) -> Option<Action> {
        let census = Census::of(root)?;
        let mut memory = lock(&self.memory);
        memory.forget_seen(&census);
        let n = memory.kills + 1;
        if let Some(script) = &self.habits.script {
            let (path, way) = script.get(&n)?;
            let kids = || census.families.iter().flat_map(|family| family.kids.iter().map(move |kid| (family, kid)));
            let victim = |kid: &Kid| *kid.path == **path && kid.idle && !memory.has_struck(kid);
            let (family, kid) = kids().find(|(_, kid)| victim(kid))?;
            return Some(self.strike(&mut memory, family, kid, way.clone()));
        }
        let may_lose = |family: &&Family| !self.habits.keeps_budgets || family.up && memory.room(family) > 0;
        // It would end its supervisor, which is a restart of that.
        let may_go = |kid: &Kid| !(self.habits.keeps_budgets && kid.significant && kid.restart == Restart::Temporary);
        let also = |kid: &Kid| kid.idle && !memory.has_struck(kid) && may_go(kid);
        let best = |family| self.best(n, &census, family, also).map(|kid| (family, kid));
        let chosen = census.families.iter().filter(may_lose).filter_map(best).max_by_key(|(_, kid)| self.lot(n, kid));
        let (family, kid) = chosen?;
        let way = self.choose_way(n, kid, self.habits.keeps_budgets);
        Some(self.strike(&mut memory, family, kid, way))
    }

    /// Between two steps: all whom it struck have ended, their supervisors have counted it, and nobody in the tree is about to
    /// start or to end. Also when the root has ended.
    pub fn is_calm(&self, root: Pid) -> bool {
        let Some(census) = Census::of(root) else {
            return true;
        };
        let mut memory = lock(&self.memory);
        memory.forget_seen(&census);
        memory.pending.is_empty() && census.families.iter().all(Family::is_calm)
    }

    /// Who draws the highest lot among those of `family` that may die and that `also` lets pass.
    pub(super) fn best<'a>(
        &self,
        n: u64,
        census: &Census,
        family: &'a Family,
        also: impl Fn(&Kid) -> bool,
    ) -> Option<&'a Kid> {
        let Habits { under, supervisors, .. } = &self.habits;
        let may_die = |kid: &&Kid| also(kid) && census.may_die(kid, under, *supervisors);
        family.kids.iter().filter(may_die).max_by_key(|kid| self.lot(n, kid))
    }

    /// A lot for each process, so that the choice does not depend on how many there are.
    fn lot(&self, n: u64, kid: &Kid) -> u64 {
        Dice::new(self.habits.seed).text("victim").number(n).text(&kid.path).bits()
    }

    /// `counted`: only a way that is a restart to be counted, at once.
    pub(super) fn choose_way(&self, n: u64, kid: &Kid, counted: bool) -> Way {
        let ways = &self.habits.ways;
        let all: u64 = ways.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let unit = Dice::new(self.habits.seed).text("way").number(n).unit();
        let mut at = (unit * all as f64) as u64;
        let hit = |(_, weight): &&(Way, u32)| {
            let here = at < u64::from(*weight);
            at = at.saturating_sub(u64::from(*weight));
            here
        };
        let way = ways.iter().find(hit).map_or(Way::Panic, |(way, _)| way.clone());
        match &way {
            Way::Exit(reason) => {
                let unnoticed = kid.traps || *reason == ExitReason::Normal;
                let uncounted = reason.is_normal() || reason.is_environment();
                if unnoticed || counted && uncounted { Way::Kill } else { way }
            }
            Way::Panic | Way::Kill => way,
        }
    }

    pub(super) fn strike(&self, memory: &mut Memory, family: &Family, kid: &Kid, way: Way) -> Action {
        memory.kills += 1;
        memory.pending.push((family.pid, kid.pid));
        let action = Action::Monkey { kill: memory.kills, path: kid.path.to_string(), way: way.to_string() };
        if let Some(sink) = &memory.sink {
            sink(&action);
        }
        memory.ring.push(action.clone());
        match way {
            Way::Panic => inject_panic(kid.pid, "the monkey"),
            Way::Exit(reason) => exit(kid.pid, reason),
            Way::Kill => kill(kid.pid),
        }
        action
    }

    /// Until the next kill.
    fn pause(&self) -> Duration {
        let n = lock(&self.memory).kills + 1;
        let unit = Dice::new(self.habits.seed).text("pause").number(n).unit();
        self.habits.every.mul_f64(1.0 + self.habits.jitter * (2.0 * unit - 1.0))
    }
}

impl Memory {
    /// A supervisor that no longer has the victim has counted its restart.
    pub(super) fn forget_seen(&mut self, census: &Census) {
        let families = census.families.iter();
        let seen: HashSet<(Pid, Pid)> =
            families.flat_map(|family| family.kids.iter().map(|kid| (family.pid, kid.pid))).collect();
        self.pending.retain(|pair| seen.contains(pair));
    }

    /// It may not look so: what was asked of it, it has taken up, and has not ended yet.
    fn has_struck(&self, kid: &Kid) -> bool {
        self.pending.iter().any(|(_, victim)| *victim == kid.pid)
    }

    pub(super) fn waits_for(&self, family: &Family) -> bool {
        self.pending.iter().any(|(supervisor, _)| *supervisor == family.pid)
    }

    /// Restarts that `family` can bear, with those to come.
    pub(super) fn room(&self, family: &Family) -> usize {
        let pending = self.pending.iter().filter(|(supervisor, _)| *supervisor == family.pid).count();
        family.intensity.saturating_sub(family.used + pending)
    }
}

impl fmt::Debug for Monkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Habits { seed, under, .. } = &self.habits;
        f.debug_struct("Monkey").field("seed", seed).field("under", under).finish_non_exhaustive()
    }
}
