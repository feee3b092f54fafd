//! Copies of requests.

use crate::config::{self, policy::When};
use std::cell::Cell;

/// What [`config::policy::Mirror`] says, with the requests that it was asked about.
#[derive(Clone, Debug)]
pub struct Mirror {
    pub cluster: String,
    /// 0 to 100.
    percent: u8,
    pub when: Option<When>,
    /// 0 to 99: how far the next copy is. Of this worker.
    progress: Cell<u8>,
}

// === impl Mirror ===

impl From<config::policy::Mirror> for Mirror {
    fn from(mirror: config::policy::Mirror) -> Self {
        let config::policy::Mirror {
            cluster,
            percent,
            when,
        } = mirror;
        Self {
            cluster,
            percent: percent.min(100),
            when,
            progress: Cell::default(),
        }
    }
}

impl Mirror {
    /// Whether the next request is copied: of any hundred in a row, as many as the percentage says.
    pub(super) fn takes_next(&self) -> bool {
        let progress = self.progress.get() + self.percent;
        self.progress.set(progress % 100);
        progress >= 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn any_hundred_requests_give_as_many_copies_as_the_percentage() {
        for percent in 0..=100 {
            let mirror = Mirror::from(config::policy::Mirror {
                cluster: "copy".to_owned(),
                percent,
                when: None,
            });
            let taken: Vec<_> = (0..1_000).map(|_| mirror.takes_next()).collect();
            for hundred in taken.windows(100) {
                let copies = hundred.iter().filter(|taken| **taken).count();
                assert_eq!(copies, usize::from(percent));
            }
        }
    }
}
