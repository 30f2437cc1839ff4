//! A BitTorrent client whose inside is an Erlang/OTP supervision tree.
//!
//! ```text
//! bt_erl_sup              rest_for_one   a session
//! ├── storage_sup         one_for_one    piece workers (SHA-1) and file workers, each on a thread of its own
//! ├── torrents_sup        one_for_one    one torrent_sup per torrent
//! │   └── torrent_sup     rest_for_one
//! │       ├── store                      which pieces are verified and on disk
//! │       ├── client                     have and want, whom to ask for what
//! │       ├── trackers_sup one_for_one   one tracker process per announce URL
//! │       └── peers_sup   simple_one_for_one  one peer process per connection
//! ├── magnets_sup         simple_one_for_one  one magnet_sup per magnet link, until its torrent is known
//! └── listener                           accepts connections
//! ```
//!
//! Where to look: [`Session`] starts it all; [`protocol`] is pure (bytes and rules); `process` holds the loops, `tree` the
//! supervisors; [`rt`] is the only door to clock, network, disk and dice. `docs/architecture.md` walks the life of a block.
//!
//! ```no_run
//! use bt_erl::{Config, Metainfo, Session, TorrentOptions};
//!
//! # async fn example(bytes: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//! let session = Session::start(Config::default()).await?;
//! let torrent = session.add(Metainfo::parse(bytes)?, TorrentOptions::new("downloads")).await?;
//! println!("{:?}", torrent.wait().await);
//! session.stop().await;
//! # Ok(())
//! # }
//! ```

mod check;
mod config;
mod content;
mod create;
mod events;
mod hashing;
mod process;
pub mod protocol;
pub mod rt;
mod session;
mod stats;
mod tables;
mod tree;

pub use check::{CheckedFile, FileState, check};
pub use config::{BindTo, Config, TorrentOptions};
pub use create::{CreateError, create};
pub use events::{DiskChange, Event, Events, PeerChange, TrackerOutcome};
pub use hashing::HashProgress;
pub use process::tracker_server;
pub use protocol::{InfoHash, Magnet, MagnetError, Metainfo, MetainfoError};
pub use session::{FetchError, FetchOptions, Outcome, Progress, Session, SessionError, Torrent};
pub use stats::{BlockMemory, PeerStats, Wasted};
pub use tables::{Paused, State};
