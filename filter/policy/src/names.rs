//! Headers between the filter, the proxy's routes and upstreams. Clients cannot set them: headers of theirs that start
//! with `x-switchyard-` are removed before anything looks at them.

/// The header that the Envoy route of a forwarded request matches.
pub const ROUTE: &str = "x-switchyard-route";
/// The header with the cluster of that route.
pub const CLUSTER: &str = "x-switchyard-cluster";
/// Tells a client which branch answered, if the configuration exposes it.
pub const BRANCH: &str = "x-switchyard-branch";
/// Tells an upstream the client's identity, if a policy has established it.
pub const USER: &str = "x-switchyard-user";
/// Tells an upstream the scheme of that identity: `basic`, `apiKey` or `jwt`.
pub const AUTH: &str = "x-switchyard-auth";

/// The header with the cluster of a route's mirror, by its number from 0. Without the header there is no copy.
#[must_use]
pub fn mirror(number: usize) -> String {
    format!("x-switchyard-mirror-{number}")
}
