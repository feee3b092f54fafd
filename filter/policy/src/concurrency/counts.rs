//! Requests in flight by worker, for some keys.
//!
//! ```text
//! layout u8  count ...        all numbers little-endian
//! count:  hash of the key u64  worker u64  requests u64
//! ```

use super::workers::Workers;

const LAYOUT: u8 = 1;

/// The most counts in a value. 256 values then hold a million: beyond that, requests are refused.
const MAX_COUNTS: usize = 4_096;

/// The counts in one shared value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(Vec<Count>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    /// The hash of a key.
    hash: u64,
    worker: u64,
    /// At least 1.
    requests: u64,
}

// === impl Counts ===

impl Counts {
    /// Parses the bytes; `None` if they are malformed, or of another layout.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&LAYOUT, words) = bytes.split_first()? else {
            return None;
        };
        let (words, []) = words.as_chunks() else {
            return None;
        };
        let (counts, []) = words.as_chunks() else {
            return None;
        };
        let counts: Vec<_> = counts.iter().map(Count::from_words).collect();
        let is_sound = counts.len() <= MAX_COUNTS && counts.iter().all(|count| count.requests > 0);
        is_sound.then_some(Self(counts))
    }

    /// Serializes the counts. The bytes are never empty, because an empty value reads as absent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let counts = self.0.iter().flat_map(|count| count.to_words()).flatten();
        [LAYOUT].into_iter().chain(counts).collect()
    }

    /// Returns true if one more request with that key may be in flight.
    #[must_use]
    pub fn has_room(&self, hash: u64, max: u32) -> bool {
        let of_key = self.0.iter().filter(|count| count.hash == hash);
        let requests = of_key.fold(0_u64, |sum, count| sum.saturating_add(count.requests));
        requests < max.into() && self.0.len() < MAX_COUNTS
    }

    pub fn add(&mut self, hash: u64, worker: u64) {
        match self.find(hash, worker) {
            Some(count) => count.requests = count.requests.saturating_add(1),
            None => self.0.push(Count {
                hash,
                worker,
                requests: 1,
            }),
        }
    }

    /// Removes a request. Returns true if there was one.
    #[must_use]
    pub fn remove(&mut self, hash: u64, worker: u64) -> bool {
        let Some(count) = self.find(hash, worker) else {
            return false;
        };
        count.requests -= 1;
        self.0.retain(|count| count.requests > 0);
        true
    }

    /// Drops the counts of workers that no longer exist.
    pub fn retain(&mut self, workers: &Workers) {
        self.0.retain(|count| workers.has(count.worker));
    }

    fn find(&mut self, hash: u64, worker: u64) -> Option<&mut Count> {
        let mut counts = self.0.iter_mut();
        counts.find(|count| count.hash == hash && count.worker == worker)
    }
}

// === impl Count ===

impl Count {
    fn from_words(words: &[[u8; 8]; 3]) -> Self {
        let [hash, worker, requests] = words.map(u64::from_le_bytes);
        Self {
            hash,
            worker,
            requests,
        }
    }

    fn to_words(self) -> [[u8; 8]; 3] {
        let Self {
            hash,
            worker,
            requests,
        } = self;
        [hash, worker, requests].map(u64::to_le_bytes)
    }
}

#[cfg(test)]
mod tests;
