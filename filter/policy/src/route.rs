//! Settings of routes.

/// True for each setting that a route has of its own, which replaces the one that policies hand down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteOverrides {
    pub timeout: bool,
    pub retry: bool,
}
