//! Who supervises whom: the folder listing is the supervision tree.
//!
//! A `_sup` file holds a strategy, an intensity with its reason, and children in start order; nothing else. Rules are in
//! `protocol/`, loops in `process/`. Intensities are per level and multiply downwards, so each is computed from what it guards.

pub(crate) mod bt_erl_sup;

pub(crate) use bt_erl_sup::magnets_sup::magnet_sup::{self, metadata_peers_sup};
pub(crate) use bt_erl_sup::torrents_sup::torrent_sup::trackers_sup::{Announced, Announcer};
pub(crate) use bt_erl_sup::torrents_sup::torrent_sup::{peers_sup, trackers_sup};
