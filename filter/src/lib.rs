//! The proxy-wasm shell around `switchyard_policy`: it asks the host for what a decision needs, and tells it what was
//! decided. It decides nothing itself.

#![deny(clippy::indexing_slicing)]

mod abi;
mod calls;
mod envoy;
mod exports;
mod filter;
mod host;
mod journey;
mod metrics;
mod stream;

/// Small and in few places of memory: what a request touches is cold, for Envoy has done much else since the last.
#[cfg(target_family = "wasm")]
#[global_allocator]
static HEAP: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();
