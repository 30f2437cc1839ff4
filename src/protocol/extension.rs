//! The extension protocol (BEP 10): what each side speaks beside BEP 3, told in an extension handshake.
//!
//! ```text
//! extended 0   | dictionary      the extension handshake, see [`Hello`]
//! extended n   | payload         n: the number that the receiver gave the extension in its own handshake
//! ```
//! Pure. What is optional and wrong is left out, what is no dictionary is an error. Nothing is sized by a number from outside.

use std::net::IpAddr;

use bip_bencode::{BMutAccess, BencodeMut};

use super::bencode::{self, BencodeError, Dict};

pub mod assembly;
pub mod dont_have;
pub mod frames;
pub mod metadata;
pub mod pex;

/// Longest client name kept, in characters.
const MAX_NAME: usize = 64;

/// An extension that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// The info dictionary, piece by piece (BEP 9).
    Metadata,
    /// Addresses of other peers (BEP 11).
    PeerExchange,
    /// The sender lost a piece.
    DontHave,
}

impl Extension {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Metadata, Self::PeerExchange, Self::DontHave];

    /// Its name in the handshake.
    pub fn name(self) -> &'static str {
        match self {
            Self::Metadata => "ut_metadata",
            Self::PeerExchange => "ut_pex",
            Self::DontHave => "lt_donthave",
        }
    }

    /// The number that our handshake gives it: what the other side puts before its messages.
    pub fn our_id(self) -> u8 {
        match self {
            Self::Metadata => 1,
            Self::PeerExchange => 2,
            Self::DontHave => 3,
        }
    }

    /// The extension whose message this is, by the number that our handshake gave it.
    pub fn of_our_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|extension| extension.our_id() == id)
    }
}

/// The numbers that one side gave the extensions; 0: it does not speak it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ids([u8; 3]);

impl Ids {
    /// Our own, for what we offer in this torrent.
    pub fn ours(offered: &[Extension]) -> Self {
        let mut ids = Self::default();
        offered.iter().for_each(|extension| ids.set(*extension, extension.our_id()));
        ids
    }

    /// The number to send a message of `extension` with; `None`: the other side does not speak it.
    pub fn get(&self, extension: Extension) -> Option<u8> {
        let id = self.0[usize::from(extension.our_id() - 1)];
        (id != 0).then_some(id)
    }

    fn set(&mut self, extension: Extension, id: u8) {
        self.0[usize::from(extension.our_id() - 1)] = id;
    }
}

/// The extension handshake. May come again at any time; what a later one leaves out stays as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hello {
    /// The numbers of the extensions.
    pub ids: Ids,
    /// `v`: name and version of the program, printable, at most 64 characters.
    pub client: Option<String>,
    /// `reqq`: requests that the sender keeps, at least 1.
    pub request_queue: Option<u32>,
    /// `p`: the port at which the sender accepts connections.
    pub port: Option<u16>,
    /// `yourip`: what the sender takes our address to be.
    pub your_ip: Option<IpAddr>,
    /// `metadata_size`: bytes of the info dictionary (BEP 9). Not believed before [`metadata`] has checked it.
    pub metadata_bytes: Option<u32>,
    /// `upload_only`: the sender wants no more (BEP 21).
    pub upload_only: Option<bool>,
}

impl Hello {
    /// As the wire has it, behind the message's number 0.
    pub fn encode(&self) -> Vec<u8> {
        let mut root = BencodeMut::new_dict();
        let mut ids = BencodeMut::new_dict();
        for extension in Extension::ALL {
            if let Some(id) = self.ids.get(extension) {
                put(&mut ids, extension.name(), BencodeMut::new_int(id.into()));
            }
        }
        put(&mut root, "m", ids);
        if let Some(bytes) = self.metadata_bytes {
            put(&mut root, "metadata_size", BencodeMut::new_int(bytes.into()));
        }
        if let Some(port) = self.port {
            put(&mut root, "p", BencodeMut::new_int(port.into()));
        }
        if let Some(requests) = self.request_queue {
            put(&mut root, "reqq", BencodeMut::new_int(requests.into()));
        }
        if let Some(upload_only) = self.upload_only {
            put(&mut root, "upload_only", BencodeMut::new_int(upload_only.into()));
        }
        if let Some(client) = &self.client {
            put(&mut root, "v", BencodeMut::new_bytes(client.as_bytes().to_vec().into()));
        }
        if let Some(ip) = self.your_ip {
            let bytes = match ip {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            put(&mut root, "yourip", BencodeMut::new_bytes(bytes.into()));
        }
        root.encode()
    }

    /// Reads the payload of an extension handshake on top of what earlier ones said. `Err`: it is no dictionary.
    pub fn update(&mut self, payload: &[u8]) -> Result<(), BencodeError> {
        let root = bencode::read(payload)?.dict()?;
        if let Some(Ok(ids)) = root.get("m").map(|ids| ids.dict()) {
            for extension in Extension::ALL {
                if let Some(id) = ids.get(extension.name()).and_then(|id| id.int()) {
                    self.ids.set(extension, u8::try_from(id).unwrap_or(0));
                }
            }
        }
        let client = root.get("v").and_then(|name| name.bytes()).map(printable);
        self.client = client.or(self.client.take());
        self.request_queue = number(&root, "reqq").filter(|n| *n > 0).or(self.request_queue);
        self.port = number(&root, "p").filter(|n| *n > 0).or(self.port);
        self.your_ip = root.get("yourip").and_then(|ip| ip.bytes()).and_then(address).or(self.your_ip);
        self.metadata_bytes = number(&root, "metadata_size").filter(|n| *n > 0).or(self.metadata_bytes);
        let upload_only = root.get("upload_only").and_then(|flag| flag.int()).map(|flag| flag != 0);
        self.upload_only = upload_only.or(self.upload_only);
        Ok(())
    }
}

fn number<N: TryFrom<i64>>(root: &Dict<'_>, key: &str) -> Option<N> {
    N::try_from(root.get(key)?.int()?).ok()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => bytes.first_chunk::<4>().map(|octets| IpAddr::from(*octets)),
        16 => bytes.first_chunk::<16>().map(|octets| IpAddr::from(*octets)),
        _ => None,
    }
}

/// What can be shown of a name that came from outside.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..4 * MAX_NAME).unwrap_or(bytes));
    text.chars().filter(|c| !crate::protocol::metainfo::is_unprintable(*c)).take(MAX_NAME).collect()
}

fn put(dict: &mut BencodeMut<'static>, key: &str, value: BencodeMut<'static>) {
    if let Some(inner) = dict.dict_mut() {
        inner.insert(key.as_bytes().to_vec().into(), value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(payload: &[u8]) -> Hello {
        let mut hello = Hello::default();
        hello.update(payload).unwrap();
        hello
    }

    #[test]
    fn what_we_say_is_what_is_heard() {
        let hello = Hello {
            ids: Ids::ours(&[Extension::Metadata, Extension::DontHave]),
            client: Some("bt-erl 0.1.0".into()),
            request_queue: Some(500),
            port: Some(6881),
            your_ip: Some("2001:db8::7".parse().unwrap()),
            metadata_bytes: Some(40_000),
            upload_only: Some(true),
        };
        assert_eq!(read(&hello.encode()), hello);
        assert_eq!(hello.ids.get(Extension::PeerExchange), None);
    }

    #[test]
    fn a_later_handshake_changes_what_it_names_and_nothing_else() {
        let mut hello = read(b"d1:md6:ut_pexi7e11:ut_metadatai2ee1:pi6881e4:reqqi250ee");
        hello.update(b"d1:md6:ut_pexi0eee").unwrap();
        assert_eq!((hello.ids.get(Extension::PeerExchange), hello.ids.get(Extension::Metadata)), (None, Some(2)));
        assert_eq!((hello.port, hello.request_queue), (Some(6881), Some(250)));
    }

    #[test]
    fn what_is_wrong_is_left_out() {
        let hello = read(b"d1:m3:abc13:metadata_sizei-1e1:pi70000e4:reqqi0e11:upload_only3:yes1:vi7e6:yourip3:abce");
        assert_eq!(hello, Hello::default());
        let ids = read(b"d1:md11:lt_donthavei256e11:ut_metadatai-1e6:ut_pexi255eee").ids;
        assert_eq!(Extension::ALL.map(|extension| ids.get(extension)), [None, Some(255), None]);
        assert!(Hello::default().update(b"le").is_err() && Hello::default().update(b"").is_err());
    }

    #[test]
    fn a_name_from_outside_cannot_steer_the_terminal() {
        assert_eq!(read(b"d1:v9:a\x1b[2J\x00b\xffce").client.as_deref(), Some("a[2Jb\u{fffd}c"));
        let long = [b"d1:v500:".to_vec(), vec![b'x'; 500], b"e".to_vec()].concat();
        assert_eq!(read(&long).client.map(|name| name.len()), Some(MAX_NAME));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_handshake_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Hello::default().update(&bytes);
        }
    }
}
