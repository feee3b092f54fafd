//! The routing table: what the proxies are to do, in terms that no protocol has shaped.
//!
//! ```text
//! Host -> Vhost -> prefix -> HostRoute::Plain   -> Template + clusters
//!                         -> HostRoute::Switch  -> Switch -> branch -> prefix -> Target::Leaf   -> Template + clusters
//!                                                                            -> Target::Switch -> Switch -> ...
//! ```
//!
//! Values are behind `Arc` and compared by content: what did not change is the same value, at the same place.

use crate::object::{Limits, Name, Protocol};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::Arc,
    time::Duration,
};
pub use switchyard_policy::{config::Policy, sample::Sample};

/// Everything the proxies are to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// By fqdn, in lower case: one for each root that may serve.
    pub hosts: BTreeMap<Arc<str>, Arc<Host>>,
    /// Those that hosts name, and those that they reach.
    pub switches: BTreeMap<SwitchKey, Arc<Switch>>,
    /// Every cluster that any IngressRoute names, reached or not: an orphan is kept warm.
    pub clusters: BTreeMap<ClusterName, Arc<Cluster>>,
    /// One for each cluster, unless it is at names that have no addresses yet.
    pub endpoints: BTreeMap<ClusterName, Arc<Vec<Endpoint>>>,
    /// Certificates that hosts with TLS present.
    pub certificates: BTreeMap<Name, Arc<Certificate>>,
    /// What routes, switches and leaves ask of requests.
    pub policies: BTreeMap<PolicyKey, Arc<Policy>>,
}

/// A host name, owned by one root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    pub fqdn: Arc<str>,
    pub root: Name,
    /// What plain HTTP does. With TLS: redirects, but for what permits insecure requests.
    pub http: Vhost,
    pub tls: Option<HostTls>,
}

/// What a host does with TLS connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostTls {
    /// Decrypt and route HTTP.
    Terminate { tls: EdgeTls, vhost: Vhost },
    /// Decrypt and proxy the bytes.
    TerminateTcp { tls: EdgeTls, proxy: TcpProxy },
    /// Proxy the connection undecrypted, by SNI.
    Passthrough { proxy: TcpProxy },
}

/// How a host's TLS is terminated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeTls {
    /// A key of [`Table::certificates`].
    pub certificate: Name,
    pub minimum: TlsVersion,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum TlsVersion {
    V1_1,
    #[default]
    V1_2,
    V1_3,
}

/// Where decrypted or undecrypted bytes go. No clusters: the connection is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TcpProxy {
    pub clusters: Vec<WeightedCluster>,
}

/// The HTTP routes of a host on one port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Vhost {
    /// By normalised prefix (see [`crate::path`]): the longest by whole segments wins.
    pub routes: BTreeMap<Arc<str>, HostRoute>,
    /// What a leaf below this vhost's switches may be: those in use, and those that delegates standing by in
    /// the namespaces that it delegates to would use, so that switching to one changes no route.
    pub templates: BTreeSet<Template>,
    /// How many copies of a request there are at most, for mirrors.
    pub mirrors: usize,
}

/// What a vhost does with a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum HostRoute {
    /// Routed by the proxy alone. In a box: a leaf of a map has room for eleven routes, and most hosts have one.
    Plain(Box<ServiceRoute>),
    /// Handed to the filter.
    Switch(SwitchKey),
    /// 301 to the same URL with https.
    HttpsRedirect,
    /// 503: the route is wrong; the status of its object says how.
    Unavailable,
}

/// A route with services, on a host itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceRoute {
    pub template: Template,
    pub clusters: Vec<WeightedCluster>,
    pub rewrite: Option<Arc<str>>,
    /// The outermost first. If there is any, the filter is on.
    pub policies: Vec<PolicyKey>,
    /// The requests that the filter is on for, if it is.
    pub sample: Sample,
}

/// Names a switch; what the proxy's route is called, too.
///
/// `fqdn/prefix` on a host, `fqdn namespace/name/match` below one, both after `http://` where they differ for the
/// plain port of a host with TLS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SwitchKey(pub Arc<str>);

/// Names a policy on a host: `fqdn namespace/name virtualhost`, or `fqdn namespace/name/match`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PolicyKey(pub Arc<str>);

/// A delegating route: a prefix, its branches, and the one that is active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The root that it hangs from.
    pub root: Name,
    /// The IngressRoute that it stands in (a root, or one below).
    pub owner: Name,
    /// The prefix that it handles, as its owner sees paths.
    pub prefix: Arc<str>,
    /// What the prefix is to those below it; the same where nothing is rewritten.
    pub mount: Arc<str>,
    /// A key of `branches`, as are all in `standby`.
    pub active: Name,
    pub standby: Vec<Name>,
    pub preview: Option<Preview>,
    pub canary: Option<Canary>,
    pub sticky: Option<Sticky>,
    /// Of its owner's route, and of the virtualhost if that is the root's; the outermost first.
    pub policies: Vec<PolicyKey>,
    pub branches: BTreeMap<Name, Branch>,
}

/// Requests that carry this go to a branch, unless it is the active one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// In lower case.
    pub header: Arc<str>,
    pub value: Arc<str>,
    /// A key of [`Switch::branches`].
    pub branch: Name,
}

/// The share of new sessions that goes to a branch, unless it is the active one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// 1 to 100.
    pub percent: u8,
    /// A key of [`Switch::branches`].
    pub branch: Name,
}

/// How a session is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sticky {
    pub cookie: Arc<str>,
    /// None: until the browser closes.
    pub ttl_seconds: Option<u64>,
}

/// What an IngressRoute serves inside a mount: by prefix, the longest by whole segments wins. No prefix lies
/// outside the mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branch {
    pub routes: BTreeMap<Arc<str>, Target>,
}

/// What a branch does with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Leaf(Leaf),
    /// A key of [`Table::switches`].
    Switch(SwitchKey),
    HttpsRedirect,
    /// 503, and why (for the log, not for the client).
    Unavailable(Arc<str>),
}

/// A route with services, below a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    pub template: Template,
    pub clusters: Vec<WeightedCluster>,
    pub rewrite: Option<Arc<str>>,
    pub policy: Option<PolicyKey>,
}

/// All that a proxy's route says, but for the cluster and the path: what leaves have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Template {
    /// None: Envoy's 15 s.
    pub timeout: Option<Timeout>,
    pub retry: Option<Retry>,
    pub websockets: bool,
    /// Strategy `Cookie`: hash on the cookie `X-Contour-Session-Affinity`, which the proxy sets.
    pub session_affinity: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Timeout {
    Infinite,
    After(Duration),
}

/// Retried on 5xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Retry {
    /// At least 1.
    pub count: u32,
    pub per_try_timeout: Option<Duration>,
}

/// One of several clusters, and its share. Weights are relative; they are never all 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WeightedCluster {
    pub cluster: ClusterName,
    pub weight: u32,
}

/// `namespace/service/port/digest`: the digest covers the cluster's settings, so other settings are another cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ClusterName(pub Arc<str>);

/// A Service's port, with the settings that a route asks of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cluster {
    pub name: ClusterName,
    pub service: Name,
    pub port: u16,
    /// The name that its endpoints are resolved from, which TLS asks for where no validation names another.
    pub server_name: Option<Arc<str>>,
    pub protocol: Protocol,
    pub strategy: Strategy,
    pub health_check: Option<HealthCheck>,
    pub validation: Option<UpstreamValidation>,
    pub limits: Limits,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Strategy {
    #[default]
    RoundRobin,
    WeightedLeastRequest,
    Random,
    Cookie,
}

/// Active HTTP health checking.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct HealthCheck {
    pub path: Arc<str>,
    pub host: Arc<str>,
    pub interval: Duration,
    pub timeout: Duration,
    pub unhealthy_threshold: u32,
    pub healthy_threshold: u32,
}

/// How an upstream's certificate is verified.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct UpstreamValidation {
    /// PEM.
    pub ca: Arc<[u8]>,
    pub subject_name: Arc<str>,
}

/// One ready endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Endpoint {
    pub address: IpAddr,
    pub port: u16,
}

/// A certificate chain and its key, both PEM. Its Debug form tells neither, and its serialized form has a digest of the key.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    pub chain: Vec<u8>,
    #[serde(serialize_with = "digest_of")]
    pub key: Vec<u8>,
}

// === impl Host ===

impl Host {
    /// The policies that its own routes name; its switches name more.
    pub fn policy_keys(&self) -> impl Iterator<Item = &PolicyKey> {
        let tls = match &self.tls {
            Some(HostTls::Terminate { tls: _, vhost }) => Some(vhost),
            Some(HostTls::TerminateTcp { .. } | HostTls::Passthrough { .. }) | None => None,
        };
        let routes = [&self.http]
            .into_iter()
            .chain(tls)
            .flat_map(|vhost| vhost.routes.values());
        routes.flat_map(|route| match route {
            HostRoute::Plain(route) => &*route.policies,
            HostRoute::Switch(_) | HostRoute::HttpsRedirect | HostRoute::Unavailable => &[],
        })
    }
}

// === impl HostTls ===

impl HostTls {
    /// How it is terminated, if it is.
    #[must_use]
    pub fn edge(&self) -> Option<&EdgeTls> {
        match self {
            Self::Terminate { tls, vhost: _ } | Self::TerminateTcp { tls, proxy: _ } => Some(tls),
            Self::Passthrough { proxy: _ } => None,
        }
    }
}

// === impl Vhost ===

impl Vhost {
    /// What answers 503, whatever it is asked for.
    pub(crate) fn unavailable() -> Self {
        Self {
            routes: BTreeMap::from([("/".into(), HostRoute::Unavailable)]),
            ..Self::default()
        }
    }
}

// === impl SwitchKey ===

impl SwitchKey {
    /// The host name that it is reached by.
    #[must_use]
    pub fn host(&self) -> &str {
        let key = self.0.strip_prefix("http://").unwrap_or(&self.0);
        key.split(['/', ' ']).next().unwrap_or_default()
    }
}

impl fmt::Display for SwitchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Switch ===

impl Switch {
    /// The preview, if it has an effect.
    #[must_use]
    pub fn preview_in_effect(&self) -> Option<&Preview> {
        self.preview
            .as_ref()
            .filter(|preview| preview.branch != self.active)
    }

    /// The canary, if it has an effect.
    #[must_use]
    pub fn canary_in_effect(&self) -> Option<&Canary> {
        self.canary.as_ref().filter(|canary| canary.branch != self.active)
    }

    /// The policies that it and its leaves name; the switches below name more.
    pub fn policy_keys(&self) -> impl Iterator<Item = &PolicyKey> {
        let targets = self.branches.values().flat_map(|branch| branch.routes.values());
        let of_leaves = targets.filter_map(|target| match target {
            Target::Leaf(leaf) => leaf.policy.as_ref(),
            Target::Switch(_) | Target::HttpsRedirect | Target::Unavailable(_) => None,
        });
        self.policies.iter().chain(of_leaves)
    }
}

// === impl PolicyKey ===

impl PolicyKey {
    pub(crate) fn of_virtualhost(fqdn: &str, root: &Name) -> Self {
        Self(format!("{fqdn} {root} virtualhost").into())
    }

    pub(crate) fn of_route(fqdn: &str, owner: &Name, prefix: &str) -> Self {
        Self(format!("{fqdn} {owner}{prefix}").into())
    }

    /// The host name whose requests meet it.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    /// The IngressRoute that it stands in, and the normalised match of its route there; none of the virtualhost's.
    #[must_use]
    pub fn level(&self) -> Option<(Name, Option<&str>)> {
        let (_, level) = self.0.split_once(' ')?;
        let (namespace, rest) = level.split_once('/')?;
        let (name, after) = rest.split_at_checked(rest.find(['/', ' '])?)?;
        let prefix = Some(after).filter(|after| after.starts_with('/'));
        Some((Name::new(namespace, name), prefix))
    }
}

impl fmt::Display for PolicyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl ClusterName ===

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Certificate ===

fn digest_of<S: Serializer>(secret: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    Sha256::digest(secret).serialize(serializer)
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}
