//! The spec of an IngressRoute, as its owner wrote it.
//!
//! `contour.heptio.com/v1beta1`, with the optional fields that Switchyard adds to `delegate`. Field names and
//! defaults are Contour's (`apis/contour/v1beta1/ingressroute.go`); values are checked by the graph, which has a
//! status to say so in, not here. Unknown fields are let through: Kubernetes prunes them.

use serde::{Deserialize, Serialize};

/// `spec`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// Present on a root alone: it owns a host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtualhost: Option<VirtualHost>,
    /// What is served or handed on, by path prefix.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// TCP over TLS, instead of routes on the TLS port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcpproxy: Option<TcpProxy>,
}

/// `spec.virtualhost`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VirtualHost {
    /// The host name; no wildcards.
    pub fqdn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// `spec.virtualhost.tls`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tls {
    /// `name`, or `namespace/name` where a TLSCertificateDelegation permits it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret_name: String,
    /// `1.1`, `1.2` or `1.3`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub minimum_protocol_version: String,
    /// Hand the TLS connection on undecrypted, by SNI.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub passthrough: bool,
}

/// One entry of `spec.routes`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Route {
    /// A path prefix, matched by whole segments.
    #[serde(rename = "match")]
    pub match_: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delegate: Option<Delegate>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub enable_websockets: bool,
    /// Serve over plain HTTP too, where the host has TLS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub permit_insecure: bool,
    /// On a leaf: what replaces the prefix. On a delegating route: where the subtree below is mounted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix_rewrite: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_policy: Option<TimeoutPolicy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
}

/// `spec.tcpproxy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TcpProxy {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delegate: Option<Delegate>,
}

/// `delegate`: another IngressRoute, and how requests are spread over its stand-ins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Delegate {
    /// The active branch.
    pub name: String,
    /// Where all the branches live; the IngressRoute's own namespace if empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Branches that are kept ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub standby: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
}

/// `delegate.preview`: requests with this header value go to the first standby.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Preview {
    pub header: String,
    pub value: String,
}

/// `delegate.canary`: the share of new sessions that the first standby gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Canary {
    /// 0 to 100.
    pub percent: i64,
}

/// `delegate.sticky`: a session stays on its branch while that branch exists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sticky {
    pub cookie: String,
    /// 0: until the browser closes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<i64>,
}

/// One entry of `services`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    pub name: String,
    /// A port number of the Service.
    pub port: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,
    /// `RoundRobin`, `WeightedLeastRequest`, `Random` or `Cookie`; anything else is RoundRobin.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub strategy: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
}

/// `services[].healthCheck`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HealthCheck {
    pub path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unhealthy_threshold_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy_threshold_count: Option<i64>,
}

/// `services[].validation`: how an upstream's certificate is verified.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Validation {
    /// A Secret in the same namespace, with key `ca.crt`.
    pub ca_secret: String,
    pub subject_name: String,
}

/// `timeoutPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TimeoutPolicy {
    /// A Go duration, or `infinity`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request: String,
}

/// `retryPolicy`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RetryPolicy {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// A Go duration.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub per_try_timeout: String,
}
