//! What is asked of a supervisor at run time: start, terminate, restart and delete a child.
//!
//! Part of [`machine`](super), and as pure. The answers are OTP's.

use super::{Action, After, Answer, Child, Key, Machine, Phase, Rule, State, Token};
use crate::spec::Restart;
use std::time::Instant;

fn answer(token: Option<Token>, answer: Answer, out: &mut Vec<Action>) {
    out.extend(token.map(|token| Action::Answer { token, answer }));
}

impl Machine {
    fn ending(&self) -> bool {
        matches!(self.phase, Phase::Ending { .. } | Phase::Ended)
    }

    pub(super) fn start_child(
        &mut self,
        key: Key,
        rule: Rule,
        token: Option<Token>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let there = self.by_id.get(&rule.id).and_then(|key| self.children.get(key));
        let refusal = match there {
            _ if self.ending() => Some(Answer::Ending),
            Some(child) => Some(match child.pid() {
                Some(pid) => Answer::AlreadyStarted(pid),
                None => Answer::AlreadyPresent,
            }),
            None => None,
        };
        if let Some(refusal) = refusal {
            answer(token, refusal, out);
            out.push(Action::Forget { key });
            return;
        }
        let mut child = Child::new(rule, now);
        child.fresh = Some(token);
        self.by_id.insert(child.rule.id.clone(), key);
        self.children.insert(key, child);
        self.to_start.insert(key);
    }

    pub(super) fn terminate_child(&mut self, id: &str, token: Option<Token>, now: Instant, out: &mut Vec<Action>) {
        let Some(&key) = self.by_id.get(id) else {
            return answer(token, Answer::NotFound, out);
        };
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        match &mut child.state {
            State::Starting { .. } | State::Running { .. } => {
                child.enders.extend(token);
                answer(child.fresh.take().flatten(), Answer::Ending, out);
                self.to_stop.remove(&key);
                self.stop(key, After::Stay, now, out);
            }
            State::Stopping { after, .. } => {
                *after = After::Stay;
                child.enders.extend(token);
            }
            State::Waiting | State::Launching | State::BackingOff { .. } | State::Stopped => {
                child.state = State::Stopped;
                answer(child.fresh.take().flatten(), Answer::Ending, out);
                let forgettable = child.rule.restart == Restart::Temporary || self.flags.dynamic;
                self.to_start.remove(&key);
                self.backing_off.remove(&key);
                self.set_timer(key, None);
                if forgettable {
                    self.forget(key, Answer::Ending, out);
                }
                answer(token, Answer::Done, out);
            }
        }
    }

    pub(super) fn restart_child(&mut self, id: &str, token: Option<Token>, out: &mut Vec<Action>) {
        let Some(&key) = self.by_id.get(id) else {
            return answer(token, Answer::NotFound, out);
        };
        let ending = self.ending();
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        match child.state {
            _ if ending => answer(token, Answer::Ending, out),
            State::Stopped => {
                child.state = State::Waiting;
                child.fresh = Some(token);
                self.to_start.insert(key);
            }
            State::Waiting | State::Launching | State::BackingOff { .. } => answer(token, Answer::Restarting, out),
            State::Starting { .. } | State::Running { .. } | State::Stopping { .. } => {
                answer(token, Answer::Running, out);
            }
        }
    }

    pub(super) fn delete_child(&mut self, id: &str, token: Option<Token>, out: &mut Vec<Action>) {
        let Some(&key) = self.by_id.get(id) else {
            return answer(token, Answer::NotFound, out);
        };
        match self.children.get(&key).map(|child| &child.state) {
            Some(State::Stopped) => {
                self.forget(key, Answer::Done, out);
                answer(token, Answer::Done, out);
            }
            Some(State::Waiting | State::Launching | State::BackingOff { .. }) => {
                answer(token, Answer::Restarting, out);
            }
            Some(_) => answer(token, Answer::Running, out),
            None => {}
        }
    }
}
