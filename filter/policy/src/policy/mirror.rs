//! Mirrors: copies of requests.

use crate::{
    config::policy::{self as config, When},
    sample::{Sample, millionths},
};
use std::cell::Cell;

/// A [`config::Mirror`], with its progress through the requests that it sees.
#[derive(Clone, Debug)]
pub struct RequestMirror {
    pub cluster: String,
    percent: u8,
    pub when: Option<When>,
    /// The progress to the next copy, in millionths of a request, in this worker.
    progress: Cell<u32>,
}

// === impl RequestMirror ===

impl From<config::Mirror> for RequestMirror {
    fn from(mirror: config::Mirror) -> Self {
        let config::Mirror {
            cluster,
            percent,
            when,
        } = mirror;
        Self {
            cluster,
            percent,
            when,
            progress: Cell::default(),
        }
    }
}

impl RequestMirror {
    /// Returns true if the next request of the sample is copied. If the sample is all requests, of any hundred in a row
    /// as many are copied as the percentage says.
    pub(crate) fn takes_next(&self, sample: Sample) -> bool {
        let progress = self.progress.get() + millionths(self.percent);
        let copy = sample.per_million();
        self.progress.set(progress % copy);
        progress >= copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    fn mirror(percent: u8) -> RequestMirror {
        RequestMirror::from(config::Mirror {
            cluster: "copy".to_owned(),
            percent,
            when: None,
        })
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn any_hundred_requests_give_the_percentage_of_copies() {
        for percent in 0..=100 {
            let mirror = mirror(percent);
            let taken: Vec<_> = (0..1_000).map(|_| mirror.takes_next(Sample::ALL)).collect();
            for hundred in taken.windows(100) {
                let copies = hundred.iter().filter(|taken| **taken).count();
                assert_eq!(copies, usize::from(percent));
            }
        }
    }

    /// If the proxy draws fewer than are to be copied, because it does not have the percentage yet, all drawn ones are
    /// copied.
    #[wasm_bindgen_test(unsupported = test)]
    fn sample_gives_as_many_copies_as_all_requests() {
        for (percent, sample, want) in [
            (10, "#sample-138889", 7_199),
            (10, "#sample-100000", 10_000),
            (10, "#sample-1", 10_000),
            (0, "#sample-1", 0),
            (1, "#sample-138889", 719),
            (100, "#sample-500000", 10_000),
        ] {
            let mirror = mirror(percent);
            let (_, sample) = Sample::split(sample);
            let copies = (0..10_000).filter(|_| mirror.takes_next(sample)).count();
            assert_eq!(copies, want, "{percent} {sample:?}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn change_of_sample_causes_no_extra_copies() {
        let mirror = mirror(99);
        assert!(!mirror.takes_next(Sample::ALL));
        let (_, half) = Sample::split("#sample-500000");
        assert!(mirror.takes_next(half) && mirror.takes_next(half));
        let copies = (0..100).filter(|_| mirror.takes_next(Sample::ALL)).count();
        assert_eq!(copies, 99);
    }
}
