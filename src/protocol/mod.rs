//! The pure half of bt-erl: what BitTorrent's files and messages mean, and what to fetch next.
//!
//! State and bytes come in, verdicts go out. Nothing here waits, opens, sends, logs, reads a clock or draws a random
//! number: time and seeds are parameters, so a test of any rule is a function call.
//! Everything that comes from outside is checked here, once; behind this boundary an index is known to be in range.

pub mod announce;
pub mod bencode;
pub mod bitfield;
pub mod book;
pub mod bucket;
pub mod choker;
pub mod client_name;
pub mod crowd;
pub mod draft;
pub mod extension;
pub mod fast_set;
pub mod giving;
pub mod handshake;
pub mod lanes;
pub mod layout;
pub mod magnet;
pub mod metainfo;
pub mod ordset;
pub mod picker;
pub mod pieces;
pub mod pipeline;
pub mod rate;
pub mod resume;
pub mod selection;
pub mod suggest;
pub mod turnover;
pub mod upload;
pub mod vault;
pub mod wire;
mod words;

pub use announce::{AnnounceError, AnnounceReply, AnnounceRequest, Event};
pub use bitfield::{Bitfield, BitfieldError};
pub use book::Book;
pub use client_name::client_name;
pub use draft::Draft;
pub use handshake::{Handshake, HandshakeError};
pub use lanes::Lanes;
pub use layout::{FileRange, Layout, LayoutError};
pub use magnet::{Magnet, MagnetError};
pub use metainfo::{File, Mended, Metainfo, MetainfoError, PieceHashes};
pub use ordset::OrdSet;
pub use picker::{Ask, Grant, Opening, Partition, PeerKey, Picker, Picking, Received};
pub use pieces::{Pieces, UnknownPiece};
pub use selection::{FileNumbers, Glob, Selection, SelectionError};
pub use vault::{Evidence, Put, Spill, Vault, Whole};
pub use wire::{Message, WireError};
pub use words::{BLOCK_BYTES, BlockRange, InfoHash, PeerId, PieceIndex, Run};
