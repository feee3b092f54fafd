//! The proxy-wasm shell around `switchyard_policy`: contexts of the SDK, which pass Envoy's callbacks on to the runtime
//! of this worker. It decides nothing itself.
//!
//! Envoy calls each callback that is exported, and entering the VM costs time even if the callback does nothing: so the
//! linker drops the SDK's other exports (`filter/link.sh`).

#![deny(clippy::indexing_slicing)]

mod envoy;

use envoy::Envoy;
use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::{Action, BufferType, ContextType, MapType},
};
use std::cell::RefCell;
use switchyard_policy::{
    call::Reply,
    proxy::{Flow, Token},
    runtime::Runtime,
};

/// A small allocator that touches little memory: all of it is cold for each request, because Envoy has done much else
/// since the last one.
#[cfg(target_family = "wasm")]
#[global_allocator]
static HEAP: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

thread_local! {
    /// One for each VM, and a worker has one VM: filters with the same code and `vm_id` share it. An update that does
    /// not change the code keeps it.
    static RUNTIME: RefCell<Runtime<Envoy>> = RefCell::default();
}

/// A plugin with one of its configurations.
struct Plugin {
    id: u32,
}

struct Stream {
    id: u32,
    plugin: u32,
}

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|id| Box::new(Plugin { id }));
}}

/// Calls `f` with the runtime. Envoy defers callbacks that a call of the host causes, so calls do not nest.
fn with_runtime<T>(f: impl FnOnce(&mut Runtime<Envoy>) -> T) -> T {
    RUNTIME.with_borrow_mut(f)
}

/// Handles an HTTP response with `headers` headers and a body of `body` bytes. Without headers there is no response.
fn on_http_reply(token: u32, headers: usize, body: usize) {
    let reply = if headers == 0 {
        Reply::Failed
    } else {
        envoy::http_reply(body)
    };
    with_runtime(|runtime| runtime.on_reply(Token::Http(token), reply));
}

/// Handles a gRPC message of `len` bytes, which is the whole response, or the status of a call that failed.
fn on_grpc_reply(token: u32, status: u32, len: usize) {
    let reply = if status == 0 {
        let body = envoy::buffer(BufferType::GrpcReceiveBuffer, len);
        Reply::Grpc { body }
    } else {
        Reply::Failed
    };
    with_runtime(|runtime| runtime.on_reply(Token::Grpc(token), reply));
}

// === impl Plugin ===

impl Context for Plugin {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, _trailers: usize) {
        on_http_reply(token, headers, body);
    }

    fn on_grpc_call_response(&mut self, token: u32, status: u32, len: usize) {
        on_grpc_reply(token, status, len);
    }
}

impl RootContext for Plugin {
    /// Loads a configuration. False makes Envoy reject it and keep the current one.
    fn on_configure(&mut self, len: usize) -> bool {
        let root_id = envoy::property(&["plugin_root_id"]).unwrap_or_default();
        let configuration = envoy::buffer(BufferType::PluginConfiguration, len);
        let loaded = with_runtime(|runtime| runtime.configure(self.id, root_id, configuration));
        if let Err(error) = &loaded {
            envoy::log_error(&format!("switchyard: configuration refused: {error}"));
        }
        loaded.is_ok()
    }

    fn on_tick(&mut self) {
        with_runtime(Runtime::on_tick);
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        let plugin = self.id;
        Some(Box::new(Stream { id, plugin }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        with_runtime(|runtime| runtime.end_plugin(self.id));
    }
}

// === impl Stream ===

impl Context for Stream {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, _trailers: usize) {
        on_http_reply(token, headers, body);
    }

    fn on_grpc_call_response(&mut self, token: u32, status: u32, len: usize) {
        on_grpc_reply(token, status, len);
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        match with_runtime(|runtime| runtime.on_request_headers(self.id, self.plugin)) {
            Flow::Continue => Action::Continue,
            Flow::Pause => Action::Pause,
        }
    }

    /// Removes all trailers: some upstreams take trailers for headers, but the edge checks only headers. None is missed:
    /// HTTP/1.1 trailers do not get this far, and gRPC requests have none. Envoy does not call this while the request
    /// waits.
    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        envoy::remove_all(MapType::HttpRequestTrailers);
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        with_runtime(|runtime| runtime.on_response_headers(self.id));
        Action::Continue
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        with_runtime(|runtime| runtime.end_stream(self.id));
    }
}
