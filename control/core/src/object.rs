//! The objects that routing depends on, each reduced to what routing reads of it.
//!
//! These are the edge's promise to the graph: whoever builds one (a watch, a directory of YAML) has parsed it.

use crate::ingressroute::{
    self,
    policy::{Auth, Ways},
};
use serde::{Serialize, Serializer};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::Arc,
};
use switchyard_policy::config::policy::Key;

/// `namespace/name`: which object of a kind. Without a namespace: `name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

/// The kinds of object that routing depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    IngressRoute,
    Service,
    EndpointSlice,
    Endpoints,
    Secret,
    TlsCertificateDelegation,
    /// No kind of Kubernetes': what is at a URI.
    Jwks,
    /// No kind of Kubernetes': the addresses of a name.
    DnsName,
}

/// Which object, of any kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectId {
    pub kind: Kind,
    pub name: Name,
}

/// One parsed object of any kind. An IngressRoute is several times as long as any other, and most objects are others.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    IngressRoute(Box<IngressRoute>),
    Service(Service),
    EndpointSlice(EndpointSlice),
    Endpoints(Endpoints),
    Secret(Secret),
    TlsCertificateDelegation(TlsCertificateDelegation),
    Jwks(Jwks),
    DnsName(DnsName),
}

/// What a source saw change, at once. The first batch of a source is everything it has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    pub deleted: Vec<ObjectId>,
    pub applied: Vec<Object>,
    /// How far the source is: the newest `resourceVersion` of an IngressRoute, which all replicas see alike. 0 where the
    /// source has none.
    pub version: u64,
}

/// `contour.heptio.com/v1beta1` IngressRoute.
#[derive(Clone, Debug, PartialEq)]
pub struct IngressRoute {
    pub name: Name,
    /// `metadata.generation`, 0 where the source has none.
    pub generation: i64,
    pub created: Created,
    pub spec: ingressroute::Spec,
    pub unknown: UnknownFields,
}

/// Fields below a part of a spec that there are none of. One may be a guard that is misspelt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownFields {
    /// Errors: an object with one is not served.
    pub refused: Vec<UnknownField>,
    /// Fields that whoever stores the object has left out: its owner is told.
    pub left_out: Vec<UnknownField>,
}

/// A field of an IngressRoute that there is none of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownField {
    /// The part of the spec that has it.
    pub part: SpecPart,
    /// As kubectl writes it: `spec.routes[2].Auth`.
    pub path: String,
    /// The error, and the remedy.
    pub message: String,
}

/// A part of a spec that is served or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpecPart {
    VirtualHost,
    /// `spec.routes[i]`.
    Route(usize),
    TcpProxy,
}

/// `metadata.creationTimestamp`, ordered by precedence: the oldest first, and last those of sources that have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Created {
    /// Seconds since 1970.
    At(i64),
    #[default]
    Unknown,
}

/// `v1` Service.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    pub name: Name,
    pub ports: Vec<ServicePort>,
    /// `spec.externalName`, of a Service of type ExternalName.
    pub external_name: Option<String>,
    /// Circuit breaker thresholds from the Service's `contour.heptio.com/max-*` annotations.
    pub limits: Limits,
}

/// One entry of a Service's `spec.ports`.
#[derive(Clone, Debug, PartialEq)]
pub struct ServicePort {
    /// Empty where the port has no name.
    pub name: String,
    pub port: u16,
    /// From the `contour.heptio.com/upstream-protocol.*` annotations, which name ports by name or number.
    pub protocol: Protocol,
}

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Protocol {
    #[default]
    Http1,
    /// HTTP/2 over TLS.
    H2,
    /// HTTP/2 in the clear, with prior knowledge.
    H2c,
    /// HTTP/1.1 over TLS.
    Tls,
}

/// Circuit breaker thresholds; none leaves Envoy's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Limits {
    pub max_connections: Option<u32>,
    pub max_pending_requests: Option<u32>,
    pub max_requests: Option<u32>,
    pub max_retries: Option<u32>,
}

/// `discovery.k8s.io/v1` EndpointSlice.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointSlice {
    pub name: Name,
    /// The Service it belongs to: label `kubernetes.io/service-name`, same namespace.
    pub service: Arc<str>,
    /// Port name (empty: unnamed) to number.
    pub ports: BTreeMap<String, u16>,
    pub endpoints: Vec<SliceEndpoint>,
}

/// One endpoint of a slice, with its addresses.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceEndpoint {
    pub addresses: Vec<Address>,
    /// `conditions.ready`, true where unset.
    pub ready: bool,
}

/// Where an endpoint listens: an address, or for slices of addressType FQDN a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    Ip(IpAddr),
    Fqdn(String),
}

/// `v1` Endpoints: read for a Service that has no EndpointSlice.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoints {
    /// Also the name of the Service.
    pub name: Name,
    pub subsets: Vec<EndpointSubset>,
}

/// One subset: every address serves every port.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointSubset {
    pub addresses: Vec<IpAddr>,
    pub ports: BTreeMap<String, u16>,
}

/// `v1` Secret, as far as TLS needs it. Its Debug form tells sizes only.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    pub name: Name,
    /// `type`, such as `kubernetes.io/tls`.
    pub type_: String,
    /// Decoded `data` (and `stringData`): keys to bytes.
    pub data: BTreeMap<String, Vec<u8>>,
    /// What keeps Envoy from using it. What is missing or empty is not among them.
    pub faults: BTreeSet<PemFault>,
}

/// What is wrong with certificates and keys in PEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum PemFault {
    #[error("\"tls.crt\" holds no certificate in PEM, or one that is damaged")]
    Certificate,
    #[error(
        "the certificate in \"tls.crt\" has an RSA key of fewer than 2048 bits: make one with a larger key"
    )]
    RsaBits,
    #[error(
        "the certificate in \"tls.crt\" has a key of a kind that Envoy does not present: make one with a key of RSA, of EC on \
         P-256, P-384 or P-521, or of Ed25519"
    )]
    KeyType,
    #[error(
        "the certificate in \"tls.crt\" has an EC key that is not for signatures: make one whose key usage has digital \
         signature"
    )]
    KeyUsage,
    #[error(
        "the certificate in \"tls.crt\" has no name: make one with a common name, or a subject alternative name of DNS, IP \
         or URI"
    )]
    NoName,
    #[error(
        "the certificate in \"tls.crt\" asks for an OCSP response (must-staple), which there is none of: make one without \
         that"
    )]
    MustStaple,
    #[error("\"tls.key\" holds no private key in PEM that Envoy can use")]
    Key,
    #[error("\"tls.key\" does not belong to the certificate in \"tls.crt\"")]
    Mismatch,
    #[error("\"ca.crt\" holds no certificate in PEM, or something that is damaged")]
    Authority,
}

/// `contour.heptio.com/v1beta1` TLSCertificateDelegation: lives in the Secret's namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsCertificateDelegation {
    pub name: Name,
    pub delegations: Vec<CertificateDelegation>,
}

/// One Secret, and the namespaces that may use it. `"*"` anywhere in the list means every namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct CertificateDelegation {
    pub secret_name: String,
    pub target_namespaces: Vec<String>,
}

/// A set of keys that tokens are signed with (RFC 7517), at a URI that an IngressRoute names. Whoever fetches it tells the
/// graph what there is.
#[derive(Clone, Debug, PartialEq)]
pub struct Jwks {
    /// As the IngressRoute has it.
    pub uri: Arc<str>,
    /// The last good ones, or why there never were any: such as `connection refused`.
    pub keys: Result<FetchedKeys, String>,
}

/// Keys, and when they were got.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchedKeys {
    pub keys: Vec<Key>,
    /// As [`KeySet`](crate::jwks::KeySet) has it.
    pub left_out: Option<String>,
    /// Seconds since 1970.
    pub fetched: u64,
}

/// A DNS name that an upstream is at. Whoever resolves it tells the graph its addresses.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsName {
    /// In lower case.
    pub name: Arc<str>,
    /// The last good ones, or the reason why there never were any.
    pub addresses: Result<BTreeSet<IpAddr>, String>,
}

// === impl Name ===

impl Name {
    /// The object `name` in `namespace`.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// What is written as `name`, or as `namespace/name`.
    #[must_use]
    pub fn qualified(written: &str, own_namespace: &Arc<str>) -> Self {
        match written.split_once('/') {
            Some((namespace, name)) => Self::new(namespace, name),
            None => Self::new(own_namespace.clone(), written),
        }
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            return f.write_str(&self.name);
        }
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

// === impl Kind ===

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::IngressRoute,
        Self::Service,
        Self::EndpointSlice,
        Self::Endpoints,
        Self::Secret,
        Self::TlsCertificateDelegation,
        Self::Jwks,
        Self::DnsName,
    ];

    /// As Kubernetes spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IngressRoute => "IngressRoute",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Endpoints => "Endpoints",
            Self::Secret => "Secret",
            Self::TlsCertificateDelegation => "TLSCertificateDelegation",
            Self::Jwks => "JWKS",
            Self::DnsName => "DNSName",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl ObjectId ===

impl ObjectId {
    /// The set of keys at a URI.
    #[must_use]
    pub fn jwks(uri: Arc<str>) -> Self {
        Self {
            kind: Kind::Jwks,
            name: Name::new("", uri),
        }
    }

    /// The addresses of a name.
    #[must_use]
    pub fn dns_name(name: Arc<str>) -> Self {
        Self {
            kind: Kind::DnsName,
            name: Name::new("", name),
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

// === impl Object ===

impl From<IngressRoute> for Object {
    fn from(ingress_route: IngressRoute) -> Self {
        Self::IngressRoute(Box::new(ingress_route))
    }
}

impl Object {
    /// What names this object.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        let (kind, name) = match self {
            Self::Jwks(o) => return ObjectId::jwks(o.uri.clone()),
            Self::DnsName(o) => return ObjectId::dns_name(o.name.clone()),
            Self::IngressRoute(o) => (Kind::IngressRoute, &o.name),
            Self::Service(o) => (Kind::Service, &o.name),
            Self::EndpointSlice(o) => (Kind::EndpointSlice, &o.name),
            Self::Endpoints(o) => (Kind::Endpoints, &o.name),
            Self::Secret(o) => (Kind::Secret, &o.name),
            Self::TlsCertificateDelegation(o) => (Kind::TlsCertificateDelegation, &o.name),
        };
        ObjectId {
            kind,
            name: name.clone(),
        }
    }
}

// === impl Batch ===

impl Batch {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self {
            deleted,
            applied,
            version: _,
        } = self;
        deleted.is_empty() && applied.is_empty()
    }
}

// === impl IngressRoute ===

impl IngressRoute {
    /// The Secrets that it names, right or wrong: its certificate, the authorities that it trusts, and those with the
    /// passwords and keys of its policies.
    pub fn secrets(&self) -> impl Iterator<Item = Name> {
        let Self { name, spec, .. } = self;
        let own = |secret: &str| Name::new(name.namespace.clone(), secret);
        let tls = spec.virtualhost.iter().filter_map(|host| host.tls.as_ref());
        let certificate = tls
            .filter(|tls| !tls.secret_name.is_empty())
            .map(|tls| Name::qualified(&tls.secret_name, &name.namespace));
        let of_routes = spec.routes.iter().flat_map(|route| &route.services);
        let of_tcp = spec.tcpproxy.iter().flat_map(|proxy| &proxy.services);
        let authorities = of_routes
            .chain(of_tcp)
            .filter_map(|service| service.validation.as_ref())
            .map(move |validation| own(&validation.ca_secret));
        let credentials = self.ways().flat_map(Ways::secrets).map(own);
        certificate.into_iter().chain(authorities).chain(credentials)
    }

    /// The URIs of the sets of keys that it names, right or wrong.
    pub fn jwks_uris(&self) -> impl Iterator<Item = &str> {
        self.ways().filter_map(Ways::jwks_uri)
    }

    /// All checks that it has, at whatever level.
    fn ways(&self) -> impl Iterator<Item = Ways<'_>> {
        let of_host = self.spec.virtualhost.iter().flat_map(|host| &host.auth);
        let of_routes = self.spec.routes.iter().flat_map(|route| &route.auth);
        of_host.chain(of_routes).flat_map(Auth::all_ways)
    }
}

// === impl PemFault ===

impl PemFault {
    /// The key of `data` that it is about.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Certificate
            | Self::RsaBits
            | Self::KeyType
            | Self::KeyUsage
            | Self::NoName
            | Self::MustStaple => "tls.crt",
            Self::Key | Self::Mismatch => "tls.key",
            Self::Authority => "ca.crt",
        }
    }
}

// === impl Secret ===

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: BTreeMap<_, _> = self.data.iter().map(|(key, value)| (key, value.len())).collect();
        f.debug_struct("Secret")
            .field("name", &self.name)
            .field("type", &self.type_)
            .field("sizes", &sizes)
            .finish()
    }
}
