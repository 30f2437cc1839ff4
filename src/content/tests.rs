//! Skipped files on a real disk: pieces of four bytes, files that share some of them.

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
    let metainfo = metainfo();
    Content::open(&metainfo, &selection(&metainfo, wanted), temp.path(), &FilePool::new(4))
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
    content.trim().unwrap();
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
