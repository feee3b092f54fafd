//! What the filter keeps in a worker: configurations, and what is to be said on answers that have not come yet.

use crate::{host, stream::Answer};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};
use switchyard_policy::{
    pending::Pending,
    rng::Rng,
    store::{Cache, Store},
};

thread_local! {
    /// One in each VM, and a worker has one VM: filters with one code and one `vm_id` share it. An update that changes
    /// no code keeps it.
    static FILTER: RefCell<Filter> = RefCell::default();
}

#[derive(Default)]
struct Filter {
    /// The newest that was taken, by the plugin's `root_id`: plugins of one `root_id` are one filter, says Envoy.
    stores: BTreeMap<Vec<u8>, Rc<Store>>,
    cache: Rc<RefCell<Cache>>,
    /// None until configured.
    rng: Option<Rng>,
    answers: Pending<Answer>,
}

/// Takes the configuration of the plugin that is being configured. Says whether it is one; if not, the last stays.
pub(crate) fn configure(root_context: u32, len: usize) -> bool {
    let cache = FILTER.with_borrow(|filter| Rc::clone(&filter.cache));
    match Store::new(host::plugin_configuration(len), cache) {
        Ok(store) => {
            FILTER.with_borrow_mut(|filter| filter.keep(store, root_context));
            true
        }
        Err(error) => {
            host::log_error(&format!("switchyard: configuration refused: {error}"));
            false
        }
    }
}

/// The configuration that the running stream is to be decided by.
pub(crate) fn store() -> Option<Rc<Store>> {
    let root_id = host::root_id();
    FILTER.with_borrow(|filter| filter.stores.get(&root_id).cloned())
}

/// What is to be said on the answer to a stream.
pub(crate) fn expect_answer(stream: u32, answer: Answer) {
    FILTER.with_borrow_mut(|filter| filter.answers.insert(stream, answer, host::is_live));
    host::return_to(stream);
}

pub(crate) fn take_answer(stream: u32) -> Option<Answer> {
    FILTER.with_borrow_mut(|filter| filter.answers.take(stream))
}

/// Lends the random numbers of this worker.
pub(crate) fn with_rng<T>(f: impl FnOnce(&mut Rng) -> T) -> T {
    FILTER.with_borrow_mut(|filter| f(filter.rng.get_or_insert_with(|| Rng::new(host::clock()))))
}

// === impl Filter ===

impl Filter {
    fn keep(&mut self, store: Store, root_context: u32) {
        self.stores.insert(host::root_id(), Rc::new(store));
        // Workers start within the same microsecond, each with its own VM.
        let seed = || Rng::new(host::clock() ^ u64::from(root_context).rotate_left(32));
        self.rng.get_or_insert_with(seed);
    }
}
