//! Random trees and random exits, as data.

use proptest::{
    prelude::{Just, any, prop, prop_oneof},
    strategy::{BoxedStrategy, Strategy as _},
};
use supervisors::{AutoShutdown, Restart, Strategy};

/// A child, and below it a tree.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(super) restart: Restart,
    pub(super) brutal: bool,
    /// A supervisor with it is parked when it gives up.
    pub(super) backs_off: bool,
    pub(super) awaits_init: bool,
    pub(super) significant: bool,
    pub(super) below: Option<(Strategy, AutoShutdown, u32, Vec<Plan>)>,
}

impl std::fmt::Debug for Plan {
    /// A line, so that what proptest shows can be read.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let marks = [
            (self.brutal, " brutal"),
            (self.backs_off, " backs_off"),
            (self.awaits_init, " awaits_init"),
            (self.significant, " significant"),
        ];
        let marks: String = marks.iter().filter(|(on, _)| *on).map(|(_, mark)| *mark).collect();
        match &self.below {
            None => write!(f, "{:?}{marks}", self.restart),
            Some((strategy, auto_shutdown, intensity, children)) => {
                write!(f, "{:?}{marks} {strategy} {auto_shutdown:?} {intensity} ", self.restart)?;
                let mut list = f.debug_list();
                list.entries(children).finish()
            }
        }
    }
}

/// One exit: of the process at this place among those that run, counted round and round.
#[derive(Clone, Debug)]
pub(crate) struct Exits {
    pub(super) at: usize,
    pub(super) how: How,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum How {
    Normal,
    Shutdown,
    Error,
    Environment,
    Panic,
    Kill,
    /// No exit: it gets another child, when it is a supervisor.
    Add,
    /// No exit: it is linked to the next worker.
    Link,
    /// No exit either: its supervisor is asked to terminate it.
    Terminate,
}

fn worker() -> BoxedStrategy<Plan> {
    let restart =
        prop_oneof![4 => Just(Restart::Permanent), 2 => Just(Restart::Transient), 1 => Just(Restart::Temporary)];
    let parts = (restart, any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.3));
    parts
        .prop_map(|(restart, brutal, backs_off, awaits_init)| Plan {
            restart,
            brutal,
            backs_off,
            awaits_init,
            significant: false,
            below: None,
        })
        .boxed()
}

fn sup(intensity: u32, children: BoxedStrategy<Plan>, most: usize) -> BoxedStrategy<Plan> {
    let strategy = prop_oneof![
        Just(Strategy::OneForOne),
        Just(Strategy::OneForAll),
        Just(Strategy::RestForOne),
        Just(Strategy::SimpleOneForOne)
    ];
    let auto = prop_oneof![3 => Just(AutoShutdown::Never), 1 => Just(AutoShutdown::AnySignificant), 1 => Just(AutoShutdown::AllSignificant)];
    let below = (strategy, auto, 0..=intensity, prop::collection::vec((children, any::<bool>()), 1..=most));
    (worker(), below)
        .prop_map(|(plan, (strategy, auto_shutdown, intensity, children))| {
            let fits = |child: &Plan| auto_shutdown != AutoShutdown::Never && child.restart != Restart::Permanent;
            let children = children
                .into_iter()
                .map(|(child, significant)| Plan { significant: significant && fits(&child), ..child })
                .collect();
            Plan { below: Some((strategy, auto_shutdown, intensity, children)), ..plan }
        })
        .boxed()
}

/// One supervisor.
pub(crate) fn flat() -> BoxedStrategy<Plan> {
    sup(3, worker(), 6)
}

fn levels(intensity: u32) -> BoxedStrategy<Plan> {
    let children = prop_oneof![2 => worker(), 1 => sup(intensity, worker(), 3)].boxed();
    let children = prop_oneof![2 => worker(), 2 => sup(intensity, children, 3)].boxed();
    sup(intensity, children, 4)
}

/// Two levels of supervisors that bear a lot and keep siblings apart: a process that ends by a link is told to its supervisor on its own,
/// before or after the one that it was linked to.
pub(crate) fn patient() -> BoxedStrategy<Plan> {
    fn apart(plan: Plan) -> Plan {
        let below = plan.below.map(|(.., children)| {
            let children = children.into_iter().map(|child| Plan { significant: false, ..apart(child) }).collect();
            (Strategy::OneForOne, AutoShutdown::Never, 1000, children)
        });
        // Who is killed and linked at once ends with one reason or the other.
        Plan { below, brutal: false, ..plan }
    }
    let children = prop_oneof![3 => worker(), 1 => sup(3, worker(), 3)].boxed();
    sup(3, children, 6).prop_map(apart).boxed()
}

/// Up to three levels.
pub(crate) fn nested() -> BoxedStrategy<Plan> {
    levels(3)
}

/// Up to three levels, and soon nobody has a budget left.
pub(crate) fn unforgiving() -> BoxedStrategy<Plan> {
    levels(1)
}

pub(crate) fn exits() -> BoxedStrategy<Vec<Exits>> {
    let how = prop_oneof![
        Just(How::Normal),
        Just(How::Shutdown),
        Just(How::Error),
        Just(How::Environment),
        Just(How::Panic),
        Just(How::Kill),
        Just(How::Add),
        Just(How::Terminate)
    ];
    several(how.boxed())
}

/// Links first, and between the exits.
pub(crate) fn links_and_exits() -> BoxedStrategy<Vec<Exits>> {
    let how = prop_oneof![6 => Just(How::Link), 1 => Just(How::Normal), 1 => Just(How::Error), 1 => Just(How::Panic), 1 => Just(How::Kill)];
    (several(Just(How::Link).boxed()), several(how.boxed())).prop_map(|(first, then)| [first, then].concat()).boxed()
}

fn several(how: BoxedStrategy<How>) -> BoxedStrategy<Vec<Exits>> {
    let one = (any::<usize>(), how).prop_map(|(at, how)| Exits { at, how });
    prop::collection::vec(one, 1..=8).boxed()
}
