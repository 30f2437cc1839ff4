//! What a file is called while it is not whole: its name with `.part` behind it.
//!
//! The same torrent gives the same names every time, so that the next run finds what the last one left. No file and no folder of the
//! torrent has such a name, on any system, and none is longer than file systems take. It opens nothing.

use std::collections::{HashMap, HashSet};

use super::File;
use super::paths::{MAX_NAME_BYTES, NUMBER_BYTES, cut, key};

/// What stands behind the name of a file that is not whole.
const SUFFIX: &str = ".part";

/// The names of one torrent's files while they are not whole.
#[derive(Debug, Default)]
pub struct PartNames {
    /// Those that are not simply the name and `.part`, by the position of their file.
    others: HashMap<usize, String>,
}

impl PartNames {
    /// Names for all of `files` but padding.
    pub fn new(files: &[File]) -> Self {
        let real = || files.iter().enumerate().filter(|(_, file)| !file.pad);
        let plain = |name: &String| name.len() + SUFFIX.len() <= MAX_NAME_BYTES && !ends_in_suffix(name);
        // Nearly every torrent: two files of different names have different names with the suffix, too.
        if real().all(|(_, file)| file.path.iter().all(plain)) {
            return Self::default();
        }
        let mut taken = HashSet::new();
        for (_, file) in real() {
            taken.extend((1..=file.path.len()).map(|depth| key(&file.path[..depth])));
        }
        let mut others = Vec::new();
        for (position, file) in real() {
            let long = file.path.last().is_none_or(|name| name.len() + SUFFIX.len() > MAX_NAME_BYTES);
            // A name of the torrent's own comes first; all of these are in `taken` by now.
            if long || !taken.insert(key(&with_suffix(&file.path))) {
                others.push(position);
            }
        }
        // The number to try next for each name, so that a million doubles of one name do not count up a million times.
        let mut next: HashMap<u64, u32> = HashMap::new();
        let numbered = others.into_iter().filter_map(|position| {
            let (name, above) = files[position].path.split_last()?;
            let stem = cut(name, MAX_NAME_BYTES - NUMBER_BYTES - SUFFIX.len());
            let mut path = above.to_vec();
            path.push(stem.to_owned());
            let number = next.entry(key(&path)).or_insert(1);
            loop {
                *number += 1;
                let name = format!("{stem} ({number}){SUFFIX}");
                path.pop();
                path.push(name.clone());
                if taken.insert(key(&path)) {
                    return Some((position, name));
                }
            }
        });
        Self { others: numbered.collect() }
    }

    /// The components of the file at `position`, which are `path` when it is whole, while it is not.
    pub fn path(&self, position: usize, path: &[String]) -> Vec<String> {
        let Some(name) = self.others.get(&position) else { return with_suffix(path) };
        let mut path = path.to_vec();
        if let Some(last) = path.last_mut() {
            last.clone_from(name);
        }
        path
    }
}

fn with_suffix(path: &[String]) -> Vec<String> {
    let mut path = path.to_vec();
    if let Some(last) = path.last_mut() {
        last.push_str(SUFFIX);
    }
    path
}

fn ends_in_suffix(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() >= SUFFIX.len() && bytes[bytes.len() - SUFFIX.len()..].eq_ignore_ascii_case(SUFFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn files(paths: &[&str]) -> Vec<File> {
        let file = |path: &&str| File { path: path.split('/').map(str::to_owned).collect(), length: 1, pad: false };
        paths.iter().map(file).collect()
    }

    fn named(paths: &[&str]) -> Vec<String> {
        let files = files(paths);
        let names = PartNames::new(&files);
        files.iter().enumerate().map(|(position, file)| names.path(position, &file.path).join("/")).collect()
    }

    #[test]
    fn the_suffix_stands_behind_the_whole_name() {
        assert_eq!(named(&["one.iso"]), ["one.iso.part"]);
        assert_eq!(named(&["t/a.mkv", "t/sub/a.mkv", "t/none"]), ["t/a.mkv.part", "t/sub/a.mkv.part", "t/none.part"]);
    }

    #[test]
    fn a_torrent_that_has_both_names_itself_keeps_both() {
        assert_eq!(named(&["t/x", "t/x.part"]), ["t/x (2).part", "t/x.part.part"]);
        assert_eq!(named(&["t/X.PART", "t/x"]), ["t/X.PART.part", "t/x (2).part"]);
        // A folder of that name, and the numbered name taken as well.
        let paths = ["t/x", "t/x.part/y", "t/x (2).part", "t/x (3)"];
        assert_eq!(named(&paths), ["t/x (4).part", "t/x.part/y.part", "t/x (2).part.part", "t/x (3).part"]);
    }

    #[test]
    fn a_name_at_the_limit_is_cut_and_two_of_them_stay_distinct() {
        let (just, over) = ("j".repeat(250), "ü".repeat(125) + "x");
        let [a, b] = ["a", "b"].map(|end| format!("{}{end}", "n".repeat(254)));
        let named = named(&[&just, &over, &a, &b]);
        assert_eq!(named[0], just + ".part");
        assert_eq!(named[1], format!("{} (2).part", "ü".repeat(119)));
        assert_eq!(named[2], format!("{} (2).part", "n".repeat(238)));
        assert_eq!(named[3], format!("{} (3).part", "n".repeat(238)));
        assert!(named.iter().all(|name| name.len() <= 255));
    }

    proptest! {
        #[test]
        fn no_two_files_ever_share_a_name(
            paths in proptest::collection::hash_set("[xy](\\.part){0,2}( \\([23]\\))?(\\.part)?(/[xy](\\.part)?)?", 1..9)
        ) {
            let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
            let mut all: Vec<String> = named(&paths);
            all.extend(paths.iter().map(|path| (*path).to_owned()));
            all.extend(paths.iter().filter_map(|path| path.split_once('/')).map(|(folder, _)| folder.to_owned()));
            let parts = paths.len();
            let rest: HashSet<String> = all[parts..].iter().cloned().collect();
            let distinct: HashSet<&String> = all[..parts].iter().collect();
            prop_assert_eq!(distinct.len(), parts);
            prop_assert!(distinct.iter().all(|name| !rest.contains(*name)), "{:?}", all);
        }
    }
}
