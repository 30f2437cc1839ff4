//! What the end of a child means: restart, back-off, giving up, or nothing.
//!
//! Part of [`machine`](super), and as pure. The rules are those of OTP's `supervisor.erl` and one of our own: an exit that
//! the environment caused waits for its back-off and is not counted.

use super::{Action, After, Answer, Child, Event, Key, Machine, Phase, Report, Rule, State};
use crate::{
    pid::Pid,
    reason::ExitReason,
    spec::{AutoShutdown, Backoff, Kind, Restart, Shutdown, Strategy},
};
use std::time::{Duration, Instant};

impl Machine {
    pub(super) fn exited(
        &mut self,
        pid: Pid,
        reason: ExitReason,
        cause: Option<String>,
        dice: f32,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let Some(key) = self.by_pid.remove(&pid) else {
            return;
        };
        self.starting.remove(&key);
        self.set_timer(key, None);
        let marked = self.to_stop.remove(&key);
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        child.last_exit = Some(reason.clone());
        child.cause = cause;
        match child.state.clone() {
            State::Stopping { killed, after, .. } => {
                out.extend(shutdown_report(&child.rule, pid, reason, killed).map(Action::Report));
                self.stopping.remove(&key);
                self.put_away(key, after, out);
            }
            // It was to be told to end, and was faster: OTP reports that as it reports one that was told.
            _ if marked => {
                out.extend(shutdown_report(&child.rule, pid, reason, false).map(Action::Report));
                self.put_away(key, After::StartAgain, out);
            }
            State::Starting { .. } if reason == ExitReason::Normal => self.ignored(key, out),
            // Whoever asked is told why; there is no report.
            State::Starting { .. } if child.fresh.is_some() => self.start_refused(key, reason, out),
            State::Starting { .. } if self.phase == Phase::Booting => {
                self.report_start_error(key, &reason, out);
                self.boot_failed(key, &reason, out);
            }
            State::Starting { .. } => {
                self.report_start_error(key, &reason, out);
                self.again(key, pid, reason, dice, now, out);
            }
            _ => self.unexpected(key, pid, reason, dice, now, out),
        }
    }

    /// OTP's `ignore`: there is no process, and that is well.
    fn ignored(&mut self, key: Key, out: &mut Vec<Action>) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        child.state = State::Stopped;
        if let Some(Some(token)) = child.fresh.take() {
            let answer = Answer::Ignored;
            out.push(Action::Answer { token, answer });
        }
        if self.is_forgettable(key) {
            self.forget(key, Answer::Ignored, out);
        }
    }

    /// Without a process it need not be known.
    pub(super) fn is_forgettable(&self, key: Key) -> bool {
        let child = self.children.get(&key);
        self.is_simple() || child.is_some_and(|child| child.rule.restart == Restart::Temporary)
    }

    fn report_start_error(&self, key: Key, reason: &ExitReason, out: &mut Vec<Action>) {
        if let Some(child) = self.children.get(&key) {
            let (id, reason) = (child.rule.id.clone(), reason.clone());
            out.push(Action::Report(Report::StartError { id, reason }));
        }
    }

    /// What the caller of `start_child` or `restart_child` hears. Only the latter's spec stays.
    fn start_refused(&mut self, key: Key, reason: ExitReason, out: &mut Vec<Action>) {
        match self.children.get_mut(&key) {
            Some(child) if child.restarts > 0 => {
                child.state = State::Stopped;
                if let Some(Some(token)) = child.fresh.take() {
                    let answer = Answer::Failed(reason);
                    out.push(Action::Answer { token, answer });
                }
            }
            _ => self.forget(key, Answer::Failed(reason), out),
        }
    }

    fn boot_failed(&mut self, key: Key, reason: &ExitReason, out: &mut Vec<Action>) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        child.state = State::Stopped;
        let (id, reason) = (child.rule.id.to_string(), Box::new(reason.clone()));
        self.begin_ending(ExitReason::FailedToStartChild { id, reason }, None, out);
    }

    /// An ordered end, or an unordered one of a child that was about to be ended anyway.
    fn put_away(&mut self, key: Key, after: After, out: &mut Vec<Action>) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        for token in std::mem::take(&mut child.enders) {
            let answer = Answer::Done;
            out.push(Action::Answer { token, answer });
        }
        child.state = State::Stopped;
        let temporary = child.rule.restart == Restart::Temporary;
        let ending = matches!(self.phase, Phase::Ending { .. });
        if after == After::StartAgain && !temporary && !ending {
            child.state = State::Waiting;
            self.to_start.insert(key);
        } else if self.is_forgettable(key) {
            self.forget(key, Answer::Ending, out);
        }
    }

    /// A significant child has ended by itself, for good.
    fn auto_shutdown(&mut self, out: &mut Vec<Action>) {
        // One that is being terminated, and will not come back, is not waited for.
        let stays = |key: &Key, child: &Child| match child.state {
            State::Stopped | State::Stopping { after: After::Stay, .. } => false,
            State::Stopping { .. } => child.rule.restart != Restart::Temporary,
            _ => child.rule.restart != Restart::Temporary || !self.to_stop.contains(key),
        };
        let more = || self.children.iter().any(|(key, child)| child.rule.significant && stays(key, child));
        let ends = match self.flags.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => !more(),
        };
        if ends {
            self.begin_ending(ExitReason::Shutdown, None, out);
        }
    }

    fn unexpected(&mut self, key: Key, pid: Pid, reason: ExitReason, dice: f32, now: Instant, out: &mut Vec<Action>) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        let rule = child.rule.clone();
        let parked = parks(child, &reason);
        let again = match rule.restart {
            Restart::Permanent => true,
            Restart::Transient => parked || !reason.is_normal(),
            Restart::Temporary => false,
        };
        if again || !reason.is_normal() {
            let (id, reason, restart) = (rule.id.clone(), reason.clone(), rule.restart);
            out.push(Action::Report(Report::ChildTerminated { id, pid, reason, restart }));
        }
        if again {
            return self.again(key, pid, reason, dice, now, out);
        }
        child.state = State::Stopped;
        child.failures = 0;
        if self.is_forgettable(key) {
            self.forget(key, Answer::Ending, out);
        }
        if rule.significant {
            self.auto_shutdown(out);
        }
    }

    /// It is to be started again, perhaps with others, at once or after a wait; unless that is once too often.
    fn again(&mut self, key: Key, pid: Pid, reason: ExitReason, dice: f32, now: Instant, out: &mut Vec<Action>) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        let rule = child.rule.clone();
        let wait = if reason.is_environment() || parks(child, &reason) {
            let backoff = rule.backoff.unwrap_or_default();
            if now.saturating_duration_since(child.since) >= backoff.reset_after {
                child.failures = 0;
            }
            child.failures = child.failures.saturating_add(1);
            Some(delay(&backoff, child.failures, dice))
        } else {
            child.failures = 0;
            None
        };
        child.state = State::Stopped;
        if wait.is_none() && !self.count_restart(now) {
            let id = rule.id.clone();
            let cause = format!("{id} {reason}, more than {}", self.limit());
            out.push(Action::Report(Report::GaveUp { id, reason }));
            return self.begin_ending(ExitReason::Shutdown, Some(cause), out);
        }
        let (after, used) = (wait.unwrap_or_default(), self.history.len());
        out.push(Action::Report(Report::Restarting { key, pid, after, used }));
        self.mark_siblings(key);
        match wait {
            Some(wait) => self.back_off(key, now + wait),
            None => self.mark_for_start(key),
        }
    }

    fn limit(&self) -> String {
        format!("{} restarts in {:?}", self.flags.intensity, self.flags.period)
    }

    fn mark_for_start(&mut self, key: Key) {
        if let Some(child) = self.children.get_mut(&key) {
            child.state = State::Waiting;
            self.to_start.insert(key);
        }
    }

    fn back_off(&mut self, key: Key, until: Instant) {
        if let Some(child) = self.children.get_mut(&key) {
            child.state = State::BackingOff { until };
            self.backing_off.insert(key);
            self.set_timer(key, Some(until));
        }
    }

    /// Those that the strategy restarts together with `key`.
    fn mark_siblings(&mut self, key: Key) {
        let first = match self.flags.strategy {
            Strategy::OneForOne | Strategy::SimpleOneForOne => return,
            Strategy::OneForAll => 0,
            Strategy::RestForOne => key + 1,
        };
        let mut again = Vec::new();
        for (&sibling, child) in self.children.range(first..) {
            match child.state {
                State::Starting { .. } | State::Running { .. } if sibling != key => {
                    self.starting.remove(&sibling);
                    self.to_stop.insert(sibling);
                }
                // OTP starts the whole group, also what had ended before.
                State::Stopped if sibling != key => again.push(sibling),
                _ => {}
            }
        }
        again.into_iter().for_each(|sibling| self.mark_for_start(sibling));
    }

    /// `false`: one too many.
    fn count_restart(&mut self, now: Instant) -> bool {
        self.history.push_back(now);
        let period = self.flags.period;
        while let Some(&oldest) = self.history.front()
            && now.saturating_duration_since(oldest) > period
        {
            self.history.pop_front();
        }
        self.history.len() <= self.flags.intensity as usize
    }

    /// Nothing is started any more, everything that runs is ended in reverse start order.
    pub(super) fn begin_ending(&mut self, reason: ExitReason, cause: Option<String>, out: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Ending { .. } | Phase::Ended) {
            return;
        }
        self.phase = Phase::Ending { reason, cause };
        self.to_start.clear();
        for key in std::mem::take(&mut self.backing_off) {
            self.set_timer(key, None);
        }
        self.starting.clear();
        for (&key, child) in &mut self.children {
            if let Some(Some(token)) = child.fresh.take() {
                let answer = Answer::Ending;
                out.push(Action::Answer { token, answer });
            }
            match child.state {
                State::Starting { .. } | State::Running { .. } => {
                    self.to_stop.insert(key);
                }
                State::Waiting | State::BackingOff { .. } => child.state = State::Stopped,
                // Terminated just now: the others wait for it, as they do in OTP.
                State::Stopping { .. } => drop(self.stopping.insert(key)),
                State::Launching | State::Stopped => {}
            }
        }
    }

    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<Action>) {
        while let Some(&(at, key)) = self.timers.first()
            && at <= now
        {
            self.set_timer(key, None);
            self.timer_fired(key, now, out);
        }
    }

    fn timer_fired(&mut self, key: Key, now: Instant, out: &mut Vec<Action>) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        let kind = child.rule.kind;
        match child.state {
            State::BackingOff { .. } => {
                self.backing_off.remove(&key);
                self.mark_for_start(key);
            }
            State::Stopping { pid, killed: false, after } => {
                child.state = State::Stopping { pid, killed: true, after };
                out.push(Action::Kill { pid });
                match kind {
                    Kind::Blocking => self.abandon(key, pid, now, out),
                    Kind::Worker => self.set_timer(key, Some(now + super::KILL_GRACE)),
                    // Killed, it still ends its own children; each of those has its limit.
                    Kind::Supervisor => {}
                }
            }
            State::Stopping { pid, killed: true, .. } => self.abandon(key, pid, now, out),
            _ => {}
        }
    }

    fn abandon(&mut self, key: Key, pid: Pid, now: Instant, out: &mut Vec<Action>) {
        let Some(child) = self.children.get(&key) else {
            return;
        };
        let id = child.rule.id.clone();
        out.push(Action::Report(Report::Abandoned { id, pid }));
        out.push(Action::Abandon { pid });
        let Event::Exited { reason, cause, dice, .. } = abandoned(pid) else {
            return;
        };
        self.exited(pid, reason, cause, dice, now, out);
    }

    pub(super) fn forget(&mut self, key: Key, answer: Answer, out: &mut Vec<Action>) {
        self.set_timer(key, None);
        self.backing_off.remove(&key);
        self.to_start.remove(&key);
        if let Some(child) = self.children.remove(&key) {
            self.by_id.remove(&child.rule.id);
            if let Some(Some(token)) = child.fresh {
                out.push(Action::Answer { token, answer });
            }
            out.push(Action::Forget { key });
        }
    }
}

/// A supervisor that gave up, and has a back-off, is left alone for a while.
fn parks(child: &Child, reason: &ExitReason) -> bool {
    let gave_up = *reason == ExitReason::Shutdown && child.cause.is_some();
    gave_up && child.rule.kind == Kind::Supervisor && child.rule.backoff.is_some()
}

/// OTP's `shutdown_error`: it ended otherwise than it was told. `killed`: it was not asked, or took too long.
fn shutdown_report(rule: &Rule, pid: Pid, reason: ExitReason, killed: bool) -> Option<Report> {
    let id = rule.id.clone();
    match (&reason, rule.shutdown) {
        (ExitReason::Killed, Shutdown::BrutalKill) => None,
        (ExitReason::Killed, Shutdown::Timeout(limit)) if killed => Some(Report::ShutdownTimeout { id, pid, limit }),
        (ExitReason::Shutdown, Shutdown::Timeout(_) | Shutdown::Infinity) => None,
        (other, _) if other.is_normal() && rule.restart != Restart::Permanent => None,
        _ => Some(Report::ShutdownError { id, pid, reason }),
    }
}

fn abandoned(pid: Pid) -> Event {
    Event::Exited { pid, reason: ExitReason::Killed, cause: None, dice: 0.0 }
}

/// The wait after the `failures`th failure in a row, the first being 1: doubled each time, capped, and then shortened by chance.
fn delay(backoff: &Backoff, failures: u32, dice: f32) -> Duration {
    /// A back-off of nothing would be a busy loop.
    const LEAST: Duration = Duration::from_millis(1);
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
    let full = backoff.first.saturating_mul(doubled).min(backoff.cap);
    let part = 1.0 - backoff.jitter.clamp(0.0, 1.0) * dice.clamp(0.0, 1.0);
    full.mul_f32(part).max(LEAST)
}
