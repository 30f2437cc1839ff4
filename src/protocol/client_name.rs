//! Which program a peer id belongs to, by the ways in which clients make theirs (BEP 20).
//!
//! ```text
//! -qB4630-............     two letters, four digits of the version       nearly all clients of today
//! A2-1-36-0-..........     version with dashes                           aria2, BitTorrent
//! S587-----...........     a letter, up to five digits                   Shadow's client and its children
//! ```
//! Digits go on behind 9 with letters. Pure. A name for people to read, nothing to decide by: anybody can call itself anything.

use super::PeerId;

/// How the four characters behind the two letters are read.
#[derive(Clone, Copy)]
enum Version {
    /// One number each; the fourth is left out when it is 0 or a letter, which tells of a build or a beta.
    Dots,
    /// Two numbers of two decimal digits each.
    Pairs,
    /// The same, as a decimal fraction.
    Fraction,
    /// A number and a decimal fraction up to 3.00, later as [`Version::Dots`].
    Transmission,
}

use Version::{Dots, Fraction, Pairs, Transmission};

const TWO_LETTERS: &[(&[u8; 2], &str, Version)] = &[
    (b"7T", "aTorrent", Dots),
    (b"AG", "Ares", Dots),
    (b"AZ", "Vuze", Dots),
    (b"BC", "BitComet", Fraction),
    (b"BE", "bt-erl", Dots),
    (b"BF", "Bitflu", Dots),
    (b"BG", "BTG", Dots),
    (b"BI", "BiglyBT", Dots),
    (b"BR", "BitRocket", Dots),
    (b"BT", "BitTorrent", Dots),
    (b"BW", "BitTorrent Web", Dots),
    (b"CD", "Enhanced CTorrent", Dots),
    (b"CT", "CTorrent", Dots),
    (b"DE", "Deluge", Dots),
    (b"FC", "FileCroc", Dots),
    (b"FD", "Free Download Manager", Dots),
    (b"FL", "Flud", Dots),
    (b"FW", "FrostWire", Dots),
    (b"GT", "anacrolix/torrent", Dots),
    (b"HL", "Halite", Dots),
    (b"KG", "KGet", Dots),
    (b"KT", "KTorrent", Dots),
    (b"LC", "LeechCraft", Dots),
    (b"LP", "Lphant", Dots),
    (b"LR", "LibreTorrent", Dots),
    (b"LT", "libtorrent", Dots),
    (b"MO", "MonoTorrent", Dots),
    (b"MR", "Miro", Dots),
    (b"NX", "Net Transport", Dots),
    (b"OS", "OneSwarm", Dots),
    (b"PI", "PicoTorrent", Dots),
    (b"QD", "QQDownload", Dots),
    (b"RT", "Retriever", Dots),
    (b"SD", "Xunlei", Dots),
    (b"SP", "BitSpirit", Dots),
    (b"SZ", "Shareaza", Dots),
    (b"TL", "Tribler", Dots),
    (b"TR", "Transmission", Transmission),
    (b"TT", "TuoTu", Dots),
    (b"TX", "Tixati", Dots),
    (b"UE", "uTorrent Embedded", Dots),
    (b"UM", "uTorrent for Mac", Dots),
    (b"UT", "uTorrent", Dots),
    (b"UW", "uTorrent Web", Dots),
    (b"WD", "WebTorrent Desktop", Pairs),
    (b"WW", "WebTorrent", Pairs),
    (b"WY", "FireTorrent", Dots),
    (b"XF", "Xfplay", Dots),
    (b"XL", "Xunlei", Dots),
    (b"lt", "rTorrent", Dots),
    (b"qB", "qBittorrent", Dots),
    (b"rQ", "rqbit", Dots),
    (b"st", "SharkTorrent", Dots),
];

/// Those that put dashes between the numbers of their version.
const DASHES: &[(&[u8], &str)] = &[(b"A2-", "aria2"), (b"M", "BitTorrent")];

const ONE_LETTER: &[(u8, &str)] = &[
    (b'A', "ABC"),
    (b'O', "Osprey Permaseed"),
    (b'Q', "BTQueue"),
    (b'R', "Tribler"),
    (b'S', "Shadow's client"),
    (b'T', "BitTornado"),
    (b'U', "UPnP NAT BitTorrent"),
];

/// Name and version of the program; the peer id itself, with dots for what cannot be shown, when it tells neither.
pub fn client_name(id: &PeerId) -> String {
    two_letters(&id.0).or_else(|| dashes(&id.0)).or_else(|| one_letter(&id.0)).unwrap_or_else(|| id.to_string())
}

fn two_letters(id: &[u8; 20]) -> Option<String> {
    let Some([b'-', a, b, version @ .., b'-']) = id.first_chunk::<8>() else { return None };
    let (_, name, style) = TWO_LETTERS.iter().find(|(letters, ..)| **letters == [*a, *b])?;
    let digit = |at: usize| char::from(version[at]).to_digit(36);
    let pair = |at: usize| str::from_utf8(&version[at..at + 2]).ok()?.parse::<u8>().ok();
    let [first, second, third] = [digit(0)?, digit(1)?, digit(2)?];
    let version = match style {
        Transmission if first == 0 => format!("0.{}", pair(2)?),
        Transmission if first < 4 => format!("{first}.{second}{third}"),
        Dots | Transmission => match char::from(version[3]).to_digit(10) {
            Some(fourth) if fourth > 0 => format!("{first}.{second}.{third}.{fourth}"),
            _ => format!("{first}.{second}.{third}"),
        },
        Pairs => format!("{}.{}", pair(0)?, pair(2)?),
        Fraction => format!("{}.{:02}", pair(0)?, pair(2)?),
    };
    Some(format!("{name} {version}"))
}

/// At least two numbers of at most three digits, each with a dash behind it.
fn dashes(id: &[u8; 20]) -> Option<String> {
    let (name, version) = DASHES.iter().find_map(|(prefix, name)| Some((name, id.strip_prefix(*prefix)?)))?;
    let parts: Vec<&[u8]> = version.split(|byte| *byte == b'-').collect();
    let (_, parts) = parts.split_last()?;
    let is_number = |part: &&&[u8]| (1..=3).contains(&part.len()) && part.iter().all(u8::is_ascii_digit);
    let numbers: Vec<_> =
        parts.iter().take(3).take_while(is_number).map(|part| String::from_utf8_lossy(part)).collect();
    (numbers.len() >= 2).then(|| format!("{name} {}", numbers.join(".")))
}

/// A letter, three to five digits, dashes up to the ninth byte.
fn one_letter(id: &[u8; 20]) -> Option<String> {
    let (first, version) = id.first_chunk::<9>()?.split_first()?;
    let (_, name) = ONE_LETTER.iter().find(|(letter, _)| letter == first)?;
    let end = version.iter().position(|byte| *byte == b'-')?;
    let (digits, padding) = version.split_at_checked(end)?;
    let digits: Option<Vec<_>> = digits.iter().map(|byte| char::from(*byte).to_digit(36)).collect();
    let digits: Vec<_> = digits.filter(|digits| (3..=5).contains(&digits.len()))?.iter().map(u32::to_string).collect();
    padding.iter().all(|byte| *byte == b'-').then(|| format!("{name} {}", digits.join(".")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The name of a peer id that begins like this.
    fn name(begins: &str) -> String {
        let mut id = [b'x'; 20];
        id[..begins.len()].copy_from_slice(begins.as_bytes());
        client_name(&PeerId(id))
    }

    #[test]
    fn clients_of_today_are_known_with_their_version() {
        for (id, client) in [
            ("-BE0100-", "bt-erl 0.1.0"),
            ("-LT2080-", "libtorrent 2.0.8"),
            ("-LT20B0-", "libtorrent 2.0.11"),
            ("-lt0D80-", "rTorrent 0.13.8"),
            ("-qB4630-", "qBittorrent 4.6.3"),
            ("-DE13F0-", "Deluge 1.3.15"),
            ("-DE211s-", "Deluge 2.1.1"),
            ("-UT355W-", "uTorrent 3.5.5"),
            ("-BT7a5S-", "BitTorrent 7.10.5"),
            ("-AZ5765-", "Vuze 5.7.6.5"),
            ("-BC0201-", "BitComet 2.01"),
            ("-WW0117-", "WebTorrent 1.17"),
            ("A2-1-36-0-", "aria2 1.36.0"),
            ("M7-10-5--", "BitTorrent 7.10.5"),
            ("S587-----", "Shadow's client 5.8.7"),
            ("T03I-----", "BitTornado 0.3.18"),
        ] {
            assert_eq!(name(id), client, "{id}");
        }
    }

    #[test]
    fn transmission_counted_in_hundredths_before_version_4() {
        let versions = ["-TR2940-", "-TR3000-", "-TR4060-", "-TR411Z-"].map(name);
        let names = ["2.94", "3.00", "4.0.6", "4.1.1"].map(|version| format!("Transmission {version}"));
        assert_eq!(versions, names);
    }

    #[test]
    fn what_tells_nothing_is_shown_as_it_is() {
        for id in [
            "-XX0100-",
            "-qB46.0-",
            "-qB4630",
            "-WW0a17-",
            "A2-1",
            "M7",
            "M-7-10-",
            "S58-----",
            "S587-7--",
            "SABCDEFGH",
        ] {
            assert_eq!(name(id), format!("{id:x<20}"));
        }
        assert_eq!(client_name(&PeerId(*b"\x1b[2J\0\xff--------------")), ".[2J..--------------");
    }

    #[test]
    fn no_two_clients_have_the_same_letters() {
        assert!(TWO_LETTERS.is_sorted_by(|a, b| a.0 < b.0) && ONE_LETTER.is_sorted_by(|a, b| a.0 < b.0));
    }

    proptest! {
        #[test]
        fn every_peer_id_has_a_short_name_that_can_be_shown(id: [u8; 20], known in 0..TWO_LETTERS.len()) {
            let mut like = id;
            like[0] = b'-';
            like[1..3].copy_from_slice(TWO_LETTERS[known].0);
            like[7] = b'-';
            for id in [id, like] {
                let name = client_name(&PeerId(id));
                prop_assert!((1..=40).contains(&name.len()) && !name.contains(|c: char| c.is_control() || !c.is_ascii()));
            }
        }
    }
}
