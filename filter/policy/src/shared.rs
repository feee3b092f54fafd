//! Values that all workers of a proxy share, and change one at a time.

use crate::host::{Host, SharedValue};
use siphasher::sip::SipHasher13;
use std::cell::OnceCell;

/// The most tries of a change. Each failed try means that another worker's succeeded.
pub(crate) const TRIES: usize = 16;

/// A version that no value has: setting a value with it succeeds only if there is none.
const ABSENT: u32 = u32::MAX;

const SECRET: &str = "hash secret";

/// Hashes keys that clients choose to numbers that no client can predict, the same in all workers.
///
/// SipHash (<https://www.aumasson.jp/siphash/siphash.pdf>), with a secret that the first worker draws and all share:
/// without one, clients could compute keys that collide with another client's.
#[derive(Debug, Default)]
pub(crate) struct KeyHasher {
    secret: OnceCell<[u64; 2]>,
}

/// Replaces a value by the first result of `change`; `None` leaves it as it is. Returns the second result of `change`,
/// for the value that was there in the end; `None` if others were faster `tries` times.
pub(crate) fn update<T>(
    host: &dyn Host,
    name: &str,
    tries: usize,
    mut change: impl FnMut(Option<&[u8]>) -> (Option<Vec<u8>>, T),
) -> Option<T> {
    (0..tries).find_map(|_| {
        let shared = host.shared(name);
        let version = shared
            .as_ref()
            .map_or(ABSENT, |SharedValue { version, .. }| *version);
        let (value, said) = change(shared.as_ref().map(|SharedValue { value, .. }| value.as_slice()));
        let is_done = value.is_none_or(|value| host.set_shared(name, &value, Some(version)));
        is_done.then_some(said)
    })
}

// === impl KeyHasher ===

impl KeyHasher {
    /// Hashes a key; `None` if the workers could not agree on a secret.
    pub(crate) fn hash(&self, host: &dyn Host, key: &[u8]) -> Option<u64> {
        let [k0, k1] = match self.secret.get() {
            Some(secret) => *secret,
            None => {
                let secret = agree(host)?;
                *self.secret.get_or_init(|| secret)
            }
        };
        Some(SipHasher13::new_with_keys(k0, k1).hash(key))
    }
}

/// Returns the secret of all workers, and draws it if there is none.
fn agree(host: &dyn Host) -> Option<[u64; 2]> {
    update(host, SECRET, TRIES, |value| match value.and_then(read) {
        Some(secret) => (None, secret),
        None => {
            let secret = [host.random(), host.random()];
            (Some(secret.map(u64::to_le_bytes).concat()), secret)
        }
    })
}

fn read(bytes: &[u8]) -> Option<[u64; 2]> {
    match bytes.as_chunks() {
        ([k0, k1], []) => Some([u64::from_le_bytes(*k0), u64::from_le_bytes(*k1)]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::Fake;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn workers_of_one_proxy_share_a_hash_secret() {
        let (proxy, other) = (Fake::default(), Fake::seeded(2));
        let (first, second) = (KeyHasher::default(), KeyHasher::default());
        let hash = first.hash(&proxy, b"key").unwrap();
        assert_eq!(second.hash(&proxy, b"key"), Some(hash));
        assert_ne!(first.hash(&proxy, b"kez"), Some(hash));
        assert_ne!(KeyHasher::default().hash(&other, b"key"), Some(hash));
        assert_eq!(proxy.gets(SECRET), 2, "each asks once");
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn malformed_secret_is_replaced() {
        let proxy = Fake::default();
        proxy.put(SECRET, b"short");
        let hash = KeyHasher::default().hash(&proxy, b"key").unwrap();
        assert_eq!(KeyHasher::default().hash(&proxy, b"key"), Some(hash));
        let proxy = Fake::default();
        proxy.refuse_sets(usize::MAX);
        assert_eq!(KeyHasher::default().hash(&proxy, b"key"), None);
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn update_retries_with_the_latest_value() {
        let proxy = Fake::default();
        let mut others = 3;
        let seen = update(&proxy, "n", TRIES, |value| {
            let count = value.and_then(<[u8]>::first).copied().unwrap_or_default();
            if others > 0 {
                others -= 1;
                proxy.put("n", &[count + 10]);
            }
            (Some(vec![count + 1]), count)
        });
        assert_eq!(seen, Some(30));
        assert_eq!(proxy.value("n"), Some(vec![31]));
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn concurrent_creation_succeeds_once() {
        let proxy = Fake::default();
        let mut tries = 0;
        update(&proxy, "n", TRIES, |value| {
            tries += 1;
            if tries == 1 {
                assert_eq!(value, None);
                proxy.put("n", b"theirs");
            }
            (value.is_none().then(|| b"ours".to_vec()), ())
        });
        assert_eq!((tries, proxy.value("n")), (2, Some(b"theirs".to_vec())));
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn update_stops_after_its_tries() {
        let proxy = Fake::default();
        let mut tries = 0;
        let mut change = |_: Option<&[u8]>| {
            tries += 1;
            (Some(vec![1]), ())
        };
        proxy.refuse_sets(usize::MAX);
        assert_eq!(update(&proxy, "n", TRIES, &mut change), None);
        proxy.refuse_sets(TRIES - 1);
        assert_eq!(update(&proxy, "n", TRIES, &mut change), Some(()));
        assert_eq!(tries, 2 * TRIES);
    }
}
