//! Generic state machines: the order of events against Erlang's own `gen_statem`, and how one ends.
//!
//! `otp-25.trace` is what OTP 25 does with `scripts.txt`. Where `erl` is installed it is asked again; `STATEM_RECORD=1` writes the file anew.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
use common::*;
use std::{env, fs, path::Path, process::Command, time::Duration};
use supervisors::{MachineEvent as Event, *};

/// Does what its script says. The first two words of a rule are state and event.
struct Player {
    diary: Diary,
    rules: &'static str,
}

impl std::fmt::Debug for Player {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Player({} rules)", self.rules.lines().count())
    }
}

impl StateMachine for Player {
    type Args = (Diary, &'static str);
    type State = &'static str;
    type Call = Reply<&'static str>;
    type Cast = &'static str;
    type Info = Down;
    type Internal = &'static str;
    type Timer = &'static str;

    const STATE_ENTER: bool = true;

    async fn init((diary, rules): Self::Args, _: &MachineProcess<Self>) -> Result<Begin<Self>, ExitReason> {
        Ok(Begin::new("a", Self { diary, rules }))
    }

    async fn handle_event(
        &mut self,
        event: Event<Self>,
        state: &&'static str,
        _: &MachineProcess<Self>,
    ) -> Result<Step<Self>, ExitReason> {
        let name = match &event {
            Event::Call(_) => "call".to_string(),
            Event::Cast(name) | Event::Internal(name) => name.to_string(),
            Event::Info(down) => format!("down:{}", down.reason),
            Event::Enter => "enter".to_string(),
            Event::StateTimeout => "state_timeout".to_string(),
            Event::EventTimeout => "event_timeout".to_string(),
            Event::Timeout(name) => format!("timeout.{name}"),
        };
        self.diary.write(format!("{state}:{name}"));
        let rules = self.rules.lines().map(|rule| rule.split(' ').collect::<Vec<_>>());
        let fits = |rule: &Vec<&str>| rule[0] == *state && rule[1] == name;
        let actions: Vec<&'static str> = rules.filter(fits).flat_map(|rule| rule[2..].to_vec()).collect();
        let mut step = match actions.iter().find(|action| ["stop", "repeat", "next"].contains(&word(action).0)) {
            Some(&"stop") => Step::stop(ExitReason::Normal),
            Some(&"repeat") => Step::repeat(),
            Some(next) => Step::next(word(next).1),
            None => Step::keep(),
        };
        let mut event = Some(event);
        for action in actions {
            step = match word(action) {
                ("postpone", _) => step.postpone(event.take().expect("postponed once")),
                ("push", name) => step.next_event(Event::Internal(name)),
                ("answer", text) => match event.take() {
                    Some(Event::Call(from)) => step.reply(from, text),
                    other => panic!("{other:?} has no answer"),
                },
                ("panic", text) => panic!("{text}"),
                ("st", "cancel") => step.cancel_state_timeout(),
                ("st", wait) => step.state_timeout(time(wait)),
                ("et", wait) => step.event_timeout(time(wait)),
                (timer, "cancel") => step.cancel_timeout(&timer[2..]),
                (timer, wait) if timer.starts_with("t.") => step.timeout(&timer[2..], time(wait)),
                _ => step,
            };
        }
        Ok(step)
    }

    async fn terminate(self, reason: &ExitReason, state: &&'static str, _: &MachineProcess<Self>) {
        let reason = match reason {
            ExitReason::Panic { message, .. } => format!("panic:{message}"),
            reason => reason.to_string(),
        };
        self.diary.write(format!("{state}:terminate:{reason}"));
    }

    fn state_json(&self, state: &&'static str) -> Option<String> {
        sys::json(&(state, self.rules.len()))
    }
}

fn word(action: &'static str) -> (&'static str, &'static str) {
    action.split_once('=').unwrap_or((action, ""))
}

fn time(text: &str) -> Duration {
    let millis = if text == "never" { 3_600_000 } else { text.parse().expect("milliseconds") };
    Duration::from_millis(millis)
}

struct Stage {
    system: System,
    player: MachineAddr<Player>,
    diary: Diary,
    pid: Pid,
}

async fn stage(rules: &'static str, restart: Restart) -> Stage {
    let (player, mailbox) = Player::mailbox();
    let diary = Diary::default();
    let args = (diary.clone(), rules);
    let system = start(ChildSpec::supervisor("top_sup", move || {
        one_for_one(vec![Player::child_spec("player", &mailbox, args.clone()).restart(restart), sleeper("last")])
    }));
    let up = |node: &&Node| node.status == Status::Running;
    until(|| system.snapshot().find("top_sup/player").iter().any(up)).await;
    let pid = pid_of(&system, "top_sup/player");
    Stage { system, player, diary, pid }
}

const SCRIPTS: &str = include_str!("scripts.txt");

/// As `otp.erl` does.
fn play(script: &'static str) -> String {
    let (name, body) = script.trim().split_once('\n').expect("a name");
    let (rules, casts) = body.split_once("> ").expect("casts");
    wait(async {
        let stage = stage(rules.trim(), Restart::Temporary).await;
        let (addr, mailbox) = mailbox();
        monitor(stage.pid, &addr, |down| down);
        sys::suspend(stage.pid, LONG).await.expect("it waits");
        for cast in casts.split_whitespace() {
            stage.player.cast(cast).expect("an open mailbox");
        }
        sys::resume(stage.pid, LONG).await.expect("it waits");
        assert_eq!(mailbox.recv().await.reason, ExitReason::Normal);
        stage.system.stop(LONG).await;
        let all = stage.diary.read();
        let (events, end) = all.rsplit_once(' ').expect("more than one line");
        assert!(end.ends_with(":terminate:normal"), "{end}");
        format!("@ {name}\n{events}\n")
    })
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/statem"))
}

#[test]
fn every_script_is_played_as_by_gen_statem() {
    let ours: String = SCRIPTS.split("@ ").skip(1).map(play).collect();
    let otp = fs::read_to_string(folder().join("otp-25.trace")).expect("a recorded trace");
    assert_eq!(ours.lines().count(), 2 * SCRIPTS.matches("@ ").count());
    for (ours, otp) in ours.split("@ ").zip(otp.split("@ ")) {
        assert_eq!(ours, otp);
    }
    assert_eq!(ours, otp);
}

#[test]
fn the_recorded_trace_is_what_erlang_does_today() {
    let program = "{ok, otp, C} = compile:file(\"otp.erl\", [binary, report]), code:load_binary(otp, \"otp\", C), \
                   otp:main(\"scripts.txt\"), halt().";
    let erl = Command::new("erl").args(["+S", "1:1", "-noshell", "-eval", program]).current_dir(folder()).output();
    let Ok(output) = erl else {
        assert!(env::var_os("CI").is_none(), "CI has to ask Erlang itself: install erlang-base");
        return;
    };
    let (file, today) = (folder().join("otp-25.trace"), String::from_utf8_lossy(&output.stdout));
    if env::var_os("STATEM_RECORD").is_some() {
        fs::write(&file, &*today).expect("a writable directory");
    }
    assert_eq!(today, fs::read_to_string(file).expect("a recorded trace"));
}

#[test]
fn a_postponed_call_is_answered_in_the_state_that_can() {
    wait(async {
        let stage = stage("a call postpone\nb call answer=in-b\na go next=b", Restart::Permanent).await;
        let call = stage.player.call(LONG, |from| from);
        let go = async { stage.player.cast("go") };
        assert_eq!(futures::join!(call, go).0, Ok("in-b"));
        let state = sys::get_state(stage.pid, LONG).await;
        assert_eq!(state.as_deref(), Ok(r#"("b", Player(3 rules))"#));
        assert_eq!(sys::get_state_json(stage.pid, LONG).await.as_deref(), Ok(r#"["b",46]"#));
        stage.system.stop(LONG).await;
        assert_eq!(stage.diary.read(), "a:enter a:call a:go b:enter b:call b:terminate:shutdown");
    });
}

#[test]
fn a_panic_is_told_to_terminate_with_the_state_and_the_next_incarnation_begins_anew() {
    wait(async {
        let stage = stage("a go next=b\nb boom panic=boom\na call answer=again", Restart::Permanent).await;
        for cast in ["go", "boom"] {
            stage.player.cast(cast).expect("an open mailbox");
        }
        assert_eq!(stage.player.call(LONG, |from| from).await, Ok("again"));
        stage.system.stop(LONG).await;
        let diary = stage.diary.read();
        assert_eq!(diary, "a:enter a:go b:enter b:boom b:terminate:panic:boom a:enter a:call a:terminate:shutdown");
    });
}

#[test]
fn an_enter_event_that_changes_the_state_ends_the_machine() {
    for bad in ["a enter next=b", "a enter push=x"] {
        wait(async {
            let (player, mailbox) = Player::mailbox();
            let diary = Diary::default();
            let args = (diary.clone(), bad);
            let spec = Player::child_spec("player", &mailbox, args).restart(Restart::Temporary);
            let system = start(ChildSpec::supervisor("top_sup", move || one_for_one(vec![spec.clone()])));
            until(|| diary.lines() == 2).await;
            assert!(diary.read().contains("a:terminate:error: bad_state_enter"));
            drop(player);
            system.stop(LONG).await;
        });
    }
}

#[test]
fn a_monitor_tells_a_machine_as_an_info() {
    wait(async {
        let stage = stage("a down:killed push=told\na told stop", Restart::Temporary).await;
        until(|| stage.system.snapshot().find("top_sup/last")[0].pid.is_some()).await;
        let last = pid_of(&stage.system, "top_sup/last");
        monitor(last, stage.player.addr(), Event::Info);
        kill(last);
        until(|| stage.diary.lines() == 4).await;
        stage.system.stop(LONG).await;
        assert_eq!(stage.diary.read(), "a:enter a:down:killed a:told a:terminate:normal");
    });
}
