//! The pure half of bt-erl alone, as the fuzz targets see it, and what several of them need.
//!
//! It is compiled from where it stands: no process, no socket and no file is linked into a fuzz target, so one is built in seconds.

#[path = "../../src/protocol/mod.rs"]
pub mod protocol;

/// Takes `N` bytes off the front of `data`; zeros once it is used up.
pub fn take<const N: usize>(data: &mut &[u8]) -> [u8; N] {
    let mut out = [0; N];
    let (head, rest) = data.split_at(data.len().min(N));
    out[..head.len()].copy_from_slice(head);
    *data = rest;
    out
}
