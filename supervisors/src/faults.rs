//! Fault injection: named points in the code that do nothing until they are armed, and a monkey that ends processes.
//!
//! ```
//! use supervisors::{ExitReason, fault_point, fault_result, faults};
//!
//! fn write(page: u32) -> Result<(), ExitReason> {
//!     fault_point!("cache.begin");
//!     fault_result!("cache.write", page = page)?;
//!     Ok(())
//! }
//!
//! assert_eq!(write(7), Ok(()));
//! let armed = faults::arm("cache.*", "1*off->1*error(disk full)").expect("good grammar");
//! assert_eq!(write(7), Err(ExitReason::error("disk full (injected at cache.write)")));
//! assert_eq!(write(7), Ok(()));
//! assert_eq!(armed.log().to_string(), r#"{"by":"point","site":"cache.begin","path":"","hit":1,"task":"off"}
//! {"by":"point","site":"cache.write","path":"","hit":1,"task":"error(disk full)"}
//! "#);
//! ```
//!
//! # The macros
//!
//! | in code | with `error` or `return` | where |
//! |---|---|---|
//! | `fault_point!("name", key = value)` | panics: the code has no place for it | anywhere |
//! | `fault_point!("name", key = value, \|fault\| expression)` | returns `expression` from the function | anywhere |
//! | `fault_result!("name", key = value)` | is `Err(`[`Fault`]`)`, for `?` | anywhere |
//! | the same with `async` before the name | the same | where one may `.await` |
//!
//! While nothing is armed, each costs one relaxed load and its values are not looked at. `delay`, `hang` and `yield` await in the
//! `async` forms. In the other forms they hold the thread: right in a [blocking process](crate::ChildSpec::blocking), but a thread
//! of the executor runs other processes too, so there `delay` and `hang` are refused with a warning (`log`, target `faults`). Who
//! wants to see that very fault arms `busy(millis)`, which holds the thread anywhere.
//!
//! # Grammar
//!
//! Tasks are written as for the crate [`fail`](https://docs.rs/fail): `5%3*panic(text)->delay(100)->off`. A term is
//! `[<percent>%][<count>*]<task>[(<argument>)]`: it fires with this probability, and at most so often. A term is looked at only when
//! none before it fired: here, of a hundred hits five panic, three times at most; all others are late by 100 ms; `off` is never
//! reached. Without a percentage and a count a term always fires.
//!
//! The tasks are `off`, `return(value)`, `error(text)`, `panic(text)`, `exit(reason)`, `delay(millis)` (or `sleep`), `busy(millis)`,
//! `hang` (or `pause`), `yield` and `print(text)`: see [`Task`]. A reason is `normal`, `shutdown`, `shutdown: text`, `killed`, `environment: text` or a
//! text, which stands for an error. Only `fail`'s `delay` is different: it spins, which here is called `busy`. An argument may hold
//! `)`, `->` and `;`, as long as no term could end there.
//!
//! A list of points ([`Plan::parse`], [`from_env`]) is `name=tasks;name=tasks`. The name is a glob; before it may stand a glob of the
//! process path and a `:`, behind it conditions: `**/peer *:wire.read[page=7,kind=data*]=5%panic`.
//!
//! # What a seed fixes
//!
//! The die at a hit is made of the seed, the name of the point, the path of the process, and which hit it is of this point in this
//! process path (over all incarnations, since the plan was armed). So the same seed fires at the same hits, whatever the threads
//! do. What it does not fix: how often and in which order the processes come to their points; who gets the last of a shared
//! count ([`Point::each`] makes counts the process's own); and code outside of any process, where all threads count together.
//! What was done stands in a [`Log`], which [`Plan::replay`] and [`Monkey::replay`] do again.

mod census;
mod dice;
mod grammar;
mod list;
mod log;
mod monkey;
mod plan;
mod point;
mod site;
mod spend;
mod syntax;
#[cfg(test)]
mod tests;
mod way;

pub use grammar::Task;
pub use log::{Action, Log, LogError};
pub use monkey::Monkey;
pub use plan::{Armed, Plan, PointInfo, armed, disarm_all, seed};
pub use point::Point;
pub use site::{Fault, Given, SiteInfo, sites};
#[doc(hidden)]
pub use site::{Outcome, Site};
pub use syntax::{Problem, SyntaxError};
pub use way::Way;

use crate::rt;
use std::{fmt, sync::atomic::Ordering};

/// Points for [`from_env`], as a list.
pub const VARIABLE: &str = "SUPERVISORS_FAULTS";

/// The seed for [`from_env`], a whole number from 0.
pub const SEED_VARIABLE: &str = "SUPERVISORS_FAULTS_SEED";

/// Arms `tasks` at all points whose name fits the glob `name`, until what this returns is dropped. [`Plan`] does more.
pub fn arm(name: &str, tasks: &str) -> Result<Armed, SyntaxError> {
    Ok(Plan::new([Point::new(name, tasks)?]).arm())
}

/// Why nothing was armed from the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvError {
    /// What the variable holds is not Unicode.
    NotUnicode {
        /// Which.
        variable: &'static str,
    },
    /// [`VARIABLE`] holds no list of points.
    Points(SyntaxError),
    /// [`SEED_VARIABLE`] holds no whole number from 0.
    Seed(String),
}

impl fmt::Display for EnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUnicode { variable } => write!(f, "{variable} is not Unicode"),
            Self::Points(error) => write!(f, "{VARIABLE}: {error}"),
            Self::Seed(text) => write!(f, "{SEED_VARIABLE}: {text:?} is not a whole number"),
        }
    }
}

impl std::error::Error for EnvError {}

/// Arms what the environment variable [`VARIABLE`] lists, with the seed in [`SEED_VARIABLE`]. `Ok(None)`: it is not set, or
/// empty. Nothing is read unless this is called. What it returns has to be kept, or told to [`stay`](Armed::stay).
pub fn from_env() -> Result<Option<Armed>, EnvError> {
    let read = |variable| rt::env(variable).map_err(|_| EnvError::NotUnicode { variable });
    let points = read(VARIABLE)?.unwrap_or_default();
    let plan = from_text(&points, read(SEED_VARIABLE)?.as_deref())?;
    Ok(plan.map(Plan::arm))
}

fn from_text(points: &str, seed: Option<&str>) -> Result<Option<Plan>, EnvError> {
    let plan = Plan::parse(points).map_err(EnvError::Points)?;
    let plan = match seed.map(str::trim).filter(|seed| !seed.is_empty()) {
        Some(seed) => plan.seed(seed.parse().map_err(|_| EnvError::Seed(seed.to_string()))?),
        None => plan,
    };
    Ok((!plan.is_empty()).then_some(plan))
}

/// Something is armed somewhere: the one relaxed load.
#[doc(hidden)]
#[inline(always)]
pub fn is_armed() -> bool {
    plan::ARMED.load(Ordering::Relaxed) != 0
}

/// For the macro: what `fail` does in such a place.
#[doc(hidden)]
#[track_caller]
pub fn no_place(fault: &Fault) -> ! {
    panic!("the fault point {} takes no error and no value: {fault}", fault.site)
}

/// A fault point: see [`faults`](crate::faults#the-macros).
///
/// ```
/// # use supervisors::fault_point;
/// fn length(text: &str) -> usize {
///     fault_point!("text.length", of = text, |fault| fault.value().map_or(0, str::len));
///     text.len()
/// }
/// async fn pause() {
///     fault_point!(async "text.pause");
/// }
/// ```
#[macro_export]
macro_rules! fault_point {
    (async $name:literal $(, $key:ident = $value:expr)* $(,)?) => {
        if let ::core::result::Result::Err(fault) = $crate::fault_result!(async $name $(, $key = $value)*) {
            $crate::faults::no_place(&fault);
        }
    };
    ($name:literal $(, $key:ident = $value:expr)* $(,)?) => {
        if let ::core::result::Result::Err(fault) = $crate::fault_result!($name $(, $key = $value)*) {
            $crate::faults::no_place(&fault);
        }
    };
    (async $name:literal $(, $key:ident = $value:expr)*, |$fault:pat_param| $returned:expr $(,)?) => {
        if let ::core::result::Result::Err($fault) = $crate::fault_result!(async $name $(, $key = $value)*) {
            return $returned;
        }
    };
    ($name:literal $(, $key:ident = $value:expr)*, |$fault:pat_param| $returned:expr $(,)?) => {
        if let ::core::result::Result::Err($fault) = $crate::fault_result!($name $(, $key = $value)*) {
            return $returned;
        }
    };
}

/// A fault point whose error or value the code takes as `Err(`[`Fault`](crate::faults::Fault)`)`: see
/// [`faults`](crate::faults#the-macros). A `Fault` becomes an [`ExitReason`](crate::ExitReason) or a [`std::io::Error`] by `?`.
#[macro_export]
macro_rules! fault_result {
    (async $name:literal $(, $key:ident = $value:expr)* $(,)?) => {
        match $crate::__fault_outcome!($name $(, $key = $value)*) {
            ::core::option::Option::None => ::core::result::Result::Ok(()),
            ::core::option::Option::Some(outcome) => outcome.wait().await,
        }
    };
    ($name:literal $(, $key:ident = $value:expr)* $(,)?) => {
        match $crate::__fault_outcome!($name $(, $key = $value)*) {
            ::core::option::Option::None => ::core::result::Result::Ok(()),
            ::core::option::Option::Some(outcome) => outcome.block(),
        }
    };
}

/// A block, so that nothing that the values borrow lives on while the outcome is awaited.
#[doc(hidden)]
#[macro_export]
macro_rules! __fault_outcome {
    ($name:literal $(, $key:ident = $value:expr)*) => {{
        if $crate::faults::is_armed() {
            static SITE: $crate::faults::Site = $crate::faults::Site::new($name, ::core::file!(), ::core::line!());
            let outcome = SITE.hit(&[$((::core::stringify!($key), &$value as &dyn ::core::fmt::Display)),*]);
            outcome
        } else {
            ::core::option::Option::None
        }
    }};
}

/// The code in docs/faults.md is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/faults.md")]
struct Page;
