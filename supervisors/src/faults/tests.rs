//! The grammar as a table, and what a plan decides without anything being armed for others.

use super::{grammar::*, list::list, plan::Plan, *};
use crate::reason::ExitReason;
use std::time::Duration;

fn terms(text: &str) -> Vec<String> {
    let terms = chain(text).unwrap_or_else(|error| panic!("{error}"));
    terms.iter().map(ToString::to_string).collect()
}

#[test]
fn a_chain_is_read_term_by_term() {
    let table: &[(&str, &[&str])] = &[
        ("off", &["off"]),
        (" panic ", &["panic"]),
        ("panic(text)", &["panic(text)"]),
        ("panic()", &["panic()"]),
        ("5%3*panic(text)->delay(100)->off", &["5%3*panic(text)", "delay(100)", "off"]),
        ("0.5%error", &["0.5%error"]),
        ("0*return", &["0*return"]),
        ("100%return(1)", &["100%return(1)"]),
        ("sleep(7) -> pause", &["delay(7)", "hang"]),
        ("busy(0)->yield->hang->print(x)->print", &["busy(0)", "yield", "hang", "print(x)", "print"]),
        ("exit(normal)->exit( shutdown )->exit(kill)", &["exit(normal)", "exit(shutdown)", "exit(killed)"]),
        ("exit(environment: disk full)->exit(bad)", &["exit(environment: disk full)", "exit(error: bad)"]),
        ("exit(shutdown: done)->exit(a: b)", &["exit(shutdown: done)", "exit(error: a: b)"]),
        ("return(50%)->error(3*2)", &["return(50%)", "error(3*2)"]),
        ("panic(a(b)c))->off", &["panic(a(b)c))", "off"]),
        ("print(a->b;c)", &["print(a->b;c)"]),
        ("panic(größer)->off", &["panic(größer)", "off"]),
    ];
    for (text, expected) in table {
        assert_eq!(terms(text), *expected, "{text}");
        let again = expected.join("->");
        assert_eq!(terms(&again), *expected, "{text} is written as it is read");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let table = [
        ("", 0, Problem::TaskExpected),
        ("  ", 2, Problem::TaskExpected),
        ("off->", 5, Problem::TaskExpected),
        ("off->->off", 5, Problem::TaskExpected),
        ("5%", 2, Problem::TaskExpected),
        ("(x)", 0, Problem::TaskExpected),
        ("panik(x)", 0, Problem::UnknownTask("panik".into())),
        ("off->5%2*panik", 9, Problem::UnknownTask("panik".into())),
        ("Panic", 0, Problem::UnknownTask("Panic".into())),
        ("off x", 0, Problem::UnknownTask("off x".into())),
        ("x%panic", 0, Problem::PercentNotNumber("x".into())),
        ("%panic", 0, Problem::PercentNotNumber("".into())),
        ("3*5%panic", 0, Problem::PercentNotNumber("3*5".into())),
        ("off -> 101%panic", 7, Problem::PercentOutOfRange("101".into())),
        ("-1%panic", 0, Problem::PercentOutOfRange("-1".into())),
        ("NaN%panic", 0, Problem::PercentOutOfRange("NaN".into())),
        ("5%-3*panic", 2, Problem::CountNotNumber("-3".into())),
        ("1.5*panic", 0, Problem::CountNotNumber("1.5".into())),
        ("*panic", 0, Problem::CountNotNumber("".into())),
        ("delay", 0, Problem::ArgumentMissing { task: "delay".into(), what: "milliseconds" }),
        ("off->exit()", 5, Problem::ArgumentMissing { task: "exit".into(), what: "a reason" }),
        ("exit", 0, Problem::ArgumentMissing { task: "exit".into(), what: "a reason" }),
        ("delay(1s)", 6, Problem::MillisNotNumber("1s".into())),
        ("5%busy(-1)", 7, Problem::MillisNotNumber("-1".into())),
        ("yield(1)", 6, Problem::ArgumentUnexpected("yield".into())),
        ("off(1)", 4, Problem::ArgumentUnexpected("off".into())),
        ("off->panic(x", 10, Problem::NotClosed),
        ("panic(x)y", 5, Problem::NotClosed),
        ("off;off", 3, Problem::OnlyInLists),
    ];
    for (text, at, problem) in table {
        assert_eq!(chain(text), Err(SyntaxError::new(text, at, problem)), "{text}");
    }
}

#[test]
fn an_error_is_a_sentence_and_a_drawing() {
    let error = arm("x", "größer->1%panik").expect_err("no such task");
    assert!(
        error
            .to_string()
            .starts_with("character 1 of \"größer->1%panik\": no task is called \"größer\"; there are off,")
    );
    let error = arm("x", "print(größer)->1%panik").expect_err("no such task");
    assert_eq!(error.drawn(), "print(größer)->1%panik\n                 ^");
}

#[test]
fn a_list_names_paths_points_and_conditions() {
    let text = " a.b=panic; ;**/peer 1.2.3.4:5:wire.*[page=7, kind=data*] = 5%error(x;y=z)->off ;
        a/peer [::1]:6881:x=return([=]);";
    let points: Vec<String> = list(text).expect("good").iter().map(ToString::to_string).collect();
    let expected = [
        "a.b=panic",
        "**/peer 1.2.3.4:5:wire.*[page=7,kind=data*]=5%error(x;y=z)->off",
        "a/peer [::1]:6881:x=return([=])",
    ];
    assert_eq!(points, expected);
    assert_eq!(list(" ; "), Ok(Vec::new()));
}

#[test]
fn what_is_wrong_in_a_list_is_said_with_its_place() {
    let table = [
        ("x", 0, Problem::EqualsExpected),
        ("a=off;  b;c=off", 8, Problem::EqualsExpected),
        ("a[k=v]", 0, Problem::EqualsExpected),
        ("=off", 0, Problem::NameExpected),
        ("a/b:=off", 4, Problem::NameExpected),
        ("a=off;b=", 8, Problem::TaskExpected),
        ("a=off;b=5%panik;c=off", 10, Problem::UnknownTask("panik".into())),
        ("a[k=v,w]=off", 6, Problem::ConditionExpected("w".into())),
        ("a[=v]=off", 2, Problem::ConditionExpected("=v".into())),
    ];
    for (text, at, problem) in table {
        assert_eq!(list(text), Err(SyntaxError::new(text, at, problem)), "{text}");
    }
}

#[test]
fn the_environment_is_read_only_as_text_that_is_right() {
    assert!(from_text("", None).expect("nothing").is_none());
    assert!(from_text(" ; ", Some("7")).expect("nothing").is_none());
    let plan = from_text("no.such.point=5%panic", Some(" 42 ")).expect("good").expect("a plan");
    assert_eq!(plan.arm().seed(), 42);
    let error = from_text("a=panik", None).expect_err("no such task");
    assert!(error.to_string().starts_with("SUPERVISORS_FAULTS: character 3 of"), "{error}");
    let error = from_text("a=off", Some("x")).expect_err("no seed");
    assert_eq!(error.to_string(), "SUPERVISORS_FAULTS_SEED: \"x\" is not a whole number");
}

/// Which task each of the next hits meets; `-`: none.
fn hits(armed: &Armed, site: &'static str, path: &str, times: usize) -> String {
    let next = |_| armed.hit(site, path).map_or("-".to_string(), |task| task.to_string());
    (0..times).map(next).collect::<Vec<_>>().join(" ")
}

fn armed(tasks: &str) -> Armed {
    arm("plan.*", tasks).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn counts_are_used_up_in_sequence_as_in_fail() {
    let plan = armed("2*return(a)->1*off->3*return(b)");
    let expected = "return(a) return(a) off return(b) return(b) return(b) - -";
    assert_eq!(hits(&plan, "plan.a", "", 8), expected);
    let info = PointInfo { point: "plan.*=2*return(a)->1*off->3*return(b)".into(), hits: 8, fired: 6 };
    assert_eq!(plan.points(), [info]);
    assert_eq!(hits(&armed("0*panic->return"), "plan.a", "", 2), "return return");
}

#[test]
fn a_term_that_does_not_fire_costs_no_count_and_the_next_is_asked() {
    let plan = armed("50%10*error->print");
    let all = hits(&plan, "plan.a", "", 1000);
    assert_eq!(all.split(' ').filter(|task| *task == "error").count(), 10);
    assert_eq!(all.split(' ').filter(|task| *task == "print").count(), 990);
    assert!(!all.starts_with("error error error error error error error error error error"), "{all}");
}

#[test]
fn percentages_hold_and_nought_and_a_hundred_are_exact() {
    let fired = |tasks: &str| hits(&armed(tasks), "plan.a", "", 10_000).matches("error").count();
    assert_eq!((fired("0%error"), fired("100%error")), (0, 10_000));
    let five = Plan::new([Point::new("plan.*", "5%error").expect("good")]).seed(1).arm();
    let five = hits(&five, "plan.a", "", 10_000).matches("error").count();
    assert!((400..600).contains(&five), "{five}");
}

#[test]
fn the_same_seed_fires_at_the_same_hits_in_whatever_order_the_processes_come() {
    let plan = |seed| {
        let points = [Point::new("plan.*", "30%error->20%2*off").expect("good").each()];
        Plan::new(points).seed(seed).arm()
    };
    let (one, two, other) = (plan(42), plan(42), plan(43));
    let first = [hits(&one, "plan.a", "p/1", 50), hits(&one, "plan.a", "p/2", 50)];
    let second: Vec<_> = (0..50).map(|_| ["p/2", "p/1"].map(|path| hits(&two, "plan.a", path, 1))).collect();
    let column = |n: usize| second.iter().map(|row| row[n].as_str()).collect::<Vec<_>>().join(" ");
    assert_eq!(first, [column(1), column(0)]);
    assert_ne!(first[0], first[1], "two processes have dice of their own");
    assert_ne!(first[0], hits(&other, "plan.a", "p/1", 50), "another seed is another run");
}

#[test]
fn a_replayed_log_does_the_same_at_the_same_hits_and_writes_the_same_log() {
    let points = [Point::new("plan.*", "30%error(x)->10%exit(shutdown)").expect("good").under("p/*")];
    let first = Plan::new(points).seed(7).arm();
    let run = |armed: &Armed| ["p/1", "p/2", "q"].map(|path| hits(armed, "plan.a", path, 40));
    let was = run(&first);
    assert!(was[0].contains("error(x)") && was[1].contains("exit(shutdown)") && !was[2].contains('e'), "{was:?}");
    let log: Log = first.log().to_string().parse().expect("what was written");
    let again = Plan::replay(&log).expect("good").arm();
    assert_eq!(run(&again), was);
    assert_eq!(again.log(), log);
    assert_eq!(again.points()[0].fired, log.actions.len() as u64);
}

#[test]
fn a_replay_counts_the_hits_that_a_condition_passed_by() {
    let points = || [Point::new("plan.*", "1*error").expect("good").when("n", "5")];
    let run = |armed: &Armed| {
        let hit = |n: u32| armed.hit_with("plan.a", "p", &[("n", n.to_string())]).is_some();
        (0..10).filter(|n| hit(*n)).collect::<Vec<_>>()
    };
    let first = Plan::new(points()).arm();
    assert_eq!(run(&first), [5]);
    let again = Plan::replay(&first.log()).expect("good").arm();
    assert_eq!(run(&again), [5]);
    assert_eq!(again.log(), first.log());
}

#[test]
fn a_replay_of_what_is_no_task_is_refused() {
    let action = Action::Point { site: "a".into(), path: "".into(), hit: 1, task: "5%panic".into() };
    let error = Plan::replay(&Log { actions: vec![action], forgotten: 0 }).expect_err("a term, not a task");
    assert_eq!(error.problem, Problem::OneTaskExpected);
}

#[test]
fn the_log_is_bounded_and_the_sink_gets_everything() {
    let (tx, rx) = flume::unbounded();
    let points = [Point::new("plan.*", "return").expect("good")];
    let sink = move |action: &Action| drop(tx.send(action.clone()));
    let plan = Plan::new(points).keeps(3).log_to(sink).arm();
    hits(&plan, "plan.a", "", 10);
    assert_eq!((plan.log().actions.len(), plan.log().forgotten, rx.len()), (3, 7, 10));
}

#[test]
fn a_plan_counts_a_bounded_number_of_processes() {
    let plan = Plan::new([Point::new("plan.*", "1*off->1*return").expect("good").each()]).keeps(1).arm();
    let paths = 70_000;
    let fired = (0..paths).filter(|n| plan.hit("plan.a", &format!("p/{n}")).is_some()).count();
    assert_eq!(fired, paths);
    assert!(plan.counted() <= 65_536, "{}", plan.counted());
}

#[test]
fn faults_become_reasons_and_io_errors() {
    let fault = |text: &str| Fault { site: "a", given: Given::Error(Some(text.to_string())) };
    assert_eq!(ExitReason::from(fault("bad")), ExitReason::error("bad (injected at a)"));
    let refused = ExitReason::environment("refused (injected at a)");
    assert_eq!(ExitReason::from(fault("environment: refused")), refused);
    assert_eq!(std::io::Error::from(fault("storage_full")).kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(std::io::Error::from(fault("bad")).kind(), std::io::ErrorKind::Other);
}

#[test]
fn a_task_that_waits_is_read_in_milliseconds() {
    assert_eq!("delay(1500)".parse(), Ok(Task::Delay(Duration::from_millis(1500))));
}
