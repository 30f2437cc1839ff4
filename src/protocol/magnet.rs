//! Magnet links (BEP 9, with `x.pe` and `dn`): text in, the name of a torrent and where to ask for the rest of it out.
//!
//! ```text
//! magnet:?xt=urn:btih:<40 hex or 32 base32 digits>&dn=<name>&tr=<announce URL>&x.pe=<host:port>
//! ```
//! Pure. A link names the torrent or is refused; trackers and peers in it that cannot be used are left out, and the number of those that
//! are kept has a limit. It resolves no names and fetches nothing: that is `Session::fetch`.

use std::fmt;
use std::str::FromStr;

use super::InfoHash;
use super::metainfo::{announce_url, is_unprintable};

/// Longest link that is read, in bytes.
pub const MAX_BYTES: usize = 64 << 10;
/// Most trackers, and most peers, that are kept of a link.
const MAX_NAMED: usize = 200;
/// Longest name kept, in characters.
const MAX_NAME: usize = 255;
/// Longest host name there is (RFC 1035), in bytes.
const MAX_HOST: usize = 253;

/// What a magnet link says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Magnet {
    /// `xt`: which torrent.
    pub info_hash: InfoHash,
    /// `dn`: what it is called, for people until the torrent's own name is known; printable, at most 255 characters.
    pub name: Option<String>,
    /// `tr`: announce URLs, each once, at most 200.
    pub trackers: Vec<String>,
    /// `x.pe`: peers to call directly, each once, at most 200.
    pub peers: Vec<PeerName>,
}

/// Where a peer is, not resolved yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerName {
    /// A host name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// Not 0.
    pub port: u16,
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Why a text is no link to a torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MagnetError {
    /// It does not begin with `magnet:?`.
    NotMagnet,
    /// Longer than [`MAX_BYTES`].
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// No `xt` that names a torrent.
    NoInfoHash,
    /// Only the name of a torrent of BEP 52 (`urn:btmh`).
    VersionTwoOnly,
    /// `urn:btih` is followed by neither 40 hex nor 32 base32 digits.
    BadInfoHash {
        /// How many characters follow it.
        length: usize,
    },
    /// Two `xt` name different torrents.
    SeveralTorrents,
}

impl fmt::Display for MagnetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMagnet => write!(f, "a magnet link begins with magnet:?"),
            Self::TooLong { bytes } => write!(f, "the magnet link has {bytes} bytes, more than the {MAX_BYTES} read"),
            Self::NoInfoHash => write!(f, "the magnet link names no torrent (xt=urn:btih:… is missing)"),
            Self::VersionTwoOnly => write!(
                f,
                "the magnet link names a torrent of protocol version 2 only (urn:btmh), which is not supported; \
                 get the link of the hybrid or version 1 torrent"
            ),
            Self::BadInfoHash { length } => {
                write!(
                    f,
                    "the magnet link's info hash has {length} characters that are neither 40 hex nor 32 base32 digits"
                )
            }
            Self::SeveralTorrents => write!(f, "the magnet link names several torrents (different xt=urn:btih:…)"),
        }
    }
}

impl std::error::Error for MagnetError {}

impl FromStr for Magnet {
    type Err = MagnetError;

    fn from_str(link: &str) -> Result<Self, MagnetError> {
        let begins = link.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("magnet:?"));
        let query = link.get(8..).filter(|_| begins).ok_or(MagnetError::NotMagnet)?;
        if link.len() > MAX_BYTES {
            return Err(MagnetError::TooLong { bytes: link.len() });
        }
        let mut hashes: Vec<InfoHash> = Vec::new();
        let (mut version_two, mut name) = (false, None);
        let (mut trackers, mut peers) = (Vec::new(), Vec::new());
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            // Several of a kind may be numbered, as in tr.1.
            let key = key.rsplit_once('.').filter(|(_, n)| is_number(n)).map_or(key, |(key, _)| key);
            match key.to_ascii_lowercase().as_str() {
                "xt" => match topic(&unescaped(value, false)) {
                    Topic::Torrent(hash) => hashes.push(hash?),
                    Topic::VersionTwo => version_two = true,
                    Topic::Other => {}
                },
                "dn" if name.is_none() => name = printable(&unescaped(value, true)),
                "tr" => keep(&mut trackers, announce_url(&unescaped(value, false))),
                "x.pe" => keep(&mut peers, peer_name(&unescaped(value, false))),
                _ => {}
            }
        }
        let Some(info_hash) = hashes.first().copied() else {
            return Err(if version_two { MagnetError::VersionTwoOnly } else { MagnetError::NoInfoHash });
        };
        if hashes.iter().any(|other| *other != info_hash) {
            return Err(MagnetError::SeveralTorrents);
        }
        Ok(Self { info_hash, name, trackers, peers })
    }
}

enum Topic {
    Torrent(Result<InfoHash, MagnetError>),
    VersionTwo,
    /// Of another network.
    Other,
}

fn topic(value: &[u8]) -> Topic {
    let text = String::from_utf8_lossy(value);
    let lower = text.to_ascii_lowercase();
    match lower.strip_prefix("urn:btih:") {
        Some(digits) => {
            let hash = hex(digits).or_else(|| base32(digits)).map(InfoHash);
            Topic::Torrent(hash.ok_or(MagnetError::BadInfoHash { length: digits.chars().count() }))
        }
        None if lower.starts_with("urn:btmh:") => Topic::VersionTwo,
        None => Topic::Other,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Adds what is new as long as there is room.
fn keep<T: Ord>(kept: &mut Vec<T>, new: Option<T>) {
    if let Some(new) = new
        && kept.len() < MAX_NAMED
        && !kept.contains(&new)
    {
        kept.push(new);
    }
}

/// Percent escapes undone (RFC 3986); one that is none stays as it is. `plus`: a plus stands for a space.
fn unescaped(text: &str, plus: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escape = after.first_chunk::<2>().filter(|_| *first == b'%');
        match escape.and_then(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)) {
            Some(byte) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push(if plus && *first == b'+' { b' ' } else { *first });
                rest = after;
            }
        }
    }
    out
}

fn digit(hex: u8) -> Option<u8> {
    char::from(hex).to_digit(16).map(|digit| digit as u8)
}

fn hex(text: &str) -> Option<[u8; 20]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes.filter(|_| rest.is_empty())?.try_into().ok()
}

/// Five bits a digit, `a` to `z` and then `2` to `7` (RFC 4648); `text` in lower case.
fn base32(text: &str) -> Option<[u8; 20]> {
    let value = |b: u8| match b {
        b'a'..=b'z' => Some(b - b'a'),
        b'2'..=b'7' => Some(b - b'2' + 26),
        _ => None,
    };
    let fives: Vec<u8> = text.bytes().map(value).collect::<Option<_>>()?;
    let (eights, rest) = fives.as_chunks::<8>();
    let five_bytes = |digits: &[u8; 8]| {
        let [.., a, b, c, d, e] = digits.iter().fold(0_u64, |bits, five| bits << 5 | u64::from(*five)).to_be_bytes();
        [a, b, c, d, e]
    };
    let bytes: Vec<u8> = eights.iter().flat_map(five_bytes).collect();
    bytes.try_into().ok().filter(|_| rest.is_empty())
}

fn printable(bytes: &[u8]) -> Option<String> {
    let text: String = String::from_utf8_lossy(bytes).chars().filter(|c| !is_unprintable(*c)).take(MAX_NAME).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn peer_name(bytes: &[u8]) -> Option<PeerName> {
    let (host, port) = str::from_utf8(bytes).ok()?.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let fits = match bracketed {
        Some(host) => host.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            !host.is_empty() && host.len() <= MAX_HOST && host.bytes().all(plain)
        }
    };
    fits.then(|| PeerName { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a";
    /// The same in base32.
    const BASE32: &str = "YEX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK";

    fn read(link: &str) -> Result<Magnet, MagnetError> {
        link.parse()
    }

    #[test]
    fn a_link_names_the_torrent_in_hex_or_base32_and_where_to_ask() {
        let magnet = read(&format!(
            "magnet:?xt=urn:btih:{HEX}&dn=a+name%20%e2%98%83&tr=http%3A%2F%2Ft.example%2Fannounce%3Fk%3D1&tr.1=https://u.example/a+b\
             &x.pe=192.0.2.7:6881&x.pe=[2001:db8::7]:1&x.pe=peer.example:2&xl=17&as=junk"
        ))
        .unwrap();
        assert_eq!(magnet.info_hash.to_string(), HEX);
        assert_eq!(magnet.name.as_deref(), Some("a name ☃"));
        assert_eq!(magnet.trackers, ["http://t.example/announce?k=1", "https://u.example/a+b"]);
        let peers: Vec<String> = magnet.peers.iter().map(ToString::to_string).collect();
        assert_eq!(peers, ["192.0.2.7:6881", "[2001:db8::7]:1", "peer.example:2"]);
        for link in [format!("MAGNET:?XT=urn:btih:{BASE32}"), format!("magnet:?xt.1=URN:BTIH:{}", HEX.to_uppercase())] {
            assert_eq!(read(&link).unwrap().info_hash, magnet.info_hash, "{link}");
        }
    }

    #[test]
    fn a_link_without_a_torrent_is_refused_by_name() {
        assert_eq!(read("http://t.example/x.torrent"), Err(MagnetError::NotMagnet));
        assert_eq!(read("magnet:"), Err(MagnetError::NotMagnet));
        assert_eq!(read("magnet:?"), Err(MagnetError::NoInfoHash));
        assert_eq!(read("magnet:?xt=urn:sha1:PDAQRAOQQRYS76MRZJ33LK4MMVZBDSCL"), Err(MagnetError::NoInfoHash));
        assert_eq!(read("magnet:?xt=urn:btmh:1220aa"), Err(MagnetError::VersionTwoOnly));
        assert_eq!(read("magnet:?xt=urn:btih:00"), Err(MagnetError::BadInfoHash { length: 2 }));
        let not_hex = format!("magnet:?xt=urn:btih:{}g", &HEX[1..]);
        assert_eq!(read(&not_hex), Err(MagnetError::BadInfoHash { length: 40 }));
        let two = format!("magnet:?xt=urn:btih:{HEX}&xt=urn:btih:{}0", &HEX[..39]);
        assert_eq!(read(&two), Err(MagnetError::SeveralTorrents));
        let long = format!("magnet:?xt=urn:btih:{HEX}&dn={}", "x".repeat(MAX_BYTES));
        assert_eq!(read(&long), Err(MagnetError::TooLong { bytes: long.len() }));
    }

    #[test]
    fn a_hybrid_link_is_read_as_version_1_and_the_same_hash_twice_is_one() {
        let link = format!("magnet:?xt=urn:btmh:1220aa&xt=urn:btih:{HEX}&xt=urn:btih:{BASE32}");
        assert_eq!(read(&link).unwrap().info_hash.to_string(), HEX);
    }

    #[test]
    fn what_cannot_be_used_is_left_out_and_what_is_kept_has_a_limit() {
        let junk = "&tr=&tr=nonsense&tr=http://a%0ab/&x.pe=nowhere&x.pe=h:0&x.pe=h:70000&x.pe=a b:1&x.pe=[::g]:1&dn=%1b%00&&=&tr";
        let magnet = read(&format!("magnet:?xt=urn:btih:{HEX}{junk}")).unwrap();
        assert_eq!((magnet.trackers.len(), magnet.peers.len(), magnet.name), (0, 0, None));
        let many: String =
            (1..=500).map(|n| format!("&tr=http://t{n}/a&tr=http://t1/a&x.pe=h{n}:1&x.pe=h1:1")).collect();
        let magnet = read(&format!("magnet:?xt=urn:btih:{HEX}{many}")).unwrap();
        assert_eq!((magnet.trackers.len(), magnet.peers.len()), (MAX_NAMED, MAX_NAMED));
        assert_eq!(magnet.peers[1].host, "h2", "each once");
    }

    proptest! {
        #[test]
        fn any_text_is_a_link_or_an_error(text in ".{0,200}") {
            let _ = read(&text);
            let _ = read(&format!("magnet:?{text}"));
            let _ = read(&format!("magnet:?xt=urn:btih:{HEX}&{text}"));
        }

        #[test]
        fn both_spellings_of_a_hash_are_the_same(hash: [u8; 20]) {
            let bits: String = hash.iter().map(|b| format!("{b:08b}")).collect();
            let digits = b"abcdefghijklmnopqrstuvwxyz234567";
            let base32: String = (0..32).map(|n| char::from(digits[usize::from_str_radix(&bits[5 * n..5 * n + 5], 2).unwrap()])).collect();
            prop_assert_eq!(super::base32(&base32), Some(hash));
            prop_assert_eq!(super::hex(&InfoHash(hash).to_string()), Some(hash));
        }
    }
}
