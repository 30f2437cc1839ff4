//! Plans: fault points that are armed together, with one seed, one count of hits and one log.
//!
//! Sits between the points, which say what may happen, and the sites, which ask at each hit what does.

use super::{
    dice::Dice,
    grammar::{Task, Term},
    list::list,
    log::{Action, Log, Ring},
    point::Point,
    syntax::SyntaxError,
};
use crate::{rt, table::lock};
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// Actions that a plan keeps without [`Plan::keeps`].
const KEPT: usize = 10_000;

/// Pairs of site and process path whose hits a plan counts. With more, all counts begin anew, with other dice, and a log of
/// it has the same hit twice, so that a replay is not the same.
const COUNTED: usize = 65_536;

/// Zero: no plan is armed. Read by every site, written by nothing else.
pub(super) static ARMED: AtomicUsize = AtomicUsize::new(0);
static PLANS: RwLock<Vec<Arc<Campaign>>> = RwLock::new(Vec::new());

type Sink = Box<dyn Fn(&Action) + Send + Sync>;

/// Fault points that are not armed yet.
#[must_use = "a plan does nothing until it is armed"]
pub struct Plan {
    points: Vec<Point>,
    replay: Option<Script>,
    seed: Option<u64>,
    keeps: usize,
    sink: Option<Sink>,
}

impl Plan {
    /// Of these points. When several fit a hit, they are asked in this order until one fires.
    pub fn new(points: impl IntoIterator<Item = Point>) -> Self {
        Self { points: points.into_iter().collect(), replay: None, seed: None, keeps: KEPT, sink: None }
    }

    /// Of a list: see the [grammar](super#grammar).
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        Ok(Self::new(list(text)?))
    }

    /// Does again what the fault points in `log` did, at the same hits; what monkeys did is
    /// [theirs to do again](super::Monkey::replay). `Err`: a task in it cannot be read.
    pub fn replay(log: &Log) -> Result<Self, SyntaxError> {
        let mut script = Script::new();
        for action in &log.actions {
            if let Action::Point { site, path, hit, task } = action {
                let hits = script.entry(site.clone()).or_default().entry(path.clone()).or_default();
                hits.insert(*hit, task.parse()?);
            }
        }
        Ok(Self { replay: Some(script), ..Self::new([]) })
    }

    /// It has no points.
    pub(super) fn is_empty(&self) -> bool {
        self.points.is_empty() && self.replay.is_none()
    }

    /// The same seed throws the same dice at the same hits. Without it: [`seed`].
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Of the log, at most so many actions; 10,000 without it.
    pub fn keeps(mut self, actions: usize) -> Self {
        self.keeps = actions;
        self
    }

    /// `sink` gets each action, before it happens, in the process that it happens to. It must not block.
    pub fn log_to(mut self, sink: impl Fn(&Action) + Send + Sync + 'static) -> Self {
        self.sink = Some(Box::new(sink));
        self
    }

    /// From now on until what this returns is dropped.
    pub fn arm(self) -> Armed {
        let (hold, released) = flume::bounded(0);
        let left = self.points.iter().map(|point| point.terms.iter().map(|term| term.count).collect()).collect();
        let tally = vec![(0, 0); self.points.len().max(1)];
        let counts = Counts { hits: HashMap::new(), epoch: 0, left, each: HashMap::new(), tally };
        let campaign = Arc::new(Campaign {
            seed: self.seed.unwrap_or_else(seed),
            points: self.points,
            replay: self.replay,
            counts: Mutex::new(counts),
            ring: Mutex::new(Ring::new(self.keeps)),
            sink: self.sink,
            hold: Mutex::new(Some(hold)),
            released,
        });
        let mut plans = PLANS.write().unwrap_or_else(PoisonError::into_inner);
        plans.push(campaign.clone());
        ARMED.store(plans.len(), Ordering::Release);
        Armed { campaign, stays: false }
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("points", &self.points).field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// The seed of plans and monkeys that were given none: the same in the whole OS process. Drawn when it is first asked for.
pub fn seed() -> u64 {
    static SEED: AtomicU64 = AtomicU64::new(0);
    let drawn = rt::seed().max(1);
    match SEED.compare_exchange(0, drawn, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => {
            log::info!(target: "faults", "the seed is {drawn}");
            drawn
        }
        Err(seed) => seed,
    }
}

/// A plan that is armed; dropping this disarms it and lets go what hangs in it.
#[must_use = "dropping it disarms the plan"]
pub struct Armed {
    campaign: Arc<Campaign>,
    stays: bool,
}

impl Armed {
    /// Each point of the plan, with its counts.
    pub fn points(&self) -> Vec<PointInfo> {
        self.campaign.infos()
    }

    /// What was done so far.
    pub fn log(&self) -> Log {
        lock(&self.campaign.ring).log()
    }

    /// As a site of this name in this process would.
    #[cfg(test)]
    pub(super) fn hit(&self, site: &'static str, path: &str) -> Option<Task> {
        self.hit_with(site, path, &[])
    }

    /// Pairs of site and path that are counted now.
    #[cfg(test)]
    pub(super) fn counted(&self) -> usize {
        lock(&self.campaign.counts).hits.len()
    }

    #[cfg(test)]
    pub(super) fn hit_with(&self, site: &'static str, path: &str, keys: &[(&str, String)]) -> Option<Task> {
        self.campaign.hit(site, &path.into(), keys, false)
    }

    /// With which all of it can be had again.
    pub fn seed(&self) -> u64 {
        self.campaign.seed
    }

    /// It stays armed until [`disarm_all`].
    pub fn stay(mut self) {
        self.stays = true;
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        if !self.stays {
            disarm(|campaign| Arc::ptr_eq(campaign, &self.campaign));
        }
    }
}

impl fmt::Debug for Armed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Armed").field("points", &self.points()).field("seed", &self.seed()).finish_non_exhaustive()
    }
}

/// Disarms every plan, whoever armed it.
pub fn disarm_all() {
    disarm(|_| true);
}

fn disarm(which: impl Fn(&Arc<Campaign>) -> bool) {
    let gone: Vec<_> = {
        let mut plans = PLANS.write().unwrap_or_else(PoisonError::into_inner);
        let gone = plans.extract_if(.., |plan| which(plan)).collect();
        ARMED.store(plans.len(), Ordering::Release);
        gone
    };
    gone.iter().for_each(|campaign| drop(lock(&campaign.hold).take()));
}

/// Every armed point of every plan, in the order of arming.
pub fn armed() -> Vec<PointInfo> {
    plans().iter().flat_map(|campaign| campaign.infos()).collect()
}

/// An armed point and its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PointInfo {
    /// As in a list: `**/peer *:wire.read[page=7]=5%panic`; `replay` for a log that is done again.
    pub point: String,
    /// How often a site that it fits was reached.
    pub hits: u64,
    /// How often it fired.
    pub fired: u64,
}

pub(super) fn plans() -> Vec<Arc<Campaign>> {
    PLANS.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// By site, process path, and hit.
type Script = HashMap<String, HashMap<String, HashMap<u64, Task>>>;

struct Counts {
    hits: HashMap<(&'static str, Arc<str>), u64>,
    /// How often `hits` was begun anew.
    epoch: u64,
    /// For each point and term: how often it may still fire.
    left: Vec<Vec<Option<u64>>>,
    /// The same for each process path, of points that count so.
    each: HashMap<(usize, Arc<str>), Vec<Option<u64>>>,
    /// For each point: hits and fired.
    tally: Vec<(u64, u64)>,
}

/// A plan that is armed.
pub(super) struct Campaign {
    seed: u64,
    points: Vec<Point>,
    replay: Option<Script>,
    counts: Mutex<Counts>,
    ring: Mutex<Ring>,
    sink: Option<Sink>,
    hold: Mutex<Option<flume::Sender<()>>>,
    /// Opens by disconnection when the plan is disarmed.
    pub(super) released: flume::Receiver<()>,
}

impl Campaign {
    /// A point of it may fit a site of this name.
    pub(super) fn names(&self, site: &str) -> bool {
        match &self.replay {
            Some(script) => script.contains_key(site),
            None => self.points.iter().any(|point| point.names(site)),
        }
    }

    /// The site was reached. `None`: nothing of this plan fires. `taken`: something of another plan does, so this is only
    /// counted.
    pub(super) fn hit(
        &self,
        site: &'static str,
        path: &Arc<str>,
        keys: &[(&str, String)],
        taken: bool,
    ) -> Option<Task> {
        let (task, hit) = self.decide(site, path, keys, taken)?;
        let action = Action::Point { site: site.to_string(), path: path.to_string(), hit, task: task.to_string() };
        if let Some(sink) = &self.sink {
            sink(&action);
        }
        lock(&self.ring).push(action);
        Some(task)
    }

    fn decide(&self, site: &'static str, path: &Arc<str>, keys: &[(&str, String)], taken: bool) -> Option<(Task, u64)> {
        if let Some(script) = &self.replay {
            let tasks = script.get(site)?.get(&**path)?;
            let mut counts = lock(&self.counts);
            let hit = counts.count(site, path);
            counts.tally[0].0 += 1;
            let task = tasks.get(&hit).filter(|_| !taken)?.clone();
            counts.tally[0].1 += 1;
            return Some((task, hit));
        }
        // Conditions do not decide what is counted: a replay does not know them.
        let here: Vec<usize> = (0..self.points.len()).filter(|n| self.points[*n].covers(site, path)).collect();
        if here.is_empty() {
            return None;
        }
        let fits: Vec<usize> = here.into_iter().filter(|n| self.points[*n].holds(keys)).collect();
        let mut counts = lock(&self.counts);
        let counts = &mut *counts;
        let hit = counts.count(site, path);
        fits.iter().for_each(|n| counts.tally[*n].0 += 1);
        if taken {
            return None;
        }
        let dice = Dice::new(self.seed).number(counts.epoch).text(site).text(path).number(hit);
        for n in fits {
            let point = &self.points[n];
            let fresh = || point.terms.iter().map(|term| term.count).collect();
            let left = match point.each {
                true => counts.each.entry((n, path.clone())).or_insert_with(fresh),
                false => &mut counts.left[n],
            };
            if let Some(task) = first(&point.terms, left, dice.number(n as u64)) {
                counts.tally[n].1 += 1;
                return Some((task, hit));
            }
        }
        None
    }

    fn infos(&self) -> Vec<PointInfo> {
        let counts = lock(&self.counts);
        let names: Vec<String> = match self.replay {
            Some(_) => vec!["replay".to_string()],
            None => self.points.iter().map(ToString::to_string).collect(),
        };
        let info = |(point, &(hits, fired)): (String, &(u64, u64))| PointInfo { point, hits, fired };
        names.into_iter().zip(&counts.tally).map(info).collect()
    }
}

impl Counts {
    /// Which hit this is of this site in this process path; the first is 1.
    fn count(&mut self, site: &'static str, path: &Arc<str>) -> u64 {
        let key = (site, path.clone());
        if self.hits.len() >= COUNTED && !self.hits.contains_key(&key) {
            self.hits.clear();
            self.each.clear();
            self.epoch += 1;
        }
        let hits = self.hits.entry(key).or_default();
        *hits += 1;
        *hits
    }
}

/// The task of the first term that fires. As in `fail`: a term whose count is used up is passed over, and the count goes down
/// only when the die fell right.
fn first(terms: &[Term], left: &mut [Option<u64>], dice: Dice) -> Option<Task> {
    for (n, (term, left)) in terms.iter().zip(left).enumerate() {
        let lucky = term.percent.is_none_or(|percent| dice.number(n as u64).unit() * 100.0 < percent);
        if *left == Some(0) || !lucky {
            continue;
        }
        if let Some(left) = left {
            *left -= 1;
        }
        return Some(term.task.clone());
    }
    None
}
