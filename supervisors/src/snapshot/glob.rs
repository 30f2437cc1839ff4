//! Paths that fit a pattern.

/// `*` stands for any part of one name, `**` for any number of names.
pub(super) fn fits(pattern: &str, path: &str) -> bool {
    glob(pattern.as_bytes(), path.as_bytes())
}

fn glob(pattern: &[u8], path: &[u8]) -> bool {
    match pattern {
        [] => path.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=path.len()).any(|at| glob(rest, &path[at..])),
        [b'*', rest @ ..] => {
            let name = path.iter().position(|b| *b == b'/').unwrap_or(path.len());
            (0..=name).any(|at| glob(rest, &path[at..]))
        }
        [first, rest @ ..] => path.split_first().is_some_and(|(b, path)| b == first && glob(rest, path)),
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stays_within_one_name_and_two_cross() {
        assert!(fits("a/*/peer *", "a/b/peer 1.2.3.4:5"));
        assert!(!fits("a/*", "a/b/c"));
        assert!(fits("a/**", "a/b/c"));
        assert!(fits("**/store", "a/b/store"));
        assert!(!fits("**/store", "a/b/stored"));
    }
}
