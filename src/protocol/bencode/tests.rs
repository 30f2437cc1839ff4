//! Strict where it matters, forgiving where the world is not strict, and never deep.

use proptest::prelude::*;

use super::*;

fn error(bytes: &[u8]) -> BencodeError {
    read(bytes).expect_err("refused")
}

#[test]
fn values_are_read_by_their_kind() {
    let doc = read(b"d4:blobi-7e4:listl3:abci0elee4:name2:hie").expect("bencode");
    let dict = doc.dict().expect("a dictionary");
    assert_eq!((dict.int("blob"), dict.bytes("name")), (Ok(-7), Ok(&b"hi"[..])));
    let list: Vec<_> = dict.list("list").expect("a list").map(Value::raw).collect();
    assert_eq!(list, [&b"3:abc"[..], b"i0e", b"le"]);
    let missing = BencodeError::Field { place: "no".into(), fault: Fault::Missing };
    assert_eq!(dict.int("no"), Err(missing));
    let wrong = dict.int("name").map_err(|error| error.within("root").to_string());
    assert_eq!(wrong, Err("the field root → name is not an integer".to_owned()));
    assert_eq!((doc.int(), doc.bytes(), doc.list().is_some()), (None, None, false));
}

#[test]
fn numbers_are_read_strictly() {
    for good in ["i0e", "i-1e", "i9223372036854775807e", "i-9223372036854775808e"] {
        let digits = &good[1..good.len() - 1];
        assert_eq!(read(good.as_bytes()).map(Value::int), Ok(digits.parse().ok()), "{good}");
    }
    let long = format!("i{}e", "9".repeat(34));
    let endless = format!("i{}", "1".repeat(100_000));
    for bad in [
        "i00e",
        "i01e",
        "i-0e",
        "i-01e",
        "i+5e",
        "ie",
        "i-e",
        "i 1e",
        "i1.5e",
        "i0x1e",
        "i--1e",
        "i9223372036854775808e",
        &long,
        &endless,
    ] {
        assert_eq!(error(bad.as_bytes()), BencodeError::BadNumber { at: 0 }, "{bad:.40}");
    }
    for cut in ["i", "i-", "i12"] {
        assert_eq!(error(cut.as_bytes()), BencodeError::Truncated, "{cut}");
    }
}

#[test]
fn lengths_are_read_strictly_and_never_believed() {
    assert_eq!(read(b"0:").map(Value::bytes), Ok(Some(&b""[..])));
    for bad in ["01:a", "00:", "1a", "99999999999999999999:a", "18446744073709551616:"] {
        assert_eq!(error(bad.as_bytes()), BencodeError::BadNumber { at: 0 }, "{bad}");
    }
    for long in ["2:a", "18446744073709551615:a", "9223372036854775807:"] {
        assert_eq!(error(long.as_bytes()), BencodeError::StringTooLong { at: 0 }, "{long}");
    }
    assert_eq!(error(b"-1:a"), BencodeError::Unexpected { at: 0 });
    assert_eq!(error(b"5"), BencodeError::Truncated);
}

#[test]
fn keys_are_strings_and_each_has_a_value() {
    assert_eq!(error(b"di1ei2ee"), BencodeError::Unexpected { at: 1 });
    assert_eq!(error(b"d+1:ai0ee"), BencodeError::Unexpected { at: 1 });
    assert_eq!(error(b"d1:ae"), BencodeError::Unexpected { at: 4 });
    assert_eq!(error(b"d1:a"), BencodeError::Truncated);
    assert_eq!(error(b"dlei1ee"), BencodeError::Unexpected { at: 1 });
    assert!(read(b"d1:ad1:bdeee").is_ok());
    assert_eq!([error(b""), error(b"l"), error(b"li1e")], [const { BencodeError::Truncated }; 3]);
    assert_eq!(error(b"e"), BencodeError::Unexpected { at: 0 });
}

#[test]
fn a_key_may_be_out_of_order_but_not_twice() {
    let field = |bytes| read(bytes).expect("bencode").dict();
    assert_eq!(field(b"d1:bi1e1:ai2ee").and_then(|dict| dict.int("a")), Ok(2));
    for bytes in [&b"d1:ai1e1:ai2ee"[..], b"d1:ai1e1:bi0e1:ai2ee"] {
        let twice = BencodeError::Field { place: "a".into(), fault: Fault::Twice };
        assert_eq!(field(bytes).expect_err("refused"), twice);
    }
    let many: String = (0..=MAX_KEYS).map(|n| format!("5:{n:05}i0e")).collect();
    let error = field(format!("d{many}e").as_bytes()).expect_err("refused");
    assert_eq!(error, BencodeError::Field { place: String::new(), fault: Fault::TooManyKeys });
}

#[test]
fn fifty_levels_are_read_and_a_million_are_refused_without_recursion() {
    let nested = |levels: usize| [b"l".repeat(levels), b"e".repeat(levels)].concat();
    assert!(read(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(error(&nested(MAX_DEPTH + 1)), BencodeError::TooDeep { at: MAX_DEPTH });
    assert_eq!(error(&b"l".repeat(1_000_000)), BencodeError::TooDeep { at: MAX_DEPTH });
    assert_eq!(error(&b"d1:a".repeat(1_000_000)), BencodeError::TooDeep { at: 4 * MAX_DEPTH });
}

#[test]
fn a_document_of_too_many_values_is_refused() {
    let doc = [b"l".to_vec(), b"0:".repeat(MAX_VALUES as usize), b"0:e".to_vec()].concat();
    assert_eq!(error(&doc), BencodeError::TooManyValues);
    let fits = [b"l".to_vec(), b"0:".repeat(MAX_VALUES as usize - 1), b"e".to_vec()].concat();
    assert!(read(&fits).is_ok());
}

#[test]
fn what_follows_is_refused_or_handed_back() {
    assert_eq!(error(b"i1e\n"), BencodeError::Trailing { at: 3 });
    assert_eq!(read_first(b"i1e\n").map(|(value, rest)| (value.raw(), rest)), Ok((&b"i1e"[..], &b"\n"[..])));
}

/// Bencode-like noise: the bytes that matter, often.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => prop::sample::select(&b"deli0123456789:-+a"[..]), 1 => any::<u8>()];
    proptest::collection::vec(byte, 0..60)
}

proptest! {
    #[test]
    fn noise_never_panics_and_bip_bencode_reads_what_is_accepted(bytes in noise()) {
        if let Ok((value, rest)) = read_first(&bytes) {
            prop_assert_eq!([value.raw(), rest].concat(), bytes.clone());
            let theirs = BencodeRef::decode(value.raw(), BDecodeOpt::new(60, false, true));
            match value.dict() {
                // A key twice is seen by us only where we look.
                Err(BencodeError::Field { fault: Fault::Twice, .. }) => prop_assert!(theirs.is_err()),
                _ if theirs.is_err() => prop_assert!(theirs.expect_err("no").to_string().contains("Key")),
                _ => {}
            }
        }
    }

    #[test]
    fn what_bip_bencode_writes_is_read(ints in proptest::collection::vec(any::<i64>(), 0..20), text in proptest::collection::vec(any::<u8>(), 0..50)) {
        use bip_bencode::{BMutAccess, BencodeMut};
        let mut list = BencodeMut::new_list();
        let entries = list.list_mut().expect("a list");
        ints.iter().for_each(|n| entries.push(BencodeMut::new_int(*n)));
        entries.push(BencodeMut::new_bytes(text.as_slice().into()));
        let bytes = list.encode();
        let values: Vec<_> = read(&bytes).expect("bencode").list().expect("a list").collect();
        let (last, rest) = values.split_last().expect("one at least");
        prop_assert_eq!(last.bytes(), Some(text.as_slice()));
        prop_assert_eq!(rest.iter().filter_map(|v| v.int()).collect::<Vec<_>>(), ints);
    }
}
