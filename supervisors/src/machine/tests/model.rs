//! OTP's supervisor, told as its manual tells it: one thing at a time, and nobody waits for anything.
//!
//! Shares no rule with the machine. What it does not have: back-off, the order of things that happen at the same time.

use super::world::{Started, Stopped, World};
use crate::{
    reason::ExitReason,
    spec::{AutoShutdown, Restart, Shutdown, Strategy},
};

/// A child spec.
#[derive(Clone, Debug)]
pub(super) struct Kid {
    pub(super) id: String,
    pub(super) restart: Restart,
    pub(super) shutdown: Shutdown,
    pub(super) significant: bool,
    pub(super) up: bool,
}

pub(super) struct Model {
    pub(super) strategy: Strategy,
    pub(super) intensity: usize,
    pub(super) period_millis: u64,
    pub(super) auto_shutdown: AutoShutdown,
    pub(super) kids: Vec<Kid>,
    pub(super) restarts: Vec<u64>,
    pub(super) now_millis: u64,
    pub(super) world: World,
    pub(super) trace: Vec<String>,
    pub(super) ended: bool,
}

impl Model {
    fn say(&mut self, line: String) {
        self.trace.push(line);
    }

    fn at(&self, id: &str) -> Option<usize> {
        self.kids.iter().position(|kid| kid.id == id)
    }

    fn try_start(&mut self, id: &str) -> Started {
        self.say(format!("+{id}"));
        let started = self.world.start(id);
        // OTP writes no progress report of an instance.
        if started == Started::Up && self.strategy != Strategy::SimpleOneForOne {
            self.say(format!("up {id}"));
        }
        started
    }

    pub(super) fn boot(&mut self) {
        for id in self.ids() {
            match self.try_start(&id) {
                Started::Up => self.set(&id, true),
                Started::Ignores => self.gone(&id),
                Started::Fails => {
                    self.say(format!("start_error {id}"));
                    return self.end(&format!("failed to start {id}"));
                }
            }
        }
    }

    fn ids(&self) -> Vec<String> {
        self.kids.iter().map(|kid| kid.id.clone()).collect()
    }

    fn set(&mut self, id: &str, up: bool) {
        if let Some(at) = self.at(id) {
            self.kids[at].up = up;
        }
    }

    /// Its process is no more. A temporary child's spec goes with it, and so does an instance of a simple supervisor.
    fn gone(&mut self, id: &str) {
        self.set(id, false);
        let simple = self.strategy == Strategy::SimpleOneForOne;
        self.kids.retain(|kid| kid.id != id || !(simple || kid.restart == Restart::Temporary));
    }

    fn terminate(&mut self, id: &str) {
        let kid = self.kids[self.at(id).unwrap()].clone();
        if !kid.up {
            return;
        }
        let permanent = kid.restart == Restart::Permanent;
        if kid.shutdown == Shutdown::BrutalKill {
            return self.say(format!("!{id}"));
        }
        self.say(format!("-{id}"));
        match self.world.stop(id) {
            Stopped::Late if kid.shutdown != Shutdown::Infinity => {
                self.now_millis += 1000;
                self.say(format!("!{id}"));
                self.say(format!("shutdown_error {id} killed"));
            }
            Stopped::Obeys | Stopped::Late => {}
            Stopped::Normal if permanent => self.say(format!("shutdown_error {id} normal")),
            Stopped::Normal => {}
            Stopped::Crashes => self.say(format!("shutdown_error {id} error: bad end")),
        }
    }

    fn end(&mut self, reason: &str) {
        for id in self.ids().into_iter().rev() {
            self.terminate(&id);
        }
        self.kids.clear();
        self.say(format!("exit {reason}"));
        self.ended = true;
    }

    pub(super) fn exits(&mut self, id: &str, reason: &ExitReason) {
        let kid = self.kids[self.at(id).unwrap()].clone();
        self.set(id, false);
        let orderly = matches!(reason, ExitReason::Normal | ExitReason::Shutdown | ExitReason::ShutdownWith(_));
        match (kid.restart, orderly) {
            (Restart::Permanent, _) | (Restart::Transient, false) => {
                self.say(format!("child_terminated {id} {reason}"));
                self.restart(id);
            }
            (Restart::Temporary, false) => {
                self.say(format!("child_terminated {id} {reason}"));
                self.ended_for_good(&kid);
            }
            (Restart::Transient | Restart::Temporary, true) => self.ended_for_good(&kid),
        }
    }

    fn ended_for_good(&mut self, kid: &Kid) {
        self.gone(&kid.id);
        let left = self.kids.iter().any(|kid| kid.significant && kid.up);
        match self.auto_shutdown {
            AutoShutdown::AnySignificant if kid.significant => self.end("shutdown"),
            AutoShutdown::AllSignificant if kid.significant && !left => self.end("shutdown"),
            _ => {}
        }
    }

    /// "If more than MaxR restarts occur within MaxT seconds, the supervisor terminates all child processes and then itself."
    fn restart(&mut self, id: &str) {
        self.restarts.push(self.now_millis);
        let within = |then: &&u64| self.now_millis - **then <= self.period_millis;
        if self.restarts.iter().filter(within).count() > self.intensity {
            self.say(format!("shutdown {id}"));
            self.gone(id);
            return self.end("shutdown");
        }
        let at = self.at(id).unwrap();
        let group = match self.strategy {
            Strategy::OneForOne | Strategy::SimpleOneForOne => vec![id.to_string()],
            Strategy::OneForAll => self.ids(),
            Strategy::RestForOne => self.ids()[at..].to_vec(),
        };
        for other in group.iter().rev().filter(|other| *other != id) {
            self.terminate(other);
            self.gone(other);
        }
        for one in group {
            if self.at(&one).is_none() {
                continue;
            }
            match self.try_start(&one) {
                Started::Up => self.set(&one, true),
                Started::Ignores => self.gone(&one),
                // The next try is a restart of the one that failed.
                Started::Fails => {
                    self.say(format!("start_error {one}"));
                    return self.restart(&one);
                }
            }
        }
    }

    pub(super) fn start_child(&mut self, kid: Kid) -> &'static str {
        if kid.significant && (self.auto_shutdown == AutoShutdown::Never || kid.restart == Restart::Permanent) {
            return "bad_combination";
        }
        match self.at(&kid.id) {
            Some(at) if self.kids[at].up => return "already_started",
            Some(_) => return "already_present",
            None => {}
        }
        let id = kid.id.clone();
        match self.try_start(&id) {
            Started::Fails => return "failed",
            Started::Ignores => {
                self.kids.push(kid);
                self.gone(&id);
                return "ignored";
            }
            Started::Up => {}
        }
        self.kids.push(Kid { up: true, ..kid });
        "started"
    }

    pub(super) fn terminate_child(&mut self, id: &str) -> &'static str {
        if self.at(id).is_none() {
            return "not_found";
        }
        self.terminate(id);
        self.gone(id);
        "ok"
    }

    pub(super) fn restart_child(&mut self, id: &str) -> &'static str {
        match self.at(id) {
            _ if self.strategy == Strategy::SimpleOneForOne => return "simple_one_for_one",
            None => return "not_found",
            Some(at) if self.kids[at].up => return "running",
            Some(_) => {}
        }
        match self.try_start(id) {
            Started::Fails => return "failed",
            Started::Ignores => return "ignored",
            Started::Up => self.set(id, true),
        }
        "started"
    }

    pub(super) fn delete_child(&mut self, id: &str) -> &'static str {
        match self.at(id) {
            _ if self.strategy == Strategy::SimpleOneForOne => "simple_one_for_one",
            None => "not_found",
            Some(at) if self.kids[at].up => "running",
            Some(at) => {
                self.kids.remove(at);
                "ok"
            }
        }
    }

    pub(super) fn shutdown(&mut self) {
        self.end("shutdown");
    }
}
