//! A typed reader of bencode (BEP 3) that nothing hostile can make deep, large or slow.
//!
//! [`read`] walks the whole document once, without recursion and without allocating, and refuses what is not strictly
//! bencode or nested too deeply. Behind it a [`Value`] is a stretch of the input known to be right; containers are walked
//! where they lie, so a list of a million entries costs nothing until an entry is looked at. Single integers and strings are
//! decoded by `bip_bencode`, which is never given a container: it recurses, takes 48 bytes a value, and takes a sign
//! with `+` that this reader has refused before.

use std::fmt;

use bip_bencode::ext::BRefAccessExt;
use bip_bencode::{BDecodeOpt, BRefAccess, BencodeRef};

/// Deepest nesting of lists and dictionaries accepted.
pub const MAX_DEPTH: usize = 50;
/// Most values (keys included) accepted in one document.
pub const MAX_VALUES: u32 = 3_000_000;
/// Most keys in a dictionary that is looked into; the ones in use have fewer than thirty.
const MAX_KEYS: usize = 10_000;

/// Why a document is not bencode, or not the bencode that was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BencodeError {
    /// The input ends inside a value.
    Truncated,
    /// A byte that cannot stand where it stands.
    Unexpected {
        /// Its offset.
        at: usize,
    },
    /// An integer or a length that is empty, padded with zeros, signed wrongly, or beyond 64 bits.
    BadNumber {
        /// Its offset.
        at: usize,
    },
    /// A string that is announced longer than the rest of the input.
    StringTooLong {
        /// Its offset.
        at: usize,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep {
        /// Offset of the first container too deep.
        at: usize,
    },
    /// More than [`MAX_VALUES`].
    TooManyValues,
    /// Something follows the value.
    Trailing {
        /// Its offset.
        at: usize,
    },
    /// A field is missing, or not what it has to be.
    Field {
        /// Keys that lead to it, outermost first, joined by arrows; empty for the outermost value.
        place: String,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// What can be wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Missing,
    /// It is there more than once.
    Twice,
    /// It is another kind of value.
    NotA {
        /// What was expected.
        kind: &'static str,
    },
    /// It is a dictionary with more than 10,000 keys.
    TooManyKeys,
}

impl fmt::Display for BencodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => write!(f, "the bencoding ends in the middle of a value"),
            Self::Unexpected { at } => write!(f, "byte {at} is not bencoding"),
            Self::BadNumber { at } => write!(f, "the number at byte {at} is malformed or does not fit 64 bits"),
            Self::StringTooLong { at } => write!(f, "the string at byte {at} is announced longer than what follows"),
            Self::TooDeep { at } => write!(f, "the value at byte {at} is nested deeper than {MAX_DEPTH} levels"),
            Self::TooManyValues => write!(f, "it holds more than {MAX_VALUES} values"),
            Self::Trailing { at } => write!(f, "something follows the end of the bencoding at byte {at}"),
            Self::Field { place, fault } => {
                match place.as_str() {
                    "" => write!(f, "it ")?,
                    place => write!(f, "the field {place} ")?,
                }
                match fault {
                    Fault::Missing => write!(f, "is missing"),
                    Fault::Twice => write!(f, "is there twice"),
                    Fault::NotA { kind } => write!(f, "is not {kind}"),
                    Fault::TooManyKeys => write!(f, "has more than {MAX_KEYS} keys"),
                }
            }
        }
    }
}

impl std::error::Error for BencodeError {}

impl BencodeError {
    pub(crate) fn field(place: &str, fault: Fault) -> Self {
        Self::Field { place: place.to_owned(), fault }
    }

    /// Says where the dictionary is that was wrong, or had a wrong field.
    pub(crate) fn within(self, outer: impl fmt::Display) -> Self {
        match self {
            Self::Field { place, fault } if place.is_empty() => Self::Field { place: outer.to_string(), fault },
            Self::Field { place, fault } => Self::Field { place: format!("{outer} → {place}"), fault },
            other => other,
        }
    }
}

/// One value, known to be bencode; nothing of it is decoded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a [u8]);

/// Checks a document that is one value and nothing else.
pub fn read(bytes: &[u8]) -> Result<Value<'_>, BencodeError> {
    let (value, rest) = read_first(bytes)?;
    if rest.is_empty() { Ok(value) } else { Err(BencodeError::Trailing { at: value.0.len() }) }
}

/// Checks the value that `bytes` begin with; what follows it comes back unread.
pub fn read_first(bytes: &[u8]) -> Result<(Value<'_>, &[u8]), BencodeError> {
    let end = end_of_value(bytes)?;
    let (value, rest) = bytes.split_at(end);
    Ok((Value(value), rest))
}

impl<'a> Value<'a> {
    /// The value as it is encoded: what an info hash is made from.
    pub fn raw(self) -> &'a [u8] {
        self.0
    }

    /// The integer, if it is one.
    pub fn int(self) -> Option<i64> {
        self.leaf()?.int()
    }

    /// The string, if it is one. Bencode's strings are bytes.
    pub fn bytes(self) -> Option<&'a [u8]> {
        self.leaf()?.bytes_ext()
    }

    /// The entries, if it is a list.
    pub fn list(self) -> Option<Items<'a>> {
        (self.0.first() == Some(&b'l')).then(|| Items(&self.0[1..self.0.len() - 1]))
    }

    /// The fields, if it is a dictionary that has each key once.
    pub fn dict(self) -> Result<Dict<'a>, BencodeError> {
        if self.0.first() != Some(&b'd') {
            return Err(BencodeError::field("", Fault::NotA { kind: "a dictionary" }));
        }
        let mut items = Items(&self.0[1..self.0.len() - 1]);
        let mut fields = Vec::new();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            if fields.len() == MAX_KEYS {
                return Err(BencodeError::field("", Fault::TooManyKeys));
            }
            fields.push((key.bytes().unwrap_or_default(), value));
        }
        // Sorted in practice, as BEP 3 demands; when not, only the order is forgiven.
        fields.sort_by_key(|(key, _)| *key);
        if let Some([(key, _), _]) = fields.array_windows().find(|[a, b]| a.0 == b.0) {
            return Err(BencodeError::field(&String::from_utf8_lossy(key).escape_debug().to_string(), Fault::Twice));
        }
        Ok(Dict(fields))
    }

    /// An integer or a string as `bip_bencode` sees it.
    fn leaf(self) -> Option<BencodeRef<'a>> {
        let single = matches!(self.0.first(), Some(b'i' | b'0'..=b'9'));
        single.then(|| BencodeRef::decode(self.0, BDecodeOpt::new(1, false, true)).ok()).flatten()
    }
}

/// The entries of a list, one by one.
#[derive(Debug, Clone)]
pub struct Items<'a>(&'a [u8]);

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        // It was checked as part of the whole, so this fails only at the end.
        let (value, rest) = read_first(self.0).ok()?;
        self.0 = rest;
        Some(value)
    }
}

/// The fields of a dictionary, each key once.
#[derive(Debug, Clone)]
pub struct Dict<'a>(Vec<(&'a [u8], Value<'a>)>);

impl<'a> Dict<'a> {
    /// The field, if it is there.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        let at = self.0.binary_search_by_key(&key.as_bytes(), |(key, _)| key).ok()?;
        self.0.get(at).map(|(_, value)| *value)
    }

    /// The field, which has to be there.
    pub fn value(&self, key: &str) -> Result<Value<'a>, BencodeError> {
        self.get(key).ok_or_else(|| BencodeError::field(key, Fault::Missing))
    }

    /// The field, which has to be there and an integer.
    pub fn int(&self, key: &str) -> Result<i64, BencodeError> {
        let fault = Fault::NotA { kind: "an integer" };
        self.value(key)?.int().ok_or_else(|| BencodeError::field(key, fault))
    }

    /// The field, which has to be there and a string.
    pub fn bytes(&self, key: &str) -> Result<&'a [u8], BencodeError> {
        let fault = Fault::NotA { kind: "a string" };
        self.value(key)?.bytes().ok_or_else(|| BencodeError::field(key, fault))
    }

    /// The field, which has to be there and a list.
    pub fn list(&self, key: &str) -> Result<Items<'a>, BencodeError> {
        let fault = Fault::NotA { kind: "a list" };
        self.value(key)?.list().ok_or_else(|| BencodeError::field(key, fault))
    }
}

/// What may come next inside an open container.
#[derive(Clone, Copy, PartialEq)]
enum Open {
    List,
    Key,
    KeysValue,
}

/// Where the value ends that `bytes` begin with.
fn end_of_value(bytes: &[u8]) -> Result<usize, BencodeError> {
    let mut stack = [Open::List; MAX_DEPTH];
    let mut depth: usize = 0;
    let mut at = 0;
    let mut values = 0;
    loop {
        let byte = *bytes.get(at).ok_or(BencodeError::Truncated)?;
        values += u32::from(byte != b'e');
        if values > MAX_VALUES {
            return Err(BencodeError::TooManyValues);
        }
        let open = depth.checked_sub(1).and_then(|top| stack.get_mut(top));
        let inside = open.as_deref().copied();
        match (byte, inside) {
            (b'e', Some(Open::List | Open::Key)) => {
                at += 1;
                depth -= 1;
            }
            (b'0'..=b'9', _) => {
                at = end_of_string(bytes, at)?;
                match (open, inside) {
                    (Some(open), Some(Open::Key)) => *open = Open::KeysValue,
                    (Some(open), Some(Open::KeysValue)) => *open = Open::Key,
                    _ => {}
                }
            }
            (b'i', None | Some(Open::List | Open::KeysValue)) => {
                at = end_of_int(bytes, at)?;
                if let (Some(open), Some(Open::KeysValue)) = (open, inside) {
                    *open = Open::Key;
                }
            }
            (b'l' | b'd', None | Some(Open::List | Open::KeysValue)) => {
                // When this container is closed, its parent expects a key again.
                if let (Some(open), Some(Open::KeysValue)) = (open, inside) {
                    *open = Open::Key;
                }
                *stack.get_mut(depth).ok_or(BencodeError::TooDeep { at })? =
                    if byte == b'l' { Open::List } else { Open::Key };
                depth += 1;
                at += 1;
            }
            _ => return Err(BencodeError::Unexpected { at }),
        }
        if depth == 0 {
            return Ok(at);
        }
    }
}

/// `i`, an integer without needless digits, `e`.
fn end_of_int(bytes: &[u8], at: usize) -> Result<usize, BencodeError> {
    let bad = BencodeError::BadNumber { at };
    let sign = usize::from(bytes.get(at + 1) == Some(&b'-'));
    let digits = digits(bytes, at + 1 + sign);
    let plain = match digits {
        [] | [b'0', _, ..] => false,
        [b'0'] => sign == 0,
        _ => true,
    };
    let end = at + 1 + sign + digits.len();
    let text = bytes.get(at + 1..end).and_then(|text| str::from_utf8(text).ok());
    match bytes.get(end) {
        Some(b'e') if plain && text.is_some_and(|text| text.parse::<i64>().is_ok()) => Ok(end + 1),
        None if digits.len() <= 19 => Err(BencodeError::Truncated),
        _ => Err(bad),
    }
}

/// A length without needless digits, a colon, and that many bytes.
fn end_of_string(bytes: &[u8], at: usize) -> Result<usize, BencodeError> {
    let digits = digits(bytes, at);
    let length = match digits {
        [b'0', _, ..] => None,
        digits => str::from_utf8(digits).ok().and_then(|text| text.parse::<usize>().ok()),
    };
    let length = length.ok_or(BencodeError::BadNumber { at })?;
    let colon = at + digits.len();
    match bytes.get(colon) {
        Some(b':') if length < bytes.len() - colon => Ok(colon + 1 + length),
        Some(b':') => Err(BencodeError::StringTooLong { at }),
        Some(_) => Err(BencodeError::BadNumber { at }),
        None => Err(BencodeError::Truncated),
    }
}

/// The decimal digits from `at` on; no more than make any 64-bit number, and one to show that it is none.
fn digits(bytes: &[u8], at: usize) -> &[u8] {
    let rest = bytes.get(at..).unwrap_or_default();
    let rest = &rest[..rest.len().min(21)];
    let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    &rest[..end]
}

#[cfg(test)]
mod tests;
