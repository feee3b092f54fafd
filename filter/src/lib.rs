//! The proxy-wasm shell around `switchyard_policy`: it asks the host for what a decision needs, and tells it what was
//! decided. It decides nothing itself.

#![deny(clippy::indexing_slicing)]

mod host;
mod root;
mod stream;

use root::Root;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|context_id| Box::new(Root::new(context_id)));
}}
