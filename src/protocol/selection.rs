//! Which files of a torrent are wanted, and which pieces that takes.
//!
//! `--files` and `--only` are read here, without a torrent; [`choose`] turns them into positions of files, [`Selection`] these into
//! pieces. It opens nothing: what becomes of files that nobody wants is `content`'s business.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::{Bitfield, File, Layout};

/// Longest pattern, in characters: matching takes time in the order of pattern times path.
const MAX_GLOB: usize = 255;

/// A pattern for paths of files.
///
/// `*` stands for any part of one name, `**` for any part of a path, `?` for one character; everything else for itself,
/// brackets too, because names of torrents are full of them. Upper and lower case are the same. A pattern without `/` is compared with the
/// name of a file, wherever it is; one with `/` with its whole path, with or without the name of the torrent in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    text: String,
    lower: Vec<char>,
}

/// Numbers of files, from 1, as `bt-erl info` prints them: `1,3-5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileNumbers(Vec<RangeInclusive<usize>>);

/// Why nothing can be selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectionError {
    /// A pattern without a character.
    EmptyGlob,
    /// A pattern of more than 255 characters.
    LongGlob {
        /// How many it has.
        characters: usize,
    },
    /// Neither a number nor two with `-` between them.
    NotANumber {
        /// What it is instead.
        text: String,
    },
    /// Files are counted from 1.
    Zero,
    /// `5-3`.
    Backwards {
        /// The range, as it was given.
        text: String,
    },
    /// No file has a name like this.
    NoMatch {
        /// The pattern.
        glob: String,
    },
    /// There are fewer files than that.
    OutOfRange {
        /// The number.
        number: usize,
        /// How many files there are.
        files: usize,
    },
}

impl fmt::Display for SelectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyGlob => write!(f, "the pattern is empty"),
            Self::LongGlob { characters } => {
                write!(f, "the pattern has {characters} characters, more than {MAX_GLOB}")
            }
            Self::NotANumber { text } => write!(f, "`{text}` is neither a number nor a range like 3-5"),
            Self::Zero => write!(f, "files are counted from 1"),
            Self::Backwards { text } => write!(f, "the range {text} ends before it begins"),
            Self::NoMatch { glob } => write!(f, "no file of this torrent is named like `{glob}`"),
            Self::OutOfRange { number, files: 1 } => write!(f, "there is no file {number}: this torrent has one file"),
            Self::OutOfRange { number, files } => {
                write!(f, "there is no file {number}: this torrent has {files} files")
            }
        }
    }
}

impl std::error::Error for SelectionError {}

impl FromStr for Glob {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        match text.chars().count() {
            0 => Err(SelectionError::EmptyGlob),
            characters if characters > MAX_GLOB => Err(SelectionError::LongGlob { characters }),
            _ => Ok(Self { text: text.to_owned(), lower: lower(text) }),
        }
    }
}

impl Glob {
    /// True for the file at these components below the download folder.
    pub fn matches(&self, path: &[String]) -> bool {
        let whole = lower(&path.join("/"));
        let after = |skipped: usize| whole.get(skipped..).is_some_and(|rest| fits(&self.lower, rest));
        if !self.lower.contains(&'/') {
            let name = path.last().map_or(0, |name| lower(name).len());
            return after(whole.len() - name);
        }
        let torrent = path.split_first().filter(|(_, below)| !below.is_empty());
        after(0) || torrent.is_some_and(|(name, _)| after(lower(name).len() + 1))
    }
}

fn lower(text: &str) -> Vec<char> {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Takes time in the order of `pattern` times `path`, whatever they are.
fn fits(pattern: &[char], path: &[char]) -> bool {
    // `reached[n]`: what was read of the pattern fits the first `n` characters of the path.
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    let mut rest = pattern;
    while let [first, behind @ ..] = rest {
        let across = *first == '*' && behind.first() == Some(&'*');
        rest = if across { &behind[1..] } else { behind };
        if *first == '*' {
            for (at, c) in path.iter().enumerate() {
                reached[at + 1] |= reached[at] && (across || *c != '/');
            }
        } else {
            for (at, c) in path.iter().enumerate().rev() {
                reached[at + 1] = reached[at] && (first == c || (*first == '?' && *c != '/'));
            }
            reached[0] = false;
        }
    }
    reached[path.len()]
}

impl FromStr for FileNumbers {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        text.split(',').map(range).collect::<Result<_, _>>().map(Self)
    }
}

fn range(text: &str) -> Result<RangeInclusive<usize>, SelectionError> {
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        number.ok_or_else(|| SelectionError::NotANumber { text: text.to_owned() })
    };
    let text = text.trim();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first.trim_end())?, number(last.trim_start())?) {
        (0, _) => Err(SelectionError::Zero),
        (first, last) if last < first => Err(SelectionError::Backwards { text: text.to_owned() }),
        (first, last) => Ok(first..=last),
    }
}

/// Positions of the files that some pattern or number names, rising. Pad files have no number and match nothing. `Err` when a
/// pattern or a number names no file.
pub fn choose(files: &[File], globs: &[Glob], only: &[FileNumbers]) -> Result<Vec<usize>, SelectionError> {
    let real: Vec<usize> = files.iter().enumerate().filter(|(_, file)| !file.pad).map(|(n, _)| n).collect();
    let mut chosen = vec![false; files.len()];
    for glob in globs {
        let mut matched = false;
        for n in real.iter().copied().filter(|n| glob.matches(&files[*n].path)) {
            (chosen[n], matched) = (true, true);
        }
        if !matched {
            return Err(SelectionError::NoMatch { glob: glob.text.clone() });
        }
    }
    for numbers in only.iter().flat_map(|numbers| &numbers.0) {
        if *numbers.end() > real.len() {
            return Err(SelectionError::OutOfRange { number: *numbers.end(), files: real.len() });
        }
        real[numbers.start() - 1..*numbers.end()].iter().for_each(|n| chosen[*n] = true);
    }
    Ok((0..files.len()).filter(|n| chosen[*n]).collect())
}

/// The files that are wanted, and the pieces that hold a byte of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// For every file: it is wanted; no pad file is, unless everything is.
    files: Vec<bool>,
    pieces: Bitfield,
    count: u32,
    bytes: u64,
}

impl Selection {
    /// Everything.
    pub fn all(layout: &Layout) -> Self {
        let pieces = Bitfield::full(layout.pieces());
        Self { files: vec![true; layout.files()], pieces, count: layout.pieces(), bytes: layout.total_bytes() }
    }

    /// The files at these positions, `None`: all of them. `Err` when there is no such file.
    pub fn new(files: &[File], layout: &Layout, wanted: Option<&[usize]>) -> Result<Self, SelectionError> {
        let Some(wanted) = wanted else { return Ok(Self::all(layout)) };
        let (none, pieces) = (vec![false; files.len()], Bitfield::new(layout.pieces()));
        let mut selection = Self { files: none, pieces, count: 0, bytes: 0 };
        for position in wanted {
            let out_of_range = SelectionError::OutOfRange { number: position.saturating_add(1), files: files.len() };
            let file = files.get(*position).ok_or(out_of_range)?;
            if !file.pad {
                selection.files[*position] = true;
                for piece in layout.pieces_of_file(*position) {
                    selection.pieces.set(piece);
                }
            }
        }
        selection.count = selection.pieces.count();
        selection.bytes = layout.bytes_of(&selection.pieces);
        Ok(selection)
    }

    /// The pieces that are to be fetched, those that are finished included.
    pub fn pieces(&self) -> &Bitfield {
        &self.pieces
    }

    /// Number of these pieces.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Length of these pieces together, in bytes. They may reach into files that nobody wants.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// True when the file at this position is wanted.
    pub fn wants_file(&self, position: usize) -> bool {
        self.files.get(position).is_some_and(|wanted| *wanted)
    }

    /// True when something of the file at this position comes with what is wanted: all of it, or the part that shares a piece with a
    /// wanted file.
    pub fn touches_file(&self, layout: &Layout, position: usize) -> bool {
        self.wants_file(position) || layout.pieces_of_file(position).any(|piece| self.pieces.get(piece))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(path: &str, length: u64) -> File {
        File { path: path.split('/').map(str::to_owned).collect(), length, pad: path.contains(".pad/") }
    }

    fn torrent() -> Vec<File> {
        vec![
            file("Show [2160p]/S01/One.MKV", 10),
            file("Show [2160p]/.pad/6", 6),
            file("Show [2160p]/S01/Two.mkv", 16),
            file("Show [2160p]/S01/Zwölf.srt", 0),
            file("Show [2160p]/read me.txt", 3),
        ]
    }

    fn chosen(globs: &[&str], only: &[&str]) -> Result<Vec<usize>, SelectionError> {
        let globs: Result<Vec<_>, _> = globs.iter().map(|text| text.parse()).collect();
        let only: Result<Vec<_>, _> = only.iter().map(|text| text.parse()).collect();
        choose(&torrent(), &globs?, &only?)
    }

    #[test]
    fn a_pattern_without_a_slash_is_for_names_and_one_with_for_paths() {
        let fine: [(&str, &[usize]); 12] = [
            ("*.mkv", &[0, 2]),
            ("one.*", &[0]),
            ("ZWÖLF.*", &[3]),
            ("*", &[0, 2, 3, 4]),
            ("t??.mkv", &[2]),
            ("S01/*", &[0, 2, 3]),
            ("show [2160p]/s01/*", &[0, 2, 3]),
            ("*/*.txt", &[4]),
            ("**/*.mkv", &[0, 2]),
            ("s01/**", &[0, 2, 3]),
            ("**/**", &[0, 2, 3, 4]),
            ("show*/read me.txt", &[4]),
        ];
        for (glob, files) in fine {
            assert_eq!(chosen(&[glob], &[]), Ok(files.to_vec()), "{glob}");
        }
        for none in ["S01", "6", ".pad/*", "[a-z]*", "*.mk", "S01/*/*", "?*/?/*", "/"] {
            assert_eq!(chosen(&[none], &[]), Err(SelectionError::NoMatch { glob: none.to_owned() }), "{none}");
        }
    }

    #[test]
    fn numbers_count_the_files_that_are_no_padding_from_one() {
        assert_eq!(chosen(&[], &["1,3-4"]), Ok(vec![0, 3, 4]));
        assert_eq!(chosen(&[], &[" 2 , 1 - 2 ", "4"]), Ok(vec![0, 2, 4]));
        assert_eq!(chosen(&["*.srt"], &["1"]), Ok(vec![0, 3]));
        assert_eq!(chosen(&[], &["2,5"]), Err(SelectionError::OutOfRange { number: 5, files: 4 }));
        assert_eq!(chosen(&[], &[]), Ok(vec![]));
    }

    #[test]
    fn what_is_no_number_and_no_pattern_is_told_apart() {
        let not_a_number = |text: &str| Err(SelectionError::NotANumber { text: text.to_owned() });
        for (text, at) in [("", ""), ("x", "x"), ("1,,2", ""), ("1-", ""), ("-1", ""), ("1-2-3", "2-3"), ("+1", "+1")] {
            assert_eq!(chosen(&[], &[text]), not_a_number(at), "{text}");
        }
        assert_eq!(chosen(&[], &["99999999999999999999"]), not_a_number("99999999999999999999"));
        assert_eq!(chosen(&[], &["0-3"]), Err(SelectionError::Zero));
        assert_eq!(chosen(&[], &["1,5-3"]), Err(SelectionError::Backwards { text: "5-3".into() }));
        assert_eq!(chosen(&[""], &[]), Err(SelectionError::EmptyGlob));
        assert_eq!(chosen(&[&"*".repeat(256)], &[]), Err(SelectionError::LongGlob { characters: 256 }));
    }

    /// `x` for a wanted piece, in pieces of four bytes.
    fn drawn(wanted: Option<&[usize]>) -> String {
        let files = torrent();
        let layout = Layout::new(4, files.iter().map(|file| file.length)).expect("a valid layout");
        let selection = Selection::new(&files, &layout, wanted).expect("a valid selection");
        let bytes: u32 = selection.pieces().iter_ones().map(|n| layout.piece_length(super::super::PieceIndex(n))).sum();
        assert_eq!((u64::from(bytes), selection.count()), (selection.bytes(), selection.pieces().count()));
        (0..layout.pieces()).map(|n| if selection.pieces().get(n) { 'x' } else { '.' }).collect()
    }

    #[test]
    fn a_piece_is_wanted_when_it_holds_a_byte_of_a_wanted_file() {
        // Files of 10, 6 (padding), 16, 0 and 3 bytes.
        assert_eq!(drawn(None), "xxxxxxxxx");
        assert_eq!(drawn(Some(&[0])), "xxx......");
        assert_eq!(drawn(Some(&[2])), "....xxxx.");
        assert_eq!(drawn(Some(&[0, 2, 3, 4])), "xxx.xxxxx", "a piece of padding alone is nobody's");
        assert_eq!([drawn(Some(&[3])), drawn(Some(&[1])), drawn(Some(&[]))], [".........", ".........", "........."]);
    }

    #[test]
    fn a_skipped_file_is_touched_where_it_shares_a_piece_with_a_wanted_one() {
        let files = [file("t/a", 6), file("t/b", 4), file("t/c", 6), file("t/d", 4), file("t/e", 0)];
        let layout = Layout::new(4, files.iter().map(|file| file.length)).expect("a valid layout");
        let selection = Selection::new(&files, &layout, Some(&[1])).expect("a valid selection");
        let touched = [0, 1, 2, 3, 4, 5].map(|n| (selection.wants_file(n), selection.touches_file(&layout, n)));
        let edge = (false, true);
        assert_eq!(touched, [edge, (true, true), edge, (false, false), (false, false), (false, false)]);
        let none = Selection::new(&files, &layout, Some(&[5]));
        assert_eq!(none, Err(SelectionError::OutOfRange { number: 6, files: 5 }));
    }

    #[test]
    fn many_stars_cost_no_more_than_few() {
        let glob: Glob = "*a**".repeat(63).parse().expect("a pattern");
        assert!(glob.matches(&["a".repeat(100_000)]));
        assert!(!glob.matches(&["b".repeat(100_000)]));
    }

    /// The plainest way to say it.
    fn slow(pattern: &[char], path: &[char]) -> bool {
        match pattern {
            [] => path.is_empty(),
            ['*', '*', rest @ ..] => (0..=path.len()).any(|n| slow(rest, &path[n..])),
            ['*', rest @ ..] => {
                let stop = path.iter().position(|c| *c == '/').unwrap_or(path.len());
                (0..=stop).any(|n| slow(rest, &path[n..]))
            }
            ['?', rest @ ..] => path.first().is_some_and(|c| *c != '/') && slow(rest, &path[1..]),
            [c, rest @ ..] => path.first() == Some(c) && slow(rest, &path[1..]),
        }
    }

    proptest! {
        #[test]
        fn a_pattern_fits_what_the_plainest_way_says(pattern in "[ab*?/]{0,7}", path in "[ab/]{0,8}") {
            let [pattern, path]: [Vec<char>; 2] = [pattern, path].map(|text| text.chars().collect());
            prop_assert_eq!(fits(&pattern, &path), slow(&pattern, &path));
        }

        #[test]
        fn any_text_is_a_pattern_or_an_error_and_so_with_numbers(text in any::<String>()) {
            if let Ok(glob) = text.parse::<Glob>() {
                let _ = glob.matches(&[text.clone(), text.clone()]);
            }
            if let Ok(numbers) = text.parse::<FileNumbers>() {
                let _ = choose(&torrent(), &[], &[numbers]);
            }
        }
    }
}
