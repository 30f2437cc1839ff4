//! Lists of fault points as text, for environment variables: `store.*=5%panic; **/peer *:wire.read[page=7]=error(bad)`. Pure.
//!
//! As `FAILPOINTS` of the crate `fail`, `name=tasks;name=tasks`, and before the name the glob of a process path and a `:`,
//! behind it conditions in brackets.

use super::{
    grammar::chain_at,
    point::Point,
    syntax::{Problem, SyntaxError},
};

/// All points of `text`, in order. Empty ones, between two `;`, are passed over.
pub(super) fn list(text: &str) -> Result<Vec<Point>, SyntaxError> {
    let mut points = Vec::new();
    let mut at = 0;
    loop {
        at += blank(&text[at..]);
        if at == text.len() {
            return Ok(points);
        }
        if text[at..].starts_with(';') {
            at += 1;
            continue;
        }
        let equals = equals(text, at)?;
        let mut point = head(text, at, equals)?;
        (point.terms, at) = chain_at(text, equals + 1)?;
        points.push(point);
    }
}

fn blank(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// The `=` that ends the head which begins at `from`: the first outside of brackets.
fn equals(text: &str, from: usize) -> Result<usize, SyntaxError> {
    let mut depth = 0usize;
    for (at, c) in text[from..].char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '=' if depth == 0 => return Ok(from + at),
            ';' if depth == 0 => break,
            _ => {}
        }
    }
    Err(SyntaxError::new(text, from, Problem::EqualsExpected))
}

/// `[path-glob:]name-glob[[key=value,…]]`. The path ends at the last `:`, because paths may hold some.
fn head(text: &str, from: usize, to: usize) -> Result<Point, SyntaxError> {
    let whole = text[from..to].trim_end();
    let brackets = whole.ends_with(']').then(|| whole.rfind('[')).flatten();
    let (place, conditions) = match brackets {
        Some(open) => (&whole[..open], &whole[open + 1..whole.len() - 1]),
        None => (whole, ""),
    };
    let (path, name) = match place.rsplit_once(':') {
        Some((path, name)) => (Some(path.trim()), name.trim()),
        None => (None, place.trim()),
    };
    if name.is_empty() {
        return Err(SyntaxError::new(text, from + place.len(), Problem::NameExpected));
    }
    let mut point = Point::named(name);
    if let Some(path) = path {
        point = point.under(path);
    }
    let mut at = from + place.len() + 1;
    for condition in conditions.split(',') {
        match condition.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => point = point.when(key.trim(), value.trim()),
            None if conditions.trim().is_empty() => {}
            _ => {
                let problem = Problem::ConditionExpected(condition.trim().into());
                return Err(SyntaxError::new(text, at + blank(condition), problem));
            }
        }
        at += condition.len() + 1;
    }
    Ok(point)
}
