//! The bytes of a file, sparse: pages of zeros are not kept, so that preallocated files cost nothing.

use std::collections::BTreeMap;
use std::rc::Rc;

const PAGE_BYTES: usize = 4096;

type Page = [u8; PAGE_BYTES];

/// Invariant: no byte at or beyond `length` is other than zero. Copies share their pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pages: BTreeMap<u64, Rc<Page>>,
    length: u64,
}

impl Content {
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn set_length(&mut self, length: u64) {
        if length < self.length {
            self.pages.split_off(&length.div_ceil(PAGE_BYTES as u64));
            let within = (length % PAGE_BYTES as u64) as usize;
            if let Some(page) = self.pages.get_mut(&(length / PAGE_BYTES as u64)) {
                Rc::make_mut(page)[within..].fill(0);
            }
        }
        self.length = length;
    }

    /// Nothing, written beyond the end, does not make the file longer.
    pub(super) fn write(&mut self, position: u64, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let mut rest = data;
        let mut at = position;
        while !rest.is_empty() {
            let (number, within) = (at / PAGE_BYTES as u64, (at % PAGE_BYTES as u64) as usize);
            let (piece, more) = rest.split_at(rest.len().min(PAGE_BYTES - within));
            let zeros = piece.iter().all(|byte| *byte == 0);
            if !zeros || self.pages.contains_key(&number) {
                let page = self.pages.entry(number).or_insert_with(|| Rc::new([0; PAGE_BYTES]));
                Rc::make_mut(page)[within..within + piece.len()].copy_from_slice(piece);
            }
            at += piece.len() as u64;
            rest = more;
        }
        self.length = self.length.max(at);
    }

    /// Gives the bytes read: fewer at the end.
    pub(super) fn read(&self, position: u64, into: &mut [u8]) -> usize {
        let end = self.length.min(position.saturating_add(into.len() as u64));
        let mut at = position;
        while at < end {
            let (number, within) = (at / PAGE_BYTES as u64, (at % PAGE_BYTES as u64) as usize);
            let piece = (end - at).min((PAGE_BYTES - within) as u64) as usize;
            let filled = (at - position) as usize;
            let target = &mut into[filled..filled + piece];
            match self.pages.get(&number) {
                Some(page) => target.copy_from_slice(&page[within..within + piece]),
                None => target.fill(0),
            }
            at += piece as u64;
        }
        (at - position) as usize
    }

    pub(super) fn flip(&mut self, position: u64, bit: u8) {
        let mut byte = [0];
        assert_eq!(self.read(position, &mut byte), 1, "only a byte of the file can be flipped");
        byte[0] ^= 1 << bit;
        self.write(position, &byte);
    }
}

#[cfg(test)]
mod tests {
    use super::Content;
    use crate::random::Random;

    #[test]
    fn sparse_bytes_are_those_of_a_vector() {
        let mut random = Random::new(3);
        let (mut content, mut model) = (Content::default(), Vec::<u8>::new());
        for _ in 0..2000 {
            let position = random.below(40_000) as usize;
            let length = random.below(9000) as usize;
            if random.one_in(10) {
                content.set_length(position as u64);
                model.resize(position, 0);
            } else {
                let data = vec![random.below(3) as u8; length];
                content.write(position as u64, &data);
                if model.len() < position + length && length > 0 {
                    model.resize(position + length, 0);
                }
                if length > 0 {
                    model[position..position + length].copy_from_slice(&data);
                }
            }
            assert_eq!(content.length() as usize, model.len());
            let (from, mut into) = (random.below(45_000) as usize, vec![9; 8192]);
            let read = content.read(from as u64, &mut into);
            assert_eq!(
                into[..read],
                model[from.min(model.len())
                    ..(from + 8192).min(model.len()).max(from.min(model.len()))]
            );
        }
    }

    #[test]
    fn zeros_take_no_memory() {
        let mut content = Content::default();
        content.write(0, &vec![0; 1 << 20]);
        assert_eq!((content.pages.len(), content.length()), (0, 1 << 20));
    }
}
