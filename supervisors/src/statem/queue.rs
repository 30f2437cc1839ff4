//! `gen_statem`'s rules of order: events that wait, events that are postponed, timeouts. Pure: time is given.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Which<T> {
    State,
    Event,
    Named(T),
}

/// What happens next.
#[derive(Debug, PartialEq)]
pub(super) enum Due<E, T> {
    Event(E),
    Timeout(Which<T>),
    /// Nothing before a message comes, or this moment.
    Wait(Option<Instant>),
}

/// `E`: events, `T`: names of timeouts. No timeout is both in `running` and in `zero`.
pub(super) struct Queue<E, T> {
    events: VecDeque<E>,
    /// Oldest first.
    postponed: Vec<E>,
    running: Vec<(Which<T>, Instant)>,
    /// Of zero, in the order set.
    zero: VecDeque<Which<T>>,
}

impl<E, T: PartialEq> Queue<E, T> {
    pub(super) fn new() -> Self {
        Self { events: VecDeque::new(), postponed: Vec::new(), running: Vec::new(), zero: VecDeque::new() }
    }

    /// Takes what is due.
    pub(super) fn next(&mut self, now: impl FnOnce() -> Instant) -> Due<E, T> {
        if let Some(event) = self.events.pop_front() {
            return Due::Event(event);
        }
        if let Some(which) = self.zero.pop_front() {
            return Due::Timeout(which);
        }
        let first = self.running.iter().enumerate().min_by_key(|(_, (_, at))| *at).map(|(i, (_, at))| (i, *at));
        match first {
            // Also before messages that wait: a flood of them does not hold back the time.
            Some((i, at)) if at <= now() => Due::Timeout(self.running.remove(i).0),
            first => Due::Wait(first.map(|(_, at)| at)),
        }
    }

    /// An event was handled, and asked for this.
    pub(super) fn handled(&mut self, changed: bool, postponed: Option<E>, next: Vec<E>) {
        self.cancel(&Which::Event);
        self.postponed.extend(postponed);
        if changed {
            self.cancel(&Which::State);
            for event in self.postponed.drain(..).rev() {
                self.events.push_front(event);
            }
        }
        for event in next.into_iter().rev() {
            self.events.push_front(event);
        }
    }

    /// Starts a timeout anew; `None` cancels it.
    pub(super) fn set(&mut self, which: Which<T>, wait: Option<Duration>, now: impl FnOnce() -> Instant) {
        self.cancel(&which);
        match wait {
            None => {}
            Some(Duration::ZERO) => self.zero.push_back(which),
            // Further off than the clock goes: never.
            Some(wait) => self.running.extend(now().checked_add(wait).map(|at| (which, at))),
        }
    }

    fn cancel(&mut self, which: &Which<T>) {
        self.running.retain(|(other, _)| other != which);
        self.zero.retain(|other| other != which);
    }
}
