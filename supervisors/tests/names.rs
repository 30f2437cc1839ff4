//! Registered names and process groups, held against Erlang's `register` and `pg`.

mod common;
use common::*;
use supervisors::{groups::Change, *};

#[test]
fn a_name_has_one_process_and_a_process_one_name() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let (a, b) = (Puppet::start(&at, "a").await, Puppet::start(&at, "b").await);
        assert_eq!(register("one: a", a.pid), Ok(()));
        assert_eq!(whereis("one: a"), Some(a.pid));
        assert_eq!(register("one: a", a.pid), Err(RegisterError::Taken(a.pid)));
        assert_eq!(register("one: a", b.pid), Err(RegisterError::Taken(a.pid)));
        assert_eq!(register("one: another", a.pid), Err(RegisterError::HasName));
        assert_eq!(register("one: b", b.pid), Ok(()));
        let ours: Vec<String> = registered().into_iter().filter(|name| name.starts_with("one: ")).collect();
        assert_eq!(ours, ["one: a", "one: b"]);
        assert_eq!(unregister("one: a"), Some(a.pid));
        assert_eq!((unregister("one: a"), whereis("one: a")), (None, None));
        assert_eq!(register("one: another", a.pid), Ok(()));
        system.stop(LONG).await;
        assert!(!registered().iter().any(|name| name.starts_with("one: ")));
        assert_eq!(register("one: a", a.pid), Err(RegisterError::NoProc));
    });
}

#[test]
fn a_name_is_free_before_anyone_hears_of_the_end() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        for reason in [ExitReason::Normal, ExitReason::Killed, ExitReason::error("a bug")] {
            let it = Puppet::start(&at, "it").await;
            register("freed", it.pid).unwrap();
            groups::join("freed", it.pid).unwrap();
            let (addr, downs) = mailbox();
            monitor(it.pid, &addr, |down| (down, whereis("freed"), groups::members("freed")));
            let pid = it.pid;
            it.does(move |process| exit(process.pid(), reason)).await;
            let (down, name, members) = downs.recv().await;
            assert_eq!((down.pid, name, members), (pid, None, vec![]));
            gone(&at, pid).await;
        }
        system.stop(LONG).await;
    });
}

#[test]
fn the_next_incarnation_takes_its_name_again() {
    let (addr, mailbox) = mailbox::<Ask>();
    let system = start(ChildSpec::supervisor("top", move || {
        let (addr, mailbox) = (addr.clone(), mailbox.clone());
        one_for_one(vec![ChildSpec::worker("it", move |process| {
            register_addr("incarnations", process.pid(), &addr).unwrap();
            let mailbox = mailbox.clone();
            async move {
                loop {
                    match mailbox.recv().await {
                        Ask::Who(reply) => drop(reply.send((process.pid(), process.incarnation()))),
                        _ => panic!("asked to crash"),
                    }
                }
            }
        })])
    }));
    wait(async {
        until(|| whereis("incarnations").is_some()).await;
        let addr = whereis_addr::<Ask>("incarnations").unwrap();
        let (first, _) = who(&addr).await;
        assert_eq!(whereis("incarnations"), Some(first));
        assert_eq!(addr.call(LONG, Ask::Crash).await, Err(CallError::Down));
        let (second, incarnation) = who(&addr).await;
        assert_eq!((incarnation, whereis("incarnations")), (1, Some(second)));
        system.stop(LONG).await;
    });
}

#[test]
fn an_address_is_found_by_its_name_and_the_type_of_its_messages() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let (a, b) = (Puppet::start(&at, "a").await, Puppet::start(&at, "b").await);
        let (addr, mailbox) = mailbox::<u8>();
        register_addr("typed", a.pid, &addr).unwrap();
        register("untyped", b.pid).unwrap();
        whereis_addr::<u8>("typed").unwrap().cast(7).unwrap();
        assert_eq!(mailbox.recv().await, 7);
        assert_eq!(whereis_addr::<u16>("typed").unwrap_err(), WhereisError::OtherType(a.pid));
        assert_eq!(whereis_addr::<u8>("untyped").unwrap_err(), WhereisError::NoAddress(b.pid));
        assert_eq!(whereis_addr::<u8>("nobody").unwrap_err(), WhereisError::NotRegistered);
        assert_eq!(whereis("typed"), Some(a.pid));
        system.stop(LONG).await;
        assert_eq!(whereis_addr::<u8>("typed").unwrap_err(), WhereisError::NotRegistered);
    });
}

#[test]
fn who_joins_twice_is_a_member_twice() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let (a, b) = (Puppet::start(&at, "a").await, Puppet::start(&at, "b").await);
        for pid in [a.pid, b.pid, a.pid] {
            groups::join("twice", pid).unwrap();
        }
        assert_eq!(groups::members("twice"), [a.pid, a.pid, b.pid]);
        groups::leave("twice", a.pid).unwrap();
        assert_eq!(groups::members("twice"), [a.pid, b.pid]);
        groups::leave("twice", a.pid).unwrap();
        assert_eq!(groups::leave("twice", a.pid), Err(groups::GroupError::NotJoined));
        assert_eq!(groups::leave("no group", a.pid), Err(groups::GroupError::NotJoined));
        assert!(groups::which_groups().contains(&"twice".to_string()));
        let b_pid = b.pid;
        b.ends(Ok(()), &at).await;
        assert_eq!(groups::members("twice"), []);
        assert!(!groups::which_groups().contains(&"twice".to_string()));
        assert_eq!(groups::join("twice", b_pid), Err(groups::GroupError::NoProc));
        system.stop(LONG).await;
    });
}

#[test]
fn who_watches_a_group_hears_every_change_in_order() {
    let at = SupervisorRef::new();
    let system = start(empty("top", &at));
    wait(async {
        let (a, b) = (Puppet::start(&at, "a").await, Puppet::start(&at, "b").await);
        let (a_pid, b_pid) = (a.pid, b.pid);
        groups::join("watched", a_pid).unwrap();
        let (members, changes) = groups::monitor("watched");
        assert_eq!(members, [a_pid]);
        groups::join("not watched", b_pid).unwrap();
        groups::join("watched", b_pid).unwrap();
        groups::join("watched", a_pid).unwrap();
        groups::leave("watched", b_pid).unwrap();
        a.ends(Ok(()), &at).await;
        for change in [
            Change::Joined(b_pid),
            Change::Joined(a_pid),
            Change::Left(b_pid),
            Change::Left(a_pid),
            Change::Left(a_pid),
        ] {
            assert_eq!(changes.recv().await, change);
        }
        assert_eq!((changes.try_recv(), changes.missed()), (None, 0));
        system.stop(LONG).await;
    });
}
