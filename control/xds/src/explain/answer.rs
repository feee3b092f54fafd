//! What explaining a request comes to. Its JSON is what `switchyard explain -o json` and `/debug/explain` say.
//!
//! No type in here has a field for the value of a header, a password, a key or a hash: nothing secret can come to be in it.

use serde::{Deserialize, Serialize};

/// What becomes of a request, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    pub request: Asked,
    /// From the root's IngressRoute on, those that the request comes through. Empty: no root serves the host.
    pub chain: Vec<Link>,
    /// What the levels that it comes through ask of it, and do with it, the outermost first.
    pub policies: Vec<Part>,
    /// How long the answer may take, if nothing keeps the request. None: it leads to no service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Setting>,
    /// How it is tried again. None: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Setting>,
    /// Services that get copies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<Mirror>,
    /// What was taken to be so, for nobody here knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
    /// What policies and sessions change of the answer's headers, whoever gives it.
    #[serde(default, skip_serializing_if = "Changed::is_nothing")]
    pub answer: Changed,
    pub outcome: Outcome,
}

/// The request, without what may be secret of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    pub method: String,
    /// `http` or `https`.
    pub scheme: String,
    /// As it was asked for.
    pub authority: String,
    /// As the proxy sees it, without the query.
    pub path: String,
    /// The address of the client.
    #[serde(rename = "clientIP")]
    pub client_ip: String,
    /// The name of the route configuration that Envoy asks. None: it asks none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_configuration: Option<String>,
}

/// An IngressRoute that a request comes through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// `namespace/name`.
    pub ingress_route: String,
    pub place: Place,
    /// What chose it. None: it is the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Chosen>,
    /// The route of it that takes the request. None: it has none for the path, or is asked for connections alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
}

/// A route that takes a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Its prefix, as its IngressRoute sees paths.
    #[serde(rename = "match")]
    pub prefix: String,
    pub place: Place,
    /// What the prefix becomes, below it or to the upstream. None: it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<String>,
    pub delegates: bool,
}

/// What chose a branch, of those that the route before delegates to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chosen {
    pub by: Choice,
    /// The header or the cookie that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How many of a hundred new sessions go here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// The other branches, `namespace/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// The fields that have no effect because their branch is the active one: `preview`, `canary`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_effect: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Choice {
    Active,
    /// The request has the header of a preview.
    Preview,
    /// The request has the cookie of a session.
    Session,
    /// It is one of the share of a canary.
    Canary,
}

/// Where something stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The IngressRoute, `namespace/name`.
    pub ingress_route: String,
    /// As kubectl writes it, such as `spec.routes[2].auth[0]`. Empty: all of it.
    pub field: String,
    /// In a directory of manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

/// One thing that a level asks of requests, or does with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// `namespace/name virtualhost`, or `namespace/name route /match`: what logs and metrics call the level.
    pub level: String,
    /// Its field of the level, such as `auth[0]`.
    pub part: String,
    pub place: Place,
    /// In words.
    pub what: String,
    pub says: Says,
    /// Why it refuses, or would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What a part says of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Says {
    /// It lets it through.
    Passes,
    /// It keeps it.
    Refuses,
    /// It is tried out, and would keep it.
    WouldRefuse,
    /// It counts it: whether it is one too many depends on those before.
    Counts,
    /// It asks a service, which is taken to say yes.
    Asks,
    /// It does what it says with it.
    Applies,
    /// It is for other requests.
    IsForOthers,
    /// Another level, or the route itself, says it in its stead.
    Overruled,
    /// The request does not come that far.
    NotReached,
}

/// Something that routes and levels say, and who says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    pub value: String,
    /// None: nobody says it, and it is Envoy's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// A service that gets copies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mirror {
    /// `namespace/name`, and its port.
    pub service: String,
    pub port: u16,
    pub percent: u8,
    pub place: Place,
}

/// A cluster that gets a share of the requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upstream {
    pub cluster: String,
    /// `namespace/name`, and its port.
    pub service: String,
    pub port: u16,
    /// Its share, of those of all.
    pub weight: u32,
    /// The number of ready ones. None: they are at names that have no address yet, or that are not resolved here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<usize>,
}

/// Something that is wrong, as its status says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    pub place: Place,
    pub message: String,
}

/// Headers, by name, that the upstream sees otherwise than the client sent them; or the client otherwise than the upstream did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// Those that say something else, or were not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
}

/// What Envoy does in the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "does")]
pub enum Outcome {
    /// Asks an upstream for `path`: one of several, by weight.
    Forward {
        upstreams: Vec<Upstream>,
        path: String,
        /// What policies change of its headers.
        #[serde(default, skip_serializing_if = "Changed::is_nothing")]
        headers: Changed,
    },
    /// Answers itself: there is nothing to ask.
    Respond {
        status: u16,
        why: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        faults: Vec<Fault>,
    },
    /// Answers itself: a policy keeps the request, that of `part` of `policies`.
    Refuse {
        status: u16,
        why: String,
        level: String,
        part: String,
        place: Place,
    },
    /// Answers a page that asks whether it may send a request.
    Preflight {
        status: u16,
    },
    Redirect {
        status: u16,
        location: String,
    },
    /// Sends the bytes of the connection on.
    Proxy {
        upstreams: Vec<Upstream>,
        decrypts: bool,
    },
    /// Closes the connection.
    Close {
        why: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        faults: Vec<Fault>,
    },
}

// === impl Changed ===

impl Changed {
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        let Self { set, removed } = self;
        set.is_empty() && removed.is_empty()
    }
}

// === impl Outcome ===

impl Outcome {
    /// That of the answer, where it is the proxy's own.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Respond { status, .. }
            | Self::Refuse { status, .. }
            | Self::Preflight { status }
            | Self::Redirect { status, .. } => Some(*status),
            Self::Forward { .. } | Self::Proxy { .. } | Self::Close { .. } => None,
        }
    }

    /// Whether the client gets what it asks for.
    #[must_use]
    pub fn is_good(&self) -> bool {
        match self {
            Self::Forward { .. } | Self::Preflight { .. } | Self::Redirect { .. } | Self::Proxy { .. } => {
                true
            }
            Self::Respond { .. } | Self::Refuse { .. } | Self::Close { .. } => false,
        }
    }
}
