//! The supervisor process: feeds the [`machine`](crate::machine) with events and performs its actions.
//!
//! Decides nothing itself. It waits for one thing only, the next event, so it answers whatever its children are doing.

use crate::{
    crew::{Crew, Member},
    events,
    machine::{Action, Answer, Event, Key, Machine, Report, Token},
    panics,
    pid::Pid,
    process::{Guarded, launch},
    reason::{Exit, ExitReason},
    reports, rt,
    spec::{BadSpec, ChildSpec, Strategy, SupervisorInit},
    supervisor_ref::{ChildAnswer, ChildError, ChildKey, Request, StartAnswer, StartError, SupervisorRef},
    table::{self, Entry, Notice},
};
use flume::r#async::RecvStream;
use futures::{FutureExt, Stream, future::BoxFuture};
use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Instant,
};

/// Events in a row before others on this thread get their turn.
const TURN: u32 = 64;

/// The life of one incarnation of a supervisor. However its driver ends, its children end before its exit is reported.
pub(crate) async fn run(entry: Arc<Entry>, init: SupervisorInit, at: Option<SupervisorRef>) {
    let crew = entry.crew.clone().unwrap_or_default();
    let at = at.unwrap_or_default();
    crew.set_at(&at);
    let body = {
        let (entry, crew, at) = (entry.clone(), crew.clone(), at.clone());
        move || drive(entry, crew, init, at).boxed()
    };
    let reason = Guarded::new(entry.clone(), body).await;
    at.close();
    let ending = AssertUnwindSafe(crew.end_all(&entry));
    if ending.catch_unwind().await.is_err() {
        log::error!(target: "sasl", "{} {} could not end its children", entry.path, entry.pid);
    }
    reports::process_ended(&entry, &reason);
    entry.finish(reason);
}

async fn drive(entry: Arc<Entry>, crew: Arc<Crew>, init: SupervisorInit, at: SupervisorRef) -> Exit {
    let Some(spec) = init() else {
        return Ok(());
    };
    let bad = |bad: BadSpec| ExitReason::Error(format!("bad child spec: {bad}"));
    if spec.flags.strategy == Strategy::SimpleOneForOne && !spec.children.is_empty() {
        return Err(bad(BadSpec::NotEmpty));
    }
    let rules = spec.children.iter().map(|child| child.rule.clone());
    let machine = Machine::new(spec.flags, rules.collect(), rt::now()).map_err(bad)?;
    let next_key = spec.children.len() as Key;
    {
        let mut inside = crew.inside();
        inside.given = next_key;
        inside.specs = (0..).zip(spec.children).collect();
        inside.machine = Some(machine);
    }
    let (tx, rx) = flume::unbounded();
    let requests = at.open(entry.pid).into_stream();
    let mut driver = Driver {
        entry,
        crew,
        tx,
        notices: rx.into_stream(),
        requests,
        callers: HashMap::new(),
        next_key,
        next_token: 0,
        told_to_end: false,
        timer: None,
        turn: 0,
        exit: None,
    };
    driver.on_event(Event::Begin);
    loop {
        if let Some(reason) = driver.exit.take() {
            return Err(reason);
        }
        let event = poll_fn(|cx| driver.poll_event(cx)).await;
        driver.on_event(event);
    }
}

fn done(answer: Answer) -> Result<(), ChildError> {
    match answer {
        Answer::NotFound => Err(ChildError::NotFound),
        Answer::Running => Err(ChildError::Running),
        Answer::Restarting => Err(ChildError::Restarting),
        Answer::SimpleOneForOne => Err(ChildError::SimpleOneForOne),
        Answer::BadSpec(bad) => Err(ChildError::BadSpec(bad)),
        Answer::Ending => Err(ChildError::NoSupervisor),
        _ => Ok(()),
    }
}

/// Who waits for an answer.
enum Caller {
    Start(StartAnswer),
    Child(ChildAnswer),
}

struct Driver {
    entry: Arc<Entry>,
    crew: Arc<Crew>,
    tx: flume::Sender<Notice>,
    notices: RecvStream<'static, Notice>,
    requests: RecvStream<'static, Request>,
    callers: HashMap<Token, Caller>,
    next_key: Key,
    next_token: Token,
    told_to_end: bool,
    timer: Option<(Instant, BoxFuture<'static, ()>)>,
    turn: u32,
    exit: Option<ExitReason>,
}

impl Driver {
    fn on_event(&mut self, event: Event) {
        let mut todo = VecDeque::from(self.decide(event));
        while let Some(action) = todo.pop_front() {
            todo.extend(self.perform(action));
        }
    }

    fn decide(&self, event: Event) -> Vec<Action> {
        let mut inside = self.crew.inside();
        if let Event::Exited { pid, .. } = &event {
            inside.members.remove(pid);
        }
        match &mut inside.machine {
            Some(machine) => machine.on_event(event, rt::now()),
            None => Vec::new(),
        }
    }

    /// Returns what has to be done because of it.
    fn perform(&mut self, action: Action) -> Vec<Action> {
        match action {
            Action::Start { key, incarnation } => return self.start(key, incarnation).unwrap_or_default(),
            Action::Stop { pid } => {
                if let Some(entry) = table::find(pid) {
                    entry.exit(ExitReason::Shutdown);
                }
            }
            Action::Kill { pid } => {
                if let Some(entry) = table::find(pid) {
                    entry.kill();
                }
            }
            Action::Abandon { pid } => drop(self.crew.inside().members.remove(&pid)),
            Action::Forget { key } => {
                let spec = self.crew.inside().specs.remove(&key);
                panics::discard(spec);
            }
            Action::Answer { token, answer } => self.answer(token, answer),
            Action::Progress { key, pid } => self.progress(key, pid),
            Action::Ready => self.entry.ready(),
            Action::Report(report) => self.report(&report),
            Action::Exit { reason, cause } => {
                self.entry.set_cause(cause);
                self.exit = Some(reason);
            }
        }
        Vec::new()
    }

    /// The machine knows the process before it runs.
    fn start(&self, key: Key, incarnation: u64) -> Option<Vec<Action>> {
        let spec = self.crew.inside().specs.get(&key)?.clone();
        let (parent, to_parent) = (self.entry.clone(), self.tx.clone());
        let entry = Entry::new(&spec, incarnation, Some(parent), Some(to_parent));
        let (pid, shutdown) = (entry.pid, spec.rule.shutdown);
        let member = Member { key, entry: entry.clone(), shutdown };
        self.crew.inside().members.insert(pid, member);
        let todo = self.decide(Event::Spawned { key, pid });
        let again = u64::from(incarnation > 0);
        self.entry.tree_restarts.fetch_add(again, Ordering::Relaxed);
        events::started(&entry);
        launch(entry, spec.start);
        Some(todo)
    }

    fn progress(&self, key: Key, pid: Pid) {
        if !reports::progress_is_heard() {
            return;
        }
        let inside = self.crew.inside();
        let up = inside.specs.get(&key).zip(inside.members.get(&pid));
        let up = up.map(|(spec, member)| (spec.rule.clone(), member.entry.clone()));
        drop(inside);
        if let Some((rule, entry)) = up {
            reports::progress(&self.entry, &entry, &rule);
        }
    }

    fn report(&self, report: &Report) {
        reports::supervisor(&self.entry, report, || self.crew.rule_of(report));
        match report {
            Report::Restarting { key, pid, after, .. } => {
                let spec = self.crew.inside().specs.get(key).cloned();
                if let Some(spec) = spec {
                    let incarnation = self.crew.incarnation(*key);
                    events::restarting(&self.entry, &spec, *pid, incarnation, *after);
                }
            }
            Report::GaveUp { id, reason } => {
                let over = self.crew.rule(id).map(|rule| rule.kind);
                events::gave_up(&self.entry, id, over, reason);
            }
            _ => {}
        }
    }

    fn answer(&mut self, token: Token, answer: Answer) {
        match self.callers.remove(&token) {
            // A caller that no longer waits is nobody's loss.
            Some(Caller::Start(caller)) => drop(caller.send(match answer {
                Answer::Started(pid) => Ok(pid),
                Answer::AlreadyStarted(pid) => Err(StartError::AlreadyStarted(pid)),
                Answer::Failed(reason) => Err(StartError::Failed(reason)),
                Answer::Ignored => Err(StartError::Ignored),
                Answer::BadSpec(bad) => Err(StartError::BadSpec(bad)),
                Answer::NotFound => Err(StartError::NotFound),
                Answer::Running => Err(StartError::Running),
                Answer::Restarting => Err(StartError::Restarting),
                Answer::SimpleOneForOne => Err(StartError::SimpleOneForOne),
                Answer::Ending => Err(StartError::NoSupervisor),
                Answer::AlreadyPresent | Answer::Done => Err(StartError::AlreadyPresent),
            })),
            Some(Caller::Child(caller)) => drop(caller.send(done(answer))),
            None => {}
        }
    }

    fn replace(&self, spec: ChildSpec) -> Result<(), Answer> {
        let old = {
            let mut inside = self.crew.inside();
            let key = inside.machine.as_mut().ok_or(Answer::Ending)?.replace_child(spec.rule.clone())?;
            inside.specs.insert(key, spec)
        };
        panics::discard(old);
        Ok(())
    }

    fn token(&mut self, caller: Caller) -> Token {
        self.next_token += 1;
        self.callers.insert(self.next_token, caller);
        self.next_token
    }

    /// The event that a request is; `None`: it has been answered.
    fn on_request(&mut self, request: Request) -> Option<Event> {
        match request {
            Request::Start(spec, caller) => {
                let key = self.next_key;
                self.next_key += 1;
                let rule = spec.rule.clone();
                self.crew.inside().specs.insert(key, spec);
                let token = caller.map(|caller| self.token(Caller::Start(caller)));
                Some(Event::StartChild { key, rule, token })
            }
            Request::Restart(id, caller) => {
                let token = Some(self.token(Caller::Start(caller)));
                Some(Event::RestartChild { id, token })
            }
            // OTP: well, it does not run.
            Request::Terminate(ChildKey::Pid(pid), Some(caller))
                if self.crew.is_simple() && table::find(pid).is_none() =>
            {
                caller.send(Ok(())).ok();
                None
            }
            Request::Terminate(child, caller) => {
                let token = caller.map(|caller| self.token(Caller::Child(caller)));
                Some(Event::TerminateChild { child, token })
            }
            Request::Delete(id, caller) => {
                let token = Some(self.token(Caller::Child(caller)));
                Some(Event::DeleteChild { id, token })
            }
            Request::Replace(spec, caller) => {
                caller.send(self.replace(spec).map_or_else(done, Ok)).ok();
                None
            }
            Request::Count(caller) => {
                caller.send(self.crew.count()).ok();
                None
            }
            Request::Spec(child, caller) => {
                caller.send(self.crew.spec(&child)).ok();
                None
            }
            Request::Which(caller) => {
                caller.send(self.crew.which(rt::now())).ok();
                None
            }
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        self.turn += 1;
        if self.turn >= TURN {
            self.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.told_to_end && self.entry.is_told_to_end() {
            self.told_to_end = true;
            // A kill that comes while we are being polled is seen here first.
            let reason = if self.entry.is_killed() { ExitReason::Killed } else { self.entry.exit_reason() };
            return Poll::Ready(Event::Shutdown { reason });
        }
        if let Poll::Ready(Some(notice)) = Pin::new(&mut self.notices).poll_next(cx) {
            return Poll::Ready(match notice {
                Notice::Ready { pid } => Event::Ready { pid },
                Notice::Exited { pid, reason, cause } => {
                    let dice = rt::dice();
                    Event::Exited { pid, reason, cause, dice }
                }
            });
        }
        while let Poll::Ready(Some(request)) = Pin::new(&mut self.requests).poll_next(cx) {
            if let Some(event) = self.on_request(request) {
                return Poll::Ready(event);
            }
        }
        if self.poll_timer(cx).is_ready() {
            return Poll::Ready(Event::Tick);
        }
        self.turn = 0;
        Poll::Pending
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let machine_wants = self.crew.inside().machine.as_ref().and_then(Machine::deadline);
        let Some(at) = machine_wants else {
            self.timer = None;
            return Poll::Pending;
        };
        let now = rt::now();
        if at <= now {
            self.timer = None;
            return Poll::Ready(());
        }
        let timer = match &mut self.timer {
            Some((due, timer)) if *due == at => timer,
            other => &mut other.insert((at, rt::sleep(at - now).boxed())).1,
        };
        timer.as_mut().poll(cx)
    }
}
