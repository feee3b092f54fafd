//! The proxy-wasm shell around `switchyard_policy`: it reads the inputs of a decision from the host, and applies the
//! decision. It decides nothing itself.

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

/// A small allocator that touches little memory: all of it is cold for each request, because Envoy has done much else
/// since the last one.
#[cfg(target_family = "wasm")]
#[global_allocator]
static HEAP: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();
