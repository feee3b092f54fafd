//! Kubernetes ingress on Envoy: the control binary.

fn main() {}
