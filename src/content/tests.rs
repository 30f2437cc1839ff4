//! Skipped files, names and room on a real disk: pieces of four bytes, files that share some of them.

use super::*;

/// `a` has 6 bytes, `b` 4, `c` 9, `d` none, `e` 5 and `f` none: pieces 0 and 1 are `a`'s, 1 and 2 `b`'s, 2 to 4 `c`'s, 4 and 5 `e`'s.
fn metainfo() -> Metainfo {
    let file = |(name, length): (&str, u64)| format!("d6:lengthi{length}e4:pathl1:{name}ee");
    let files: String = [("a", 6), ("b", 4), ("c", 9), ("d", 0), ("e", 5), ("f", 0)].map(file).concat();
    let hashes = "-".repeat(6 * 20);
    let torrent = format!("d4:infod5:filesl{files}e4:name1:t12:piece lengthi4e6:pieces120:{hashes}ee");
    Metainfo::parse(torrent.as_bytes()).unwrap()
}

fn selection(metainfo: &Metainfo, wanted: &[usize]) -> Selection {
    Selection::new(&metainfo.files, &metainfo.layout, Some(wanted)).unwrap()
}

fn open(temp: &tempfile::TempDir, wanted: &[usize]) -> Result<Content, DiskError> {
    open_new(temp, wanted, NewName::Own)
}

fn open_new(temp: &tempfile::TempDir, wanted: &[usize], new: NewName) -> Result<Content, DiskError> {
    let metainfo = metainfo();
    Content::open(&metainfo, &selection(&metainfo, wanted), temp.path(), &FilePool::new(4), new)
}

/// Like a run with these pieces right on disk: a survey, then the names.
fn settle(temp: &tempfile::TempDir, wanted: &[usize], new: NewName, have: &[u32]) -> (Content, usize) {
    let content = open_new(temp, wanted, new).unwrap();
    content.find_names(&mut Vec::new()).unwrap();
    let refused = content.settle_names(&pieces(have)).len();
    (content, refused)
}

fn pieces(numbers: &[u32]) -> Bitfield {
    let mut pieces = Bitfield::new(6);
    for piece in numbers {
        pieces.set(*piece);
    }
    pieces
}

/// What is in the torrent's folder.
fn names(temp: &tempfile::TempDir) -> String {
    let Ok(folder) = std::fs::read_dir(temp.path().join("t")) else { return String::new() };
    let mut names: Vec<_> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names.join(" ")
}

fn put(temp: &tempfile::TempDir, name: &str, bytes: &[u8]) {
    std::fs::create_dir_all(temp.path().join("t")).unwrap();
    std::fs::write(temp.path().join("t").join(name), bytes).unwrap();
}

/// The lengths of the files that are there, `-` for those that are not.
fn lengths(content: &Content) -> String {
    let length = |stamp: Option<Stamp>| stamp.map_or("-".to_owned(), |stamp| stamp.length.to_string());
    content.stamps().unwrap().into_iter().map(length).collect::<Vec<_>>().join(" ")
}

fn survey(content: &Content, metainfo: &Metainfo) -> Bitfield {
    content.survey(metainfo, &content.stamps().unwrap(), None).unwrap()
}

fn write_wanted(content: &Content, metainfo: &Metainfo) {
    for piece in content.selection.pieces().iter_ones().map(PieceIndex) {
        content.write(metainfo.layout.piece_offset(piece), &[b"data"]).unwrap();
    }
}

#[test]
fn only_wanted_files_are_made_and_the_edges_of_those_beside_them() {
    let (temp, metainfo) = (tempfile::tempdir().unwrap(), metainfo());
    let content = open(&temp, &[1, 3]).unwrap();
    assert_eq!(lengths(&content), "- - - - - -", "opening makes none");
    survey(&content, &metainfo);
    assert_eq!(lengths(&content), "- - - 0 - -", "an empty file that is wanted is made, one that is not wanted is not");
    write_wanted(&content, &metainfo);
    assert_eq!(lengths(&content), "6 4 2 0 - -", "of its neighbours what shares a piece with it");
}

#[test]
fn what_a_record_vouches_for_is_not_there_without_its_file() {
    let (temp, metainfo) = (tempfile::tempdir().unwrap(), metainfo());
    let content = open(&temp, &[0, 1, 2, 3, 4, 5]).unwrap();
    let known = Bitfield::full(metainfo.layout.pieces());
    let maybe =
        |content: &Content| content.survey(&metainfo, &content.stamps().unwrap(), Some(&known)).unwrap().count();
    assert_eq!(maybe(&content), 0);
    write_wanted(&content, &metainfo);
    assert_eq!(maybe(&content), known.len());
    std::fs::remove_file(temp.path().join("t/a")).unwrap();
    assert!((1..known.len()).contains(&maybe(&content)));
}

#[test]
fn a_skipped_file_that_is_there_keeps_its_length() {
    let temp = tempfile::tempdir().unwrap();
    let folder = Folder::open(temp.path()).unwrap();
    let path = |name: &str| vec!["t".to_owned(), name.to_owned()];
    let pool = FilePool::new(4);
    let (skipped, wanted) = (pool.file(&folder, path("c")), pool.file(&folder, path("e")));
    for file in [&skipped, &wanted] {
        file.write_at(0, &mut [IoSlice::new(&[1; 20])]).unwrap();
    }
    let content = open(&temp, &[4]).unwrap();
    assert_eq!(lengths(&content), "- - 20 - 20 -");
    content.trim(&pieces(&[4, 5]), &mut Vec::new()).unwrap();
    assert_eq!(lengths(&content), "- - 20 - 5 -");
}

#[test]
fn pieces_of_skipped_files_that_are_there_are_found_all_the_same() {
    let (temp, metainfo) = (tempfile::tempdir().unwrap(), metainfo());
    let all = open(&temp, &[0, 1, 2, 3, 4, 5]).unwrap();
    write_wanted(&all, &metainfo);
    let maybe = survey(&open(&temp, &[0]).unwrap(), &metainfo);
    assert!(maybe.all(), "they can be served");
}

#[cfg(unix)]
#[test]
fn a_skipped_file_that_could_not_be_written_is_in_nobodys_way_unless_its_edge_is_needed() {
    let temp = tempfile::tempdir().unwrap();
    // A folder in the place of the file.
    std::fs::create_dir_all(temp.path().join("t/c")).unwrap();
    assert!(open(&temp, &[0]).is_ok());
    assert!(open(&temp, &[1]).is_err(), "it shares piece 2");
    assert!(open(&temp, &[2]).is_err());
}

#[test]
fn a_file_has_the_name_of_a_part_until_its_last_piece_has_come() {
    let (temp, metainfo) = (tempfile::tempdir().unwrap(), metainfo());
    let (content, _) = settle(&temp, &[0, 1, 2, 3, 4, 5], NewName::Part, &[]);
    survey(&content, &metainfo);
    assert_eq!(names(&temp), "d f", "an empty file is whole");
    let mut have = pieces(&[]);
    let mut write = |piece: u32| {
        content.write(metainfo.layout.piece_offset(PieceIndex(piece)), &[b"data"]).unwrap();
        have.set(piece);
        let whole = content.whole_parts(PieceIndex(piece), &have);
        whole.iter().for_each(|file| content.end_file(*file).unwrap());
        names(&temp)
    };
    assert_eq!(write(1), "a.part b.part d f");
    assert_eq!(write(2), "a.part b c.part d f");
    assert_eq!(write(0), "a b c.part d f");
    assert_eq!([3, 4, 5].map(write), ["a b c.part d f", "a b c d e.part f", "a b c d e f"]);
    assert_eq!(lengths(&content), "6 4 9 0 5 0");
}

#[test]
fn the_next_run_finds_parts_and_renames_them_to_what_they_should_be_called() {
    let temp = tempfile::tempdir().unwrap();
    let (all, new) = (&[0, 1, 2, 3, 4, 5], NewName::Part);
    put(&temp, "a.part", b"123456");
    put(&temp, "b", b"1234");
    put(&temp, "c.part", b"123");
    put(&temp, "e", b"123");
    // `a` is whole; of `c` a piece is right; `e` is not whole, and was begun without names of parts.
    let (content, refused) = settle(&temp, all, new, &[0, 1, 2]);
    assert_eq!((names(&temp).as_str(), refused), ("a b c.part e.part", 0));
    assert_eq!(lengths(&content), "6 4 3 - 3 -", "they are found under these names");
    // Without names of parts: `e.part` may be anybody's.
    let (content, refused) = settle(&temp, all, NewName::Own, &[0, 1, 2]);
    assert_eq!((names(&temp).as_str(), refused), ("a b c e.part", 0));
    assert_eq!(lengths(&content), "6 4 3 - - -");
}

#[test]
fn no_name_is_taken_from_another_file() {
    let temp = tempfile::tempdir().unwrap();
    put(&temp, "a", b"mine");
    put(&temp, "a.part", b"yours");
    let (content, refused) = settle(&temp, &[0], NewName::Part, &[]);
    assert_eq!((lengths(&content).as_str(), refused), ("4 - - - - -", 1), "the own name comes first");
    drop(content);
    std::fs::remove_file(temp.path().join("t/a")).unwrap();
    let (content, _) = settle(&temp, &[0], NewName::Part, &[0]);
    put(&temp, "a", b"mine");
    let refused = content.trim(&pieces(&[0, 1]), &mut Vec::new()).unwrap_err();
    assert_eq!(refused.fault, DiskFault::NameTaken);
    assert_eq!(refused.path, temp.path().join("t/a.part"));
    assert_eq!(std::fs::read(temp.path().join("t/a")).unwrap(), b"mine");
    std::fs::remove_file(temp.path().join("t/a")).unwrap();
    content.trim(&pieces(&[0, 1]), &mut Vec::new()).unwrap();
    assert_eq!((names(&temp).as_str(), lengths(&content).as_str()), ("a", "5 - - - - -"));
}

#[test]
fn a_skipped_file_gets_the_name_of_a_part_only_where_its_edge_is_written() {
    let temp = tempfile::tempdir().unwrap();
    put(&temp, "e", b"1");
    let (content, _) = settle(&temp, &[1], NewName::Part, &[]);
    write_wanted(&content, &metainfo());
    content.trim(content.selection.pieces(), &mut Vec::new()).unwrap();
    assert_eq!(names(&temp), "a.part b c.part e", "`e` is nobody's business");
}

#[test]
fn room_is_reserved_for_wanted_files_and_they_stay_as_long_as_they_are() {
    let (temp, metainfo) = (tempfile::tempdir().unwrap(), metainfo());
    put(&temp, "c", b"1");
    let content = open_new(&temp, &[0, 1, 2], NewName::Part).unwrap();
    content.find_names(&mut Vec::new()).unwrap();
    content.reserve(&pieces(&[])).unwrap();
    assert_eq!(lengths(&content), "0 0 1 - - -");
    assert!(survey(&content, &metainfo).none(), "nothing of it is content");
    let modified = || content.stamps().unwrap();
    let before = modified();
    content.reserve(&pieces(&[])).unwrap();
    assert_eq!(modified(), before, "what has its room is left alone");
    assert_eq!(names(&temp), "a.part b.part c");
}

#[cfg(target_os = "linux")]
#[test]
fn what_no_disk_can_hold_is_refused_before_anything_is_taken() {
    let temp = tempfile::tempdir().unwrap();
    let mut content = open(&temp, &[0, 1, 2]).unwrap();
    content.lengths[2] = 1 << 62;
    let refused = content.reserve(&pieces(&[])).unwrap_err();
    assert!(matches!(refused.fault, DiskFault::Lacking { bytes } if bytes > 1 << 61), "{refused}");
    assert!(refused.to_string().starts_with(&format!("cannot reserve room in {}", temp.path().display())), "{refused}");
    assert_eq!(names(&temp), "", "nothing was made");
}

#[test]
fn what_somebody_else_did_to_a_file_is_noticed_once_and_what_we_do_is_not() {
    let (temp, metainfo) = (tempfile::tempdir().unwrap(), metainfo());
    put(&temp, "b", b"1");
    let content = open(&temp, &[0, 1, 2]).unwrap();
    let lost = |look: &dyn Fn(&mut Vec<Loss>)| {
        let mut lost = Vec::new();
        look(&mut lost);
        lost.into_iter().map(|loss| (loss.file, loss.error.fault)).collect::<Vec<_>>()
    };
    let survey = || lost(&|lost| drop(content.find_names(lost).unwrap()));
    let stamps = || lost(&|lost| drop(content.stamps_and_losses(lost).unwrap()));
    let path = |name: &str| temp.path().join("t").join(name);
    // Seconds before the start.
    let start = std::time::SystemTime::now();
    let changed = |name: &str, before: u64| {
        let file = std::fs::OpenOptions::new().write(true).open(path(name)).unwrap();
        file.set_modified(start - std::time::Duration::from_secs(before)).unwrap();
    };
    assert_eq!(survey(), []);
    write_wanted(&content, &metainfo);
    assert_eq!((stamps(), survey(), stamps()), (vec![], vec![], vec![]));
    content.trim(content.selection.pieces(), &mut Vec::new()).unwrap();
    content.close();
    assert_eq!(stamps(), [], "what was cut");
    for (look, before) in [(&survey as &dyn Fn() -> _, 900), (&stamps, 800)] {
        changed("b", before);
        std::fs::rename(path("c"), path("away")).unwrap();
        assert_eq!(look(), [(1, DiskFault::Changed), (2, DiskFault::Vanished)]);
        assert_eq!((stamps(), survey()), (vec![], vec![]));
        std::fs::rename(path("away"), path("c")).unwrap();
        assert_eq!(look(), []);
    }
    write_wanted(&content, &metainfo);
    changed("b", 0);
    assert_eq!(stamps(), [], "it cannot be told from our own change");
    std::fs::remove_file(path("a")).unwrap();
    std::fs::OpenOptions::new().write(true).open(path("c")).unwrap().set_len(0).unwrap();
    let expected = [(0, DiskFault::Vanished), (2, DiskFault::Changed)];
    assert_eq!((&stamps()[..], stamps()), (&expected[..], vec![]), "we wrote to them, and did not do that");
}

#[test]
fn a_part_that_is_left_alone_is_no_loss() {
    let temp = tempfile::tempdir().unwrap();
    put(&temp, "a.part", b"somebody's");
    for new in [NewName::Own, NewName::Part] {
        let (content, _) = settle(&temp, &[0, 1, 2], new, &[]);
        let mut lost = Vec::new();
        content.stamps_and_losses(&mut lost).unwrap();
        content.find_names(&mut lost).unwrap();
        content.settle_names(&pieces(&[]));
        content.stamps_and_losses(&mut lost).unwrap();
        assert!(lost.is_empty(), "{lost:?}");
    }
}

#[test]
fn an_empty_file_that_was_taken_away_is_made_again_before_the_end() {
    let temp = tempfile::tempdir().unwrap();
    let content = open(&temp, &[0, 1, 2, 3, 4, 5]).unwrap();
    survey(&content, &metainfo());
    let before = names(&temp);
    assert!(!before.is_empty());
    std::fs::remove_dir_all(temp.path().join("t")).unwrap();
    let mut lost = Vec::new();
    content.trim(&pieces(&[]), &mut lost).unwrap();
    assert!(!lost.is_empty());
    content.trim(&pieces(&[]), &mut Vec::new()).unwrap();
    assert_eq!(names(&temp), before);
}
