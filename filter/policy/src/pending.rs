//! What waits for the answers of streams.

use std::{collections::BTreeMap, ops::Bound};

/// How many of the others are looked at, for whether their streams still live, when one is added. More than one, so
/// that those whose answers never come go faster than others are added.
const SWEPT_PER_INSERT: usize = 2;

/// Something for each of some streams, by the stream's number, until its answer takes it. Nothing tells of streams that
/// end without an answer: they are looked for.
#[derive(Debug)]
pub struct Pending<T> {
    of_streams: BTreeMap<u32, T>,
    /// The stream at which the last sweep stopped.
    swept: u32,
}

// === impl Pending ===

impl<T> Pending<T> {
    /// Adds what the answer to `stream` is to find. `is_live` says whether a stream has not ended.
    pub fn insert(&mut self, stream: u32, value: T, is_live: impl Fn(u32) -> bool) {
        self.sweep(is_live);
        self.of_streams.insert(stream, value);
    }

    /// What was added for `stream`, once.
    pub fn take(&mut self, stream: u32) -> Option<T> {
        self.of_streams.remove(&stream)
    }

    fn sweep(&mut self, is_live: impl Fn(u32) -> bool) {
        for _ in 0..SWEPT_PER_INSERT {
            let after = (Bound::Excluded(self.swept), Bound::Unbounded);
            let Some((&stream, _)) = self.of_streams.range(after).next() else {
                self.swept = 0;
                return;
            };
            self.swept = stream;
            if !is_live(stream) {
                self.of_streams.remove(&stream);
            }
        }
    }
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self {
            of_streams: BTreeMap::new(),
            swept: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_takes_what_waits_for_it_once() {
        let mut pending = Pending::default();
        pending.insert(7, "seven", |_| true);
        pending.insert(8, "eight", |_| true);
        assert_eq!(pending.take(7), Some("seven"));
        assert_eq!(pending.take(7), None);
        assert_eq!(pending.take(8), Some("eight"));
    }

    #[test]
    fn a_number_that_comes_again_is_the_new_stream() {
        let mut pending = Pending::default();
        pending.insert(7, "old", |_| true);
        pending.insert(7, "new", |_| true);
        assert_eq!(pending.take(7), Some("new"));
    }

    #[test]
    fn streams_that_ended_without_an_answer_do_not_pile_up() {
        let mut pending = Pending::default();
        // Every tenth gets no answer, and ends when ten more have come.
        for stream in 1..10_000 {
            pending.insert(stream, (), |other| other + 10 > stream);
            if stream % 10 != 0 {
                assert_eq!(pending.take(stream), Some(()));
            }
            assert!(pending.of_streams.len() < 5, "{}", pending.of_streams.len());
        }
    }

    #[test]
    fn streams_that_live_are_left_alone() {
        let mut pending = Pending::default();
        for stream in 1..1_000 {
            pending.insert(stream, stream, |_| true);
        }
        for stream in 1..1_000 {
            assert_eq!(pending.take(stream), Some(stream));
        }
    }
}
