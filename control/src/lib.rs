//! Kubernetes ingress on Envoy: the control binary, as a library for its tests and its `main`.

pub mod admin;
pub mod bootstrap;
pub mod certgen;
pub mod check;
pub mod cli;
pub mod client;
pub mod crds;
pub mod edit;
pub mod engine;
pub mod leader;
pub mod live;
pub mod load;
pub mod manifests;
pub mod paint;
pub mod place;
pub mod proxies;
pub mod serve;
pub mod source;
pub mod status;
pub mod switch;
pub mod tls_files;
pub mod translate;
pub mod tree;
pub mod wasm;
pub mod x509;
pub mod yaml;
