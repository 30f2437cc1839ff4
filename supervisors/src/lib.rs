//! Erlang/OTP supervision on bastion: processes, supervisors, mailboxes, exit reasons.
//!
//! Begin with [`ChildSpec`], which says how a child is started, restarted and ended, and [`start`], which runs a tree of them.
//! Below `start` stands a root supervisor; processes talk through an [`Addr`] and a [`Mailbox`]; [`Snapshot`] shows the tree and
//! [`subscribe`] what happens in it.
//!
//! ```text
//!                      top_sup                 rest_for_one: what is started later needs what is started before
//!            ┌────────────┼──────────────┐
//!          store       clock        sessions_sup      simple_one_for_one: one for each who asks
//!            ▲                    ┌──────┼──────┐
//!            │                session session session    <- panics: it alone is started again,
//!            └──────── call ─────────────┘                  and too many of them end sessions_sup,
//!                                                           which top_sup starts again, and counts
//! ```
//!
//! A process that panics, fails or is killed takes nobody with it but those whom the tree says. Its supervisor starts it again, as
//! its strategy says, until there were more restarts than its *intensity* allows within its *period*; then the supervisor ends all
//! its children, the youngest first, and itself, and the level above decides.
//!
//! ```
//! use std::time::Duration;
//! use supervisors::{ChildSpec, ExitReason, Flags, SupervisorSpec, start};
//!
//! let system = start(ChildSpec::supervisor("top_sup", || SupervisorSpec {
//!     flags: Flags::one_for_one().intensity(3, Duration::from_secs(5)),
//!     children: vec![ChildSpec::worker("worker", |process| async move {
//!         assert!(process.incarnation() > 0, "the first time it fails");
//!         std::future::pending().await
//!     })],
//! }));
//! # async_std::task::block_on(async {
//! # while system.snapshot().restarts() == 0 { async_std::task::yield_now().await; }
//! println!("{}", system.snapshot());
//! assert_eq!(system.stop(Duration::from_secs(5)).await, ExitReason::Shutdown);
//! # });
//! ```
//!
//! The modules, from the bottom:
//! `slots` runs jobs on bastion and `rt` is the door to clock, dice and threads; `panics`, `process` and `blocking` turn every way of
//! ending into one [`ExitReason`]; `table` knows every live process; `machine` decides, as a pure state machine, what a supervisor
//! does, `driver` does it, and `crew` promises that no child outlives it; `mailbox` (with `reader` and `stash`), `link`, `monitor`, `registry`,
//! [`groups`], `timer` and `supervisor_ref` are how processes reach each other; `server`, `statem` and [`sys`] are OTP's generic processes on top of
//! them; `snapshot` (drawn by `draw` and `graph`), `events` and `reports` are what people and machines see, `json` how; `predict` runs the machine
//! ahead of time, and [`faults`] makes things fail on purpose (`current` tells it in which process).
//!
//! It never knows what its processes are for, and never shows bastion to them.

mod blocking;
mod crew;
mod current;
mod draw;
mod driver;
mod events;
pub mod faults;
mod glob;
mod graph;
pub mod groups;
mod json;
mod link;
mod machine;
mod mailbox;
mod monitor;
mod panics;
mod pid;
mod predict;
mod process;
mod reader;
mod reason;
mod registry;
mod reports;
mod ring;
mod rt;
mod server;
mod slots;
mod snapshot;
mod spec;
mod stash;
mod statem;
mod supervisor_ref;
pub mod sys;
mod system;
mod table;
mod timer;

pub use blocking::BlockingProcess;
pub use current::current;
pub use events::{Event, EventKind, Events, history, subscribe, subscribe_with_history};
pub use json::write_json_line;
pub use link::{ExitSignal, exit, kill, link, unlink};
pub use mailbox::{Addr, CallError, CastError, Mailbox, Reply, bounded_mailbox, mailbox};
pub use monitor::{Down, Monitor, demonitor, demonitor_flush, inject_panic, monitor};
pub use pid::Pid;
pub use predict::{Dying, GivesUp, PredictError, Prediction, Restarted, Spent, Surviving, Target, predict};
pub use process::Process;
pub use reason::{Exit, ExitReason};
pub use registry::{
    RegisterError, WhereisError, register, register_addr, registered, unregister, whereis, whereis_addr,
};
pub use reports::{ErrorContext, Offender, Report, ReportKind, Reports, Who, record_to_json, reports};
pub use server::{Init, Message, Next, Server, ServerAddr, ServerProcess, Verdict};
pub use snapshot::{Budget, Node, Rules, Snapshot, Status, Waiting, restarts_in_tree, snapshot};
pub use spec::{AutoShutdown, Backoff, BadSpec, ChildSpec, Flags, Kind, Restart, Shutdown, Strategy, SupervisorSpec};
pub use statem::{Begin, Event as MachineEvent, MachineAddr, MachineProcess, StateMachine, Step};
pub use supervisor_ref::{ChildCount, ChildError, ChildInfo, ChildKey, SpecInfo, StartError, SupervisorRef};
pub use system::{System, start};
pub use timer::Timer;

/// The code in the README is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
