//! Headers by which the filter, the proxy's routes and upstreams tell one another something. Clients cannot: what they send
//! by names that start with `x-switchyard-` goes before anything looks at it.

/// What the Envoy route that a request is sent on to matches.
pub const ROUTE: &str = "x-switchyard-route";
/// What that route takes its cluster from.
pub const CLUSTER: &str = "x-switchyard-cluster";
/// Tells a client which branch answered, where the configuration says so.
pub const BRANCH: &str = "x-switchyard-branch";
/// Tells an upstream who a client is, where a policy has found out.
pub const USER: &str = "x-switchyard-user";
/// Tells an upstream how that was found out: `basic`, `apiKey` or `jwt`.
pub const AUTH: &str = "x-switchyard-auth";

/// What the mirror of that number, from 0, of a route takes its cluster from. Where it is not there, there is no copy.
#[must_use]
pub fn mirror(number: usize) -> String {
    format!("x-switchyard-mirror-{number}")
}
