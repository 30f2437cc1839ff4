//! SHA-1 of several messages of one length, side by side.
//!
//! Each step of SHA-1 needs the one before, so a core that hashes one message mostly waits. Here a register holds one word of each of 16
//! messages (AVX-512; with AVX2 of 8), and that time is used. What the processor has is found out when the program runs; without these
//! instructions, or with too few messages, the crate `sha1` takes one after the other: the answers are the same. For pieces that lie on
//! disk: those that come from peers come one at a time. It cuts messages into blocks and pads them; `x86` has the instructions.

#[cfg(target_arch = "x86_64")]
mod x86;

use sha1::{Digest, Sha1};

#[cfg(target_arch = "x86_64")]
use self::x86::Kernel;

/// Messages that can be hashed side by side.
pub const WIDTH: usize = 16;

/// Bytes that SHA-1 takes at once.
const BLOCK: usize = 64;

/// FIPS 180-4, 5.3.3.
const BEGIN: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// The five words of each message's hash so far: first the first words of all.
type State = [[u32; WIDTH]; 5];

/// Messages of one length that are being hashed.
#[derive(Debug, Clone)]
pub struct Lanes(Ways);

#[derive(Debug, Clone)]
enum Ways {
    Together(Box<Together>),
    OneByOne(Vec<Sha1>),
}

#[derive(Debug, Clone)]
struct Together {
    kernel: Kernel,
    messages: usize,
    state: State,
    /// The bytes of each message so far, and those at the end of them that make no whole block yet.
    bytes: u64,
    rest: [[u8; BLOCK]; WIDTH],
}

impl Lanes {
    /// Begins with `messages` empty ones. Up to 16 are hashed side by side where that is faster (six are enough), others one after the
    /// other.
    pub fn new(messages: usize) -> Self {
        match Kernel::best() {
            Some(kernel) if messages <= WIDTH && kernel.is_worth(messages) => Self::with(kernel, messages),
            _ => Self::one_by_one(messages),
        }
    }

    /// As many messages as are worth being hashed at once: 16, or 1 where this processor gains nothing.
    pub fn width() -> usize {
        if Kernel::best().is_some() { WIDTH } else { 1 }
    }

    /// One after the other, whatever the processor can.
    pub fn one_by_one(messages: usize) -> Self {
        Self(Ways::OneByOne(vec![Sha1::new(); messages]))
    }

    fn with(kernel: Kernel, messages: usize) -> Self {
        let state = BEGIN.map(|word| [word; WIDTH]);
        Self(Ways::Together(Box::new(Together { kernel, messages, state, bytes: 0, rest: [[0; BLOCK]; WIDTH] })))
    }

    /// The next bytes of each message, equally many of each; any number, 0 too.
    ///
    /// # Panics
    ///
    /// When there are not as many slices as messages, or they are not of one length.
    pub fn update(&mut self, slices: &[&[u8]]) {
        let length = slices.first().map_or(0, |slice| slice.len());
        assert!(slices.iter().all(|slice| slice.len() == length), "slices of one length");
        match &mut self.0 {
            Ways::OneByOne(messages) => {
                assert_eq!(slices.len(), messages.len(), "a slice for each message");
                messages.iter_mut().zip(slices).for_each(|(message, slice)| message.update(slice));
            }
            Ways::Together(lanes) => {
                assert_eq!(slices.len(), lanes.messages, "a slice for each message");
                // A lane that nobody needs does what the first one does.
                lanes.update(std::array::from_fn(|lane| *slices.get(lane).unwrap_or(&slices[0])), length);
            }
        }
    }

    /// The hash of each message.
    pub fn finish(self) -> Vec<[u8; 20]> {
        match self.0 {
            Ways::OneByOne(messages) => messages.into_iter().map(|message| message.finalize().into()).collect(),
            Ways::Together(lanes) => lanes.finish(),
        }
    }
}

impl Together {
    fn update(&mut self, mut slices: [&[u8]; WIDTH], length: usize) {
        let held = self.held();
        self.bytes += length as u64;
        if held > 0 {
            let more = length.min(BLOCK - held);
            for (rest, slice) in self.rest.iter_mut().zip(&mut slices) {
                let (now, later) = slice.split_at(more);
                rest[held..held + more].copy_from_slice(now);
                *slice = later;
            }
            if held + more < BLOCK {
                return;
            }
            self.kernel.compress(&mut self.state, self.rest.each_ref().map(std::slice::from_ref), self.messages);
        }
        let slices = slices.map(<[u8]>::as_chunks);
        self.kernel.compress(&mut self.state, slices.map(|(blocks, _)| blocks), self.messages);
        for (rest, (_, left)) in self.rest.iter_mut().zip(slices) {
            rest[..left.len()].copy_from_slice(left);
        }
    }

    /// Bytes in each of `rest`.
    fn held(&self) -> usize {
        (self.bytes % BLOCK as u64) as usize
    }

    /// FIPS 180-4, 5.1.1: a one, zeros, and the length in bits fill the last block.
    fn finish(mut self) -> Vec<[u8; 20]> {
        let bits = (self.bytes * 8).to_be_bytes();
        let end = if self.held() + 1 + bits.len() > BLOCK { 2 * BLOCK } else { BLOCK } - self.held();
        let mut padding = [0; 2 * BLOCK];
        padding[0] = 0x80;
        padding[end - bits.len()..end].copy_from_slice(&bits);
        self.update([&padding[..end]; WIDTH], end);
        (0..self.messages).map(|lane| hash(self.state.map(|word| word[lane]))).collect()
    }
}

fn hash(words: [u32; 5]) -> [u8; 20] {
    let mut hash = [0; 20];
    for (bytes, word) in hash.iter_mut().zip(words.iter().flat_map(|word| word.to_be_bytes())) {
        *bytes = word;
    }
    hash
}

/// There is none for this processor.
#[cfg(not(target_arch = "x86_64"))]
#[derive(Debug, Clone, Copy)]
enum Kernel {}

#[cfg(not(target_arch = "x86_64"))]
impl Kernel {
    fn best() -> Option<Self> {
        None
    }

    fn is_worth(self, _: usize) -> bool {
        match self {}
    }

    fn compress(self, _: &mut State, _: [&[[u8; BLOCK]]; WIDTH], _: usize) {
        match self {}
    }
}

#[cfg(test)]
mod tests;
