//! Up to which time a shard is durable (pure).
//!
//! Records are noted as they are read, by position and creation time; when a position becomes durable, so does everything before it.
//! One entry is kept for each second that is read and not yet durable.

use std::collections::VecDeque;

use crate::event::Position;

/// What was read and is not durable yet.
#[derive(Debug, Default)]
pub(super) struct Watermark {
    pending: VecDeque<(Position, i64)>,
}

impl Watermark {
    /// A record was read, behind all earlier ones.
    pub(super) fn read(&mut self, sequence: Position, time: i64) {
        match self.pending.back_mut() {
            Some((last, at)) if *at == time => *last = sequence,
            _ => self.pending.push_back((sequence, time)),
        }
    }

    /// Everything up to `sequence` is durable. Returns the time of the last such record, where a whole second became durable.
    pub(super) fn durable(&mut self, sequence: Position) -> Option<i64> {
        let mut time = None;
        while let Some((last, at)) = self.pending.front().copied() {
            if last > sequence {
                break;
            }
            time = Some(at);
            self.pending.pop_front();
        }
        time
    }

    /// Nothing is pending: all that was read is durable.
    pub(super) fn is_clear(&self) -> bool {
        self.pending.is_empty()
    }

    /// What was read and not made durable is going to be read again.
    pub(super) fn reset(&mut self) {
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(n: u32) -> Position {
        n.to_string().parse().unwrap()
    }

    #[test]
    fn a_second_counts_once_its_last_record_is_durable() {
        let mut watermark = Watermark::default();
        for (n, time) in [(1, 10), (2, 10), (3, 11)] {
            watermark.read(sequence(n), time);
        }
        assert_eq!(watermark.durable(sequence(1)), None, "record 2 of second 10 is pending");
        assert_eq!(watermark.durable(sequence(2)), Some(10));
        assert!(!watermark.is_clear());
        assert_eq!(watermark.durable(sequence(3)), Some(11));
        assert!(watermark.is_clear());
    }
}
