//! Globs over paths of processes and names of fault points. Pure.

/// Whether all of `path` fits: `*` stands for any part of one name, `**` for any number of names; a name ends at `/`.
///
/// Takes time and memory in the order of `pattern` times `path`, whatever they are.
pub(crate) fn glob(pattern: &str, path: &str) -> bool {
    let (mut pattern, path) = (pattern.as_bytes(), path.as_bytes());
    // `fits[n]`: what was read of the pattern fits the first `n` bytes of the path.
    let mut fits = vec![false; path.len() + 1];
    fits[0] = true;
    while let [first, rest @ ..] = pattern {
        let across = *first == b'*' && rest.first() == Some(&b'*');
        if *first == b'*' {
            for at in 0..path.len() {
                fits[at + 1] |= fits[at] && (across || path[at] != b'/');
            }
        } else {
            for at in (0..path.len()).rev() {
                fits[at + 1] = fits[at] && path[at] == *first;
            }
            fits[0] = false;
        }
        pattern = if across { &rest[1..] } else { rest };
    }
    fits[path.len()]
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn a_star_stays_within_one_name_and_two_cross() {
        assert!(glob("a/*/peer *", "a/b/peer 1.2.3.4:5"));
        assert!(!glob("a/*", "a/b/c"));
        assert!(glob("a/**", "a/b/c"));
        assert!(glob("**/store", "a/b/store"));
        assert!(!glob("**/store", "a/b/stored"));
        assert!(!glob("", "a"));
        assert!(glob("", ""));
        assert!(glob("**", ""));
        assert!(!glob("store.*", "store.read/x"));
    }

    #[test]
    fn many_stars_cost_no_more_than_few() {
        let (pattern, path) = ("**a".repeat(200), "a".repeat(199));
        assert!(!glob(&pattern, &path));
        assert!(glob(&pattern, &"a".repeat(200)));
    }
}
