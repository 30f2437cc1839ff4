//! An announce as it is read from an HTTP request. Pure.
//!
//! Nothing in it is believed beyond its form; `ip` is not even read.

use crate::protocol::{Event, InfoHash, PeerId};

/// Most header lines of a request.
const HEADERS: usize = 64;

/// A well-formed announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) info_hash: InfoHash,
    pub(super) peer_id: PeerId,
    pub(super) port: u16,
    /// Has everything.
    pub(super) seed: bool,
    pub(super) event: Option<Event>,
    /// Peers wanted.
    pub(super) numwant: Option<usize>,
    pub(super) compact: bool,
    /// Without peer ids, when not compact.
    pub(super) no_peer_id: bool,
}

/// Why a request is not answered with peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    NotHttp,
    TooLong,
    NotGet,
    NotFound,
    /// The announce is not what it should be; a client shows these words.
    Failure(&'static str),
}

impl Refusal {
    /// Status line and body.
    pub(super) fn answer(self) -> (&'static str, Vec<u8>) {
        match self {
            Self::NotHttp => ("400 Bad Request", b"this is not HTTP\n".to_vec()),
            Self::TooLong => ("431 Request Header Fields Too Large", b"the request is too long\n".to_vec()),
            Self::NotGet => ("405 Method Not Allowed", b"only GET\n".to_vec()),
            Self::NotFound => ("404 Not Found", b"this is a BitTorrent tracker; announce at /announce\n".to_vec()),
            Self::Failure(reason) => ("200 OK", format!("d14:failure reason{}:{reason}e", reason.len()).into_bytes()),
        }
    }
}

/// `Ok(None)`: so far so good, but not whole.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Asked>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => return Ok(None),
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooLong),
        Err(_) => return Err(Refusal::NotHttp),
    }
    if request.method != Some("GET") {
        return Err(Refusal::NotGet);
    }
    let target = request.path.unwrap_or_default();
    match target.split_once('?').unwrap_or((target, "")) {
        ("/announce", query) => read_query(query).map(Some),
        _ => Err(Refusal::NotFound),
    }
}

fn read_query(query: &str) -> Result<Asked, Refusal> {
    let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let twenty = |name: &str| value(name).and_then(unescape).and_then(|bytes| <[u8; 20]>::try_from(bytes).ok());
    let flag = |name: &str| value(name).map(|value| value == "1");
    let info_hash = twenty("info_hash").ok_or(Refusal::Failure("info_hash is missing or not 20 bytes long"))?;
    let peer_id = twenty("peer_id").ok_or(Refusal::Failure("peer_id is missing or not 20 bytes long"))?;
    let port = value("port").and_then(|port| port.parse().ok()).filter(|port| *port != 0);
    Ok(Asked {
        info_hash: InfoHash(info_hash),
        peer_id: PeerId(peer_id),
        port: port.ok_or(Refusal::Failure("port is missing or not a port"))?,
        seed: value("left") == Some("0"),
        event: match value("event") {
            None | Some("") => None,
            Some("started") => Some(Event::Started),
            Some("stopped") => Some(Event::Stopped),
            Some("completed") => Some(Event::Completed),
            Some(_) => return Err(Refusal::Failure("event is not one of started, stopped and completed")),
        },
        numwant: value("numwant").and_then(|count| count.parse().ok()),
        compact: flag("compact").unwrap_or(true),
        no_peer_id: flag("no_peer_id").unwrap_or(false),
    })
}

/// `%41` to `A`; `None` for a `%` without two hex digits. A `+` stays one: info hashes are bytes, not a form.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            other => other,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "%00%01%02%03%04%05%06%07%08%09%0a%0B%0c%0d%0e%0f%10%11%12%ff";
    const ID: &str = "-XX0001-abcdefghijkl";

    fn get(query: &str) -> Result<Option<Asked>, Refusal> {
        parse(format!("GET /announce?{query} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
    }

    #[test]
    fn a_whole_announce_is_read() {
        let asked = get(&format!(
            "info_hash={HASH}&peer_id={ID}&port=6881&uploaded=1&downloaded=2&left=0&compact=0&event=completed&numwant=7"
        ));
        let mut hash: [u8; 20] = std::array::from_fn(|n| n as u8);
        hash[19] = 0xff;
        let expected = Asked {
            info_hash: InfoHash(hash),
            peer_id: PeerId(ID.as_bytes().try_into().unwrap()),
            port: 6881,
            seed: true,
            event: Some(Event::Completed),
            numwant: Some(7),
            compact: false,
            no_peer_id: false,
        };
        assert_eq!(asked, Ok(Some(expected)));
    }

    #[test]
    fn what_our_own_client_asks_is_understood() {
        let request = crate::protocol::AnnounceRequest {
            info_hash: InfoHash(std::array::from_fn(|n| (n * 13) as u8)),
            peer_id: PeerId(*b"-BE0100-\xff%+ &=?#/~.-"),
            port: 1,
            uploaded: 0,
            downloaded: 0,
            left: 5,
            event: Some(Event::Started),
            numwant: Some(200),
            key: Some(1),
            tracker_id: None,
            compact: true,
        };
        let url = request.url("http://x/announce").unwrap();
        let asked = parse(format!("GET {} HTTP/1.1\r\n\r\n", &url["http://x".len()..]).as_bytes()).unwrap().unwrap();
        assert_eq!((asked.info_hash, asked.peer_id, asked.seed), (request.info_hash, request.peer_id, false));
    }

    #[test]
    fn a_request_is_waited_for_until_it_is_whole() {
        let whole = format!("GET /announce?info_hash={HASH}&peer_id={ID}&port=1 HTTP/1.0\r\n\r\n");
        for end in 0..whole.len() {
            assert_eq!(parse(&whole.as_bytes()[..end]), Ok(None), "{end}");
        }
        assert!(parse(whole.as_bytes()).unwrap().is_some());
    }

    #[test]
    fn what_is_no_announce_is_refused_by_name() {
        assert_eq!(parse(b"\x13BitTorrent protocol"), Err(Refusal::NotHttp));
        assert_eq!(parse(b"POST /announce HTTP/1.1\r\n\r\n"), Err(Refusal::NotGet));
        assert_eq!(parse(b"GET /scrape HTTP/1.1\r\n\r\n"), Err(Refusal::NotFound));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65));
        assert_eq!(parse(many.as_bytes()), Err(Refusal::TooLong));
        for query in [
            String::new(),
            format!("info_hash=short&peer_id={ID}&port=1"),
            format!("info_hash={HASH}&peer_id=%zz&port=1"),
            format!("info_hash={HASH}&peer_id={ID}&port=0"),
            format!("info_hash={HASH}&peer_id={ID}&port=65536"),
            format!("info_hash={HASH}&peer_id={ID}&port=1&event=other"),
            format!("info_hash={HASH}%&peer_id={ID}&port=1"),
        ] {
            assert!(matches!(get(&query), Err(Refusal::Failure(_))), "{query}");
        }
        let (status, body) = Refusal::Failure("no").answer();
        assert_eq!((status, &body[..]), ("200 OK", &b"d14:failure reason2:noe"[..]));
    }
}
