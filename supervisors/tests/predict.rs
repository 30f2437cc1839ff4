//! What a prediction says, tree by tree.

#![allow(clippy::unwrap_used)]

mod common;
use common::*;
use serde_json::Value;
use std::time::Duration;
use supervisors::*;

const HOUR: Duration = Duration::from_secs(3600);

fn sup(id: &str, flags: Flags, children: impl Fn() -> Vec<ChildSpec> + Send + Sync + 'static) -> ChildSpec {
    ChildSpec::supervisor(id, move || SupervisorSpec { flags, children: children() })
}

fn bug() -> ExitReason {
    ExitReason::error("a bug")
}

fn up(snapshot: &Snapshot) -> bool {
    snapshot.nodes().all(|node| node.status == Status::Running)
}

/// A snapshot when everyone is up.
fn seen(root: ChildSpec) -> Snapshot {
    let system = start(root);
    wait(async {
        until(|| up(&system.snapshot())).await;
        let snapshot = system.snapshot();
        system.stop(LONG).await;
        snapshot
    })
}

fn paths<'a>(all: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    all.into_iter().map(String::as_str).collect()
}

fn dies(prediction: &Prediction) -> Vec<&str> {
    paths(prediction.dies.iter().map(|dying| &dying.path))
}

fn restarted(prediction: &Prediction) -> Vec<&str> {
    paths(prediction.restarted.iter().map(|restarted| &restarted.path))
}

/// A file store, a client that needs it, peers that need both.
fn crew() -> ChildSpec {
    let flags = Flags::rest_for_one().intensity(1, Duration::from_secs(5));
    sup("top_sup", flags, || {
        let peers = Flags::one_for_one().intensity(0, Duration::from_secs(5));
        let peer = |n| sleeper(&format!("peer {n}"));
        vec![sleeper("store"), sleeper("client"), sup("peers_sup", peers, move || vec![peer(1), peer(2)])]
    })
}

#[test]
fn in_rest_for_one_the_elder_survive_and_the_younger_are_started_again() {
    let prediction = predict(&seen(crew()), "top_sup/client", bug()).unwrap();
    let younger = ["top_sup/client", "top_sup/peers_sup", "top_sup/peers_sup/peer 1", "top_sup/peers_sup/peer 2"];
    assert_eq!(restarted(&prediction), younger);
    assert_eq!(
        dies(&prediction),
        ["top_sup/client", "top_sup/peers_sup/peer 2", "top_sup/peers_sup/peer 1", "top_sup/peers_sup"]
    );
    assert_eq!(paths(prediction.survives.iter().map(|surviving| &surviving.path)), ["top_sup", "top_sup/store"]);
    assert_eq!((prediction.root_ends, prediction.gives_up), (None, vec![]));
}

#[test]
fn who_has_no_budget_left_gives_up_and_the_next_one_up_hears_of_it() {
    let snapshot = seen(crew());
    let prediction = predict(&snapshot, "top_sup/peers_sup/peer 1", bug()).unwrap();
    let gives_up: Vec<_> = prediction.gives_up.iter().map(|g| (g.path.as_str(), g.over.as_str())).collect();
    assert_eq!(gives_up, [("top_sup/peers_sup", "top_sup/peers_sup/peer 1")]);
    assert_eq!(prediction.escalates_to.as_deref(), Some("top_sup"));
    let spent: Vec<_> = prediction.budgets.iter().map(|s| (s.path.as_str(), s.before.used, s.used)).collect();
    assert_eq!(spent, [("top_sup/peers_sup", 0, 1), ("top_sup", 0, 1)]);
    assert!(!prediction.kills("top_sup/client") && prediction.restarts("top_sup/peers_sup/peer 2"));
    let pid = |path: &str| snapshot.find(path)[0].pid.unwrap();
    let text = format!(
        "If top_sup/peers_sup/peer 1 {} exits with \"error: a bug\":
  top_sup/peers_sup/peer 2 and top_sup/peers_sup end with it; 3 survive
  top_sup/peers_sup has had 1 of 0 restarts in 5 s: one too many
  top_sup has had 1 of 1 restarts in 5 s
  top_sup/peers_sup gives up over top_sup/peers_sup/peer 1; top_sup decides
  started again at once: top_sup/peers_sup, top_sup/peers_sup/peer 1 and top_sup/peers_sup/peer 2",
        pid("top_sup/peers_sup/peer 1")
    );
    assert_eq!(prediction.to_string(), text);
    let json: Value = serde_json::from_str(&prediction.to_json()).unwrap();
    assert_eq!(json["restarted"][0], serde_json::json!({"path": "top_sup/peers_sup", "after_ms": 0.0}));
    assert_eq!(json["budgets"][1]["before"]["text"], "0 of 1 in 5 s");
}

#[test]
fn the_window_slides_so_only_young_restarts_count() {
    let mut snapshot = seen(crew());
    let after = |snapshot: &Snapshot| predict(snapshot, "top_sup/store", bug()).unwrap();
    let had = |snapshot: &mut Snapshot, millis| {
        let ages = vec![Duration::from_millis(millis)];
        snapshot.root.budget = Some(Budget { used: 1, allowed: 1, period: Duration::from_secs(5), ages });
    };
    had(&mut snapshot, 4_999);
    let prediction = after(&snapshot);
    assert_eq!(prediction.root_ends, Some(ExitReason::Shutdown));
    assert_eq!((prediction.gives_up.len(), prediction.escalates_to.clone()), (1, None));
    assert!(prediction.survives.is_empty() && prediction.restarted.is_empty());
    assert!(prediction.to_string().ends_with("the whole tree ends with \"shutdown\""), "{prediction}");
    had(&mut snapshot, 5_001);
    let prediction = after(&snapshot);
    assert_eq!((prediction.root_ends, prediction.budgets[0].used), (None, 1));
}

#[test]
fn a_supervisor_with_a_back_off_is_parked_and_nobody_pays() {
    let backoff = Backoff { first: HOUR, cap: HOUR, jitter: 0.5, reset_after: HOUR };
    let flags = Flags::one_for_one().intensity(0, HOUR);
    let snapshot = seen(sup("top", flags, move || {
        vec![sup("torrent", flags, || vec![sleeper("a"), sleeper("b")]).backoff(backoff), sleeper("other")]
    }));
    let prediction = predict(&snapshot, "top/torrent/a", bug()).unwrap();
    let restarted: Vec<_> = prediction.restarted.iter().map(|r| (r.path.as_str(), r.after)).collect();
    assert_eq!(restarted, [("top/torrent", HOUR), ("top/torrent/a", HOUR), ("top/torrent/b", HOUR)]);
    assert_eq!(prediction.budgets.len(), 1, "only the torrent's own");
    // What the environment does costs nobody anything, and the wait doubles from where it was.
    let mut failing = seen(sup("top", flags, move || vec![sleeper("a")]));
    let rules = failing.root.children[0].rules.as_mut().unwrap();
    (rules.backoff, rules.failures) = (Some(Backoff { first: HOUR, cap: HOUR * 9, ..backoff }), 2);
    let prediction = predict(&failing, "top/a", ExitReason::environment("no net")).unwrap();
    assert_eq!((prediction.budgets.len(), prediction.restarted[0].after), (0, HOUR * 4));
    // A run that is long enough makes it a first failure again.
    failing.root.children[0].uptime = Some(HOUR * 2);
    let prediction = predict(&failing, "top/a", ExitReason::environment("no net")).unwrap();
    assert_eq!(prediction.restarted[0].after, HOUR);
}

#[test]
fn what_was_added_is_gone_with_its_supervisor_and_a_temporary_one_for_good() {
    let at = SupervisorRef::new();
    let flags = Flags::one_for_one().intensity(3, HOUR);
    let sub = {
        let at = at.clone();
        move || {
            let children = || vec![sleeper("given"), sleeper("once").restart(Restart::Transient)];
            ChildSpec::supervisor_at("sub", at.clone(), move || SupervisorSpec { flags, children: children() })
        }
    };
    let system = start(sup("top", flags, move || vec![sub(), sleeper("passing").restart(Restart::Temporary)]));
    let snapshot = wait(async {
        at.start_child(sleeper("added")).await.unwrap();
        until(|| up(&system.snapshot()) && system.snapshot().nodes().count() == 6).await;
        system.snapshot()
    });
    let prediction = predict(&snapshot, "top/sub", ExitReason::Killed).unwrap();
    assert_eq!(restarted(&prediction), ["top/sub", "top/sub/given", "top/sub/once"]);
    assert_eq!(prediction.forgotten, ["top/sub/added"]);
    let prediction = predict(&snapshot, "top/passing", bug()).unwrap();
    assert_eq!((restarted(&prediction), paths(&prediction.forgotten)), (vec![], vec!["top/passing"]));
    let prediction = predict(&snapshot, "top/sub/once", ExitReason::Normal).unwrap();
    assert_eq!((paths(&prediction.stopped), prediction.budgets.len()), (vec!["top/sub/once"], 0));
    assert!(prediction.to_string().ends_with("\n  down for good: top/sub/once"), "{prediction}");
    wait(system.stop(LONG));
}

#[test]
fn an_exit_goes_along_links_unless_it_is_normal_or_trapped() {
    let flags = Flags::one_for_one().intensity(2, HOUR);
    let mut snapshot = seen(sup("top", flags, || vec![sleeper("a"), sleeper("b"), sleeper("c"), sleeper("d")]));
    let pids: Vec<Pid> = snapshot.root.children.iter().filter_map(|node| node.pid).collect();
    // a - b - c - d, and c traps.
    for (at, node) in snapshot.root.children.iter_mut().enumerate() {
        node.links.extend(at.checked_sub(1).map(|before| pids[before]));
        node.links.extend(pids.get(at + 1));
    }
    snapshot.root.children[2].traps_exit = true;
    let prediction = predict(&snapshot, pids[0], bug()).unwrap();
    assert_eq!((dies(&prediction), prediction.budgets[0].used), (vec!["top/a", "top/b"], 2));
    assert!(prediction.dies.iter().all(|dying| dying.reason == bug()));
    let prediction = predict(&snapshot, pids[0], ExitReason::Normal).unwrap();
    assert_eq!((dies(&prediction), prediction.budgets[0].used), (vec!["top/a"], 1));
    assert!(prediction.to_string().starts_with(&format!("If top/a {} ends as it should:\n", pids[0])));
}

#[test]
fn who_does_not_run_cannot_exit() {
    let mut snapshot = seen(crew());
    assert_eq!(predict(&snapshot, "top_sup/nobody", bug()), Err(PredictError::NotFound));
    let pid = snapshot.root.children[0].pid.unwrap();
    assert!(predict(&snapshot, pid, bug()).is_ok());
    (snapshot.root.children[0].pid, snapshot.root.children[0].status) = (None, Status::Stopped);
    assert_eq!(predict(&snapshot, "top_sup/store", bug()), Err(PredictError::NotRunning));
    snapshot.root.children[1].name = "store".into();
    assert_eq!(predict(&snapshot, "top_sup", bug()), Err(PredictError::NotATree("top_sup".into())));
}

#[test]
fn what_is_on_its_way_is_said_to_be_unknown() {
    let mut snapshot = seen(crew());
    snapshot.root.children[2].status = Status::Stopping;
    let prediction = predict(&snapshot, "top_sup/store", bug()).unwrap();
    let unknown = "top_sup/peers_sup is being ended; whether it is started again is not known";
    assert_eq!(prediction.unknown, [unknown]);
    assert!(prediction.to_string().ends_with(unknown));
}

#[test]
fn ten_thousand_processes_are_no_obstacle() {
    let many = || (0..10_000).map(|n| sleeper(&n.to_string()).shutdown(Shutdown::BrutalKill)).collect();
    let snapshot = seen(sup("top", Flags::one_for_all(), many));
    let prediction = predict(&snapshot, "top/0", bug()).unwrap();
    assert_eq!((prediction.dies.len(), prediction.restarted.len()), (10_000, 10_000));
    assert!(prediction.to_string().contains("9991 more end with it"), "{prediction}");
}
