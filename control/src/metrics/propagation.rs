//! The time that changes take to reach every proxy.
//!
//! ```text
//! Engine -- Published --> Pending -- taken by all --> histogram
//! Server -- progress of the proxies --^
//! ```
//!
//! A separate task, so that the engine does not wait for proxies.

use prometheus_client::metrics::histogram::Histogram;
use std::{collections::VecDeque, time::Duration};
use switchyard_xds::ads::Server;
use tokio::{sync::mpsc, time::Instant};

/// The interval of checks for proxies that are no longer waited for because they have been silent for too long.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The maximum number of pending changes. A proxy that has not acknowledged so many is slow, and more of them tell
/// nothing new.
const MOST: usize = 4096;

/// A published change.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    pub generation: u64,
    /// The time when its cause reached the engine.
    pub arrived: Instant,
}

/// The changes that some proxy has not acknowledged yet, oldest first.
#[derive(Debug, Default)]
struct Pending(VecDeque<Published>);

/// Observes changes until the engine ends.
pub async fn run(server: Server, mut published: mpsc::UnboundedReceiver<Published>, seconds: Histogram) {
    let mut progress = server.changed();
    let mut pending = Pending::default();
    loop {
        tokio::select! {
            news = published.recv() => match news {
                // A proxy that connects later was not waited for.
                Some(news) => if server.connections() > 0 { pending.add(news) },
                None => return,
            },
            Ok(()) = progress.changed() => {}
            () = tokio::time::sleep(LOOK_EVERY), if !pending.0.is_empty() => {}
        }
        let connected = server.connections() > 0;
        let now = Instant::now();
        for arrived in pending.taken(server.acked_generation()) {
            if connected {
                seconds.observe(now.saturating_duration_since(arrived).as_secs_f64());
            }
        }
    }
}

// === impl Pending ===

impl Pending {
    fn add(&mut self, news: Published) {
        if self.0.len() < MOST {
            self.0.push_back(news);
        }
    }

    /// Removes the changes up to `generation`, which all proxies have, and returns their arrival times.
    fn taken(&mut self, generation: u64) -> Vec<Instant> {
        let count = self.0.partition_point(|news| news.generation <= generation);
        self.0.drain(..count).map(|news| news.arrived).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acked_generations_are_taken_once_oldest_first() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pending = Pending::default();
        for (generation, millis) in [(3, 0), (4, 10), (7, 20)] {
            pending.add(Published {
                generation,
                arrived: at(millis),
            });
        }
        for (generation, want) in [
            (2, vec![]),
            (4, vec![at(0), at(10)]),
            (4, vec![]),
            (6, vec![]),
            (9, vec![at(20)]),
        ] {
            assert_eq!(pending.taken(generation), want, "{generation}");
        }
    }

    #[test]
    fn pending_generations_are_limited() {
        let mut pending = Pending::default();
        for generation in 0..2 * MOST as u64 {
            pending.add(Published {
                generation,
                arrived: Instant::now(),
            });
        }
        assert_eq!(pending.taken(u64::MAX).len(), MOST);
    }
}
