//! One configuration of the filter.

use crate::{host, stream::Stream};
use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::ContextType,
};
use std::{cell::RefCell, rc::Rc};
use switchyard_policy::{
    rng::Rng,
    store::{Cache, Store},
};

thread_local! {
    /// What outlives a configuration. An update that changes no code keeps the VM, and makes a new root context in it;
    /// the old one goes when its last stream has gone.
    static CACHE: Rc<RefCell<Cache>> = Rc::default();
}

/// A root context: the configuration that it was given, which its streams use until they end.
pub(crate) struct Root {
    /// None until configured. A stream without one is refused.
    store: Option<Rc<Store>>,
    rng: Rc<RefCell<Rng>>,
}

// === impl Root ===

impl Root {
    pub(crate) fn new(context_id: u32) -> Self {
        // Workers start within the same microsecond, each with its own VM.
        let seed = host::clock() ^ u64::from(context_id).rotate_left(32);
        Self {
            store: None,
            rng: Rc::new(RefCell::new(Rng::new(seed))),
        }
    }
}

impl Context for Root {}

impl RootContext for Root {
    /// False makes Envoy refuse the configuration, and keep the one it has. It says no reason: that is in this log.
    fn on_configure(&mut self, len: usize) -> bool {
        match Store::new(host::plugin_configuration(len), CACHE.with(Rc::clone)) {
            Ok(store) => self.store = Some(Rc::new(store)),
            Err(error) => host::log_error(&format!("switchyard: configuration refused: {error}")),
        }
        self.store.is_some()
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(self.store.clone(), Rc::clone(&self.rng))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
