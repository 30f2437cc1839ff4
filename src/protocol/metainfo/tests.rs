//! Torrents made here: good ones, odd ones that work, and every kind of bad one with the sentence that it gets.

use bip_bencode::{BMutAccess, BencodeMut};
use proptest::prelude::*;

use super::*;

mod names;

fn int(n: i64) -> BencodeMut<'static> {
    BencodeMut::new_int(n)
}

fn string(bytes: impl AsRef<[u8]>) -> BencodeMut<'static> {
    BencodeMut::new_bytes(bytes.as_ref().to_vec().into())
}

fn list(entries: impl IntoIterator<Item = BencodeMut<'static>>) -> BencodeMut<'static> {
    let mut list = BencodeMut::new_list();
    let inner = list.list_mut().expect("a list");
    entries.into_iter().for_each(|entry| inner.push(entry));
    list
}

fn dict(fields: impl IntoIterator<Item = (&'static str, BencodeMut<'static>)>) -> BencodeMut<'static> {
    let mut dict = BencodeMut::new_dict();
    let inner = dict.dict_mut().expect("a dictionary");
    fields.into_iter().for_each(|(key, value)| drop(inner.insert(key.as_bytes().to_vec().into(), value)));
    dict
}

/// The fields of an `info` dictionary of one file with two pieces.
fn single() -> Vec<(&'static str, BencodeMut<'static>)> {
    vec![("length", int(30)), ("name", string("file")), ("piece length", int(20)), ("pieces", string([7; 40]))]
}

/// The same with files: each a path and a length, in one piece.
fn several(files: &[(&[&[u8]], i64)]) -> Vec<(&'static str, BencodeMut<'static>)> {
    let file =
        |(path, length): &(&[&[u8]], i64)| dict([("length", int(*length)), ("path", list(path.iter().map(string)))]);
    let files = list(files.iter().map(file));
    vec![("files", files), ("name", string("top")), ("piece length", int(1 << 20)), ("pieces", string([7; 20]))]
}

/// The fields with some of them changed (`Some`) or taken away (`None`).
fn but(
    mut fields: Vec<(&'static str, BencodeMut<'static>)>,
    changes: impl IntoIterator<Item = (&'static str, Option<BencodeMut<'static>>)>,
) -> Vec<(&'static str, BencodeMut<'static>)> {
    for (key, value) in changes {
        fields.retain(|(k, _)| *k != key);
        fields.extend(value.map(|value| (key, value)));
    }
    fields
}

fn torrent(info: Vec<(&'static str, BencodeMut<'static>)>) -> Vec<u8> {
    dict([("info", dict(info))]).encode()
}

fn parse(info: Vec<(&'static str, BencodeMut<'static>)>) -> Result<Metainfo, MetainfoError> {
    Metainfo::parse(&torrent(info))
}

/// The sentence for a single-file torrent with these changes, without the advice at its end.
fn sentence(changes: impl IntoIterator<Item = (&'static str, Option<BencodeMut<'static>>)>) -> String {
    let error = parse(but(single(), changes)).expect_err("refused").to_string();
    error.trim_end_matches("; the torrent file is damaged or hostile, get it again from its source").to_owned()
}

#[test]
fn a_torrent_of_one_file_is_read() {
    let t = parse(single()).expect("a torrent");
    assert_eq!((t.name.as_str(), t.layout.pieces(), t.layout.total_bytes()), ("file", 2, 30));
    assert_eq!(t.files, [File { path: vec!["file".into()], length: 30, pad: false }]);
    assert_eq!(t.hashes.get(PieceIndex(1)), &[7; 20]);
    assert!(t.trackers.is_empty() && t.mended.is_empty() && !t.private);
}

#[test]
fn the_info_hash_is_that_of_the_bytes_as_they_stand() {
    // Made with sha1sum; the keys are out of order, which a re-encoding would repair.
    let info = b"d6:pieces20:aaaaaaaaaaaaaaaaaaaa4:name1:x12:piece lengthi16384e6:lengthi1ee";
    let bytes = [b"d4:info", info.as_slice(), b"e"].concat();
    let t = Metainfo::parse(&bytes).expect("a torrent");
    assert_eq!(t.info_hash.to_string(), "61b41baf1135ef80fe8662b50624d44f9c96331d");
}

#[test]
fn a_torrent_of_several_files_is_read_with_its_empty_ones() {
    let t = parse(several(&[(&[b"a", b"b.txt"], 3), (&[b"empty"], 0), (&["päth".as_bytes(), b""], 4)]));
    let t = t.expect("a torrent");
    assert_eq!(t.files[0], File { path: ["top", "a", "b.txt"].map(String::from).to_vec(), length: 3, pad: false });
    assert_eq!((t.files[1].length, t.layout.pieces_of_file(1)), (0, 0..0));
    assert_eq!(t.files[2].path, ["top", "päth", "_"]);
    assert_eq!(t.layout.files(), 3);
}

#[test]
fn what_is_around_the_info_is_read_and_made_printable() {
    let tiers = list([
        list([string("http://a/x"), string("udp://b:1/y")]),
        list([]),
        list([string("http://a/x"), string(" https://c/z ")]),
        int(3),
    ]);
    let bytes = dict([
        ("announce", string("http://ignored/")),
        ("announce-list", tiers),
        ("comment", string("two\nlines\u{1b}[0m")),
        ("created by", string("maker")),
        ("creation date", int(5)),
        ("info", dict(but(single(), [("private", Some(int(1)))]))),
    ]);
    let t = Metainfo::parse(&bytes.encode()).expect("a torrent");
    assert_eq!(t.trackers, [vec!["http://a/x", "udp://b:1/y"], vec!["https://c/z"]]);
    assert_eq!(
        (t.comment.as_deref(), t.created_by.as_deref(), t.creation_date),
        (Some("twolines[0m"), Some("maker"), Some(5))
    );
    assert!(t.private);
}

#[test]
fn announce_counts_when_the_list_has_nothing_usable() {
    let with = |announce: &[u8], tiers| {
        let bytes = dict([("announce", string(announce)), ("announce-list", tiers), ("info", dict(single()))]).encode();
        Metainfo::parse(&bytes).expect("a torrent").trackers
    };
    assert_eq!(with(b"http://a/", list([])), [["http://a/"]]);
    assert_eq!(with(b"http://a/", list([list([string("no url"), string([0xff]), int(1)])])), [["http://a/"]]);
    assert_eq!(with(b"http://a b/", string("x")), [[""; 0]; 0]);
    let many = list((0..5000).map(|n| list([string(format!("http://{n}/"))])));
    assert_eq!(with(b"", many).len(), MAX_TRACKERS);
}

#[test]
fn each_wrong_number_has_its_sentence() {
    let number = |key, n| sentence([(key, Some(int(n)))]);
    assert_eq!(number("piece length", 0), "piece length is 0 (info → piece length)");
    assert_eq!(number("piece length", -1), "piece length is -1, not from 1 to 1073741824 bytes (info → piece length)");
    assert_eq!(
        number("piece length", (1 << 30) + 1),
        "piece length is 1073741825, not from 1 to 1073741824 bytes (info → piece length)"
    );
    assert_eq!(
        number("piece length", 1 << 32),
        "piece length is 4294967296, not from 1 to 1073741824 bytes (info → piece length)"
    );
    assert_eq!(number("length", -1), "file 0 has the length -1");
    assert_eq!(number("length", 0), "the torrent has no bytes: the lengths of its files add up to 0 (info)");
    assert_eq!(number("length", 41), "it has 2 hashes for 3 pieces (info → pieces)");
    assert_eq!(number("length", 20), "it has 2 hashes for 1 pieces (info → pieces)");
    let many = "the torrent has 461168601842738791 pieces, more than the 2000000 that are supported; its maker has to choose a larger piece length";
    assert_eq!(number("length", i64::MAX), many);
}

#[test]
fn each_missing_or_wrong_field_has_its_sentence() {
    for key in ["piece length", "pieces", "name"] {
        assert_eq!(sentence([(key, None)]), format!("the field info → {key} is missing"));
        assert!(sentence([(key, Some(list([])))]).starts_with(&format!("the field info → {key} is not a")));
    }
    assert_eq!(sentence([("length", None)]), "it names no files (neither info → length nor info → files)");
    let files = [("files", Some(list([])))];
    assert_eq!(sentence(files.clone()), "it says both one file and several (info → length, info → files)");
    assert_eq!(sentence([("length", None), files[0].clone()]), "its list of files is empty (info → files)");
    assert_eq!(sentence([("length", None), ("files", Some(int(1)))]), "the field info → files is not a list");
    assert_eq!(sentence([("length", Some(string("30")))]), "the field info → length is not an integer");
    for bytes in [0, 1, 19, 21, 39, 41] {
        let expected = if bytes == 0 {
            "it has 0 hashes for 2 pieces".into()
        } else {
            format!("its hashes take {bytes} bytes, which is no multiple of 20")
        };
        assert_eq!(sentence([("pieces", Some(string(vec![0; bytes])))]), format!("{expected} (info → pieces)"));
    }
    let error = |bytes: &[u8]| Metainfo::parse(bytes).expect_err("refused").to_string();
    assert!(error(b"de").starts_with("the field info is missing;"));
    assert!(error(b"i1e").starts_with("it is not a dictionary;"));
    assert!(error(b"d4:infoi1ee").starts_with("the field info is not a dictionary;"));
    assert!(error(b"\x89PNG\r\n").starts_with("byte 0 is not bencoding;"));
    assert!(error(b"").starts_with("the bencoding ends in the middle of a value;"));
    assert!(error(&[torrent(single()).as_slice(), b"x"].concat()).starts_with("something follows the end"));
    assert!(error(&vec![b'l'; Metainfo::MAX_BYTES + 1]).starts_with("the file has 67108865 bytes, more than"));
}

#[test]
fn a_wrong_file_is_named_by_its_number() {
    let wrong = |changes| {
        let good = || vec![("length", int(1)), ("path", list([string("a")]))];
        let files = list([dict(good()), dict(but(good(), changes))]);
        sentence([("length", None), ("files", Some(files))])
    };
    assert_eq!(wrong([("length", None)]), "the field info → files → 1 → length is missing");
    assert_eq!(wrong([("path", None)]), "the field info → files → 1 → path is missing");
    assert_eq!(wrong([("path", Some(string("a")))]), "the field info → files → 1 → path is not a list");
    assert_eq!(wrong([("path", Some(list([int(1)])))]), "the field info → files → 1 → path is not a list of strings");
    assert_eq!(wrong([("path", Some(list([])))]), "the name of file 1 is empty (info → files → 1 → path)");
    assert_eq!(wrong([("length", Some(int(-7)))]), "file 1 has the length -7");
    let deep = list(vec![string("a"); 101]);
    assert_eq!(
        wrong([("path", Some(deep))]),
        "the name of file 1 has too many parts or bytes (info → files → 1 → path)"
    );
    let long = list(vec![string("a".repeat(250)); 12]);
    assert_eq!(
        wrong([("path", Some(long))]),
        "the name of file 1 has too many parts or bytes (info → files → 1 → path)"
    );
    assert_eq!(
        sentence([("length", None), ("files", Some(list([int(1)])))]),
        "the field info → files → 0 is not a dictionary"
    );
}

#[test]
fn lengths_that_overflow_are_refused() {
    let overflow = parse(several(&[(&[b"a"], i64::MAX), (&[b"b"], i64::MAX), (&[b"c"], 2)])).expect_err("refused");
    assert_eq!(overflow, MetainfoError::Layout(LayoutError::TotalOverflow));
    let only_empty = parse(several(&[(&[b"a"], 0), (&[b"b"], 0)])).expect_err("refused");
    assert_eq!(only_empty, MetainfoError::Layout(LayoutError::Empty));
    let bytes = String::from_utf8(torrent(but(single(), [("pieces", Some(string([b'a'; 40])))]))).expect("text");
    for long in ["18446744073709551615", "9999999999999999999999999999999999"] {
        let bytes = bytes.replace("6:lengthi30e", &format!("6:lengthi{long}e"));
        let at = bytes.find("i18").or(bytes.find("i99")).expect("the number");
        assert_eq!(
            Metainfo::parse(bytes.as_bytes()).expect_err("refused"),
            MetainfoError::Bencode(BencodeError::BadNumber { at })
        );
    }
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    for info in ["d6:lengthi1e6:lengthi1e4:name1:ae", "d4:name1:a6:lengthi1e4:name1:be"] {
        let error = Metainfo::parse(format!("d4:info{info}e").as_bytes()).expect_err("refused").to_string();
        assert!(error.starts_with("the field info → ") && error.contains("is there twice"), "{error}");
    }
    let error = Metainfo::parse(b"d4:infode4:infodee").expect_err("refused").to_string();
    assert!(error.starts_with("the field info is there twice"), "{error}");
}

#[test]
fn version_two_alone_is_named_and_a_hybrid_works_by_version_one() {
    let v2 = [("meta version", Some(int(2))), ("file tree", Some(dict([])))];
    let alone = parse(but(single(), v2.clone().into_iter().chain([("pieces", None), ("length", None)])));
    assert_eq!(alone.expect_err("refused"), MetainfoError::VersionTwoOnly);
    assert_eq!(parse(but(single(), v2)).map(|t| t.layout.pieces()), Ok(2));
}

#[test]
fn odd_piece_lengths_and_two_million_pieces_work() {
    let bytes = |piece_length: i64, length: i64, pieces: usize| {
        but(
            single(),
            [
                ("piece length", Some(int(piece_length))),
                ("length", Some(int(length))),
                ("pieces", Some(string(vec![0; 20 * pieces]))),
            ],
        )
    };
    let t = parse(bytes(40_001, 100_000, 3)).expect("a torrent");
    assert_eq!([0, 2].map(|piece| t.layout.blocks_in(PieceIndex(piece))), [3, 2]);
    assert_eq!(parse(bytes(1, 2_000_000, 2_000_000)).map(|t| t.layout.pieces()), Ok(2_000_000));
    let more = parse(bytes(1, 2_000_001, 2_000_001)).expect_err("refused");
    assert_eq!(more, MetainfoError::Layout(LayoutError::TooManyPieces { pieces: 2_000_001 }));
    assert_eq!(parse(bytes(1 << 30, (1 << 30) + 1, 2)).map(|t| t.layout.piece_length(PieceIndex(1))), Ok(1));
}

#[test]
fn more_files_than_fit_the_memory_are_refused() {
    let entry = b"d6:lengthi1e4:pathl1:aee".repeat(370_000);
    let info = [
        b"d4:infod5:filesl".as_slice(),
        &entry,
        b"e4:name1:n12:piece lengthi1000000e6:pieces20:aaaaaaaaaaaaaaaaaaaaee",
    ]
    .concat();
    assert_eq!(Metainfo::parse(&info).expect_err("refused"), MetainfoError::TooMuchMemory);
}

proptest! {
    #[test]
    fn a_torrent_with_a_byte_changed_or_cut_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = torrent(several(&[(&[b"a", b"b"], 3), (&[b"c"], 4)]));
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        match Metainfo::parse(&bytes) {
            Ok(t) => prop_assert_eq!(t.layout.pieces(), 1),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}

#[test]
fn the_info_dictionary_alone_is_a_torrent_too() {
    let whole = Metainfo::parse(&torrent(single())).expect("honest");
    let trackers = ["http://a/announce".to_owned(), "http://b/announce".to_owned()];
    let alone = Metainfo::of_info(whole.info_bytes(), &trackers).expect("the same");
    assert_eq!((alone.info_hash, alone.info_bytes()), (whole.info_hash, whole.info_bytes()));
    assert_eq!((alone.files, alone.layout.pieces()), (whole.files, 2));
    assert_eq!(alone.trackers, trackers.map(|url| vec![url]));
    assert!(Metainfo::of_info(b"le", &[]).is_err());
}
