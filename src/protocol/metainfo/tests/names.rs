//! Names as hostile as they come, and what they are on disk.

use proptest::prelude::*;

use super::*;

/// The paths of a multi-file torrent with these paths.
fn paths(files: &[&[&[u8]]]) -> Vec<String> {
    let files: Vec<_> = files.iter().map(|path| (*path, 1)).collect();
    parse(several(&files)).expect("a torrent").files.iter().map(|file| file.path.join("/")).collect()
}

/// What becomes of the one component of a path, and why.
fn mended(name: &[u8]) -> (String, Option<Why>) {
    let torrent = parse(several(&[(&[name], 1)])).expect("a torrent");
    (torrent.files[0].path[1].clone(), torrent.mended.first().map(|mended| mended.why))
}

#[test]
fn names_that_lead_out_are_mended() {
    let of = |raw: &[&[u8]]| paths(&[raw]).remove(0);
    assert_eq!(of(&[b"..", b"..", b"etc", b"passwd"]), "top/__/__/etc/passwd");
    assert_eq!(of(&[b"/etc/passwd"]), "top/_etc_passwd");
    assert_eq!(of(&[b"", b"a"]), "top/_/a");
    assert_eq!(of(&[b".", b"a"]), "top/_/a");
    assert_eq!(of(&[b"..\\..\\x"]), "top/.._.._x");
    assert_eq!(of(&[b"...", b". .", b"a"]), "top/___/___/a");
    let root = parse(but(several(&[(&[b"a"], 1)]), [("name", Some(string("../..")))])).expect("a torrent");
    assert_eq!((root.name.as_str(), root.files[0].path.join("/").as_str()), ("..___", "..___/a"));
}

#[test]
fn each_unsafe_name_is_mended_for_its_reason() {
    let long = |n: usize| "x".repeat(n);
    for (name, safe, why) in [
        (&b".."[..], "__", Why::DotOrSpace),
        (b".", "_", Why::DotOrSpace),
        (b"", "_", Why::Empty),
        (b"a\0b", "a_b", Why::Forbidden),
        (b"a/b", "a_b", Why::Forbidden),
        (b"a\\b", "a_b", Why::Forbidden),
        (b"a\nb\x7f\xc2\x85", "a_b__", Why::Forbidden),
        ("txt\u{202e}exe".as_bytes(), "txt_exe", Why::Forbidden),
        (b"a. ", "a__", Why::DotOrSpace),
        (b"C:", "C_", Why::Drive),
        (b"c:evil", "c_evil", Why::Drive),
        (b"CON", "_CON", Why::Device),
        (b"nul.tar.gz", "_nul.tar.gz", Why::Device),
        (b"Com7 .x", "_Com7 .x", Why::Device),
        ("LPT³".as_bytes(), "_LPT³", Why::Device),
        (b"aux:x", "_aux:x", Why::Device),
        (b"caf\xe9.txt", "caf_.txt", Why::NotUtf8),
        (long(256).as_bytes(), &long(255), Why::TooLong),
        ((long(300) + ".tar").as_bytes(), &(long(251) + ".tar"), Why::TooLong),
        (("ä".repeat(128)).as_bytes(), &"ä".repeat(127), Why::TooLong),
        ((long(254) + " y").as_bytes(), &long(254), Why::TooLong),
        ((long(100_000) + ".mkv").as_bytes(), &(long(251) + ".mkv"), Why::TooLong),
    ] {
        assert_eq!(mended(name), (safe.to_owned(), Some(why)), "{:.40}", String::from_utf8_lossy(name));
    }
    for fine in [
        &b".hidden"[..],
        b"a..b",
        b"COM0",
        b"CONSOLE",
        b"comma",
        b"ab:c",
        b" a",
        b"-rf",
        "naïve 文件.txt".as_bytes(),
        long(255).as_bytes(),
    ] {
        assert_eq!(mended(fine), (String::from_utf8_lossy(fine).into_owned(), None));
    }
}

#[test]
fn a_name_in_utf_8_goes_before_one_in_another_encoding() {
    let file = |utf8: BencodeMut<'static>| {
        dict([("length", int(1)), ("path", list([string(b"caf\xe9")])), ("path.utf-8", utf8)])
    };
    let with = |utf8| {
        let info = but(
            several(&[]),
            [("files", Some(list([file(utf8)]))), ("name", Some(string(b"\xe9"))), ("name.utf-8", Some(string("é")))],
        );
        parse(info).expect("a torrent").files[0].path.join("/")
    };
    assert_eq!(with(list([string("café")])), "é/café");
    assert_eq!(with(list([string(b"\xff")])), "é/caf_");
    assert_eq!(with(list([])), "é/caf_");
    assert_eq!(with(int(1)), "é/caf_");
}

#[test]
fn files_of_one_name_are_made_distinct_whatever_their_case() {
    let a: &[&[u8]] = &[b"a.txt"];
    assert_eq!(
        paths(&[a, a, &[b"A.TXT"], &[b"a (2).txt"]]),
        ["top/a.txt", "top/a (3).txt", "top/A (4).TXT", "top/a (2).txt"]
    );
    assert_eq!(paths(&[&[b"x", b"a"], &[b"X", b"A"]]), ["top/x/a", "top/X/A (2)"]);
    let (joined, apart) = ("caf\u{e9}".as_bytes(), "CAFE\u{301}".as_bytes());
    assert_eq!(paths(&[&[joined], &[apart]])[1], "top/CAFE\u{301} (2)");
    assert_eq!(paths(&[&["ΟΔΟΣ".as_bytes()], &["οδος".as_bytes()]])[1], "top/οδος (2)");
    assert_eq!(paths(&[&[b"."], &[b"_"]]), ["top/_", "top/_ (2)"]);
    let long = "x".repeat(255);
    let twice = paths(&[&[long.as_bytes()], &[long.as_bytes()]]);
    assert_eq!(twice[1], format!("top/{} (2)", "x".repeat(243)));
}

#[test]
fn a_file_that_is_also_a_folder_gets_another_name() {
    assert_eq!(paths(&[&[b"a"], &[b"a", b"b"]]), ["top/a (2)", "top/a/b"]);
    assert_eq!(paths(&[&[b"A", b"b"], &[b"a"], &[b"a (2)"]]), ["top/A/b", "top/a (3)", "top/a (2)"]);
    let t = parse(several(&[(&[b"a"], 1), (&[b"a", b"b"], 1)])).expect("a torrent");
    assert_eq!(t.mended[0].to_string(), r#"file 0: "a" became "a (2)": a folder has the same name"#);
}

#[test]
fn padding_is_marked_may_share_its_name_and_needs_no_notes() {
    let pad = || dict([("attr", string("p")), ("length", int(5)), ("path", list([string(".pad"), string("5")]))]);
    let file = dict([("length", int(1)), ("path", list([string("a")]))]);
    let t = parse(but(several(&[]), [("files", Some(list([pad(), file, pad()])))])).expect("a torrent");
    assert_eq!(t.files.iter().map(|file| file.pad).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!((&t.files[0].path, t.mended.len()), (&t.files[2].path, 0));
}

#[test]
fn a_symbolic_link_becomes_a_plain_file_with_a_note() {
    let link = dict([
        ("attr", string("lx")),
        ("length", int(1)),
        ("path", list([string("a")])),
        ("symlink path", list([string("/etc/passwd")])),
    ]);
    let t = parse(but(several(&[]), [("files", Some(list([link])))])).expect("a torrent");
    assert_eq!(t.files, [File { path: vec!["top".into(), "a".into()], length: 1, pad: false }]);
    assert_eq!(t.mended[0].to_string(), r#"file 0: "top/a" stays: it is a symbolic link, made a plain file"#);
}

#[test]
fn a_hundred_thousand_files_of_one_name_are_made_distinct_in_no_time() {
    let entry = b"d6:lengthi1e4:pathl1:aee".repeat(100_000);
    let info =
        [b"d4:infod5:filesl".as_slice(), &entry, b"e4:name1:n12:piece lengthi100000e6:pieces20:aaaaaaaaaaaaaaaaaaaaee"]
            .concat();
    let t = Metainfo::parse(&info).expect("a torrent");
    assert_eq!(t.files[99_999].path, ["n", "a (100000)"]);
    assert_eq!((t.mended.len(), t.mended_unlisted), (1000, 98_999));
}

proptest! {
    #[test]
    fn whatever_the_names_the_paths_are_safe_and_distinct(
        names in proptest::collection::vec(proptest::collection::vec(
            prop_oneof!["[aAb./ \\\\:\u{0}]{0,4}", "(CON|nul|\\.\\.|a)(\\.x)?", ".{0,300}"], 1..4), 1..12),
    ) {
        let files: Vec<Vec<&[u8]>> = names.iter().map(|path| path.iter().map(String::as_bytes).collect()).collect();
        let files: Vec<(&[&[u8]], i64)> = files.iter().map(|path| (path.as_slice(), 1)).collect();
        let t = parse(several(&files)).expect("a torrent");
        let mut folded = std::collections::BTreeSet::new();
        for file in &t.files {
            for name in &file.path {
                prop_assert!(!name.is_empty() && name.len() <= 255 && !name.contains(['/', '\\', '\0']));
                prop_assert!(!name.ends_with(['.', ' ']) && !name.starts_with("C:"), "{:?}", name);
            }
            prop_assert_eq!(&file.path[0], "top");
            prop_assert!(folded.insert(file.path.join("/").to_lowercase()), "{:?} is there twice", file.path);
        }
        for path in &folded {
            let inside = format!("{path}/");
            prop_assert!(!folded.iter().any(|other| other.starts_with(&inside)), "{:?} is a folder too", path);
        }
    }
}
