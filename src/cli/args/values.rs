//! The values of options, from text to what the program works with, or to the sentence that says what is wrong with them.
//!
//! Pure. A value that leaves this file is in range; nobody checks it again.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use bt_erl::{Magnet, MagnetError};

use crate::cli::size::ByteSize;

/// Where a torrent comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TorrentSource {
    /// A torrent file.
    File(PathBuf),
    /// A magnet link: peers have the rest.
    Magnet(Box<Magnet>),
}

impl TryFrom<PathBuf> for TorrentSource {
    type Error = String;

    /// Any path is a file, unless it can only be meant as something else.
    fn try_from(path: PathBuf) -> Result<Self, String> {
        match path.to_str() {
            Some(text) if text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("magnet:")) => {
                let magnet = text.parse().map_err(|error: MagnetError| error.to_string())?;
                Ok(TorrentSource::Magnet(Box::new(magnet)))
            }
            Some(text) if text.starts_with("http://") || text.starts_with("https://") => {
                Err("that is a web address; fetch the torrent file first, as with curl -O, and name it".to_owned())
            }
            _ => Ok(TorrentSource::File(path)),
        }
    }
}

/// `--announce`: URLs that are asked in no particular order.
pub(crate) type Tier = Vec<String>;

/// `--piece-length`: bytes; `None` is "auto".
pub(crate) type PieceLength = Option<u32>;

/// `HOST:PORT`, not resolved yet. HOST is a name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PeerAddress {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Why a text is no `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PeerAddressError {
    /// No colon, or nothing after it.
    NoPort,
    /// Nothing before the colon.
    NoHost,
    /// The part after the colon is not 1 to 65535.
    BadPort(String),
    /// An IPv6 address without brackets: which colon is the port's?
    BareIpv6,
}

impl fmt::Display for PeerAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HOW: &str = "write HOST:PORT, as in 192.0.2.7:6881 or peer.example:6881";
        match self {
            PeerAddressError::NoPort => write!(f, "the port is missing; {HOW}"),
            PeerAddressError::NoHost => write!(f, "the host is missing; {HOW}"),
            PeerAddressError::BadPort(port) => {
                write!(f, "port {port:?} is not a number from 1 to 65535; {HOW}")
            }
            PeerAddressError::BareIpv6 => {
                write!(f, "an IPv6 address needs brackets, as in [2001:db8::7]:6881")
            }
        }
    }
}

impl std::error::Error for PeerAddressError {}

impl FromStr for PeerAddress {
    type Err = PeerAddressError;

    fn from_str(text: &str) -> Result<Self, PeerAddressError> {
        let (host, port) = text.rsplit_once(':').ok_or(PeerAddressError::NoPort)?;
        if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
            return Err(PeerAddressError::BareIpv6);
        }
        if host.is_empty() || host == "[]" {
            return Err(PeerAddressError::NoHost);
        }
        match port.parse::<u16>() {
            _ if port.is_empty() => Err(PeerAddressError::NoPort),
            Ok(port @ 1..) => Ok(PeerAddress { host: host.to_owned(), port }),
            _ => Err(PeerAddressError::BadPort(port.to_owned())),
        }
    }
}

fn url(text: &str, schemes: &[&str]) -> Result<String, String> {
    let fits =
        |scheme: &&str| text.strip_prefix(*scheme).is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    let plain = text.chars().all(|c| c.is_ascii_graphic());
    match schemes.iter().any(fits) && plain {
        true => Ok(text.to_owned()),
        false => Err(format!("not a URL that begins with {}", schemes.join(" or "))),
    }
}

pub(crate) fn tier(text: &str) -> Result<Tier, String> {
    text.split(',').map(|part| url(part, &["http://", "https://", "udp://"])).collect()
}

pub(crate) fn web_seed(text: &str) -> Result<String, String> {
    url(text, &["http://", "https://"])
}

/// From one block to what fits into the memory of those who download it.
pub(crate) fn piece_length(text: &str) -> Result<PieceLength, String> {
    const LEAST: ByteSize = ByteSize(16 << 10);
    const MOST: ByteSize = ByteSize(64 << 20);
    if text == "auto" {
        return Ok(None);
    }
    let size: ByteSize = text.parse().map_err(|error| format!("{error}"))?;
    match u32::try_from(size.0) {
        Ok(bytes) if size >= LEAST && size <= MOST && bytes.is_power_of_two() => Ok(Some(bytes)),
        _ => Err(format!("it has to be a power of two from {LEAST} to {MOST}")),
    }
}

/// `--size` of the demo: less than 8 MiB is over before anybody could crash half way, more than 16 GiB is no demo.
pub(crate) fn demo_size(text: &str) -> Result<ByteSize, String> {
    const LEAST: ByteSize = ByteSize(8 << 20);
    const MOST: ByteSize = ByteSize(16 << 30);
    let size: ByteSize = text.parse().map_err(|error| format!("{error}"))?;
    if size < LEAST || size > MOST {
        return Err(format!("it has to be from {LEAST} to {MOST}"));
    }
    Ok(size)
}

/// `--upload-limit`: bytes per second. A limit that lets nothing through is another wish.
pub(crate) fn upload_limit(text: &str) -> Result<u64, String> {
    per_second(text, "to upload nothing, say --no-upload; for no limit, leave it out")
}

/// `--download-limit`: bytes per second.
pub(crate) fn download_limit(text: &str) -> Result<u64, String> {
    per_second(text, "nothing would ever come; for no limit, leave it out")
}

fn per_second(text: &str, instead_of_0: &str) -> Result<u64, String> {
    const LEAST: ByteSize = ByteSize(1 << 10);
    let text = text.trim();
    let size: ByteSize = text.strip_suffix("/s").unwrap_or(text).parse().map_err(|error| format!("{error}"))?;
    match size.0 {
        0 => Err(format!("0 is no limit that can be kept: {instead_of_0}")),
        _ if size < LEAST => Err(format!("it has to be at least {LEAST} per second")),
        bytes => Ok(bytes),
    }
}

/// `--upload-allowance`: bytes for one peer in ten seconds. Less than a block would be nothing.
pub(crate) fn upload_allowance(text: &str) -> Result<u64, String> {
    const LEAST: ByteSize = ByteSize(16 << 10);
    let size: ByteSize = text.parse().map_err(|error| format!("{error}"))?;
    if size < LEAST {
        return Err(format!("it has to be at least {LEAST}, which is one block; to upload nothing, say --no-upload"));
    }
    Ok(size.0)
}

/// `--upload-slots`.
pub(crate) fn upload_slots(text: &str) -> Result<usize, String> {
    number(text, 1..=10_000, "to upload nothing, say --no-upload")
}

/// `--max-peers`.
pub(crate) fn max_peers(text: &str) -> Result<usize, String> {
    number(text, 1..=10_000, "each is a connection")
}

/// `--memory`: bytes.
pub(crate) fn memory(text: &str) -> Result<u64, String> {
    const LEAST: ByteSize = ByteSize(2 << 20);
    const MOST: ByteSize = ByteSize(1 << 40);
    match text.trim().parse::<ByteSize>() {
        Ok(size) if (LEAST..=MOST).contains(&size) => Ok(size.0),
        Ok(_) => Err(format!("it has to be from {LEAST} to {MOST}; 64 MiB are enough for the fastest of links")),
        Err(error) => Err(error.to_string()),
    }
}

/// `--workers`: of each kind.
pub(crate) fn workers(text: &str) -> Result<usize, String> {
    number(text, 1..=64, "each is a thread")
}

fn number(text: &str, range: RangeInclusive<usize>, remark: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("it has to be a whole number from {} to {}; {remark}", range.start(), range.end())),
    }
}

/// `--endgame`: per cent, from 1 to 100.
pub(crate) fn endgame(text: &str) -> Result<u8, String> {
    let text = text.trim();
    match text.strip_suffix('%').unwrap_or(text).trim_end().parse() {
        Ok(percent @ 1..=100) => Ok(percent),
        _ => Err("it has to be from 1% to 100%, in whole per cent".to_owned()),
    }
}

/// Bytes sent for each byte of wanted content. As `--seed-ratio`: more than 0, at most a million.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct Ratio(pub(crate) f64);

impl FromStr for Ratio {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const MOST: f64 = 1e6;
        let plain = text.chars().all(|c| c.is_ascii_digit() || c == '.');
        match text.parse::<f64>() {
            Ok(0.0) => Err("a ratio of 0 is reached at once; to end on completion, leave it out"),
            Ok(ratio) if plain && ratio <= MOST => Ok(Ratio(ratio)),
            _ => Err("not a number from 0.01 to 1000000; write it as in 1.5 or 2"),
        }
    }
}

impl fmt::Display for Ratio {
    /// Two decimals, never rounded up: 1.00 is printed when it is reached.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", (self.0 * 100.0 + 1e-9).floor() / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_address_is_refused_by_name() {
        let parse = |text: &str| text.parse::<PeerAddress>().err();
        assert_eq!(parse("192.0.2.7:6881"), None);
        assert_eq!(parse("[2001:db8::7]:6881"), None);
        assert_eq!(parse("peer.example:1"), None);
        assert_eq!(parse("192.0.2.7"), Some(PeerAddressError::NoPort));
        assert_eq!(parse("192.0.2.7:"), Some(PeerAddressError::NoPort));
        assert_eq!(parse(":6881"), Some(PeerAddressError::NoHost));
        assert_eq!(parse("h:0"), Some(PeerAddressError::BadPort("0".into())));
        assert_eq!(parse("h:x"), Some(PeerAddressError::BadPort("x".into())));
        assert_eq!(parse("2001:db8::7:6881"), Some(PeerAddressError::BareIpv6));
    }

    #[test]
    fn a_demo_has_a_size_that_makes_sense() {
        assert_eq!(demo_size("64MiB"), Ok(ByteSize(64 << 20)));
        assert!(demo_size("1KiB").is_err());
        assert!(demo_size("1TiB").is_err());
        assert!(demo_size("many").is_err());
    }

    #[test]
    fn a_limit_is_bytes_per_second_and_0_says_how_to_get_what_was_meant() {
        assert_eq!(upload_limit("2MiB"), Ok(2 << 20));
        assert_eq!(upload_limit("500 kB/s"), Ok(500_000));
        assert_eq!(download_limit("1KiB"), Ok(1024));
        assert!(upload_limit("0").unwrap_err().contains("--no-upload"));
        assert!(download_limit("0MiB").unwrap_err().contains("leave it out"));
        assert!(upload_limit("100").unwrap_err().contains("at least 1 KiB"));
        assert!(upload_limit("fast").is_err());
        assert_eq!(upload_allowance("16KiB"), Ok(16384));
        assert!(upload_allowance("16383").unwrap_err().contains("one block"));
    }

    #[test]
    fn numbers_stay_in_their_range() {
        assert_eq!((upload_slots("4"), max_peers("10000")), (Ok(4), Ok(10_000)));
        assert_eq!((workers("1"), workers("64")), (Ok(1), Ok(64)));
        assert!(workers("0").is_err() && workers("65").is_err());
        assert_eq!((memory("2MiB"), memory("64 MiB")), (Ok(2 << 20), Ok(64 << 20)));
        assert!(memory("1MiB").is_err() && memory("2TiB").is_err() && memory("lots").is_err());
        assert!(upload_slots("0").unwrap_err().contains("--no-upload"));
        for text in ["0", "10001", "-1", "many", "", "1.5"] {
            assert!(max_peers(text).is_err(), "{text}");
        }
        assert_eq!((endgame("85%"), endgame("100"), endgame("1 %")), (Ok(85), Ok(100), Ok(1)));
        for text in ["0", "101%", "8.5%", "%", "85%%", "all"] {
            assert!(endgame(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_ratio_is_a_plain_number_above_0() {
        let parse = |text: &str| text.parse::<Ratio>().ok().map(|ratio| ratio.0);
        assert_eq!(
            [parse("1.5"), parse("2"), parse("0.01"), parse(".5")],
            [Some(1.5), Some(2.0), Some(0.01), Some(0.5)]
        );
        assert_eq!([0.999, 1.0, 0.29, 12.345].map(|ratio| Ratio(ratio).to_string()), ["0.99", "1.00", "0.29", "12.34"]);
        for text in ["0", "0.0", "-1", "1e3", "inf", "NaN", "1:2", "1,5", "", ".", "1000001"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_file_is_told_apart() {
        let parse = |text: &str| TorrentSource::try_from(PathBuf::from(text));
        assert_eq!(parse("x.torrent"), Ok(TorrentSource::File("x.torrent".into())));
        let magnet = format!("Magnet:?xt=urn:btih:{}", "a".repeat(40));
        assert!(matches!(parse(&magnet), Ok(TorrentSource::Magnet(_))));
        assert!(parse("magnet:?xt=urn:btih:00").unwrap_err().contains("info hash"));
        assert!(parse("magnet:?xt=urn:btmh:1220").unwrap_err().contains("version 2"));
        assert!(parse("https://t.example/x.torrent").is_err());
    }
}
