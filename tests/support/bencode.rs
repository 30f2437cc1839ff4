//! A bencode writer that can also write what no honest program would: keys twice or unsorted, and raw bytes in any place.

/// A bencoded value. A dictionary is written in the order given, unsorted and repeated keys included.
#[derive(Clone)]
pub(crate) enum Ben {
    Int(i128),
    Bytes(Vec<u8>),
    List(Vec<Ben>),
    Dict(Vec<(Vec<u8>, Ben)>),
    /// Written as it is.
    Raw(Vec<u8>),
}

impl Ben {
    /// The bencoded bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Ben::Int(number) => out.extend_from_slice(format!("i{number}e").as_bytes()),
            Ben::Bytes(bytes) => write_bytes(bytes, out),
            Ben::List(values) => {
                out.push(b'l');
                values.iter().for_each(|value| value.write(out));
                out.push(b'e');
            }
            Ben::Dict(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    write_bytes(key, out);
                    value.write(out);
                }
                out.push(b'e');
            }
            Ben::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
}

/// A byte string.
pub(crate) fn text(bytes: impl AsRef<[u8]>) -> Ben {
    Ben::Bytes(bytes.as_ref().to_vec())
}

/// A list.
pub(crate) fn list(values: impl IntoIterator<Item = Ben>) -> Ben {
    Ben::List(values.into_iter().collect())
}

/// A dictionary, in the order given.
pub(crate) fn dict<'a>(entries: impl IntoIterator<Item = (&'a str, Ben)>) -> Ben {
    Ben::Dict(entries.into_iter().map(|(key, value)| (key.as_bytes().to_vec(), value)).collect())
}
