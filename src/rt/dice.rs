//! Randomness: seeds for pure code, jitter for back-offs, our peer id.
//!
//! Never used for secrets: the generator is fast, seeded by the OS process, and predictable to someone who sees enough
//! of its output.

use std::time::Duration;

/// A seed for pure code that breaks ties at random.
pub fn seed() -> u64 {
    fastrand::u64(..)
}

/// `N` random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fastrand::fill(&mut bytes);
    bytes
}

/// A number below `end`; 0 when `end` is 0.
pub fn below(end: u64) -> u64 {
    if end == 0 { 0 } else { fastrand::u64(..end) }
}

/// Puts `items` in a random order, each order equally likely.
pub fn shuffle<T>(items: &mut [T]) {
    fastrand::shuffle(items);
}

/// `length` made longer or shorter by up to `part` of itself (0.0 to 1.0), so that many back-offs do not end in the
/// same moment.
pub fn jittered(length: Duration, part: f64) -> Duration {
    let part = part.clamp(0.0, 1.0);
    length.mul_f64(1.0 + part * (2.0 * fastrand::f64() - 1.0))
}

/// A new peer id in the Azureus style: client `BE`, version 0.1.0, then 12 random letters and digits.
pub fn new_peer_id() -> [u8; 20] {
    let mut id = *b"-BE0100-000000000000";
    for byte in &mut id[8..] {
        *byte = fastrand::alphanumeric() as u8;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_peer_ids_differ_only_after_the_prefix() {
        let (a, b) = (new_peer_id(), new_peer_id());
        assert_eq!((&a[..8], &b[..8]), (&b"-BE0100-"[..], &b"-BE0100-"[..]));
        assert_ne!(a, b);
        assert!(a.iter().all(u8::is_ascii_graphic));
    }

    #[test]
    fn jitter_stays_within_its_part() {
        for _ in 0..1000 {
            let length = jittered(Duration::from_secs(10), 0.2);
            assert!((8.0..=12.0).contains(&length.as_secs_f64()), "{length:?}");
        }
        assert_eq!(below(0), 0);
    }
}
