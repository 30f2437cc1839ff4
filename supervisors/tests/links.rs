//! Links and exit signals, held against what Erlang/OTP 25 answers to the same cases.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod common;
use common::*;
use supervisors::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Case {
    /// The process that it is linked to returns.
    LinkReturns,
    /// The process that it is linked to is sent a signal.
    LinkSignalled,
    /// The process that it is linked to is killed.
    LinkKilled,
    /// It is sent a signal from outside.
    Signalled,
    /// It sends itself a signal.
    SignalsItself,
    /// It links to one that has ended.
    LinksToTheDead,
    /// It sends a signal to one that has ended.
    SignalsTheDead,
    /// It took the link back before the other one returns.
    Unlinked,
}

#[derive(Clone, Debug, PartialEq)]
enum Fate {
    Alive,
    Ends(ExitReason),
    /// It goes on, and was told this by the linked process, by itself, or by the sender.
    Told(By, ExitReason),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Linked,
    Itself,
    Sender,
}

async fn play(case: Case, traps: bool, reason: ExitReason) -> Fate {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    let (told, heard) = mailbox::<ExitSignal>();
    let other = Puppet::start(&at, "other").await;
    let it = Puppet::start(&at, "it").await;
    let (other_pid, it_pid) = (other.pid, it.pid);
    if traps {
        it.does(move |process| process.trap_exits(&told, |signal| signal)).await;
    }
    let ending = if reason == ExitReason::Normal { Ok(()) } else { Err(reason.clone()) };
    if matches!(case, Case::LinkReturns | Case::LinkSignalled | Case::LinkKilled | Case::Unlinked) {
        it.does(move |process| process.link(other_pid)).await;
    }
    match case {
        Case::LinkReturns => other.ends(ending, &at).await,
        Case::LinkSignalled => {
            exit(other.pid, reason);
            if other.fate().await.is_some() {
                gone(&at, other.pid).await;
            }
        }
        Case::LinkKilled => {
            kill(other.pid);
            gone(&at, other.pid).await;
        }
        Case::Signalled => exit(it.pid, reason),
        Case::SignalsItself => it.does(move |process| exit(process.pid(), reason)).await,
        Case::LinksToTheDead => {
            other.ends(Ok(()), &at).await;
            it.does(move |process| process.link(other_pid)).await;
        }
        Case::SignalsTheDead => {
            other.ends(Ok(()), &at).await;
            it.does(move |_| exit(other_pid, reason)).await;
        }
        Case::Unlinked => {
            it.does(move |process| process.unlink(other_pid)).await;
            other.ends(ending, &at).await;
        }
    }
    let fate = match (it.fate().await, heard.try_recv()) {
        (Some(reason), None) => Fate::Ends(reason),
        (None, None) => Fate::Alive,
        (None, Some(ExitSignal { from, reason })) => {
            let from = match from {
                from if from == other_pid => By::Linked,
                from if from == it_pid => By::Itself,
                from => {
                    assert_eq!(from, Pid::OUTSIDE);
                    By::Sender
                }
            };
            Fate::Told(from, reason)
        }
        (Some(_), Some(_)) => panic!("it was told, and ended"),
    };
    assert_eq!(heard.try_recv(), None, "once");
    system.stop(LONG).await;
    fate
}

/// What `erl` prints for each case: what becomes of a process that does not trap exits, and of one that does.
fn erlang() -> Vec<(Case, ExitReason, Fate, Fate)> {
    use {By::*, Case::*, Fate::*};
    let (normal, shutdown) = (|| ExitReason::Normal, || ExitReason::Shutdown);
    let (oops, killed, noproc) = (|| ExitReason::error("oops"), || ExitReason::Killed, || ExitReason::NoProc);
    vec![
        (LinkReturns, normal(), Alive, Told(Linked, normal())),
        (LinkReturns, shutdown(), Ends(shutdown()), Told(Linked, shutdown())),
        (LinkReturns, oops(), Ends(oops()), Told(Linked, oops())),
        (LinkReturns, killed(), Ends(killed()), Told(Linked, killed())),
        (LinkSignalled, normal(), Alive, Alive),
        (LinkSignalled, shutdown(), Ends(shutdown()), Told(Linked, shutdown())),
        (LinkSignalled, oops(), Ends(oops()), Told(Linked, oops())),
        (LinkKilled, killed(), Ends(killed()), Told(Linked, killed())),
        (Signalled, normal(), Alive, Told(Sender, normal())),
        (Signalled, shutdown(), Ends(shutdown()), Told(Sender, shutdown())),
        (Signalled, oops(), Ends(oops()), Told(Sender, oops())),
        (Signalled, killed(), Ends(killed()), Ends(killed())),
        (SignalsItself, normal(), Ends(normal()), Told(Itself, normal())),
        (SignalsItself, shutdown(), Ends(shutdown()), Told(Itself, shutdown())),
        (SignalsItself, oops(), Ends(oops()), Told(Itself, oops())),
        (SignalsItself, killed(), Ends(killed()), Ends(killed())),
        (LinksToTheDead, normal(), Ends(noproc()), Told(Linked, noproc())),
        (SignalsTheDead, oops(), Alive, Alive),
        (SignalsTheDead, killed(), Alive, Alive),
        (Unlinked, normal(), Alive, Alive),
        (Unlinked, oops(), Alive, Alive),
        (Unlinked, killed(), Alive, Alive),
    ]
}

/// As `tests/erlang/links.escript` prints it.
fn in_words(fate: &Fate) -> String {
    let why = |reason: &ExitReason| match reason {
        ExitReason::NoProc => "noproc".to_string(),
        ExitReason::Error(text) => text.clone(),
        reason => reason.to_string(),
    };
    match fate {
        Fate::Alive => "alive".to_string(),
        Fate::Ends(reason) => format!("ends:{}", why(reason)),
        Fate::Told(by, reason) => format!("told:{}:{}", format!("{by:?}").to_lowercase(), why(reason)),
    }
}

#[test]
fn the_table_is_what_erlang_prints() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/erlang/links.escript");
    let Ok(output) = std::process::Command::new("escript").arg(script).output() else {
        assert!(std::env::var_os("CI").is_none(), "CI has to compare with Erlang itself: install erlang-base");
        eprintln!("NOT CHECKED against Erlang: there is no escript here (Debian: erlang-base)");
        return;
    };
    let theirs = String::from_utf8(output.stdout).unwrap();
    let line = |(case, reason, plain, trapping): (Case, ExitReason, Fate, Fate)| {
        let reason = in_words(&Fate::Ends(reason)).replace("ends:", "");
        format!("{case:?} {reason} {} {}\n", in_words(&plain), in_words(&trapping))
    };
    let ours: String = erlang().into_iter().map(line).collect();
    assert_eq!(theirs, ours);
}

#[test]
fn exit_signals_do_what_they_do_in_erlang() {
    for (case, reason, plain, trapping) in erlang() {
        assert_eq!(wait(play(case, false, reason.clone())), plain, "{case:?} {reason}");
        assert_eq!(wait(play(case, true, reason.clone())), trapping, "{case:?} {reason}, trapping exits");
    }
}

#[test]
fn a_supervisor_ignores_strangers_and_ends_for_its_own_supervisor() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let below = SupervisorRef::new();
        let sub = at.start_child(empty("sub", &below)).await.unwrap();
        let friend = Puppet::start(&at, "friend").await;
        friend.does(move |process| process.link(sub)).await;
        exit(sub, ExitReason::error("from a stranger"));
        exit(sub, ExitReason::Shutdown);
        friend.ends(Err(ExitReason::error("a friend")), &at).await;
        let child = Puppet::start(&below, "child").await;
        child.does(move |_| exit(sub, ExitReason::Shutdown)).await;
        assert_eq!(below.which_children().await.len(), 1);
        assert_eq!(system.snapshot().restarts(), 0);
        // Nobody stands above the root but who started it.
        exit(system.root(), ExitReason::error("enough"));
        assert_eq!(system.wait().await, ExitReason::error("enough"));
    });
}

#[test]
fn who_traps_exits_by_its_spec_hears_its_supervisor_only() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let (told, heard) = mailbox();
        let it = ChildSpec::worker("it", move |process| {
            let told = told.clone();
            async move {
                process.shutdown_requested().await;
                told.cast("asked").unwrap();
                Ok(())
            }
        });
        let pid = at.start_child(it.trap_exit().restart(Restart::Temporary)).await.unwrap();
        let friend = Puppet::start(&at, "friend").await;
        friend.does(move |process| process.link(pid)).await;
        exit(pid, ExitReason::Shutdown);
        friend.ends(Err(ExitReason::error("a friend")), &at).await;
        assert_eq!(at.which_children().await.len(), 1);
        assert_eq!(heard.try_recv(), None);
        let (addr, downs) = mailbox();
        monitor(pid, &addr, |down| down.reason);
        assert_eq!(at.terminate_child("it").await, Ok(()));
        assert_eq!((heard.recv().await, downs.recv().await), ("asked", ExitReason::Shutdown));
        system.stop(LONG).await;
    });
}

#[test]
fn the_signal_of_the_supervisor_is_trapped_as_any_other_and_asks_for_the_end_too() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let (told, heard) = mailbox();
        let it = ChildSpec::worker("it", move |process| {
            let told = told.clone();
            async move {
                process.trap_exits(&told, |signal| signal);
                process.ready();
                process.shutdown_requested().await;
                Ok(())
            }
        });
        at.start_child(it.awaits_init()).await.unwrap();
        assert_eq!(at.terminate_child("it").await, Ok(()));
        let signal = ExitSignal { from: system.root(), reason: ExitReason::Shutdown };
        assert_eq!(heard.recv().await, signal);
        assert_eq!(heard.try_recv(), None);
        system.stop(LONG).await;
    });
}

/// Blocks for ever; says what it returned from.
fn thread(id: &str, traps: Option<Addr<ExitSignal>>) -> ChildSpec {
    let (_, silent) = mailbox::<()>();
    let spec = ChildSpec::blocking(id, move |process| {
        if let Some(told) = &traps {
            process.trap_exits(told, |signal| signal);
        }
        process.ready();
        process.recv(&silent)
    });
    spec.awaits_init().restart(Restart::Temporary)
}

#[test]
fn blocking_processes_are_linked_as_all_others() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let (told, heard) = mailbox();
        let plain = at.start_child(thread("plain", None)).await.unwrap();
        let trapping = at.start_child(thread("trapping", Some(told))).await.unwrap();
        let (a, b) = (Puppet::start(&at, "a").await, Puppet::start(&at, "b").await);
        let (addr, downs) = mailbox();
        monitor(plain, &addr, |down| down.reason);
        a.does(move |process| {
            process.link(plain);
            process.link(trapping);
        })
        .await;
        exit(plain, ExitReason::Normal);
        let (first, oops) = (a.pid, ExitReason::error("oops"));
        a.ends(Err(oops.clone()), &at).await;
        assert_eq!(downs.recv().await, oops);
        assert_eq!(heard.recv().await, ExitSignal { from: first, reason: oops });
        b.does(move |process| process.link(trapping)).await;
        kill(trapping);
        gone(&at, trapping).await;
        assert_eq!(b.fate().await, Some(ExitReason::Killed));
        system.stop(LONG).await;
    });
}

const MANY: usize = 10_000;

/// All are linked to the one before it.
async fn crowd(at: &SupervisorRef, chain: bool) -> Vec<Pid> {
    let mut pids: Vec<Pid> = Vec::with_capacity(MANY);
    for n in 0..MANY {
        let pid = at.start_child(sleeper(&n.to_string()).restart(Restart::Temporary)).await.unwrap();
        if let Some(&to) = if chain { pids.last() } else { pids.first() } {
            link(pid, to);
        }
        pids.push(pid);
    }
    pids
}

#[test]
fn ten_thousand_linked_processes_in_a_chain_or_a_star_die_together() {
    for (chain, first) in [(true, 0), (true, MANY / 2), (false, 0), (false, MANY - 1)] {
        let at = SupervisorRef::new();
        let system = start(empty("top", &at));
        wait(async {
            let pids = crowd(&at, chain).await;
            let (addr, downs) = mailbox();
            for &pid in &pids {
                monitor(pid, &addr, |down| down.reason);
            }
            let bug = ExitReason::error("a bug");
            exit(pids[first], bug.clone());
            for _ in 0..MANY {
                assert_eq!(downs.recv().await, bug);
            }
            system.stop(LONG).await;
        });
    }
}

#[test]
fn a_snapshot_shows_links_and_monitors_and_they_vanish_with_either_end() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let (a, b, c) = (Puppet::start(&at, "a").await, Puppet::start(&at, "b").await, Puppet::start(&at, "c").await);
        let ties = |path: &str| {
            let snapshot = system.snapshot();
            let node = snapshot.find(path)[0];
            (node.links.clone(), node.monitors.clone())
        };
        let (a_pid, b_pid, c_pid) = (a.pid, b.pid, c.pid);
        let (addr, downs) = mailbox::<Down>();
        a.does(move |process| {
            process.link(b_pid);
            process.link(b_pid);
            process.link(process.pid());
            process.monitor(b_pid, &addr, |down| down);
            process.monitor(c_pid, &addr, |down| down);
            demonitor(process.monitor(c_pid, &addr, |down| down));
        })
        .await;
        link(c_pid, b_pid);
        assert_eq!(ties("top/a"), (vec![b_pid], vec![b_pid, c_pid]));
        assert_eq!(ties("top/b"), (vec![a_pid, c_pid], vec![]));
        c.ends(Ok(()), &at).await;
        assert_eq!(downs.recv().await, Down { pid: c_pid, reason: ExitReason::Normal });
        assert_eq!(ties("top/a"), (vec![b_pid], vec![b_pid]));
        assert_eq!(ties("top/b"), (vec![a_pid], vec![]));
        a.ends(Ok(()), &at).await;
        assert_eq!(ties("top/b"), (vec![], vec![]));
        b.ends(Ok(()), &at).await;
        assert_eq!(downs.try_recv(), None, "its owner had ended");
        system.stop(LONG).await;
    });
}

#[test]
fn polls_and_the_time_they_take_are_counted() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let it = Puppet::start(&at, "it").await;
        let polls = || {
            let snapshot = system.snapshot();
            let node = snapshot.find("top/it")[0];
            (node.polls, node.busy)
        };
        let slow = std::time::Duration::from_millis(20);
        until(|| polls().0 > 0).await;
        it.does(move |_| std::thread::sleep(slow)).await;
        until(|| polls().1 >= slow).await;
        system.stop(LONG).await;
    });
}
