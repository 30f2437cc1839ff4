//! What is asked of a tracker and what it answers (BEP 3, 7, 23).
//!
//! A request becomes a URL, an answer becomes numbers and addresses. Sending, redirects and time limits are the tracker
//! process's. Whatever the tracker says, waiting times are between a minute and an hour and peers at most [`MAX_PEERS`].

use std::collections::HashSet;
use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::bencode::{self, BencodeError, Dict};
use super::{InfoHash, PeerId};

/// Most peers taken from one answer.
pub const MAX_PEERS: usize = 2000;
/// Longest answer that is looked at, in bytes.
pub const MAX_REPLY_BYTES: usize = 2 << 20;
/// Longest text of a tracker's that is passed on, in characters.
const MAX_TEXT: usize = 200;
/// Longest `tracker id` that is kept, in bytes.
const MAX_TRACKER_ID: usize = 512;
const DEFAULT_INTERVAL: i64 = 1800;

/// Why an announce is made out of turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The first of a session.
    Started,
    /// The last of a session.
    Stopped,
    /// The download has become complete; never when it was so from the start.
    Completed,
}

/// One announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnounceRequest {
    /// Which torrent.
    pub info_hash: InfoHash,
    /// Who we are in this session.
    pub peer_id: PeerId,
    /// Where we listen.
    pub port: u16,
    /// Bytes sent to peers since `Started`.
    pub uploaded: u64,
    /// Bytes got from peers since `Started`.
    pub downloaded: u64,
    /// Bytes still missing.
    pub left: u64,
    /// `None` at the regular interval.
    pub event: Option<Event>,
    /// Peers wanted; `None` leaves it to the tracker.
    pub numwant: Option<u32>,
    /// The same all session, so that the tracker knows us when our address changes.
    pub key: Option<u32>,
    /// What an earlier answer gave.
    pub tracker_id: Option<Vec<u8>>,
    /// Ask for compact peers (BEP 23).
    pub compact: bool,
}

/// What a tracker answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnounceReply {
    /// Until the next regular announce; a minute to an hour, half an hour when not given.
    pub interval: Duration,
    /// No announce before this, if given; a minute to an hour.
    pub min_interval: Option<Duration>,
    /// Where peers are; each once, none with port 0 or an address that no peer can have.
    pub peers: Vec<SocketAddr>,
    /// Entries of the answer that were no such address, came twice, or were too many.
    pub dropped: usize,
    /// Peers that have everything (`complete`).
    pub seeders: Option<u32>,
    /// Peers that do not (`incomplete`).
    pub leechers: Option<u32>,
    /// Something for the user to read; printable.
    pub warning: Option<String>,
    /// To be given back with later announces.
    pub tracker_id: Option<Vec<u8>>,
}

/// Why an announce brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnnounceError {
    /// The tracker refused.
    Failure {
        /// Its words; printable, at most 200 characters.
        reason: String,
    },
    /// The answer is longer than [`MAX_REPLY_BYTES`].
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The answer is not bencode, or not that of a tracker.
    NotAReply(BencodeError),
    /// The announce URL cannot be called.
    BadUrl,
}

impl fmt::Display for AnnounceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failure { reason } => write!(f, "the tracker refused: {reason}"),
            Self::TooLarge { bytes } => {
                write!(f, "the answer of {bytes} bytes is longer than the {MAX_REPLY_BYTES} that are read")
            }
            Self::NotAReply(error) => write!(f, "the answer is not that of a tracker: {error}"),
            Self::BadUrl => write!(f, "the announce URL is empty or holds a space or control character"),
        }
    }
}

impl std::error::Error for AnnounceError {}

impl AnnounceRequest {
    /// The URL to get: `base` with the parameters appended to whatever query it has.
    pub fn url(&self, base: &str) -> Result<String, AnnounceError> {
        let base = base.split('#').next().unwrap_or_default();
        if base.is_empty() || base.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(AnnounceError::BadUrl);
        }
        let joint = match base.split_once('?') {
            None => "?",
            Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
            Some(_) => "&",
        };
        let mut url =
            format!("{base}{joint}info_hash={}&peer_id={}", Escaped(&self.info_hash.0), Escaped(&self.peer_id.0));
        let mut add = |name: &str, value: &dyn fmt::Display| {
            // Writing to a string cannot fail.
            let _ = write!(url, "&{name}={value}");
        };
        add("port", &self.port);
        add("uploaded", &self.uploaded);
        add("downloaded", &self.downloaded);
        add("left", &self.left);
        add("compact", &u8::from(self.compact));
        if let Some(event) = self.event {
            add("event", &event);
        }
        if let Some(numwant) = self.numwant {
            add("numwant", &numwant);
        }
        if let Some(key) = self.key {
            add("key", &format_args!("{key:08x}"));
        }
        if let Some(id) = &self.tracker_id {
            add("trackerid", &Escaped(id));
        }
        Ok(url)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Completed => "completed",
        })
    }
}

/// Bytes in a query: unreserved characters as they are, the rest as `%` and two hex digits (RFC 3986).
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => f.write_char(char::from(*byte)),
            _ => write!(f, "%{byte:02X}"),
        })
    }
}

impl AnnounceReply {
    /// Reads the body of an answer. What follows the bencoding is ignored: some trackers add a line feed.
    pub fn parse(body: &[u8]) -> Result<Self, AnnounceError> {
        if body.len() > MAX_REPLY_BYTES {
            return Err(AnnounceError::TooLarge { bytes: body.len() });
        }
        let (root, _) = bencode::read_first(body).map_err(AnnounceError::NotAReply)?;
        let root = root.dict().map_err(AnnounceError::NotAReply)?;
        if let Some(reason) = text(&root, "failure reason") {
            return Err(AnnounceError::Failure { reason });
        }
        if ["interval", "peers", "peers6"].iter().all(|key| root.get(key).is_none()) {
            return Err(AnnounceError::NotAReply(root.int("interval").err().unwrap_or(BencodeError::Truncated)));
        }
        let int = |key| root.get(key).and_then(|value| value.int());
        let count = |key| int(key).and_then(|n| u32::try_from(n).ok());
        let wait = |secs: i64| Duration::from_secs(secs.clamp(60, 3600) as u64);
        let mut peers = Peers::default();
        peers.read(&root);
        Ok(Self {
            interval: wait(int("interval").unwrap_or(DEFAULT_INTERVAL)),
            min_interval: int("min interval").map(wait),
            peers: peers.found,
            dropped: peers.dropped,
            seeders: count("complete"),
            leechers: count("incomplete"),
            warning: text(&root, "warning message"),
            tracker_id: root.bytes("tracker id").ok().filter(|id| id.len() <= MAX_TRACKER_ID).map(<[u8]>::to_vec),
        })
    }
}

/// A tracker's text without what could confuse a terminal or fill a log.
fn text(root: &Dict<'_>, key: &str) -> Option<String> {
    let bytes = root.bytes(key).ok()?;
    let bytes = &bytes[..bytes.len().min(4 * MAX_TEXT)];
    Some(
        String::from_utf8_lossy(bytes)
            .chars()
            .filter(|c| !super::metainfo::is_unprintable(*c))
            .take(MAX_TEXT)
            .collect(),
    )
}

/// Peers as they are found in the three forms that trackers use.
#[derive(Default)]
struct Peers {
    found: Vec<SocketAddr>,
    known: HashSet<SocketAddr>,
    dropped: usize,
}

impl Peers {
    fn read(&mut self, root: &Dict<'_>) {
        let peers = root.get("peers");
        if let Some(compact) = peers.and_then(|peers| peers.bytes()) {
            self.compact::<6>(compact, |[a, b, c, d, high, low]| ([*a, *b, *c, *d].into(), [*high, *low]));
        }
        for entry in peers.and_then(|peers| peers.list()).into_iter().flatten() {
            match entry.dict().ok().and_then(|entry| address(&entry)) {
                Some(address) => self.add(address),
                None => self.dropped += 1,
            }
        }
        if let Ok(compact) = root.bytes("peers6") {
            self.compact::<18>(compact, |bytes| {
                let mut ip = [0; 16];
                ip.copy_from_slice(&bytes[..16]);
                (ip.into(), [bytes[16], bytes[17]])
            });
        }
    }

    /// Whole entries count; what is left over at the end is one that was cut.
    fn compact<const N: usize>(&mut self, bytes: &[u8], split: impl Fn(&[u8; N]) -> (IpAddr, [u8; 2])) {
        let (entries, cut) = bytes.as_chunks::<N>();
        self.dropped += usize::from(!cut.is_empty());
        for entry in entries {
            let (ip, port) = split(entry);
            self.add(SocketAddr::new(ip.to_canonical(), u16::from_be_bytes(port)));
        }
    }

    fn add(&mut self, address: SocketAddr) {
        let callable = address.port() != 0 && is_callable(address.ip());
        if callable && self.found.len() < MAX_PEERS && self.known.insert(address) {
            self.found.push(address);
        } else {
            self.dropped += 1;
        }
    }
}

/// A peer's dictionary. Host names are not resolved: an answer could make us ask for thousands of them.
fn address(entry: &Dict<'_>) -> Option<SocketAddr> {
    let ip: IpAddr = str::from_utf8(entry.bytes("ip").ok()?).ok()?.parse().ok()?;
    let port = u16::try_from(entry.int("port").ok()?).ok()?;
    Some(SocketAddr::new(ip.to_canonical(), port))
}

/// False for addresses that belong to nobody. Loopback is somebody: the user's own machine.
fn is_callable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !(ip.octets()[0] == 0 || ip.is_multicast() || ip == Ipv4Addr::BROADCAST),
        IpAddr::V6(ip) => !(ip == Ipv6Addr::UNSPECIFIED || ip.is_multicast()),
    }
}

#[cfg(test)]
mod tests;
