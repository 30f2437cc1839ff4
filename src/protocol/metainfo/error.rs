//! Everything that can be wrong with a torrent file, each with one sentence that says where.

use std::fmt;

use crate::protocol::bencode::BencodeError;
use crate::protocol::layout::MAX_PIECE_BYTES;
use crate::protocol::{LayoutError, Metainfo};

/// Why a file is no torrent that can be downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetainfoError {
    /// Longer than [`Metainfo::MAX_BYTES`].
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// Not bencode, or a field is missing or of the wrong kind.
    Bencode(BencodeError),
    /// A torrent of BEP 52 without the fields of BEP 3 beside it.
    VersionTwoOnly,
    /// Not from 1 byte to 1 GiB.
    PieceLength {
        /// What it says.
        piece_length: i64,
    },
    /// A file shorter than nothing.
    NegativeLength {
        /// Its number, from 0.
        file: usize,
        /// What it says.
        length: i64,
    },
    /// `length` says one file, `files` says several.
    LengthAndFiles,
    /// Neither `length` nor `files`.
    NoLength,
    /// `files` is empty.
    NoFiles,
    /// The lengths do not make a torrent.
    Layout(LayoutError),
    /// `pieces` is not a whole number of hashes.
    HashesCut {
        /// Its length.
        bytes: usize,
    },
    /// Not one hash for each piece.
    HashCount {
        /// How many there are.
        hashes: usize,
        /// How many the lengths ask for.
        pieces: u32,
    },
    /// A path without components.
    EmptyPath {
        /// Number of the file, from 0.
        file: usize,
    },
    /// A path of more components than any file system wants, or of too many bytes altogether.
    PathTooLong {
        /// Number of the file, from 0.
        file: usize,
    },
    /// The lists of files and hashes would not fit the memory that a torrent may take.
    TooMuchMemory,
}

impl fmt::Display for MetainfoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => {
                return write!(f, "the file has {bytes} bytes, more than the {} that are read", Metainfo::MAX_BYTES);
            }
            Self::VersionTwoOnly => {
                return write!(
                    f,
                    "this is a torrent of protocol version 2 only (info has no pieces), which is not supported; \
                     get the hybrid or version 1 torrent of the same content"
                );
            }
            Self::TooMuchMemory => {
                return write!(
                    f,
                    "the lists of files and hashes (info → files, info → pieces) are larger than is supported"
                );
            }
            Self::Layout(error @ LayoutError::TooManyPieces { .. }) => {
                return write!(f, "{error}; its maker has to choose a larger piece length");
            }
            Self::Bencode(error) => error.fmt(f)?,
            Self::PieceLength { piece_length } => match piece_length {
                0 => write!(f, "piece length is 0 (info → piece length)")?,
                n => write!(f, "piece length is {n}, not from 1 to {MAX_PIECE_BYTES} bytes (info → piece length)")?,
            },
            Self::NegativeLength { file, length } => write!(f, "file {file} has the length {length}")?,
            Self::LengthAndFiles => write!(f, "it says both one file and several (info → length, info → files)")?,
            Self::NoLength => write!(f, "it names no files (neither info → length nor info → files)")?,
            Self::NoFiles => write!(f, "its list of files is empty (info → files)")?,
            Self::Layout(error) => write!(f, "{error} (info)")?,
            Self::HashesCut { bytes } => {
                write!(f, "its hashes take {bytes} bytes, which is no multiple of 20 (info → pieces)")?;
            }
            Self::HashCount { hashes, pieces } => {
                write!(f, "it has {hashes} hashes for {pieces} pieces (info → pieces)")?;
            }
            Self::EmptyPath { file } => write!(f, "the name of file {file} is empty (info → files → {file} → path)")?,
            Self::PathTooLong { file } => {
                write!(f, "the name of file {file} has too many parts or bytes (info → files → {file} → path)")?;
            }
        }
        write!(f, "; the torrent file is damaged or hostile, get it again from its source")
    }
}

impl std::error::Error for MetainfoError {}

impl From<BencodeError> for MetainfoError {
    fn from(error: BencodeError) -> Self {
        Self::Bencode(error)
    }
}

impl MetainfoError {
    /// Says where the dictionary is in which a field was wrong.
    pub(super) fn within(self, outer: impl fmt::Display) -> Self {
        match self {
            Self::Bencode(error) => Self::Bencode(error.within(outer)),
            other => other,
        }
    }
}
