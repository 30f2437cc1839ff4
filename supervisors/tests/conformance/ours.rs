//! Plays scripts with this crate's public API and writes what happened, as otp.erl does with Erlang's supervisor.

use crate::{
    script::{Init, Node, Script, Step},
    stage::{Stage, reason, to_reason},
    trace::{Happening, Trace},
};
use futures::FutureExt;
use std::{collections::HashMap, sync::Arc, task::Poll, time::Duration};
use supervisors::*;

/// For one script; reached only by a failure.
const LONG: Duration = Duration::from_secs(30);

pub(crate) fn play(script: &Script) -> Trace {
    let stage = Stage::enter();
    let mut player = Player { stage: stage.clone(), script, refs: HashMap::new(), system: None };
    async_std::task::block_on(async {
        if async_std::future::timeout(LONG, player.play()).await.is_err() {
            stage.note(Happening::Failed("TIMEOUT".into()));
        }
        if let Some(system) = player.system {
            system.stop(Duration::ZERO).await;
        }
    });
    stage.leave()
}

struct Player<'a> {
    stage: Arc<Stage>,
    script: &'a Script,
    refs: HashMap<String, SupervisorRef>,
    system: Option<System>,
}

impl Player<'_> {
    async fn play(&mut self) {
        self.stage.note(Happening::Step("start".into()));
        let system = self.start();
        self.system = Some(system.clone());
        self.settle(&system).await;
        let answer = match system.wait().now_or_never() {
            None => "ok pid".to_string(),
            Some(why) => format!("error failed {}", reason(&why)),
        };
        self.stage.note(Happening::Answered(answer));
        for step in &self.script.steps {
            self.stage.note(Happening::Step(step.to_string()));
            let answer = self.perform(step).await;
            self.settle(&system).await;
            if let Some(answer) = answer {
                self.stage.note(Happening::Answered(answer));
            }
        }
        self.stage.note(Happening::Step("stop".into()));
        let answer = system.wait().now_or_never().map(|_| Happening::Answered("noproc".into()));
        system.stop(LONG).await;
        self.stage.pump();
        answer.into_iter().for_each(|answer| self.stage.note(answer));
    }

    fn start(&mut self) -> System {
        let root = self.supervisor(&self.script.tree);
        let system = start(root);
        self.stage.watch(&system);
        system
    }

    fn spec(&mut self, node: &Node) -> ChildSpec {
        let spec = match node.strategy() {
            Some(_) => self.supervisor(node),
            None => self.stage.worker(node),
        };
        let restart = [("transient", Restart::Transient), ("temporary", Restart::Temporary)];
        let found = restart.into_iter().find(|(word, _)| node.has(word));
        let spec = found.into_iter().fold(spec, |spec, (_, restart)| spec.restart(restart));
        let spec = if node.has("significant") { spec.significant() } else { spec };
        let shutdown = match node.value("shutdown") {
            Some(millis) => Some(Shutdown::Timeout(Duration::from_millis(millis.parse().expect("a number")))),
            None if node.has("brutal_kill") => Some(Shutdown::BrutalKill),
            None => node.has("infinity").then_some(Shutdown::Infinity),
        };
        shutdown.into_iter().fold(spec, ChildSpec::shutdown)
    }

    /// A simple one starts empty: its template comes with each instance.
    fn supervisor(&mut self, node: &Node) -> ChildSpec {
        let at = self.refs.entry(node.name.clone()).or_default().clone();
        let children = node.children.iter().filter(|child| !child.has("template"));
        let children: Vec<ChildSpec> = children.map(|child| self.spec(child)).collect();
        let (stage, flags, node) = (self.stage.clone(), flags(node), node.clone());
        ChildSpec::supervisor_at(node.name.clone(), at, move || {
            stage.init(&node).then(|| SupervisorSpec { flags, children: children.clone() })
        })
    }

    async fn perform(&mut self, step: &Step) -> Option<String> {
        let stage = self.stage.clone();
        match step {
            Step::Exit { name, reason } => {
                let Some(pid) = self.stage.pid(name) else { return Some("noproc".into()) };
                self.stage.order(pid, reason);
                self.ended(pid).await;
                None
            }
            Step::Signal { name, reason } => {
                let Some(pid) = self.stage.pid(name) else { return Some("noproc".into()) };
                exit(pid, to_reason(reason));
                None
            }
            Step::During { name, reason, call } => {
                let pid = self.stage.pid(name).expect("a live worker");
                let at = self.script.parents().get(name.as_str()).map(|sup| self.refs[*sup].clone());
                self.stage.plan(name, Init::Hold, 1);
                self.stage.order(pid, reason);
                self.until(|| self.stage.is_held(name)).await;
                let mut answer = self.perform(call).boxed_local();
                let early = futures::poll!(&mut answer);
                // Requests are taken in their order: the call is, when this one is answered.
                if let Some(at) = at {
                    at.which_children().await;
                }
                stage.release(name);
                match early {
                    Poll::Ready(answer) => answer,
                    Poll::Pending => answer.await,
                }
            }
            Step::Kill { name } => {
                let Some(pid) = self.stage.pid(name) else { return Some("noproc".into()) };
                kill(pid);
                self.ended(pid).await;
                None
            }
            Step::Plan { name, what, times } => {
                self.stage.plan(name, *what, *times);
                None
            }
            Step::StartChild { sup, .. }
            | Step::StartInstance { sup, .. }
            | Step::Child { sup, .. }
            | Step::WhichChildren { sup }
            | Step::CountChildren { sup } => match self.stage.pid(sup) {
                Some(_) => Some(self.call(step, &self.refs[sup].clone()).await),
                None => Some("exit noproc".into()),
            },
        }
    }

    async fn call(&mut self, step: &Step, at: &SupervisorRef) -> String {
        match step {
            Step::StartChild { node, .. } => {
                let spec = self.spec(node);
                started(at.start_child(spec).await)
            }
            Step::StartInstance { sup, name } => {
                let all = self.script.tree.all();
                let pool = all.into_iter().find(|node| node.name == *sup).expect("such a supervisor");
                let spec = self.spec(&Node { name: name.clone(), ..pool.children[0].clone() });
                started(at.start_child(spec).await)
            }
            Step::Child { call, sup, name } => {
                let key = self.key(sup, name);
                match call.as_str() {
                    "terminate_child" => done(at.terminate_child(key).await),
                    "delete_child" => done(at.delete_child(name).await),
                    "restart_child" => started(at.restart_child(name).await),
                    _ => at.get_childspec(key).await.map_or_else(|refusal| done(Err(refusal)), |spec| described(&spec)),
                }
            }
            Step::WhichChildren { sup } => {
                let line = |child: ChildInfo| {
                    let kind = if child.kind == Kind::Supervisor { "supervisor" } else { "worker" };
                    let status = match child.status {
                        Status::Running => "running",
                        Status::Stopped => "undefined",
                        _ => "restarting",
                    };
                    format!("{} {status} {kind}", child.id)
                };
                let mut lines: Vec<String> = at.which_children().await.into_iter().map(line).collect();
                if self.script.is_simple(sup) {
                    lines.sort_unstable();
                }
                lines.join(", ")
            }
            Step::CountChildren { .. } => {
                let ChildCount { specs, active, supervisors, workers } = at.count_children().await;
                format!("specs {specs} active {active} supervisors {supervisors} workers {workers}")
            }
            other => panic!("not a call: {other}"),
        }
    }

    /// The children of a simple supervisor are known by their pids.
    fn key(&self, sup: &str, name: &str) -> ChildKey {
        match self.stage.last_pid(name).filter(|_| self.script.is_simple(sup)) {
            Some(pid) => pid.into(),
            None => name.into(),
        }
    }

    async fn ended(&self, pid: Pid) {
        self.until(|| {
            self.stage.pump();
            !self.stage.lives(pid)
        })
        .await;
    }

    /// Until everything runs or does not, as far as anyone knows, and stays so while every supervisor answers.
    async fn settle(&self, system: &System) {
        let mut calm = None;
        loop {
            self.until(|| self.stage.agrees_with(&system.snapshot())).await;
            let mut all_answer = true;
            for (name, at) in &self.refs {
                if self.stage.pid(name).is_some() {
                    all_answer &= at.terminate_child("nobody").await == Err(ChildError::NotFound);
                }
            }
            self.stage.pump();
            let now = self.stage.count();
            if all_answer && calm == Some(now) && self.stage.agrees_with(&system.snapshot()) {
                return;
            }
            calm = Some(now);
        }
    }

    /// For what has no event.
    async fn until(&self, condition: impl Fn() -> bool) {
        while !condition() {
            async_std::task::sleep(Duration::from_micros(200)).await;
        }
    }
}

fn flags(node: &Node) -> Flags {
    let flags = match node.strategy() {
        Some("one_for_all") => Flags::one_for_all(),
        Some("rest_for_one") => Flags::rest_for_one(),
        Some("simple_one_for_one") => Flags::simple_one_for_one(),
        _ => Flags::one_for_one(),
    };
    let flags = match node.value("auto_shutdown") {
        Some("any_significant") => flags.auto_shutdown(AutoShutdown::AnySignificant),
        Some("all_significant") => flags.auto_shutdown(AutoShutdown::AllSignificant),
        _ => flags,
    };
    let Some((intensity, period)) = node.value("intensity").and_then(|limit| limit.split_once('/')) else {
        return flags;
    };
    let period = Duration::from_secs(period.parse().expect("a number"));
    flags.intensity(intensity.parse().expect("a number"), period)
}

fn started(answer: Result<Pid, StartError>) -> String {
    match answer {
        Ok(_) => "ok pid".into(),
        Err(StartError::Ignored) => "ok undefined".into(),
        Err(StartError::AlreadyStarted(_)) => "error already_started".into(),
        Err(StartError::AlreadyPresent) => "error already_present".into(),
        Err(StartError::NotFound) => "error not_found".into(),
        Err(StartError::Running) => "error running".into(),
        Err(StartError::Restarting) => "error restarting".into(),
        Err(StartError::SimpleOneForOne) => "error simple_one_for_one".into(),
        Err(StartError::Failed(why)) => format!("error failed {}", reason(&why)),
        Err(StartError::BadSpec(_)) => "error failed bad_spec".into(),
        Err(StartError::NoSupervisor) => "exit noproc".into(),
    }
}

fn done(answer: Result<(), ChildError>) -> String {
    match answer {
        Ok(()) => "ok".into(),
        Err(ChildError::NotFound) => "error not_found".into(),
        Err(ChildError::Running) => "error running".into(),
        Err(ChildError::Restarting) => "error restarting".into(),
        Err(ChildError::SimpleOneForOne) => "error simple_one_for_one".into(),
        Err(ChildError::BadSpec(_)) => "error failed bad_spec".into(),
        Err(ChildError::NoSupervisor) => "exit noproc".into(),
    }
}

fn described(spec: &SpecInfo) -> String {
    let shutdown = match spec.shutdown {
        Shutdown::BrutalKill => "brutal_kill".into(),
        Shutdown::Timeout(limit) => limit.as_millis().to_string(),
        Shutdown::Infinity => "infinity".into(),
    };
    let kind = if spec.kind == Kind::Supervisor { "supervisor" } else { "worker" };
    let restart = format!("{:?}", spec.restart).to_lowercase();
    format!("{} {restart} {shutdown} {kind} significant={}", spec.id, spec.significant)
}
