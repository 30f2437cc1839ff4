//! What is asked of a supervisor at run time: start, terminate, restart and delete a child.
//!
//! Part of [`machine`](super), and as pure. The answers are OTP's.

use super::{Action, After, Answer, Child, Key, Machine, Phase, Rule, State, Token};
use crate::supervisor_ref::ChildKey;
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
        if let Err(bad) = self.check(&rule) {
            answer(token, Answer::BadSpec(bad), out);
            out.push(Action::Forget { key });
            return;
        }
        let there = self.by_id.get(&rule.id).and_then(|key| self.children.get(key));
        let refusal = match there {
            _ if self.ending() => Some(Answer::Ending),
            Some(child) => Some(match child.pid() {
                Some(pid) if !child.is_restarting() => Answer::AlreadyStarted(pid),
                _ => Answer::AlreadyPresent,
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
        self.children.insert(key, Box::new(child));
        self.to_start.insert(key);
    }

    /// Of the child with this id, or this process.
    pub(crate) fn key(&self, child: &ChildKey) -> Option<Key> {
        match child {
            ChildKey::Id(id) => self.by_id.get(&**id).copied(),
            ChildKey::Pid(pid) => self.by_pid.get(pid).copied(),
        }
    }

    /// The next incarnation follows `rule`, which has the id of a child that is known.
    pub(crate) fn replace_child(&mut self, rule: Rule) -> Result<Key, Answer> {
        self.check(&rule).map_err(Answer::BadSpec)?;
        let key = *self.by_id.get(&rule.id).ok_or(Answer::NotFound)?;
        if self.is_simple() {
            return Err(Answer::SimpleOneForOne);
        }
        if let Some(child) = self.children.get_mut(&key) {
            child.rule = rule;
        }
        Ok(key)
    }

    pub(super) fn terminate_child(
        &mut self,
        child: &ChildKey,
        token: Option<Token>,
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let Some(key) = self.key(child) else {
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
                self.to_start.remove(&key);
                self.backing_off.remove(&key);
                self.set_timer(key, None);
                if self.is_forgettable(key) {
                    self.forget(key, Answer::Ending, out);
                }
                answer(token, Answer::Done, out);
            }
        }
    }

    pub(super) fn restart_child(&mut self, id: &str, token: Option<Token>, out: &mut Vec<Action>) {
        if self.is_simple() {
            return answer(token, Answer::SimpleOneForOne, out);
        }
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
            _ if child.is_restarting() => answer(token, Answer::Restarting, out),
            _ => answer(token, Answer::Running, out),
        }
    }

    pub(super) fn delete_child(&mut self, id: &str, token: Option<Token>, out: &mut Vec<Action>) {
        if self.is_simple() {
            return answer(token, Answer::SimpleOneForOne, out);
        }
        let Some(&key) = self.by_id.get(id) else {
            return answer(token, Answer::NotFound, out);
        };
        match self.children.get(&key) {
            Some(child) if child.state == State::Stopped => {
                self.forget(key, Answer::Done, out);
                answer(token, Answer::Done, out);
            }
            Some(child) if child.is_restarting() => answer(token, Answer::Restarting, out),
            Some(_) => answer(token, Answer::Running, out),
            None => {}
        }
    }
}
