//! A large send, cut into pieces.
//!
//! The ring reports a send when all of it is in the socket's queue. A slow consumer of a 4 MiB response
//! would look like one that has stopped; cut, each piece is progress. Cutting copies nothing.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::limits::SEND_PIECE_BYTES_MAX;
use crate::seam::SendMode;

/// What is left of a send.
#[derive(Debug)]
pub(super) struct Pieces {
    parts: VecDeque<Bytes>,
    /// Invariant: the sum of `parts`.
    bytes: usize,
    mode: SendMode,
}

impl Pieces {
    pub(super) fn new(parts: Vec<Bytes>, mode: SendMode) -> Self {
        let bytes = parts.iter().map(Bytes::len).sum();
        Self { parts: parts.into(), bytes, mode }
    }

    pub(super) const fn mode(&self) -> SendMode {
        self.mode
    }

    /// Whether nothing is left.
    pub(super) const fn are_given(&self) -> bool {
        self.bytes == 0
    }

    /// The next piece and its length; `None`: all is given.
    pub(super) fn next(&mut self) -> Option<(Vec<Bytes>, usize)> {
        if self.are_given() {
            return None;
        }
        if self.bytes <= SEND_PIECE_BYTES_MAX {
            // The usual send: the list that the core gave, without an allocation.
            let bytes = std::mem::take(&mut self.bytes);
            return Some((std::mem::take(&mut self.parts).into(), bytes));
        }
        let mut piece = Vec::new();
        let mut room = SEND_PIECE_BYTES_MAX;
        while let Some(first) = self.parts.front_mut() {
            if first.len() > room {
                piece.push(first.split_to(room));
                room = 0;
            } else {
                room -= first.len();
                piece.extend(self.parts.pop_front());
            }
            if room == 0 {
                break;
            }
        }
        let bytes = SEND_PIECE_BYTES_MAX - room;
        self.bytes -= bytes;
        Some((piece, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Pieces, SEND_PIECE_BYTES_MAX, SendMode};

    fn cut(lengths: &[usize]) -> Vec<usize> {
        let mut next = 0_u8;
        let parts: Vec<Bytes> = lengths
            .iter()
            .map(|length| {
                next += 1;
                Bytes::from(vec![next; *length])
            })
            .collect();
        let whole = parts.concat();
        let mut pieces = Pieces::new(parts, SendMode::Plain);
        let (mut given, mut lengths) = (Vec::new(), Vec::new());
        while let Some((piece, bytes)) = pieces.next() {
            assert_eq!(piece.concat().len(), bytes);
            given.extend(piece.concat());
            lengths.push(bytes);
        }
        assert_eq!(given, whole);
        lengths
    }

    #[test]
    fn a_send_is_cut_at_the_maximum_and_nothing_is_lost() {
        const MAX: usize = SEND_PIECE_BYTES_MAX;
        assert_eq!(cut(&[10, 0, 20]), [30]);
        assert_eq!(cut(&[MAX]), [MAX]);
        assert_eq!(cut(&[10, MAX]), [MAX, 10]);
        assert_eq!(cut(&[MAX, 10, MAX, MAX - 10]), [MAX, MAX, MAX]);
        assert_eq!(cut(&[3 * MAX + 1]), [MAX, MAX, MAX, 1]);
        assert_eq!(cut(&[0, 0]), [0; 0]);
    }
}
