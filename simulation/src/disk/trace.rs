//! A running hash of everything that happened: the same seed must give the same number.

use std::path::Path;

/// 64-bit FNV-1a over words: what matters is that any difference shows, not its quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    hash: u64,
    /// Print calls too.
    loud: bool,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, loud: false }
    }

    pub(crate) fn hash(self) -> u64 {
        self.hash
    }

    pub(crate) fn be_loud(&mut self) {
        self.loud = true;
    }

    pub(crate) fn number(&mut self, value: u64) {
        self.hash = (self.hash ^ value).wrapping_mul(0x0000_0100_0000_01b3);
        self.hash ^= self.hash >> 32;
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.number(u64::from_le_bytes(word));
        }
    }

    /// A call with its name, path and two numbers.
    pub(crate) fn call(&mut self, name: &str, path: &Path, first: u64, second: u64) {
        if self.loud {
            eprintln!("        disk: {name} {} {first} {second}", path.display());
        }
        self.bytes(name.as_bytes());
        self.bytes(path.as_os_str().as_encoded_bytes());
        self.number(first);
        self.number(second);
    }
}
