//! Registered names: a process under a name that others agree on, instead of a [`Pid`] that they would have to be given.
//!
//! Erlang's rules: one process per name, one name per process, and the name is free again as soon as its process has ended,
//! before any monitor or link tells of it. There is one registry in an OS process, for all trees.

use crate::{
    mailbox::Addr,
    panics,
    pid::Pid,
    table::{self, Claim},
};
use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// Why a name cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterError {
    /// Another process, or this one, has the name.
    Taken(Pid),
    /// The process has another name already.
    HasName,
    /// The process has ended.
    NoProc,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(pid) => write!(f, "the name is taken by {pid}"),
            Self::HasName => f.write_str("the process has a name already"),
            Self::NoProc => f.write_str("the process has ended"),
        }
    }
}

impl std::error::Error for RegisterError {}

/// Why a name gives no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhereisError {
    /// No live process has this name.
    NotRegistered,
    /// Registered by [`register`], which knows no address.
    NoAddress(Pid),
    /// Its address takes messages of another type.
    OtherType(Pid),
}

impl fmt::Display for WhereisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRegistered => f.write_str("no process has this name"),
            Self::NoAddress(pid) => write!(f, "{pid} has this name, but gave no address"),
            Self::OtherType(pid) => write!(f, "{pid} has this name, and takes other messages"),
        }
    }
}

impl std::error::Error for WhereisError {}

type AnyAddr = Arc<dyn Any + Send + Sync>;

struct Named {
    pid: Pid,
    addr: Option<AnyAddr>,
}

type Names = BTreeMap<Arc<str>, Named>;

static NAMES: RwLock<Names> = RwLock::new(BTreeMap::new());

fn read() -> RwLockReadGuard<'static, Names> {
    NAMES.read().unwrap_or_else(PoisonError::into_inner)
}

fn write() -> RwLockWriteGuard<'static, Names> {
    NAMES.write().unwrap_or_else(PoisonError::into_inner)
}

/// From now on `name` means `pid`, until that ends or [`unregister`] is called.
pub fn register(name: &str, pid: Pid) -> Result<(), RegisterError> {
    insert(name, pid, None)
}

/// As [`register`], and [`whereis_addr`] gives `addr`.
pub fn register_addr<M: Send + 'static>(name: &str, pid: Pid, addr: &Addr<M>) -> Result<(), RegisterError> {
    insert(name, pid, Some(Arc::new(addr.clone())))
}

fn insert(name: &str, pid: Pid, addr: Option<AnyAddr>) -> Result<(), RegisterError> {
    let entry = table::find(pid).ok_or(RegisterError::NoProc)?;
    let mut names = write();
    if let Some(named) = names.get(name) {
        return Err(RegisterError::Taken(named.pid));
    }
    let name: Arc<str> = name.into();
    match entry.claim(&name) {
        Claim::Done => {
            names.insert(name, Named { pid, addr });
            Ok(())
        }
        Claim::HasName => Err(RegisterError::HasName),
        Claim::Ended => Err(RegisterError::NoProc),
    }
}

/// The name is free again. Returns who had it.
pub fn unregister(name: &str) -> Option<Pid> {
    let named = {
        let mut names = write();
        let named = names.remove(name)?;
        if let Some(entry) = table::find(named.pid) {
            entry.disclaim();
        }
        named
    };
    panics::discard(named.addr);
    Some(named.pid)
}

/// Who has this name.
pub fn whereis(name: &str) -> Option<Pid> {
    read().get(name).map(|named| named.pid)
}

/// The address that was registered under this name, if it takes messages of type `M`.
pub fn whereis_addr<M: Send + 'static>(name: &str) -> Result<Addr<M>, WhereisError> {
    let (pid, addr) = match read().get(name) {
        Some(named) => (named.pid, named.addr.clone()),
        None => return Err(WhereisError::NotRegistered),
    };
    let addr = addr.ok_or(WhereisError::NoAddress(pid))?;
    addr.downcast_ref().cloned().ok_or(WhereisError::OtherType(pid))
}

/// All names, in alphabetical order.
pub fn registered() -> Vec<String> {
    read().keys().map(ToString::to_string).collect()
}

/// `pid` has ended.
pub(crate) fn forget(name: &str, pid: Pid) {
    let named = {
        let mut names = write();
        match names.get(name) {
            Some(named) if named.pid == pid => names.remove(name),
            _ => None,
        }
    };
    panics::discard(named);
}
