//! OTP supervision on bastion.

mod blocking;
mod crew;
mod draw;
mod driver;
mod events;
mod machine;
mod mailbox;
mod monitor;
mod panics;
mod pid;
mod process;
mod reason;
mod reports;
mod rt;
mod slots;
mod snapshot;
mod spec;
mod supervisor_ref;
mod system;
mod table;

pub use blocking::BlockingProcess;
pub use events::{Event, EventKind, Events, subscribe};
pub use mailbox::{Addr, CallError, CastError, Mailbox, Reply, bounded_mailbox, mailbox};
pub use monitor::{Down, Monitor, demonitor, exit, inject_panic, kill, monitor};
pub use pid::Pid;
pub use process::Process;
pub use reason::{Exit, ExitReason};
pub use snapshot::{Node, Snapshot, Status, restarts_in_tree, snapshot};
pub use spec::{Backoff, ChildSpec, Flags, Kind, Restart, Shutdown, Strategy, SupervisorSpec};
pub use supervisor_ref::{ChildError, ChildInfo, StartError, SupervisorRef};
pub use system::{System, start};
