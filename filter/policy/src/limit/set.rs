//! A set of buckets in one shared value.
//!
//! ```text
//! layout u8  window u64  bucket ...        all numbers little-endian
//! bucket:  hash of the key u64  full at u64
//! ```
//!
//! A full bucket is left out: it equals one that was never used.

const LAYOUT: u8 = 1;

/// The most buckets in a set. With more than that in use, the fullest is evicted.
pub const BUCKETS: usize = 32;

/// The tolerance for buckets that seem emptier than empty, because workers do not read the clock at the same time.
/// Beyond that, the clock was set back.
const CLOCK_SLACK: u64 = 1_000_000_000;

/// Buckets of one limit. Times are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketSet {
    /// The time in which an empty bucket fills, by the limit as it was when the buckets were last used.
    window: u64,
    buckets: Vec<TokenBucket>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TokenBucket {
    /// The hash of its key.
    hash: u64,
    full_at: u64,
}

// === impl BucketSet ===

impl BucketSet {
    #[must_use]
    pub fn new(window: u64) -> Self {
        Self {
            window,
            buckets: Vec::new(),
        }
    }

    /// Parses the bytes; `None` if they are malformed, or of another layout.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&LAYOUT, words) = bytes.split_first()? else {
            return None;
        };
        let ([window, words @ ..], []) = words.as_chunks() else {
            return None;
        };
        let (buckets, []) = words.as_chunks() else {
            return None;
        };
        let is_sound = buckets.len() <= BUCKETS;
        is_sound.then(|| Self {
            window: u64::from_le_bytes(*window),
            buckets: buckets.iter().map(TokenBucket::from_words).collect(),
        })
    }

    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { window, buckets } = self;
        let mut bytes = vec![LAYOUT];
        bytes.extend(window.to_le_bytes());
        bytes.extend(buckets.iter().flat_map(|bucket| bucket.to_words()).flatten());
        bytes
    }

    /// Adapts the buckets to a limit with that window: each stays as full in proportion, and none is emptier than
    /// empty, even if the clock was set. Returns true if any changed.
    #[must_use]
    pub fn adjust(&mut self, window: u64, now: u64) -> bool {
        let old = std::mem::replace(&mut self.window, window);
        let is_past =
            |bucket: &TokenBucket| bucket.full_at.saturating_sub(now) > window.saturating_add(CLOCK_SLACK);
        if old == window && !self.buckets.iter().any(is_past) {
            return false;
        }
        for bucket in &mut self.buckets {
            let missing = bucket.full_at.saturating_sub(now).min(old);
            bucket.full_at = now.saturating_add(scale(missing, window, old));
        }
        true
    }

    /// The time at which the bucket of a key is full; 0 if there is none.
    #[must_use]
    pub fn full_at(&self, hash: u64) -> u64 {
        let bucket = self.buckets.iter().find(|bucket| bucket.hash == hash);
        bucket.map_or(0, |bucket| bucket.full_at)
    }

    /// Sets the time at which the bucket of a key is full. Returns true if another bucket, which was not full, was
    /// evicted for it.
    pub fn put(&mut self, hash: u64, full_at: u64, now: u64) -> bool {
        self.buckets
            .retain(|bucket| bucket.hash != hash && bucket.full_at > now);
        let has_evicted = self.buckets.len() >= BUCKETS;
        if has_evicted {
            self.evict_fullest();
        }
        self.buckets.push(TokenBucket { hash, full_at });
        has_evicted
    }

    fn evict_fullest(&mut self) {
        let buckets = self.buckets.iter().enumerate();
        if let Some((at, _)) = buckets.min_by_key(|(_, bucket)| bucket.full_at) {
            self.buckets.swap_remove(at);
        }
    }
}

// === impl TokenBucket ===

impl TokenBucket {
    fn from_words(words: &[[u8; 8]; 2]) -> Self {
        let [hash, full_at] = words.map(u64::from_le_bytes);
        Self { hash, full_at }
    }

    fn to_words(self) -> [[u8; 8]; 2] {
        let Self { hash, full_at } = self;
        [hash, full_at].map(u64::to_le_bytes)
    }
}

/// Scales a part of `old` to the same part of `new`, rounded up.
fn scale(part: u64, new: u64, old: u64) -> u64 {
    let scaled = (u128::from(part) * u128::from(new)).div_ceil(u128::from(old.max(1)));
    u64::try_from(scaled).unwrap_or(new)
}

#[cfg(test)]
mod tests;
