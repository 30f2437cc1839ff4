//! The processes: one file, one kind of process, one `enum Msg`, one loop that decides nothing itself.
//!
//! The rules are in `protocol/` (pure), the outside world is behind `rt/`, who supervises whom is in `tree/`.

pub(crate) mod client;
pub(crate) mod file_worker;
pub(crate) mod listener;
pub(crate) mod metadata;
pub(crate) mod metadata_peer;
pub(crate) mod peer;
pub(crate) mod piece_worker;
pub(crate) mod store;
pub(crate) mod tracker;
pub mod tracker_server;
