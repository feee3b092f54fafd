//! Routing table to Envoy resources, and the delta ADS server.
