//! The only door to the outside: clock, timers, dice, sockets, files, names, HTTP, signals.
//!
//! Nothing outside this folder reads the clock, sleeps, draws a random number, or opens a socket or a file. It is also
//! the only place that names async-std, surf and ureq, so each of them can be replaced here, and so that a second,
//! simulated world can be put under the same processes one day. Nothing in here knows BitTorrent beyond the prefix of
//! our peer id, and nothing in here decides.
//!
//! | file | door to |
//! | --- | --- |
//! | [`backlog`] | what waits for a worker, and who waits for that |
//! | [`blocks`] | memory for blocks, used again and bounded |
//! | [`clock`] | time: now, sleep, tick, time limits |
//! | [`dice`] | randomness: seeds, jitter, peer ids |
//! | [`net`] | TCP: connect, listen, resolve names |
//! | [`files`] | folders that cannot be left, a bounded pool of open files, vectored positional I/O |
//! | [`given`] | files that a person named |
//! | [`http`] | one bounded GET, for trackers |
//! | [`scratch`] | a folder of our own for the time of one run |
//! | [`signals`] | Ctrl-C and SIGTERM |
//! | [`spawn`] | the blocking pool, and the way from `main` into async code |
//! | [`wall`] | the time of day, for people to read |

pub mod backlog;
pub mod blocks;
pub mod clock;
pub mod dice;
pub mod files;
pub mod given;
pub mod http;
pub mod net;
pub mod scratch;
pub mod signals;
pub mod spawn;
pub mod wall;
